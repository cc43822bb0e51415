// @ts-check
// What a page carries beside the scripts, as Rust's types in `figure/payload.rs` and `figure/attention/payload.rs` write
// it: a test there compares the names.

/**
 * @typedef {object} Page an attention view
 * @property {string} model
 * @property {string} run views of one run have one name
 * @property {First} first what is shown first
 * @property {Block[]} blocks
 *
 * @typedef {object} First
 * @property {string} block
 * @property {number} layer
 * @property {number[] | null} [heads] those that are on; all without
 * @property {number | null} [head] the one that is open
 * @property {number | null} token
 * @property {boolean} [residual] of a rollout
 *
 * @typedef {object} Block attention of one text to itself or to another
 * @property {string} name
 * @property {string[]} queries
 * @property {string[] | null} keys the queries without
 * @property {number[]} special places of keys
 * @property {number | null} second where the second text of a pair begins
 * @property {"probability" | "weight" | "difference"} [kind]
 * @property {number} [levels] the largest integer of a weight
 * @property {number} [scale] the largest weight
 * @property {number} [error] how far a weight is off, at most
 * @property {boolean} [causal] whether only the lower triangle is there
 * @property {number} [pool] so many tokens a side stand for one number
 * @property {Measure[]} [measures]
 * @property {Layer[] | NeuronLayer[]} layers
 *
 * @typedef {object} Layer
 * @property {number} layer
 * @property {number[]} heads
 * @property {number[] | null} keyHeads
 * @property {number} chunk
 *
 * @typedef {object} Measure what each head does, in a number
 * @property {string} name
 * @property {string} title
 * @property {string} unit
 * @property {string} about
 * @property {(number | null)[][]} values by layer and head
 *
 * @typedef {object} NeuronLayer numbers stand in chunks
 * @property {number} layer
 * @property {number[]} heads
 * @property {number[]} keyOf the place of each head's key head
 * @property {number[]} keyHeads
 * @property {number} width
 * @property {number} scale
 * @property {number | null} cap
 * @property {number} query
 * @property {number} key
 * @property {Rotary | null} rotary
 * @property {boolean} normed
 * @property {Bias | null} bias
 * @property {string | null} biasName
 * @property {Mask} mask
 * @property {number} valueNorms
 * @property {number} writtenNorms
 * @property {number | null} error
 *
 * @typedef {object} Rotary
 * @property {"halves" | "neighbours"} pairing
 * @property {number[]} frequencies
 * @property {number} magnitude
 *
 * @typedef {object} Bias
 * @property {"distance" | "place" | "full"} kind
 * @property {number} chunk
 *
 * @typedef {object} Mask which keys a query sees: from .. to, without the padded ones
 * @property {number[]} from
 * @property {number[]} to
 * @property {number[]} padded
 *
 * @typedef {object} FlowGraph
 * @property {number} open the panel that is shown first
 * @property {Panel[]} panels
 *
 * @typedef {object} Panel
 * @property {number} width
 * @property {number} height
 * @property {any} trace Plotly's
 * @property {number[]} nodes
 * @property {number[]} links
 */

export {};

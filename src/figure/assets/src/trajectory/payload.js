// @ts-check
// What a page of a trajectory carries, as Rust's types in `figure/trajectory/payload.rs` write it: tests there compare the
// names.

/**
 * @typedef {object} Numbers packed; integers 1 to `levels` go from `low` to `high`, 0 is blank; float32 without levels
 * @property {number} chunk
 * @property {number[]} shape
 * @property {number} levels
 * @property {number} low
 * @property {number} high
 *
 * @typedef {object} Scale how values become colours
 * @property {"signed" | "magnitude" | "root"} kind
 * @property {number} low
 * @property {number} high
 * @property {[boolean, boolean]} beyond whether values lie beyond each end
 *
 * @typedef {object} Maps attention, similarity or attribution maps
 * @property {string} model
 * @property {[string, string]} axes what rows and columns are
 * @property {string} depth what a layer is called
 * @property {MapKind[]} kinds
 * @property {MapBlock[]} blocks
 * @property {First} first
 * @property {(number | null)[][] | null} cka between the layers of the first block
 * @property {string | null} words how words under rows are read
 *
 * @typedef {object} First what is shown first
 * @property {string} block
 * @property {number} layer
 * @property {number[]} heads
 *
 * @typedef {object} MapKind
 * @property {string} name
 * @property {string} title
 * @property {Scale} scale
 *
 * @typedef {object} MapBlock
 * @property {string} name
 * @property {string[]} rows
 * @property {string[] | null} columns the rows without
 * @property {MapLayer[]} layers
 *
 * @typedef {object} MapLayer
 * @property {string} name
 * @property {number} number
 * @property {number[]} heads
 * @property {(Numbers | null)[]} values by kind: (heads, rows, columns)
 * @property {boolean} sums whether the third kind is the sum of the first two, and left out
 * @property {number | null} nearest the chunk of the words under each row
 *
 * @typedef {object} Kernels
 * @property {string} model
 * @property {Kernel[]} kernels
 * @property {number} kernel the place of the one that is shown first
 * @property {number[]} heads
 *
 * @typedef {object} Kernel
 * @property {string} name
 * @property {string} block
 * @property {number[]} layers that share it
 * @property {string} kind
 * @property {number[]} offsets key place - query place
 * @property {Numbers} values (heads, offsets)
 * @property {Numbers | null} spread
 * @property {number[] | null} counts
 * @property {boolean} causal
 * @property {Scale} scale the same for all kernels of a kind
 *
 * @typedef {object} Walk
 * @property {string} model
 * @property {string} block
 * @property {number[]} positions
 * @property {string[]} tokens
 * @property {string[]} steps
 * @property {Numbers} coordinates (steps, positions, 3)
 * @property {number[]} explained
 * @property {Quantity[]} quantities
 * @property {(number | null)[]} straightness by position
 * @property {(number | null)[]} path its length by position
 * @property {(number | null)[]} anisotropy by step
 * @property {number | null} nearest the chunk of the words at each step and position
 * @property {string} words how they are read
 * @property {number | null} given how many positions were given, where the model wrote the others
 *
 * @typedef {object} Quantity a number of every step of a walk
 * @property {string} name
 * @property {string} title
 * @property {string} about
 * @property {string[]} rows
 * @property {Numbers} values (rows, positions)
 * @property {Scale} scale
 *
 * @typedef {object} Decoding
 * @property {string} model
 * @property {string[]} tokens
 * @property {(number | null)[]} probability of the token that follows
 * @property {number[]} rank
 * @property {(number | null)[]} entropy in bits
 * @property {number[]} count tokens that make up the probability p
 * @property {number} p
 */

export {};

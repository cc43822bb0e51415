"""tta-paper's notebooks: attention maps of T5, similarity maps of T5, Flan-T5 and Falcon."""

from .notebook import Original, code, figure, md

# The original has no licence, and its text is in all likelihood a set of graded answers; this one is ours.
# In Rust a backslash at the end of a line joins it with the next.
GRADES = ("Question: What do plants need to grow? Answer: Water and light. Grade: right. \\\n"
          "    Question: What do fish breathe with? Answer: They breathe with wings. Grade: wrong. \\\n"
          "    Question: What does the sun give us? Answer: Light and warmth. Grade:")
TEXT = """
The text is ours: the original's is not published under a licence that would let it be repeated. It has the same form, as far as that is known: questions with answers and grades, so that words and whole phrases come again.
"""
SEQ2SEQ = f'let trace = model.run(Seq2Seq {{\n    source: "{GRADES}",\n    target: "right",\n}})?;\ntrace'

MAP = """
Positions down, positions across; colour is the cosine of their vectors, from -1 to 1 at every depth, so that depths can be compared. Choose other depths at *Site*, point at a cell for its two tokens.
"""
DIFFERS = """
* One scale for all cosines. The original scales every map by its own smallest and largest value, so that maps of different depths cannot be compared by colour.
* All depths are in one page, not in a file each; a picture for a paper is `.save("map.pdf")?`.
* Whether cosines or inner products are drawn stands in the caption. Inner products are ruled by the few longest vectors (often the first token's): `.without_first()` and `.centred()` take that out.
* The words nearest to a vector: the original finds them by inner product with the token table at any depth. Behind the final norm that is what the model computes; before it, it is not, and `ReadAs` says which of the two is meant.
"""

COUNTED = """
/// The mean cosine of the same token at two places, and of all other pairs.
fn alike(map: &Array, ids: &[u32]) -> (f32, f32) {
    let (mut sums, mut counts) = ([0.0; 2], [0.0f32; 2]);
    for row in 0..ids.len() {
        for column in 0..row {
            let other = usize::from(ids[row] != ids[column]);
            sums[other] += map.get(&[row, column]).unwrap();
            counts[other] += 1.0;
        }
    }
    (sums[0] / counts[0].max(1.0), sums[1] / counts[1].max(1.0))
}
"""


def counted(ids):
    return code(f"""{COUNTED.strip()}

for map in trace.similarity_maps().build()?.maps {{
    let (same, others) = alike(&map.values, &{ids});
    println!("{{:>20}}  the same token {{same:.2}}, others {{others:.2}}", map.name);
}};""")


def similarity_t5(file, model, name, opening, notes):
    return Original(file, "tta-paper", ("viz_similarity_maps T5.ipynb",), model, f"Similarity maps of {name}", (
        md(opening),
        md(f"{TEXT.strip()} The decoder is given one word, so that it has something to say about it."),
        code(SEQ2SEQ),
        md(f"## The encoder, depth by depth\n{MAP}\nOff the diagonal, a bright cell is a repetition: `Question`, `Answer`, `Grade`. Does it stay bright to the end, or does a word become a word *in its place*? Do the three questions become blocks?"),
        figure("trace.similarity_maps()"),
        md("## What the original draws\n\nThree depths: the token embeddings, what the first block reads behind its norm, and what leaves the encoder's last norm; here as inner products."),
        figure("trace.similarity_maps().sites([Site::EncoderEmbedding, Site::EncoderAttnNorm(0), Site::EncoderFinalNorm]).dot()"),
        md("## Counted\n\nHow alike is a token to itself at another place, and to all others, at each depth?"),
        counted("trace.encoder_ids()"),
        md(f"## How ours differs\n\n{DIFFERS.strip()}\n{notes.strip()}"),
    ), "Any encoder-decoder will do, and nothing else needs a change.")


ORIGINALS = (
    Original("attention_maps_t5", "tta-paper", ("viz_attention_maps T5.ipynb",), "google/flan-t5-xl", "Attention maps of Flan-T5 XL", (
        md("Before the softmax, a head of a T5 gives each pair of positions a score that is a sum of two: what their contents say, and a number that depends on their distance alone, the head's *position kernel* "
           "([Singh 2023](https://arxiv.org/abs/2308.10874)). The original draws both, their sum and the weights, head by head, for this model."),
        md(f"{TEXT.strip()} The decoder is given one word."),
        code(SEQ2SEQ),
        md("## Kernels, without any text\n\nA row for each head, the distance from query to key along it; left of the middle is what came before. Look for heads with a narrow peak (they look one step back or ahead), for those that like one whole side, and for flat ones. "
           "Beyond 91 steps in the encoder and 113 in the decoder nothing changes any more: all further distances share one number."),
        figure("model.position_kernels()?"),
        md("## Content, position, sum, weights\n\nThe first layer of the encoder; the other heads are behind the numbered squares. Stripes are position, spots are content. Which of the two do the weights look like? "
           "The figures of the original keep heads 0, 2, 4, 7, 8, 12, 19, 21 and 29 of this layer: `.heads([0, 2, 4, 7])`."),
        figure('trace.attention_maps().block("encoder").layers([0])'),
        md("## The decoder, and between the two\n\nThe decoder's own attention has a kernel as well, of what came before. Cross attention has none: no distance between two texts means anything."),
        figure('trace.attention_maps().block("cross").layers([0])'),
        md("""## How ours differs

* Content, position and mask are three things here. In the original's decoder the mask is part of what it calls position bias: everything above the diagonal is about -3·10³⁸ in two of its maps and exactly 0 in the third, and nine hidden keys stand in the kernel's picture. Here what is hidden is left blank.
* A kernel is read from the weights, for any distance. The original cuts one row out of a text's bias matrix.
* Scales fit the data: scores around 0 in two colours, weights from 0 to 1 in one. The original draws all in one map of colours whose middle means nothing.
* Five files for each head there, one page here.
* A T5 does not divide scores by the root of the head's width, in both.

The lesson [attention_maps_t5](../attention_maps_t5.ipynb) asks, with a small T5 that is part of this project, whether content is needed at all."""),
    ), "Any T5 will do, and nothing else needs a change; other encoder-decoders have no kernels in their weights."),
    similarity_t5("similarity_maps_t5", "google-t5/t5-base", "T5",
                  "Which positions does a model hold to be alike, and at which depth? The original does not say which T5 its maps are of; this is the one of 12 + 12 layers that fits a laptop. It was trained on its tasks together, among them questions and answers. "
                  "Its tokens come from SentencePiece, `</s>` stands at the end.",
                  "* T5's decoder reads the encoder's last stream behind a norm; the last map is behind it as well, and the one before shows what no part of the model reads."),
    similarity_t5("similarity_maps_flan_t5", "google/flan-t5-base", "Flan-T5",
                  "Flan-T5 has a T5's shape (version 1.1: gated neurons, a head of its own) and was then trained to follow instructions. Put its maps beside those of [T5](similarity_maps_t5.ipynb): same text, same tokens. The original does not say how large its Flan-T5 is; this one fits a laptop.",
                  "* The head of Flan-T5 is a table of its own, so that the nearest words of its last vectors are to be read there and not in the table of the embeddings, where the original looks them up."),
    Original("similarity_maps_falcon", "tta-paper", ("viz_similarity_maps Falcon.ipynb",), "tiiuae/falcon-7b", "Similarity maps of Falcon 7B", (
        md("Falcon reads from left to right; attention and MLP work side by side, positions rotate queries and keys and are added nowhere, and 71 query heads share one key head. So before the first attention no vector knows where it stands."),
        md(TEXT),
        code(f'let trace = model.run("{GRADES}")?;\ntrace'),
        md(f"## Depth by depth\n{MAP}\nIn the embeddings repetitions are exactly 1. What is left of them at the end, where each vector stands for the *next* word?"),
        figure("trace.similarity_maps()"),
        md("## The original's five\n\nThe embeddings, the first norm and the last norm; the first and the last also as cosines, which the map above has. Here the inner products:"),
        figure("trace.similarity_maps().sites([Site::Embedding, Site::AttnNorm(0), Site::FinalNorm]).dot()"),
        md("## Counted\n\nHow alike is a token to itself at another place, and to all others, at each depth?"),
        counted("trace.ids()"),
        md(f"## How ours differs\n\n{DIFFERS.strip()}\n\nThe lesson [similarity_maps_falcon](../similarity_maps_falcon.ipynb) shows what of this a Falcon with random weights shows as well."),
    ), "Any decoder will do, and nothing else needs a change."),
)

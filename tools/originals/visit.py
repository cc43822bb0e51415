"""VISIT's demo and the commands of its README."""

from .notebook import Original, code, figure, md

READING = """
The graph runs from left to right through one layer: what enters it, the heads with the positions that they look at and what these hand over, the neurons
of the MLP, what leaves. A node is a vector, labelled with the word that it is nearest to; its colour is the rank of the model's own next token in it. A link is as wide
as what it adds. Point at a node for its numbers, click it to see where it comes from and where it goes, and choose the other layer above the picture.
"""

CHECK = """
Does it add up? For each node that is a sum, what comes in and what it is itself, as shares of the answer's logit:
"""

SUMS = """
use flowlens::flow::NodeKind;
for graph in &graphs.graphs {
    for (index, node) in graph.nodes.iter().enumerate().filter(|(_, node)| matches!(node.kind, NodeKind::AttnOut | NodeKind::MlpOut | NodeKind::Resid)) {
        let mut terms: Vec<usize> = graph.links.iter().filter(|link| link.target == index).map(|link| link.source).collect();
        terms.dedup();
        let sum: f64 = terms.iter().map(|&term| graph.nodes[term].contributions[0]).sum();
        if !terms.is_empty() {
            println!("{:32} {:3} terms: {sum:10.5}   itself: {:10.5}", node.id, terms.len(), node.contributions[0]);
        }
    }
};
"""

PUBLISHED = """
## The same as published

`Method::Visit` computes as VISIT does, its mistakes included, with VISIT's own configuration file (amounts and colours).
"""

COMMON = """
## How ours differs

* Here everything left out is summed into a node of its own ("+12 neurons"), so that nothing is hidden. VISIT shows ten heads, two or fewer memories of each and 25 neurons, and nothing of the rest.
* A share of the logit is measured with the final norm's factor held fixed, so that shares add up. VISIT puts each part through the norm alone, which blows small vectors up.
* A neuron that writes *against* its row is labelled by what it then promotes. VISIT labels it by the row's least probable words and colours it by the row itself.
* Heads are chosen by what they write; VISIT chooses them by their length before the output matrix.
"""


def original(file, model, command, text, layers, config, opening, looking, mistakes, also=()):
    listed = ", ".join(map(str, layers))
    return Original(
        file, "VISIT", (command,), model, f"VISIT on {opening[0]}",
        (
            md(opening[1]),
            md("The text, its tokens and what the model says next. `␣` marks a blank."),
            code(f'let trace = model.run("{text}")?;\ntrace'),
            md(f"## Layers {listed}\n{READING}\n{looking}"),
            figure(f"let graphs = trace.flow_graph().layers([{listed}]).build()?;\ngraphs"),
            md(CHECK),
            code(SUMS),
            *also,
            md(PUBLISHED),
            figure(f'trace.flow_graph().method(Method::Visit).config("../../flow_graph_configs/{config}").layers([{listed}]).build()?'),
            md(f"{COMMON.strip()}\n{mistakes.strip()}"),
        ),
        f"Any decoder will do that has layer {layers[-1]} (its card says how many there are: `0` is the first), but for the section *The same as published*: VISIT's file names the parts of its own family, and the error says so for others.",
    )


JAPAN = "The capital of Japan is the city of"
KEYS_LINEAR = """* The *key* nodes of this family: VISIT multiplies by the query matrix the wrong way round, so they show a vector that the head never compares. Ours satisfies *direction · stream = query · key*; the queries are right in both."""

ORIGINALS = (
    original(
        "visit_gpt2_medium", "openai-community/gpt2-medium", "generate_flow_graph.ipynb", JAPAN, (10, 14), "flow_graph_config_basic.json",
        ("GPT-2 medium", "This is the demo of the paper ([Katz and Belinkov 2023](https://arxiv.org/abs/2305.13417)): how 24 layers arrive at the name of a city. "
         "GPT-2 reads from left to right; its tokens are pieces of bytes that carry their blank in front."),
        "Compare the two layers: in which of them do heads look at ` Japan`, and is it already turned into something Japanese there? The paper finds that a few heads with the longest "
        "outputs carry what the layer adds, and that in a head one to three positions do so.",
        """
* The *query* nodes: VISIT multiplies GPT-2's queries by the key matrix the wrong way round, so they show a vector that the head never compares. Ours satisfies *direction · stream = query · key*; the keys are right in both.
* In a chain of layers VISIT gives the links of later layers the norm of the first one's input.
""",
        also=(
            md("## Two layers in one graph\n\nThe demo has it as a comment: layers 10 and 11, one behind the other."),
            figure("trace.flow_graph().layers([10, 11]).chain(true).build()?"),
        ),
    ),
    original(
        "visit_gpt2_xl", "openai-community/gpt2-xl", "generate_flow_graph.py --model_name gpt2-xl", "Lionel Messi plays for", (15, 16),
        "flow_graph_config_basic_color_palette2.json",
        ("GPT-2 XL", "The second command of its README, with the colours for the colour-blind: a name, and what the model knows about it. 48 layers, one and a half thousand million parameters."),
        "The name is several tokens, and only the last one has seen all of it. Where do heads look from ` for`: at the name's last piece, or at the verb? Layers 15 and 16 are a third of the way; "
        "the answer may well not be there yet. `trace.logit_lens()?` shows where it comes up.",
        """
* The *query* nodes: VISIT multiplies GPT-2's queries by the key matrix the wrong way round, so they show a vector that the head never compares. Ours satisfies *direction · stream = query · key*; the keys are right in both.
* Colours: with today's plotly most of VISIT's nodes come out black; ours are the same everywhere, and `color_blind.json` is our own palette for it.
""",
    ),
    original(
        "visit_gpt_j", "EleutherAI/gpt-j-6b", "generate_flow_graph.py --model_name EleutherAI/gpt-j-6B", JAPAN, (10, 14), "flow_graph_config_gptj.json",
        ("GPT-J", "The command of its README, with the branch `float16` of the model as there; the numbers are computed in float32. GPT-J differs from GPT-2 in two ways that show: attention and MLP work side "
         "by side on the same vector, and positions are not added but rotate queries and keys."),
        "Since attention and MLP are parallel, neither reads what the other writes in the same layer: both hang on the same node behind the norm, and both lead to the layer's output.",
        f"""
* Everything that heads *write*: VISIT's configuration for GPT-J lacks a switch (`transpose_attn_o`), so heads, values and rows of the output matrix are multiplied by it the wrong way round. Its heads do not add up to the attention's output: on a tiny model they are off by 141 %, ours by a rounding error.
{KEYS_LINEAR}
* Rotation: VISIT takes keys as they are kept, turned by their position, and reads them as if they were not. Ours turns them back to where the last query stands.
* VISIT's file for this family asks for one memory of each head (`n_values_per_head`); `.values_per_head(3)` shows more.
""",
    ),
    original(
        "visit_gpt_neo", "EleutherAI/gpt-neo-1.3B", "generate_flow_graph.py --model_name EleutherAI/gpt-neo-1.3B", JAPAN, (10, 14, 18), "flow_graph_config_gpt_neo.json",
        ("GPT-Neo", "The command of its README. GPT-Neo has GPT-2's tokens and shape; every other layer sees only the last 256 positions, and queries meet keys without the usual division by a square root."),
        "Three layers, 10, 14 and 18, all of them with sight of the whole text (even numbers; the odd ones are the local ones, which on a text of eight tokens makes no difference).",
        f"""
{KEYS_LINEAR}
* The bias of the first MLP matrix: VISIT draws it as if the activation function did not lie between it and what is written. Ours belongs to its neuron.
""",
    ),
    original(
        "visit_llama2", "meta-llama/Llama-2-7b-chat-hf", "generate_flow_graph.py --model_name meta-llama/Llama-2-7b-chat-hf", JAPAN, (10, 14, 18),
        "flow_graph_config_llama2_7B.json",
        ("Llama 2", "The command of its README, on the chat model as there. Llama's tokens come from SentencePiece, a `<s>` stands before the text, positions rotate queries and keys, and a neuron has two vectors that "
         "it compares the stream with: a *gate* and an *up* row."),
        "How much of the attention goes to `<s>`, which says nothing? Heads with nothing to do are known to rest there ([attention sinks](https://arxiv.org/abs/2309.17453)). The nodes of a neuron show gate and up row one by one, and what it writes behind them.",
        f"""
* The gate: VISIT shows a neuron by its up row alone and ignores the gate, which decides about sign and size.
{KEYS_LINEAR}
* Rotation: VISIT takes keys as they are kept, turned by their position, and reads them as if they were not. Ours turns them back to where the last query stands.
* Models whose query heads share key heads (Llama 2 70B, Llama 3, Mistral, SmolLM2) make VISIT crash. Here they work, but for the section *as published*; `smollm2-135m` is one.
""",
    ),
)

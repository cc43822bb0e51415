"""What the notebooks of one view share: how to use it, and how it differs from BertViz's."""

from dataclasses import dataclass

from .notebook import code


@dataclass(frozen=True)
class View:
    hands_on: str
    differs: str


HEAD = View(
    "Queries on the left, keys on the right, a line for every weight, one colour for each head. Point at a token to see its lines alone and their numbers, click it to keep it. Click a numbered square to switch a head off and on, double-click it to see that head alone. The arrow keys walk through tokens and layers.",
    """* Strength of a line is its weight. BertViz divides it by the number of heads that are on, so that with many heads hardly anything is seen.
* Numbers, search, heads sorted by what they do, and tokens that stay chosen are new; BertViz's view shows no numbers.
* 512 tokens work as smoothly as 16. BertViz's page makes an element of every weight; a change of layer took it 1 s at 64 tokens and 18 s at 256, and at 512 nothing is drawn.
* It needs no network once the model is there. BertViz's page loads three scripts from a server; without it, and at the first run in today's JupyterLab, nothing is drawn.
* Text of tokens is text. In BertViz a token with a closing script tag breaks the page.""")

MODEL = View(
    "A square for each head, layers from top to bottom, heads from left to right. In a square rows are queries and columns keys; colour is the square root of the weight, so that faint structure shows. Point at a square for its numbers, click it to see it large with its tokens, and choose at *order* what the squares are sorted by.",
    """* Squares are heat maps of one size, whatever the length of the text. BertViz draws every weight as a line in a square that grows with the text: for a BERT at 64 tokens 11 s and 1.8 GB, at 128 tokens 49 s.
* Sorting by what heads do is new, and so are numbers.
* It needs no network once the model is there. BertViz's page loads three scripts from a server; without it, and at the first run in today's JupyterLab, nothing is drawn.""")

NEURON = View(
    "Each row is a key: its vector, the products with the query element by element, and what becomes of their sum on the way to the weight. Orange is positive, blue negative. Choose another query on the left, sort the elements by what they contribute, point at a bar for its number.",
    """* Every step is computed in the page, from query and key to the weight, and compared with the model's own; the caption says by how much they differ. BertViz draws the model's weight under the heading *Softmax* without computing it.
* The sum is divided by √d where it says so. BertViz's square for `q · k` holds the divided one.
* Numbers are shown. BertViz has none.
* Any family works, also with rotated or shared keys. BertViz's view needs a copy of the models of 2019 that comes with it, for BERT, GPT-2 and RoBERTa, and its download addresses are gone.
* The length of what each weight writes stands beside it; BertViz shows no values.""")


def run_text(text):
    return f'let trace = model.run("{text}")?;\ntrace'


def run_pair(first, second):
    return f'let trace = model.run(("{first}", "{second}"))?;\ntrace'


def look_for(*measures):
    """The heads that lead in each measure; of a model that has no such places, such as one without separators, a sentence that says so."""
    listed = ", ".join(f"Measure::{measure}" for measure in measures)
    return code(f"""
let attention = trace.attention()?;
for measure in [{listed}] {{
    match attention.find(measure, 3) {{
        Ok(heads) => println!("{{heads}}\\n"),
        Err(without) => println!("{{without}}\\n"),
    }}
}};""")

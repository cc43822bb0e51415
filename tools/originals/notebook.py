"""A notebook of an original: its cells, and the sentences that many of them share."""

from dataclasses import dataclass

from .models import MODELS, gb

WHERE = {
    "VISIT": "https://github.com/shacharKZ/VISIT-Visualizing-Transformers",
    "BertViz": "https://github.com/jessevig/bertviz",
    "tta-paper": "https://github.com/Turnitin-AI-Research/tta-paper",
}


@dataclass(frozen=True)
class Cell:
    """Markdown or code; a figure is code whose last value draws itself."""

    kind: str
    text: str


@dataclass(frozen=True)
class Original:
    """One demo of an original, as a notebook of ours."""

    file: str
    project: str
    # Names of the original's notebooks or commands.
    demos: tuple
    model: str
    title: str
    cells: tuple
    # Which other models the same cells work with, as a sentence.
    others: str

    def all_cells(self):
        model = MODELS[self.model]
        names = " and ".join(f"`{demo}`" for demo in self.demos)
        head = f"# {self.title}\n\nAfter {names} of [{self.project}]({WHERE[self.project]}). {self.cells[0].text}\n\n{needs(model, self.others)}"
        return [md(head), code("use flowlens::prelude::*;"), load(model), *self.cells[1:]]


def md(text):
    """Prose: the indentation of the Python around it is not the text's."""
    return Cell("markdown", "\n".join(line.strip() for line in text.strip().splitlines()))


def code(text):
    return Cell("code", text.strip())


def figure(text):
    return Cell("figure", text.strip())


def needs(model, others):
    """What a notebook says of its model before it is loaded."""
    text = (f"**Once, this needs the network:** {model.name} is fetched from the Hugging Face Hub, about {gb(model.download)}, and kept. "
            f"Running it takes about {gb(model.memory)} of memory.")
    if model.hurdle:
        text += f" {model.hurdle}"
    change = "To look into another model, change its name in the line that loads it"
    if model.smaller:
        change += f"; a smaller one is `{model.smaller}`"
    return f"{text}\n\n{change}. {others} No cell needs to be understood as Rust: run them in order with Shift-Enter."


def load(model):
    if model.revision == "main":
        return code(f'let model = Model::load("{model.id}")?;\nmodel')
    return code(f'let model = Model::options("{model.id}").revision("{model.revision}").load()?;\nmodel')

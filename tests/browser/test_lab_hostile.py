"""Outputs that hold hostile texts, in a real JupyterLab, trusted and not, and in a page that nbconvert makes: nothing runs there
either, and nothing is read as a formula. The outputs come from `tests/figure/hostile`.
"""

import json
import unittest

import nbformat
from nbconvert import HTMLExporter

from _lab import LabTest
from test_hostile import FOLDER, GUARD, PLAIN, TEXTS, setUpModule  # noqa: F401

# One of each kind of page; the second brings plotly.js to those after it.
SHOWN = ["head", "flow_exact", "flow_published", "lens", "walk", "effects"]
VIEW, FORMULA = ".flowlens-view", "mjx-container, .MathJax, math"


class Hostile(LabTest):
    def notebook(self):
        """Executed by nobody: a cell for each output, and one for each of its still forms."""
        outputs = dict(json.loads((FOLDER / "outputs.json").read_text()))
        cells = []
        for name in SHOWN:
            forms = dict(outputs[name])
            for data in [forms, {"image/svg+xml": forms["image/svg+xml"]}, {"text/plain": forms["text/plain"]}]:
                output = nbformat.v4.new_output("display_data", data=data)
                cells.append(nbformat.v4.new_code_cell(name, outputs=[output], execution_count=1))
        kernel = {"name": "rust", "display_name": "Rust", "language": "rust"}
        return nbformat.v4.new_notebook(metadata={"kernelspec": kernel}, cells=cells)

    def seen(self, tab, *wanted):
        """Brings every output into sight, and waits for its form, if one is shown."""
        for at in range(3 * len(SHOWN)):
            cell = tab.locator(".jp-Notebook .jp-Cell").nth(at)
            cell.scroll_into_view_if_needed()
            if wanted[at % 3]:
                cell.locator(wanted[at % 3]).first.wait_for(state="attached", timeout=60000)

    def check(self, tab, stage):
        self.frame(tab)
        found = tab.evaluate("found()")
        self.assertEqual(found["ran"], [], stage)
        self.assertEqual(found["foreign"], [], stage)
        self.assertEqual(tab.locator(VIEW).locator(FORMULA).count(), 0, stage)
        said = "\n".join(found["said"])
        self.assertGreater(len([text for text in PLAIN if text in said]), 5, stage)
        self.shot(tab, f"lab_hostile_{stage}")
        self.assert_quiet(stage)
        tab.context.close()

    def test_trusted_not_trusted_and_converted(self):
        notebook = self.notebook()
        path = self.work / "hostile.ipynb"
        nbformat.write(notebook, path)
        tab = self.open_notebook(path, before=GUARD)
        self.seen(tab, f"{VIEW} img", None, ".jp-RenderedText")
        self.assertEqual(tab.locator(f"{VIEW} canvas").count(), 0, "no script runs")
        self.check(tab, "not_trusted")

        self.sign(path)
        tab = self.open_notebook(path, before=GUARD)
        self.seen(tab, f"{VIEW}[data-state=drawn]", ".jp-RenderedSVG", ".jp-RenderedText")
        self.check(tab, "trusted")

        page = self.folder / "hostile.html"
        page.write_text(HTMLExporter().from_notebook_node(notebook)[0])
        tab = self.open(page.as_uri(), before=GUARD, height=2400)
        tab.evaluate("texts => explore(texts)", TEXTS)
        self.check(tab, "converted")


if __name__ == "__main__":
    unittest.main()

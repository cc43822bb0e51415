"""plotly.js in a real JupyterLab: one output of a notebook brings it, and another one when that one goes."""

import re
import unittest

import nbformat
from nbconvert import HTMLExporter

from _lab import MODEL, LabTest

MAKE = f"""use flowlens::prelude::*;
let model = Model::load("{MODEL}")?;
let trace = model.run(vec![1, 2, 3, 4, 5, 6])?;"""
MAPS, WALK, KEYS = "trace.attention_maps()", "trace.walk()", "trace.similarity_maps()"
PLOTTED = ".flowlens-view[data-picture=plotly]"


class LabLibrary(LabTest):
    def notebook(self, *sources):
        self.path = self.work / f"{self._testMethodName}.ipynb"
        self.write(self.path, [MAKE, *sources])
        return self.open_notebook(self.path)

    def cell(self, tab, at):
        return tab.locator(".jp-Notebook .jp-Cell").nth(at)

    def choose(self, tab, at):
        """Chooses a cell, as keys want it that are not for its text."""
        self.cell(tab, at).locator(".jp-InputPrompt").click()
        tab.keyboard.press("Escape")

    def run_cell(self, tab, at):
        """Runs a cell and waits for its end."""
        prompt = self.cell(tab, at).locator(".jp-InputPrompt")
        self.choose(tab, at)
        prompt.evaluate("prompt => { prompt.textContent = ''; }")  # the new number may be the old one
        tab.keyboard.press("Control+Enter")
        self.until(lambda: re.search(r"\[\d+\]", prompt.inner_text()), f"cell {at} has run", 60)

    def plotted(self, tab, *cells):
        for at in cells:
            self.cell(tab, at).scroll_into_view_if_needed()
            self.cell(tab, at).locator(PLOTTED).wait_for(timeout=60000)
        self.assertEqual(tab.locator(".fl-note").count(), 0)

    def saved(self, tab):
        """The notebook as it is saved, and which of its cells have plotly.js."""
        self.save(tab, self.path)
        notebook = nbformat.read(self.path, as_version=4)
        texts = ["".join(str(output.get("data", {}).get("text/html", "")) for output in cell.get("outputs", [])) for cell in notebook.cells]
        for text in texts:
            self.assertLessEqual(text.count("data-flowlens-plotly>"), 1)
        return notebook, [at for at, text in enumerate(texts) if "data-flowlens-plotly>" in text]

    def reopened(self, tab, *cells):
        """A page that runs nothing draws what was saved."""
        tab.context.close()
        self.sign(self.path)
        tab = self.open_notebook(self.path)
        self.plotted(tab, *cells)
        return tab

    def test_run_all_once_and_again(self):
        tab = self.notebook(MAPS, WALK)
        self.run_all(tab)
        self.plotted(tab, 1, 2)
        self.assertEqual(self.saved(tab)[1], [1])
        tab.evaluate("document.querySelectorAll('.flowlens-view').forEach(root => { root.dataset.run = 'first'; })")
        self.run_all(tab)
        tab.wait_for_function("!document.querySelector('.flowlens-view[data-run=first]')", timeout=60000)
        self.plotted(tab, 1, 2)
        notebook, carriers = self.saved(tab)
        self.assertEqual(carriers, [1])
        self.shot(tab, "lab_library")
        self.reopened(tab, 1, 2).context.close()
        page = self.folder / "library.html"
        page.write_text(HTMLExporter().from_notebook_node(notebook)[0])
        tab = self.open(page.as_uri())
        self.assertEqual(tab.locator(PLOTTED).count(), 2)

    def test_the_cell_that_brought_it_is_run_again(self):
        tab = self.notebook(MAPS, WALK)
        self.run_all(tab)
        self.plotted(tab, 1, 2)
        self.run_cell(tab, 1)
        self.plotted(tab, 1, 2)
        self.assertEqual(self.saved(tab)[1], [1])
        self.reopened(tab, 1, 2)

    def test_the_cell_that_brought_it_is_deleted(self):
        tab = self.notebook(MAPS, WALK, KEYS)
        self.run_all(tab)
        self.plotted(tab, 1, 2, 3)
        self.choose(tab, 1)
        tab.keyboard.press("d")
        tab.keyboard.press("d")
        self.until(lambda: tab.locator(".jp-Notebook .jp-Cell").count() == 3, "the cell is gone")
        self.run_cell(tab, 2)
        self.plotted(tab, 1, 2)
        self.assertEqual(self.saved(tab)[1], [2])
        self.reopened(tab, 1, 2)

    def test_half_a_notebook(self):
        tab = self.notebook(MAPS, WALK)
        self.run_all(tab)
        self.plotted(tab, 1, 2)
        notebook, _ = self.saved(tab)
        tab.context.close()
        # The second half alone, as somebody cuts it out.
        del notebook.cells[1]
        self.path = self.work / "half.ipynb"
        nbformat.write(notebook, self.path)
        self.sign(self.path)
        tab = self.open_notebook(self.path)
        note = self.cell(tab, 1).locator(".fl-note")
        note.wait_for(timeout=30000)
        self.assertIn("Run this cell again", note.inner_text())
        self.assertGreater(self.cell(tab, 1).locator(".fl-picture img").bounding_box()["width"], 100)
        self.shot(tab, "lab_half")
        self.run_all(tab)
        self.plotted(tab, 1)
        self.assertEqual(self.saved(tab)[1], [1])
        self.reopened(tab, 1)

    def test_what_the_note_says_helps_while_the_kernel_goes_on(self):
        tab = self.notebook(MAPS, WALK)
        self.run_all(tab)
        self.plotted(tab, 1, 2)
        # Nothing tells the kernel that the output went.
        self.choose(tab, 1)
        self.menu(tab, "Edit", "Clear Cell Output")
        self.until(lambda: self.cell(tab, 1).locator(".flowlens-view").count() == 0, "the output is gone")
        self.assertEqual(self.saved(tab)[1], [])
        tab.context.close()
        self.sign(self.path)
        tab = self.open_notebook(self.path)
        self.cell(tab, 2).locator(".fl-note").wait_for(timeout=30000)
        self.run_cell(tab, 2)
        self.plotted(tab, 2)
        self.assertEqual(self.saved(tab)[1], [2])

    def test_a_restarted_kernel_brings_it_with_whatever_runs_first(self):
        tab = self.notebook(MAPS, WALK)
        self.run_all(tab)
        self.plotted(tab, 1, 2)
        self.menu(tab, "Kernel", "Restart Kernel and Clear Outputs of All Cells…")
        tab.locator(".jp-Dialog button", has_text="Restart").click()
        self.until(lambda: tab.locator(".flowlens-view").count() == 0, "the outputs are gone")
        tab.get_by_text(re.compile(r"^Rust.* \| Idle$")).wait_for(timeout=60000)
        self.run_cell(tab, 0)
        self.run_cell(tab, 2)
        self.plotted(tab, 2)
        self.assertEqual(self.saved(tab)[1], [2])
        tab = self.reopened(tab, 2)
        # Once more, and the output of before stays: two that bring it are no harm.
        self.menu(tab, "Kernel", "Restart Kernel…")
        tab.locator(".jp-Dialog button", has_text="Restart").click()
        self.run_cell(tab, 0)
        self.run_cell(tab, 1)
        self.plotted(tab, 1, 2)
        self.assertEqual(self.saved(tab)[1], [1, 2])


if __name__ == "__main__":
    unittest.main()

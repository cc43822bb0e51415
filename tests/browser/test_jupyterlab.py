"""Views in a real JupyterLab on the Rust kernel, in a page that nbconvert makes, and in a saved file; none has a network."""

import unittest

import nbformat
from nbconvert import HTMLExporter

from _lab import MODEL, ROOT, LabTest

VIEWS = ["head", "model", "neuron"]
CELLS = [
    f""":dep flowlens = {{ path = "{ROOT}" }}
use flowlens::prelude::*;
let model = Model::load("{MODEL}")?;
let trace = model.run(vec![1, 2, 3, 4, 5, 6])?;""",
    *(f"trace.{view}_view()" for view in VIEWS),
    'trace.head_view().build()?.save("saved.html")?;',
]
PAINTED = """canvas => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data
    .reduce((count, value, at) => count + (at % 4 === 3 && value > 0), 0)"""


class JupyterLab(LabTest):
    def test_first_run_second_run_reopened_and_converted(self):
        path = self.work / "views.ipynb"
        self.write(path, CELLS)
        tab = self.open_notebook(path)
        self.run_all(tab)
        self.assert_drawn(tab, "first run")
        self.assert_answers(tab)
        tab.evaluate("document.querySelectorAll('.flowlens-view').forEach(root => { root.dataset.run = 'first'; })")
        self.run_all(tab)
        tab.wait_for_function("!document.querySelector('.flowlens-view[data-run=first]')", timeout=90000)
        self.assert_drawn(tab, "second run")
        self.save(tab, path)
        tab.context.close()

        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells[1 : len(VIEWS) + 1]:
            self.assertEqual([sorted(output.data) for output in cell.outputs], [["image/svg+xml", "text/html", "text/plain"]])
        self.sign(path)
        tab = self.open_notebook(path)
        self.assert_drawn(tab, "reopened and trusted")
        self.assert_answers(tab)
        tab.context.close()

        # Trust goes by content: with another title it is a notebook that nobody has signed.
        notebook.metadata["title"] = "from somebody else"
        stranger = self.work / "stranger.ipynb"
        nbformat.write(notebook, stranger)
        tab = self.open_notebook(stranger)
        self.assert_still(tab, "reopened and not trusted")
        tab.context.close()

        page = self.folder / "views.html"
        page.write_text(HTMLExporter().from_filename(path)[0])
        tab = self.open(page.as_uri())
        self.assert_drawn(tab, "converted")

        tab = self.open((self.work / "saved.html").as_uri())
        self.assertEqual(tab.locator(".flowlens-view[data-view=head]").count(), 1)
        self.shot(tab, "lab_saved")
        self.assert_quiet("saved")

    def assert_drawn(self, tab, stage):
        for at, view in enumerate(VIEWS, 1):
            cell = tab.locator(".jp-Cell").nth(at)
            cell.scroll_into_view_if_needed()
            root = cell.locator(f".flowlens-view[data-view={view}]")
            failed = tab.locator(", ".join(f"[data-mime-type='application/vnd.jupyter.{kind}']" for kind in ["stderr", "error"]))
            root.and_(tab.locator("[data-state=drawn]")).or_(failed).first.wait_for(timeout=90000)
            self.assertEqual(failed.all_inner_texts(), [], stage)
            self.assertEqual(root.evaluate("root => root.flowlens.state().view"), view, stage)
            painted = root.locator("canvas").first.evaluate(PAINTED)
            self.assertGreater(painted, 100, f"{stage}: pixels of the {view} view that are not empty")
        self.shot(tab, f"lab {stage}".replace(" ", "_"))
        self.assert_quiet(stage)

    def assert_answers(self, tab):
        """A click into one view opens a head there, and changes nothing in the view above it."""
        states = "roots => roots.map(root => { const { layer, head } = root.flowlens.state(); return [layer, head]; })"
        roots = tab.locator(".flowlens-view")
        before = roots.evaluate_all(states)
        model = tab.locator(".flowlens-view[data-view=model]")
        model.evaluate("root => root.scrollIntoView()")
        x, y = model.evaluate("root => { const box = root.flowlens.bounds(0, 1); return [box.x + box.width / 2, box.y + box.height / 2]; }")
        tab.mouse.click(x, y)
        self.until(lambda: roots.evaluate_all(states)[1] == [0, 1], "the head opens")
        self.frame(tab)
        self.assertEqual(roots.evaluate_all(states), [before[0], [0, 1], before[2]])

    def assert_still(self, tab, stage):
        """Where scripts may not run, the static picture is seen."""
        for at, view in enumerate(VIEWS, 1):
            cell = tab.locator(".jp-Cell").nth(at)
            cell.scroll_into_view_if_needed()
            image = cell.locator(".flowlens-view img").first
            image.wait_for()
            self.assertGreater(image.evaluate("image => image.decode().then(() => image.naturalWidth)"), 100, view)
            self.assertEqual(cell.locator("canvas").count(), 0)
        self.shot(tab, f"lab {stage}".replace(" ", "_"))
        self.assert_quiet(stage)


if __name__ == "__main__":
    unittest.main()

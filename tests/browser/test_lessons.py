"""Every figure of every lesson, as `make test` has executed them, in a real JupyterLab without a network."""

import json
import shutil

import nbformat

from _lab import ROOT, LabTest

EXECUTED = ROOT / "target" / "notebooks"


class Lessons(LabTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # Otherwise JupyterLab draws only what is on the screen.
        settings = cls.folder / "settings" / "@jupyterlab" / "notebook-extension" / "tracker.jupyterlab-settings"
        settings.parent.mkdir(parents=True, exist_ok=True)
        settings.write_text(json.dumps({"windowingMode": "none"}))

    def test_every_figure_is_drawn(self):
        lessons = sorted(ROOT.glob("notebooks/*.ipynb"))
        self.assertGreater(len(lessons), 9)
        for lesson in lessons:
            with self.subTest(lesson.name):
                self.see(EXECUTED / lesson.name)
                self.assert_quiet(lesson.name)

    def see(self, executed):
        path = self.work / executed.name
        shutil.copy(executed, path)
        self.sign(path)
        cells = nbformat.read(path, as_version=4).cells
        outputs = [output.get("data", {}) for cell in cells for output in cell.get("outputs", [])]
        figures = sum("flowlens-view" in data.get("text/html", "") for data in outputs)
        tab = self.open(f"{self.address}/lab/tree/{path.name}?token={self.token}&reset", wait=False)
        drawn = tab.locator(".flowlens-view[data-state=drawn]")
        self.until(lambda: drawn.count() == figures, f"{figures} figures are drawn", 60)
        self.assertEqual(tab.locator(".flowlens-view:not([data-state=drawn])").count(), 0)
        # Each as wide as its cell lets it be, and with something in it.
        for box in drawn.evaluate_all("roots => roots.map(root => [root.clientWidth, root.querySelectorAll('svg, canvas').length])"):
            self.assertGreater(box[0], 300)
            self.assertGreater(box[1], 0)
        tab.context.close()
        self.end_kernels()

"""What a person feels of Flowlens's own kernel, in a real JupyterLab: figures as they come, a bar that moves, the stop
button, help, errors, a restart, dark colours.
"""

import re
import unittest

from _lab import MODEL, ROOT, LabTest

# It has no limit of context: a generation lasts as long as one likes.
ENDLESS = ROOT / "tests" / "fixtures" / "parity" / "bloom"
TRACE = f"""use flowlens::prelude::*;
let model = Model::load("{MODEL}")?;
let trace = model.run(vec![1, 2, 3, 4, 5, 6])?;"""
LONG = f"""use flowlens::prelude::*;
let model = Model::load("{ENDLESS}")?;"""
# As many as take some seconds on any machine.
TOKENS = 8000
GENERATE = "model.generate(vec![1i64, 2, 3]).max_tokens({}).run()?;"
# JupyterLab draws an error as it draws stderr.
DISPLAY, ERROR = ".jp-OutputArea-child", ".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr']"


class LabKernel(LabTest):
    def notebook(self, *sources):
        path = self.work / f"{self._testMethodName}.ipynb"
        self.write(path, sources)
        return self.open_notebook(path)

    def cell(self, tab, at):
        return tab.locator(".jp-Notebook .jp-Cell").nth(at)

    def drawn(self, place, *views):
        roots = place.locator(".flowlens-view[data-state=drawn]")
        self.until(lambda: roots.count() == len(views), f"{views} are drawn", 60)
        self.assertEqual(roots.evaluate_all("roots => roots.map(root => root.flowlens.state().view)"), list(views))

    def finished(self, tab, at, seconds=60):
        prompt = self.cell(tab, at).locator(".jp-InputPrompt")
        self.until(lambda: re.search(r"\[\d+\]", prompt.inner_text()), f"cell {at} has run", seconds)

    def test_two_figures_of_one_cell_come_among_what_it_prints(self):
        tab = self.notebook(
            TRACE,
            'println!("first");\ndisplay(&trace.head_view().build()?);\nprintln!("between");\ndisplay(&trace.model_view());\nprintln!("last");',
        )
        self.run_all(tab)
        cell = self.cell(tab, 1)
        self.drawn(cell, "head", "model")
        self.finished(tab, 1)
        seen = [part.inner_text().strip() if part.locator(".flowlens-view").count() == 0 else "a figure" for part in cell.locator(DISPLAY).all()]
        self.assertEqual(seen, ["first", "a figure", "between", "a figure", "last"])
        self.shot(tab, "lab_two_figures")

    def test_figures_come_while_the_cell_runs(self):
        tab = self.notebook(TRACE, "display(&trace.head_view());\nstd::thread::sleep(std::time::Duration::from_secs(6));")
        self.run_all(tab)
        cell = self.cell(tab, 1)
        self.drawn(cell, "head")
        self.assertIn("[*]", cell.locator(".jp-InputPrompt").inner_text())

    def test_one_bar_moves_and_leaves_a_line(self):
        tab = self.notebook(LONG, GENERATE.format(TOKENS))
        self.run_all(tab)
        cell = self.cell(tab, 1)
        said = cell.locator(".jp-OutputArea-output")
        self.until(lambda: said.count() == 1 and f"of {TOKENS} tokens" in said.inner_text(), "the bar is there", 60)
        first = said.inner_text()
        self.shot(tab, "lab_bar")
        self.until(lambda: said.inner_text() != first, "the bar moves")
        self.finished(tab, 1, 150)
        self.assertEqual(said.count(), 1)
        self.assertRegex(said.inner_text(), rf"^generating:? {TOKENS} tokens in [0-9.]+ s$")
        self.shot(tab, "lab_bar_done")

    def test_the_stop_button_keeps_the_model(self):
        tab = self.notebook(LONG, GENERATE.format(1_000_000), 'println!("{} layers are still there", model.layers());')
        self.run_all(tab)
        cell = self.cell(tab, 1)
        self.until(lambda: "of 1000000 tokens" in cell.inner_text(), "it generates", 60)
        tab.locator("[data-command='notebook:interrupt-kernel'], jp-button[title^='Interrupt'], button[title^='Interrupt']").first.click()
        self.finished(tab, 1, 10)
        error = cell.locator(ERROR)
        self.assertEqual(error.count(), 1)
        self.assertRegex(error.inner_text(), r"interrupted: generating, after \d+ of 1000000 tokens")
        self.shot(tab, "lab_stopped")
        # What waited behind it was not run.
        last = self.cell(tab, 2)
        self.assertEqual(last.locator(".jp-OutputArea-output").count(), 0)
        last.locator(".jp-InputPrompt").click()
        tab.keyboard.press("Control+Enter")
        self.until(lambda: "2 layers are still there" in last.inner_text(), "the model is still there")

    def test_help_and_completion(self):
        tab = self.notebook(LONG, "Model::load", "model.lay")
        self.run_all(tab)
        self.finished(tab, 0)
        tab.get_by_text(re.compile(r"\| Idle$")).wait_for()
        self.cell(tab, 1).locator(".cm-content").click()
        tab.keyboard.press("End")
        tab.keyboard.press("Shift+Tab")
        tip = tab.locator(".jp-Tooltip")
        tip.wait_for(timeout=20000)
        self.assertIn("Loads a model", tip.inner_text())
        self.assertGreater(tip.locator("p, code, h1, h2, ul").count(), 0, "documentation is rendered")
        self.assertNotIn("# Errors", tip.inner_text())
        self.shot(tab, "lab_help")
        tab.keyboard.press("Escape")
        self.cell(tab, 2).locator(".cm-content").click()
        tab.keyboard.press("End")
        tab.keyboard.press("Tab")
        typed = self.cell(tab, 2).locator(".cm-content")
        self.until(lambda: "layers" in typed.inner_text() or tab.locator(".jp-Completer-item", has_text="layers").count(), "Tab completes", 30)
        self.shot(tab, "lab_completion")

    def test_an_error_is_one_block_and_the_rest_waits(self):
        tab = self.notebook(TRACE, "let layers = model.layers();\ntrace.head_view().layer(99).build()?", 'println!("not this");')
        self.run_all(tab)
        self.finished(tab, 1)
        cell = self.cell(tab, 1)
        self.until(lambda: cell.locator(ERROR).count() == 1, "the error is told")
        self.assertEqual(cell.locator(".jp-OutputArea-output").count(), 1)
        self.assertIn("there is no layer 99; there are 0 to 2", cell.locator(ERROR).inner_text())
        self.assertNotRegex(cell.inner_text(), "stack backtrace|RUST_BACKTRACE|evcxr")
        tab.get_by_text(re.compile(r"\| Idle$")).wait_for()
        self.assertEqual(self.cell(tab, 2).locator(".jp-OutputArea-output").count(), 0)
        self.shot(tab, "lab_error")

    def test_restart_and_run_all(self):
        tab = self.notebook(TRACE, "trace.head_view()")
        self.run_all(tab)
        self.drawn(self.cell(tab, 1), "head")
        tab.evaluate("document.querySelector('.flowlens-view').dataset.run = 'first'")
        self.menu(tab, "Kernel", "Restart Kernel…")
        tab.locator(".jp-Dialog button", has_text="Restart").click()
        tab.get_by_text(re.compile(r"^Rust.* \| Idle$")).wait_for(timeout=60000)
        self.run_all(tab)
        tab.wait_for_function("!document.querySelector('.flowlens-view[data-run=first]')", timeout=60000)
        self.drawn(self.cell(tab, 1), "head")
        self.assertIn("[2]", self.cell(tab, 1).locator(".jp-InputPrompt").inner_text())

    def test_dark_colours(self):
        tab = self.notebook(TRACE, "trace.head_view()", "trace.walk()", GENERATE.format(100))
        self.run_all(tab)
        self.drawn(self.cell(tab, 1), "head")
        ink = "getComputedStyle(document.querySelector('.flowlens-view')).color"
        light = tab.evaluate(ink)
        self.addCleanup(self.menu, tab, "Settings", "Theme", "JupyterLab Light")
        self.menu(tab, "Settings", "Theme", "JupyterLab Dark")
        self.until(lambda: tab.evaluate(ink) != light, "the ink is light")
        self.finished(tab, 3)
        self.cell(tab, 2).scroll_into_view_if_needed()
        self.drawn(self.cell(tab, 2), "walk")
        self.shot(tab, "lab_dark")


if __name__ == "__main__":
    unittest.main()

"""Flowlens in its kernel: displays, bars, and the stop button in the middle of every long call."""

import random
import unittest
from pathlib import Path

from _kernel import Kernel, KernelTest

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "tests" / "fixtures" / "parity" / "bloom"
# A model without a limit of context.
# Calls that last long enough to be stopped on any machine; each cell repeats what alone would be over at once.
LONG = {
    "load": f'for _ in 0..200 {{ Model::load("{MODEL}")?; }};',
    "run": "for _ in 0..2000 { model.run(ids.clone())?; };",
    "generate": "model.generate(ids.clone()).max_tokens(900).run()?;",
    "flow graph": "for _ in 0..200 { trace.flow_graph().layers([0, 1]).build()?; };",
    "attention flow": "for _ in 0..200 { trace.attention()?.flow(true)?; };",
    "logit lens": "for _ in 0..500 { trace.logit_lens()?; };",
    "walk": "for _ in 0..500 { trace.walk().build()?; };",
    "figure": "for _ in 0..200 { trace.head_view().build()?; };",
    "file": 'for _ in 0..500 { trace.save(&file)?; };',
}


class Flowlens(KernelTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.ready = cls.kernel.run(
            "use flowlens::prelude::*;\n"
            f'let model = Model::load("{MODEL}")?;\n'
            "let ids: Vec<i64> = (0..40).map(|id| 1 + id % 40).collect();\n"
            "let trace = model.run(ids.clone())?;\n"
            'let file = std::env::temp_dir().join(format!("flowlens-kernel-test-{}.safetensors", std::process::id()));'
        )

    def test_the_library_is_there_without_a_dependency(self):
        self.assertEqual(self.ready.status, "ok")
        self.assertEqual(self.kernel.run(":dep flowlens = { path = \"nowhere\" }\nmodel.layers()").result["text/plain"], "2")

    def test_a_type_of_another_library_has_to_be_written_out_and_the_error_says_so(self):
        self.kernel.run('let names = ["a", "b"]; let scores = Array::new(&[1, 2], vec![0.5, 1.5])?;')
        cell = self.kernel.run("let matrix = scores.to_ndarray(); let copy = matrix.clone();")
        self.assertEqual(cell.status, "error")
        self.assertEqual(cell.error.count("Error:"), 1, cell.error)
        self.assertRegex(cell.error, "explicit type|write the type out")
        self.assertEqual(self.kernel.run("let matrix: flowlens::ndarray::ArrayD<f32> = scores.to_ndarray();\nmatrix.sum()").result["text/plain"], "2.0")

    def test_a_call_that_does_not_fit_a_function_of_an_earlier_cell(self):
        self.kernel.run("fn double(a: &Array) -> f32 { 2.0 * a.data()[0] }")
        cell = self.kernel.run("double(3)")
        self.assertIn("does not give a function of an earlier cell what it takes", cell.error)
        self.assertIn("`;`", cell.error)
        self.assertIn("expected `&Array`, found integer", self.kernel.run("double(3);").error)

    def test_displays_come_as_they_are_made_among_what_is_printed(self):
        cell = self.kernel.run(
            'for layer in 0..2 { println!("layer {layer}"); display(&trace.head_view().layer(layer)); }\nprintln!("end");'
        )
        seen = [
            message["content"]["text"].strip() if message["msg_type"] == "stream" else sorted(message["content"]["data"])
            for message in cell.messages
            if message["msg_type"] in ("stream", "display_data")
        ]
        figure = ["image/svg+xml", "text/html", "text/plain"]
        self.assertEqual(seen, ["layer 0", figure, "layer 1", figure, "end"])

    def test_a_value_that_ends_a_cell_shows_itself(self):
        cell = self.kernel.run("trace.model_view()")
        shown = cell.of("display_data") + cell.of("execute_result")
        self.assertEqual([sorted(message["content"]["data"]) for message in shown], [["image/svg+xml", "text/html", "text/plain"]])
        self.assertIn("2 layers", self.kernel.run("model").result["text/plain"])
        self.assertEqual(self.kernel.run("for _ in 0..3 {}").kinds(), ["execute_input"])

    def test_one_bar_moves_and_leaves_a_line(self):
        cell = self.kernel.run("model.generate(ids.clone()).max_tokens(900).run()?;")
        first, moves = cell.of("display_data"), cell.of("update_display_data")
        self.assertEqual(len(first), 1)
        self.assertGreater(len(moves), 1)
        name = first[0]["content"]["transient"]["display_id"]
        self.assertEqual({move["content"]["transient"]["display_id"] for move in moves}, {name})
        self.assertIn("of 900 tokens", moves[0]["content"]["data"]["text/plain"])
        self.assertRegex(moves[-1]["content"]["data"]["text/plain"], r"^generating: 900 tokens in [0-9.]+ s$")

    def test_fifty_interrupts_lose_nothing(self):
        dice = random.Random(11)
        stopped = 0
        for turn in range(50):
            name, code = list(LONG.items())[turn % len(LONG)]
            # Also while the cell is compiled, and between two calls of a loop.
            timer = self.kernel.interrupt_after(dice.uniform(0.0, 1.2))
            cell = self.kernel.run(code, timeout=60)
            timer.cancel()
            timer.join()
            if cell.status == "error":
                self.assertIn("nterrupted", cell.error, f"{name}, turn {turn}")
                stopped += 1
            after = self.kernel.run('println!("{} {} {}", model.layers(), ids.len(), trace.len());')
            self.assertEqual(after.text(), "2 40 40\n", f"{name}, turn {turn}: {after.messages}")
        self.assertGreater(stopped, 25)
        again = self.kernel.run('trace.save(&file)?;\nprintln!("{}", Trace::load(&file, &model)?.len());\nstd::fs::remove_file(&file)?;')
        self.assertEqual(again.text(), "40\n")

    def test_an_interrupt_says_how_far_it_had_come(self):
        def stop(message):
            if message["msg_type"] == "update_display_data":
                self.kernel.manager.interrupt_kernel()
        cell = self.kernel.run("model.generate(ids.clone()).max_tokens(100000).run()?;", during=stop)
        self.assertRegex(cell.error, r"interrupted: generating, after \d+ of 100000 tokens")
        self.assertRegex(cell.of("update_display_data")[-1]["content"]["data"]["text/plain"], "stopped after")


if __name__ == "__main__":
    unittest.main()

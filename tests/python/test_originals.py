"""The notebooks named after the originals' demos, and the stand-ins that they are tried on."""

import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "notebooks" / "originals"
sys.path.insert(0, str(ROOT / "tools"))

from make_originals import ORIGINALS, readme, written
from make_stand_ins import STAND_INS, make_all
from originals.models import MODELS
from run_originals import problem_of


def code(path):
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]


class Notebooks(unittest.TestCase):
    def test_are_what_their_texts_say(self):
        for path, text in written().items():
            with self.subTest(path.name):
                self.assertEqual(path.read_text(), text, "run tools/make_originals.py")
        self.assertEqual(sorted(FOLDER.glob("*.ipynb")), sorted(path for path in written() if path.suffix == ".ipynb"))

    def test_keep_no_outputs(self):
        for path in FOLDER.glob("*.ipynb"):
            for cell in code(path):
                self.assertEqual((cell["outputs"], cell["execution_count"]), ([], None), f"{path.name}: what stand-ins say is not kept")

    def test_say_that_they_need_the_network_and_how_to_change_the_model(self):
        for path in FOLDER.glob("*.ipynb"):
            text = path.read_text()
            self.assertIn("this needs the network", text, path.name)
            self.assertEqual(sum("Model::load(" in "".join(cell["source"]) or "Model::options(" in "".join(cell["source"]) for cell in code(path)), 1, path.name)

    def test_draw_and_say_so(self):
        for path in FOLDER.glob("*.ipynb"):
            self.assertGreaterEqual(sum("figure" in cell["metadata"].get("tags", []) for cell in code(path)), 1, path.name)

    def test_every_demo_of_the_originals_is_there(self):
        names = {path.stem for path in FOLDER.glob("*.ipynb")}
        for view in ("head_view", "model_view"):
            for model in ("bert", "gpt2", "xlnet", "roberta", "xlm", "albert", "distilbert"):
                self.assertIn(f"{view}_{model}", names)
        others = ["neuron_view_bert", "neuron_view_gpt2", "neuron_view_roberta", "encoder_decoder_bart", "encoder_decoder_marian", "visit_gpt2_medium",
                  "visit_gpt_j", "visit_gpt_neo", "visit_llama2", "attention_maps_t5", "similarity_maps_t5", "similarity_maps_flan_t5", "similarity_maps_falcon"]
        self.assertLessEqual(set(others), names)

    def test_the_check_sees_a_change(self):
        self.assertNotEqual(readme("<!-- written by tools/make_originals.py -->\nold\n<!-- end -->"), "<!-- written by tools/make_originals.py -->\nold\n<!-- end -->")
        answer = subprocess.run([sys.executable, ROOT / "tools" / "make_originals.py", "--check"], capture_output=True, text=True)
        self.assertEqual((answer.returncode, answer.stderr), (0, ""))


class StandIns(unittest.TestCase):
    def test_stand_for_the_models_of_the_notebooks(self):
        self.assertEqual(set(STAND_INS), set(MODELS))
        self.assertEqual({original.model for original in ORIGINALS}, set(MODELS))
        for model in MODELS.values():
            self.assertIn(model.revision, ("main", *STAND_INS[model.id][2:]))

    def test_are_marked_and_the_same_each_time(self):
        with tempfile.TemporaryDirectory() as folder:
            one, other = Path(folder, "one"), Path(folder, "other")
            make_all(one)
            make_all(other)
            make_all(other)
            files = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
            self.assertEqual(files, sorted(path.relative_to(other) for path in other.rglob("*") if path.is_file()))
            self.assertTrue(all((one / path).read_bytes() == (other / path).read_bytes() for path in files))
            configs = list(one.rglob("config.json"))
            self.assertEqual(len(configs), len(STAND_INS))
            for config in configs:
                self.assertIn("stand-in for", json.loads(config.read_text())["_name_or_path"])
                self.assertTrue((config.parent / "STAND_IN.md").is_file())

    def test_overwrite_nothing_else(self):
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "mine").write_text("kept")
            with self.assertRaises(SystemExit):
                make_all(Path(folder))
            self.assertEqual(Path(folder, "mine").read_text(), "kept")


class Executed(unittest.TestCase):
    """The count of figures in an executed copy."""

    def problem(self, *cells):
        cells = [{"cell_type": "code", "id": f"c{i}", "source": "", "execution_count": 1, "metadata": {"tags": tags}, "outputs": outputs}
                 for i, (tags, outputs) in enumerate(cells)]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "copy.ipynb")
            path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
            found = problem_of(path)
            self.assertIn("Stand-ins", json.loads(path.read_text())["cells"][0]["source"][0])
            return found

    def test_figures_are_counted(self):
        drawn = [{"output_type": "display_data", "metadata": {}, "data": {"text/html": "<div></div>", "image/svg+xml": "<svg></svg>", "text/plain": "a view"}}]
        card = [{"output_type": "display_data", "metadata": {}, "data": {"text/html": "<table></table>", "text/plain": "a card"}}]
        self.assertEqual(self.problem((["figure"], drawn), ([], card)), ("", 1))
        self.assertIn("c0 drew 0", self.problem((["figure"], card))[0])
        self.assertIn("c1 drew 1", self.problem((["figure"], drawn), ([], drawn))[0])
        self.assertEqual(self.problem(([], card)), ("it draws nothing", 0))


if __name__ == "__main__":
    unittest.main()

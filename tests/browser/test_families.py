"""The weights that the views of every family give back, against those of Python's transformers.

The pages come from `tests/figure/families.rs`, the weights from the fixtures that they were made of.
"""

import json
import unittest

import numpy as np
from _browser import PAGES, ROOT, BrowserTest, write_pages
from safetensors.numpy import load_file

FIXTURES = ROOT / "tests/fixtures/parity"
# The neuron view computes its weights from floats, the others carry them in eight bits or more.
TOLERANCE = {"head": 1 / 255, "model": 1 / 255, "neuron": 1e-4}
PREFIX = {"all": "", "encoder": "encoder_", "decoder": "decoder_", "cross": "cross_"}

ALL_WEIGHTS = """() => {
  const api = document.querySelector(".flowlens-view").flowlens, found = [];
  for (const block of api.state().blocks.filter((name) => ["all", "encoder", "decoder", "cross"].includes(name))) {
    api.select({ block });
    for (const layer of api.state().layers) {
      api.select({ layer });
      for (const head of api.state().allHeads) found.push([block, layer, head, [...api.weights(layer, head)]]);
    }
  }
  return found;
}"""


def setUpModule():
    write_pages()


class Families(BrowserTest):
    def check(self, view):
        names = json.loads((PAGES / "families/names.json").read_text())
        for name in names:
            with self.subTest(name):
                expected = load_file(FIXTURES / name / "expected.safetensors")
                tab = self.open(f"families/{name}.{view}.html")
                self.compare(tab.evaluate(ALL_WEIGHTS), expected, TOLERANCE[view])
                self.assertLess(tab.locator("*").count(), 3000)
                tab.context.close()

    def compare(self, found, expected, tolerance):
        seen = set()
        for block, layer, head, weights in found:
            key = f"{PREFIX[block]}attentions.{layer}"
            wanted = expected[key][0, head]
            seen.add((key, head))
            rows = expected.get("decoder_attention_mask" if block in ("decoder", "cross") else "attention_mask")
            # What stands at a padded query means nothing; transformers leaves it to each family.
            rows = np.ones(len(wanted), bool) if rows is None else rows[0] == 1
            weights = np.array(weights, np.float64).reshape(wanted.shape)
            worst = np.abs(weights - wanted)[rows].max()
            self.assertLessEqual(worst, tolerance, f"{key}, head {head}")
        wanted = {(key, head) for key in expected if "attentions" in key for head in range(expected[key].shape[1])}
        self.assertEqual(seen, wanted)

    def test_head_views(self):
        self.check("head")

    def test_model_views(self):
        self.check("model")

    def test_neuron_views(self):
        self.check("neuron")

    def test_neuron_views(self):
        self.check("neuron")


if __name__ == "__main__":
    unittest.main()

"""Fifty texts that mean to do harm, as tokens, labels, titles, prompts and notes of every view: they are read, and do nothing.

The pages come from `tests/figure/hostile`. Whatever answers to a pointer or a key is pointed at, clicked and pressed; FLOWLENS_HOSTILE="walk lens" looks at some pages only.
"""

import json
import os
import unittest
import xml.etree.ElementTree
from pathlib import Path

from _browser import PAGES, ROOT, BrowserTest, write_pages

FOLDER = PAGES / "hostile"
TEXTS = json.loads((ROOT / "tests/fixtures/hostile.json").read_text())
GUARD = Path(__file__).with_name("_hostile.js").read_text()
# Plotly would read `$x$` as a formula where a page has MathJax; it begins by asking for the version.
FORMULAS = "window.MathJax = { get version() { __pwned('MathJax'); return '0'; } };"
# What a view shows whole and as it is: of longer ones some views cut out the middle.
PLAIN = [text for text in TEXTS if text.isascii() and text.isprintable() and len(text) <= 36 and "  " not in text and text == text.strip()]
# No view shows every token's text at once; these do, some when they are asked.
WHOLE = {"head", "model", "neuron", "rollout", "lens", "similarity", "walk", "decoding", "patching", "cross_head", "attention_maps",
         "attribution_maps", "named_head", "named_model", "flow_published", "effects", "effects_noised", "names"}


def setUpModule():
    write_pages()


class Hostile(BrowserTest):
    def names(self):
        return sorted(page.stem for page in FOLDER.glob("*.html"))

    def check(self, name):
        tab = self.open(f"hostile/{name}.html", before=GUARD + FORMULAS, height=2400)
        tab.evaluate("texts => explore(texts)", TEXTS)
        found = tab.evaluate("found()")
        self.assertEqual(found["ran"], [], name)
        self.assertEqual(found["foreign"], [], name)
        self.assertLessEqual(found["wide"], 1300, name)
        said = "\n".join(found["said"])
        missing = [text for text in PLAIN if text not in said]
        if name in WHOLE:
            self.assertEqual(missing, [], name)
        else:
            self.assertIn("__pwned", said, name)
        self.shot(tab, f"hostile_{name}")
        tab.context.close()

    def test_pages(self):
        names = self.names()
        self.assertGreaterEqual(len(names), 28)
        only = os.environ.get("FLOWLENS_HOSTILE", "").split()
        for name in only or names:
            with self.subTest(name):
                self.check(name)

    def test_pictures(self):
        pictures = sorted(FOLDER.glob("*.svg"))
        self.assertGreaterEqual(len(pictures), 27)
        for picture in pictures:
            with self.subTest(picture.stem):
                names = {element.tag.split("}")[-1] for element in xml.etree.ElementTree.parse(picture).iter()}
                self.assertEqual(names & {"script", "foreignObject", "a", "use", "animate", "set", "iframe"}, set())
                tab = self.open(picture.as_uri(), wait=False, before=GUARD)
                self.assertEqual(tab.evaluate("ran()"), [])
                tab.context.close()


if __name__ == "__main__":
    unittest.main()

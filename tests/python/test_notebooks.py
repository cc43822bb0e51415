"""What notebooks keep, and the tool that slims and compares them."""

import copy
import json
import re
import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from notebook_outputs import HTML, PLOTLY, SVG, TEXT, differences, size, slim


def cell(*outputs):
    return {"cell_type": "code", "source": "", "outputs": list(outputs)}


def shown(**data):
    names = {"html": HTML, "svg": SVG, "plotly": PLOTLY, "text": TEXT}
    return {"output_type": "display_data", "data": {names[name]: value for name, value in data.items()}}


def printed(text):
    return {"output_type": "stream", "name": "stdout", "text": text}


def notebook(*cells):
    return {"cells": [{"cell_type": "markdown", "source": "# Title"}, *cells]}


class Kept(unittest.TestCase):
    """The notebooks of the repository."""

    def test_lessons_are_small_and_without_errors(self):
        for path in sorted(ROOT.glob("notebooks/*.ipynb")):
            with self.subTest(path.name):
                kept = json.loads(path.read_text())
                self.assertLess(path.stat().st_size, 1_000_000)
                code = [cell for cell in kept["cells"] if cell["cell_type"] == "code"]
                outputs = [output for cell in code for output in cell["outputs"]]
                self.assertTrue(outputs, "it keeps what its cells say: make notebooks")
                self.assertNotIn("error", [output["output_type"] for output in outputs])
                self.assertEqual([cell["execution_count"] for cell in code], list(range(1, len(code) + 1)), "executed once, in order")
                self.assertNotIn(str(Path.home()) + "/", json.dumps(outputs))


class Course(unittest.TestCase):
    """The contents page and the first lines of the lessons say the same."""

    def test_each_lesson_is_on_the_page_with_its_place_and_time(self):
        page = (ROOT / "notebooks" / "README.md").read_text()
        listed = re.findall(r"^\| ([0-9.]+) \| \[.*?\]\((\w+\.ipynb)\) .* \| (\d+) min \|$", page, re.M)
        found = []
        for path in ROOT.glob("notebooks/*.ipynb"):
            first = "".join(json.loads(path.read_text())["cells"][0]["source"])
            place = re.search(r"^\*Lesson (\d+) of 10(?:, part (\d+))?, about (\d+) minutes", first, re.M)
            if place:
                found.append((".".join(filter(None, place.groups()[:2])), path.name, place[3]))
                self.assertIn("**Goal.**", first, path.name)
        self.assertEqual(sorted(found), sorted(listed))
        self.assertEqual([place.split(".")[0] for place, _, _ in listed if not place.endswith((".2", ".3", ".4"))], [str(n) for n in range(1, 11)])

    def test_every_lesson_has_questions_and_an_exercise(self):
        for path in sorted(ROOT.glob("notebooks/*.ipynb")):
            cells = json.loads(path.read_text())["cells"]
            text = ["".join(cell["source"]) for cell in cells]
            if "*Lesson" not in text[0]:
                continue
            with self.subTest(path.name):
                asked = sum(part.count("**Question") for part in text)
                self.assertGreaterEqual(asked, 3)
                self.assertLessEqual(asked, 7)
                checks = [part for cell, part in zip(cells, text) if cell["cell_type"] == "code" and "check::" in part]
                self.assertGreaterEqual(len(checks), 1)


class Slim(unittest.TestCase):
    def test_what_needs_plotly_keeps_its_picture(self):
        made = notebook(cell(shown(html="<plotly>", svg="<svg>", plotly={}, text="map")), cell(shown(html="<view>", svg="<svg>", text="view")))
        slim(made)
        self.assertEqual([sorted(cell["outputs"][0]["data"]) for cell in made["cells"][1:]], [[SVG, TEXT], [SVG, HTML, TEXT]])

    def test_the_largest_go_until_it_fits(self):
        made = notebook(*(cell(shown(html="x" * n, svg="<svg>")) for n in (300, 900, 500)), cell(shown(html="y" * 950, text="a table")))
        slim(made, size(made) - 1000)
        self.assertEqual([HTML in cell["outputs"][0]["data"] for cell in made["cells"][1:]], [True, False, False, True])

    def test_bars_go(self):
        made = notebook(cell(shown(html='<div class="flowlens-progress">', text="sweeping: 300 runs in 7 s"), printed("sweeping: 300 runs in 7 s\n"), shown(html='<div class="flowlens-progress">', text="generating: 3 of 600 tokens")))
        slim(made)
        self.assertEqual(made["cells"][1]["outputs"], [printed("sweeping: 300 runs in 7 s\n")])


class Compare(unittest.TestCase):
    def differ(self, one, other):
        return len(differences(notebook(cell(*one)), notebook(cell(*other))))

    def test_times_bars_and_last_digits_are_no_difference(self):
        kept = [printed("Tokyo 0.854 in 1.2 s\n"), shown(text="a map of 30 x 9", svg="<svg>")]
        again = [printed("Tokyo 0.8"), shown(html='<div class="flowlens-progress">', text="sweeping: 300 runs in 7 s"), printed("53 in 700 ms\n"), shown(text="a map of 30 x 9", html="<view>")]
        self.assertEqual(self.differ(kept, again), 0)

    def test_words_numbers_and_missing_figures_are(self):
        self.assertEqual(self.differ([printed("Tokyo 0.854")], [printed("Osaka 0.854")]), 1)
        self.assertEqual(self.differ([printed("Tokyo 0.854")], [printed("Tokyo 0.754")]), 1)
        self.assertEqual(self.differ([printed("layer 23")], [printed("layer 22")]), 1)
        self.assertEqual(self.differ([shown(text="a map")], []), 1)
        kept = notebook(cell(printed("a")))
        other = copy.deepcopy(kept)
        self.assertEqual(differences(kept, other), [])


if __name__ == "__main__":
    unittest.main()

"""The figures of experiments in a browser: what maps and bars show and answer to pointer, keys and scripts.

The pages come from `tests/figure/effects.rs`; its made-up numbers are made anew here.
"""

import math
import re
import unittest

from _browser import BrowserTest, write_pages

VIEW = "document.querySelector('.flowlens-view').flowlens"
KINDS = ["effects", "effects_one", "effects_heads", "effects_layers", "effects_direct", "effects_neurons", "effects_scores"]
CLEAN, CORRUPTED = [4, 3, 5], [-2, -1, -3]


def setUpModule():
    write_pages()


def brought(layer, position, last):
    late = 1 / (1 + math.exp(5 - layer))
    if position == 1:
        return 1 - late
    if position == last:
        return late
    return 0 if position < 1 else 0.04 * ((layer * 7 + position * 3) % 5) - 0.08


def value(pair, layer, position):
    part = brought(layer, position, [6, 5, 6][pair]) + 0.02 * pair
    return CORRUPTED[pair] + part * (CLEAN[pair] - CORRUPTED[pair])


def number(text):
    return float(text.replace("−", "-"))


class Effects(BrowserTest):
    def state(self, tab):
        return tab.evaluate(f"{VIEW}.state()")

    def select(self, tab, **wish):
        tab.evaluate(f"wish => {VIEW}.select(wish)", wish)

    def tip(self, tab):
        tip = tab.locator("body > .fl-tip")
        return tip.inner_text() if tip.count() and tip.is_visible() else ""

    def centre(self, tab, *cell):
        return tab.evaluate(f"cell => (box => [box.x + box.width / 2, box.y + box.height / 2])({VIEW}.bounds(...cell))", list(cell))

    def point(self, tab, *cell):
        tab.mouse.move(*self.centre(tab, *cell))
        return self.tip(tab)

    def answers(self, tab):
        place = tab.locator(".fl-answers")
        return place.inner_text() if place.is_visible() else ""

    def colour(self, tab, *cell):
        """What is painted in the middle of a cell, from a picture of the page."""
        return tab.evaluate("""([i, j]) => {
            const canvas = document.querySelector('.fl-dots');
            return [...canvas.getContext('2d').getImageData(j, i, 1, 1).data];
        }""", list(cell))

    def test_scripts_draw_in_the_place_of_still_pictures(self):
        for name in KINDS:
            for scheme in ["light", "dark"]:
                with self.subTest(name, scheme=scheme):
                    tab = self.open(f"{name}.html", color_scheme=scheme)
                    self.assertEqual(tab.locator(".fl-picture > img").count(), 0)
                    self.assertGreater(tab.locator(".fl-axes text").count(), 5)
                    self.assertEqual(self.state(tab)["view"], "effects")
                    self.assertEqual(tab.locator(".fl-list li").count(), 10)
                    self.shot(tab, f"{name}_{scheme}")

    def test_a_cell_tells_its_numbers_under_the_pointer(self):
        tab = self.open("effects.html")
        text = self.point(tab, 3, 1)
        lines = text.split("\n")
        self.assertEqual(lines[0], "layer 3, position 1 \u2068Eiffel, Kremlin, Louvre\u2069")
        told = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
        mean = sum(value(pair, 3, 1) for pair in range(3)) / 3
        ends = [sum(CORRUPTED) / 3, sum(CLEAN) / 3]
        self.assertAlmostEqual(number(told["Logit difference"]), mean, delta=1e-3)
        self.assertAlmostEqual(number(told["Logit difference, normalised"]), (mean - ends[0]) / (ends[1] - ends[0]), delta=1e-3)
        effect, low, high = re.match(r"(\S+) \(95 %: (\S+) to (\S+)\)", told["Change of the logit difference"]).groups()
        self.assertAlmostEqual(number(effect), mean - ends[0], delta=1e-3)
        self.assertTrue(number(low) < number(effect) < number(high))
        self.assertEqual(told["p-value"], "0.25")
        tab.mouse.move(5, 5)
        self.assertEqual(self.tip(tab), "")

    def test_a_pair_has_its_own_numbers_tokens_and_end(self):
        tab = self.open("effects.html")
        tab.locator(".fl-choosers select").select_option(label="1: Moscow / Washington")
        self.until(lambda: self.state(tab)["pair"] == 1, "the pair")
        text = self.point(tab, 3, 1)
        self.assertIn("position 1 \u2068Kremlin\u2069 / \u2068Pentagon\u2069", text)
        self.assertAlmostEqual(number(re.search(r"^Logit difference: (\S+)", text, re.M)[1]), value(1, 3, 1), delta=1e-3)
        self.assertNotIn("p-value", text)
        self.assertIn("normalised: none", self.point(tab, 3, 6))
        self.assertEqual(self.colour(tab, 3, 6)[3], 0, "beyond the pair's end nothing is painted")
        self.select(tab, show="p")
        self.assertEqual(self.state(tab)["pair"], None, "a pair alone has no p-value")

    def test_a_click_shows_what_the_run_answers(self):
        tab = self.open("effects.html")
        self.assertEqual(self.answers(tab), "")
        tab.mouse.click(*self.centre(tab, 2, 1))
        self.assertEqual(self.state(tab)["cell"], [2, 1])
        text = self.answers(tab)
        for piece in ["This cell's run answers, pair 0: Paris / Seattle", "the clean run", "the corrupted run", "</td><b>"]:
            self.assertIn(piece, text)
        part = brought(2, 1, 6)
        self.assertAlmostEqual(float(re.search(r"Paris\u2069”\s+(\S+) %", text)[1]), 60 * part, delta=0.06)
        tab.locator(".fl-answers summary").click()
        row = tab.locator(".fl-answers details tr", has_text="Moscow").locator("td").all_inner_texts()
        self.assertAlmostEqual(number(row[1]), value(1, 2, 1) + 1, delta=1e-3)
        # Another cell, then the same one again closes it.
        tab.mouse.click(*self.centre(tab, 11, 6))
        self.assertIn("layer 11, position 6", self.answers(tab))
        tab.wait_for_timeout(500)
        tab.mouse.click(*self.centre(tab, 11, 6))
        self.assertEqual((self.answers(tab), self.state(tab)["cell"]), ("", None))

    def test_keys_go_from_cell_to_cell_open_and_close(self):
        tab = self.open("effects.html")
        tab.locator(".fl-plot").focus()
        tab.keyboard.press("ArrowDown")
        first = self.tip(tab).split("\n")[0]
        self.assertIn("layer 11, position 6", first, "the largest effect first")
        tab.keyboard.press("ArrowUp")
        tab.keyboard.press("ArrowLeft")
        self.assertIn("layer 10, position 5", self.tip(tab))
        self.assertIn("layer 10, position 5", tab.locator(".fl-status").inner_text())
        tab.keyboard.press("Home")
        self.assertIn("position 0", self.tip(tab))
        tab.keyboard.press("Enter")
        self.assertIn("layer 10, position 0", self.answers(tab))
        tab.keyboard.press("Escape")
        self.assertEqual((self.answers(tab), self.tip(tab)), ("", ""))

    def test_the_list_leads_to_cells_of_other_heads(self):
        tab = self.open("effects_heads.html")
        self.assertEqual(self.state(tab)["head"], 2, "it opens on the strongest head")
        tab.get_by_role("button", name="0", exact=True).click()
        self.until(lambda: self.state(tab)["head"] == 0, "the head")
        self.assertEqual(self.tip(tab), "")
        first = tab.locator(".fl-list button").first
        self.assertIn("layer 4, head 2, position 6", first.inner_text())
        first.click()
        self.until(lambda: self.state(tab)["head"] == 2, "its head")
        self.assertEqual(self.state(tab)["cell"], [4, 2, 6])
        self.assertIn("layer 4, head 2", self.answers(tab))
        self.assertIn("not kept", self.answers(tab))
        tab.locator(".fl-plot").focus()
        tab.keyboard.press("PageDown")
        self.until(lambda: self.state(tab)["head"] == 3, "the next head")

    def test_bars_and_wide_maps_answer_too(self):
        tab = self.open("effects_layers.html")
        text = self.point(tab, 0)
        self.assertIn("layer 0", text)
        self.assertIn("−3.85", text)
        tab.locator(".fl-plot").focus()
        tab.keyboard.press("ArrowRight")
        tab.keyboard.press("End")
        self.assertIn("layer 11", self.tip(tab))
        tab = self.open("effects_neurons.html")
        self.assertIn("layer 8, neuron 57", self.point(tab, 8, 57))
        self.assertIn("0.5", self.tip(tab))
        tab.mouse.click(*self.centre(tab, 8, 57))
        self.assertIn("no run was made", self.answers(tab))

    def test_the_normalised_scale_is_the_same_everywhere(self):
        tab = self.open("effects.html")
        labels = lambda: tab.locator(".fl-axes text").all_text_contents()[-5:]
        self.assertEqual([label.strip("≥≤ ") for label in labels()], ["−1", "−0.5", "0", "0.5", "1"])
        self.select(tab, pair=2)
        self.assertEqual([label.strip("≥≤ ") for label in labels()], ["−1", "−0.5", "0", "0.5", "1"])

    def test_a_wrong_wish_is_refused_and_changes_nothing(self):
        tab = self.open("effects.html")
        before = self.state(tab)
        for wish in ["{show: 'x'}", "{pair: 9}", "{cell: [0]}", "{cell: [0, 99]}"]:
            error = tab.evaluate(f"{VIEW}.select({wish}).catch(error => error.name)")
            self.assertEqual(error, "RangeError", wish)
        self.assertEqual(self.state(tab), before)

    def test_colours_follow_the_theme(self):
        tab = self.open("effects.html", color_scheme="light")
        light = self.colour(tab, 0, 0)
        tab.emulate_media(color_scheme="dark")
        self.until(lambda: self.colour(tab, 0, 0) != light, "dark colours")

    def test_without_scripts_a_still_picture_stands(self):
        tab = self.open("effects.html", wait=False, java_script_enabled=False)
        self.assertEqual(tab.locator(".fl-picture > img").count(), 1)
        self.shot(tab, "effects_still")

    def test_the_table_has_every_cell(self):
        tab = self.open("effects_heads.html")
        tab.get_by_text("The numbers as a table").click()
        self.assertEqual(tab.locator(".fl-scroll tbody tr").count(), 6 * 4 * 7)


if __name__ == "__main__":
    unittest.main()

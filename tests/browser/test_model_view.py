"""The model view in a browser: small heat maps of all heads, one of them large, by mouse and keys.

The pages come from `tests/figure/attention.rs`, whose weights `weights` repeats.
"""

import time
import unittest

from _browser import BrowserTest, write_pages

ROOT = ".flowlens-view"
VIEW = f"document.querySelector('{ROOT}').flowlens"
WORDS = "The cat sat on the mat and then it looked at me".split()
PREVIOUS = (4, 2)


def setUpModule():
    write_pages()


def weights(layer, head, rows=12, columns=12, causal=False):
    """What tests/figure/attention.rs gave the page."""
    matrix = []
    for i in range(rows):
        row = [1 + (layer * 7 + head * 13 + i * 31 + j * 17) % 23 for j in range(columns)]
        if (layer, head) == PREVIOUS and i:
            row[i - 1] += 2000
        if causal:
            row[i + 1 :] = [0] * (columns - i - 1)
        matrix.append([value / sum(row) for value in row])
    return matrix


class ModelView(BrowserTest):
    def state(self, tab, at=0):
        return tab.evaluate(f"document.querySelectorAll('{ROOT}')[{at}].flowlens.state()")

    def opened(self, tab, at=0):
        state = self.state(tab, at)
        return state["layer"], state["head"]

    def bounds(self, tab, layer, head, at=0):
        return tab.evaluate(
            f"(() => {{ const box = document.querySelectorAll('{ROOT}')[{at}].flowlens.bounds({layer}, {head});"
            "return [box.x, box.y, box.width, box.height]; })()"
        )

    def middle(self, tab, layer, head, at=0):
        x, y, width, height = self.bounds(tab, layer, head, at)
        return x + width / 2, y + height / 2

    def cell(self, tab, query, key):
        """The middle of a weight in the large head."""
        place = "(({x, y, width, height}) => [x + width / 2, y + height / 2])"
        row = tab.evaluate(f"{place}({VIEW}.place({{query: {query}}}))")
        column = tab.evaluate(f"{place}({VIEW}.place({{key: {key}}}))")
        return column[0], row[1]

    def tip(self, tab):
        tip = tab.locator("body > .fl-tip")
        return tip.inner_text() if tip.count() and tip.is_visible() else ""

    def status(self, tab):
        return tab.locator(".fl-status").first.inner_text()

    def pixels(self, tab, x, y, width, height):
        """Colours of the grid's canvas, in a rectangle of the window."""
        return tab.evaluate(
            """([x, y, width, height]) => {
                const canvas = document.querySelector('.fl-grid canvas');
                const box = canvas.getBoundingClientRect();
                const ratio = canvas.width / box.width;
                const part = [(x - box.x) * ratio, (y - box.y) * ratio, width * ratio, height * ratio].map(Math.round);
                const copy = document.createElement('canvas');
                [copy.width, copy.height] = part.slice(2);
                const context = copy.getContext('2d', {willReadFrequently: true});
                context.drawImage(canvas, ...part, 0, 0, ...part.slice(2));
                return [...context.getImageData(0, 0, ...part.slice(2)).data];
            }""",
            [x, y, width, height],
        )

    def order(self, tab, name):
        """Chooses an order as a reader does: from the buttons, or from the list."""
        group = tab.locator(".fl-choosers [role=group][aria-label=Order]").first
        if group.locator("select").count():
            group.locator("select").select_option(label=name)
        else:
            group.get_by_role("button", name=name, exact=True).click()

    def test_a_click_opens_moves_and_closes(self):
        tab = self.open("model.html")
        large = tab.locator(".fl-large")
        self.assertEqual(self.opened(tab), (None, None))
        self.assertFalse(large.is_visible())
        tab.evaluate("window.told = []; addEventListener('flowlens-select', e => told.push([e.detail.layer, e.detail.head]))")
        tab.mouse.click(*self.middle(tab, 4, 2))
        self.assertEqual(self.opened(tab), PREVIOUS)
        self.assertIn("Layer 4, head 2", large.inner_text())
        self.assertIn("Previous token", large.inner_text())
        self.shot(tab, "model_opened")
        tab.mouse.click(*self.middle(tab, 5, 7))
        self.assertEqual(self.opened(tab), (5, 7))
        tab.mouse.click(*self.middle(tab, 5, 7))
        self.assertEqual(self.opened(tab), (None, None))
        self.assertFalse(large.is_visible())
        tab.mouse.click(*self.middle(tab, 0, 0))
        tab.keyboard.press("Escape")
        self.assertEqual(self.opened(tab), (None, None))
        self.assertEqual(tab.evaluate("told"), [[4, 2], [5, 7], [None, None], [0, 0], [None, None]])

    def test_thumbnails_do_not_move_when_a_head_opens_beside_them(self):
        tab = self.open("model.html")
        before = [self.bounds(tab, layer, 3) for layer in range(6)]
        tab.mouse.click(*self.middle(tab, 2, 3))
        self.assertEqual([self.bounds(tab, layer, 3) for layer in range(6)], before)
        x, _, width, height = before[0]
        self.assertEqual(width, height)
        self.assertTrue(28 <= width <= 72, width)
        box = tab.locator(".fl-large").bounding_box()
        self.assertGreater(box["x"], self.bounds(tab, 0, 7)[0] + width)

    def test_a_narrow_page_opens_it_under_its_row(self):
        tab = self.open("model.html", width=520)
        rows = [self.bounds(tab, layer, 0)[1] for layer in range(6)]
        tab.mouse.click(*self.middle(tab, 2, 3))
        box = tab.locator(".fl-large").bounding_box()
        now = [self.bounds(tab, layer, 0)[1] for layer in range(6)]
        self.assertEqual(now[:3], rows[:3])
        self.assertGreater(box["y"], now[2])
        self.assertLess(box["y"] + box["height"], now[3])
        self.assertLessEqual(box["x"] + box["width"], 520)
        # Wider again: beside.
        tab.set_viewport_size({"width": 1300, "height": 900})
        beside = lambda: tab.locator(".fl-large").bounding_box()["x"] > self.bounds(tab, 0, 7)[0]
        self.until(beside, "the large head stands beside the grid")
        self.assertEqual(self.opened(tab), (2, 3))

    def test_weights_are_those_given(self):
        tab = self.open("model.html")
        error = tab.evaluate(f"JSON.parse(document.querySelector('{ROOT} .fl-data').textContent).blocks[0].error")
        self.assertLessEqual(error, 1 / 255)
        for layer, head in [(0, 0), PREVIOUS, (5, 7)]:
            got = tab.evaluate(f"[...{VIEW}.weights({layer}, {head})]")
            wanted = [value for row in weights(layer, head) for value in row]
            self.assertEqual(len(got), len(wanted))
            self.assertLessEqual(max(abs(a - b) for a, b in zip(got, wanted)), error + 1e-7)

    def test_a_thumbnail_shows_its_weights(self):
        tab = self.open("model.html")
        for layer, head in [PREVIOUS, (1, 5)]:
            x, y, width, height = self.bounds(tab, layer, head)
            data = self.pixels(tab, x, y, width, height)
            side = round((len(data) / 4) ** 0.5)
            light = {}
            for i, row in enumerate(weights(layer, head)):
                for j, weight in enumerate(row):
                    at = 4 * (int((i + 0.5) * side / 12) * side + int((j + 0.5) * side / 12))
                    red, green, blue, alpha = data[at : at + 4]
                    self.assertEqual(alpha, 255)
                    light[weight] = 0.3 * red + 0.59 * green + 0.11 * blue
            order = sorted(light)
            for fainter, stronger in zip(order, order[1:]):
                self.assertLessEqual(light[fainter], light[stronger] + 1.5)
            self.assertGreater(light[order[-1]], light[order[0]] + 40)

    def test_hover_tells_head_and_measures(self):
        tab = self.open("model.html")
        tab.mouse.move(*self.middle(tab, 4, 2), steps=3)
        text = self.tip(tab)
        self.assertIn("Layer 4, head 2", text)
        self.assertRegex(text, r"Entropy: \d\.\d\d bits")
        self.assertRegex(text, r"Previous token: 9\d %")
        tab.mouse.move(2, 2)
        self.assertEqual(self.tip(tab), "")

    def test_hover_on_the_large_head_tells_tokens_and_weight(self):
        tab = self.open("model.html")
        tab.mouse.click(*self.middle(tab, 4, 2))
        tab.mouse.move(*self.cell(tab, 5, 4), steps=3)
        text = self.tip(tab)
        self.assertIn("\u2068mat\u2069 → \u2068the\u2069", text)
        self.assertIn(f"{weights(4, 2)[5][4]:.2f}", text)
        self.assertRegex(text, r"± 0\.0+\d")
        self.assertIn("query 5, key 4", text)
        # On a token: where it looks most.
        box = tab.evaluate(f"(({{x, y, width, height}}) => [x + width - 8, y + height / 2])({VIEW}.place({{query: 9}}))")
        tab.mouse.move(*box, steps=3)
        self.assertRegex(self.tip(tab), r"looked\n+→ \u2068it\u2069 ")
        self.shot(tab, "model_hover")
        tab.mouse.move(2, 2)
        self.assertEqual(self.tip(tab), "")

    def test_a_click_in_the_large_head_keeps_a_token(self):
        tab = self.open("model.html")
        tab.mouse.click(*self.middle(tab, 4, 2))
        for token in [7, None]:
            tab.mouse.click(*self.cell(tab, 7, 3))
            self.assertEqual(self.state(tab)["token"], token)

    def test_search_moves_the_cross_hair(self):
        tab = self.open("model.html")
        tab.mouse.click(*self.middle(tab, 4, 2))
        search = tab.locator(".fl-large input[type=search]")
        tab.keyboard.press("/")
        tab.keyboard.type("the")
        self.assertIn("1 of 3", self.status(tab))
        self.assertIn("The", self.status(tab))
        tab.keyboard.press("Enter")
        self.assertIn("2 of 3", self.status(tab))
        search.fill("zebra")
        self.assertIn("No token contains", self.status(tab))

    def test_keys_reach_every_head(self):
        tab = self.open("model.html")
        canvas = tab.locator(".fl-grid canvas")
        for _ in range(12):
            if canvas.evaluate("it => it === document.activeElement"):
                break
            tab.keyboard.press("Tab")
        for key in ["ArrowDown", "ArrowDown", "ArrowRight", "ArrowRight", "ArrowRight", "ArrowUp", "ArrowLeft"]:
            tab.keyboard.press(key)
        self.assertIn("Layer 1, head 2", canvas.get_attribute("aria-label"))
        self.assertIn("Layer 1, head 2", self.status(tab))
        self.assertEqual(self.opened(tab), (None, None))
        tab.keyboard.press("Enter")
        self.assertEqual(self.opened(tab), (1, 2))
        tab.keyboard.press("End")
        tab.keyboard.press("Enter")
        self.assertEqual(self.opened(tab), (1, 7))
        tab.keyboard.press("Escape")
        self.assertEqual(self.opened(tab), (None, None))
        # Keys at the edge stay at the edge.
        tab.keyboard.press("ArrowRight")
        self.assertIn("Layer 1, head 7", self.status(tab))
        tab.keyboard.press("Enter")
        tab.locator(".fl-large canvas").focus()
        tab.keyboard.press("ArrowDown")
        tab.keyboard.press("ArrowRight")
        self.assertIn("\u2068cat\u2069 → \u2068cat\u2069", self.status(tab))
        tab.keyboard.press("Escape")
        self.assertEqual(self.opened(tab), (None, None))

    def test_order_finds_the_head_of_the_previous_token(self):
        tab = self.open("model.html")
        self.order(tab, "previous token")
        self.assertEqual(self.state(tab)["shown"][0], list(PREVIOUS))
        self.assertEqual(len(self.state(tab)["shown"]), 48)
        x, y, *_ = self.bounds(tab, *PREVIOUS)
        self.assertTrue(all(self.bounds(tab, *head)[:2] != [x, y] for head in self.state(tab)["shown"][1:]))
        self.shot(tab, "model_sorted")
        tab.mouse.click(*self.middle(tab, *PREVIOUS))
        self.assertEqual(self.opened(tab), PREVIOUS)
        tab.get_by_role("button", name="12", exact=True).click()
        self.assertEqual(len(self.state(tab)["shown"]), 12)
        tab.get_by_role("button", name="in place").click()
        places = [self.bounds(tab, layer, head) for layer, head in [(0, 0), (0, 1), (1, 0)]]
        self.assertEqual(places[0][0], places[2][0])
        self.assertEqual(places[0][1], places[1][1])
        tab.get_by_role("button", name="most first").click()
        self.assertNotIn(list(PREVIOUS), self.state(tab)["shown"])
        self.order(tab, "by layer")
        self.assertEqual(len(self.state(tab)["shown"]), 48)

    def test_a_slider_leaves_the_heads_with_most(self):
        tab = self.open("model.html")
        self.order(tab, "previous token")
        slider = tab.locator(".fl-choosers input[type=range]")
        box = slider.bounding_box()
        tab.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        shown = self.state(tab)["shown"]
        self.assertTrue(20 <= len(shown) <= 28, len(shown))
        self.assertEqual(shown[0], list(PREVIOUS))
        self.assertIn("at least", tab.locator(".fl-choosers output").inner_text())
        gone = next([layer, head] for layer in range(6) for head in range(8) if [layer, head] not in shown)
        self.assertEqual(self.bounds(tab, *gone)[2], 0)
        tab.keyboard.press("Home")
        self.assertEqual(self.state(tab)["shown"], [list(PREVIOUS)])
        tab.keyboard.press("End")
        self.assertEqual(len(self.state(tab)["shown"]), 48)

    def test_a_pair_has_its_parts(self):
        tab = self.open("model_pair.html")
        self.assertEqual(self.state(tab)["blocks"], ["all", "aa", "ab", "ba", "bb"])
        tab.mouse.click(*self.middle(tab, 3, 1))
        group = tab.locator("[role=group][aria-label=Attention]")
        group.get_by_role("button", name="A → B").click()
        self.assertEqual(self.opened(tab), (3, 1))
        self.assertEqual(self.state(tab)["tokens"], [5, 7])
        got = tab.evaluate(f"[...{VIEW}.weights(3, 1)]")
        wanted = [value for row in weights(3, 1)[:5] for value in row[5:]]
        self.assertLessEqual(max(abs(a - b) for a, b in zip(got, wanted)), 0.002)
        tab.mouse.move(*self.cell(tab, 1, 2), steps=2)
        self.assertIn("\u2068cat\u2069 → \u2068then\u2069", self.tip(tab))
        self.assertIn("query 1, key 7", self.tip(tab))

    def test_encoder_decoder_and_cross_attention(self):
        tab = self.open("model_seq2seq.html")
        tab.mouse.click(*self.middle(tab, 5, 7))
        tab.evaluate(f"{VIEW}.select({{block: 'decoder', layer: 2, head: 3, token: 4}})")
        state = self.state(tab)
        self.assertEqual([state[key] for key in ["block", "layer", "head", "token", "tokens"]], ["decoder", 2, 3, 4, [7, 7]])
        # What a query cannot see is blank.
        x, y, width, height = self.bounds(tab, 2, 3)
        data = self.pixels(tab, x + width - 3, y + 1, 1, 1)
        self.assertEqual(data[3], 0)
        tab.mouse.move(*self.cell(tab, 2, 5), steps=2)
        self.assertIn("not seen", self.tip(tab))
        tab.evaluate(f"{VIEW}.select({{block: 'cross'}})")
        self.assertEqual(self.state(tab)["tokens"], [7, 12])
        self.assertEqual(len(tab.evaluate(f"[...{VIEW}.weights(2, 3)]")), 84)
        self.shot(tab, "model_cross")
        before = self.state(tab)
        tab.evaluate(f"{VIEW}.select({{block: 'encoder', layer: 0, head: 0, token: null}})")
        tab.evaluate(f"state => {VIEW}.select(state)", before)
        self.assertEqual(self.state(tab), before)

    def test_unknown_choices_say_what_there_is(self):
        tab = self.open("model.html")
        for wanted, words in [
            ("{layer: 9, head: 0}", "0 to 5"), ("{layer: 0, head: 8}", "0 to 7"), ("{block: 'cross'}", "all"),
            ("{token: 12}", "0 to 11"), ("{order: 'beauty'}", "entropy"),
        ]:
            error = tab.evaluate(f"(() => {{ try {{ {VIEW}.select({wanted}); }} catch (e) {{ return `${{e.name}} ${{e.message}}`; }} }})()")
            self.assertIn("RangeError", error or "", wanted)
            self.assertIn(words, error)
        self.assertEqual(self.opened(tab), (None, None))

    def test_a_long_text_is_opened_and_zoomed(self):
        tab = self.open("model_long.html")
        self.assertLessEqual(tab.evaluate("document.querySelectorAll('*').length"), 3000)
        tab.mouse.click(*self.middle(tab, 2, 11))
        self.assertEqual(self.opened(tab), (2, 11))
        for _ in range(5):
            tab.get_by_role("button", name="+", exact=True).click()
        tab.mouse.move(*self.cell(tab, 256, 250), steps=2)
        self.assertIn("\u2068w256\u2069 → \u2068w250\u2069", self.tip(tab))
        # The overview in the corner shows where that is; a press there goes elsewhere.
        box = tab.locator(".fl-large canvas").bounding_box()
        tab.mouse.move(box["x"] + 20, box["y"] + 20)
        tab.mouse.down()
        tab.mouse.move(box["x"] + 4, box["y"] + 4, steps=4)
        tab.mouse.up()
        self.assertIsNone(self.state(tab)["token"])
        tab.mouse.move(*self.cell(tab, 19, 19), steps=2)
        self.assertIn("\u2068w19\u2069 → \u2068w19\u2069", self.tip(tab))
        self.shot(tab, "model_zoomed")
        search = tab.locator(".fl-large input[type=search]")
        search.fill("w500")
        tab.mouse.move(*self.cell(tab, 500, 19), steps=2)
        self.assertIn("w500\u2069 →", self.tip(tab))
        tab.get_by_role("button", name="whole text").click()
        tab.evaluate(f"{VIEW}.select({{token: 511}})")
        self.assertEqual(self.state(tab)["token"], 511)

    def test_dark_mode_changes_the_picture(self):
        tab = self.open("model.html")
        tab.mouse.click(*self.middle(tab, 4, 2))
        picture = "[...document.querySelectorAll('canvas')].map(it => it.toDataURL()).join()"
        light = tab.evaluate(picture)
        for scheme, same in [("dark", False), ("light", True)]:
            tab.emulate_media(color_scheme=scheme)
            self.until(lambda same=same: (tab.evaluate(picture) == light) == same, f"colours are {scheme}")
            self.shot(tab, f"model_{scheme}")

    def test_two_views_on_a_page_do_not_meet(self):
        tab = self.open("model_two.html")
        tab.mouse.click(*self.middle(tab, 1, 1, at=0))
        self.assertEqual([self.opened(tab, at) for at in (0, 1)], [(1, 1), (None, None)])
        tab.evaluate(f"document.querySelectorAll('{ROOT}')[1].scrollIntoView()")
        tab.mouse.click(*self.middle(tab, 2, 2, at=1))
        self.assertEqual([self.opened(tab, at) for at in (0, 1)], [(1, 1), (2, 2)])
        tab.keyboard.press("Escape")
        self.assertEqual([self.opened(tab, at) for at in (0, 1)], [(1, 1), (None, None)])

    def test_a_restored_page_draws_anew(self):
        tab = self.open("model.html")
        tab.mouse.click(*self.middle(tab, 4, 2))
        source = tab.evaluate(
            f"(() => {{ for (const it of document.querySelectorAll('{ROOT}')) it.dataset.state = 'static';"
            "return '<!doctype html>' + document.documentElement.outerHTML; })()"
        )
        tab.set_content(source)
        tab.wait_for_selector(f"{ROOT}[data-state=drawn]")
        tab.mouse.click(*self.middle(tab, 1, 1))
        self.assertEqual(self.opened(tab), (1, 1))
        self.assertEqual(tab.locator(".fl-grid").count(), 1)
        self.assertEqual(tab.locator("[role=group][aria-label=Order]").count(), 1)

    def test_numbers_go_out_as_a_table(self):
        tab = self.open("model_pair.html")
        tab.mouse.click(*self.middle(tab, 4, 2))
        with tab.expect_download() as download:
            tab.get_by_role("button", name="CSV").click()
        lines = download.value.path().read_text().splitlines()
        self.assertEqual(len(lines), 13)
        self.assertIn("cat", lines[2])
        values = [float(value) for value in lines[2].split(",")[1:]]
        self.assertLessEqual(max(abs(a - b) for a, b in zip(values, weights(4, 2)[1])), 0.002)


if __name__ == "__main__":
    unittest.main()

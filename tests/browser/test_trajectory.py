"""The figures of trajectories in a browser: what their charts show and answer to pointer, keys and scripts.

The pages come from `tests/figure/trajectory.rs`; its made-up numbers are made anew here.
"""

import math
import re
import unittest

from _browser import PAGES, BrowserTest, write_pages

VIEW = "document.querySelector('.flowlens-view').flowlens"
PLOT = "document.querySelector('.fl-plot > .js-plotly-plot:not(.fl-space)')"
WORDS = "The cat sat on the mat and then it looked at me for a while".split()
KINDS = ["position_kernels", "attention_maps", "similarity_maps", "walk", "decoding", "attribution_maps"]


def setUpModule():
    write_pages()


def noise(seed):
    mixed = seed * 0x9E37_79B9_7F4A_7C15 % 2**64
    mixed = (mixed << 23 | mixed >> 41) % 2**64 * 0xD6E8_FEB8_6659_FD93 % 2**64
    return (mixed >> 40) / 2**23 - 1


def content(layer, head, i, j):
    return 2 * noise(layer * 7919 + head * 613 + i * 31 + j) + (2.5 if (i + j + head) % 7 == 0 else 0)


def bias(head, i, j):
    return -0.25 * (head - 1) * math.log(1 + abs(i - j))


def number(text):
    return float(text.replace("−", "-"))


class Trajectory(BrowserTest):
    def state(self, tab):
        return tab.evaluate(f"{VIEW}.state()")

    def select(self, tab, **wish):
        tab.evaluate(f"wish => {VIEW}.select(wish)", wish)

    def tip(self, tab):
        tip = tab.locator("body > .fl-tip")
        return tip.inner_text() if tip.count() and tip.is_visible() else ""

    def point(self, tab, *cell):
        """Points at a cell by its name and returns what is told there."""
        tab.evaluate(f"cell => scrollBy(0, {VIEW}.bounds(...cell).y - 300)", list(cell))
        # A page that is still scrolling hides what is told.
        self.frame(tab)
        x, y = tab.evaluate(f"cell => (box => [box.x + box.width / 2, box.y + box.height / 2])({VIEW}.bounds(...cell))", list(cell))
        tab.mouse.move(x, y)
        return self.tip(tab)

    def marks(self, tab):
        return tab.locator(".fl-plot > .fl-mark:visible").count()

    def test_charts_take_the_place_of_still_pictures(self):
        for name in KINDS:
            with self.subTest(name):
                tab = self.open(f"{name}.html")
                view = tab.locator(".flowlens-view")
                self.assertEqual(view.get_attribute("data-picture"), "plotly")
                self.assertEqual(tab.locator(".fl-picture > img").count(), 0)
                self.assertGreater(tab.locator(".fl-plot .main-svg").count(), 0)
                self.assertEqual(self.state(tab)["view"], name.replace("_", "-"))
                self.shot(tab, name)

    def test_a_cell_tells_all_kinds_and_is_framed_in_each(self):
        tab = self.open("attention_maps.html")
        text = self.point(tab, 3, 5)
        self.assertIn("query “\u2068on\u2069” (3)  ·  key “\u2068mat\u2069” (5)", text)
        told = dict(re.findall(r"^([A-Z][^:]*): (\S+)", text, re.M))
        self.assertAlmostEqual(number(told["Content score"]), content(0, 0, 3, 5), delta=2e-3)
        self.assertAlmostEqual(number(told["Position bias"]), bias(0, 3, 5), delta=2e-3)
        self.assertAlmostEqual(number(told["Score before softmax"]), content(0, 0, 3, 5) + bias(0, 3, 5), delta=4e-3)
        row = [math.exp(content(0, 0, 3, j) + bias(0, 3, j)) for j in range(14)]
        self.assertAlmostEqual(number(told["Probability"]), row[5] / sum(row), delta=1e-3)
        self.assertEqual(self.marks(tab), 4)
        tab.mouse.move(5, 5)
        self.assertEqual((self.tip(tab), self.marks(tab)), ("", 0))

    def test_choosers_change_block_layer_and_heads(self):
        tab = self.open("attention_maps.html")
        tab.get_by_role("button", name="decoder").click()
        tab.get_by_role("button", name="2", exact=True).first.click()
        tab.locator(".fl-squares button", has_text="3").click()
        self.until(lambda: len(tab.evaluate(f"{PLOT}.data.filter(trace => trace.type === 'heatmap')")) == 8, "two heads' maps")
        state = self.state(tab)
        self.assertEqual((state["block"], state["layer"], state["heads"]), ("decoder", 2, [0, 3]))
        self.assertIn("hidden by the mask", self.point(tab, 1, 4, 3))
        text = self.point(tab, 4, 1, 3)
        self.assertAlmostEqual(number(re.search(r"Content score: (\S+)", text)[1]), content(2, 3, 4, 1), delta=2e-3)
        self.select(tab, block="cross", heads=[1])
        maps = tab.evaluate(f"{PLOT}.data.filter(trace => trace.type === 'heatmap').length")
        self.assertEqual(maps, 2, "without a bias neither it nor the sum is drawn")

    def test_one_scale_serves_every_layer_and_head(self):
        tab = self.open("attention_maps.html")
        scales = []
        for layer, head in [(0, 0), (1, 2), (2, 3)]:
            self.select(tab, layer=layer, heads=[head])
            scales.append(tab.evaluate(f"{PLOT}.data.filter(trace => trace.type === 'heatmap').map(({{zmin, zmax}}) => [zmin, zmax])"))
        self.assertEqual(scales[0], scales[1])
        self.assertEqual(scales[0], scales[2])
        self.assertEqual(scales[0][0][0], -scales[0][0][1])

    def test_zooming_one_map_zooms_all_and_a_double_click_shows_everything(self):
        tab = self.open("attention_maps.html")
        tab.evaluate("document.querySelector('.fl-plot').scrollIntoView({ block: 'start' })")
        ranges = f"Object.entries({PLOT}.layout).filter(([name, axis]) => axis.matches === 'x' || name === 'xaxis').map(([, axis]) => axis.range)"
        whole = tab.evaluate(ranges)
        self.assertEqual(len(whole), 4)
        centre = lambda i, j: tab.evaluate(f"(box => [box.x + box.width / 2, box.y + box.height / 2])({VIEW}.bounds({i}, {j}))")
        start, end = centre(2, 2), centre(7, 7)
        tab.mouse.move(*start)
        tab.mouse.down()
        tab.mouse.move(*end, steps=5)
        tab.mouse.up()
        self.until(lambda: tab.evaluate(ranges) != whole, "zoomed")
        zoomed = tab.evaluate(ranges)
        for low, high in zoomed:
            self.assertAlmostEqual(low, 2, delta=0.3)
            self.assertAlmostEqual(high, 7, delta=0.3)
        self.assertIn("(4)  ·  key “\u2068the\u2069” (4)", self.point(tab, 4, 4))
        tab.mouse.dblclick(*centre(4, 4))
        self.until(lambda: tab.evaluate(ranges) == whole, "everything again")

    def test_keys_move_through_cells_and_layers(self):
        tab = self.open("attention_maps.html")
        tab.locator(".fl-plot").focus()
        for key in ["ArrowRight", "ArrowRight", "ArrowDown"]:
            tab.keyboard.press(key)
        self.assertIn("(1) · key “\u2068cat\u2069” (1)", tab.locator(".fl-status").inner_text())
        self.assertIn("Content score", self.tip(tab))
        tab.keyboard.press("PageDown")
        self.until(lambda: self.state(tab)["layer"] == 1, "the next layer")
        tab.keyboard.press("Escape")
        self.assertEqual(self.marks(tab), 0)

    def test_a_wish_that_cannot_be_met_changes_nothing(self):
        tab = self.open("attention_maps.html")
        before = self.state(tab)
        for wish in [{"layer": 9}, {"block": "nowhere"}, {"heads": [0, 17]}, {"layer": 1, "head": 9}]:
            told = tab.evaluate(f"wish => {VIEW}.select(wish).then(() => '', error => String(error))", wish)
            self.assertRegex(told, r"RangeError: (layer|block|head) .* has ")
            self.assertEqual(self.state(tab), before)
        heard = tab.evaluate(f"""async () => {{
            const heard = [];
            document.addEventListener('flowlens-select', event => heard.push(event.detail));
            await {VIEW}.select({{ layer: 2, head: 1 }});
            return heard;
        }}""")
        self.assertEqual([(one["layer"], one["heads"]) for one in heard], [(2, [1])])
        self.select(tab, **before)
        self.assertEqual(self.state(tab), before)

    def test_kernels_show_scores_or_what_constant_content_would_give(self):
        tab = self.open("position_kernels.html")
        value = lambda head, distance: -math.log(1 + abs(distance)) * (head - 2) * 0.6 + (0.4 * head if distance > 0 else 0) + (
            6 if (head, distance) == (5, -1) else 0)
        self.assertAlmostEqual(number(re.search(r"score (\S+)", self.point(tab, 6, 16))[1]), value(6, 16), delta=2e-3)
        self.assertIn("head 6  ·  16 after the query", self.tip(tab))
        dotted = tab.evaluate(f"{PLOT}.data.find(trace => trace.line && trace.line.dash === 'dot').y.length")
        self.assertEqual(dotted, 257, "the head under the pointer has a curve")
        tab.get_by_role("button", name="if content were constant").click()
        tab.get_by_role("button", name="±8").click()
        self.until(lambda: self.state(tab)["window"] == 8, "a window")
        shares = [math.exp(value(5, distance)) for distance in range(-8, 9)]
        told = self.point(tab, 5, -1)
        self.assertAlmostEqual(number(re.search(r"share (\S+)", told)[1]), shares[7] / sum(shares), delta=1e-3)
        self.assertIn("share –", self.point(tab, 5, 20))

    def test_heads_are_kept_by_click_and_keys(self):
        tab = self.open("position_kernels.html")
        before = self.state(tab)["heads"]
        self.point(tab, 1, 4)
        tab.mouse.down()
        tab.mouse.up()
        self.until(lambda: self.state(tab)["heads"] == sorted([*before, 1]), "head 1 is kept")
        tab.locator(".fl-plot").focus()
        for key in ["ArrowDown", "Enter"]:
            tab.keyboard.press(key)
        self.until(lambda: 0 in self.state(tab)["heads"], "head 0 by keys")
        tab.keyboard.press("PageDown")
        self.until(lambda: self.state(tab)["block"] == "decoder", "the decoder's kernel")
        self.select(tab, block="all", layer=3)
        self.assertIn("from 16 pairs", self.point(tab, 2, 0))
        self.assertIn("spread", self.tip(tab))

    def test_similarity_goes_from_site_to_site_and_tells_nearest_words(self):
        tab = self.open("similarity_maps.html")
        self.assertEqual(self.state(tab)["layer"], 4)
        self.assertIn("nearest to “\u2068cat\u2069”: “\u2068cat\u2069” 12.5, “\u2068dog\u2069” 7.25", self.point(tab, 1, 0))
        tab.locator(".fl-choosers select").select_option("1")
        self.until(lambda: self.state(tab)["layer"] == 1, "another site")
        ends = tab.evaluate(f"{PLOT}.data.filter(trace => trace.type === 'heatmap').map(({{zmin, zmax}}) => [zmin, zmax])")
        self.assertEqual(ends, [[-1, 1], [0, 1]])
        tab.evaluate("document.querySelector('.fl-plot').scrollIntoView({ block: 'start' })")
        self.frame(tab)
        x, y = tab.evaluate(f"""(() => {{
            const [name, axis] = Object.entries({PLOT}.layout).find(([name, axis]) => name.startsWith('xaxis') && (axis.ticktext || []).includes('embeddings'));
            const down = {PLOT}.layout[name.replace('x', 'y')];
            const box = document.querySelector('.fl-plot').getBoundingClientRect();
            const at = (part, [low, high]) => low + part * (high - low);
            return [box.left + {PLOT}.layout.width * at(0.1, axis.domain), box.top + {PLOT}.layout.height * (1 - at(0.1, down.domain))];
        }})()""")
        tab.mouse.click(x, y)
        self.until(lambda: self.state(tab)["layer"] == 4, "the row of the small map that was clicked")
        tab.locator("summary").click()
        self.assertIn("␣cat 12.5, ␣dog 7.25, <b> −1.5", tab.locator(".fl-numbers table").first.inner_text())

    def test_the_walk_is_played_step_by_step(self):
        tab = self.open("walk.html")
        self.assertEqual(self.state(tab)["step"], 6)
        hidden = f"{PLOT}.data.filter(trace => trace.visible === false).length"
        self.assertEqual(tab.evaluate(hidden), 0)
        self.select(tab, step=1)
        self.assertEqual(tab.evaluate(hidden), 5, "the parts after the second step")
        heard = tab.evaluate("""() => new Promise(done => {
            const heard = [];
            document.addEventListener('flowlens-select', event => {
                heard.push(event.detail.step);
                if (event.detail.step === 6) done(heard);
            });
            [...document.querySelectorAll('button')].find(it => it.textContent === 'Play').click();
        })""")
        self.assertEqual(heard, [2, 3, 4, 5, 6])
        self.until(lambda: not self.state(tab)["playing"], "the end")
        self.assertEqual(tab.evaluate(hidden), 0)
        tab.get_by_role("button", name="Play").click()
        self.until(lambda: self.state(tab)["step"] < 6, "from the start again")
        tab.get_by_role("button", name="Pause").click()
        self.assertFalse(self.state(tab)["playing"])
        self.assertEqual(tab.evaluate("(document.querySelector('.fl-space').data || []).map(trace => trace.type)"), ["scatter3d"] * 3)
        tab.locator("input[type=range]").fill("3")
        self.until(lambda: self.state(tab)["step"] == 3, "by hand")
        self.assertEqual(tab.locator(".fl-choosers output").inner_text(), "after layer 2")

    def test_the_writing_is_replayed_token_by_token(self):
        tab = self.open("walk_written.html")
        self.assertEqual((self.state(tab)["given"], self.state(tab)["written"]), (3, None))
        # Whose paths lie on paper: each has two points and a gap in every step's part.
        paths = lambda: tab.evaluate(f"{PLOT}.data.filter(it => it.xaxis === 'x' && it.mode === 'lines').map(it => it.x.length / 3)")
        self.assertEqual(paths()[:12], [3] * 6 + [5] * 6)
        tab.get_by_role("button", name="by token").click()
        self.until(lambda: self.state(tab)["written"] == 5, "all are written")
        self.assertEqual(tab.locator("input[type=range]").get_attribute("max"), "5")
        self.select(tab, written=2)
        self.assertEqual(paths()[:12], [3] * 6 + [2] * 6)
        self.assertEqual(tab.locator(".fl-choosers output").inner_text(), "“\u2068the\u2069”, position 4: written 2 of 5")
        newest = tab.evaluate(f"(it => [it.line.width, it.x.filter(x => x !== null).length])({PLOT}.data[13])")
        self.assertGreater(newest[0], tab.evaluate(f"{PLOT}.data[6].line.width"))
        self.assertEqual(newest[1], 8, "seven points and a gap")
        heard = tab.evaluate("""() => new Promise(done => {
            const heard = [];
            document.addEventListener('flowlens-select', event => {
                heard.push(event.detail.written);
                if (event.detail.written === 5) done(heard);
            });
            [...document.querySelectorAll('button')].find(it => it.textContent === 'Play').click();
        })""")
        self.assertEqual(heard, [3, 4, 5])
        self.until(lambda: not self.state(tab)["playing"], "the end")
        tab.locator(".fl-plot").focus()
        tab.keyboard.press("PageUp")
        self.until(lambda: self.state(tab)["written"] == 4, "one less")
        self.shot(tab, "walk_by_token")
        self.assertIn("written 6: this walk has 0 to 5", tab.evaluate(f"{VIEW}.select({{ written: 6 }}).then(() => '', error => error.message)"))
        tab.get_by_role("button", name="by layer").click()
        self.until(lambda: self.state(tab)["written"] is None, "by layer again")
        self.assertEqual(paths()[:12], [3] * 6 + [5] * 6)
        self.assertEqual(tab.locator(".fl-choosers output").inner_text(), "after layer 5")

    def test_the_walk_tells_its_steps_in_numbers(self):
        tab = self.open("walk.html")
        self.assertIn("after layer 2: angle ", self.point(tab, 2, 3))
        self.select(tab, quantity="norm")
        text = self.point(tab, 4, 3)
        value = 10 * (1.2 + (35 // 8) / 4 + 0.5 * noise(35))
        self.assertAlmostEqual(number(re.search(r"after layer 3: norm (\S+)", text)[1]), value, delta=1e-2)
        tab.mouse.down()
        tab.mouse.up()
        self.until(lambda: self.state(tab)["token"] == 3, "its path is chosen")
        tab.locator("summary").click()
        self.assertIn("words near 3", tab.locator(".fl-numbers table").first.inner_text())
        tab.locator(".fl-plot").focus()
        tab.keyboard.press("ArrowDown")
        self.assertIn("in: norm", tab.locator(".fl-status").inner_text())
        told = tab.evaluate(f"{VIEW}.select({{ quantity: 'speed' }}).then(() => '', error => error.message)")
        self.assertIn("norm", told)

    def test_decoding_tells_every_number_of_a_token(self):
        tab = self.open("decoding.html")
        text = self.point(tab, 3)
        self.assertIn("after “\u2068on\u2069”, position 3", text)
        chance = (0.5 + 0.5 * noise(3)) ** 2
        self.assertAlmostEqual(number(re.search(r"next is “\u2068the\u2069”: (\S+) %", text)[1]), 100 * chance, delta=0.1)
        self.assertEqual(self.marks(tab), 4)
        tab.locator(".fl-plot").focus()
        tab.keyboard.press("End")
        self.assertEqual(self.state(tab)["token"], 13)

    def test_charts_follow_light_and_dark(self):
        for name in KINDS:
            with self.subTest(name):
                tab = self.open(f"{name}.html", color_scheme="dark")
                ink = "getComputedStyle(document.querySelector('.fl-plot .main-svg text')).fill"
                dark = tab.evaluate(ink)
                self.shot(tab, f"{name}_dark")
                tab.emulate_media(color_scheme="light")
                self.until(lambda: tab.evaluate(ink) != dark, "light ink")

    def test_charts_fit_a_narrow_window(self):
        for name in ["attention_maps", "walk"]:
            tab = self.open(f"{name}.html", width=560)
            self.assertLessEqual(tab.evaluate("document.documentElement.scrollWidth"), 560)
            self.shot(tab, f"{name}_narrow")

    def test_long_texts_are_drawn_in_time(self):
        for name, wish in [("attention_maps_long", {"head": 5}), ("similarity_maps_long", {"layer": 3})]:
            tab = self.open(f"{name}.html")
            took = tab.evaluate(f"""async wish => {{
                const start = performance.now();
                await {VIEW}.select(wish);
                return performance.now() - start;
            }}""", wish)
            self.assertLess(took, 4000, f"{name} took {took:.0f} ms")


if __name__ == "__main__":
    unittest.main()

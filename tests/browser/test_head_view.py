"""The head view in a browser: lines, heads, tokens and numbers, by mouse, by keys and through the page's interface.

The pages come from `tests/figure`, which leaves them in target/figures.
"""

import json
import unittest

from _browser import PAGES, BrowserTest, write_pages

ROOT = ".flowlens-view"
TIP = ".fl-tip:not([hidden])"


def setUpModule():
    write_pages()


class HeadView(BrowserTest):
    def view(self, tab, call, which=0):
        """What a call of a view's page interface gives."""
        return tab.evaluate(f"document.querySelectorAll('{ROOT}')[{which}].flowlens.{call}")

    def state(self, tab, name, which=0):
        return self.view(tab, "state()", which)[name]

    def spot(self, tab, which=0, **token):
        box = self.view(tab, f"place({json.dumps(token)}).toJSON()", which)
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def hover(self, tab, **token):
        tab.mouse.move(*self.spot(tab, **token), steps=2)

    def tip(self, tab):
        """The lines of the tooltip."""
        return tab.locator(f"{TIP} p").all_inner_texts()

    def scrolled(self, tab):
        return tab.evaluate("document.querySelector('.fl-tokens').scrollTop")

    def square(self, tab, head, which=0):
        return tab.locator(f"{ROOT} >> nth={which} >> .fl-squares button[aria-label='Head {head}']")

    def pixels(self, tab, which=0):
        """What the canvas shows, as a string that is equal for equal pictures."""
        return tab.evaluate(f"document.querySelectorAll('{ROOT}')[{which}].querySelector('canvas').toDataURL()")

    def weights(self, tab, layer, head, which=0):
        return tab.evaluate(
            f"Array.from(document.querySelectorAll('{ROOT}')[{which}].flowlens.weights({layer}, {head}))"
        )

    def test_weights_are_those_of_the_data(self):
        tab = self.open("head.html")
        exact = json.loads((PAGES / "head_weights.json").read_text())
        error = tab.evaluate("JSON.parse(document.querySelector('.fl-data').textContent).blocks[0].error")
        self.assertLessEqual(error, 1 / 255)
        for layer in range(4):
            for head in range(12):
                shown = self.weights(tab, layer, head)
                self.assertEqual(len(shown), 100)
                for value, want in zip(shown, exact[layer][100 * head : 100 * head + 100]):
                    self.assertAlmostEqual(value, want, delta=error * 1.001)

    def test_opens_as_it_was_asked_to(self):
        tab = self.open("head.html")
        state = self.view(tab, "state()")
        self.assertEqual(
            {name: state[name] for name in ["view", "block", "layer", "layers", "token", "tokens"]},
            {"view": "head", "block": "all", "layer": 1, "layers": [0, 1, 2, 3], "token": None, "tokens": [10, 10]},
        )
        self.assertEqual(state["heads"], list(range(12)))
        self.assertLessEqual(tab.evaluate("document.querySelectorAll('*').length"), 3000)

    def test_hover_tells_exact_values_in_both_directions(self):
        tab = self.open("head.html")
        idle = self.pixels(tab)
        self.hover(tab, query=3)
        rows = [self.weights(tab, 1, head)[30:40] for head in range(12)]
        text = self.tip(tab)
        self.assertIn("Japan", text[0])
        head = max(range(12), key=lambda it: max(rows[it]))
        self.assertTrue(text[1].startswith(f"head {head}: {100 * max(rows[head]):.2f} %"), text)
        self.assertEqual(len([line for line in text if line.startswith("head ")]), 12)
        over_query = self.pixels(tab)
        self.assertNotEqual(over_query, idle)
        self.shot(tab, "head_hover")
        self.hover(tab, key=3)
        self.assertIn("% from", self.tip(tab)[1])
        self.assertNotIn(self.pixels(tab), [idle, over_query])
        tab.mouse.move(2, 2)
        self.assertEqual(self.pixels(tab), idle)
        self.assertEqual(tab.locator(TIP).count(), 0)

    def test_a_click_pins_and_strips_and_lines_tell_their_value(self):
        tab = self.open("head.html")
        tab.mouse.click(*self.spot(tab, query=3))
        self.assertEqual(self.state(tab, "token"), 3)
        self.assertIn("“\u2068Japan\u2069” (query 3) attends most to", tab.locator(".fl-status").inner_text())
        # The partner of a pinned token: the weights of the pair by head, the largest first.
        self.hover(tab, key=5)
        pair = sorted((self.weights(tab, 1, head)[35] for head in range(12)), reverse=True)
        lines = self.tip(tab)
        self.assertIn("→", lines[0])
        self.assertEqual([line.split(": ")[1] for line in lines[1:13]], [f"{100 * value:.2f} %" for value in pair])
        # A strip stands right of the key: head 0 first.
        right = tab.locator("canvas").bounding_box()
        strip = right["x"] + right["width"] - 2 - 17 * 12 + 6
        x, y = self.spot(tab, key=5)
        tab.mouse.move(strip, y, steps=2)
        self.assertEqual(self.tip(tab)[1], f"head 0: {100 * self.weights(tab, 1, 0)[35]:.2f} %")
        # A line, where it leaves the query.
        (left, down), width = self.spot(tab, query=3), self.view(tab, "place({query: 3}).width")
        tab.mouse.move(left + width / 2 + 12, down, steps=2)
        self.assertRegex("\n".join(self.tip(tab)), r"Japan.* → .*\nhead \d+: [\d.]+ %")
        tab.mouse.move(2, 2)
        # Several tokens, one let go of again, all let go of.
        tab.keyboard.down("Control")
        tab.mouse.click(*self.spot(tab, query=5))
        tab.mouse.click(*self.spot(tab, query=7))
        tab.mouse.click(*self.spot(tab, query=5))
        tab.keyboard.up("Control")
        self.assertEqual([pin["at"] for pin in self.state(tab, "pinned")], [3, 7])
        tab.mouse.move(2, 2)
        self.assertIn("2 tokens", tab.locator(".fl-status").inner_text())
        tab.keyboard.press("Escape")
        self.assertEqual(self.state(tab, "pinned"), [])

    def test_squares_switch_heads(self):
        tab = self.open("head.html")
        idle = self.pixels(tab)
        box = self.view(tab, "bounds(1, 4).toJSON()")
        tab.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        self.assertEqual(self.state(tab, "heads"), [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11])
        self.assertNotEqual(self.pixels(tab), idle)
        self.square(tab, 2).dblclick()
        self.assertEqual(self.state(tab, "heads"), [2])
        self.assertEqual(self.state(tab, "head"), 2)
        # The last one stays on.
        self.square(tab, 2).click()
        self.assertEqual(self.state(tab, "heads"), [2])
        # Heads stay chosen from layer to layer.
        tab.get_by_role("button", name="3", exact=True).first.click()
        self.assertEqual((self.state(tab, "layer"), self.state(tab, "heads")), (3, [2]))
        self.square(tab, 2).dblclick()
        self.assertEqual(self.state(tab, "heads"), list(range(12)))
        self.assertEqual(self.square(tab, 2).get_attribute("aria-pressed"), "true")

    def test_keys_do_what_the_mouse_does(self):
        tab = self.open("head.html")
        tab.locator("canvas").focus()
        tab.keyboard.press("ArrowDown")
        tab.keyboard.press("ArrowDown")
        self.assertEqual(self.state(tab, "token"), 1)
        self.assertIn("(query 1) attends most to", tab.locator(".fl-status[aria-live=polite]").inner_text())
        tab.keyboard.press("Enter")
        self.assertEqual(self.state(tab, "pinned"), [{"side": "query", "at": 1}])
        tab.keyboard.press("End")
        self.assertEqual(self.state(tab, "token"), 9)
        tab.keyboard.press("Home")
        self.assertEqual(self.state(tab, "token"), 0)
        tab.keyboard.press("ArrowRight")
        self.assertEqual(self.state(tab, "layer"), 2)
        tab.keyboard.press("ArrowLeft")
        tab.keyboard.press("ArrowLeft")
        tab.keyboard.press("ArrowLeft")
        self.assertEqual(self.state(tab, "layer"), 0)
        tab.keyboard.press("5")
        self.assertNotIn(5, self.state(tab, "heads"))
        # Two digits in quick succession are one head, and the first stays as it was.
        typed = tab.evaluate("performance.now()")
        self.until(lambda: tab.evaluate("performance.now()") > typed + 700, "a digit is a new number")
        tab.keyboard.press("1")
        tab.keyboard.press("1")
        self.assertEqual(self.state(tab, "heads"), [0, 1, 2, 3, 4, 6, 7, 8, 9, 10])
        tab.keyboard.press("Escape")
        self.assertEqual((self.state(tab, "token"), self.state(tab, "pinned")), (None, []))

    def test_search_finds_and_pins(self):
        tab = self.open("head.html")
        tab.locator("canvas").focus()
        tab.keyboard.press("/")
        tab.keyboard.type("of")
        self.assertIn("2 tokens found", tab.locator(".fl-status").inner_text())
        tab.keyboard.press("Enter")
        self.assertEqual(self.state(tab, "token"), 2)
        tab.keyboard.press("Enter")
        self.assertEqual(self.state(tab, "token"), 7)
        tab.keyboard.press("Escape")
        self.assertEqual(tab.evaluate("document.activeElement.tagName"), "CANVAS")
        self.assertEqual(tab.locator("input[type=search]").input_value(), "")

    def test_special_tokens_and_weak_lines_can_be_left_out(self):
        tab = self.open("head.html")
        idle = self.pixels(tab)
        tab.get_by_role("button", name="special tokens").click()
        self.assertEqual(self.state(tab, "special"), False)
        without = self.pixels(tab)
        self.assertNotEqual(without, idle)
        tab.locator("input[type=range]").focus()
        for _ in range(4):
            tab.keyboard.press("ArrowRight")
        self.assertGreater(self.state(tab, "least"), 0.1)
        self.assertNotEqual(self.pixels(tab), without)

    def test_the_state_can_be_restored_and_wrong_wishes_change_nothing(self):
        tab = self.open("head.html")
        tab.evaluate(f"""{{
            const root = document.querySelector('{ROOT}');
            window.told = [];
            document.addEventListener("flowlens-select", (event) => told.push(event.detail));
            root.flowlens.select({{ layer: 2, heads: [1, 3], token: 6 }});
        }}""")
        state = self.view(tab, "state()")
        self.assertEqual(tab.evaluate("told"), [state])
        self.assertEqual((state["layer"], state["heads"], state["token"]), (2, [1, 3], 6))
        there = self.pixels(tab)
        for wish, said in [("{layer: 9}", "0 to 3"), ("{head: 12}", "0 to 11"), ("{token: 10}", "0 to 9"),
                           ("{block: 'cross'}", "all"), ("{layer: 1, heads: []}", "0 to 11")]:
            error = tab.evaluate(
                f"(() => {{ try {{ document.querySelector('{ROOT}').flowlens.select({wish}) }}"
                " catch (error) { return [error.name, error.message] } })()"
            )
            self.assertEqual(error[0], "RangeError", wish)
            self.assertIn(said, error[1])
        self.assertEqual(self.view(tab, "state()"), state)
        self.view(tab, "select({layer: 0, heads: [0, 1, 2], token: null})")
        self.assertNotEqual(self.pixels(tab), there)
        self.view(tab, f"select({json.dumps(state)})")
        self.assertEqual(self.pixels(tab), there)

    def test_pairs_are_offered_in_parts(self):
        tab = self.open("head_pair.html")
        self.assertEqual(self.state(tab, "blocks"), ["all", "aa", "ab", "ba", "bb"])
        whole = self.weights(tab, 0, 1)
        self.view(tab, "select({token: 10})")
        tab.get_by_role("button", name="B → A").click()
        self.assertEqual(self.state(tab, "tokens"), [6, 8])
        # The pin stays on its token.
        self.assertEqual(self.state(tab, "token"), 2)
        part = self.weights(tab, 0, 1)
        self.assertEqual(part[2 * 8 + 3], whole[10 * 14 + 3])
        self.shot(tab, "head_pair")

    def test_encoder_and_decoder_differ_in_depth_and_length(self):
        tab = self.open("head_seq2seq.html")
        self.assertEqual(self.state(tab, "blocks"), ["encoder", "decoder", "cross"])
        self.view(tab, "select({layer: 3, heads: [5]})")
        tab.get_by_role("button", name="Cross").click()
        state = self.view(tab, "state()")
        self.assertEqual((state["layers"], state["layer"], state["tokens"]), ([0, 1], 1, [7, 12]))
        # Head 5 is not there: all four are shown, and 5 is on again where it is.
        self.assertEqual(state["heads"], [0, 1, 2, 3])
        tab.get_by_role("button", name="Encoder").click()
        self.assertEqual(self.state(tab, "heads"), [5])

    def test_a_long_text_scrolls_and_draws_what_is_in_sight(self):
        tab = self.open("head_long.html")
        self.assertLessEqual(tab.evaluate("document.querySelectorAll('*').length"), 3000)
        self.assertLessEqual(tab.locator("canvas").bounding_box()["height"], 660)
        self.assertIn("strongest lines", tab.locator(".fl-status").inner_text())
        top = self.pixels(tab)
        tab.mouse.move(*self.spot(tab, query=10))
        # One byte a weight: the tooltip says how far that is from exact.
        self.assertEqual(self.tip(tab)[-1], "each ± 0.2 %")
        tab.mouse.wheel(0, 3000)
        self.until(lambda: self.scrolled(tab) > 0, "the wheel scrolls")
        tab.mouse.move(2, 2)
        self.until(lambda: self.pixels(tab) != top, "another part is drawn")
        # A choice scrolls there before it returns, also while a wheel is still moving, and stays there.
        for token in [400, 30]:
            self.view(tab, "select({token: 0})")
            tab.mouse.move(*self.spot(tab, key=8))
            tab.evaluate("""() => {
                window.wheeled = new Promise(done => {
                    document.querySelector('.fl-tokens').addEventListener('wheel', done, { once: true });
                });
            }""")
            tab.mouse.wheel(0, 3000)
            box, canvas = tab.evaluate(
                f"""wheeled.then(() => {{
                    const root = document.querySelector('{ROOT}');
                    root.flowlens.select({{ token: {token} }});
                    return [root.flowlens.place({{ query: {token} }}), root.querySelector('canvas').getBoundingClientRect()]
                        .map(box => box.toJSON());
                }})"""
            )
            self.assertTrue(canvas["y"] < box["y"] < canvas["y"] + canvas["height"], token)
            settled = self.scrolled(tab)
            for _ in range(10):
                self.frame(tab)
            self.assertEqual(self.scrolled(tab), settled)
            self.assertEqual(self.view(tab, f"place({{query: {token}}}).y"), box["y"])
        # The strip at the right edge shows the whole row; a click goes there.
        tab.mouse.click(canvas["x"] + canvas["width"] - 8, canvas["y"] + 40)
        first = self.view(tab, "place({key: 0}).toJSON()")
        self.assertTrue(canvas["y"] < first["y"] < canvas["y"] + 100)
        self.shot(tab, "head_long")

    def test_differences_keep_their_sign(self):
        tab = self.open("head_difference.html")
        values = [self.weights(tab, self.state(tab, "layer"), head)[50:60] for head in range(4)]
        self.assertLess(min(map(min, values)), 0)
        tab.mouse.click(*self.spot(tab, query=5))
        key = min(range(6), key=lambda at: values[1][at])
        self.hover(tab, key=key)
        self.assertIn(f"head 1: −{-values[1][key]:#.3}", self.tip(tab))

    def test_the_picture_follows_the_width(self):
        tab = self.open("head.html", width=1300)
        wide = self.view(tab, "place({key: 0}).x")
        for width in [900, 420]:
            tab.set_viewport_size({"width": width, "height": 900})
            self.until(lambda: self.view(tab, "place({key: 0}).x") < wide, "the picture is drawn anew")
            box = tab.locator("canvas").bounding_box()
            self.assertLessEqual(box["x"] + box["width"], width)
            wide = self.view(tab, "place({key: 0}).x")
            self.assertLess(self.view(tab, "place({query: 0}).right"), self.view(tab, "place({key: 0}).x"))
            self.hover(tab, query=3)
            self.assertIn("query 3", self.tip(tab)[0])
            self.shot(tab, f"head_{width}")
            tab.mouse.move(2, 2)

    def test_colours_follow_the_host(self):
        tab = self.open("head.html", color_scheme="light")
        light = self.pixels(tab)
        square = "getComputedStyle(document.querySelector('.fl-squares button')).backgroundColor"
        before = tab.evaluate(square)
        self.shot(tab, "head_light")
        tab.emulate_media(color_scheme="dark")
        self.until(lambda: self.pixels(tab) != light, "the canvas has other colours")
        self.assertNotEqual(tab.evaluate(square), before)
        self.shot(tab, "head_dark")

    def test_the_saved_picture_has_the_colours_of_the_page(self):
        """One palette: a head has one colour wherever it is drawn, in light and in dark."""
        for scheme in ["light", "dark"]:
            live = self.open("head.html", color_scheme=scheme)
            squares = live.locator(".fl-squares button").evaluate_all("all => all.map(it => getComputedStyle(it).borderColor)")
            still = self.open("head.svg", wait=False, color_scheme=scheme)
            rects = still.locator("rect[rx]").evaluate_all("all => all.map(it => getComputedStyle(it).stroke)")
            self.assertEqual(len(squares), 12)
            self.assertEqual(rects, squares, scheme)

    def test_two_views_do_not_know_each_other(self):
        tab = self.open("head_two.html")
        second = self.pixels(tab, 1)
        tab.mouse.click(*self.spot(tab, query=3))
        self.square(tab, 5).dblclick()
        self.assertEqual((self.state(tab, "token"), self.state(tab, "heads")), (3, [5]))
        self.assertEqual((self.state(tab, "token", 1), len(self.state(tab, "heads", 1))), (None, 12))
        self.assertEqual(self.pixels(tab, 1), second)

    def test_a_link_opens_the_same_head_in_another_view(self):
        tab = self.open("head_linked.html")
        self.square(tab, 7).dblclick()
        self.view(tab, "select({layer: 2})")
        tab.get_by_role("button", name="Open in model view").click()
        state = self.view(tab, "state()", 1)
        self.assertEqual((state["view"], state["layer"], state["head"]), ("model", 2, 7))

    def test_csv_holds_the_shown_weights(self):
        tab = self.open("head.html")
        self.square(tab, 3).dblclick()
        with tab.expect_download() as download:
            tab.get_by_role("button", name="CSV").click()
        lines = download.value.path().read_text().splitlines()
        self.assertEqual(len(lines), 11)
        self.assertAlmostEqual(float(lines[5].split(",")[-1]), self.weights(tab, 1, 3)[49], places=5)

    def test_a_saved_output_draws_anew(self):
        page = PAGES / "head_restored.html"
        page.write_text((PAGES / "head.html").read_text() + "<script>flowlens.draw()</script>")
        tab = self.open(page.name)
        self.assertEqual(tab.locator("canvas").count(), 1)
        # As a notebook that is opened again: the output as it was stored, put in with its scripts run anew.
        tab.evaluate(
            f"""(html) => {{
                document.querySelector('{ROOT}').remove();
                const page = new DOMParser().parseFromString(html, "text/html");
                const root = document.importNode(page.querySelector('{ROOT}'), true);
                document.body.append(root);
                flowlens.draw();
            }}""",
            (PAGES / "head.html").read_text(),
        )
        self.assertEqual(tab.locator(ROOT).get_attribute("data-state"), "drawn")
        self.assertEqual(len(self.weights(tab, 1, 0)), 100)


if __name__ == "__main__":
    unittest.main()

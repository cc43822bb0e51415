"""The rollout view in a browser: what it computes, shows and answers to mouse and keys.

The pages come from `tests/figure/rollout.rs`, whose weights `rollout` multiplies here.
"""

import unittest

import numpy as np
from _browser import BrowserTest, write_pages

ROOT = '.flowlens-view[data-view="rollout"]'
VIEW = f"document.querySelector('{ROOT}').flowlens"
WORDS = "The cat sat on the mat and then it looked at me".split()


def setUpModule():
    write_pages()


def rollout(layers, tokens, causal, residual):
    """The rollout matrix: heads' means of each layer, half of them staying with `residual`, one times the other."""
    all_layers = np.eye(tokens)
    i, j = np.arange(tokens)[:, None], np.arange(tokens)[None]
    for layer in range(layers):
        mean = np.zeros((tokens, tokens))
        for head in range(2):
            weights = (1.0 + (layer * 7 + head * 13 + i * 31 + j * 17) % 23) * ((j <= i) | (not causal))
            mean += weights / weights.sum(1, keepdims=True) / 2
        step = 0.5 * mean + 0.5 * np.eye(tokens) if residual else mean
        all_layers = step @ all_layers
    return all_layers


class RolloutView(BrowserTest):
    def state(self, tab):
        return tab.evaluate(f"{VIEW}.state()")

    def chosen(self, tab):
        state = self.state(tab)
        return state["token"], state["layer"]

    def weights(self, tab, layer):
        tokens = self.state(tab)["tokens"][0]
        return np.array(tab.evaluate(f"Array.from({VIEW}.weights({layer}))")).reshape(tokens, tokens)

    def node(self, tab, token, layer):
        """Where a token stands behind a layer."""
        column = tab.evaluate(f"{VIEW}.bounds({layer}).right")
        return column, tab.evaluate(f"(({{y, height}}) => y + height / 2)({VIEW}.place({{query: {token}}}))")

    def tip(self, tab):
        tip = tab.locator("body > .fl-tip")
        return tip.inner_text() if tip.count() and tip.is_visible() else ""

    def test_computes_the_product_of_the_layers(self):
        tab = self.open("rollout.html")
        self.assertEqual(self.chosen(tab), (self.state(tab)["token"], 4))
        for layer in range(5):
            np.testing.assert_allclose(self.weights(tab, layer), rollout(layer + 1, 12, False, True), atol=1e-4)
        tab.get_by_role("button", name="Residual").click()
        self.assertFalse(self.state(tab)["residual"])
        np.testing.assert_allclose(self.weights(tab, 4), rollout(5, 12, False, False), atol=1e-4)

    def test_opens_as_it_was_made(self):
        tab = self.open("rollout_causal.html")
        state = self.state(tab)
        self.assertEqual((state["token"], state["layer"], state["residual"]), (7, 2, False))
        np.testing.assert_allclose(self.weights(tab, 2), rollout(3, 12, True, False), atol=1e-4)

    def test_goes_by_mouse(self):
        tab = self.open("rollout.html")
        tab.mouse.move(*self.node(tab, 3, 1))
        share = rollout(5, 12, False, True)
        self.assertRegex(self.tip(tab), r"^\u2068on\u2069\s+·\s+position 3, after layer 1\n")
        self.assertRegex(self.tip(tab), r"[\d.]+ % of “\u2068\w+\u2069” after layer 4\n+this layer takes from: “")
        tab.mouse.click(*self.node(tab, 3, 1))
        self.assertEqual(self.chosen(tab), (3, 1))
        tab.mouse.click(*self.node(tab, 9, 4))
        self.assertEqual(self.chosen(tab), (9, 4))
        best = int(share[9].argmax())
        self.assertIn(f"comes from: “\u2068{WORDS[best]}\u2069”", tab.locator(".fl-status").inner_text())
        tab.mouse.move(5, 5)
        self.assertEqual(self.tip(tab), "")

    def test_goes_by_keys(self):
        tab = self.open("rollout.html")
        tab.evaluate(f"{VIEW}.select({{token: 5, layer: 4}})")
        tab.locator(f"{ROOT} canvas").focus()
        steps = [("ArrowUp", (4, 4)), ("ArrowLeft", (4, 3)), ("ArrowDown", (5, 3)), ("ArrowRight", (5, 4)),
                 ("ArrowRight", (5, 4)), ("Home", (0, 4)), ("ArrowUp", (0, 4)), ("End", (11, 4))]
        for key, wanted in steps:
            tab.keyboard.press(key)
            self.assertEqual(self.chosen(tab), wanted, key)

    def test_answers_to_its_page(self):
        tab = self.open("rollout.html")
        tab.evaluate("addEventListener('flowlens-select', (event) => { window.told = event.detail; })")
        tab.evaluate(f"{VIEW}.select({{token: 2, layer: 3, residual: false}})")
        state = self.state(tab)
        self.assertEqual(tab.evaluate("told"), state)
        tab.evaluate(f"{VIEW}.select({{token: 8, layer: 0, residual: true}})")
        tab.evaluate("(state) => " + f"{VIEW}.select(state)", state)
        self.assertEqual(self.state(tab), state)
        for wrong, said in [("token: 12", "has 0 to 11"), ("layer: 5", "layer 5: block \"all\" of this view has 0 to 4"),
                            ("block: 'cross'", "this view has all")]:
            told = tab.evaluate(
                f"(() => {{ try {{ {VIEW}.select({{{wrong}}}); }} catch (error) {{ return String(error); }} }})()"
            )
            self.assertIn("RangeError", told)
            self.assertIn(said, told)
        self.assertEqual(self.state(tab), state)

    def test_leads_to_the_other_views_and_back(self):
        tab = self.open("rollout_linked.html")
        tab.evaluate(f"{VIEW}.select({{token: 6, layer: 2}})")
        tab.locator(ROOT).get_by_role("button", name="Open in model view").click()
        model = "document.querySelector('[data-view=model]').flowlens"
        self.assertEqual(tab.evaluate(f"{model}.state().layer"), 2)
        tab.evaluate(f"{model}.select({{layer: 3, head: 1}})")
        tab.locator("[data-view=model]").get_by_role("button", name="Open in rollout view").click()
        self.assertEqual(self.chosen(tab)[1], 3)

    def test_is_quick_on_long_texts(self):
        tab = self.open("rollout_long.html")
        self.assertLess(tab.locator(f"{ROOT} *").count(), 3000)
        took = tab.evaluate(
            f"(() => {{ const view = {VIEW}; view.select({{token: 300}}); const from = performance.now();"
            "view.select({token: 400}); return performance.now() - from; })()"
        )
        self.assertLess(took, 400)
        box = tab.locator(f"{ROOT} canvas").bounding_box()
        self.assertLess(box["height"], 900)
        self.shot(tab, "rollout-long")

    def test_follows_width_and_theme(self):
        tab = self.open("rollout_deep.html", color_scheme="light")
        drawn = f"document.querySelector('{ROOT} canvas').toDataURL()"
        light = tab.evaluate(drawn)
        self.shot(tab, "rollout-light")
        tab.emulate_media(color_scheme="dark")
        tab.wait_for_function(f"(light) => {drawn} !== light", arg=light)
        self.shot(tab, "rollout-dark")
        for width in [1000, 420]:
            tab.set_viewport_size({"width": width, "height": 800})
            tab.wait_for_function(f"document.querySelector('{ROOT} canvas').clientWidth <= {width}")
            self.assertLessEqual(tab.evaluate("document.documentElement.scrollWidth"), width)
        self.assertIn("Behind many causal layers", tab.locator(".fl-status").inner_text())


if __name__ == "__main__":
    unittest.main()

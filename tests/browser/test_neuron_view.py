"""The neuron view in a browser: what it computes, shows and answers to mouse and keys.

The pages of families come from `tests/figure/families.rs`; test_families.py compares the weights of all of them. Pages
with long or hostile texts are made here of one of these, with other data in it.
"""

import base64
import csv
import json
import re
import time
import unittest
import zlib

import numpy as np
from _browser import PAGES, BrowserTest, write_pages

DATA = re.compile(r'(<script type="application/json" class="fl-data">)(.*?)(</script>)', re.S)
PACKED = re.compile(r'<script type="text/plain" class="fl-packed">.*?</script>', re.S)
API = "document.querySelector('.flowlens-view').flowlens"
HOSTILE = ["</script>", "<img src=x onerror=\"console.error('ran')\">", "\"quotes'", "\u2028", "\u202eright to left",
           "x" * 10000, "👩‍👩‍👧", "\ud800", "⟨0xE2⟩", "␣", "&lt;b&gt;", "العربية", "日本語"]


def setUpModule():
    write_pages()


def remade(name, page, change):
    """A page of `families` with other data: `change` gets the data and a function that packs floats as a chunk."""
    html = (PAGES / "families" / f"{page}.neuron.html").read_text()
    data = json.loads(DATA.search(html).group(2))
    chunks = []

    def pack(numbers):
        planes = np.ascontiguousarray(numbers, "<f4").view(np.uint8).reshape(-1, 4).T.tobytes()
        deflate = zlib.compressobj(1, zlib.DEFLATED, -15)
        chunks.append(base64.b64encode(deflate.compress(planes) + deflate.flush()).decode())
        return len(chunks) - 1

    change(data, pack)
    text = json.dumps(data).replace("<", "\\u003c")
    html = DATA.sub(lambda found: found.group(1) + text + found.group(3), html)
    if chunks:
        packed = "".join(f'<script type="text/plain" class="fl-packed">{chunk}</script>' for chunk in chunks)
        first = PACKED.search(html).start()
        html = html[:first] + packed + PACKED.sub("", html[first:])
    path = PAGES / "neuron" / f"{name}.html"
    path.parent.mkdir(exist_ok=True)
    path.write_text(html)
    return path.relative_to(PAGES)


def long(tokens, layers=3, heads=12, width=64):
    """A causal text of many tokens; the queries and keys are noise."""

    def change(data, pack):
        noise = np.random.default_rng(0)
        data["first"] = {"block": "all", "layer": 1, "heads": None, "head": 0, "token": None}
        data["blocks"] = [{
            "name": "all", "queries": [f"word{at}" for at in range(tokens)], "keys": None, "special": [0],
            "second": None,
            "layers": [{
                "layer": layer, "heads": list(range(heads)), "keyOf": list(range(heads)),
                "keyHeads": list(range(heads)),
                "width": width, "scale": width**-0.5, "cap": None, "normed": False, "bias": None, "biasName": None,
                "query": pack(noise.normal(0, 1.2, (heads, tokens, width))),
                "key": pack(noise.normal(0, 1.2, (heads, tokens, width))),
                "rotary": {"pairing": "halves", "magnitude": 1.0,
                           "frequencies": [10000 ** (-2 * pair / width) for pair in range(width // 2)]},
                "mask": {"from": [0] * tokens, "to": list(range(1, tokens + 1)), "padded": []},
                "valueNorms": pack(noise.random((heads, tokens))), "writtenNorms": pack(noise.random((heads, tokens))),
                "error": 1e-7,
            } for layer in range(layers)],
        }]

    return change


class NeuronView(BrowserTest):
    def family(self, name, **options):
        return self.open(f"families/{name}.neuron.html", **options)

    def state(self, tab):
        return tab.evaluate(f"{API}.state()")

    def place(self, tab, **what):
        """The middle of a token's row."""
        x, y, width, height = tab.evaluate(
            f"what => {{ const box = {API}.place(what); return [box.x, box.y, box.width, box.height]; }}", what)
        return x + width / 2, y + height / 2

    def tip(self, tab):
        tip = tab.locator("body > .fl-tip")
        return tip.inner_text() if tip.count() and tip.is_visible() else ""

    def picture(self, tab):
        return tab.evaluate("document.querySelector('.fl-picture canvas').toDataURL()")

    def weights(self, tab, layer, head):
        state = self.state(tab)
        flat = tab.evaluate(f"([layer, head]) => [...{API}.weights(layer, head)]", [layer, head])
        return np.array(flat).reshape(state["tokens"])

    def test_it_opens_with_a_query_and_what_becomes_of_it(self):
        tab = self.family("gemma2")
        state = self.state(tab)
        self.assertEqual((state["expanded"], state["token"]), (True, state["tokens"][0] - 1))
        text = tab.locator(".flowlens-view").inner_text()
        self.assertIn("weight = softmax(4·tanh((0.2041·q·k)/4))", text)
        self.assertIn("Head 0 reads key head 0, shared by heads 0 and 1.", text)
        self.assertRegex(text, r"equals the model's row within \de-[789]")
        self.assertIn("sees 6 of 21 keys", text)
        self.assertLess(tab.locator("*").count(), 200)
        self.shot(tab, "neuron_gemma2")

    def test_pointing_at_a_key_tells_its_numbers(self):
        tab = self.family("bloom")
        token = self.state(tab)["token"]
        weights = self.weights(tab, 0, 0)[token]
        key = int(weights.argmax())
        x, y = self.place(tab, key=key)
        tab.mouse.move(x, y)
        lines = self.tip(tab)
        self.assertIn(f"position {key}", lines)
        self.assertIn("bias (ALiBi)", lines)
        self.assertIn(f"weight (softmax): {weights[key]:.4f}", lines)
        numbers = dict(re.findall(r"^(q · k|scaled|bias|logit) .*: (−?[\d.]+)$", lines, re.M))
        numbers = {name: float(number.replace("−", "-")) for name, number in numbers.items()}
        self.assertAlmostEqual(numbers["scaled"] + numbers["bias"], numbers["logit"], delta=2e-4)
        tab.mouse.move(5, 5)
        self.assertEqual(self.tip(tab), "")

    def test_bars_tell_products_that_add_up(self):
        tab = self.family("bert")
        x, y = self.place(tab, key=2)
        found = {}
        for step in range(0, 700, 3):
            tab.mouse.move(x + step, y)
            told = re.search(r"dimension (\d+): q (\S+) × k (\S+) = (\S+)", self.tip(tab))
            if told:
                numbers = [float(number.replace("−", "-")) for number in told.groups()]
                self.assertAlmostEqual(numbers[1] * numbers[2], numbers[3], delta=5e-3)
                found[int(numbers[0])] = numbers[3]
        tab.mouse.move(x, y)
        total = float(re.search(r"q · k .*: (\S+)", self.tip(tab)).group(1).replace("−", "-"))
        self.assertEqual(sorted(found), list(range(len(found))))
        self.assertAlmostEqual(sum(found.values()), total, delta=1e-2)

    def test_pointing_previews_and_a_click_chooses(self):
        tab = self.family("gemma2")
        before, picture = self.state(tab), self.picture(tab)
        tab.evaluate("addEventListener('flowlens-select', event => { globalThis.told = event.detail.token; })")
        place = self.place(tab, query=4)
        tab.mouse.move(*place)
        self.assertEqual(self.state(tab), before)
        self.assertNotEqual(self.picture(tab), picture)
        tab.mouse.move(5, 5)
        self.assertEqual(self.picture(tab), picture)
        tab.mouse.click(*place)
        self.assertEqual(self.state(tab)["token"], 4)
        self.assertEqual(tab.evaluate("told"), 4)
        self.assertIn("(4) sees 5 of 21 keys", tab.locator(".fl-status").inner_text())

    def test_keys_walk_through_tokens_heads_and_layers(self):
        tab = self.family("gemma2")
        tab.locator(".fl-picture canvas").focus()
        last = self.state(tab)["token"]
        for key, name, value in [
            ("ArrowUp", "token", last - 1), ("ArrowDown", "token", last), ("ArrowDown", "token", last),
            ("Home", "token", 0), ("End", "token", last), ("ArrowRight", "head", 1), ("ArrowLeft", "head", 0),
            ("ArrowLeft", "head", 0),
            ("PageDown", "layer", 1), ("PageUp", "layer", 0), ("Escape", "expanded", False), ("Escape", "token", None),
            ("ArrowUp", "expanded", False), ("Enter", "token", last - 1),
        ]:
            tab.keyboard.press(key)
            self.assertEqual(self.state(tab)[name], value, key)
        self.assertRegex(tab.locator("canvas").get_attribute("aria-label"), "Layer 0, head 0: .*Arrow keys")

    def test_all_lines_and_back(self):
        tab = self.family("gpt2")
        opened = self.picture(tab)
        tab.get_by_role("button", name="all lines").click()
        self.assertIn("Click a token", tab.locator(".fl-status").inner_text())
        self.assertEqual(self.state(tab)["token"], None)
        lines = self.picture(tab)
        self.assertNotEqual(lines, opened)
        tab.mouse.move(*self.place(tab, key=0))
        self.assertNotEqual(self.picture(tab), lines)
        tab.mouse.click(*self.place(tab, query=2))
        self.assertEqual((self.state(tab)["token"], self.state(tab)["expanded"]), (2, True))

    def test_orders_and_rotation(self):
        tab = self.family("llama_longrope")
        weights = self.weights(tab, 0, 0)
        token = self.state(tab)["token"]
        pictures = [self.picture(tab)]
        for name in ["strongest first", "sort by contribution", "before rotation"]:
            tab.get_by_role("button", name=name).click()
            pictures.append(self.picture(tab))
        self.assertEqual(len(set(pictures)), 4)
        rows = [self.place(tab, key=key)[1] for key in range(len(weights))]
        self.assertEqual(int(np.argmin(rows)), int(weights[token].argmax()))
        self.assertIn("Shown before rotation", tab.locator(".flowlens-view").inner_text())
        np.testing.assert_array_equal(self.weights(tab, 0, 0), weights)
        state = self.state(tab)
        self.assertEqual([state[name] for name in ["strongest", "sorted", "before"]], [True] * 3)
        tab.evaluate(f"{API}.select({{ strongest: false, sorted: false, before: false }})")
        tab.mouse.move(5, 5)
        self.assertEqual(self.picture(tab), pictures[0])
        tab.evaluate(f"state => {API}.select(state)", state)
        self.assertEqual(self.state(tab), state)

    def test_blocks_and_parts_of_pairs(self):
        tab = self.family("t5_uneven")
        blocks = self.state(tab)["blocks"]
        self.assertEqual(blocks, ["encoder", "decoder", "cross"])
        sizes = {}
        for name in ["Decoder", "Cross", "Encoder"]:
            tab.get_by_role("button", name=name).click()
            state = self.state(tab)
            self.assertEqual(state["block"], name.lower())
            sizes[name] = state["tokens"]
            rows = self.weights(tab, state["layers"][0], state["allHeads"][0]).sum(1)
            np.testing.assert_allclose(rows, 1, atol=1e-5)
        self.assertEqual(sizes["Cross"], [sizes["Decoder"][0], sizes["Encoder"][0]])

        def pair(data, _):
            data["blocks"][0]["second"] = 5

        def keys_seen(page):
            return re.search(r"sees (\d+) of (\d+)", page.locator(".fl-status").inner_text()).group(2)

        html = (PAGES / "families/bert.neuron.html").read_text()
        tab = self.open(self.with_data("pair", html, pair))
        whole = self.weights(tab, 0, 1)
        self.assertEqual(self.state(tab)["blocks"], ["all", "aa", "ab", "ba", "bb"])
        for name, part in [("aa", whole[:5, :5]), ("ab", whole[:5, 5:]), ("ba", whole[5:, :5]), ("bb", whole[5:, 5:])]:
            tab.evaluate(f"block => {API}.select({{ block }})", name)
            np.testing.assert_array_equal(self.weights(tab, 0, 1), part)
            self.assertEqual(int(keys_seen(tab)), part.shape[1])

    def with_data(self, name, html, change):
        """A page with some of its data changed and its chunks as they are."""
        data = json.loads(DATA.search(html).group(2))
        change(data, None)
        text = json.dumps(data).replace("<", "\\u003c")
        path = PAGES / "neuron" / f"{name}.html"
        path.parent.mkdir(exist_ok=True)
        path.write_text(DATA.sub(lambda found: found.group(1) + text + found.group(3), html))
        return path.relative_to(PAGES)

    def test_hidden_keys_say_why(self):
        reasons = {"bert_left_padded": "padding", "mistral": "outside the window", "gpt2": "the token comes later"}
        for name, reason in reasons.items():
            with self.subTest(name):
                tab = self.family(name)
                token = 3 if name == "gpt2" else self.state(tab)["token"]
                tab.evaluate(f"token => {API}.select({{ token }})", token)
                row = self.weights(tab, 0, 0)[token]
                tab.mouse.move(*self.place(tab, key=int(np.flatnonzero(row == 0)[-1 if name == "gpt2" else 0])))
                self.assertIn(f"hidden: {reason}", self.tip(tab))

    def test_the_row_as_csv(self):
        tab = self.family("gemma2")
        with tab.expect_download() as download:
            tab.get_by_role("button", name="CSV").click()
        with open(download.value.path(), newline="") as file:
            rows = list(csv.DictReader(file))
        token = self.state(tab)["token"]
        weights = self.weights(tab, 0, 0)[token]
        np.testing.assert_allclose([float(row["weight"]) for row in rows], weights, atol=1e-6)
        self.assertEqual([row["hidden"] != "" for row in rows], list(weights == 0))
        for row in rows:
            scaled = float(row["scaled"])
            self.assertAlmostEqual(float(row["logit"]), 4 * np.tanh(scaled / 4), places=5)

    def test_unknown_choices_are_refused_and_change_nothing(self):
        tab = self.family("gemma2")
        before = self.state(tab)
        for wanted, part in [("{layer: 99}", "0 to 3"), ("{head: 9, layer: 1}", "0 to 3"), ("{token: -1}", "0 to 20"),
                             ("{token: 1.5}", "0 to 20"), ("{block: 'cross'}", "all")]:
            attempt = f"() => {{ try {{ {API}.select({wanted}); }} catch (error) {{ return String(error); }} }}"
            told = tab.evaluate(attempt)
            self.assertRegex(told, f"^RangeError: .*{part}")
        self.assertEqual(self.state(tab), before)

    def test_dark_and_light(self):
        tab = self.family("gemma2", color_scheme="light")
        light = self.picture(tab)
        tab.emulate_media(color_scheme="dark")
        self.until(lambda: self.picture(tab) != light, "colours are dark")
        self.shot(tab, "neuron_dark")
        tab.emulate_media(color_scheme="light")
        self.until(lambda: self.picture(tab) == light, "colours are light again")

    def test_hostile_tokens(self):
        def change(data, _):
            tokens = data["blocks"][0]["queries"]
            tokens[: len(HOSTILE)] = HOSTILE[: len(tokens)]

        html = (PAGES / "families/gemma2.neuron.html").read_text()
        tab = self.open(self.with_data("hostile", html, change))
        width = tab.locator(".fl-picture").bounding_box()["width"]
        for token in range(len(HOSTILE)):
            tab.mouse.click(*self.place(tab, query=token))
            self.assertEqual(self.state(tab)["token"], token)
        self.assertEqual(tab.locator(".flowlens-view img").count(), 0)
        self.assertEqual(tab.locator(".fl-picture").bounding_box()["width"], width)
        self.assertLess(len(tab.locator(".fl-status").inner_text()), 2000)
        self.shot(tab, "neuron_hostile")

    def test_two_views_are_independent_and_a_restored_one_draws_anew(self):
        html = (PAGES / "families/gemma2.neuron.html").read_text()
        body = html[html.index("<body>") + 6 : html.index("</body>")]
        path = PAGES / "neuron" / "twice.html"
        path.parent.mkdir(exist_ok=True)
        path.write_text(html.replace("</body>", f"{body}</body>"))
        tab = self.open("neuron/twice.html")
        views = "document.querySelectorAll('.flowlens-view')"
        self.assertEqual(tab.evaluate(f"{views}.length"), 2)
        tab.evaluate(f"{views}[1].flowlens.select({{ token: 3, head: 2, expanded: false }})")
        self.assertEqual(self.state(tab)["head"], 0)
        self.assertEqual(tab.evaluate(f"{views}[1].flowlens.state().head"), 2)
        # What a notebook saved is the output as it came; opened again it is drawn by the scripts that are there.
        tab.evaluate(
            """body => {
                const saved = new DOMParser().parseFromString(body, "text/html").querySelector(".flowlens-view");
                document.querySelectorAll(".flowlens-view")[1].replaceWith(saved);
                flowlens.draw();
            }""", body)
        self.assertEqual(tab.evaluate(f"{views}[1].dataset.state"), "drawn")
        self.assertEqual(tab.evaluate(f"{views}[1].flowlens.state().head"), 0)

    def test_long_texts(self):
        tab = self.open(remade("long", "gemma2", long(512)))
        self.assertLess(tab.locator("*").count(), 300)
        self.assertLess(tab.locator(".fl-picture").bounding_box()["height"], 660)
        np.testing.assert_allclose(self.weights(tab, 1, 3).sum(1), 1, atol=1e-5)
        picture = self.picture(tab)
        x, y = self.place(tab, key=3)
        tab.mouse.move(x, y)
        tab.mouse.wheel(0, 900)
        self.until(lambda: self.picture(tab) != picture, "the wheel scrolls")
        x, y = self.place(tab, query=7)
        box = tab.locator(".fl-picture").bounding_box()
        self.assertTrue(box["y"] < y < box["y"] + box["height"])
        tab.mouse.click(x, y)
        self.assertEqual(self.state(tab)["token"], 7)
        tab.get_by_role("button", name="strongest first").click()
        for wanted in ["{ token: 500 }", "{ head: 7 }", "{ sorted: true }", "{ before: true }", "{ expanded: false }"]:
            tab.evaluate(f"{API}.select({wanted})")
            start = time.perf_counter()
            tab.evaluate(f"{API}.select({wanted})")
            self.assertLess(time.perf_counter() - start, 0.5, wanted)
        self.shot(tab, "neuron_long")

    def test_it_fits_the_place_that_it_gets(self):
        tab = self.family("gemma2", width=900)
        inner = "(place => place.scrollWidth - place.clientWidth)(document.querySelector('.fl-picture'))"
        self.assertEqual(tab.evaluate(inner), 0)
        tab.set_viewport_size({"width": 1500, "height": 900})
        width = lambda: tab.locator(".fl-picture canvas").bounding_box()["width"]
        self.until(lambda: width() > 1300, "the picture is as wide as its place")
        tab.set_viewport_size({"width": 500, "height": 900})
        self.until(lambda: tab.evaluate(inner) > 0, "the place scrolls")


if __name__ == "__main__":
    unittest.main()

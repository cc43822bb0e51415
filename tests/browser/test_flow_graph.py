"""The flow graph in a browser: drawn without a network, answering to mouse and keys.

The pages come from `tests/figure`, which leaves them in target/figures.
"""

import json
import unittest
import xml.etree.ElementTree

from _browser import PAGES, ROOT, BrowserTest, write_pages

SHOWN = ".fl-panel:not([hidden])"


def setUpModule():
    write_pages()


def middle(tab, selector):
    box = tab.locator(selector).first.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


class FlowGraph(BrowserTest):
    def test_plotly_draws_what_the_static_picture_shows(self):
        for name in ["layers", "chain", "parallel"]:
            with self.subTest(name):
                graph = json.loads((ROOT / f"tests/fixtures/figure/{name}.json").read_text())["graphs"][0]
                nodes = len(graph["nodes"])
                links = sum(link["kind"] != "Invisible" for link in graph["links"])
                still = self.open(f"{name}.html", wait=False, java_script_enabled=False)
                places = {}
                for shape in still.locator(f"{SHOWN} >> nth=0").locator("[data-node]").all():
                    places[shape.get_attribute("data-node")] = shape.locator("rect").bounding_box()
                tab = self.open(f"{name}.html")
                self.assertEqual(tab.locator(".flowlens-view").get_attribute("data-picture"), "plotly")
                drawn = tab.evaluate(
                    f"""[...document.querySelectorAll('{SHOWN} .sankey-node')].map(it => {{
                        const box = it.querySelector('rect').getBoundingClientRect();
                        return [it.dataset.node, box.x, box.y, box.width, box.height,
                                getComputedStyle(it.querySelector('rect')).fill]; }})"""
                )
                self.assertEqual(len(drawn), nodes)
                self.assertEqual(len(places), nodes)
                self.assertEqual(tab.locator(f"{SHOWN} .sankey-link").count(), links)
                colors = {color for *_, color in drawn}
                self.assertGreater(len(colors), 3, colors)
                wide = ".getBoundingClientRect().width"
                scale = tab.evaluate(f"document.querySelector('{SHOWN} .main-svg'){wide}") / still.evaluate(
                    f"document.querySelector('{SHOWN} svg'){wide}"
                )
                first = drawn[0][0]
                origin = [drawn[0][axis + 1] - scale * places[first]["xy"[axis]] for axis in (0, 1)]
                for node, x, y, _, height, _ in drawn:
                    box = places[node]
                    self.assertAlmostEqual(x, origin[0] + scale * box["x"], delta=1.5, msg=node)
                    self.assertAlmostEqual(y, origin[1] + scale * box["y"], delta=1.5, msg=node)
                    self.assertAlmostEqual(height, scale * box["height"], delta=1.5, msg=node)

    def test_hover_tells_the_whole_text(self):
        tab = self.open("layers.html")
        for selector, text in [
            (f"{SHOWN} .sankey-node[data-node='31']", 'key 8 [created from " the"]'),
            (f"{SHOWN} text[data-label='31']", 'key 8 [created from " the"]'),
        ]:
            tab.mouse.move(*middle(tab, selector), steps=3)
            tab.wait_for_selector(".fl-tip:not([hidden])")
            self.assertIn(text, tab.locator(".fl-tip").inner_text())
            self.assertIn('[status: " the": prob:0.012%, rank: 516)]', tab.locator(".fl-tip").inner_text())
            self.shot(tab, "hover")
            tab.mouse.move(2, 2)
            self.assertFalse(tab.locator(".fl-tip").is_visible())
        # A ribbon: the widest one runs along the top.
        tab.locator(".fl-choosers button").nth(1).click()
        tab.wait_for_selector(f"{SHOWN} .sankey-link")
        box = tab.locator(f"{SHOWN} .sankey-link[data-link='2']").bounding_box()
        tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=3)
        self.assertRegex(tab.locator(".fl-tip").inner_text(), r"→ anc\s+norm: \d")

    def test_no_units_are_left_over(self):
        tab = self.open("layers.html")
        tab.mouse.move(*middle(tab, f"{SHOWN} .sankey-node[data-node='0']"), steps=3)
        self.assertEqual(tab.locator(".hovertext").count(), 0)
        self.assertNotIn("TWh", tab.locator("body").inner_text())

    def test_click_traces_and_escape_restores(self):
        tab = self.open("layers.html")
        tab.mouse.click(*middle(tab, f"{SHOWN} .sankey-node[data-node='12']"))
        lit = tab.eval_on_selector_all(
            f"{SHOWN} .sankey-node:not(.fl-dim)", "list => list.map(it => it.dataset.node)"
        )
        # The value of a memory: from its key, its head's query, q/k/v, norm and stream; to its head and onwards.
        self.assertTrue({"0", "1", "7", "9", "11", "12", "10", "8", "2", "3", "6"} <= set(lit), lit)
        self.assertTrue({"13", "14", "15", "16"}.isdisjoint(lit), lit)
        self.assertLess(float(tab.locator(f"{SHOWN} .sankey-node[data-node='13']").evaluate(
            "it => { it.style.transition = 'none'; return getComputedStyle(it).opacity }")), 0.2)
        self.assertIn("lead to it", tab.locator(".fl-hint").inner_text())
        self.until(lambda: tab.evaluate("document.getAnimations().length") == 0, "nothing fades any more")
        self.shot(tab, "traced")
        tab.keyboard.press("Escape")
        self.assertEqual(tab.locator(".fl-dim").count(), 0)
        tab.mouse.click(*middle(tab, f"{SHOWN} .sankey-node[data-node='12']"))
        self.assertGreater(tab.locator(".fl-dim").count(), 0)
        box = tab.locator(f"{SHOWN} .fl-picture").bounding_box()
        tab.mouse.click(box["x"] + 40, box["y"] + box["height"] - 40)
        self.assertEqual(tab.locator(".fl-dim").count(), 0)

    def test_keys_reach_what_the_mouse_reaches(self):
        tab = self.open("layers.html")
        tab.locator(f"{SHOWN} .sankey-node[tabindex='0']").focus()
        here = "document.activeElement.dataset.node"
        self.assertEqual(tab.evaluate(here), "0")
        tab.keyboard.press("ArrowRight")
        self.assertEqual(tab.evaluate(here), "1" if tab.evaluate(here) == "1" else "3")
        tab.keyboard.press("ArrowRight")
        self.assertTrue(tab.locator(".fl-tip").is_visible())
        before = tab.evaluate(here)
        tab.keyboard.press("ArrowLeft")
        tab.keyboard.press("ArrowRight")
        self.assertEqual(tab.evaluate(here), before)
        tab.keyboard.press("Enter")
        self.assertGreater(tab.locator(".fl-dim").count(), 0)
        tab.keyboard.press("Escape")
        self.assertEqual(tab.locator(".fl-dim").count(), 0)
        self.assertEqual(tab.locator(f"{SHOWN} .sankey-node[tabindex='0']").count(), 1)
        self.assertEqual(tab.locator(f"{SHOWN} .sankey-node:not([aria-label])").count(), 0)

    def test_chooser_shows_one_layer_at_a_time(self):
        tab = self.open("layers.html")
        self.assertEqual(tab.locator(".fl-choosers button").all_inner_texts(), ["layer 0", "layer 2"])
        self.assertEqual(tab.locator(SHOWN).count(), 1)
        tab.locator(".fl-choosers button").nth(1).click()
        tab.wait_for_selector(f"{SHOWN} .sankey-node")
        self.assertEqual(tab.locator(f"{SHOWN} .fl-picture").get_attribute("data-name"), "layer 2")
        self.assertEqual(tab.locator(f"{SHOWN} .sankey-node").count(), 111)

    def test_numbers_stand_in_a_table_too(self):
        tab = self.open("layers.html")
        tab.locator(".fl-numbers summary").click()
        tab.wait_for_selector(".fl-numbers td")
        self.assertEqual(tab.locator(".fl-numbers tbody").first.locator("tr").count(), 111)
        self.assertIn("attention score", tab.locator(".fl-numbers").inner_text())

    def test_light_and_dark_follow_the_host_also_while_open(self):
        tab = self.open("layers.html", color_scheme="light")
        ink = f"getComputedStyle(document.querySelector('{SHOWN} text[data-label]')).fill"
        light = tab.evaluate(ink)
        self.shot(tab, "light")
        tab.emulate_media(color_scheme="dark")
        dark = tab.evaluate(ink)
        self.shot(tab, "dark")
        self.assertNotEqual(light, dark)
        # A host's own colours win, as JupyterLab names them.
        tab.evaluate("document.documentElement.style.setProperty('--jp-ui-font-color1', 'rgb(1, 2, 3)')")
        self.assertEqual(tab.evaluate(ink), "rgb(1, 2, 3)")

    def test_two_figures_share_one_plotly(self):
        tab = self.open("two.html")
        self.assertEqual(tab.locator("script[data-flowlens-plotly]").count(), 1)
        self.assertEqual(tab.locator(".flowlens-view[data-picture=plotly]").count(), 2)
        first, second = (tab.locator(".flowlens-view").nth(at) for at in (0, 1))
        tab.mouse.click(*middle(tab, f".flowlens-view >> nth=0 >> {SHOWN} .sankey-node[data-node='12']"))
        self.assertGreater(first.locator(".fl-dim").count(), 0)
        self.assertEqual(second.locator(".fl-dim").count(), 0)
        self.assertEqual(tab.evaluate("typeof Plotly + typeof PlotlyGeoAssets + typeof flowlens"), "undefinedundefinedobject")
        self.shot(tab, "two")

    def test_a_page_without_scripts_shows_the_picture(self):
        tab = self.open("layers.html", wait=False, java_script_enabled=False)
        self.assertEqual(tab.locator("svg").count(), 2)
        self.assertTrue(tab.locator("svg [data-node]").first.is_visible())
        self.assertEqual(tab.locator("svg [data-node] title").count(), 222)
        self.shot(tab, "no_scripts")

    def test_a_narrow_place_scrolls_inside_the_figure(self):
        tab = self.open("chain.html", width=900)
        self.until(lambda: tab.locator(".fl-map:not([hidden])").count() == 1, "the whole picture is seen small")
        place, small = tab.locator(f"{SHOWN} .fl-picture"), tab.locator(".fl-map").bounding_box()
        frame = lambda: tab.locator(".fl-map .fl-mark").bounding_box()
        self.assertLess(abs(frame()["x"] - small["x"]), 3)
        self.assertLess(frame()["width"], small["width"] / 1.3 + 3)
        tab.mouse.click(small["x"] + small["width"] - 2, small["y"] + 20)
        self.until(lambda: abs(frame()["x"] + frame()["width"] - small["x"] - small["width"]) < 5, "the end is in sight")
        self.assertGreater(place.evaluate("it => it.scrollLeft"), 0)
        place.evaluate("it => { it.scrollLeft = 0 }")
        width, room, page = tab.evaluate(
            "[document.querySelector('.fl-picture').scrollWidth, document.querySelector('.fl-picture').clientWidth,"
            " document.documentElement.scrollWidth]"
        )
        self.assertGreater(width, room)
        self.assertLessEqual(page, 900)

    def test_labels_of_a_column_stand_apart(self):
        for name in ["layers", "chain", "parallel"]:
            tab = self.open(f"{name}.html")
            boxes = tab.eval_on_selector_all(
                f"{SHOWN} .main-svg text[data-label]",
                "list => list.map(it => { const box = it.getBBox(); return [box.x, box.y, box.height]; })",
            )
            self.assertGreater(len(boxes), 100)
            columns = {}
            for x, y, height in boxes:
                columns.setdefault(round(x), []).append((y, height))
            for column in columns.values():
                column.sort()
                for (y, height), (below, _) in zip(column, column[1:]):
                    self.assertGreaterEqual(below, y + 0.8 * height)


class Notebook(BrowserTest):
    def test_outputs_of_several_cells(self):
        tab = self.open("notebook.html")
        views = tab.locator(".flowlens-view")
        self.assertEqual(
            [(it.get_attribute("data-view"), it.get_attribute("data-picture")) for it in views.all()],
            [("flow-graph", "plotly"), ("flow-graph", "plotly"), ("logit-lens", None), ("logit-lens", None),
             ("attention-maps", "plotly"), ("walk", "plotly")],
        )
        self.assertEqual(tab.locator("img").count(), 1, "only the layer that is not shown yet is still an image")
        self.shot(tab, "notebook")

    def test_outputs_without_scripts_are_images(self):
        tab = self.open("notebook.html", wait=False, java_script_enabled=False)
        self.assertEqual(tab.locator("img:visible").count(), 7)
        self.assertEqual(tab.locator("svg").count(), 0)
        drawn = tab.locator("img").evaluate_all("list => list.map(it => it.naturalWidth)")
        self.assertGreater(min(drawn), 300)
        self.shot(tab, "notebook_no_scripts")


class LogitLens(BrowserTest):
    def test_cells_tell_their_numbers_to_pointer_and_keys(self):
        tab = self.open("lens.html")
        tab.mouse.move(*middle(tab, "[data-cell='1 3']"), steps=3)
        text = tab.locator(".fl-tip").inner_text()
        self.assertIn("After layer 2, position 3", text)
        self.assertIn("“ Tokyo”: rank 2, ", text)
        tab.mouse.move(2, 2)
        tab.locator("[data-cell][tabindex='0']").focus()
        tab.keyboard.press("ArrowDown")
        tab.keyboard.press("ArrowRight")
        self.assertEqual(tab.evaluate("document.activeElement.dataset.cell"), "1 1")
        self.assertIn("After layer 2, position 1", tab.locator(".fl-tip").inner_text())
        self.shot(tab, "lens")
        fills = tab.locator("[data-cell] rect").evaluate_all("list => new Set(list.map(it => it.getAttribute('fill'))).size")
        self.assertGreater(fills, 15)


class Saved(BrowserTest):
    def test_saved_pictures_are_xml(self):
        for name in ["layers", "chain", "parallel"]:
            tree = xml.etree.ElementTree.parse(PAGES / f"{name}.svg")
            self.assertGreater(len(list(tree.iter("{http://www.w3.org/2000/svg}rect"))), 100)
            self.assertEqual(list(tree.iter("{http://www.w3.org/2000/svg}script")), [])
            tab = self.open(f"{name}.svg", wait=False)
            self.assertIsNone(tab.evaluate("window.ran ?? null"))


if __name__ == "__main__":
    unittest.main()

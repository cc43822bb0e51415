"""plotly.js, which one output carries for all: outputs of several cells in every order, in hosts of several kinds, and
where it is not there.

The outputs come from `tests/figure`, which leaves them in target/figures.
"""

import html
import json
import re
import unittest

from _browser import PAGES, BrowserTest, write_pages

LIBRARY = re.compile(r'<script type="text/plain" data-flowlens-plotly>.*?</script>', re.S)
# What a host does with an output: the scripts that innerHTML leaves dead are put in anew, and stay or go.
INSERT = """([output, stay]) => {
    const place = document.createElement('section');
    place.innerHTML = output;
    document.body.append(place);
    for (const dead of [...place.querySelectorAll('script')]) {
        const script = document.createElement('script');
        for (const { name, value } of stay ? dead.attributes : [dead.attributes.type].filter(Boolean)) script.setAttribute(name, value);
        script.textContent = dead.textContent;
        if (stay) dead.replaceWith(script);
        else {
            place.append(script);
            script.remove();
        }
    }
}"""
DRAWN, PLOTTED = ".flowlens-view[data-state=drawn]", ".flowlens-view[data-picture=plotly]"


def setUpModule():
    write_pages()


class Library(BrowserTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        flow, _, lens, maps, walk = json.loads((PAGES / "outputs.json").read_text())
        cls.library = LIBRARY.search(flow)[0]
        cls.flow, cls.bare_flow, cls.lens, cls.maps, cls.walk = flow, LIBRARY.sub("", flow), lens, maps, walk

    def page(self, *parts, **options):
        """A document of these parts, opened as a file."""
        path = PAGES / f"library_{self._testMethodName}.html"
        path.write_text(f'<!doctype html><meta charset="utf-8">{"".join(parts)}')
        self.addCleanup(path.unlink, missing_ok=True)
        return self.open(path.as_uri(), wait=False, **options)

    def settled(self, place, count):
        views = place.locator(DRAWN)
        self.until(lambda: views.count() == count, f"{count} figures have settled", 20)
        return views

    def plotted(self, place, count):
        views = place.locator(PLOTTED)
        self.until(lambda: views.count() == count, f"Plotly has drawn {count} figures", 60)
        self.assertEqual(place.locator(".fl-note").count(), 0)

    def assert_still(self, place, told):
        """The still picture is seen, and a line says why and what to do."""
        root = self.settled(place, 1)
        self.assertEqual(root.get_attribute("data-picture"), "svg")
        picture = root.locator(".fl-picture img, .fl-picture svg").first
        self.assertGreater(picture.bounding_box()["width"], 300)
        self.assertIn(told, root.locator(".fl-note").inner_text())

    def test_one_output_brings_it(self):
        for output, times in [(self.flow, 1), (self.maps, 0), (self.walk, 0), (self.lens, 0)]:
            self.assertEqual(len(LIBRARY.findall(output)), times)
        self.assertLess(len(self.library), 800_000)

    def test_figures_of_other_outputs_draw_wherever_it_stands(self):
        for parts in [(self.flow, self.walk, self.maps), (self.walk, self.maps, self.flow), (self.walk, self.lens, self.flow, self.maps)]:
            tab = self.page(*parts)
            self.plotted(tab, 3)
            self.assertEqual(tab.locator(".flowlens-view").count(), len(parts))
            tab.context.close()

    def test_twice_is_not_too_much(self):
        tab = self.page(self.flow, self.library, self.walk, self.library, self.maps)
        self.plotted(tab, 3)

    def test_without_it_the_still_picture_stays_and_says_what_to_do(self):
        tab = self.page(self.walk)
        picture = tab.locator(".fl-picture img")
        self.assertGreater(picture.bounding_box()["width"], 300, "from the beginning")
        self.assert_still(tab, "Run this cell again")
        self.assertEqual(picture.count(), 1)
        self.assertFalse(tab.locator(".fl-choosers").is_visible(), "nothing to choose in a still picture")
        self.shot(tab, "library_still")
        tab.locator("summary").click()
        self.until(lambda: tab.locator("td").count() > 50, "the numbers are there all the same")

    def test_a_flow_graph_without_it_answers(self):
        tab = self.page(self.bare_flow)
        self.assert_still(tab, "Run this cell again")
        box = tab.locator(".fl-panel:not([hidden]) [data-node='12']").first.bounding_box()
        tab.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        self.assertGreater(tab.locator(".fl-dim").count(), 0)
        # It comes later: what was traced stays traced.
        tab.evaluate(INSERT, [self.library + "<script>flowlens.unpack()</script>", True])
        self.plotted(tab, 1)
        self.assertGreater(tab.locator(".fl-dim").count(), 0)

    def test_a_late_output_brings_it_in_every_host(self):
        for stay in (True, False):
            tab = self.page("")
            tab.evaluate(INSERT, [self.maps, stay])
            self.assert_still(tab, "Run this cell again")
            tab.evaluate(INSERT, [self.flow, stay])
            self.plotted(tab, 2)
            # The output that had it is gone; on this page it is known all the same.
            tab.evaluate("document.querySelector('[data-view=flow-graph]').closest('section').remove()")
            tab.evaluate(INSERT, [self.walk, stay])
            self.plotted(tab, 2)
            tab.context.close()

    def test_outputs_in_frames_of_their_own_find_it_in_another(self):
        frame = '<iframe width="1200" height="700" srcdoc="{}"></iframe>'
        for outputs in [(self.flow, self.walk), (self.walk, self.flow)]:
            tab = self.page(*(frame.format(html.escape(output)) for output in outputs))
            for at in range(2):
                self.plotted(tab.frame_locator("iframe").nth(at), 1)
            tab.context.close()

    def test_frames_that_see_no_other_stay_still(self):
        frame = '<iframe sandbox="allow-scripts" width="1200" height="700" srcdoc="{}"></iframe>'
        tab = self.page(*(frame.format(html.escape(output)) for output in (self.flow, self.walk)))
        self.plotted(tab.frame_locator("iframe").nth(0), 1)
        self.assert_still(tab.frame_locator("iframe").nth(1), "Run this cell again")

    def test_a_library_that_cannot_be_unpacked_is_told_of(self):
        cut = self.library[:300_000] + "</script>"
        tab = self.page(cut, self.walk, "<script>flowlens.unpack()</script>")
        self.assert_still(tab, "A still picture, without Plotly: ")
        tab.context.close()
        tab = self.page("<script>delete globalThis.DecompressionStream</script>", self.library, self.walk)
        self.assert_still(tab, "this browser cannot unpack it")

    def test_without_scripts_every_picture_is_there(self):
        tab = self.page(self.flow, self.maps, self.walk, java_script_enabled=False)
        widths = tab.locator("img:visible").evaluate_all("list => list.map(it => it.getBoundingClientRect().width)")
        self.assertEqual(len(widths), 4)
        self.assertGreater(min(widths), 300)


if __name__ == "__main__":
    unittest.main()

"""A real Chromium with no network, for the tests beside this file."""

import functools
import os
import re
import shutil
import subprocess
import time
import unittest
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "target" / "figures"
SHOTS = PAGES / "screenshots"
# What a machine without a graphics card says of WebGL, and Plotly of its own button for the camera.
DRIVER = re.compile(r"GL Driver Message|Multiple readback operations|software WebGL|GPU stall|unrecognized GUI edit: scene\.aspect")
NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"]


def write_pages():
    """Has the Rust tests write the pages; nothing is compiled when nothing changed."""
    subprocess.run(["cargo", "test", "--quiet", "--locked", "--test", "figure", "writes_"], cwd=ROOT, check=True,
                   stdout=subprocess.DEVNULL)


@functools.cache
def chromium():
    """The browser that the machine has; playwright's own download is not needed."""
    found = os.environ.get("CHROME") or next(filter(None, map(shutil.which, NAMES)), None)
    if not found:
        raise RuntimeError("no Chromium found: install one (Debian: apt-get install chromium) or name one in CHROME")
    return found


class BrowserTest(unittest.TestCase):
    """Opens pages; every request and every complaint of a page is a failure."""

    # The one host that can be reached, if any.
    host = None

    @classmethod
    def setUpClass(cls):
        cls.playwright = sync_playwright().start()
        rules = "MAP * ~NOTFOUND" + (f", EXCLUDE {cls.host}" if cls.host else "")
        cls.browser = cls.playwright.chromium.launch(
            executable_path=chromium(),
            args=["--no-sandbox", f"--host-resolver-rules={rules}", "--disable-background-networking"],
        )

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()
        cls.playwright.stop()

    def setUp(self):
        self.complaints, self.requests = [], []

    def open(self, page, wait=True, width=1300, height=900, before=None, **options):
        """Opens a file of the pages' folder, or any address; waits until its figures are drawn. The script `before` runs
        before anything of the page does.
        """
        context = self.browser.new_context(viewport={"width": width, "height": height}, **options)
        self.addCleanup(context.close)
        if before:
            context.add_init_script(before)
        tab = context.new_page()
        tab.on("dialog", self.dismiss)
        tab.on("popup", lambda popup: self.complaints.append(f"popup: {popup.url}"))
        tab.on("console", lambda said: self.complaints.append(f"{said.type}: {said.text} ({said.location['url']})"))
        tab.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        address = page if "://" in str(page) else (PAGES / page).as_uri()
        tab.on("request", lambda request: request.url != address and self.requests.append(request.url))
        tab.goto(address)
        if wait:
            waiting = tab.locator(".flowlens-view:not([data-state=drawn])")
            self.until(lambda: waiting.count() == 0, "all figures are drawn", 30)
        return tab

    def dismiss(self, dialog):
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def until(self, holds, what, seconds=10):
        """Waits for a state of the page, however fast the machine is, and fails when it does not come."""
        end = time.monotonic() + seconds
        while not holds():
            self.assertLess(time.monotonic(), end, f"not within {seconds} s: {what}")
            time.sleep(0.01)

    def frame(self, tab):
        """Lets the page draw: what it has to do before its next picture is done afterwards."""
        tab.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def tearDown(self):
        self.assertEqual([said for said in self.complaints if not DRIVER.search(said)], [])
        self.assertEqual([url for url in self.requests if not url.startswith(("data:", "blob:"))], [])

    def shot(self, tab, name):
        SHOTS.mkdir(parents=True, exist_ok=True)
        tab.screenshot(path=SHOTS / f"{name}.png", full_page=True)

#!/usr/bin/env python3
"""Measures the head, model and neuron view beside BertViz 1.4.1 in the same headless Chromium and prints the table of the README.

    python benches/attention_views.py [--views head,model,neuron] [--sizes 16,64,128,256,512,1024,2048] [--flowlens PROGRAM]
                                      [--seconds 60] [--gigabytes 8] [--out FILE.md] [--json FILE.json]

Needs an environment with torch, ipython, bertviz 1.4.1 and playwright, a Chromium, and npm, which fetches the three scripts that BertViz
loads from a CDN; Linux, for the memory of processes. `make bench` calls it.

The data: 12 layers of 12 heads, each row the softmax of normal numbers with a standard deviation of 2. For the neuron view queries and keys
are random with heads of size 64: BertViz gets them from a stub of a model, Flowlens from a BERT of random weights.
BertViz's pages are as its `html_action='return'` gives them, only that the CDN is the same local server that serves all pages.

Both sides' pages are opened in turn, each in a browser of its own with an empty profile, 1280 x 900; three times, or once where that
lasts over 20 s; a number is the median. "Drawn" lasts from the start of the navigation to the second animation frame after the drawing is
there (Flowlens: data-state="drawn"). A second later the layer is changed, or a thumbnail clicked, and then a token hovered over; each
lasts from the event to the second animation frame after it, which takes 15 to 30 ms where nothing is to be done. Memory is the most that
the page's renderer process had resident; two thirds of what it has with an empty page are shared libraries.
Where BertViz has drawn nothing after --seconds, or its renderer went over --gigabytes, longer texts are not tried; pages are still weighed.
"""
import argparse
import functools
import http.server
import importlib.util
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time

import models

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LAYERS = HEADS = 12
WIDTH = 64
CDN = "https://cdnjs.cloudflare.com/ajax/libs/"
# Where BertViz looks under the CDN, and where npm has it. jQuery 2.0.0 is not on npm; the minified require.js neither.
SCRIPTS = {
    "require.js/2.3.6/require.min.js": ("requirejs@2.3.6", "require.js"),
    "d3/5.7.0/d3.min.js": ("d3@5.7.0", "dist/d3.min.js"),
    "jquery/2.0.0/jquery.min.js": ("jquery@2.1.0", "dist/jquery.min.js"),
}
NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"]
# The longest text that BertViz's page is made for; Flowlens goes on.
LONGEST_BESIDE = 512


def attention(tokens, layer):
    """Heads, queries, keys; the same for both sides."""
    import numpy as np
    weights = np.random.default_rng([tokens, layer]).standard_normal((HEADS, tokens, tokens), dtype=np.float32)
    weights *= 2
    np.exp(weights, out=weights)
    weights /= weights.sum(-1, keepdims=True)
    return weights


def words(tokens):
    return [f"w{position}" for position in range(tokens)]


# What each side does to make a page.

def bertviz_page(view, tokens, path):
    """Runs in a process of its own: for 512 tokens Python takes 9 GB."""
    import torch
    if view == "neuron":
        from bertviz.neuron_view import show
        made = show(StubModel(tokens), "bert", StubTokenizer(tokens), "any", html_action="return")
    else:
        import bertviz
        weights = [torch.from_numpy(attention(tokens, layer))[None] for layer in range(LAYERS)]
        made = getattr(bertviz, f"{view}_view")(weights, words(tokens), html_action="return")
    page = made.data
    del made
    with open(path, "w") as f:
        f.write(page.replace(CDN, "/"))


class StubModel:
    """Gives what BertViz's copy of BERT gives: as its last output a dictionary for each layer."""

    def __init__(self, tokens):
        self.tokens = tokens

    def eval(self):
        pass

    def __call__(self, ids):
        import torch
        random = torch.Generator().manual_seed(self.tokens)
        layers = []
        for _ in range(LAYERS):
            queries, keys = (2**0.5 * torch.randn(1, HEADS, self.tokens, WIDTH, generator=random) for _ in range(2))
            scores = queries @ keys.transpose(-1, -2) / WIDTH**0.5
            layers.append({"attn": scores.softmax(-1), "queries": queries, "keys": keys})
        return [layers]


class StubTokenizer:
    def __init__(self, tokens):
        self.words = words(tokens)
        self.cls_token, self.sep_token = self.words[0], self.words[-1]

    def tokenize(self, text):
        return self.words[1:-1]

    def convert_tokens_to_ids(self, tokens):
        return list(range(len(tokens)))


class BertViz:
    name = "BertViz"
    drawn = "document.querySelector('[id^=bertviz-] #vis svg')"
    token = {"head": "#vis #left > g:nth-of-type(2) > g:nth-of-type(3) text", "model": "#vis g.detail g:nth-of-type(3) text",
             "neuron": "#vis #collapsed g:nth-of-type(3) > text"}

    def make(self, view, tokens, path):
        # 46 bytes of page for each weight, and Python holds about five times that.
        needed = 2e9 + 5 * 46 * LAYERS * HEADS * tokens**2
        if needed > free_memory():
            return f"not made: Python would need {needed / 1e9:.0f} GB"
        subprocess.run([sys.executable, os.path.abspath(__file__), "--bertviz-page", view, str(tokens), path], check=True)

    def change_layer(self, tab):
        return timed(tab, """(() => { const list = document.querySelector('[id^=bertviz-] #layer');
                                      list.value = 1; list.dispatchEvent(new Event('change')); })()""")

    def thumbnail(self, tab):
        return middle(tab, "document.querySelector('#attn_background_0_1').getBoundingClientRect()")

    def row(self, tab, view):
        return middle(tab, f"document.querySelector('{self.token[view]}').getBoundingClientRect()")

    def check(self, tab, view):
        """What a click or a change must have led to: numbers of something that did not happen are worth nothing."""
        shown = "document.querySelectorAll('#vis .detail').length > 0" if view == "model" else "document.querySelector('#layer').value == 1"
        assert tab.evaluate(shown), f"BertViz's {view} view did not answer"


class Flowlens:
    name = "Flowlens"
    root = "document.querySelector('.flowlens-view')"
    drawn = "document.querySelector('.flowlens-view[data-state=drawn]')"

    def __init__(self, program, work):
        self.program, self.work = program, work

    def make(self, view, tokens, path):
        if view == "neuron":
            folder = models.bert(f"{self.work}/bert", 2048)
            source = ["--model", folder, "--text", " ".join(words(tokens)).replace(f"w{tokens}", "w0")]
        else:
            source = ["--attention", self.attention_file(tokens), "--tokens", f"{self.work}/tokens.json"]
        done = subprocess.run([self.program, f"{view}-view", *source, "--html", path], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                              text=True)
        if done.returncode:
            return f"refused: {done.stderr.strip().splitlines()[-1].removeprefix('error: ')}"

    def attention_file(self, tokens):
        """As safetensors, written layer by layer: 2,048 tokens are 2.4 GB."""
        path = f"{self.work}/attention.safetensors"
        with open(f"{self.work}/tokens.json", "w") as f:
            json.dump(words(tokens), f)
        size = 4 * HEADS * tokens**2
        header = {f"attentions.{layer}": {"dtype": "F32", "shape": [1, HEADS, tokens, tokens], "data_offsets": [layer * size, (layer + 1) * size]}
                  for layer in range(LAYERS)}
        head = json.dumps(header).encode()
        head += b" " * (-len(head) % 8)
        with open(path, "wb") as f:
            f.write(len(head).to_bytes(8, "little") + head)
            for layer in range(LAYERS):
                attention(tokens, layer).tofile(f)
        return path

    def change_layer(self, tab):
        # Of a very long text the page may hold one layer only; choosing it again draws it again.
        state = tab.evaluate(f"{self.root}.flowlens.state()")
        self.layer = next((layer for layer in state["layers"] if layer > state["layer"]), state["layer"])
        return timed(tab, f"{self.root}.flowlens.select({{layer: {self.layer}}})")

    def thumbnail(self, tab):
        return middle(tab, f"{self.root}.flowlens.bounds(0, 1)")

    def row(self, tab, view):
        return middle(tab, f"{self.root}.flowlens.place({{query: 2}})")

    def check(self, tab, view):
        state = tab.evaluate(f"{self.root}.flowlens.state()")
        assert (state["layer"], state["head"]) == (0, 1) if view == "model" else state["layer"] == self.layer, state


class Empty:
    """What a page costs that shows nothing."""

    name = "empty"
    drawn = "document.body"

    def make(self, view, tokens, path):
        with open(path, "w") as f:
            f.write("<!doctype html><title>empty</title><p>empty</p>")


# What is measured in a page: the same for both sides.

# Runs before the page's own scripts.
WATCH = """(() => { const look = () => requestAnimationFrame(() => {
    if (!(%s)) return look();
    requestAnimationFrame(() => requestAnimationFrame(() => { globalThis.benchDrawn = performance.now(); }));
}); look(); })()"""
# Milliseconds from the next event of a type to the second animation frame after it.
AWAIT = """type => { globalThis.benchSpent = null;
    addEventListener(type, event => requestAnimationFrame(() => requestAnimationFrame(() => {
        globalThis.benchSpent = performance.now() - event.timeStamp; })), { capture: true, once: true }); }"""


def timed(tab, action):
    return tab.evaluate(f"""() => new Promise(resolve => {{ const from = performance.now(); {action};
        requestAnimationFrame(() => requestAnimationFrame(() => resolve(performance.now() - from))); }})""")


def timed_event(tab, type, act):
    tab.evaluate(AWAIT, type)
    act()
    tab.wait_for_function("benchSpent !== null", timeout=0)
    return tab.evaluate("benchSpent")


def middle(tab, rectangle):
    """A point well inside a rectangle that the page tells, scrolled into sight."""
    return tab.evaluate(f"""() => {{ let box = {rectangle};
        if (box.top < 0 || box.bottom > innerHeight) {{ scrollBy(0, box.top - innerHeight / 3); box = {rectangle}; }}
        return [box.x + box.width / 2, box.y + box.height / 2]; }}""")


def open_page(playwright, side, view, address, limits):
    """Opens a page in a browser of its own; a dictionary of numbers, or the reason why there are none."""
    browser = playwright.chromium.launch(executable_path=chromium(), args=[
        "--no-sandbox", "--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost"])
    watch = Watch(*limits)
    said = []
    try:
        context = browser.new_context(viewport={"width": 1280, "height": 900}, bypass_csp=True)
        tab = context.new_page()
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("console", lambda message: message.type == "error" and said.append(message.text))
        context.add_init_script(WATCH % side.drawn)
        tab.goto(address, wait_until="commit", timeout=0)
        failed = "document.querySelector('[data-state=failed]')"
        tab.wait_for_function(f"globalThis.benchDrawn || {failed}", timeout=0)
        if tab.evaluate(f"!!{failed}"):
            return f"failed: {'; '.join(said)}"
        found = {"drawn": tab.evaluate("benchDrawn"), "elements": tab.evaluate("document.getElementsByTagName('*').length")}
        found["cpu"] = renderer_seconds()
        watch.restart()
        if view == "empty":
            return found | {"most": renderer_memory("VmHWM")}
        tab.wait_for_timeout(1000)
        if view == "model":
            found["change"] = timed_event(tab, "click", lambda: tab.mouse.click(*side.thumbnail(tab)))
        else:
            found["change"] = side.change_layer(tab)
        side.check(tab, view)
        tab.wait_for_timeout(200)
        place = side.row(tab, view)
        found["hover"] = timed_event(tab, "pointermove", lambda: tab.mouse.move(*place))
        found["elements"] = max(found["elements"], tab.evaluate("document.getElementsByTagName('*').length"))
        found["most"] = renderer_memory("VmHWM")
        if said:
            raise SystemExit(f"{side.name}'s {view} view complains: {said}")
        return found
    except Exception as error:  # a renderer that was ended shows up as one of several errors
        if watch.reason is None:
            raise
        return watch.reason
    finally:
        watch.stop()
        browser.close()


class Watch:
    """Ends the renderers of a page that takes too much time or memory."""

    def __init__(self, seconds, gigabytes):
        self.seconds, self.gigabytes = seconds, gigabytes
        self.reason, self.stopped = None, threading.Event()
        self.restart()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def restart(self):
        self.began = time.monotonic()

    def run(self):
        while not self.stopped.wait(0.2):
            if time.monotonic() - self.began > self.seconds:
                self.end(f"nothing in {self.seconds:g} s")
            elif renderer_memory("VmRSS") > self.gigabytes * 1e9:
                self.end(f"over {self.gigabytes:g} GB")

    def end(self, reason):
        self.reason = self.reason or reason
        for process in renderers():
            os.kill(process, signal.SIGKILL)

    def stop(self):
        self.stopped.set()
        self.thread.join()


def renderers():
    """Chromium's renderer processes among the descendants of this one."""
    parents, found = {}, []
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{process}/stat") as f:
                parents[int(process)] = int(f.read().rpartition(")")[2].split()[1])
            with open(f"/proc/{process}/cmdline", "rb") as f:
                if b"--type=renderer" in f.read():
                    found.append(int(process))
        except OSError:  # it has ended
            pass

    def ours(process):
        while process > 1 and process != os.getpid():
            process = parents.get(process, 0)
        return process == os.getpid()

    return [process for process in found if ours(process)]


def renderer_memory(field):
    """Of the page's own renderer: the largest, since Chromium keeps an empty one ready for a next page."""
    most = 0
    for process in renderers():
        try:
            with open(f"/proc/{process}/status") as f:
                most = max([most, *(1024 * int(line.split()[1]) for line in f if line.startswith(field))])
        except OSError:
            pass
    return most


def renderer_seconds():
    """Processor time of the busiest renderer: it says more than the clock where the machine has other work."""
    most = 0
    for process in renderers():
        with open(f"/proc/{process}/stat") as f:
            ticks = f.read().rpartition(")")[2].split()[11:13]
        most = max(most, sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK"))
    return most


def free_memory():
    with open("/proc/meminfo") as f:
        return next(1024 * int(line.split()[1]) for line in f if line.startswith("MemAvailable"))


@functools.cache
def chromium():
    found = os.environ.get("CHROME") or next(filter(None, map(shutil.which, NAMES)), None)
    return found or sys.exit("no Chromium found: install one (Debian: apt-get install chromium) or name one in CHROME")


def scripts(folder):
    """What BertViz loads from a CDN, laid out as there."""
    missing = {package for place, (package, _) in SCRIPTS.items() if not os.path.exists(f"{folder}/{place}")}
    for package in missing:
        tarball = subprocess.run(["npm", "pack", "--silent", package], cwd=folder, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
        shutil.unpack_archive(f"{folder}/{tarball}", f"{folder}/{package}")
        for place, (of, file) in SCRIPTS.items():
            if of == package:
                os.makedirs(os.path.dirname(f"{folder}/{place}"), exist_ok=True)
                shutil.copy(f"{folder}/{package}/package/{file}", f"{folder}/{place}")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        if self.path == "/favicon.ico":  # browsers ask for it, and complain to the console where there is none
            self.send_response(204)
            self.end_headers()
        else:
            super().do_GET()

    def copyfile(self, source, out):
        try:
            super().copyfile(source, out)
        except OSError:  # the renderer was ended
            pass


def serve(folder):
    server = http.server.ThreadingHTTPServer(("localhost", 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://localhost:{server.server_port}"


def measure(playwright, address, work, sides, view, tokens, limits, given_up):
    """For each side a dictionary of medians; `refused` says why there are none."""
    rows = {}
    pages = {}
    for side in sides:
        if side.name == "BertViz" and tokens > LONGEST_BESIDE:
            continue
        path = f"{work}/{side.name}.html"
        began = time.monotonic()
        refused = side.make(view, tokens, path)
        rows[side.name] = {"make": time.monotonic() - began}
        if refused:
            rows[side.name]["refused"] = refused
            continue
        rows[side.name]["bytes"] = os.path.getsize(path)
        if (side.name, view) in given_up:
            rows[side.name]["refused"] = "not tried"
        else:
            pages[side] = []
    slow = set()
    for _ in range(3):
        for side in [side for side in pages if side not in slow]:
            began = time.monotonic()
            pages[side].append(open_page(playwright, side, view, f"{address}/{side.name}.html", limits))
            if time.monotonic() - began > 20:
                slow.add(side)
    for side, found in pages.items():
        refused = next((one for one in found if isinstance(one, str)), None)
        if refused:
            rows[side.name]["refused"] = refused
            given_up.add((side.name, view))
        else:
            rows[side.name] |= {name: statistics.median(one[name] for one in found) for name in found[0]}
    for side in sides:
        if os.path.exists(f"{work}/{side.name}.html"):
            os.remove(f"{work}/{side.name}.html")
    return rows


COLUMNS = [("bytes", "page, MB", 1e6), ("drawn", "drawn, ms", 1), ("change", "layer or head chosen, ms", 1), ("hover", "hover, ms", 1),
           ("elements", "DOM elements", 1), ("most", "renderer, MB", 1e6)]


def table(results):
    lines = [f"| view, tokens | {' | '.join(title for _, title, _ in COLUMNS)} |", "|---" * (len(COLUMNS) + 1) + "|"]
    for (view, tokens), rows in results.items():
        cells = [cell(rows["Flowlens"], rows.get("BertViz"), name, unit) for name, _, unit in COLUMNS]
        lines.append(f"| {view}, {tokens:,} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def cell(ours, theirs, name, unit):
    """`0.2 (BertViz 26.5, 1/110)`"""
    mine = number(ours[name] / unit) if name in ours else ours["refused"] if name == "drawn" else "–"
    if not theirs:
        return mine
    if name not in theirs:
        return f"{mine} (BertViz: {theirs['refused']})" if name == "drawn" else mine
    if name not in ours:
        return f"{mine} (BertViz {number(theirs[name] / unit)})"
    ratio = theirs[name] / ours[name]
    return f"{mine} (BertViz {number(theirs[name] / unit)}, {f'1/{ratio:.0f}' if ratio >= 1.5 else f'{1 / ratio:.1f}'})"


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def missing():
    return [name for name, module in [("torch", "torch"), ("ipython", "IPython"), ("bertviz==1.4.1", "bertviz"), ("playwright", "playwright")]
            if importlib.util.find_spec(module) is None] + [name for name in ["npm"] if not shutil.which(name)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    listed = lambda text: text.split(",")
    parser.add_argument("--views", type=listed, default=["head", "model", "neuron"])
    parser.add_argument("--sizes", type=lambda text: [int(size) for size in text.split(",")], default=[16, 64, 128, 256, 512, 1024, 2048])
    parser.add_argument("--sides", type=listed, default=["Flowlens", "BertViz"])
    parser.add_argument("--flowlens", default=os.path.join(ROOT, "target", "release", "flowlens"))
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--gigabytes", type=float, default=8)
    parser.add_argument("--out")
    parser.add_argument("--json")
    parser.add_argument("--bertviz-page", nargs=3, metavar=("VIEW", "TOKENS", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bertviz_page:
        view, tokens, path = options.bertviz_page
        return bertviz_page(view, int(tokens), path)
    if missing():
        print(f"The attention views are not measured beside BertViz: {sys.executable} lacks {', '.join(missing())}. "
              "(BertViz's own requirements boto3 and sentencepiece are not used: pip install --no-deps bertviz==1.4.1)")
        return
    from playwright.sync_api import sync_playwright
    work = os.path.join(ROOT, "target", "attention-views")
    os.makedirs(work, exist_ok=True)
    scripts(work)
    sides = [side for side in [Flowlens(options.flowlens, work), BertViz()] if side.name in options.sides]
    address = serve(work)
    results, given_up = {}, set()
    with sync_playwright() as playwright:
        empty = measure(playwright, address, work, [Empty()], "empty", 0, (options.seconds, options.gigabytes), given_up)["empty"]
        for view in options.views:
            for tokens in options.sizes:
                rows = measure(playwright, address, work, sides, view, tokens, (options.seconds, options.gigabytes), given_up)
                results[view, tokens] = rows
                print(view, tokens, json.dumps(rows), file=sys.stderr, flush=True)
    for name in ["attention.safetensors", "tokens.json"]:
        if os.path.exists(f"{work}/{name}"):
            os.remove(f"{work}/{name}")
    if "Flowlens" in options.sides:
        text = table(results) + f"\nAn empty page: {empty['drawn']:.0f} ms and {empty['most'] / 1e6:.0f} MB.\n"
        print(text)
        save(options.out, text)
    rows = [{"view": view, "tokens": tokens, **rows} for (view, tokens), rows in results.items()]
    save(options.json, json.dumps({"empty": empty, "rows": rows}, indent=1))


def save(path, text):
    if path:
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        with open(path, "w") as f:
            f.write(text)


if __name__ == "__main__":
    main()

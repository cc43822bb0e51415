"""Views in a real JupyterLab on the Rust kernel, in a page that nbconvert makes, and in a saved file; none has a network.

JupyterLab runs with settings, a runtime folder and a list of trusted notebooks of its own, which go away with it.
"""

import os
import secrets
import signal
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.request
from pathlib import Path

import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from nbconvert import HTMLExporter

from _browser import ROOT, BrowserTest

PYTHON = ROOT / ".venv" / "bin" / "python"
MODEL = ROOT / "tests" / "fixtures" / "parity" / "llama_gqa"
VIEWS = ["head", "model", "neuron"]
CELLS = [
    f""":dep flowlens = {{ path = "{ROOT}" }}
use flowlens::prelude::*;
let model = Model::load("{MODEL}")?;
let trace = model.run(vec![1, 2, 3, 4, 5, 6])?;""",
    *(f"trace.{view}_view()" for view in VIEWS),
    'trace.head_view().build()?.save("saved.html")?;',
]
PAINTED = """canvas => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data
    .reduce((count, value, at) => count + (at % 4 === 3 && value > 0), 0)"""


class JupyterLab(BrowserTest):
    host = "127.0.0.1"

    @classmethod
    def setUpClass(cls):
        KernelSpecManager().get_kernel_spec("rust")  # an error that says that it is missing: `make kernel` brings it
        super().setUpClass()
        folder = tempfile.TemporaryDirectory(prefix="flowlens-lab-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = Path(folder.name)
        cls.work = cls.folder / "work"
        cls.work.mkdir()
        cls.environment = os.environ | {f"JUPYTER_{name}_DIR": str(cls.folder / name.lower()) for name in ["CONFIG", "DATA", "RUNTIME"]}
        cls.environment |= {f"JUPYTERLAB_{name}_DIR": str(cls.folder / name.lower()) for name in ["SETTINGS", "WORKSPACES"]}
        settings = cls.folder / "settings" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
        settings.parent.mkdir(parents=True)
        settings.write_text('{"fetchNews": "false", "checkForUpdates": false}')
        cls.token = secrets.token_hex(16)
        cls.start_server()

    @classmethod
    def start_server(cls):
        with socket.socket() as probe:
            probe.bind((cls.host, 0))
            port = probe.getsockname()[1]
        cls.address = f"http://{cls.host}:{port}"
        log = open(cls.folder / "server.log", "w+")
        cls.addClassCleanup(log.close)
        command = [PYTHON, "-m", "jupyterlab", "--no-browser", f"--ServerApp.ip={cls.host}", f"--ServerApp.port={port}",
                   "--ServerApp.port_retries=0", f"--ServerApp.root_dir={cls.work}", "--ServerApp.allow_root=True",
                   "--LabApp.extension_manager=readonly"]
        cls.server = subprocess.Popen(command, env=cls.environment | {"JUPYTER_TOKEN": cls.token}, stdout=log, stderr=subprocess.STDOUT,
                                      start_new_session=True)
        cls.addClassCleanup(cls.stop_server)
        end = time.monotonic() + 40
        while time.monotonic() < end and cls.server.poll() is None:
            try:
                return urllib.request.urlopen(f"{cls.address}/api/status?token={cls.token}", timeout=10).close()
            except OSError:
                time.sleep(0.1)
        log.seek(0)
        raise RuntimeError(f"JupyterLab did not start:\n{log.read()}")

    @classmethod
    def stop_server(cls):
        """The server ends its kernels before it ends itself."""
        cls.server.send_signal(signal.SIGTERM)
        try:
            cls.server.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(cls.server.pid, signal.SIGKILL)
            cls.server.wait()

    def test_first_run_second_run_reopened_and_converted(self):
        path = self.work / "views.ipynb"
        self.write(path)
        tab = self.open_notebook(path)
        self.run_all(tab)
        self.assert_drawn(tab, "first run")
        self.assert_answers(tab)
        tab.evaluate("document.querySelectorAll('.flowlens-view').forEach(root => { root.dataset.run = 'first'; })")
        self.run_all(tab)
        tab.wait_for_function("!document.querySelector('.flowlens-view[data-run=first]')", timeout=90000)
        self.assert_drawn(tab, "second run")
        self.save(tab, path)
        tab.context.close()

        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells[1 : len(VIEWS) + 1]:
            self.assertEqual([sorted(output.data) for output in cell.outputs], [["image/svg+xml", "text/html", "text/plain"]])
        self.sign(path)
        tab = self.open_notebook(path)
        self.assert_drawn(tab, "reopened and trusted")
        self.assert_answers(tab)
        tab.context.close()

        # Trust goes by content: with another title it is a notebook that nobody has signed.
        notebook.metadata["title"] = "from somebody else"
        stranger = self.work / "stranger.ipynb"
        nbformat.write(notebook, stranger)
        tab = self.open_notebook(stranger)
        self.assert_still(tab, "reopened and not trusted")
        tab.context.close()

        page = self.folder / "views.html"
        page.write_text(HTMLExporter().from_filename(path)[0])
        tab = self.open(page.as_uri())
        self.assert_drawn(tab, "converted")

        tab = self.open((self.work / "saved.html").as_uri())
        self.assertEqual(tab.locator(".flowlens-view[data-view=head]").count(), 1)
        self.shot(tab, "lab_saved")
        self.assert_quiet("saved")

    def write(self, path):
        kernel = {"name": "rust", "display_name": "Rust", "language": "rust"}
        cells = [nbformat.v4.new_code_cell(source) for source in CELLS]
        nbformat.write(nbformat.v4.new_notebook(metadata={"kernelspec": kernel}, cells=cells), path)

    def sign(self, path):
        subprocess.run([PYTHON, "-m", "nbformat.sign", path], env=self.environment, check=True, stdout=subprocess.DEVNULL)

    def open_notebook(self, path):
        tab = self.open(f"{self.address}/lab/tree/{path.name}?token={self.token}&reset", wait=False)
        tab.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60000)
        # Asked to run a cell before the kernel is there, JupyterLab asks which one to start.
        tab.get_by_text("Rust | Idle").wait_for(timeout=60000)
        return tab

    def run_all(self, tab):
        tab.locator(".lm-MenuBar-itemLabel", has_text="Run").click()
        tab.locator(".lm-Menu-itemLabel").get_by_text("Run All Cells", exact=True).click()

    def save(self, tab, path):
        with tab.expect_response(lambda answer: answer.request.method == "PUT" and answer.url.split("?")[0].endswith(path.name)):
            tab.keyboard.press("Control+s")

    def assert_drawn(self, tab, stage):
        for at, view in enumerate(VIEWS, 1):
            cell = tab.locator(".jp-Cell").nth(at)
            cell.scroll_into_view_if_needed()
            root = cell.locator(f".flowlens-view[data-view={view}]")
            failed = tab.locator(", ".join(f"[data-mime-type='application/vnd.jupyter.{kind}']" for kind in ["stderr", "error"]))
            root.and_(tab.locator("[data-state=drawn]")).or_(failed).first.wait_for(timeout=90000)
            self.assertEqual(failed.all_inner_texts(), [], stage)
            self.assertEqual(root.evaluate("root => root.flowlens.state().view"), view, stage)
            painted = root.locator("canvas").first.evaluate(PAINTED)
            self.assertGreater(painted, 100, f"{stage}: pixels of the {view} view that are not empty")
        self.shot(tab, f"lab {stage}".replace(" ", "_"))
        self.assert_quiet(stage)

    def assert_answers(self, tab):
        """A click into one view opens a head there, and changes nothing in the view above it."""
        states = "roots => roots.map(root => { const { layer, head } = root.flowlens.state(); return [layer, head]; })"
        roots = tab.locator(".flowlens-view")
        before = roots.evaluate_all(states)
        model = tab.locator(".flowlens-view[data-view=model]")
        model.evaluate("root => root.scrollIntoView()")
        x, y = model.evaluate("root => { const box = root.flowlens.bounds(0, 1); return [box.x + box.width / 2, box.y + box.height / 2]; }")
        tab.mouse.click(x, y)
        self.until(lambda: roots.evaluate_all(states)[1] == [0, 1], "the head opens")
        self.frame(tab)
        self.assertEqual(roots.evaluate_all(states), [before[0], [0, 1], before[2]])

    def assert_still(self, tab, stage):
        """Where scripts may not run, the static picture is seen."""
        for at, view in enumerate(VIEWS, 1):
            cell = tab.locator(".jp-Cell").nth(at)
            cell.scroll_into_view_if_needed()
            image = cell.locator(".flowlens-view img").first
            image.wait_for()
            self.assertGreater(image.evaluate("image => image.decode().then(() => image.naturalWidth)"), 100, view)
            self.assertEqual(cell.locator("canvas").count(), 0)
        self.shot(tab, f"lab {stage}".replace(" ", "_"))
        self.assert_quiet(stage)

    def assert_quiet(self, stage):
        """What JupyterLab tells itself (debug, info) is no complaint; a page of nbconvert's asks for scripts that our views do not need."""
        template = HTMLExporter()
        known = [template.require_js_url, template.mathjax_url, template.mermaid_js_url]
        complaints = [said for said in self.complaints if not said.startswith(("debug:", "info:", "log:"))]
        missing = tuple(f"error: Failed to load resource: net::ERR_NAME_NOT_RESOLVED ({url})" for url in known)
        self.assertEqual([said for said in complaints if said not in missing], [], stage)
        requests = [url for url in self.requests if not url.startswith(("data:", "blob:", self.address))]
        self.assertEqual([url for url in requests if url not in known], [], stage)
        self.complaints.clear(), self.requests.clear()

    def tearDown(self):
        self.assert_quiet("the end")


if __name__ == "__main__":
    unittest.main()

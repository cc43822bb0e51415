"""A real JupyterLab for tests, with settings, a runtime folder and a list of trusted notebooks of its own, which go away
with it.
"""

import json
import os
import re
import secrets
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from nbconvert import HTMLExporter

from _browser import DRIVER, ROOT, BrowserTest

PYTHON = ROOT / ".venv" / "bin" / "python"
# What JupyterLab says of itself on a machine with much to do.
SLOW = re.compile(r"warning: Plugin \S+ .*(took [0-9.]+ms|taking too long) to activate")
MODEL = ROOT / "tests" / "fixtures" / "parity" / "llama_gqa"


class LabTest(BrowserTest):
    """One server for a class, and notebooks on the kernel `rust`."""

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

    @classmethod
    def ask(cls, path, method="GET"):
        """The server's answer, as JSON."""
        request = urllib.request.Request(f"{cls.address}/api/{path}", method=method, headers={"Authorization": f"token {cls.token}"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or "null")

    def setUp(self):
        super().setUp()
        # Last of all, when no page looks any more.
        self.addCleanup(self.end_kernels)

    def end_kernels(self):
        self.until(self.no_kernel_is_left, "the kernels end", 60)

    def no_kernel_is_left(self):
        """Asks the server to end its kernels. It answers with an error while one of them starts, or when one has just ended by itself."""
        try:
            kernels = self.ask("kernels")
            for kernel in kernels:
                self.ask(f"kernels/{kernel['id']}", "DELETE")
        except urllib.error.HTTPError as error:
            if error.code not in (404, 500):
                raise
            return False
        return not kernels

    # ---- Notebooks ----

    def write(self, path, sources):
        kernel = {"name": "rust", "display_name": "Rust", "language": "rust"}
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        nbformat.write(nbformat.v4.new_notebook(metadata={"kernelspec": kernel}, cells=cells), path)

    def sign(self, path):
        subprocess.run([PYTHON, "-m", "nbformat.sign", path], env=self.environment, check=True, stdout=subprocess.DEVNULL)

    def open_notebook(self, path, **options):
        tab = self.open(f"{self.address}/lab/tree/{path.name}?token={self.token}&reset", wait=False, **options)
        tab.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60000)
        # Asked to run a cell before the kernel is there, JupyterLab asks which one to start.
        tab.get_by_text(re.compile(r"^Rust.* \| Idle$")).wait_for(timeout=60000)
        return tab

    def menu(self, tab, *names):
        """Chooses from the menu; a name may be the beginning of one."""
        tab.locator(".lm-MenuBar-itemLabel").get_by_text(names[0], exact=True).click()
        for name in names[1:]:
            tab.locator(".lm-Menu-itemLabel").get_by_text(re.compile(f"^{re.escape(name)}")).last.click()

    def run_all(self, tab):
        self.menu(tab, "Run", "Run All Cells")

    def save(self, tab, path):
        with tab.expect_response(lambda answer: answer.request.method == "PUT" and answer.url.split("?")[0].endswith(path.name)):
            tab.keyboard.press("Control+s")

    # ---- What JupyterLab says by itself ----

    def assert_quiet(self, stage):
        """What JupyterLab tells itself (debug, info) is no complaint; a page of nbconvert's asks for scripts that our views do not need."""
        template = HTMLExporter()
        addresses = [template.require_js_url, template.mathjax_url, template.mermaid_js_url]
        # A kernel that is restarted is away for a moment.
        said_by_itself = ("debug:", "info:", "log:", "warning: Connection lost, reconnecting")
        complaints = [said for said in self.complaints if not said.startswith(said_by_itself) and not DRIVER.search(said) and not SLOW.search(said)]
        missing = tuple(f"error: Failed to load resource: net::ERR_NAME_NOT_RESOLVED ({url})" for url in addresses)
        requests = [url for url in self.requests if not url.startswith(("data:", "blob:", self.address))]
        self.complaints.clear(), self.requests.clear()
        self.assertEqual([said for said in complaints if said not in missing], [], stage)
        self.assertEqual([url for url in requests if url not in addresses], [], stage)

    def tearDown(self):
        self.assert_quiet("the end")

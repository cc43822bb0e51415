"""The kernel "Rust (Flowlens)", spoken with over Jupyter's protocol as front ends do. `make kernel` installs it."""

import os
import re
import signal
import tempfile
import threading
import time
import unittest
from pathlib import Path
from queue import Empty

from jupyter_client import KernelManager

TIMEOUT = 90


class Cell:
    """What came of a cell: the reply and all messages to front ends, in their order."""

    def __init__(self, reply, messages):
        self.reply, self.messages = reply, messages
        self.status = reply["status"]

    def kinds(self):
        return [message["msg_type"] for message in self.messages if message["msg_type"] != "status"]

    def text(self, stream="stdout"):
        return "".join(message["content"]["text"] for message in self.of("stream") if message["content"]["name"] == stream)

    def of(self, kind):
        return [message for message in self.messages if message["msg_type"] == kind]

    @property
    def result(self):
        return self.of("execute_result")[0]["content"]["data"]

    @property
    def error(self):
        """The error's block without colours."""
        block = "\n".join(self.of("error")[0]["content"]["traceback"])
        return re.sub(r"\x1b\[[0-9;]*m", "", block)


class Kernel:
    """A kernel that runs."""

    def __init__(self, name="rust", **options):
        self.manager = KernelManager(kernel_name=name)
        self.manager.start_kernel(**options)
        self.client = self.manager.client()
        self.client.start_channels()

    def ready(self):
        self.client.wait_for_ready(timeout=TIMEOUT)
        return self

    @property
    def pid(self):
        return self.manager.provisioner.pid

    def run(self, code, timeout=TIMEOUT, during=None, **options):
        """Runs a cell. `during` is called with every message while it runs."""
        asked = self.client.execute(code, **options)
        return self.collect(asked, timeout, during)

    def collect(self, asked, timeout=TIMEOUT, during=None):
        messages, end = [], time.monotonic() + timeout
        while True:
            message = self.client.get_iopub_msg(timeout=max(end - time.monotonic(), 0.01))
            if message["parent_header"].get("msg_id") != asked:
                continue
            messages.append(message)
            if during:
                during(message)
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                break
        return Cell(self.answer(asked), messages)

    def answer(self, asked, timeout=TIMEOUT):
        """The reply to a request on the shell channel."""
        end = time.monotonic() + timeout
        while True:
            reply = self.client.get_shell_msg(timeout=max(end - time.monotonic(), 0.01))
            if reply["parent_header"].get("msg_id") == asked:
                return reply["content"]

    def interrupt_after(self, seconds):
        timer = threading.Timer(seconds, self.manager.interrupt_kernel)
        timer.start()
        return timer

    def cells(self):
        """The process that runs cells."""
        return next(pid for pid in children(self.pid) if exists(pid) and b"EVCXR_IS_RUNTIME=1" in environment(pid))

    def folder(self):
        """The folder that the kernel compiles in."""
        return Path(next(entry for entry in environment(self.cells()) if entry.startswith(b"EVCXR_TMPDIR=")).split(b"=", 1)[1].decode())

    def shut_down(self):
        self.client.stop_channels()
        if self.manager.has_kernel:
            self.manager.shutdown_kernel()
        self.manager.cleanup_resources()


def exists(pid):
    """Whether a process is there and more than the remains of one."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def environment(pid):
    return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")


def children(pid):
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1]) == pid:
                    found.append(int(entry.name))
            except OSError:
                pass
    return found


def until(condition, seconds=10):
    """Waits until the condition holds; whether it does."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


class KernelTest(unittest.TestCase):
    """Tests on one kernel, started in an empty folder."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="flowlens-cells-")
        cls.addClassCleanup(folder.cleanup)
        cls.kernel = Kernel(cwd=folder.name)
        cls.addClassCleanup(cls.kernel.shut_down)
        cls.kernel.ready()

    def run_cell(self, code, status="ok", **options):
        cell = self.kernel.run(code, **options)
        self.assertEqual(cell.status, status, cell.error if cell.of("error") else cell.messages)
        return cell

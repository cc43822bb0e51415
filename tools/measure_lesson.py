#!/usr/bin/env python3
"""Measures what a lesson takes: JupyterLab's server is started, the notebooks are opened in it as a browser would, all at once, and executed.

    measure_lesson.py [--core N] [--limit MB] [--read SECONDS] [--json FILE] NOTEBOOK...

first cell   from asking the server for the kernel to the answer of the first code cell, which is sent at once; with --read, from sending
             it so many seconds later
first figure the same, to the first HTML output
all cells    the same, to the answer of the last one
processor    the seconds of processor time that all of it together used up to then: on one quiet core a person waits about as long, and
             where other programs run, this number stays
memory       the most that the server and all that it started had at one moment: the sum of their proportional shares (PSS), sampled twenty
             times a second, and the parts of that moment. What two processes share is counted once; files that are mapped count.

--core N keeps everything on one core. --limit MB needs root and memory cgroups (version 1 or 2): everything runs in a group that may use
no more; what the kernel of the operating system counts there is the group's use with all cached files, which yield, and without them.
A cell that fails, or a process that the limit ends, is a failure of the measurement. Linux only.
"""

import argparse
import asyncio
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import uuid
from pathlib import Path

from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

COMPILERS = ("cargo", "rustc", "cc", "collect2", "ld", "ld.lld", "rust-lld", "gcc")


class Memory(threading.Thread):
    """Watches a process and all that it starts."""

    def __init__(self, root):
        super().__init__(daemon=True)
        self.root, self.over = root, False
        self.most, self.of_part = {"together": 0}, {}

    def run(self):
        while not self.over:
            now = {"jupyter": 0, "kernel": 0, "cells": 0, "compiler": 0}
            for pid in descendants(self.root):
                try:
                    now[kind(pid)] += pss(pid)
                except OSError:
                    continue
            self.of_part = {part: max(size, self.of_part.get(part, 0)) for part, size in now.items()}
            if sum(now.values()) > self.most["together"]:
                self.most = {"together": sum(now.values())} | now
            time.sleep(0.05)


def pss(pid):
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def kind(pid):
    name = Path(f"/proc/{pid}/comm").read_text().strip()
    if name in COMPILERS:
        return "compiler"
    if b"flowlens-kernel" in Path(f"/proc/{pid}/cmdline").read_bytes():
        return "cells" if b"EVCXR_IS_RUNTIME=" in Path(f"/proc/{pid}/environ").read_bytes() else "kernel"
    return "jupyter"


def processor(root):
    """Seconds that a process, all that it started, and all that has ended of that, have used; from now on."""
    ticks = 0
    for pid in descendants(root):
        try:
            ticks += sum(map(int, Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:15]))
        except OSError:
            continue
    return ticks / os.sysconf("SC_CLK_TCK")


def descendants(root):
    children = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int(entry.joinpath("stat").read_text().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError):
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found, to_see = [], [root]
    while to_see:
        found.append(to_see.pop())
        to_see += children.get(found[-1], [])
    return found


class Group:
    """A memory cgroup with a limit; what it counted at most. Files that are read count too, until others need the room."""

    def __init__(self, megabytes):
        first = Path("/sys/fs/cgroup/memory/memory.limit_in_bytes").exists()
        self.folder = Path("/sys/fs/cgroup/memory" if first else "/sys/fs/cgroup") / f"flowlens-{os.getpid()}"
        self.folder.mkdir()
        (self.folder / ("memory.limit_in_bytes" if first else "memory.max")).write_text(str(megabytes * 1_000_000))
        (self.folder / "cgroup.procs").write_text(str(os.getpid()))
        self.first = first

    def own(self):
        """What no file backs, in bytes."""
        for line in (self.folder / "memory.stat").read_text().splitlines():
            if line.split()[0] == ("total_rss" if self.first else "anon"):
                return int(line.split()[1])

    def killed(self):
        events = (self.folder / ("memory.oom_control" if self.first else "memory.events")).read_text()
        return next((int(line.split()[1]) for line in events.splitlines() if line.startswith("oom_kill ")), 0)


class Server:
    """A JupyterLab of this Python, on a free port of this machine."""

    def __init__(self, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.token = secrets.token_hex(16)
        self.log = tempfile.TemporaryFile()
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--port={self.port}", "--ServerApp.port_retries=0",
                   f"--IdentityProvider.token={self.token}", f"--ServerApp.root_dir={folder}"]
        command += ["--allow-root"] if os.getuid() == 0 else []
        self.process = subprocess.Popen(command, stdout=self.log, stderr=subprocess.STDOUT)
        for _ in range(1200):
            try:
                self.ask("GET", "api/status")
                return
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.1)
        self.log.seek(0)
        sys.exit(f"JupyterLab did not start:\n{self.log.read().decode()[-3000:]}")

    def ask(self, method, path, body=None):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/{path}", method=method, data=json.dumps(body).encode() if body else None,
                                         headers={"Authorization": f"token {self.token}", "Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


async def execute(channels, session, code):
    """Runs a cell; gives whether it showed HTML."""
    header = {"msg_id": uuid.uuid4().hex, "session": session, "username": "", "msg_type": "execute_request", "version": "5.3", "date": ""}
    content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False, "stop_on_error": True}
    await channels.write_message(json.dumps({"channel": "shell", "header": header, "parent_header": {}, "metadata": {}, "content": content, "buffers": []}))
    html = replied = idle = False
    while not (replied and idle):
        text = await channels.read_message()
        if text is None:
            sys.exit("the kernel's connection ended")
        message = json.loads(text)
        if message["parent_header"].get("msg_id") != header["msg_id"]:
            continue
        content = message["content"]
        html |= "text/html" in content.get("data", {})
        replied |= message["msg_type"] == "execute_reply"
        idle |= message["msg_type"] == "status" and content["execution_state"] == "idle"
        if message["msg_type"] == "error":
            sys.exit(f"this cell failed:\n{code}\n{content['ename']}: {content['evalue']}")
    return html


async def lesson(server, path, read):
    """Opens a notebook and runs its cells; gives the times, each as waited for and as used by the processor."""
    cells = ["".join(cell["source"]) for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    ask = {"path": path.name, "name": path.name, "type": "notebook", "kernel": {"name": "rust"}}
    began, used = time.monotonic(), processor(server.process.pid)
    opened = await asyncio.to_thread(server.ask, "POST", "api/sessions", ask)
    url = f"ws://127.0.0.1:{server.port}/api/kernels/{opened['kernel']['id']}/channels"
    channels = await websocket_connect(HTTPRequest(url, headers={"Authorization": f"token {server.token}"}), max_message_size=1 << 30)
    await asyncio.sleep(read)
    if read:
        began, used = time.monotonic(), processor(server.process.pid)
    times = {}
    for cell in cells:
        html = await execute(channels, opened["id"], cell)
        now = (time.monotonic() - began, processor(server.process.pid) - used)
        times.setdefault("first cell", now)
        if html:
            times.setdefault("first figure", now)
        times["all cells"] = now
    return times


async def lessons(server, paths, read):
    return await asyncio.gather(*(lesson(server, path, read) for path in paths))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--core", type=int)
    parser.add_argument("--limit", type=int, metavar="MB")
    parser.add_argument("--read", type=float, default=0, metavar="SECONDS")
    parser.add_argument("--json", type=Path)
    parser.add_argument("notebooks", nargs="+", type=Path)
    options = parser.parse_args()
    if options.core is not None:
        os.sched_setaffinity(0, [options.core])
    group = Group(options.limit) if options.limit else None
    server = Server(options.notebooks[0].resolve().parent)
    memory = Memory(server.process.pid)
    memory.start()
    own = [0]
    if group:
        threading.Thread(target=lambda: watch(group, memory, own), daemon=True).start()
    idle = sum(pss(pid) for pid in descendants(server.process.pid))
    try:
        times = asyncio.run(lessons(server, options.notebooks, options.read))
    finally:
        memory.over = True
        server.stop()
    result = {"notebooks": [path.stem for path in options.notebooks], "times": times, "jupyter alone": idle, "most": memory.most, "of each part": memory.of_part}
    for path, one in zip(options.notebooks, times):
        print(f"{path.stem}: " + ", ".join(f"{name} {waited:.1f} s (processor {used:.1f})" for name, (waited, used) in one.items()))
    parts = ", ".join(f"{part} {size / 1e6:.0f}" for part, size in memory.most.items() if part != "together")
    print(f"memory at its peak: {memory.most['together'] / 1e6:.0f} MB ({parts}); JupyterLab alone {idle / 1e6:.0f} MB")
    if group:
        result |= {"group without files": own[0], "killed": group.killed()}
        print(f"in a group of at most {options.limit} MB: {own[0] / 1e6:.0f} MB that no file backs; processes ended by the limit: {group.killed()}")
    if options.json:
        options.json.write_text(json.dumps(result, indent=1))
    sys.exit(bool(group and group.killed()))


def watch(group, memory, own):
    while not memory.over:
        own[0] = max(own[0], group.own())
        time.sleep(0.05)


main()

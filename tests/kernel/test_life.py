"""From start to end: what is answered when, and what is left behind."""

import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

from _kernel import Kernel, KernelTest, children, exists, until

# By hand: KERNELS=100 python -m unittest test_life
KERNELS = int(os.environ.get("KERNELS", 10))




def below(pid):
    """A process and all that it started."""
    return [pid] + [one for child in children(pid) for one in below(child)]


class Life(unittest.TestCase):
    def start(self, **options):
        kernel = Kernel(**options)
        self.addCleanup(kernel.shut_down)
        return kernel

    def test_it_answers_at_once_and_works_as_soon_as_it_can(self):
        start = time.monotonic()
        kernel = self.start()
        asked = kernel.client.kernel_info()
        information = kernel.answer(asked)
        ready = time.monotonic() - start
        self.assertLess(ready, 2)
        self.assertEqual(information["implementation"], "flowlens-kernel")
        self.assertEqual(information["language_info"]["pygments_lexer"], "rust")
        self.assertEqual(kernel.run("1 + 1").result["text/plain"], "2")
        print(f"ready after {ready:.2f} s, first cell after {time.monotonic() - start:.2f} s")

    def test_heartbeat_and_unknown_comms(self):
        kernel = self.start().ready()
        self.assertTrue(kernel.client.is_alive())
        self.assertTrue(until(kernel.client.hb_channel.is_beating))
        asked = kernel.client.comm_info()
        self.assertEqual(kernel.answer(asked), {"status": "ok", "comms": {}})
        message = kernel.client.session.msg("comm_open", {"comm_id": "c1", "target_name": "nobody", "data": {}})
        kernel.client.shell_channel.send(message)
        def closed():
            message = kernel.client.get_iopub_msg(timeout=5)
            return message["msg_type"] == "comm_close" and message["content"]["comm_id"] == "c1"
        self.assertTrue(until(closed))

    def test_every_way_to_end_leaves_nothing(self):
        def restart(kernel):
            kernel.manager.restart_kernel(now=False)
            kernel.ready()
            self.assertEqual(kernel.run("1").reply["execution_count"], 1)
            kernel.manager.shutdown_kernel()
        ways = {
            "shutdown": lambda kernel: kernel.manager.shutdown_kernel(),
            "restart": restart,
            ":quit": lambda kernel: (os.kill(kernel.cells(), signal.SIGKILL), time.sleep(1), kernel.client.execute(":quit")),
            "SIGTERM": lambda kernel: os.kill(kernel.pid, signal.SIGTERM),
            "SIGHUP": lambda kernel: os.kill(kernel.pid, signal.SIGHUP),
        }
        for name, end in ways.items():
            with self.subTest(name):
                kernel = self.start().ready()
                kernel.run("let a = 1;")
                kernel.client.execute("loop {}")
                time.sleep(1)
                processes, folder = below(kernel.pid), kernel.folder()
                self.assertGreater(len(processes), 1)
                start = time.monotonic()
                end(kernel)
                self.assertTrue(until(lambda: not any(map(exists, processes)), 60))
                if name not in ["restart", ":quit"]:
                    self.assertLess(time.monotonic() - start, 2)
                self.assertTrue(until(lambda: not folder.exists(), 1))

    def test_a_killed_kernel_is_cleaned_up_after(self):
        kernel = self.start().ready()
        kernel.run("1")
        cells, folder = kernel.cells(), kernel.folder()
        time.sleep(0.5)
        self.assertTrue(until(lambda: len(below(kernel.pid)) == 2))  # a compiler would go on for a moment
        kernel.manager.provisioner.process.kill()
        # On a busy machine it takes its time to end, and holds the folder's lock until then.
        kernel.manager.provisioner.process.wait(30)
        self.assertTrue(until(lambda: not exists(cells)))
        self.assertTrue(folder.exists())
        self.start().ready()
        self.assertTrue(until(lambda: not folder.exists()))

    def test_it_ends_with_the_program_that_started_it(self):
        program = "from jupyter_client import KernelManager; import time\n" \
            "manager = KernelManager(kernel_name='rust'); manager.start_kernel()\n" \
            "client = manager.client(); client.start_channels(); client.wait_for_ready(timeout=60)\n" \
            "print(manager.provisioner.pid, flush=True); time.sleep(60)"
        with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as starter:
            kernel = int(starter.stdout.readline())
            processes = below(kernel)
            starter.kill()
        self.assertTrue(until(lambda: not any(map(exists, processes))), 5)

    def test_two_at_once_know_nothing_of_each_other(self):
        one, two = self.start(), self.start()
        one.ready(), two.ready()
        one.run("let a = 1;"), two.run("let a = 2;")
        asked = [(kernel, kernel.client.execute("a")) for kernel in (one, two)]
        self.assertEqual([kernel.collect(cell).result["text/plain"] for kernel, cell in asked], ["1", "2"])
        self.assertNotEqual(one.folder(), two.folder())

    def test_one_after_another_leaves_nothing_behind(self):
        processes, shared = [], set(Path("/dev/shm").iterdir())
        with tempfile.TemporaryDirectory(prefix="flowlens-own-") as folder:
            for number in range(KERNELS):
                kernel = self.start(env=os.environ | {"TMPDIR": folder}).ready()
                if number % 5 == 0:
                    self.assertEqual(kernel.run("1 + 1").result["text/plain"], "2")
                    self.assertEqual(kernel.folder().parent, Path(folder))
                    self.assertEqual(kernel.run("std::env::temp_dir()").result["text/plain"], f'"{folder}"')
                processes += below(kernel.pid)
                kernel.shut_down()
            self.assertEqual([pid for pid in processes if exists(pid)], [])
            self.assertEqual(list(Path(folder).iterdir()), [])
        self.assertEqual({file for file in Path("/dev/shm").iterdir() if "flowlens" in file.name} - shared, set())

    def test_a_broken_configuration_is_said_and_harms_nothing(self):
        for where in ["folder", "home"]:
            with self.subTest(where), tempfile.TemporaryDirectory() as folder:
                (Path(folder) / "evcxr.toml").write_text("[evcxr\n")
                environment = os.environ | ({"EVCXR_CONFIG_DIR": folder} if where == "home" else {})
                cell = self.start(cwd=folder if where == "folder" else "/", env=environment).ready().run("1 + 1")
                self.assertEqual(cell.result["text/plain"], "2")
                self.assertIn("evcxr.toml", cell.text("stderr"))

    def test_a_persons_own_configuration_counts(self):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "prelude.rs").write_text("fn mine() -> i32 { 12 }")
            kernel = self.start(env=os.environ | {"EVCXR_CONFIG_DIR": folder}).ready()
            cell = kernel.run("mine()")
            self.assertEqual(cell.result["text/plain"], "12")
            self.assertNotIn("onfiguration", cell.text("stderr"))
            (Path(folder) / "init.evcxr").write_text("let broken: i32 = true;")
            cell = self.start(env=os.environ | {"EVCXR_CONFIG_DIR": folder}).ready().run("1")
            self.assertEqual(cell.result["text/plain"], "1")
            self.assertIn("configuration", cell.text("stderr"))


class Help(KernelTest):
    def complete(self, code, position=None):
        asked = self.kernel.client.complete(code, position)
        return self.kernel.answer(asked)

    def test_completion_knows_flowlens_and_variables(self):
        self.run_cell("let numbers = vec![1];")
        self.assertIn("len()", self.complete("numbers.le")["matches"])
        reply = self.complete("/* é */ numbers.le")
        self.assertEqual((reply["cursor_start"], reply["cursor_end"]), (16, 18))
        self.assertIn("Model", self.complete("{ use flowlens::prelude::*; let x = Mod")["matches"])
        self.assertEqual(self.complete("let x = nothing_like_that_")["matches"], [])

    def test_inspection_shows_documentation(self):
        for code, position in [("Vec::<i32>::with_capacity", 14), ("String::from_utf8(", 18)]:
            asked = self.kernel.client.inspect(code, position)
            reply = self.kernel.answer(asked)
            self.assertTrue(reply["found"], code)
            self.assertIn("<", reply["data"]["text/html"])
            self.assertTrue(reply["data"]["text/plain"])
        asked = self.kernel.client.inspect("nothing_like_that", 4)
        self.assertFalse(self.kernel.answer(asked)["found"])

    def test_history(self):
        self.run_cell("let h1 = 1;"), self.run_cell("let h2 = 2;"), self.run_cell("let h1 = 1;")
        client = self.kernel.client
        last = self.kernel.answer(client.history(hist_access_type="tail", n=2))["history"]
        self.assertEqual([entry[2] for entry in last], ["let h2 = 2;", "let h1 = 1;"])
        number = last[0][1]
        ranged = self.kernel.answer(client.history(hist_access_type="range", session=0, start=number, stop=number + 1))["history"]
        self.assertEqual([entry[2] for entry in ranged], ["let h2 = 2;"])
        found = self.kernel.answer(client.history(hist_access_type="search", pattern="let h1*", unique=True, n=9))["history"]
        self.assertEqual([entry[2] for entry in found], ["let h1 = 1;"])

"""The stop button on stock evcxr_jupyter, where that is installed beside (`flowlens-kernel install --evcxr`)."""

import os
import signal
import time
import unittest

from jupyter_client.kernelspec import KernelSpecManager

from _kernel import Kernel, children, exists, until
from test_interrupts import LOOKS, RUNNING, SLEEPS


@unittest.skipUnless("rust-evcxr" in KernelSpecManager().find_kernel_specs(), "stock evcxr_jupyter is not installed beside")
class Stock(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.kernel = Kernel(name="rust-evcxr")
        cls.addClassCleanup(cls.kernel.shut_down)
        cls.kernel.ready()
        cls.evcxr = children(cls.kernel.pid)[0]

    def run_cell(self, code, **options):
        return self.kernel.run(code, **options)

    def value(self, code):
        cell = self.run_cell(code)
        return cell.result["text/plain"] if cell.status == "ok" else None

    def interrupting(self, after):
        def during(message):
            if message["msg_type"] == "stream" and "runs" in message["content"]["text"]:
                time.sleep(after)
                self.kernel.manager.interrupt_kernel()
        return during

    def test_flowlens_is_there(self):
        self.assertEqual(self.value("use flowlens::prelude::*; 1"), "1")

    def test_a_call_that_looks_stops_and_variables_stay(self):
        self.run_cell("let kept = 3;"), self.run_cell(LOOKS)
        self.run_cell(RUNNING + "let stopped = long_call(60).is_err();", during=self.interrupting(0.3))
        self.assertEqual((self.value("kept"), self.value("stopped")), ("3", "true"))

    def test_idle_interrupts_do_nothing(self):
        self.run_cell("let kept = 4;")
        self.kernel.manager.interrupt_kernel()
        time.sleep(0.2)
        self.assertEqual(self.value("kept"), "4")

    def test_other_code_is_ended(self):
        self.run_cell("let lost = 5;")
        start = time.monotonic()
        cell = self.run_cell(RUNNING + SLEEPS, during=self.interrupting(0.2))
        self.assertEqual(cell.status, "error")
        self.assertLess(time.monotonic() - start, 20)
        self.assertEqual(self.value("1 + 1"), "2")

    def test_a_compiler_is_ended_and_nothing_else(self):
        self.run_cell("let kept = 6;")
        slow = "".join(f"fn f{i}(x: u64) -> u64 {{ let v: Vec<u64> = (0..x).map(|y| y * {i}).collect(); v.iter().sum() }}\n" for i in range(1500))
        timer = self.kernel.interrupt_after(0.8)
        cell = self.run_cell(slow + RUNNING)
        timer.join()
        self.assertEqual((cell.status, cell.text()), ("error", ""))
        self.assertEqual(self.value("kept"), "6")

    def test_it_ends_with_all_it_started(self):
        for end in [signal.SIGTERM, signal.SIGKILL]:
            kernel = Kernel(name="rust-evcxr").ready()
            evcxr = children(kernel.pid)[0]
            cells = children(evcxr)
            os.kill(kernel.pid, end)
            self.assertTrue(until(lambda: not any(map(exists, [evcxr, *cells]))))
            kernel.shut_down()

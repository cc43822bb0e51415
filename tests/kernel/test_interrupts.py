"""The stop button, and cells whose process dies."""

import os
import signal
import time

from _kernel import KernelTest, exists, until

# What the library does in a long call: it says that it looks, and looks.
LOOKS = r"""
fn long_call(seconds: u64) -> Result<(), String> {
    use std::os::unix::fs::FileExt;
    let file = std::fs::OpenOptions::new().read(true).write(true).open(std::env::var("FLOWLENS_INTERRUPT").unwrap()).unwrap();
    file.write_all_at(b"1", 1).unwrap();
    let end = std::time::Instant::now() + std::time::Duration::from_secs(seconds);
    let mut result = Ok(());
    while std::time::Instant::now() < end {
        let mut byte = [0];
        file.read_exact_at(&mut byte, 0).unwrap();
        if byte[0] == b'1' { result = Err("interrupted by the person".to_string()); break; }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    file.write_all_at(b"0", 1).unwrap();
    result
}
"""
SLEEPS = "std::thread::sleep(std::time::Duration::from_secs(60));"
RUNNING = 'println!("runs");'


class Interrupts(KernelTest):
    def setUp(self):
        self.run_cell("let kept = 3;")

    def assert_kept(self):
        self.assertEqual(self.run_cell("kept").result["text/plain"], "3")

    def interrupt_when_it_runs(self, after=0.0):
        def during(message):
            if message["msg_type"] == "stream" and "runs" in message["content"]["text"]:
                time.sleep(after)
                self.interrupted = time.monotonic()
                self.kernel.manager.interrupt_kernel()
        return during

    def test_a_call_that_looks_stops_and_variables_stay(self):
        self.run_cell(LOOKS)
        cell = self.run_cell(RUNNING + "long_call(60)?;", status="error", during=self.interrupt_when_it_runs(0.3))
        self.assertLess(time.monotonic() - self.interrupted, 1)
        self.assertEqual(cell.reply["evalue"], "interrupted by the person")
        self.assertEqual(cell.text("stderr"), "")
        self.assert_kept()
        # It does not reach a later cell.
        self.assertEqual(self.run_cell("long_call(1).is_ok()").result["text/plain"], "true")

    def test_code_that_does_not_look_is_ended_by_a_second_interrupt(self):
        said = []
        def during(message):
            if message["msg_type"] == "stream":
                said.append(message["content"]["text"])
                self.kernel.manager.interrupt_kernel()
        before = self.kernel.cells()
        cell = self.run_cell(RUNNING + SLEEPS, status="error", during=during)
        self.assertIn("second interrupt ends it", "".join(said))
        self.assertEqual(cell.reply["ename"], "Interrupted")
        self.assertIn("Lost: ", cell.error)
        self.assertIn("kept", cell.error.split("Lost:")[1])
        self.assertFalse(exists(before))
        self.run_cell("kept", status="error")

    def test_while_compiling_the_compiler_is_ended_and_nothing_runs(self):
        slow = "".join(f"fn f{i}(x: u64) -> u64 {{ let v: Vec<u64> = (0..x).map(|y| y * {i}).filter(|y| y % 3 == 1).collect(); v.iter().sum() }}\n" for i in range(1500))
        for seconds in [0.1, 0.4, 0.8]:
            timer = self.kernel.interrupt_after(seconds)
            cell = self.run_cell(slow + RUNNING, status="error")
            timer.join()
            self.assertEqual(cell.reply["ename"], "Interrupted")
            self.assertIn("nothing ran", cell.reply["evalue"])
            self.assertEqual(cell.text(), "")
            self.assert_kept()

    def test_a_command_of_the_shell_is_ended(self):
        timer = self.kernel.interrupt_after(0.5)
        start = time.monotonic()
        self.run_cell("!sleep 60", status="error")
        timer.join()
        self.assertLess(time.monotonic() - start, 5)
        self.assert_kept()

    def test_while_idle_nothing_happens(self):
        before = self.kernel.cells()
        for _ in range(3):
            self.kernel.manager.interrupt_kernel()
        time.sleep(0.3)
        self.assertEqual(self.kernel.cells(), before)
        self.assert_kept()

    def test_the_signal_does_the_same(self):
        self.run_cell(LOOKS)
        def during(message):
            if message["msg_type"] == "stream":
                time.sleep(0.2)
                os.kill(self.kernel.pid, signal.SIGINT)
        cell = self.run_cell(RUNNING + "long_call(60)?;", status="error", during=during)
        self.assertEqual(cell.reply["evalue"], "interrupted by the person")
        self.assert_kept()

    def test_what_waits_is_aborted(self):
        self.run_cell(LOOKS)
        client = self.kernel.client
        asked = [client.execute(RUNNING + "let stopped = long_call(60).is_err();", stop_on_error=False), client.execute("1 + 1")]
        first = self.kernel.collect(asked[0], during=self.interrupt_when_it_runs(0.3))
        self.assertEqual((first.status, self.kernel.collect(asked[1]).status), ("ok", "aborted"))

    def test_while_it_asks_for_a_line(self):
        asked = self.kernel.client.execute('println!("EVCXR_INPUT_REQUEST:?"); { let mut line = String::new(); std::io::stdin().read_line(&mut line).unwrap(); println!("<{line}>"); }', allow_stdin=True)
        self.kernel.client.get_stdin_msg(timeout=30)
        self.kernel.manager.interrupt_kernel()
        self.assertEqual(self.kernel.collect(asked).text(), "<\n>\n")


class Deaths(KernelTest):
    def assert_alive(self):
        self.assertEqual(self.run_cell("Point { x: 2 }.double()").result["text/plain"], "4")
        self.assertEqual(self.run_cell("BTreeMap::<i32, i32>::new().len()").result["text/plain"], "0")

    def setUp(self):
        self.run_cell("use std::collections::BTreeMap;\nstruct Point { x: i32 }\nimpl Point { fn double(&self) -> i32 { self.x * 2 } }\nlet held = 5;")

    def test_a_crash_is_said_in_words(self):
        for code, words in [
                ("unsafe { std::ptr::null_mut::<u8>().write_volatile(1) };", "SIGSEGV"),
                ("std::process::exit(7);", "exit status 7"),
                ("std::process::abort();", "SIGABRT"),
                ("fn deep(x: u64) -> u64 { let a = [x; 1000]; if x == 0 { 0 } else { deep(x + 1) + a[3] } }\ndeep(1);", "SIGABRT")]:
            with self.subTest(code):
                self.run_cell("let held = 5;")
                cell = self.run_cell('println!("before");' + code, status="error")
                self.assertEqual(len(cell.of("error")), 1)
                self.assertEqual(cell.text(), "before\n")
                self.assertIn(words, cell.error)
                self.assertIn("Lost: held", cell.error)
                self.assert_alive()

    def test_a_process_killed_while_it_runs(self):
        start = time.monotonic()
        def during(message):
            if message["msg_type"] == "stream":
                os.kill(self.kernel.cells(), signal.SIGKILL)
        cell = self.run_cell(RUNNING + SLEEPS, status="error", during=during)
        self.assertIn("SIGKILL", cell.error)
        self.assertLess(time.monotonic() - start, 10)
        self.assert_alive()

    def test_a_process_killed_while_idle(self):
        before = self.kernel.cells()
        os.kill(before, signal.SIGKILL)
        self.assertTrue(until(lambda: not exists(before)))
        cell = self.run_cell("1 + 1")
        self.assertEqual(cell.result["text/plain"], "2")
        self.assertIn("since the last cell", cell.text("stderr"))
        self.assertIn("SIGKILL", cell.text("stderr"))
        self.run_cell("let held = 6;")
        os.kill(self.kernel.cells(), signal.SIGKILL)
        cell = self.run_cell("held", status="error")
        self.assertIn("variables are gone", cell.text("stderr"))

    def test_a_background_process_of_a_cell_does_not_hold_the_kernel(self):
        self.run_cell('std::process::Command::new("sleep").arg("30").spawn().unwrap();')
        start = time.monotonic()
        self.run_cell("std::process::exit(0);", status="error")
        self.assertLess(time.monotonic() - start, 10)
        self.assert_alive()

"""Cells: results, printed text, displays, errors."""

import json
import tempfile
import time
from pathlib import Path

from _kernel import KernelTest

DISPLAY = r"""
fn show(number: usize, json: &str) {
    let folder = std::path::PathBuf::from(std::env::var("FLOWLENS_DISPLAYS").unwrap());
    std::fs::write(folder.join(format!("{number}.json")), json).unwrap();
    print!("\u{1e}flowlens-display {number}\u{1e}\n");
}
"""


class Cells(KernelTest):
    def test_results_and_counts(self):
        first = self.run_cell("let a = 41;")
        second = self.run_cell("a + 1")
        self.assertEqual(second.result, {"text/plain": "42"})
        self.assertEqual(second.reply["execution_count"], first.reply["execution_count"] + 1)
        self.assertEqual(second.kinds(), ["execute_input", "execute_result"])
        self.assertEqual(second.of("execute_result")[0]["content"]["execution_count"], second.reply["execution_count"])

    def test_empty_silent_and_unstored_cells_do_not_count(self):
        count = self.run_cell("1").reply["execution_count"]
        self.assertEqual(self.run_cell("  \n ").reply["execution_count"], count)
        silent = self.run_cell('println!("x"); 1', silent=True)
        self.assertEqual(silent.kinds(), [])
        self.assertEqual(self.run_cell("2", store_history=False).reply["execution_count"], count)
        self.assertEqual(self.run_cell("3").reply["execution_count"], count + 1)

    def test_flowlens_is_there_and_its_dependency_line_does_nothing(self):
        cell = self.run_cell(':dep flowlens = { path = "/nowhere" }\nuse flowlens::prelude::*;\nlet shape: Vec<usize> = vec![2];\nshape.len()')
        self.assertEqual(cell.result["text/plain"], "1")
        self.assertEqual(cell.text("stderr"), "")
        wrong = self.run_cell(':dep flowlens = "1"\nlet b: i32 = "a";', status="error")
        self.assertIn(f"cell {wrong.reply['execution_count']}:2:14", wrong.error)

    def test_text_comes_as_it_is_printed(self):
        times = []
        self.run_cell(
            'for i in 0..3 { println!("{i}"); std::thread::sleep(std::time::Duration::from_millis(300)); }',
            during=lambda message: times.append(time.monotonic()) if message["msg_type"] == "stream" else None)
        self.assertEqual(len(times), 3)
        self.assertGreater(times[2] - times[0], 0.4)

    def test_text_without_newline_is_neither_lost_nor_late(self):
        cell = self.run_cell('print!("abc");')
        self.assertEqual(cell.text(), "abc")
        seen = []
        def during(message):
            if message["msg_type"] == "stream":
                seen.append((time.monotonic(), message["content"]["text"]))
        cell = self.run_cell('print!("1"); std::thread::sleep(std::time::Duration::from_millis(600)); print!("2");', during=during)
        self.assertEqual(cell.text(), "12")
        self.assertGreater(seen[-1][0] - seen[0][0], 0.3)

    def test_both_streams_keep_their_names(self):
        cell = self.run_cell('println!("out"); eprintln!("err");')
        self.assertEqual((cell.text(), cell.text("stderr")), ("out\n", "err\n"))

    def test_bytes_that_are_no_text(self):
        cell = self.run_cell('{ use std::io::Write; std::io::stdout().write_all(b"\\xff\\n").unwrap(); std::io::stderr().write_all(b"\\xfe\\n").unwrap(); }')
        self.assertEqual(cell.text(), "\ufffd\n")
        self.assertEqual(self.run_cell("1").result["text/plain"], "1")

    def test_lines_of_one_moment_share_messages(self):
        cell = self.run_cell('for i in 0..2000 { println!("{i}"); }')
        self.assertEqual(cell.text(), "".join(f"{i}\n" for i in range(2000)))
        self.assertLess(len(cell.of("stream")), 100)

    def test_a_hundred_megabytes_are_cut_and_said(self):
        start = time.monotonic()
        cell = self.run_cell('for _ in 0..1_000_000 { println!("{:0>99}", 7); }')
        self.assertLess(len(cell.text()), 1_100_000)
        self.assertIn("99.0 MB more were printed", cell.text("stderr"))
        self.assertIn("File::create", cell.text("stderr"))
        self.assertLess(time.monotonic() - start, 30)
        self.assertEqual(self.run_cell('println!("x");').text(), "x\n")

    def test_a_huge_result_and_a_line_without_end_are_cut(self):
        cell = self.run_cell('"a".repeat(30_000_000)')
        self.assertLess(len(cell.result["text/plain"]), 1_100_000)
        self.assertIn("MB more", cell.text("stderr"))
        cell = self.run_cell('print!("{}", "b".repeat(30_000_000));')
        self.assertLess(len(cell.text()), 1_100_000)

    def test_displays_come_in_order_and_are_updated(self):
        self.run_cell(DISPLAY)
        cell = self.run_cell(r'''
            println!("before");
            show(1, r#"{"data": {"text/html": "<b>1</b>", "application/json": {"a": 1}}, "metadata": {"m": 2}, "display_id": "bar", "update": false}"#);
            print!("half ");
            show(2, r#"{"data": {"text/plain": "two"}, "metadata": {}, "display_id": "bar", "update": true}"#);
            println!("after");
            7''')
        self.assertEqual(cell.kinds(), ["execute_input", "stream", "display_data", "stream", "update_display_data", "stream", "execute_result"])
        display, update = cell.of("display_data")[0]["content"], cell.of("update_display_data")[0]["content"]
        self.assertEqual(display["data"], {"text/html": "<b>1</b>", "application/json": {"a": 1}})
        self.assertEqual((display["metadata"], display["transient"]), ({"m": 2}, {"display_id": "bar"}))
        self.assertEqual((update["data"], update["transient"]), ({"text/plain": "two"}, {"display_id": "bar"}))
        self.assertEqual([message["content"]["text"] for message in cell.of("stream")], ["before\n", "half ", "after\n"])
        self.assertEqual(list(self.kernel.folder().glob("displays/*.json")), [])

    def test_a_display_comes_while_the_cell_runs(self):
        self.run_cell(DISPLAY)
        times = {}
        self.run_cell(r'''show(3, r#"{"data": {"text/plain": "x"}}"#); std::thread::sleep(std::time::Duration::from_millis(700));''',
                      during=lambda message: times.setdefault(message["msg_type"] + message["content"].get("execution_state", ""), time.monotonic()))
        self.assertGreater(times["statusidle"] - times["display_data"], 0.5)

    def test_a_mark_without_a_file_is_text(self):
        self.assertEqual(self.run_cell(r'print!("\u{1e}flowlens-display 99\u{1e}\n");').text(), "\x1eflowlens-display 99\x1e\n")

    def test_bundles_of_other_crates(self):
        block = lambda mime, text: f'println!("EVCXR_BEGIN_CONTENT {mime}\\n{text}\\nEVCXR_END_CONTENT");'
        cell = self.run_cell(block("text/html", "<i>a</i>") + block("text/plain", "a"))
        self.assertEqual(cell.result, {"text/html": "<i>a</i>", "text/plain": "a"})
        cell = self.run_cell(block("text/html", "1") + 'println!("text");' + block("text/html", "2") + block("application/json", "[3]"))
        self.assertEqual(cell.kinds(), ["execute_input", "display_data", "stream", "execute_result"])
        self.assertEqual(cell.result, {"text/html": "2", "application/json": [3]})

    def test_commands_of_evcxr_work(self):
        self.run_cell("let named = 1u8;")
        self.assertIn("named: u8", self.run_cell(":vars").result["text/plain"])
        self.assertIn("Optimization: 0", self.run_cell(":opt 0").result["text/plain"])
        self.run_cell(":restart")
        self.assertIn("named", self.run_cell("named", status="error").error)
        self.assertEqual(self.run_cell("!echo hi").result["text/plain"].strip(), "hi")

    def test_crates_that_are_compiled_show_as_a_line_that_moves(self):
        kept = tempfile.TemporaryDirectory(prefix="flowlens-crate-")  # later cells are compiled with it too
        self.addClassCleanup(kept.cleanup)
        folder = Path(kept.name)
        (folder / "src").mkdir()
        (folder / "src" / "lib.rs").write_text("pub fn seven() -> i32 { 7 }")
        (folder / "Cargo.toml").write_text('[package]\nname = "small"\nversion = "0.1.0"\nedition = "2021"\n')
        cell = self.run_cell(f':dep small = {{ path = "{folder}" }}\nsmall::seven()')
        self.assertEqual(cell.result["text/plain"], "7")
        self.assertEqual(cell.of("display_data")[0]["content"]["data"]["text/plain"], "Compiling small (1 so far)")
        self.assertIn("Compiled 1 crate in", cell.of("update_display_data")[-1]["content"]["data"]["text/plain"])

    def test_user_expressions_are_answered(self):
        reply = self.run_cell("1", user_expressions={"a": "1 + 1"}).reply
        self.assertEqual(reply["user_expressions"]["a"]["status"], "error")

    def test_input(self):
        self.kernel.client.allow_stdin = True
        code = r'''{ println!("EVCXR_INPUT_REQUEST:name"); let mut line = String::new(); std::io::stdin().read_line(&mut line).unwrap(); println!("<{}>", line.trim()); }'''
        asked = self.kernel.client.execute(code, allow_stdin=True)
        request = self.kernel.client.get_stdin_msg(timeout=30)
        self.assertEqual(request["content"], {"prompt": "name", "password": False})
        self.kernel.client.input("Ada")
        self.assertEqual(self.kernel.collect(asked).text(), "<Ada>\n")
        self.assertEqual(self.run_cell(code, allow_stdin=False).text(), "<>\n")


class Errors(KernelTest):
    def test_compile_errors_are_one_block_with_lines(self):
        cell = self.run_cell('let fine = 1;\nlet wrong: i32 = "a";\nlet other: bool = 2;', status="error")
        self.assertEqual(len(cell.of("error")), 1)
        self.assertIn("mismatched types", cell.error)
        self.assertIn('let wrong: i32 = "a";', cell.error)
        self.assertIn("let other: bool = 2;", cell.error)
        self.assertEqual(cell.reply["evalue"], cell.of("error")[0]["content"]["evalue"])
        self.assertNotIn("38;5", json.dumps(cell.reply["traceback"]))

    def test_compile_errors_in_code_that_is_not_ascii(self):
        cell = self.run_cell('// größer\nlet wrong: i32 = "ä";', status="error")
        self.assertIn('let wrong: i32 = "ä";', cell.error)
        self.assertIn("^", cell.error)

    def test_warnings_are_not_errors(self):
        cell = self.run_cell("let unused = { let inner = 1; 2 };\nlet wrong: bool = 2;", status="error")
        self.assertNotIn("unused variable", cell.error)

    def test_a_panic_says_where_and_keeps_earlier_variables(self):
        self.run_cell("let kept = vec![1, 2, 3];")
        cell = self.run_cell("let fresh = 1;\nlet at = kept.len() + 6;\nlet y = kept[at];", status="error")
        self.assertIn("index out of bounds: the len is 3 but the index is 9", cell.error)
        self.assertIn("line 3 of this cell", cell.error)
        self.assertIn("let y = kept[at];", cell.error)
        self.assertEqual(cell.text("stderr"), "")
        for word in ["backtrace", "evcxr", "src/lib.rs"]:
            self.assertNotIn(word, cell.error)
        self.assertEqual(self.run_cell("kept.len()").result["text/plain"], "3")

    def test_a_panic_in_a_function_of_an_earlier_cell(self):
        count = self.run_cell("fn breaks() {\n    panic!(\"two\\nlines\");\n}").reply["execution_count"]
        cell = self.run_cell("breaks();", status="error")
        self.assertIn(f"line 2 of cell {count}", cell.error)
        self.assertIn("two\nlines", cell.error)

    def test_a_panic_that_is_caught_or_elsewhere_fails_nothing(self):
        cell = self.run_cell('let caught = std::panic::catch_unwind(|| { panic!("inside"); }).is_err(); caught')
        self.assertEqual(cell.result["text/plain"], "true")
        self.assertIn("inside", cell.text("stderr"))
        cell = self.run_cell('std::thread::spawn(|| panic!("beside")).join().is_err()')
        self.assertEqual(cell.result["text/plain"], "true")
        self.assertIn("beside", cell.text("stderr"))

    def test_a_question_mark_fails_the_cell_with_the_errors_own_text(self):
        self.run_cell("let number = 5;")
        cell = self.run_cell('println!("before");\nlet parsed: i32 = "x".parse()?;', status="error")
        self.assertEqual(cell.reply["evalue"], "invalid digit found in string")
        self.assertEqual((cell.text(), cell.text("stderr")), ("before\n", ""))
        self.assertEqual(self.run_cell("number").result["text/plain"], "5")

    def test_what_waits_behind_a_failure_is_aborted(self):
        client = self.kernel.client
        asked = [client.execute(code) for code in ["let x: i32 = true;", "let never = 1;", "1 + 1"]]
        cells = [self.kernel.collect(one) for one in asked]
        self.assertEqual([cell.status for cell in cells], ["error", "aborted", "aborted"])
        self.assertEqual(cells[1].kinds(), [])
        self.assertEqual(self.run_cell("never", status="error").reply["ename"], "Error")
        asked = [client.execute("let x: i32 = true;", stop_on_error=False), client.execute("1 + 1")]
        self.assertEqual([self.kernel.collect(one).status for one in asked], ["error", "ok"])

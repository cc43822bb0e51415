"""Jupyter's own suite for kernels."""

import jupyter_kernel_test


class Suite(jupyter_kernel_test.KernelTests):
    kernel_name = "rust"
    language_name = "rust"
    file_extension = ".rs"
    code_hello_world = 'println!("hello, world");'
    code_stderr = 'eprintln!("oh");'
    completion_samples = [{"text": "let t = (1, 2); t.0.count_on", "matches": ["count_ones()"]}]
    complete_code_samples = ["let x = 1;", "fn f() -> i32 { 1 }", '"a"', ":help"]
    incomplete_code_samples = ["fn f() {", "let x =", 'let s = "a', "/* a"]
    invalid_code_samples = ["}", "f(]"]
    code_inspect_sample = "String::new"
    code_execute_result = [{"code": "6 * 7", "result": "42"}]
    code_display_data = []
    code_history_pattern = "6 *"
    supported_history_operations = ("tail", "range", "search")
    code_generate_error = "let x: i32 = \"a\";"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.kc.execute_interactive("();", timeout=90)  # the suite's own timeouts are those of a kernel that is warm

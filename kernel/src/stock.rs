//! Stock evcxr_jupyter, for the test that the lessons run there too.

fn main() -> anyhow::Result<()> {
    evcxr_jupyter::main()
}

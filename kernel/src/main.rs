//! The Jupyter kernel of Flowlens.

fn main() {
    evcxr::runtime_hook();
}

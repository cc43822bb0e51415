//! The Jupyter kernel of Flowlens.

mod environment;
mod install;

fn main() {
    evcxr::runtime_hook();
}

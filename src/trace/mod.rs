//! A watched run: the sites, what to keep of them, what to change.

mod site;

pub use site::Site;

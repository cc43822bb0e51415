//! A run that is watched: what to keep of it, what to change in it, what it left behind.

mod change;
mod generate;
mod gradient;
mod grow;
mod keep;
mod recorder;
mod sampling;
mod save;
mod trace;
mod transformers;
mod watch;
mod writing;

pub use change::{Change, Scope};
pub use generate::{Generate, Generation};
pub(crate) use gradient::{Differentiable, gradients};
pub use keep::Estimate;
pub(crate) use keep::Keep;
pub(crate) use recorder::Recorder;
pub(crate) use save::write;
pub use trace::{NextToken, Trace};
pub use watch::Watch;

use crate::Result;
use crate::model::{Input, Model};

impl Model {
    /// Runs an input and keeps every site but [`Site::HeadOutput`](crate::Site::HeadOutput).
    ///
    /// # Errors
    /// When the input does not fit the model, or would keep more than 4 GB.
    pub fn run(&self, input: impl Into<Input>) -> Result<Trace> {
        self.watch(input).run()
    }

    /// Prepares a run: what to keep, what to change, how much memory it may take.
    pub fn watch(&self, input: impl Into<Input>) -> Watch {
        Watch::new(self.clone(), input.into())
    }

    /// Bytes that [`run`](Model::run) would keep, site by site.
    ///
    /// # Errors
    /// When the input does not fit the model.
    pub fn estimate(&self, input: impl Into<Input>) -> Result<Estimate> {
        self.watch(input).estimate()
    }

    /// Continues a text, token by token.
    pub fn generate(&self, input: impl Into<Input>) -> Generate {
        Generate::new(self.clone(), input.into())
    }
}

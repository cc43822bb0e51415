//! A run that is watched: what to keep of it, what to change in it, what it left behind.

mod batch;
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

pub use batch::WatchAll;
pub(crate) use batch::packed;
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
use crate::model::{Input, Model, Tokens};

impl Model {
    /// Runs an input and keeps every site but [`Site::HeadOutput`](crate::Site::HeadOutput).
    ///
    /// # Errors
    /// When the input does not fit the model, or the run would take more memory than its limit.
    pub fn run(&self, input: impl Into<Input>) -> Result<Trace> {
        self.watch(input).run()
    }

    /// Prepares a run: what to keep, what to change, how much memory it may take.
    pub fn watch(&self, input: impl Into<Input>) -> Watch {
        Watch::new(self.clone(), input.into())
    }

    /// Runs several inputs and keeps what [`run`](Model::run) keeps of each; short ones share a pass through the model.
    ///
    /// ```no_run
    /// # fn main() -> flowlens::Result<()> {
    /// let model = flowlens::Model::load("smollm2-135m")?;
    /// for trace in model.run_all(["The capital of Japan is", "The capital of France is the city of"])? {
    ///     println!("{}", trace.next_tokens(1)?[0].token);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When an input does not fit the model, or all together would take more memory than the limit.
    pub fn run_all(&self, inputs: impl IntoIterator<Item = impl Into<Input>>) -> Result<Vec<Trace>> {
        self.watch_all(inputs).run()
    }

    /// Prepares runs of several inputs: what to keep and to change in each, how much memory all may take.
    pub fn watch_all(&self, inputs: impl IntoIterator<Item = impl Into<Input>>) -> WatchAll {
        WatchAll::new(self.clone(), inputs.into_iter().map(Into::into).collect())
    }

    /// Bytes that [`run`](Model::run) would take: what it keeps, site by site, and what passes by.
    ///
    /// # Errors
    /// When the input does not fit the model.
    pub fn estimate(&self, input: impl Into<Input>) -> Result<Estimate> {
        self.watch(input).estimate()
    }

    /// Refuses a run for which not even what passes by has room.
    pub(crate) fn check_memory(&self, tokens: &Tokens) -> Result<()> {
        let passing = self.passing_bytes(tokens, tokens.len());
        Estimate { sites: Vec::new(), passing }.check(self.memory_limit_mb())
    }

    /// Continues a text, token by token.
    pub fn generate(&self, input: impl Into<Input>) -> Generate {
        Generate::new(self.clone(), input.into())
    }
}

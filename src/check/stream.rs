//! Lesson 2: the residual stream and the logit lens.

use super::Verdict;
use crate::{Result, Site, Trace};

/// How many numbers does the stream hold after one layer?
pub fn numbers_in_the_stream(answer: usize, trace: &Trace) -> Result<Verdict> {
    let stream = trace.get(Site::ResidPost(0))?;
    let (positions, width) = (stream.shape()[0], stream.shape()[1]);
    Ok(match answer {
        _ if answer == positions * width => Verdict::right("One vector at each position, all of the same width."),
        _ if answer == width => Verdict::not_yet("That is one position. How many are there?"),
        _ if answer == positions => Verdict::not_yet("That is how many vectors there are. How many numbers has each?"),
        _ => Verdict::not_yet("Look at `trace.get(Site::ResidPost(0))?`: its shape is (positions, width)."),
    })
}

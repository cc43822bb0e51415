//! Lines, bands and marks; a gap stays where a value is no number.

use std::fmt::Write;

use super::Frame;

/// The path through points, which begins anew after a gap.
fn path(frame: &Frame, points: &[(f64, f64)]) -> String {
    let mut path = String::new();
    let mut on = false;
    for &(x, y) in points {
        if x.is_finite() && y.is_finite() {
            let _ = write!(path, "{}{:.2} {:.2}", if on { 'L' } else { 'M' }, frame.x(x), frame.y(y));
        }
        on = x.is_finite() && y.is_finite();
    }
    path
}

/// A line through points.
pub(in super::super) fn line(frame: &Frame, points: &[(f64, f64)], color: &str, width: f64) -> String {
    format!(
        "<path d=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"{width}\" stroke-linejoin=\"round\"/>",
        path(frame, points)
    )
}

/// What lies between a lower and an upper value at each place.
pub(in super::super) fn band(frame: &Frame, points: &[(f64, f64, f64)], color: &str) -> String {
    let mut svg = String::new();
    let there = |point: &&[(f64, f64, f64)]| point.iter().all(|it| it.1.is_finite() && it.2.is_finite());
    for run in points.chunk_by(|a, b| a.1.is_finite() == b.1.is_finite()).filter(there) {
        let upper = run.iter().map(|&(x, _, high)| (x, high));
        let lower = run.iter().rev().map(|&(x, low, _)| (x, low));
        let outline: Vec<(f64, f64)> = upper.chain(lower).collect();
        let _ = write!(svg, "<path d=\"{}z\" fill=\"{color}\" fill-opacity=\"0.18\"/>", path(frame, &outline));
    }
    svg
}

/// A dot at each point, with a colour of its own.
pub(in super::super) fn marks(frame: &Frame, points: &[(f64, f64, String)], radius: f64) -> String {
    let mut svg = String::new();
    for (x, y, color) in points.iter().filter(|point| point.0.is_finite() && point.1.is_finite()) {
        let (x, y) = (frame.x(*x), frame.y(*y));
        let _ = write!(svg, "<circle cx=\"{x:.2}\" cy=\"{y:.2}\" r=\"{radius}\" fill=\"{color}\"/>");
    }
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_stay_gaps() {
        let frame = Frame { left: 0.0, top: 0.0, width: 10.0, height: 10.0, across: [0.0, 10.0], down: [10.0, 0.0] };
        let points = [(0.0, 0.0), (1.0, 5.0), (2.0, f64::NAN), (3.0, 1.0)];
        let svg = line(&frame, &points, "red", 1.0);
        assert!(svg.contains("d=\"M0.00 10.00L1.00 5.00M3.00 9.00\""), "{svg}");
        let svg = band(&frame, &[(0.0, 1.0, 2.0), (1.0, f64::NAN, f64::NAN), (2.0, 0.0, 1.0)], "red");
        assert_eq!(svg.matches("<path").count(), 2, "{svg}");
        assert_eq!(marks(&frame, &[(f64::NAN, 0.0, String::new())], 2.0), "");
    }
}

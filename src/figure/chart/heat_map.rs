//! Heat maps: shapes while there are few cells, one small image when there are many.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{Colors, Frame};
use crate::figure::base64::base64;
use crate::figure::png::png;

/// Cells that are drawn as shapes.
const MOST_SHAPES: usize = 4_096;

/// Numbers by row and column; what is no number stays blank.
#[derive(Clone, Copy)]
pub(in super::super) struct Grid<'a> {
    pub values: &'a [f32],
    pub columns: usize,
}

impl Grid<'_> {
    pub(in super::super) fn rows(&self) -> usize {
        self.values.len().checked_div(self.columns).unwrap_or(0)
    }
}

/// The cells in a frame, whose values count cells from -0.5 on; `edges` where columns differ in width.
pub(in super::super) fn heat_map(frame: &Frame, grid: Grid, edges: Option<&[f64]>, colors: &Colors) -> String {
    if grid.values.is_empty() {
        return String::new();
    }
    if grid.values.len() > MOST_SHAPES && edges.is_none() {
        image(frame, grid, colors)
    } else {
        shapes(frame, grid, edges, colors)
    }
}

/// How far a cell reaches under its neighbours: readers of PDF smooth edges, and paper would shine through the seams.
const SEAM: f64 = 0.3;

/// One path for each colour; neighbours of one colour are one rectangle.
fn shapes(frame: &Frame, grid: Grid, edges: Option<&[f64]>, colors: &Colors) -> String {
    let mut paths: BTreeMap<u8, String> = BTreeMap::new();
    let edge = |at: usize| frame.x(edges.and_then(|edges| edges.get(at).copied()).unwrap_or(at as f64 - 0.5));
    let rows = grid.rows();
    for (row, values) in grid.values.chunks(grid.columns).enumerate() {
        let under = if row + 1 < rows { SEAM } else { 0.0 };
        let (top, bottom) = (frame.y(row as f64 - 0.5), frame.y(row as f64 + 0.5) + under);
        let levels: Vec<u8> = values.iter().map(|&value| colors.level(value)).collect();
        let mut from = 0;
        for run in levels.chunk_by(|a, b| a == b) {
            let (left, right) = (edge(from), edge(from + run.len()));
            from += run.len();
            let right = if from < grid.columns { right + SEAM } else { right };
            if run[0] > 0 {
                let path = paths.entry(run[0]).or_default();
                let _ = write!(path, "M{left:.2} {top:.2}H{right:.2}V{bottom:.2}H{left:.2}z");
            }
        }
    }
    let mut svg = String::from("<g class=\"fl-cells\" shape-rendering=\"crispEdges\">");
    for (level, path) in paths {
        let _ = write!(svg, "<path {} d=\"{path}\"/>", colors.fill(level));
    }
    svg.push_str("</g>");
    svg
}

fn image(frame: &Frame, grid: Grid, colors: &Colors) -> String {
    let dots: Vec<u8> = grid.values.iter().map(|&value| colors.level(value)).collect();
    let image = base64(&png(grid.columns, grid.rows(), &dots, &colors.palette()));
    let (left, right) = (frame.x(-0.5), frame.x(grid.columns as f64 - 0.5));
    let (top, bottom) = (frame.y(-0.5), frame.y(grid.rows() as f64 - 0.5));
    format!(
        "<image x=\"{left:.2}\" y=\"{top:.2}\" width=\"{:.2}\" height=\"{:.2}\" preserveAspectRatio=\"none\" \
         style=\"image-rendering:pixelated\" href=\"data:image/png;base64,{image}\"/>",
        right - left,
        bottom - top
    )
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::*;

    fn frame(columns: usize, rows: usize) -> Frame {
        let across = [-0.5, columns as f64 - 0.5];
        Frame { left: 10.0, top: 20.0, width: 40.0, height: 40.0, across, down: [-0.5, rows as f64 - 0.5] }
    }

    #[test]
    fn few_cells_are_shapes_and_blanks_are_none() {
        let grid = Grid { values: &[1.0, 1.0, f32::NAN, 0.0], columns: 2 };
        let colors = Colors::fixed(Kind::Magnitude, 0.0, 1.0);
        let svg = heat_map(&frame(2, 2), grid, None, &colors);
        assert_eq!(svg.matches("<path").count(), 2, "{svg}");
        assert!(svg.contains("fill=\"#ffe945\" d=\"M10.00 20.00H50.00V40.30H10.00z\""), "two alike are one: {svg}");
        assert!(svg.contains("fill=\"#00204c\" d=\"M30.00 40.00H50.00V60.00H30.00z\""), "{svg}");
    }

    #[test]
    fn many_cells_are_one_image() {
        let values = vec![0.5; 10_000];
        let svg = heat_map(
            &frame(100, 100),
            Grid { values: &values, columns: 100 },
            None,
            &Colors::fixed(Kind::Root, 0.0, 1.0),
        );
        assert!(svg.starts_with("<image x=\"10.00\" y=\"20.00\" width=\"40.00\" height=\"40.00\""), "{svg}");
        assert!(svg.len() < 2_000 && !svg.contains("<path"));
        assert_eq!(
            heat_map(&frame(1, 1), Grid { values: &[], columns: 0 }, None, &Colors::fixed(Kind::Root, 0.0, 1.0)),
            ""
        );
    }
}

//! The still form of maps: as they open, each over the strip of its colours.

use super::maps::{Block, Layer, Maps};
use crate::figure::Panel;
use crate::figure::chart::{self, Anchor, Colors, Frame, Grid, STRIP, Sheet};

const GAP: f64 = 26.0;

pub(super) fn picture(maps: &Maps, block: &Block, layer: &Layer, colors: &[Colors]) -> Panel {
    let kinds: Vec<usize> =
        (0..maps.kinds.len()).filter(|&kind| layer.values.get(kind).is_some_and(Option::is_some)).collect();
    let heads = if layer.heads.is_empty() { vec![0] } else { maps.first.heads.clone() };
    // One head's kinds stand two by two, several heads' below one another.
    let across = if heads.len() == 1 && kinds.len() > 2 { 2 } else { kinds.len().max(1) };
    let (rows, columns) = (block.rows.len(), block.columns.len());
    let most = if across > 2 { 220.0 } else { 340.0 };
    let cell = (most / rows.max(columns).max(1) as f64).min(22.0);
    let (width, height) = ((cell * columns as f64).max(170.0), (cell * rows as f64).max(24.0));
    let beside = chart::tokens(maps.axes[0], block.rows, height);
    let below = chart::tokens(maps.axes[1], block.columns, width);

    let mut sheet = Sheet::default();
    let mut name = layer.name.clone();
    if maps.blocks.len() > 1 {
        name = format!("{}, {name}", block.name);
    }
    sheet.muted(14.0, 14.0, Anchor::Start, &name);
    let mut top = 22.0;
    let places: Vec<(usize, usize)> =
        heads.iter().flat_map(|&head| kinds.iter().map(move |&kind| (kind, head))).collect();
    for line in places.chunks(across) {
        let mut left = 14.0 + beside.beside();
        let mut bottom = top;
        for (at, &(kind, head)) in line.iter().enumerate() {
            let Some(values) = layer.map(kind, head) else { continue };
            let title = match layer.heads.get(head) {
                Some(number) => format!("{}, head {number}", maps.kinds[kind].title),
                None => maps.kinds[kind].title.clone(),
            };
            sheet.text(left, top + 12.0, Anchor::Start, &title);
            let frame = frame(left, top + 20.0, width, height, columns, rows);
            sheet.add(&chart::heat_map(&frame, Grid { values: &values, columns }, None, &colors[kind]));
            let (axes, lowest) = frame.axes(Some(&below), (at == 0).then_some(&beside));
            sheet.add(&axes);
            sheet.add(&chart::strip(left, lowest + 8.0, width, &values, &colors[kind]));
            bottom = bottom.max(lowest + 8.0 + STRIP);
            left += width + GAP;
            sheet.reach(left, bottom);
        }
        top = bottom + 6.0;
    }
    if let Some(cka) = maps.cka.filter(|cka| cka.shape().len() == 2 && cka.shape()[0] == maps.blocks[0].layers.len()) {
        similar_layers(&mut sheet, block, cka.data());
    }
    sheet.panel(&maps.title)
}

fn frame(left: f64, top: f64, width: f64, height: f64, columns: usize, rows: usize) -> Frame {
    let ends = |count: usize| [-0.5, count.max(1) as f64 - 0.5];
    Frame { left, top, width, height, across: ends(columns), down: ends(rows) }
}

/// How alike layers are as wholes, right of the map.
fn similar_layers(sheet: &mut Sheet, block: &Block, cka: &[f32]) {
    let names: Vec<String> = block.layers.iter().map(|layer| layer.name.clone()).collect();
    let count = names.len();
    let side = (count as f64 * 18.0).clamp(90.0, 220.0);
    let beside = chart::Axis::named("", chart::thinned(&names, side));
    let below = chart::Axis { upright: true, ..beside.clone() };
    let left = sheet.width + beside.beside();
    let colors = Colors::fixed(chart::Kind::Magnitude, 0.0, 1.0);
    sheet.text(left, 34.0, Anchor::Start, "CKA between layers");
    let frame = frame(left, 42.0, side, side, count, count);
    sheet.add(&chart::heat_map(&frame, Grid { values: cka, columns: count }, None, &colors));
    let (axes, lowest) = frame.axes(Some(&below), Some(&beside));
    sheet.add(&axes);
    sheet.add(&chart::strip(left, lowest + 8.0, side, cka, &colors));
    sheet.reach(left + side + 24.0, lowest + 8.0 + STRIP);
}

//! One row of logits, scanned: the best and worst entries and the ranks of given ones.

use rayon::prelude::*;

use crate::Result;
use crate::error::caught;

/// What a row of logits says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scanned {
    /// Indices of the largest entries, largest first; ties by index.
    pub top: Vec<usize>,
    /// Indices of the smallest entries, smallest first; ties by index.
    pub bottom: Vec<usize>,
    /// For each target: 1 + the number of larger entries.
    pub ranks: Vec<usize>,
}

/// Scans one row. `targets` must lie inside the row.
pub(super) fn scan(row: &[f32], top: usize, bottom: usize, targets: &[u32]) -> Scanned {
    let ranks = targets
        .iter()
        .map(|&target| {
            let own = row[target as usize];
            1 + row.iter().filter(|&&logit| logit > own).count()
        })
        .collect();
    Scanned { top: best(row, top, |a, b| a > b), bottom: best(row, bottom, |a, b| a < b), ranks }
}

/// The first `count` indices in the order of `before`. Scanning upwards and asking for strictly better keeps the
/// smaller index among equals.
fn best(row: &[f32], count: usize, before: impl Fn(f32, f32) -> bool) -> Vec<usize> {
    const BLOCK: usize = 64;
    let mut kept: Vec<usize> = Vec::with_capacity(count + 1);
    if count == 0 {
        return kept;
    }
    for (start, block) in (0..).step_by(BLOCK).zip(row.chunks(BLOCK)) {
        let last = (kept.len() == count).then(|| row[kept[count - 1]]);
        // Asked of a whole block at once, as processors like it: nearly every block has nothing for the list.
        if let Some(last) = last
            && !block.iter().fold(false, |found, &value| found | before(value, last))
        {
            continue;
        }
        for (index, &value) in (start..).zip(block) {
            let full = kept.len() == count;
            if value.is_nan() || full && !before(value, row[kept[count - 1]]) {
                continue;
            }
            let place = kept.partition_point(|&other| !before(value, row[other]));
            kept.insert(place, index);
            kept.truncate(count);
        }
    }
    kept
}

/// Scans all rows of a (rows, width) block, each for its own targets, on all cores.
///
/// # Errors
/// When a row makes the scan panic; no row is ever left out, since that would shift the readings of those behind it.
pub(super) fn scan_rows<'a>(
    block: &[f32],
    width: usize,
    top: usize,
    bottom: usize,
    targets: &(impl Fn(usize) -> &'a [u32] + Sync),
) -> Result<Vec<Scanned>> {
    let scan_row = |(index, row): (usize, &[f32])| scan(row, top, bottom, targets(index));
    caught("reading vectors as words", || block.par_chunks_exact(width.max(1)).enumerate().map(scan_row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_the_smaller_id_and_share_the_best_rank() {
        let row = [1., 3., 3., 0., 3., 0.];
        let found = scan(&row, 2, 3, &[4, 0, 3]);
        assert_eq!(found.top, [1, 2]);
        assert_eq!(found.bottom, [3, 5, 0]);
        assert_eq!(found.ranks, [1, 4, 5]);
    }

    #[test]
    fn asks_for_more_than_there_is_and_meets_nan() {
        let found = scan(&[2., f32::NAN, 1.], 5, 0, &[0]);
        assert_eq!(found.top, [0, 2]);
        assert!(found.bottom.is_empty());
    }

    #[test]
    fn finds_the_best_of_many_blocks() {
        let row: Vec<f32> = (0..1000).map(|i| ((i * 7919) % 1009) as f32).collect();
        let mut order: Vec<usize> = (0..1000).collect();
        order.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
        let found = scan(&row, 9, 4, &[]);
        assert_eq!(found.top, order[..9]);
        assert_eq!(found.bottom, order.iter().rev().take(4).copied().collect::<Vec<_>>());
    }

    #[test]
    fn threads_keep_the_order_of_the_rows() {
        let block: Vec<f32> = (0..70).map(|i| ((i * 37) % 70) as f32).collect();
        let found = scan_rows(&block, 7, 1, 1, &|_| [0u32].as_slice()).unwrap();
        assert_eq!(found.len(), 10);
        for (row, found) in block.chunks(7).zip(&found) {
            assert_eq!(*found, scan(row, 1, 1, &[0]));
        }
    }

    #[test]
    fn a_panic_in_one_row_is_an_error_and_not_a_missing_row() {
        let block = [1f32; 70];
        let lost = |row: usize| if row == 3 { [9u32].as_slice() } else { [0u32].as_slice() };
        let error = scan_rows(&block, 7, 1, 1, &lost).unwrap_err().to_string();
        assert!(error.contains("reading vectors as words") && error.contains("index out of bounds"), "{error}");
        assert!(error.contains("report"), "{error}");
    }
}

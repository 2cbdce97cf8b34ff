//! What it costs to go over an array block by block.
//!
//! What is decoded again is found by looking at ever smaller parts of the sweep: the tiles of a part that a cache holds are
//! decoded once for it.

use super::keep;
use super::reads::{self, Written};
use crate::graph::{Kind, NodeId};
use crate::plan::{Plan, Stage, eval};
use ops_core::Region;
use std::collections::BTreeMap;

/// What a stage costs, in nanoseconds: what it computes, and what it decodes as far as it is not kept decoded. Caches have
/// the `share`th part of what they would like.
pub(super) fn nanos(plan: &Plan, written: &Written, stage: &Stage, class: usize, share: u64) -> f64 {
    let grid = plan.grid(stage, class);
    let counts = grid.counts();
    if grid.count() == 0 {
        return 0.0;
    }
    let middle = counts.iter().fold(0u64, |n, c| n * c + (c - 1) / 2);
    let one = grid.region(middle);
    // Parts of a sweep, the whole first and one block last: how many there are, and bytes of the tiles that one touches.
    let mut sweeps: BTreeMap<NodeId, Vec<(f64, f64)>> = BTreeMap::new();
    let mut nanos = 0.0;
    for whole_from in 0..=counts.len() {
        let (mut part, mut parts) = (one.clone(), 1.0);
        for (axis, count) in counts.iter().enumerate() {
            match axis < whole_from {
                true => parts *= *count as f64,
                false => (part.lo[axis], part.hi[axis]) = (0, grid.shape()[axis] as i64),
            }
        }
        let task = eval::task(plan, stage, 0, class, &part);
        let mut touched: BTreeMap<NodeId, f64> = BTreeMap::new();
        for piece in &task.pieces {
            let node = plan.graph.node(piece.node);
            match &node.kind {
                _ if piece.read => {
                    *touched.entry(piece.node).or_default() +=
                        decoded(plan, written, (stage, class), piece.node, &piece.region)
                }
                Kind::Map(op) | Kind::Join(op) if whole_from == counts.len() => {
                    nanos += parts * piece.region.volume() as f64 * f64::from(op.nanos_per_element());
                }
                _ => {}
            }
        }
        touched.into_iter().for_each(|(node, bytes)| sweeps.entry(node).or_default().push((parts, bytes)));
    }
    for (node, parts) in sweeps {
        let kept = (reads::wanted(plan, written, stage, node, class) / share.max(1)) as f64;
        let once = parts.iter().find(|(_, bytes)| *bytes <= kept).or(parts.last());
        nanos += once.map_or(0.0, |(n, bytes)| n * bytes * f64::from(keep::READ_NANOS_PER_BYTE));
    }
    nanos
}

/// Bytes that are decoded where a stage reads a region of an array.
fn decoded(plan: &Plan, written: &Written, (stage, class): (&Stage, usize), node: NodeId, region: &Region) -> f64 {
    let meta = plan.graph.node(node).meta(class);
    let elements = match reads::tile(plan, written, stage, node, class) {
        Some(tile) => {
            reads::tiles(region, &tile).volume() as f64 * tile.iter().fold(1.0, |v, n| v * (*n).max(1) as f64)
        }
        None => region.volume() as f64,
    };
    elements * meta.dtype.size() as f64
}

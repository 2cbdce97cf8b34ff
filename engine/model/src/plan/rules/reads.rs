//! Decides what open sources keep of what they decoded.
//!
//! A tile that two tasks need, as at the halo of a filter, is decoded once if it is kept in between. Where each tile
//! belongs to one task, keeping it would only take memory, and the time to fetch from memory what the processor's
//! cache still has.

use super::{decide, keep};
use crate::catalog::Access;
use crate::graph::{Kind, NodeId};
use crate::plan::{Cache, Group, Plan, Stage, eval};
use ops_core::Region;
use std::collections::{BTreeMap, BTreeSet};

/// Item classes that are looked at: what holds for these is taken to hold for all.
const CLASSES: usize = 16;

/// Sets the caches of every group; `share` divides what is kept, for a plan that has to be small.
pub(super) fn apply(plan: &mut Plan, share: u64) {
    for at in 0..plan.groups.len() {
        let stages: Vec<&Stage> = plan.groups[at].stages.iter().map(|&s| plan.stage(s)).collect();
        let source = |n: &NodeId| matches!(plan.graph.node(*n).kind, Kind::Source(_));
        let read = stages.iter().flat_map(|s| s.nodes.iter().filter(|n| source(n)).map(|n| (*n, false)));
        let again =
            stages.iter().flat_map(|s| s.reads.iter().filter(|n| plan.stored.contains_key(n)).map(|n| (*n, true)));
        let all: BTreeSet<(NodeId, bool)> = read.chain(again).collect();
        let mut caches = Vec::new();
        let mut decisions = Vec::new();
        for (node, stored) in all {
            let Some(why) = worth(plan, &plan.groups[at], node, stored) else { continue };
            let wanted = (0..plan.graph.classes(plan.graph.node(node).family))
                .map(|c| kept(plan, &plan.stored, node, stored, c))
                .max();
            let bytes = wanted.unwrap_or(0) / share.max(1);
            if bytes > 0 {
                let label = plan.graph.node(node).label();
                decisions.push(decide("cache", label, format!("{} of decoded tiles", keep::human(bytes)), why));
                caches.push(Cache { node, stored, bytes });
            }
        }
        plan.groups[at].caches = caches;
        plan.decisions.extend(decisions);
    }
}

/// Bytes that the reader of a source, or of an array that is read where it was written, would like to keep.
fn kept(plan: &Plan, written: &Written, node: NodeId, stored: bool, class: usize) -> u64 {
    match (&plan.graph.node(node).kind, stored) {
        (_, true) => {
            let o = written.get(&node);
            o.map_or(0, |&o| plan.graph.outputs[o].cache_bytes(plan.graph.node(node).meta(class)))
        }
        (Kind::Source(input), false) => plan.graph.source(*input, class).cache_bytes,
        _ => 0,
    }
}

/// Arrays that are read where they were written, and by which output that is.
pub(super) type Written = BTreeMap<NodeId, usize>;

/// The same for what a stage reads.
pub(super) fn wanted(plan: &Plan, written: &Written, stage: &Stage, node: NodeId, class: usize) -> u64 {
    kept(plan, written, node, stage.reads.contains(&node), class)
}

/// The tiles in which a stage reads an array; `None` for one that has none.
pub(super) fn tile(plan: &Plan, written: &Written, stage: &Stage, node: NodeId, class: usize) -> Option<Vec<u64>> {
    let n = plan.graph.node(node);
    match n.kind {
        _ if stage.reads.contains(&node) => written.get(&node).map(|&o| plan.graph.outputs[o].chunks(n.meta(class))),
        Kind::Source(input) => match &plan.graph.source(input, class).access {
            Access::Tiles(tile) => Some(tile.clone()),
            _ => None,
        },
        _ => None,
    }
}

/// Why tiles of a source, or of an array that is read where it was written, should be kept; `None` where each is needed once.
fn worth(plan: &Plan, group: &Group, node: NodeId, stored: bool) -> Option<&'static str> {
    let reads = move |s: &&Stage| if stored { s.reads.contains(&node) } else { s.nodes.contains(&node) };
    let readers = |c| group.stages_of(c).iter().map(|&s| plan.stage(s)).filter(reads);
    let classes = 0..plan.graph.classes(plan.graph.node(node).family).min(CLASSES);
    if classes.clone().any(|c| readers(c).any(|s| shares(plan, s, node, c))) {
        return Some("neighbouring blocks need the same tiles");
    }
    let fits = |c| kept(plan, &plan.stored, node, stored, c) >= plan.graph.node(node).meta(c).bytes();
    classes.into_iter().any(|c| readers(c).count() > 1 && fits(c)).then_some("several stages read it, and it fits")
}

/// True when a block and the next one along some axis read from the same tile.
fn shares(plan: &Plan, stage: &Stage, node: NodeId, class: usize) -> bool {
    let Some(tile) = tile(plan, &plan.stored, stage, node, class) else { return false };
    let grid = plan.grid(stage, class);
    let counts = grid.counts();
    if grid.count() == 0 {
        return false;
    }
    let read = |block: u64| -> Vec<Region> {
        let task = eval::task(plan, stage, 0, class, &grid.region(block));
        task.pieces.iter().filter(|p| p.read && p.node == node).map(|p| tiles(&p.region, &tile)).collect()
    };
    let mut step = 1u64;
    for &n in counts.iter().rev() {
        // At the start every misfit of block and tile shows; in the middle reads are not cut off at an edge.
        for first in [0, n.saturating_sub(1) / 2] {
            if first + 1 < n {
                let (a, b) = (read(first * step), read((first + 1) * step));
                if a.iter().any(|a| b.iter().any(|b| !a.intersect(b).is_empty())) {
                    return true;
                }
            }
        }
        step = step.saturating_mul(n);
    }
    false
}

/// The numbers of the tiles that a region touches.
pub(super) fn tiles(region: &Region, tile: &[u64]) -> Region {
    let number = |(i, n): (&i64, &u64)| i.div_euclid((*n).max(1) as i64);
    let lo: ops_core::Index = region.lo.iter().zip(tile).map(number).collect();
    let hi: ops_core::Index = region.hi.iter().zip(tile).map(|(i, n)| number((&(i - 1), n)) + 1).collect();
    Region::new(lo, hi)
}

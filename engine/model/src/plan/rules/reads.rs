//! Decides what open sources keep of what they decoded.
//!
//! A tile that two tasks need, as at the halo of a filter, is decoded once if it is kept in between. Where each tile
//! belongs to one task, keeping it would only take memory, and the time to fetch from memory what the processor's
//! cache still has.

use super::{decide, keep};
use crate::catalog::Access;
use crate::graph::{Kind, NodeId};
use crate::plan::{Group, Plan, Stage, eval};
use ops_core::Region;
use std::collections::BTreeSet;

/// Item classes that are looked at: what holds for these is taken to hold for all.
const CLASSES: usize = 16;

/// Sets the caches of every group; `share` divides what is kept, for a plan that has to be small.
pub(super) fn apply(plan: &mut Plan, share: u64) {
    for at in 0..plan.groups.len() {
        let stages: Vec<&Stage> = plan.groups[at].stages.iter().map(|&s| plan.stage(s)).collect();
        let sources: BTreeSet<NodeId> = stages
            .iter()
            .flat_map(|s| s.nodes.iter().chain(&s.reads).copied())
            .filter(|&n| matches!(plan.graph.node(n).kind, Kind::Source(_)) || plan.stored.contains_key(&n))
            .collect();
        let mut caches = Vec::new();
        let mut decisions = Vec::new();
        for node in sources {
            let Some(why) = worth(plan, &plan.groups[at], node) else { continue };
            let wanted = (0..plan.graph.classes(plan.graph.node(node).family)).map(|c| wanted(plan, node, c)).max();
            let bytes = wanted.unwrap_or(0) / share.max(1);
            if bytes > 0 {
                let label = plan.graph.node(node).label();
                decisions.push(decide("cache", label, format!("{} of decoded tiles", keep::human(bytes)), why));
                caches.push((node, bytes));
            }
        }
        plan.groups[at].caches = caches;
        plan.decisions.extend(decisions);
    }
}

/// Bytes that a source would like to keep.
fn wanted(plan: &Plan, node: NodeId, class: usize) -> u64 {
    match plan.graph.node(node).kind {
        Kind::Source(input) => plan.graph.source(input, class).cache_bytes,
        _ => match plan.stored.get(&node) {
            Some(&o) => plan.graph.outputs[o].cache_bytes(plan.graph.node(node).meta(class)),
            None => 0,
        },
    }
}

/// The tiles in which an array is read; `None` for one that has none.
fn tile(plan: &Plan, node: NodeId, class: usize) -> Option<Vec<u64>> {
    let n = plan.graph.node(node);
    if let Kind::Source(input) = n.kind {
        let Access::Tiles(tile) = &plan.graph.source(input, class).access else { return None };
        return Some(tile.clone());
    }
    plan.stored.get(&node).map(|&o| plan.graph.outputs[o].chunks(n.meta(class)))
}

/// Why tiles of a source should be kept; `None` where each is needed once.
fn worth(plan: &Plan, group: &Group, node: NodeId) -> Option<&'static str> {
    let readers = |c| {
        group.stages_of(c).iter().map(|&s| plan.stage(s)).filter(|s| s.nodes.contains(&node) || s.reads.contains(&node))
    };
    let classes = 0..plan.graph.classes(plan.graph.node(node).family).min(CLASSES);
    if classes.clone().any(|c| readers(c).any(|s| shares(plan, s, node, c))) {
        return Some("neighbouring blocks need the same tiles");
    }
    let fits = |c| wanted(plan, node, c) >= plan.graph.node(node).meta(c).bytes();
    classes.into_iter().any(|c| readers(c).count() > 1 && fits(c)).then_some("several stages read it, and it fits")
}

/// True when a block and the next one along some axis read from the same tile.
fn shares(plan: &Plan, stage: &Stage, node: NodeId, class: usize) -> bool {
    let Some(tile) = tile(plan, node, class) else { return false };
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
fn tiles(region: &Region, tile: &[u64]) -> Region {
    let number = |(i, n): (&i64, &u64)| i.div_euclid((*n).max(1) as i64);
    let lo: ops_core::Index = region.lo.iter().zip(tile).map(number).collect();
    let hi: ops_core::Index = region.hi.iter().zip(tile).map(|(i, n)| number((&(i - 1), n)) + 1).collect();
    Region::new(lo, hi)
}

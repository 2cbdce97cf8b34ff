//! Chooses the block of each stage: the user's or the default, made to cover whole chunks of what the stage writes.

use super::decide;
use crate::catalog::Access;
use crate::graph::Kind;
use crate::plan::{Plan, Root, Stage};
use crate::spec::workflow::Format;
use ops_core::{ArrayMeta, Axis};

/// Chunk extents of a Zarr output that does not say: about a megabyte of 8 to 16-bit elements, never more than the
/// array. They depend on nothing but the array, so that the same workflow writes the same store.
pub fn default_chunks(meta: &ArrayMeta) -> Vec<u64> {
    let spatial = meta.axes.spatial().len();
    meta.axes
        .iter()
        .zip(&meta.shape)
        .map(|(a, &n)| match (a, spatial) {
            (Axis::T, _) => 1,
            (Axis::C, _) => n,
            (_, 3) => n.min(128),
            _ => n.min(512),
        })
        .map(|n| n.max(1))
        .collect()
}

/// Block extent along a spatial axis when the user does not say: what fits a core's cache through a chain of ops.
fn default_block(spatial: usize) -> u64 {
    if spatial >= 3 { 64 } else { 256 }
}

/// Sets the stage's block.
pub(super) fn apply(plan: &mut Plan, stage: &mut Stage) {
    let node = plan.graph.node(stage.domain);
    let meta = &node.metas[0];
    let spatial = meta.axes.spatial();
    let whole = stage.roots.iter().any(|r| match (r, &node.kind) {
        (Root::Keep(_), Kind::Source(i)) => {
            (0..plan.graph.classes(node.family)).any(|c| plan.graph.source(*i, c).access == Access::Whole)
        }
        _ => false,
    });
    let mut block: Vec<(Axis, u64)> = Vec::new();
    for (i, axis) in meta.axes.iter().enumerate().filter(|(_, a)| *a != Axis::C) {
        let largest = node.metas.iter().map(|m| m.shape[i]).max().unwrap_or(1).max(1);
        let extent = if whole {
            largest
        } else if let Some(nth) = spatial.iter().position(|&p| p == i) {
            asked(&plan.settings.block, nth, spatial.len()).unwrap_or_else(|| default_block(spatial.len()))
        } else {
            1
        };
        block.push((axis, extent));
    }
    for &root in &stage.roots {
        if let Root::Write(o) = root {
            align(plan, o, &mut block);
        }
    }
    let text = block.iter().map(|(a, n)| format!("{}={n}", a.name())).collect::<Vec<_>>().join(" ");
    let reason = if whole {
        "decoded whole"
    } else if plan.settings.block.is_empty() {
        "default"
    } else {
        "as asked, whole chunks of each Zarr output"
    };
    stage.block = block;
    let name = plan.stage_name(stage);
    plan.decisions.push(decide("granule", name, text, reason));
}

/// The extent asked for along the `nth` of `of` spatial axes: one number is for all, a list for the last ones.
fn asked(block: &[u64], nth: usize, of: usize) -> Option<u64> {
    match block {
        [] => None,
        [one] => Some(*one),
        list => list.get((nth + list.len()).checked_sub(of)?).copied(),
    }
}

/// Rounds the block up to whole chunks of a Zarr output, so that every chunk has one writer.
fn align(plan: &Plan, output: usize, block: &mut [(Axis, u64)]) {
    let out = &plan.graph.outputs[output];
    if out.format != Format::Zarr {
        return;
    }
    let meta = &plan.graph.node(out.node).metas[0];
    let chunks = out.decl.chunks.as_ref().map_or_else(|| default_chunks(meta), |c| c.value.clone());
    for (axis, extent) in block {
        if let Some(p) = meta.axes.position(*axis)
            && let Some(&c) = chunks.get(p)
        {
            *extent = extent.div_ceil(lcm(c.max(1), 1)) * c.max(1);
        }
    }
}

fn lcm(a: u64, b: u64) -> u64 {
    let (mut x, mut y) = (a, b);
    while y != 0 {
        (x, y) = (y, x % y);
    }
    a / x.max(1) * b
}

//! Chooses the block of each stage: the user's or the default, made to cover whole chunks of what the stage writes.

use super::cut::decoded_whole;
use super::decide;
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

/// Sets the block of a stage that items of these classes go through; `whose` names them where there are others.
pub(super) fn apply(plan: &mut Plan, stage: &mut Stage, classes: &[usize], whose: &str) {
    let node = plan.graph.node(stage.domain);
    let meta = &node.metas[0];
    let spatial = meta.axes.spatial();
    let keeps = stage.roots.iter().any(|r| matches!(r, Root::Keep(_)));
    let whole = keeps && decoded_whole(plan, stage.domain, classes);
    let mut block: Vec<(Axis, u64)> = Vec::new();
    for (i, axis) in meta.axes.iter().enumerate().filter(|(_, a)| *a != Axis::C) {
        let largest = classes.iter().map(|&c| node.meta(c).shape[i]).max().unwrap_or(1).max(1);
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
            align(plan, o, classes, &mut block);
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
    let name = format!("{}{whose}", plan.stage_name(stage));
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
fn align(plan: &Plan, output: usize, classes: &[usize], block: &mut [(Axis, u64)]) {
    let out = &plan.graph.outputs[output];
    if out.format != Format::Zarr {
        return;
    }
    let node = plan.graph.node(out.node);
    for (axis, extent) in block {
        let Some(p) = node.metas[0].axes.position(*axis) else { continue };
        // A chunk is as large as an array that is smaller than it, so the largest of all classes serves them all: an
        // array of smaller chunks has one.
        let of = |meta: &ArrayMeta| match &out.decl.chunks {
            Some(asked) => asked.value.get(p).copied(),
            None => default_chunks(meta).get(p).copied(),
        };
        let chunk = classes.iter().filter_map(|&c| of(node.meta(c))).max().unwrap_or(1).max(1);
        *extent = extent.div_ceil(chunk) * chunk;
    }
}

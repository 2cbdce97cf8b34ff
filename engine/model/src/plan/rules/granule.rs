//! Chooses the block of each stage: the user's or the default, made to suit the tiles of what the stage reads and to
//! cover whole chunks of what it writes.

use super::cut::decoded_whole;
use super::gather::Gathered;
use super::{Extents, decide, units};
use crate::catalog::Access;
use crate::graph::{Kind, NodeId};
use crate::plan::{Plan, Root, Stage};
use ops_core::Axis;
use std::collections::BTreeMap;

/// Block extent along a spatial axis when the user does not say: what fits a core's cache through a chain of ops.
fn default_block(spatial: usize) -> u64 {
    if spatial >= 3 { 64 } else { 256 }
}

/// The most elements of a block that is made larger to suit the tiles of a source.
pub(super) const ELEMENTS: u64 = 1 << 22;
/// The same where memory is tight.
pub(super) const FEW_ELEMENTS: u64 = 1 << 18;
/// Blocks are not cut below this extent to stay within the number of elements.
const LEAST_EXTENT: u64 = 32;

/// Sets the block of a stage that items of these classes go through; one that suits a source has at most `elements`
/// elements. `whose` names the classes where there are others.
pub(super) fn apply(
    plan: &mut Plan,
    stage: &mut Stage,
    classes: &[usize],
    whose: &str,
    elements: u64,
    gathered: &BTreeMap<usize, Gathered>,
) {
    let of = |root: &Root| match root {
        Root::Write(o) => gathered.get(o),
        _ => None,
    };
    let Chosen { mut block, mut reason } = choose(plan, stage, classes, elements);
    // Roots of a stage have the same axes.
    for (i, (_, least)) in stage.roots.iter().filter_map(of).flat_map(|g| g.block.iter().enumerate()) {
        let (axis, extent) = &mut block[i];
        let step = units::step(plan, &stage.roots, classes, *axis);
        *extent = (*extent).max(*least).div_ceil(step).saturating_mul(step);
        "gathers what lies across the tiles it is made from".clone_into(&mut reason);
    }
    let text = block.iter().map(|(a, n)| format!("{}={n}", a.name())).collect::<Vec<_>>().join(" ");
    stage.block = block;
    let name = format!("{}{whose}", plan.stage_name(stage));
    plan.decisions.push(decide("granule", name, text, reason));
}

/// A block and why it is that.
pub(super) struct Chosen {
    pub(super) block: Extents,
    reason: String,
}

/// The block for a stage of these roots and nodes.
pub(super) fn choose(plan: &Plan, stage: &Stage, classes: &[usize], elements: u64) -> Chosen {
    let node = plan.graph.node(stage.domain);
    let meta = &node.metas[0];
    let spatial = meta.axes.spatial();
    let keeps = stage.roots.iter().any(|r| matches!(r, Root::Keep(_)));
    let whole = keeps && decoded_whole(plan, stage.domain, classes);
    let mut block: Extents = Vec::new();
    for (i, axis) in meta.axes.iter().enumerate().filter(|(_, a)| *a != Axis::C) {
        let largest = classes.iter().map(|&c| node.meta(c).shape[i]).max().unwrap_or(1).max(1);
        let extent = if whole {
            largest
        } else if let Some(nth) = spatial.iter().position(|&p| p == i) {
            self::extent(&plan.settings.block, nth, spatial.len())
        } else {
            1
        };
        block.push((axis, extent));
    }
    let suited =
        if whole || !plan.settings.block.is_empty() { None } else { suit(plan, stage, classes, &mut block, elements) };
    // Of a block that is asked for too: one that cuts cells would compute them again and again.
    let cells = cells(plan, stage, &block);
    let whole_cells = if whole { None } else { cover(&cells, &mut block) };
    // Along an axis of cells a block is as large as they ask for.
    let in_cells = |axis| cells.iter().any(|(_, of)| of.iter().any(|(a, n)| *a == axis && *n > 1));
    let mut steps = Vec::new();
    for (axis, extent) in &mut block {
        let step = units::step(plan, &stage.roots, classes, *axis);
        *extent = extent.div_ceil(step).saturating_mul(step);
        steps.push(if in_cells(*axis) { *extent } else { step });
    }
    let free = !whole && plan.settings.block.is_empty();
    let trimmed = free && trim(plan, stage, classes, &mut block, &steps, elements);
    let reason = if whole {
        "decoded whole".to_owned()
    } else if trimmed {
        "whole chunks of each Zarr output, in blocks that are not too large".to_owned()
    } else if let Some(node) = whole_cells {
        format!("covers whole cells of {node}")
    } else if let Some(source) = suited {
        format!("suits the tiles of {source}")
    } else if plan.settings.block.is_empty() {
        "default".to_owned()
    } else {
        "as asked, whole chunks of each Zarr output".to_owned()
    };
    Chosen { block, reason }
}

/// Makes a block cover whole tiles of the source with the largest ones, and names that source; `None` where the
/// default does so, or nothing is read in tiles.
///
/// What has too many elements is cut along the fastest axis first: tasks follow one another along it, so that a tile
/// that is cut is still needed by tasks close in time.
fn suit(plan: &Plan, stage: &Stage, classes: &[usize], block: &mut [(Axis, u64)], elements: u64) -> Option<String> {
    let class = *classes.first()?;
    let domain = plan.graph.node(stage.domain).meta(class);
    let extent = |axis: Axis| domain.axes.position(axis).map_or(1, |p| domain.shape[p]);
    let of = |id: &crate::graph::NodeId| {
        let node = plan.graph.node(*id);
        let Kind::Source(input) = node.kind else { return None };
        let source = plan.graph.source(input, class);
        let Access::Tiles(tile) = &source.access else { return None };
        // Only along axes that the source and what is computed share.
        let along = |&(axis, _): &(Axis, u64)| match source.array.axes.position(axis) {
            Some(p) if source.array.shape[p] == extent(axis) => tile.get(p).copied().unwrap_or(1).max(1),
            _ => 1,
        };
        let tile: Vec<u64> = block.iter().map(along).collect();
        Some((tile.iter().fold(1u64, |v, &n| v.saturating_mul(n)), tile, node.label()))
    };
    let (_, tile, source) = stage.nodes.iter().filter_map(of).max_by_key(|(volume, ..)| *volume)?;
    let before = block.to_vec();
    for ((_, n), t) in block.iter_mut().zip(&tile) {
        *n = n.div_ceil(*t).saturating_mul(*t);
    }
    let too_many = |block: &[(Axis, u64)]| {
        block.iter().fold(1u64, |v, &(axis, n)| v.saturating_mul(n.min(extent(axis)).max(1))) > elements
    };
    let clipped = |block: &[(Axis, u64)], i: usize| block[i].1.min(extent(block[i].0));
    for i in (0..block.len()).rev() {
        while too_many(block) && clipped(block, i) > tile[i] {
            block[i].1 = (clipped(block, i) / 2).div_ceil(tile[i]).saturating_mul(tile[i]).max(tile[i]);
        }
    }
    for i in (0..block.len()).rev() {
        while too_many(block) && clipped(block, i) >= 2 * LEAST_EXTENT {
            block[i].1 = clipped(block, i).div_ceil(2);
        }
    }
    (block != before.as_slice()).then_some(source)
}

/// Cuts a block that has more than so many elements, but not what it has to cover, along the fastest axis first; true where
/// that was done.
fn trim(
    plan: &Plan,
    stage: &Stage,
    classes: &[usize],
    block: &mut [(Axis, u64)],
    steps: &[u64],
    elements: u64,
) -> bool {
    let node = plan.graph.node(stage.domain);
    let extent = |axis: Axis| -> u64 {
        let of = |c: &usize| node.meta(*c).axes.position(axis).map_or(1, |p| node.meta(*c).shape[p]);
        classes.iter().map(of).max().unwrap_or(1).max(1)
    };
    let before = block.to_vec();
    for i in (0..block.len()).rev() {
        let step = steps[i];
        loop {
            let clipped = block[i].1.min(extent(block[i].0));
            let volume = block.iter().fold(extent(Axis::C), |v, (axis, n)| v.saturating_mul((*n).min(extent(*axis))));
            let half = (clipped / 2).max(1).div_ceil(step).saturating_mul(step);
            if volume <= elements || half >= clipped {
                break;
            }
            block[i].1 = half;
        }
    }
    block != before.as_slice()
}

/// What the cells are called that a node computes as a whole, and their extents along the axes that blocks cut.
type Cells = (String, Extents);

/// The cells of every node of a stage that has some, along axes that the domain shares with it, extents and all.
fn cells(plan: &Plan, stage: &Stage, block: &[(Axis, u64)]) -> Vec<Cells> {
    let domain = &plan.graph.node(stage.domain).metas[0];
    let extent = |axis: Axis| domain.axes.position(axis).map(|p| domain.shape[p]);
    let of = |&id: &NodeId| {
        let along = along(plan, id)?;
        let shared = |(axis, cell, n): (Axis, u64, u64)| {
            (extent(axis) == Some(n) && block.iter().any(|(a, _)| *a == axis)).then_some((axis, cell))
        };
        Some((plan.graph.node(id).label(), along.into_iter().filter_map(shared).collect()))
    };
    stage.nodes.iter().filter_map(of).collect()
}

/// The cells that a node computes as a whole, along each axis of its first input, with the extent of that.
pub(super) fn along(plan: &Plan, id: NodeId) -> Option<Vec<(Axis, u64, u64)>> {
    let granule = of(plan, id)?;
    let ports = plan.graph.ports(id, 0);
    let meta = &ports.0.first()?.meta;
    let cell = |p: usize, n: u64| granule.get(p).copied().unwrap_or(1).clamp(1, n.max(1));
    Some(meta.axes.iter().zip(&meta.shape).enumerate().map(|(p, (axis, &n))| (axis, cell(p, n), n)).collect())
}

/// Makes a block cover whole cells, and says of what; `None` where it does so already.
fn cover(cells: &[Cells], block: &mut [(Axis, u64)]) -> Option<String> {
    let before = block.to_vec();
    for (axis, cell) in cells.iter().flat_map(|(_, along)| along) {
        for (_, extent) in block.iter_mut().filter(|(a, _)| a == axis) {
            *extent = extent.div_ceil(*cell).saturating_mul(*cell);
        }
    }
    cells.last().map(|(label, _)| label.clone()).filter(|_| block != before.as_slice())
}

/// The cells that a node computes as a whole, along the axes of its first input.
pub(super) fn of(plan: &Plan, id: NodeId) -> Option<Vec<u64>> {
    let ports = plan.graph.ports(id, 0);
    match &plan.graph.node(id).kind {
        Kind::Map(m) | Kind::Join(m) => m.granule(&ports),
        Kind::Reduce(r, _) => r.granule(&ports),
        Kind::Source(_) => None,
    }
}

/// The extent of a block along the `nth` of `of` spatial axes: as asked, or the default.
pub(super) fn extent(block: &[u64], nth: usize, of: usize) -> u64 {
    asked(block, nth, of).unwrap_or_else(|| default_block(of))
}

/// The extent asked for along the `nth` of `of` spatial axes: one number is for all, a list for the last ones.
fn asked(block: &[u64], nth: usize, of: usize) -> Option<u64> {
    match block {
        [] => None,
        [one] => Some(*one),
        list => list.get((nth + list.len()).checked_sub(of)?).copied(),
    }
}

//! Arrays that are written to disk and read again, since computing them again would cost more and memory does not hold them.
//!
//! One that is written as a Zarr output anyway is read from there. Others become outputs of their own, in the scratch
//! directory of the run.

use super::{Pass, granule};
use crate::diag::Span;
use crate::formats;
use crate::graph::{Kind, NodeId, Output};
use crate::plan::Plan;
use crate::spec::codec::{Compressor, ZarrCodec};
use crate::spec::workflow::{Format, Naming, OutputDecl, Spanned};
use ops_core::{ArrayMeta, Axis};
use std::path::PathBuf;

/// What writing an element's byte to disk and reading it again costs, in nanoseconds on one core: encoding, two passes
/// through the page cache, decoding.
pub(super) const NANOS_PER_BYTE: f32 = 2.0;

/// True for an array that may be spilled: one that is computed.
pub(super) fn can(plan: &Plan, id: NodeId) -> bool {
    matches!(plan.graph.node(id).kind, Kind::Map(_) | Kind::Join(_))
}

/// The output that an array is read from: one that the workflow asks for, or a new one.
pub(super) fn output(plan: &mut Plan, pass: &Pass, id: NodeId) -> usize {
    asked_for(plan, pass, id).unwrap_or_else(|| make(plan, id, chunks(plan, pass, id), None))
}

/// The Zarr output of an array that the workflow asks for.
pub(super) fn asked_for(plan: &Plan, pass: &Pass, id: NodeId) -> Option<usize> {
    let zarr = |o: &usize| plan.graph.outputs[*o].node == id && plan.graph.outputs[*o].format.is_zarr();
    pass.outputs.iter().copied().find(zarr)
}

/// A new output in the scratch directory, and its number; where another variant of the pass has one, the same.
pub(super) fn make(plan: &mut Plan, id: NodeId, chunks: Vec<u64>, shards: Option<Vec<u64>>) -> usize {
    let node = plan.graph.node(id);
    // Steps may share an op, and an op have several nodes, and several passes may need one: numbers tell them apart.
    let name = format!("{}-{}-{}", node.label().replace(['/', '\\'], "-"), plan.groups.len(), id.0);
    if let Some(o) = plan.graph.outputs.iter().position(|o| o.scratch && o.decl.name.value == name) {
        return o;
    }
    let extents = |value| Spanned { value, span: Span::default() };
    let at = |value: String| Spanned { value, span: Span::default() };
    let decl = OutputDecl {
        name: at(name),
        from: at(node.step.clone()),
        format: None,
        to: None,
        base: PathBuf::new(),
        chunks: Some(extents(chunks)),
        shards: shards.map(extents),
        codec: Some(Spanned { value: ZarrCodec::of(Compressor::BloscLz4), span: Span::default() }),
        version: None,
        pyramid: None,
        labels: false,
        naming: Naming::Index,
    };
    plan.graph.outputs.push(Output { decl, format: Format::Zarr, node: id, part: None, scratch: true });
    plan.graph.outputs.len() - 1
}

/// Chunks of a spilled array: the cells of what reads it, or the blocks that it is read in, so that a chunk has one reader.
fn chunks(plan: &Plan, pass: &Pass, id: NodeId) -> Vec<u64> {
    let node = plan.graph.node(id);
    let meta = &node.metas[0];
    let readers = pass.nodes.iter().filter(|n| plan.graph.node(**n).arrays.contains(&id));
    let cells = readers.into_iter().find_map(|&n| granule::along(plan, n)).unwrap_or_default();
    let spatial = meta.axes.spatial();
    let extent = |(i, axis): (usize, Axis)| {
        let cell = cells.iter().find(|(a, cell, n)| *a == axis && *n == meta.shape[i] && *cell > 1);
        match (cell, spatial.iter().position(|&p| p == i)) {
            (Some((_, cell, _)), _) => *cell,
            (None, Some(nth)) => granule::extent(&plan.settings.block, nth, spatial.len()),
            (None, None) if axis == Axis::C => u64::MAX,
            (None, None) => 1,
        }
    };
    let extents: Vec<u64> = meta.axes.iter().enumerate().map(extent).collect();
    extents.iter().zip(&meta.shape).map(|(&c, &n)| c.min(n).max(1)).collect()
}

/// The most bytes that spilled arrays may take on disk: as many as they have, of all items in flight, with chunks that
/// nothing shrinks and indices of shards.
pub(in crate::plan) fn bytes(plan: &Plan) -> u64 {
    let of = |o: &Output| {
        let node = plan.graph.node(o.node);
        let each = |meta: &ArrayMeta| {
            let indices = o.decl.shards.as_ref().map_or(0, |s| {
                let shards =
                    meta.shape.iter().zip(&s.value).fold(1u64, |n, (len, s)| n.saturating_mul(len.div_ceil(*s)));
                shards.saturating_mul(formats::index_bytes(&s.value, &o.chunks(meta)).saturating_add(4))
            });
            let bytes = meta.bytes();
            bytes.saturating_add(bytes / 64).saturating_add(indices).saturating_add(1 << 20)
        };
        let in_flight = plan.graph.items(node.family).min(plan.memory.window.max(1));
        node.metas.iter().map(each).max().unwrap_or(0).saturating_mul(in_flight)
    };
    plan.graph.outputs.iter().filter(|o| o.scratch).map(of).fold(0, u64::saturating_add)
}

/// Chunks and shards of an array that is written in blocks of one kind and read in blocks of another.
pub(super) fn common(meta: &ArrayMeta, written: &[(Axis, u64)], read: &[(Axis, u64)]) -> (Vec<u64>, Vec<u64>) {
    let along = |axis: Axis, n: u64| -> (u64, u64) {
        let of = |block: &[(Axis, u64)]| block.iter().find(|(a, _)| *a == axis).map_or(n, |(_, b)| (*b).min(n)).max(1);
        chunk_and_shard(of(written), of(read), n)
    };
    meta.axes.iter().zip(&meta.shape).map(|(axis, &n)| along(axis, n.max(1))).unzip()
}

/// Extent of the chunks, and of a shard, that blocks of `first` and of `second` elements along an axis of `n` have in common.
fn chunk_and_shard(first: u64, second: u64, n: u64) -> (u64, u64) {
    if second <= first {
        // Whole blocks of the second step, as many as a block of the first has room for.
        let many = if first >= n { n.div_ceil(second) } else { (first + second / 2) / second };
        return (second, second * many.max(1));
    }
    // What the second step reads is best whole chunks: one that divides its blocks, where there is one about as large.
    let about = |d: &u64| (first.div_ceil(2)..=first.saturating_mul(2)).contains(d);
    let pairs = (1..=second.isqrt()).filter(|d| second.is_multiple_of(*d)).flat_map(|d| [d, second / d]);
    let chunk = pairs.filter(about).min_by_key(|d| (d.abs_diff(first), *d)).unwrap_or(first);
    (chunk, chunk)
}

#[cfg(test)]
mod tests {
    use super::chunk_and_shard as common;

    #[test]
    fn chunks_are_what_two_blocks_have_in_common() {
        // One image a block, read in blocks of 64 by 512 pixels of all images.
        assert_eq!(
            (common(2, 1000, 1000), common(4096, 64, 4096), common(4096, 512, 4096)),
            ((2, 2), (64, 4096), (512, 4096))
        );
        // Blocks that have no divisor in common: whole chunks for the second step.
        assert_eq!(
            (common(64, 1000, 1000), common(100, 64, 1000), common(7, 11, 100)),
            ((50, 50), (64, 128), (11, 11))
        );
        assert_eq!((common(70, 64, 70), common(5, 5, 5), common(1, 1, 1)), ((64, 128), (5, 5), (1, 1)));
    }
}

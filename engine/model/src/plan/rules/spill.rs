//! Arrays that are written to disk and read again, since computing them again would cost more and memory does not hold them.
//!
//! One that is written as a Zarr output anyway is read from there. Others become outputs of their own, in the scratch
//! directory of the run.

use super::{Pass, granule};
use crate::diag::Span;
use crate::graph::{Kind, NodeId, Output};
use crate::plan::Plan;
use crate::spec::workflow::{Format, Naming, OutputDecl, Spanned, ZarrCodec};
use ops_core::Axis;
use std::path::PathBuf;

/// What writing an element's byte to disk and reading it again costs, in nanoseconds on one core: encoding, two passes
/// through the page cache, decoding.
pub(super) const NANOS_PER_BYTE: f32 = 2.0;

/// True for an array that may be spilled: computed, and single, so that there is one of it.
pub(super) fn can(plan: &Plan, pass: &Pass, id: NodeId) -> bool {
    pass.family.is_none() && matches!(plan.graph.node(id).kind, Kind::Map(_) | Kind::Join(_))
}

/// The output that an array is read from: one that the workflow asks for, or a new one.
pub(super) fn output(plan: &mut Plan, pass: &Pass, id: NodeId) -> usize {
    let zarr = |o: &&usize| plan.graph.outputs[**o].node == id && plan.graph.outputs[**o].format.is_zarr();
    if let Some(o) = pass.outputs.iter().find(zarr) {
        return *o;
    }
    let node = plan.graph.node(id);
    let at = |value: String| Spanned { value, span: Span::default() };
    let decl = OutputDecl {
        // Steps may share an op, and an op have several nodes: the number tells them apart.
        name: at(format!("{}-{}", node.label().replace(['/', '\\'], "-"), id.0)),
        from: at(node.step.clone()),
        format: None,
        to: None,
        base: PathBuf::new(),
        chunks: Some(Spanned { value: chunks(plan, pass, id), span: Span::default() }),
        shards: None,
        codec: Some(Spanned { value: ZarrCodec::BloscLz4, span: Span::default() }),
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
    let cells = readers.into_iter().find_map(|&n| granule::of(plan, n));
    let extents = cells.filter(|c| c.len() == meta.rank()).unwrap_or_else(|| {
        let spatial = meta.axes.spatial();
        let extent = |(i, axis): (usize, Axis)| match spatial.iter().position(|&p| p == i) {
            Some(nth) => granule::extent(&plan.settings.block, nth, spatial.len()),
            None if axis == Axis::C => u64::MAX,
            None => 1,
        };
        meta.axes.iter().enumerate().map(extent).collect()
    });
    extents.iter().zip(&meta.shape).map(|(&c, &n)| c.min(n).max(1)).collect()
}

/// The most bytes that spilled arrays may take on disk: as many as they have, chunks that nothing shrinks included.
pub(in crate::plan) fn bytes(plan: &Plan) -> u64 {
    let scratch = plan.graph.outputs.iter().filter(|o| o.scratch);
    scratch
        .map(|o| {
            let bytes = plan.graph.node(o.node).meta(0).bytes();
            bytes.saturating_add(bytes / 64).saturating_add(1 << 20)
        })
        .fold(0, u64::saturating_add)
}

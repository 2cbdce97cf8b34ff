//! Arrays between two steps that work in cells which no small block covers both of, such as passes over whole lines along one
//! axis and then along another.
//!
//! Together they would ask for a block of all of the array. So what lies between them is kept, or spilled, and each has
//! blocks of its own.

use super::{Effort, Pass, decide, gather, granule, keep, spill};
use crate::graph::{Kind, NodeId};
use crate::plan::{Plan, Root, read_by};
use ops_core::Axis;
use std::collections::BTreeMap;

/// Fewer elements are not worth dividing.
const FEW: u64 = 1 << 16;

/// What a block has to cover along an axis of this extent.
type Cover = BTreeMap<(Axis, u64), u64>;

/// Adds to what `must` be kept, or to what is `stored` and the outputs in `scratch`.
pub(super) fn apply(
    plan: &mut Plan,
    pass: &Pass,
    classes: &[usize],
    effort: &Effort,
    must: &mut BTreeMap<NodeId, &'static str>,
    stored: &mut BTreeMap<NodeId, usize>,
    scratch: &mut Vec<usize>,
) {
    let mut covers: BTreeMap<NodeId, Cover> = BTreeMap::new();
    for &m in &pass.nodes {
        if !matches!(plan.graph.node(m).kind, Kind::Map(_)) {
            continue;
        }
        let own: Cover =
            granule::along(plan, m).into_iter().flatten().map(|(axis, cell, n)| ((axis, n), cell)).collect();
        let here = |n: &NodeId| !must.contains_key(n) && !stored.contains_key(n) && pass.nodes.binary_search(n).is_ok();
        let inputs: Vec<NodeId> = read_by(&plan.graph, m).filter(here).collect();
        let mut cover = own.clone();
        for a in inputs {
            let Some(of) = covers.get(&a) else { continue };
            let both = together(&cover, of);
            if volume(&both) <= most(plan, m, effort).max(volume(&cover)).max(volume(of)) {
                cover = both;
                continue;
            }
            let bytes = keep::largest(plan, a, classes);
            let label = plan.graph.node(a).label();
            let reason = format!("with what is made from it, a block would have {} elements", volume(&both));
            if bytes <= effort.keep && !plan.settings.spill {
                must.insert(a, "what is made from it needs other blocks");
                plan.decisions.push(decide("lines", label, "kept", reason));
            } else if effort.spill {
                let o =
                    through(plan, pass, classes, effort, (a, m), &|n| must.contains_key(&n) || stored.contains_key(&n));
                stored.insert(a, o);
                scratch.extend(plan.graph.outputs[o].scratch.then_some(o));
                plan.decisions.push(decide("lines", label, "spilled", reason));
            } else {
                cover = both;
            }
        }
        covers.insert(m, cover);
    }
}

/// The output through which an array goes that another is made from.
fn through(
    plan: &mut Plan,
    pass: &Pass,
    classes: &[usize],
    effort: &Effort,
    (array, reader): (NodeId, NodeId),
    read: &dyn Fn(NodeId) -> bool,
) -> usize {
    let block = |of: NodeId, from: &dyn Fn(NodeId) -> bool| {
        let stage = gather::stage(plan, of, vec![Root::Keep(of)], from);
        granule::choose(plan, &stage, classes, effort.elements).block
    };
    let elsewhere = |n: NodeId| read(n) || pass.imports.contains(&n);
    let (written, read) = (block(array, &elsewhere), block(reader, &|n| n == array || elsewhere(n)));
    let (chunks, shards) = spill::common(&plan.graph.node(array).metas[0], &written, &read);
    match spill::asked_for(plan, pass, array) {
        Some(o) => o,
        None => spill::make(plan, array, chunks, Some(shards)),
    }
}

/// What covers both.
fn together(a: &Cover, b: &Cover) -> Cover {
    let mut both = a.clone();
    for (along, cell) in b {
        both.entry(*along).and_modify(|n| *n = n.div_ceil(*cell).saturating_mul(*cell)).or_insert(*cell);
    }
    both
}

fn volume(cover: &Cover) -> u64 {
    cover.values().fold(1, |v, n| v.saturating_mul(*n))
}

/// Elements of a block that is not too large: all threads are to have some.
fn most(plan: &Plan, id: NodeId, effort: &Effort) -> u64 {
    if plan.settings.spill {
        return 1;
    }
    let threads = plan.settings.threads.max(1) as u64;
    effort.elements.min(plan.graph.node(id).metas[0].volume() / (2 * threads)).max(FEW)
}

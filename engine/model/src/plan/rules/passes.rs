//! Divides nodes into passes.
//!
//! A node of a family that consumes a single result (a collection's minimum, an array joined from the items) can't
//! start before every item was seen: it belongs to the next pass, and what it is computed from is computed again
//! there, since keeping it for all items is what larger-than-memory means to avoid.

use super::Pass;
use crate::graph::{Graph, InputId, Kind, NodeId};
use crate::plan::Plan;
use std::collections::{BTreeMap, BTreeSet};

/// The family whose items a node runs over; a collection reduction runs over them too.
fn runs_over(graph: &Graph, id: NodeId) -> Option<InputId> {
    let n = graph.node(id);
    match n.kind {
        Kind::Reduce(..) => n.arrays.iter().find_map(|&a| graph.node(a).family),
        _ => n.family,
    }
}

fn phases(graph: &Graph) -> Vec<u32> {
    let mut phase = vec![0u32; graph.nodes.len()];
    for id in graph.ids() {
        let over = runs_over(graph, id);
        let n = graph.node(id);
        phase[id.0 as usize] = n
            .arrays
            .iter()
            .chain(&n.values)
            .map(|&i| phase[i.0 as usize] + u32::from(over.is_some() && graph.node(i).family.is_none()))
            .max()
            .unwrap_or(0);
    }
    phase
}

/// The passes in the order they run: by phase, families before what is single.
pub(super) fn apply(graph: &Graph) -> Vec<Pass> {
    let phase = phases(graph);
    let key = |id: NodeId| {
        let over = runs_over(graph, id);
        (phase[id.0 as usize], over.is_none(), over)
    };
    let mut passes: BTreeMap<(u32, bool, Option<InputId>), Pass> = BTreeMap::new();
    let mut targets: BTreeMap<(u32, bool, Option<InputId>), BTreeSet<NodeId>> = BTreeMap::new();
    let pass = |k: (u32, bool, Option<InputId>)| Pass {
        family: k.2,
        phase: k.0,
        nodes: Vec::new(),
        reduces: BTreeSet::new(),
        outputs: Vec::new(),
        exports: BTreeSet::new(),
        imports: BTreeSet::new(),
    };
    for (o, out) in graph.outputs.iter().enumerate() {
        let k = key(out.node);
        passes.entry(k).or_insert_with(|| pass(k)).outputs.push(o);
        targets.entry(k).or_default().insert(out.node);
    }
    for id in graph.ids().filter(|&id| graph.node(id).is_reduce()) {
        let k = key(id);
        passes.entry(k).or_insert_with(|| pass(k)).reduces.insert(id);
        targets.entry(k).or_default().insert(id);
    }
    // Last pass first: what a pass imports becomes a target of an earlier one.
    let mut done = Vec::new();
    while let Some((k, mut p)) = passes.pop_last() {
        let mut todo: BTreeSet<NodeId> = targets.remove(&k).unwrap_or_default();
        let mut nodes = BTreeSet::new();
        while let Some(id) = todo.pop_last() {
            nodes.insert(id);
            let n = graph.node(id);
            for &a in &n.arrays {
                if graph.node(a).family == p.family {
                    todo.insert(a);
                } else {
                    p.imports.insert(a);
                    let from = key(a);
                    let earlier = passes.entry(from).or_insert_with(|| pass(from));
                    earlier.exports.insert(a);
                    targets.entry(from).or_default().insert(a);
                }
            }
            // A value of one item is made again in this pass; one of a collection, or of what is single, is at hand.
            todo.extend(n.values.iter().filter(|&&v| p.family.is_some() && graph.node(v).family == p.family));
        }
        p.reduces = nodes.iter().copied().filter(|&id| graph.node(id).is_reduce()).collect();
        p.nodes = nodes.into_iter().collect();
        done.push(p);
    }
    done.reverse();
    done
}

/// Notes with which group each exported array dies.
pub(super) fn release(plan: &mut Plan) {
    let mut last: BTreeMap<NodeId, usize> = BTreeMap::new();
    for (g, group) in plan.groups.iter().enumerate() {
        for &s in &group.stages {
            for &n in &plan.stages[s.0 as usize].reads {
                last.insert(n, g);
            }
        }
    }
    let exported: BTreeSet<NodeId> = plan.groups.iter().flat_map(|g| g.exports.iter().copied()).collect();
    for (n, g) in last {
        if exported.contains(&n) {
            plan.groups[g].releases.push(n);
        }
    }
}

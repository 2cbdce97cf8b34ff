//! Cuts a pass into stages: roots of one level whose arrays have the same extents share tasks.

use super::{Kept, Pass, units};
use crate::catalog::Access;
use crate::graph::{Kind, NodeId};
use crate::plan::{Plan, Root, Stage, StageId, read_by, root_array};
use ops_core::Axis;
use std::collections::{BTreeMap, BTreeSet};

/// What roots must agree in to share the tasks of a stage.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    level: u32,
    /// A source that is decoded whole has one task, on its own.
    alone: Option<NodeId>,
    /// Extents along every axis but the channels, for each class.
    extents: Vec<(char, Vec<u64>)>,
}

/// The stages of one pass for items of these classes, by level. `whose` names the classes where there are others; blocks
/// that several outputs share have at most `elements` elements, unless one of them alone asks for more.
pub(super) fn apply(
    plan: &mut Plan,
    pass: &Pass,
    classes: &[usize],
    kept: &Kept,
    whose: &str,
    elements: u64,
) -> Vec<Stage> {
    let mut stages = Vec::new();
    for (level, roots) in by_level(plan, pass, classes, kept) {
        for part in units::divide(plan, roots, classes, whose, elements) {
            stages.push(stage(plan, pass, kept, level, part));
        }
    }
    stages
}

/// Roots that may share tasks, with their level.
fn by_level(plan: &Plan, pass: &Pass, classes: &[usize], kept: &Kept) -> Vec<(u32, Vec<Root>)> {
    let mut by_key: BTreeMap<Key, Vec<Root>> = BTreeMap::new();
    let mut add = |root: Root, level: u32| {
        let n = plan.graph.node(root_array(&plan.graph, root));
        let whole = matches!(root, Root::Keep(_)) && decoded_whole(plan, root_array(&plan.graph, root), classes);
        let extents = n.metas[0]
            .axes
            .iter()
            .enumerate()
            .filter(|(_, a)| *a != Axis::C)
            .map(|(i, a)| (a.name(), classes.iter().map(|&c| n.meta(c).shape[i]).collect()))
            .collect();
        let alone = whole.then(|| root_array(&plan.graph, root));
        by_key.entry(Key { level, alone, extents }).or_default().push(root);
    };
    for (&n, &level) in kept.kept.iter().filter(|(n, _)| !kept.stored.contains_key(n)) {
        add(Root::Keep(n), level);
    }
    for &r in &pass.reduces {
        add(Root::Reduce(r), kept.level[&r]);
    }
    for &o in pass.outputs.iter().chain(&kept.scratch) {
        let n = plan.graph.outputs[o].node;
        if !plan.graph.node(n).is_reduce() {
            // A kept array that is decoded whole is written from where it is kept, a level later; so is what is gathered
            // from scratch.
            let later = decoded_whole(plan, n, classes) || kept.gathered.get(&o).is_some_and(|g| g.staged);
            let level = kept.kept.get(&n).unwrap_or(&kept.level[&n]) + u32::from(later);
            add(Root::Write(o), level);
        }
    }
    let sorted = |mut roots: Vec<Root>| {
        roots.sort();
        roots
    };
    by_key.into_iter().map(|(key, roots)| (key.level, sorted(roots))).collect()
}

/// True for a source that items of these classes decode whole.
pub(super) fn decoded_whole(plan: &Plan, n: NodeId, classes: &[usize]) -> bool {
    let node = plan.graph.node(n);
    match node.kind {
        Kind::Source(i) => classes.iter().any(|&c| plan.graph.source(i, c).access == Access::Whole),
        _ => false,
    }
}

fn stage(plan: &Plan, pass: &Pass, kept: &Kept, level: u32, roots: Vec<Root>) -> Stage {
    let mut nodes = BTreeSet::new();
    let mut reads = BTreeSet::new();
    let mut values = BTreeSet::new();
    let mut todo: BTreeSet<NodeId> = roots.iter().map(|&r| root_array_or_reduce(plan, r)).collect();
    while let Some(id) = todo.pop_last() {
        let made_here = roots.contains(&Root::Keep(id));
        let gathers = |r: &Root| match r {
            Root::Write(o) => plan.graph.outputs[*o].node == id && kept.gathered.get(o).is_some_and(|g| g.staged),
            _ => false,
        };
        let lower = kept.kept.get(&id).is_some_and(|&l| l < level);
        let elsewhere = pass.imports.contains(&id) || lower || roots.iter().any(gathers);
        if elsewhere && !made_here {
            reads.insert(id);
            continue;
        }
        let n = plan.graph.node(id);
        nodes.insert(id);
        todo.extend(read_by(&plan.graph, id));
        values.extend(n.values.iter().copied());
    }
    let domain = root_array(&plan.graph, roots[0]);
    Stage {
        level,
        roots,
        nodes: nodes.into_iter().collect(),
        reads: reads.into_iter().collect(),
        values: values.into_iter().collect(),
        domain,
        block: Vec::new(),
        after: Vec::new(),
    }
}

fn root_array_or_reduce(plan: &Plan, root: Root) -> NodeId {
    match root {
        Root::Reduce(r) => r,
        other => root_array(&plan.graph, other),
    }
}

/// Notes for each stage which others of its group must be complete first.
pub(super) fn order(plan: &mut Plan) {
    for g in 0..plan.groups.len() {
        for ids in plan.groups[g].variants.iter().map(|v| v.stages.clone()).collect::<Vec<_>>() {
            for &id in &ids {
                let s = plan.stage(id);
                let makes = |other: StageId| {
                    plan.stage(other).roots.iter().any(|r| match r {
                        Root::Keep(n) => s.reads.contains(n),
                        Root::Reduce(n) => s.values.contains(n),
                        Root::Write(o) => {
                            let node = plan.graph.outputs[*o].node;
                            plan.stored.get(&node) == Some(o) && s.reads.contains(&node)
                        }
                    })
                };
                let after: Vec<StageId> = ids.iter().copied().filter(|&o| o != id && makes(o)).collect();
                plan.stages[id.0 as usize].after = after;
            }
        }
    }
}

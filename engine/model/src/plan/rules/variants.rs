//! Divides the classes of a pass's items into those that are planned alike.
//!
//! What is kept, and so where stages are cut, rests on how a source can be read and on how large an item is. One image
//! that is decoded whole must not make every tiled one be decoded whole too; one that is large must not make small ones
//! be computed again. So each class is looked at, and classes with the same decisions share a variant.

use super::{Effort, Pass, cut, keep};
use crate::graph::{Kind, NodeId};
use crate::plan::{Plan, StageId, Variant};
use std::collections::BTreeMap;

/// Classes of a pass that are planned alike.
pub(super) struct Sort {
    /// The classes, ascending.
    pub(super) classes: Vec<usize>,
    /// Sources that they decode whole.
    whole: Vec<NodeId>,
    /// Its place among the sorts of the pass; `None` when it is the only one.
    nth: Option<usize>,
}

impl Sort {
    /// What decisions about these items end their subject with.
    pub(super) fn suffix(&self) -> String {
        self.nth.map_or_else(String::new, |n| format!(" [variant {}]", n + 1))
    }
}

/// The sorts of a pass, by the first class of each.
pub(super) fn apply(plan: &mut Plan, pass: &Pass, effort: &Effort) -> Vec<Sort> {
    // Decisions are made once for all classes that agree in everything they rest on.
    let mut alike: BTreeMap<Vec<bool>, usize> = BTreeMap::new();
    let mut sorts: Vec<Sort> = Vec::new();
    for class in 0..plan.graph.classes(pass.family) {
        let whole: Vec<NodeId> =
            pass.nodes.iter().copied().filter(|&n| cut::decoded_whole(plan, n, &[class])).collect();
        let small = pass.nodes.iter().map(|&n| keep::largest(plan, n, &[class]) <= effort.keep);
        let key = pass.nodes.iter().map(|n| whole.contains(n)).chain(small).collect();
        let at = *alike.entry(key).or_insert(sorts.len());
        match sorts.get_mut(at) {
            Some(sort) => sort.classes.push(class),
            None => sorts.push(Sort { classes: vec![class], whole, nth: None }),
        }
    }
    // What they rest on may differ without a difference: then one plan serves both.
    let mut decided = Vec::<(_, Sort)>::new();
    for sort in sorts {
        let before = (plan.decisions.len(), plan.graph.outputs.len());
        let kept = keep::apply(plan, pass, &sort.classes, effort);
        let gathered: Vec<(usize, bool)> = kept.gathered.iter().map(|(o, g)| (*o, g.staged)).collect();
        let kept = (kept.kept, kept.stored, gathered);
        plan.decisions.truncate(before.0);
        plan.graph.outputs.truncate(before.1);
        match decided.iter_mut().find(|(k, s)| *k == kept && s.whole == sort.whole) {
            Some((_, same)) => same.classes.extend(sort.classes),
            None => decided.push((kept, sort)),
        }
    }
    let many = decided.len() > 1;
    let mut sorts: Vec<Sort> = decided.into_iter().map(|(_, s)| s).collect();
    for (n, sort) in sorts.iter_mut().enumerate() {
        sort.classes.sort_unstable();
        sort.nth = many.then_some(n);
    }
    sorts
}

/// The variants of a pass, and the variant of each class.
pub(super) fn finish(plan: &Plan, pass: &Pass, sorts: &[Sort], stages: Vec<Vec<StageId>>) -> (Vec<Variant>, Vec<u32>) {
    let classes = plan.graph.classes(pass.family);
    let mut variant_of = vec![0u32; if sorts.len() > 1 { classes } else { 0 }];
    let mut items = vec![0u64; classes];
    match pass.family {
        Some(f) if classes > 1 => {
            let all = &plan.graph.input(f).items;
            (0..all.len()).for_each(|i| items[all.meta_id(i)] += 1);
        }
        family => items[0] = plan.graph.items(family),
    }
    let mut variants = Vec::new();
    for (n, (sort, stages)) in sorts.iter().zip(stages).enumerate() {
        if sorts.len() > 1 {
            sort.classes.iter().for_each(|&c| variant_of[c] = n as u32);
        }
        variants.push(Variant {
            stages,
            class: sort.classes.first().copied().unwrap_or(0),
            items: sort.classes.iter().map(|&c| items[c]).sum(),
            reason: if sorts.len() > 1 { reason(plan, pass, sort) } else { String::new() },
        });
    }
    (variants, variant_of)
}

/// What sets these classes apart.
fn reason(plan: &Plan, pass: &Pass, sort: &Sort) -> String {
    let sources = pass.nodes.iter().filter(|&&n| matches!(plan.graph.node(n).kind, Kind::Source(_)));
    let how = |n: &NodeId| match sort.whole.contains(n) {
        true => format!("`{}` is decoded whole", plan.graph.node(*n).label()),
        false => format!("`{}` is read region by region", plan.graph.node(*n).label()),
    };
    let size =
        sort.classes.iter().filter_map(|&c| pass.nodes.iter().map(|&n| keep::largest(plan, n, &[c])).max()).max();
    let read = sources.map(how).collect::<Vec<_>>().join(", ");
    format!("{read}, arrays of an item up to {}", super::super::print::bytes(size.unwrap_or(0)))
}

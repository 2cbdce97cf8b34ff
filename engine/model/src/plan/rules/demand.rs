//! Leaves out items that nothing asks for: a crop of a stack needs only the items it covers.
//!
//! Within a stage only the regions asked for are computed. What an earlier pass keeps for a join it would keep for
//! every item; so what each join is asked for is followed back here, and passes that serve joins only are told.

use super::decide;
use crate::graph::{Kind, NodeId};
use crate::plan::reads::{Wanted, add, want};
use crate::plan::{Plan, Root, Stage, root_array};
use ops_core::Needs;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Items of a family that are asked for.
enum Asked {
    All,
    Some(BTreeSet<u64>),
}

/// Tells each pass that only serves joins which items they ask for.
pub(super) fn apply(plan: &mut Plan) {
    let mut asked: BTreeMap<NodeId, Asked> = BTreeMap::new();
    for group in plan.groups.iter().filter(|g| g.family.is_none()) {
        for &s in &group.stages {
            of_stage(plan, plan.stage(s), &mut asked);
        }
    }
    for g in 0..plan.groups.len() {
        let group = &plan.groups[g];
        let serves_joins_only = |r: &Root| match r {
            Root::Keep(_) => true,
            Root::Write(_) => false,
            Root::Reduce(n) => {
                let per_item = plan.graph.node(*n).family == group.family;
                per_item && plan.graph.outputs.iter().all(|o| o.node != *n)
            }
        };
        let only = group.stages.iter().all(|&s| plan.stage(s).roots.iter().all(serves_joins_only));
        if group.family.is_none() || group.exports.is_empty() || !only {
            continue;
        }
        let mut items = BTreeSet::new();
        let all = group.exports.iter().any(|n| match asked.get(n) {
            Some(Asked::Some(some)) => {
                items.extend(some);
                false
            }
            Some(Asked::All) | None => true,
        });
        let of = plan.graph.items(group.family);
        if all || items.len() as u64 == of {
            continue;
        }
        let about = group.exports.iter().map(|n| plan.graph.node(*n).label()).collect::<Vec<_>>().join(", ");
        let choice = format!("{} of {of} items", items.len());
        plan.groups[g].items = Some(ranges(&items));
        plan.decisions.push(decide("demand", about, choice, "what joins them asks for no others"));
        recount(plan, g);
    }
}

/// Notes what the joins of one stage are asked for, by the producer they join.
fn of_stage(plan: &Plan, stage: &Stage, asked: &mut BTreeMap<NodeId, Asked>) {
    let graph = &plan.graph;
    let joins = |n: &NodeId| matches!(graph.node(*n).kind, Kind::Join(_));
    if !stage.nodes.iter().any(joins) {
        return;
    }
    let mut wanted = Wanted::new();
    for &root in &stage.roots {
        let array = root_array(graph, root);
        let whole = graph.node(array).meta(0).region();
        match root {
            Root::Reduce(r) => {
                if let Kind::Reduce(op, _) = &graph.node(r).kind {
                    let ports = graph.ports(r, 0);
                    want(graph, r, &op.needs(&ports, &whole), &ports, &mut wanted);
                }
            }
            _ => add(&mut wanted, array, whole),
        }
    }
    // Consumers have larger numbers than what they consume.
    while let Some((id, region)) = wanted.pop_last() {
        if stage.reads.contains(&id) {
            continue;
        }
        let node = graph.node(id);
        match &node.kind {
            Kind::Map(op) => {
                let ports = graph.ports(id, 0);
                want(graph, id, &op.needs(&ports, &region), &ports, &mut wanted);
            }
            Kind::Join(op) => {
                let whole = region == node.meta(0).region();
                let needs = if whole { Needs::new() } else { op.needs(&graph.ports(id, 0), &region) };
                for (input, &producer) in node.arrays.iter().enumerate() {
                    let entry = asked.entry(producer).or_insert_with(|| Asked::Some(BTreeSet::new()));
                    match entry {
                        Asked::Some(items) if !whole => {
                            items.extend(needs.iter().filter(|n| n.input == input).map(|n| u64::from(n.item)));
                        }
                        _ => *entry = Asked::All,
                    }
                }
            }
            Kind::Source(_) | Kind::Reduce(..) => {}
        }
    }
}

/// Ascending numbers as ranges.
fn ranges(items: &BTreeSet<u64>) -> Vec<Range<u64>> {
    let mut out: Vec<Range<u64>> = Vec::new();
    for &i in items {
        match out.last_mut() {
            Some(last) if last.end == i => last.end += 1,
            _ => out.push(i..i + 1),
        }
    }
    out
}

/// Counts the items of each variant again.
fn recount(plan: &mut Plan, g: usize) {
    let counts = plan.class_counts(&plan.groups[g]);
    let group = &mut plan.groups[g];
    group.variants.iter_mut().for_each(|v| v.items = 0);
    for (class, n) in counts.iter().enumerate() {
        let at = group.variant_of.get(class).map_or(0, |v| *v as usize);
        group.variants[at].items += n;
    }
}

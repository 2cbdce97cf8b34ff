//! Decides which arrays are kept in memory between stages, and by that where stages must be cut.
//!
//! Some must be kept: a source that can only be decoded whole, an array that another pass reads. Others may be, where
//! several stages need them: kept when computing them again costs more than writing and reading them once, and an item
//! of them is small.

use super::{Effort, Kept, Pass, decide, gather, lines, spill};
use crate::catalog::Access;
use crate::graph::{Kind, NodeId};
use crate::plan::{Plan, Root, read_by, root_array};
use ops_core::Axis;
use std::collections::{BTreeMap, BTreeSet};

/// An array of more bytes an item is not kept merely to save time.
pub(super) const ITEM_LIMIT: u64 = 64 << 20;
/// What reading an element's byte from where it was written costs, in nanoseconds: fetching and decoding.
pub(super) const READ_NANOS_PER_BYTE: f32 = 1.0;
/// What writing an element's byte to memory and reading it again costs, in nanoseconds.
const KEEP_NANOS_PER_BYTE: f32 = 0.5;

/// What must or may be kept in one pass, for items of these classes.
pub(super) fn apply(plan: &mut Plan, pass: &Pass, classes: &[usize], effort: &Effort) -> Kept {
    let mut must = must_keep(plan, pass, classes);
    let mut stored = stored(plan, pass, &must);
    let mut scratch = Vec::new();
    lines::apply(plan, pass, classes, effort, &mut must, &mut stored, &mut scratch);
    let gathered = gather::apply(plan, pass, classes, effort, &must, &mut stored, &mut scratch);
    // A source goes through scratch for the sake of the output only: others read it where it is.
    let computed = stored.keys().filter(|n| !matches!(plan.graph.node(**n).kind, Kind::Source(_)));
    must.extend(computed.map(|n| (*n, "what is made from it is made from what is written of it")));
    let level = levels(plan, pass, &must);
    let mut uses: BTreeMap<NodeId, BTreeSet<u32>> = BTreeMap::new();
    for r in roots(pass) {
        let n = root_array(&plan.graph, r);
        let at = match r {
            Root::Reduce(r) => level[&r],
            _ => level[&n],
        };
        uses.entry(n).or_default().insert(at);
    }
    for &r in &pass.reduces {
        for &a in &plan.graph.node(r).arrays {
            uses.entry(a).or_default().insert(level[&r]);
        }
    }
    let mut kept: BTreeMap<NodeId, u32> = BTreeMap::new();
    for &id in pass.nodes.iter().rev() {
        if plan.graph.node(id).is_reduce() {
            continue;
        }
        let mut at = uses.remove(&id).unwrap_or_default();
        at.insert(*at.first().unwrap_or(&level[&id]));
        if must.contains_key(&id) {
            at = BTreeSet::from([level[&id]]);
            kept.insert(id, level[&id]);
        } else if at.len() > 1 {
            let again = Again { id, times: at.len() - 1, bytes: largest(plan, id, classes) };
            let first = at.first().copied().unwrap_or(0);
            let choice = choose(plan, pass, &again, effort, &must);
            if choice == Choice::Spill {
                let o = spill::output(plan, pass, id);
                stored.insert(id, o);
                scratch.extend(plan.graph.outputs[o].scratch.then_some(o));
            }
            if choice != Choice::Compute {
                at = BTreeSet::from([first]);
                kept.insert(id, first);
            }
        }
        for a in read_by(&plan.graph, id) {
            uses.entry(a).or_default().extend(&at);
        }
    }
    for (id, why) in must {
        let choice = match (pass.exports.contains(&id), stored.contains_key(&id)) {
            (true, _) => "kept for later passes",
            (_, true) if plan.graph.outputs[stored[&id]].scratch => "read from scratch",
            (_, true) => "read from its store",
            _ => "kept",
        };
        plan.decisions.push(decide("keep", plan.graph.node(id).label(), choice, why));
    }
    Kept { kept, level, stored, scratch, gathered }
}

/// Written arrays that others of other extents are made from, whose tasks are others: they are read where they are written, so
/// that nothing is computed again for each, and none is kept in memory. Of an image of several levels these are all but the
/// last; of other outputs those that cost more to compute again than to read. What is kept anyway, or is a source, is not.
fn stored(plan: &Plan, pass: &Pass, must: &BTreeMap<NodeId, &'static str>) -> BTreeMap<NodeId, usize> {
    let computed = |n: NodeId| matches!(plan.graph.node(n).kind, Kind::Map(_) | Kind::Join(_));
    let mut found = BTreeMap::new();
    for &o in &pass.outputs {
        let out = &plan.graph.outputs[o];
        let (n, next) = (out.node, out.part.as_ref().is_some_and(|p| p.level + 1 < p.image.paths.len()));
        if !computed(n) || must.contains_key(&n) {
            continue;
        }
        let read = || plan.graph.node(n).metas[0].dtype.size() as f32 * READ_NANOS_PER_BYTE;
        let dear = || out.format.is_zarr() && chain_nanos(plan, pass, n, must) > read();
        if next || (dear() && made_into_others(plan, pass, n)) {
            found.insert(n, o);
        }
    }
    found
}

/// True where a root of other extents, in the same pass, is made from an array.
fn made_into_others(plan: &Plan, pass: &Pass, id: NodeId) -> bool {
    let extents = |n: NodeId| -> Vec<(Axis, u64)> {
        let meta = plan.graph.node(n).metas.first();
        let all = meta.into_iter().flat_map(|m| m.axes.iter().zip(m.shape.iter().copied()));
        all.filter(|(a, _)| *a != Axis::C).collect()
    };
    // Nodes come after what they are made from.
    let mut from: BTreeSet<NodeId> = BTreeSet::from([id]);
    for &n in pass.nodes.iter().filter(|n| **n > id) {
        if read_by(&plan.graph, n).any(|a| from.contains(&a)) {
            from.insert(n);
        }
    }
    let own = extents(id);
    let arrays = roots(pass).map(|r| root_array(&plan.graph, r)).filter(|n| !plan.graph.node(*n).is_reduce());
    arrays.into_iter().any(|n| n != id && from.contains(&n) && extents(n) != own)
}

/// Bytes of the largest array a node makes for items of these classes.
pub(super) fn largest(plan: &Plan, id: NodeId, classes: &[usize]) -> u64 {
    let n = plan.graph.node(id);
    if n.is_reduce() { 0 } else { classes.iter().map(|&c| n.meta(c).bytes()).max().unwrap_or(0) }
}

/// Everything the pass leaves, kept arrays aside.
fn roots(pass: &Pass) -> impl Iterator<Item = Root> + '_ {
    pass.outputs.iter().map(|&o| Root::Write(o)).chain(pass.reduces.iter().map(|&r| Root::Reduce(r)))
}

fn must_keep(plan: &Plan, pass: &Pass, classes: &[usize]) -> BTreeMap<NodeId, &'static str> {
    let mut must = BTreeMap::new();
    for &id in &pass.nodes {
        let n = plan.graph.node(id);
        let why = match &n.kind {
            Kind::Source(i) if classes.iter().any(|&c| plan.graph.source(*i, c).access == Access::Whole) => {
                Some("its format can only be decoded whole")
            }
            Kind::Map(_) | Kind::Join(_) if !plan.settings.fuse => Some("fusing is switched off"),
            _ if pass.exports.contains(&id) => Some("another pass reads it"),
            _ => None,
        };
        if let Some(why) = why
            && !n.is_reduce()
        {
            must.insert(id, why);
        }
    }
    must
}

fn levels(plan: &Plan, pass: &Pass, must: &BTreeMap<NodeId, &'static str>) -> BTreeMap<NodeId, u32> {
    let mut level: BTreeMap<NodeId, u32> = BTreeMap::new();
    for &id in &pass.nodes {
        let n = plan.graph.node(id);
        let arrays = n.arrays.iter().filter_map(|a| Some(level.get(a)? + u32::from(must.contains_key(a))));
        let values = n.values.iter().filter_map(|v| Some(level.get(v)? + 1));
        let at = arrays.chain(values).max().unwrap_or(0);
        level.insert(id, at);
    }
    level
}

/// An array that several stages need.
struct Again {
    id: NodeId,
    /// How often more it would be computed.
    times: usize,
    /// Bytes of the largest one.
    bytes: u64,
}

/// How later stages get an array.
#[derive(PartialEq, Eq, Clone, Copy)]
enum Choice {
    Compute,
    Keep,
    Spill,
}

fn choose(plan: &mut Plan, pass: &Pass, of: &Again, effort: &Effort, must: &BTreeMap<NodeId, &'static str>) -> Choice {
    let (n, times) = (plan.graph.node(of.id), of.times);
    let size = n.metas[0].dtype.size() as f32;
    let cost = chain_nanos(plan, pass, of.id, must) * times as f32;
    let keep_cost = size * KEEP_NANOS_PER_BYTE;
    let spill_cost = size * spill::NANOS_PER_BYTE * (1 + times) as f32 / 2.0;
    let label = n.label();
    let again = format!("computing it {times} more times costs {cost:.1} ns an element");
    let always = plan.settings.spill && spill::can(plan, of.id);
    let (choice, words, reason) = if always {
        (Choice::Spill, "spilled", "as asked, for comparison".to_owned())
    } else if of.bytes <= effort.keep {
        match cost > keep_cost {
            true => (Choice::Keep, "kept", format!("{again}, keeping {keep_cost:.1} ns")),
            false => {
                (Choice::Compute, "computed again", format!("{cost:.1} ns an element, keeping costs {keep_cost:.1} ns"))
            }
        }
    } else {
        let many = format!("{} an item are more than are kept to save time", human(of.bytes));
        match effort.spill && spill::can(plan, of.id) {
            true if cost > spill_cost => {
                (Choice::Spill, "spilled", format!("{many}; {again}, writing and reading it {spill_cost:.1} ns"))
            }
            true => (Choice::Compute, "computed again", format!("{many}; {again}, spilling {spill_cost:.1} ns")),
            false => (Choice::Compute, "computed again", many),
        }
    };
    plan.decisions.push(decide("keep", label, words, reason));
    choice
}

/// Nanoseconds that computing one element of a node from what is kept or read takes.
fn chain_nanos(plan: &Plan, pass: &Pass, id: NodeId, must: &BTreeMap<NodeId, &'static str>) -> f32 {
    let n = plan.graph.node(id);
    let own = match &n.kind {
        // Decoding a tile again.
        Kind::Source(_) => 4.0 * n.metas[0].dtype.size() as f32,
        Kind::Map(m) | Kind::Join(m) => m.nanos_per_element(),
        Kind::Reduce(..) => 0.0,
    };
    let inputs: f32 = read_by(&plan.graph, id)
        .filter(|a| !must.contains_key(a) && !pass.imports.contains(a))
        .map(|a| {
            let elements = plan.graph.node(a).metas[0].volume() as f32 / n.metas[0].volume().max(1) as f32;
            chain_nanos(plan, pass, a, must) * elements
        })
        .sum();
    own + inputs
}

/// Bytes as a person reads them.
pub(super) fn human(bytes: u64) -> String {
    crate::plan::print::bytes(bytes)
}

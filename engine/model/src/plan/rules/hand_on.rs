//! Decides for how many items an array that several passes decode is handed on from one to the next.
//!
//! A reduction over a collection divides the work into passes, and each pass decodes the items again: keeping all of
//! them is what larger-than-memory means to avoid. But the first items may well stay, so many as memory has room for.
//! How much that may be depends on the number of threads, as all the rest of a run does, and not on how much memory
//! there is: the same run takes the same memory on any machine that has enough.

use super::{decide, keep};
use crate::graph::{Kind, NodeId};
use crate::plan::{Group, HandedOn, Plan, Root, Stage, memory};
use ops_core::Axis;

/// Bytes handed on between passes, for each thread.
const PER_THREAD: u64 = 48 << 20;

/// Hands on what fits, and adds it to the projected peak.
pub(super) fn apply(plan: &mut Plan) {
    let room = plan.settings.memory.saturating_sub(plan.memory.projected);
    let mut room = room.min(PER_THREAD.saturating_mul(plan.settings.threads as u64));
    for mut handed in candidates(plan) {
        fill(plan, &mut handed, room);
        if handed.items == 0 {
            continue;
        }
        plan.decisions.push(decide(
            "hand on",
            plan.graph.node(handed.node).label(),
            format!("{} items are not read again in pass {}", handed.items, handed.to + 1),
            format!("{} of the {} there is room for", keep::human(handed.bytes), keep::human(room)),
        ));
        room -= handed.bytes;
        plan.handed_on.push(handed);
    }
    if !plan.handed_on.is_empty() {
        plan.memory = memory::project(plan, plan.memory.window);
    }
}

/// Takes the first items that fit.
fn fill(plan: &Plan, handed: &mut HandedOn, room: u64) {
    let family = plan.graph.node(handed.node).family;
    let mut bytes = vec![None; plan.graph.classes(family)];
    for &class in &handed.classes {
        bytes[class] = Some(memory::kept_bytes(plan, handed.node, class));
    }
    let (from, to) = (&plan.groups[handed.from], &plan.groups[handed.to]);
    for item in (0..plan.graph.items(family)).take_while(|_| !handed.classes.is_empty()) {
        if let Some(bytes) = bytes[plan.graph.class_of(family, item)].filter(|_| from.runs(item) && to.runs(item)) {
            if handed.bytes.saturating_add(bytes) > room {
                return;
            }
            handed.items += 1;
            handed.bytes += bytes;
        }
        handed.before = item + 1;
    }
}

/// Sources that several passes over the same items load whole, in the same blocks.
fn candidates(plan: &Plan) -> Vec<HandedOn> {
    let mut found: Vec<HandedOn> = Vec::new();
    for (at, group) in plan.groups.iter().enumerate().filter(|(_, g)| g.family.is_some()) {
        for node in group.stages.iter().filter_map(|&s| loads(plan, plan.stage(s))) {
            match found.iter_mut().find(|h| h.node == node) {
                Some(h) => h.to = at,
                None if group.exports.contains(&node) => {}
                None => {
                    found.push(HandedOn { node, classes: Vec::new(), before: 0, items: 0, bytes: 0, from: at, to: at });
                }
            }
        }
    }
    found.retain(|h| h.from < h.to);
    for h in &mut found {
        let (from, to) = (&plan.groups[h.from], &plan.groups[h.to]);
        let alike = |class: &usize| {
            let first = loaded_in(plan, from, h.node, *class);
            first.is_some() && first == loaded_in(plan, to, h.node, *class)
        };
        h.classes = (0..plan.graph.classes(from.family)).filter(alike).collect();
    }
    found
}

/// The blocks in which a pass loads a source for items of a class; `None` where it does not.
fn loaded_in<'a>(plan: &'a Plan, group: &'a Group, node: NodeId, class: usize) -> Option<&'a [(Axis, u64)]> {
    let mut stages = group.stages_of(class).iter().map(|&s| plan.stage(s));
    stages.find(|s| loads(plan, s) == Some(node)).map(|s| s.block.as_slice())
}

/// The source that a stage does nothing but load.
fn loads(plan: &Plan, stage: &Stage) -> Option<NodeId> {
    match (stage.nodes.as_slice(), stage.roots.as_slice()) {
        (&[node], &[Root::Keep(kept)]) if node == kept => {
            matches!(plan.graph.node(node).kind, Kind::Source(_)).then_some(node)
        }
        _ => None,
    }
}

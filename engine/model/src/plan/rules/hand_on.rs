//! Decides for how many items an array that several passes decode is handed on from one to the next.
//!
//! A reduction over a collection divides the work into passes, and each pass decodes the items again: keeping all of
//! them is what larger-than-memory means to avoid. But the first items may well stay, so much as memory has room for.
//! How much that may be depends on the number of threads, as all the rest of a run does, and not on how much memory
//! there is: the same run takes the same memory on any machine that has enough.

use super::{decide, keep};
use crate::graph::{Kind, NodeId};
use crate::plan::{HandedOn, Plan, Root, Stage, memory};

/// Bytes handed on between passes, for each thread.
const PER_THREAD: u64 = 48 << 20;

/// Hands on what fits, and adds it to the projected peak.
pub(super) fn apply(plan: &mut Plan) {
    let room = plan.settings.memory.saturating_sub(plan.memory.projected);
    let mut room = room.min(PER_THREAD.saturating_mul(plan.settings.threads as u64));
    for mut handed in candidates(plan) {
        let all = plan.graph.items(plan.graph.node(handed.node).family);
        let (items, bytes) = memory::first_items(plan, handed.node, room);
        let label = plan.graph.node(handed.node).label();
        if items == 0 {
            continue;
        }
        let had = room;
        room -= bytes;
        handed.items = items;
        plan.decisions.push(decide(
            "hand on",
            label,
            format!("{items} of {all} items are not read again in pass {}", handed.to + 1),
            format!("{} of the {} there is room for", keep::human(bytes), keep::human(had)),
        ));
        plan.handed_on.push(handed);
    }
    if !plan.handed_on.is_empty() {
        plan.memory = memory::project(plan, plan.memory.window);
    }
}

/// Sources that several passes over the same items load whole, in the same blocks.
fn candidates(plan: &Plan) -> Vec<HandedOn> {
    let mut found: Vec<(HandedOn, &Stage)> = Vec::new();
    for (at, group) in plan.groups.iter().enumerate().filter(|(_, g)| g.family.is_some()) {
        for stage in group.stages.iter().map(|&s| plan.stage(s)) {
            let Some(node) = loads(plan, stage) else { continue };
            if group.exports.contains(&node) {
                continue;
            }
            match found.iter_mut().find(|(h, first)| h.node == node && first.block == stage.block) {
                Some((h, _)) => h.to = at,
                None => found.push((HandedOn { node, items: 0, from: at, to: at }, stage)),
            }
        }
    }
    found.into_iter().map(|(h, _)| h).filter(|h| h.from < h.to).collect()
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

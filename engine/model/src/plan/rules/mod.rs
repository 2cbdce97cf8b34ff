//! The planner's rules, one file each, in the order they apply.

mod cut;
mod demand;
mod gather;
mod granule;
mod hand_on;
mod keep;
mod lines;
mod memory;
mod passes;
mod prune;
mod reads;
mod share;
mod spill;
mod sweep;
mod units;
mod variants;

pub use memory::Refusal;
pub(super) use spill::bytes as scratch_bytes;

use super::{Decision, Group, Plan, Settings};
use crate::graph::{Graph, NodeId};
use ops_core::Axis;
use std::collections::{BTreeMap, BTreeSet};

/// Makes a plan. The refusal of a plan that can't fit still carries it, so that it can be drawn.
///
/// # Errors
/// When no choice the planner has fits the memory limit.
pub fn make(graph: Graph, settings: Settings) -> Result<Plan, Box<Refusal>> {
    // What is given up for memory, one after the other: what is kept only to save time, most of the decoded tiles, and
    // blocks as large as the tiles of what they read.
    let ladder = [
        Effort { keep: keep::ITEM_LIMIT, cache_share: 1, elements: granule::ELEMENTS, spill: true },
        Effort { keep: 0, cache_share: 1, elements: granule::ELEMENTS, spill: true },
        Effort { keep: 0, cache_share: 8, elements: granule::ELEMENTS, spill: true },
        Effort { spill: true, ..Effort::LEAST },
        Effort::LEAST,
    ];
    let mut fitted = memory::fit(draft(graph.clone(), &settings, &ladder[0]));
    for effort in &ladder[1..] {
        let Err(with) = fitted else { break };
        fitted = memory::fit(draft(graph.clone(), &settings, effort))
            .map_err(|without| if without.memory.projected < with.memory.projected { without } else { with });
    }
    let fitted = fitted.map_err(|least| Box::new(memory::refuse(&graph, *least)));
    // Last: it only uses memory that all else has left.
    fitted.map(|mut plan| {
        hand_on::apply(&mut plan);
        plan
    })
}

/// How much memory a draft may spend on saving time.
struct Effort {
    /// Bytes of an array an item that is kept merely to save time.
    keep: u64,
    /// What the wishes for decoded tiles are divided by.
    cache_share: u64,
    /// Elements of a block that suits the tiles of what it reads.
    elements: u64,
    /// True where what would take too much memory may be written to disk to save time.
    spill: bool,
}

impl Effort {
    /// Nothing is spent on saving time.
    const LEAST: Effort = Effort { keep: 0, cache_share: 8, elements: granule::FEW_ELEMENTS, spill: false };
}

fn draft(graph: Graph, settings: &Settings, effort: &Effort) -> Plan {
    let when = |d: &crate::graph::Decided| decide("when", &d.step, if d.on { "on" } else { "off" }, &d.why);
    let mut decisions = graph.decided.iter().map(when).collect();
    // First, so that no later rule spends a thought on what nobody asked for.
    let graph = prune::apply(graph, &mut decisions);
    // Before passes are formed, so that equal work in two branches is one node in all that follows.
    let graph = share::apply(graph, &mut decisions);
    // Divides the nodes by collection reductions: all later rules work within one pass.
    let passes = passes::apply(&graph);
    let mut plan = Plan {
        graph,
        groups: Vec::new(),
        stages: Vec::new(),
        decisions,
        stored: Default::default(),
        handed_on: Vec::new(),
        memory: Default::default(),
        settings: settings.clone(),
    };
    for pass in &passes {
        // Before anything is decided for items: those that would be decided differently are planned apart.
        let sorts = variants::apply(&mut plan, pass, effort);
        let mut made = Vec::new();
        for sort in &sorts {
            let decided = plan.decisions.len();
            // What is kept decides where stages must be cut; so keeping comes before cutting.
            let kept = keep::apply(&mut plan, pass, &sort.classes, effort);
            let whose = sort.suffix();
            plan.decisions[decided..].iter_mut().for_each(|d| d.about.push_str(&whose));
            // Needs to know every root, and gives the granule rule its stages.
            plan.stored.extend(&kept.stored);
            let stages = cut::apply(&mut plan, pass, &sort.classes, &kept, &whose, effort.elements);
            // After cutting: the block of a stage must suit all outputs it writes.
            let first = plan.stages.len() as u32;
            for mut stage in stages {
                granule::apply(&mut plan, &mut stage, &sort.classes, &whose, effort.elements, &kept.gathered);
                plan.stages.push(stage);
            }
            made.push((first..plan.stages.len() as u32).map(super::StageId).collect());
        }
        let (variants, variant_of) = variants::finish(&plan, pass, &sorts, made);
        plan.groups.push(Group {
            family: pass.family,
            phase: pass.phase,
            stages: variants.iter().flat_map(|v| v.stages.iter().copied()).collect(),
            variants,
            variant_of,
            items: None,
            exports: pass.exports.iter().copied().collect(),
            releases: Vec::new(),
            caches: Vec::new(),
        });
    }
    cut::order(&mut plan);
    // Needs finished stages: what a stage computes decides which items it asks for.
    demand::apply(&mut plan);
    passes::release(&mut plan);
    // Needs the blocks of all stages of a pass.
    reads::apply(&mut plan, effort.cache_share);
    plan
}

/// One pass over the items of a family: what a group is made from.
struct Pass {
    family: Option<crate::graph::InputId>,
    phase: u32,
    /// Nodes computed in it, ascending.
    nodes: Vec<NodeId>,
    /// Reductions that run in it.
    reduces: BTreeSet<NodeId>,
    /// Outputs it writes.
    outputs: Vec<usize>,
    /// Nodes that later groups read.
    exports: BTreeSet<NodeId>,
    /// Nodes of earlier groups that it reads.
    imports: BTreeSet<NodeId>,
}

/// Extents along the axes that blocks cut.
type Extents = Vec<(Axis, u64)>;

/// What the keep rule decided for one pass.
struct Kept {
    /// The level a kept node, or one that is read from where it is written, is computed at.
    kept: BTreeMap<NodeId, u32>,
    /// Those that are read from where they are written, with the number of the output.
    stored: BTreeMap<NodeId, usize>,
    /// The lowest level each node can be computed at.
    level: BTreeMap<NodeId, u32>,
    /// Outputs that are written only to be read again.
    scratch: Vec<usize>,
    /// Outputs whose chunks lie across the tiles of what they are made from.
    gathered: BTreeMap<usize, gather::Gathered>,
}

fn decide(
    rule: &'static str,
    about: impl Into<String>,
    choice: impl Into<String>,
    reason: impl Into<String>,
) -> Decision {
    Decision { rule, about: about.into(), choice: choice.into(), reason: reason.into() }
}

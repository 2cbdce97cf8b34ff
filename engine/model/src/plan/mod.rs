//! The plan: what is computed together, in which blocks, what is kept, and how much memory that takes.
//!
//! A plan holds one entry a step, never one a block or item: a billion blocks plan as fast as one. Its parts:
//!
//! - a [`Group`] is one pass over the items of a family (or over what is single): passes are divided by reductions
//!   over a whole collection, since nothing after one can start before it ends;
//! - a [`Stage`] of a group is a set of nodes computed block by block in one task; stages are divided by what must be
//!   complete before it is read (a value, or an array numbered by block);
//! - a [`Root`] is what a stage leaves: a written output, an accumulated reduction, a kept array.
//!
//! The rules that make it are in [`rules`], one file each, applied in the order and for the reasons given there.

pub mod document;
pub mod eval;
pub mod fingerprint;
pub mod memory;
pub mod print;
pub mod reads;
pub mod rules;

use crate::graph::{Graph, InputId, Kind, NodeId};
use ops_core::{Axis, Grid, Region};
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::ops::Range;

/// What the planner may choose within; never changes a byte of the results.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Memory limit in bytes.
    pub memory: u64,
    /// Worker threads.
    pub threads: usize,
    /// Block extents along the last spatial axes; empty for the default.
    pub block: Vec<u64>,
    /// False keeps every intermediate array, for comparison.
    pub fuse: bool,
    /// True writes to scratch whatever may go there, for comparison.
    pub spill: bool,
    /// Bytes of what may wait to leave the process besides the record, such as spans for a collector.
    pub waiting: u64,
}

/// Number of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StageId(pub u32);

/// What a stage leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Root {
    /// An array kept in memory for later stages.
    Keep(NodeId),
    /// A reduction.
    Reduce(NodeId),
    /// An output, by its number in the graph.
    Write(usize),
}

/// Nodes computed together, block by block.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// Position within its group: a stage reads only what lower levels of its group, or earlier groups, left.
    pub level: u32,
    /// What it leaves.
    pub roots: Vec<Root>,
    /// The nodes it computes, ascending.
    pub nodes: Vec<NodeId>,
    /// Kept arrays it reads.
    pub reads: Vec<NodeId>,
    /// Values it needs, those made in the same group first.
    pub values: Vec<NodeId>,
    /// The node whose array its grid cuts.
    pub domain: NodeId,
    /// Block extent along each cut axis.
    pub block: Vec<(Axis, u64)>,
    /// Stages of the same group that must be complete first.
    pub after: Vec<StageId>,
}

/// One pass over the items of a family, or over what is single.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// The family; `None` for what is single.
    pub family: Option<InputId>,
    /// Collection reductions that lie before it.
    pub phase: u32,
    /// The stages of all its variants, by variant and level.
    pub stages: Vec<StageId>,
    /// How its items are computed: one way, or several where their classes ask for it. Never empty.
    pub variants: Vec<Variant>,
    /// The variant of each class, by number; empty where there is one variant.
    pub variant_of: Vec<u32>,
    /// The items it runs over, ascending; `None` for all.
    pub items: Option<Vec<Range<u64>>>,
    /// Kept arrays that later groups read; they live until the last such group ends.
    pub exports: Vec<NodeId>,
    /// Exported arrays of earlier groups that die with this one.
    pub releases: Vec<NodeId>,
    /// Decoded tiles that are kept for other tasks.
    pub caches: Vec<Cache>,
}

/// Decoded tiles of an array that are kept while an item is in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cache {
    /// The array.
    pub node: NodeId,
    /// True where it is read from where the run wrote it; an input may be read from there too, once it is rearranged.
    pub stored: bool,
    /// Bytes, for each item.
    pub bytes: u64,
}

impl Group {
    /// Bytes of decoded tiles that each item's reader keeps of a source or, where it is `stored`, of what the run wrote of it.
    pub fn cache(&self, node: NodeId, stored: bool) -> u64 {
        self.caches.iter().find(|c| (c.node, c.stored) == (node, stored)).map_or(0, |c| c.bytes)
    }
}

impl Group {
    /// The stages that an item of a class goes through, by level.
    pub fn stages_of(&self, class: usize) -> &[StageId] {
        let at = self.variant_of.get(class).map_or(0, |v| *v as usize);
        self.variants.get(at).map_or(&[], |v| &v.stages)
    }

    /// True where the pass runs over this item.
    pub fn runs(&self, item: u64) -> bool {
        let Some(ranges) = &self.items else { return true };
        let at = ranges.partition_point(|r| r.end <= item);
        ranges.get(at).is_some_and(|r| r.contains(&item))
    }
}

/// One way in which the items of a pass are computed: classes that differ in what is kept, such as images that are
/// decoded whole beside tiled ones, have stages of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    /// Its stages by level.
    pub stages: Vec<StageId>,
    /// The first class that takes it.
    pub class: usize,
    /// Items that take it.
    pub items: u64,
    /// What sets its items apart, in one line; empty where there is one variant.
    pub reason: String,
}

/// An array that one pass hands on to the next, so that it is not read again, for as many items as memory has room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandedOn {
    /// The array.
    pub node: NodeId,
    /// The classes whose items are handed on, ascending.
    pub classes: Vec<usize>,
    /// Only items of a lower number are.
    pub before: u64,
    /// How many that are.
    pub items: u64,
    /// The bytes they take.
    pub bytes: u64,
    /// Number of the group that reads it.
    pub from: usize,
    /// Number of the last group that uses it; those between that use it hand it on.
    pub to: usize,
}

/// Something the planner chose, and why.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Decision {
    /// The rule that chose.
    pub rule: &'static str,
    /// What it is about.
    pub about: String,
    /// What was chosen.
    pub choice: String,
    /// Why, in one line.
    pub reason: String,
}

/// A plan: a graph and how it is executed.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The nodes, pruned and shared.
    pub graph: Graph,
    /// Groups in the order they run.
    pub groups: Vec<Group>,
    /// Stages by number.
    pub stages: Vec<Stage>,
    /// Arrays that later stages read from the store of the output, by its number, once that is complete.
    pub stored: BTreeMap<NodeId, usize>,
    /// What passes hand on to later ones.
    pub handed_on: Vec<HandedOn>,
    /// What was chosen and why.
    pub decisions: Vec<Decision>,
    /// The projected peak.
    pub memory: memory::Memory,
    /// What the choices were made within.
    pub settings: Settings,
}

impl Plan {
    /// The stage of that number.
    ///
    /// # Panics
    /// When the id belongs to another plan.
    pub fn stage(&self, id: StageId) -> &Stage {
        &self.stages[id.0 as usize]
    }

    /// The array of a root that is written only to be read again.
    pub fn scratch(&self, root: Root) -> Option<NodeId> {
        let Root::Write(o) = root else { return None };
        let out = &self.graph.outputs[o];
        out.scratch.then_some(out.node)
    }

    /// The most bytes that arrays take on disk which are written only to be read again.
    pub fn scratch_bytes(&self) -> u64 {
        rules::scratch_bytes(self)
    }

    /// The grid of a stage's tasks, for items of a class, over its cut axes.
    pub fn grid(&self, stage: &Stage, class: usize) -> Grid {
        let meta = self.graph.node(stage.domain).meta(class);
        let extent = |axis: Axis| meta.axes.position(axis).map_or(1, |p| meta.shape[p]);
        let shape: SmallVec<[u64; 6]> = stage.block.iter().map(|b| extent(b.0)).collect();
        let block: SmallVec<[u64; 6]> = stage.block.iter().map(|b| b.1).collect();
        Grid::new(&shape, &block)
    }

    /// The region of a node's array that a block of a stage's grid stands for: the block along the cut axes, all of
    /// every other axis.
    pub fn region(&self, stage: &Stage, node: NodeId, class: usize, block: &Region) -> Region {
        let meta = self.graph.node(node).meta(class);
        let mut r = meta.region();
        for (i, (axis, _)) in stage.block.iter().enumerate() {
            if let Some(p) = meta.axes.position(*axis) {
                (r.lo[p], r.hi[p]) = (block.lo[i], block.hi[i]);
            }
        }
        r
    }

    /// What hands an item's array on through group number `at`, if that is done for the item.
    pub fn hands_on(&self, node: NodeId, item: u64, at: usize) -> Option<&HandedOn> {
        let of = |h: &&HandedOn| h.node == node && item < h.before && h.from <= at && at <= h.to;
        let class = self.graph.class_of(self.graph.node(node).family, item);
        self.handed_on.iter().find(of).filter(|h| h.classes.binary_search(&class).is_ok())
    }

    /// The node behind a root.
    pub fn root_node(&self, root: Root) -> NodeId {
        match root {
            Root::Keep(n) | Root::Reduce(n) => n,
            Root::Write(o) => self.graph.outputs[o].node,
        }
    }

    /// The array a root is cut along: for a reduction its first input.
    pub fn root_array(&self, root: Root) -> NodeId {
        root_array(&self.graph, root)
    }

    /// Number of tasks, where it can be told without looking at every item of a large family.
    pub fn tasks(&self) -> u64 {
        self.groups
            .iter()
            .map(|g| {
                let of = |c: usize| g.stages_of(c).iter().map(|&s| self.grid(self.stage(s), c).count()).sum::<u64>();
                let counts = self.class_counts(g);
                counts.iter().enumerate().fold(0u64, |s, (c, n)| s.saturating_add(of(c).saturating_mul(*n)))
            })
            .fold(0, u64::saturating_add)
    }

    /// Number of items a pass runs over; 1 for what is single.
    pub fn item_count(&self, group: &Group) -> u64 {
        match &group.items {
            None => self.graph.items(group.family),
            Some(ranges) => ranges.iter().map(|r| r.end - r.start).sum(),
        }
    }

    /// Number of items of each class that a pass runs over.
    pub fn class_counts(&self, group: &Group) -> Vec<u64> {
        let mut counts = vec![0; self.graph.classes(group.family)];
        match group.family {
            Some(f) if counts.len() > 1 => {
                let items = &self.graph.input(f).items;
                let all = 0..items.len();
                let ranges = group.items.as_deref().unwrap_or(std::slice::from_ref(&all));
                ranges.iter().cloned().flatten().for_each(|i| counts[items.meta_id(i)] += 1);
            }
            _ => counts[0] = self.item_count(group),
        }
        counts
    }

    /// What a stage is called: the steps it computes.
    pub fn stage_name(&self, stage: &Stage) -> String {
        let mut names: Vec<String> = Vec::new();
        for &n in &stage.nodes {
            let label = self.graph.node(n).label();
            if names.last() != Some(&label) {
                names.push(label);
            }
        }
        if names.is_empty() {
            names = stage.roots.iter().map(|&r| self.graph.node(self.root_node(r)).label()).collect();
        }
        names.join("+")
    }
}

/// The arrays whose elements a node reads: a map may need no more of an input than its metadata.
pub(crate) fn read_by(graph: &Graph, id: NodeId) -> impl Iterator<Item = NodeId> + '_ {
    let n = graph.node(id);
    let reads = move |input: usize| match &n.kind {
        Kind::Map(op) => (0..graph.classes(n.family)).any(|c| {
            let needs = op.needs(&graph.ports(id, c), &n.meta(c).region());
            needs.iter().any(|need| need.input == input)
        }),
        _ => true,
    };
    n.arrays.iter().enumerate().filter(move |(input, _)| reads(*input)).map(|(_, &a)| a)
}

/// The array a root is cut along: for a reduction its first input.
pub(crate) fn root_array(graph: &Graph, root: Root) -> NodeId {
    match root {
        Root::Keep(n) => n,
        Root::Reduce(n) => graph.node(n).arrays[0],
        Root::Write(o) => graph.outputs[o].node,
    }
}

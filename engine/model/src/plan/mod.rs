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
pub mod memory;
pub mod print;
pub mod rules;

use crate::graph::{Graph, InputId, NodeId};
use ops_core::{Axis, Grid, Region};
use smallvec::SmallVec;

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
    /// Its stages by level.
    pub stages: Vec<StageId>,
    /// Kept arrays that later groups read; they live until the last such group ends.
    pub exports: Vec<NodeId>,
    /// Exported arrays of earlier groups that die with this one.
    pub releases: Vec<NodeId>,
    /// Sources whose decoded tiles are kept for other tasks, and how many bytes of them for each item.
    pub caches: Vec<(NodeId, u64)>,
}

impl Group {
    /// Bytes of decoded tiles that each item's reader of a source keeps.
    pub fn cache(&self, node: NodeId) -> u64 {
        self.caches.iter().find(|(n, _)| *n == node).map_or(0, |(_, bytes)| *bytes)
    }
}

/// An array that one pass hands on to the next, so that it is not read again, for as many items as memory has room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HandedOn {
    /// The array.
    pub node: NodeId,
    /// How many items, from the first.
    pub items: u64,
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
        self.handed_on.iter().find(|h| h.node == node && item < h.items && h.from <= at && at <= h.to)
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
                let per_class: Vec<u64> = (0..self.graph.classes(g.family))
                    .map(|c| g.stages.iter().map(|&s| self.grid(self.stage(s), c).count()).sum())
                    .collect();
                match g.family {
                    None => per_class[0],
                    Some(_) if per_class.len() == 1 => self.graph.items(g.family).saturating_mul(per_class[0]),
                    Some(f) => {
                        let items = &self.graph.input(f).items;
                        (0..items.len()).map(|i| per_class[items.meta_id(i)]).sum()
                    }
                }
            })
            .fold(0, u64::saturating_add)
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

/// The array a root is cut along: for a reduction its first input.
pub(crate) fn root_array(graph: &Graph, root: Root) -> NodeId {
    match root {
        Root::Keep(n) => n,
        Root::Reduce(n) => graph.node(n).arrays[0],
        Root::Write(o) => graph.outputs[o].node,
    }
}

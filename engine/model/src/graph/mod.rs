//! The workflow resolved: every step lowered to nodes of the two primitives, every shape and dtype known.
//!
//! Nodes stand in topological order: a node's inputs have smaller ids. A node of a family stands for one array an
//! item; what differs between items (the shape) is kept by *class*: items of equal metadata share one.

pub mod build;
mod condition;
mod place;
pub mod print;
mod pyramid;

use crate::catalog::{AxisScale, Items, SourceMeta};
use crate::formats::{default_chunks, index_bytes, index_cache_bytes, writing_bytes, writing_pooled};
use crate::place::{is_remote, join};
use crate::spec::codec::ZarrCodec;
use crate::spec::workflow::{Format, InputDecl, OutputDecl, PyramidMethod, Spanned, ZarrVersion};
use ops_core::op::DynReduce;
use ops_core::{ArrayMeta, Map, Pool, PortMeta, Ports, Scope};
use smallvec::SmallVec;
use std::sync::Arc;

/// Number of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

/// Number of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InputId(pub u32);

/// What a node does.
#[derive(Debug, Clone)]
pub enum Kind {
    /// Reads an input.
    Source(InputId),
    /// Computes an array from regions of arrays.
    Map(Arc<dyn Map>),
    /// Joins all items of a family into one array.
    Join(Arc<dyn Map>),
    /// Accumulates arrays to a value.
    Reduce(Arc<dyn DynReduce>, Scope),
}

/// One node.
#[derive(Debug, Clone)]
pub struct Node {
    /// The step (or input) it was lowered from.
    pub step: String,
    /// The op of that step; `read` for inputs.
    pub op: String,
    /// What it does within the step; equal to `op` where the op is one node.
    pub name: String,
    /// The parameters that decide its result, canonically printed.
    pub params: String,
    /// What it does.
    pub kind: Kind,
    /// Array inputs.
    pub arrays: SmallVec<[NodeId; 2]>,
    /// Consumed reductions.
    pub values: SmallVec<[NodeId; 2]>,
    /// The family it has one result an item of; `None` for a single result.
    pub family: Option<InputId>,
    /// The array it makes, by class; empty for a reduction. A single array has class 0 only.
    pub metas: Vec<ArrayMeta>,
}

impl Node {
    /// The array it makes for items of a class.
    ///
    /// # Panics
    /// For a reduction.
    pub fn meta(&self, class: usize) -> &ArrayMeta {
        &self.metas[if self.family.is_some() { class } else { 0 }]
    }

    /// True for a node that makes a value.
    pub fn is_reduce(&self) -> bool {
        matches!(self.kind, Kind::Reduce(..))
    }

    /// `step` or `step.name`.
    pub fn label(&self) -> String {
        if self.name == self.op || self.op == "read" {
            self.step.clone()
        } else {
            format!("{}.{}", self.step, self.name)
        }
    }
}

/// An input with its items.
#[derive(Debug, Clone)]
pub struct Input {
    /// What the workflow says.
    pub decl: InputDecl,
    /// The items; one for a plain input.
    pub items: Arc<Items>,
}

/// What is written.
#[derive(Debug, Clone)]
pub struct Output {
    /// What the workflow says.
    pub decl: OutputDecl,
    /// The format, chosen where the workflow leaves it.
    pub format: Format,
    /// The node that is written.
    pub node: NodeId,
    /// Which array of an image it is; `None` for an output that is one array or table.
    pub part: Option<Part>,
    /// True for an array that nobody asked for: it is written so that a later stage need not compute it again, and goes when
    /// the run ends.
    pub scratch: bool,
}

/// One array of an image of several.
#[derive(Debug, Clone)]
pub struct Part {
    /// Number of its level, 0 for the full one.
    pub level: usize,
    /// The image.
    pub image: Arc<Image>,
}

/// An image of several levels, which are outputs one after the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// What it is called.
    pub name: String,
    /// Axes of its arrays.
    pub axes: ops_core::Axes,
    /// True where its elements are numbers of objects.
    pub labels: bool,
    /// Path of each level's array inside the group.
    pub paths: Vec<String>,
    /// What an element of a level is made from.
    pub method: PyramidMethod,
    /// Where the elements lie: by class, by level, by axis.
    pub scales: Vec<Vec<Vec<AxisScale>>>,
}

impl Output {
    /// What it is called where several arrays are one output: its name, with the path of the array.
    pub fn label(&self) -> String {
        let name = &self.decl.name.value;
        let path = |p: &Part| p.image.paths.get(p.level).map(|path| format!("/{path}"));
        format!("{name}.{}{}", self.format.extension(), self.part.as_ref().and_then(path).unwrap_or_default())
    }

    /// True for an output of its own, or the first array of one.
    pub fn is_first(&self) -> bool {
        self.part.as_ref().is_none_or(|p| p.level == 0)
    }

    /// Chunk extents of its Zarr array.
    pub fn chunks(&self, meta: &ArrayMeta) -> Vec<u64> {
        self.decl.chunks.as_ref().map_or_else(|| default_chunks(meta), |c| c.value.clone())
    }

    /// Extents of what only one task may write of its Zarr array: a shard, or a chunk. `None` for other formats.
    pub fn unit(&self, meta: &ArrayMeta) -> Option<Vec<u64>> {
        let shards = self.decl.shards.as_ref().map(|s| s.value.clone());
        self.format.is_zarr().then(|| shards.unwrap_or_else(|| self.chunks(meta)))
    }

    /// Version of the format of its Zarr array.
    pub fn version(&self) -> ZarrVersion {
        self.decl.version.as_ref().map_or_else(ZarrVersion::default, |v| v.value)
    }

    /// How its chunks are encoded where it is a Zarr array.
    pub fn codec(&self) -> ZarrCodec {
        self.decl.codec.as_ref().map_or_else(ZarrCodec::default, |c| c.value)
    }

    /// Bytes that reading a block of it again takes besides the block: a chunk encoded, between two codecs and decoded, what
    /// decompresses it, and indices of shards.
    pub fn reading_bytes(&self, meta: &ArrayMeta) -> u64 {
        let bytes = |extent: &[u64]| extent.iter().fold(meta.dtype.size() as u64, |n, e| n.saturating_mul(*e));
        let chunks = self.chunks(meta);
        let of_shards = |s: &Spanned<Vec<u64>>| {
            let kept = index_cache_bytes(&meta.shape, &s.value, &chunks);
            kept.saturating_add(index_bytes(&s.value, &chunks).saturating_mul(2))
        };
        let indices = self.decl.shards.as_ref().map_or(0, of_shards);
        bytes(&chunks)
            .saturating_mul(4)
            .saturating_add(indices)
            .saturating_add((1 << 20) + (64 << 10) + self.codec().decompressor_bytes())
    }

    /// Bytes of decoded chunks that are best kept while it is read again with halos.
    pub fn cache_bytes(&self, meta: &ArrayMeta) -> u64 {
        let chunks = self.chunks(meta);
        let bytes = chunks.iter().fold(meta.dtype.size() as u64, |n, e| n.saturating_mul(*e));
        crate::formats::cache_bytes(&meta.shape, &chunks, Pool::rounded(bytes))
    }

    /// True where its chunks are read again into buffers of the pool.
    pub fn reads_pooled(&self) -> bool {
        self.codec().decodes_in_place()
    }

    /// Bytes that a task holds while it writes a block of it.
    pub fn writing_bytes(&self, meta: &ArrayMeta) -> u64 {
        if !self.format.is_zarr() {
            return 0;
        }
        let shard = self.decl.shards.as_ref().map(|s| s.value.as_slice());
        writing_bytes(meta, &self.chunks(meta), shard, self.codec())
    }

    /// Of these what lies in buffers of the pool; behind a URL values are handed over.
    pub fn writing_pooled(&self, meta: &ArrayMeta) -> u64 {
        let remote = self.decl.to.as_ref().is_some_and(|to| is_remote(&join(&self.decl.base, &to.value)));
        if !self.format.is_zarr() || remote {
            return 0;
        }
        writing_pooled(meta, &self.chunks(meta), self.codec())
    }
}

/// Nodes, inputs and outputs.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    /// Inputs in file order.
    pub inputs: Vec<Input>,
    /// Nodes in topological order.
    pub nodes: Vec<Node>,
    /// Outputs in file order.
    pub outputs: Vec<Output>,
    /// Conditions on arrays, as they were decided.
    pub decided: Vec<Decided>,
}

/// A `when:` that the metadata of an array decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// The step.
    pub step: String,
    /// Whether it takes part.
    pub on: bool,
    /// The array it was decided by, in words.
    pub why: String,
}

impl Graph {
    /// The node of that number.
    ///
    /// # Panics
    /// When the id belongs to another graph.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// The input of that number.
    ///
    /// # Panics
    /// When the id belongs to another graph.
    pub fn input(&self, id: InputId) -> &Input {
        &self.inputs[id.0 as usize]
    }

    /// All node ids in order.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = NodeId> + use<> {
        (0..self.nodes.len() as u32).map(NodeId)
    }

    /// Number of items of a family; 1 for `None`.
    pub fn items(&self, family: Option<InputId>) -> u64 {
        family.map_or(1, |f| self.input(f).items.len())
    }

    /// Number of classes of a family; 1 for `None`.
    pub fn classes(&self, family: Option<InputId>) -> usize {
        family.map_or(1, |f| self.input(f).items.distinct().len())
    }

    /// The class of an item.
    pub fn class_of(&self, family: Option<InputId>, item: u64) -> usize {
        family.map_or(0, |f| self.input(f).items.meta_id(item))
    }

    /// The array inputs of a node as its op sees them, for items of a class.
    pub fn ports(&self, id: NodeId, class: usize) -> Ports {
        let n = self.node(id);
        let joins = matches!(n.kind, Kind::Join(_));
        Ports(
            n.arrays
                .iter()
                .map(|&a| {
                    let producer = self.node(a);
                    let items = if joins { self.items(producer.family) as u32 } else { 1 };
                    PortMeta { meta: producer.meta(class).clone(), items }
                })
                .collect(),
        )
    }

    /// What the header of a source says, for items of a class.
    pub fn source(&self, input: InputId, class: usize) -> &SourceMeta {
        let distinct = self.input(input).items.distinct();
        &distinct[class.min(distinct.len() - 1)]
    }

    /// Nodes that consume each node, ascending.
    pub fn consumers(&self) -> Vec<Vec<NodeId>> {
        let mut out = vec![Vec::new(); self.nodes.len()];
        for id in self.ids() {
            for &i in self.node(id).arrays.iter().chain(&self.node(id).values) {
                if out[i.0 as usize].last() != Some(&id) {
                    out[i.0 as usize].push(id);
                }
            }
        }
        out
    }
}

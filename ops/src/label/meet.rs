//! Cells that meet: the components of each, joined across their faces.
//!
//! What is held are the faces of cells whose neighbours are still to come, and the pairs of components that touch: nothing in
//! proportion to the voxels. What else is wanted of each cell is noted by who asks (`label.across`, `chosen.across`) while it
//! is seen; later its components are found again.

use super::cells::{Cells, steps};
use super::faces::{self, Face, Ids, Node, touching};
use super::part::Part;
use super::runs::{neighbours, union};
use ops_core::{Block, Element, Need, Needs, OpError, Pool, Ports, ReduceCall, Region, with_dtype};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Bytes that each pair of touching components takes until the end, with what is made of it.
const PAIR: u64 = 16 + 2 * (8 + 4 + 4);

/// How cells are seen and joined.
#[derive(Debug, Clone)]
pub(crate) struct Meet {
    pub(crate) connectivity: usize,
    /// Extents of the cells.
    pub(crate) extents: Vec<u64>,
    /// The most bytes that faces and pairs, and what is noted of them, may take.
    pub(crate) faces_bytes: u64,
}

/// The axis and the cell of a face, and whether it is the upper one.
type Key = (u8, u32, bool);

/// Components that touch across cells, for each pair of faces.
pub(crate) type Pairs = Vec<Box<[(Node, Node)]>>;

/// What was seen of cells so far.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// The shape of the array.
    shape: Vec<u64>,
    /// Faces that have still to be compared.
    faces: BTreeMap<Key, Face>,
    /// Components that touch, for each pair of faces.
    pairs: Pairs,
    /// Bytes of faces, pairs and notes now, and the most there were.
    bytes: u64,
    most: u64,
}

/// The part of one cell of a block.
pub(crate) fn find(block: &Block, cell: &Region, connectivity: usize, pool: &Pool) -> Result<Part, OpError> {
    fn typed<T: Element>(block: &Block, cell: &Region, connectivity: usize, pool: &Pool) -> Option<Part> {
        let near = neighbours(cell.rank(), connectivity);
        Part::find((block.as_slice::<T>(), block.region()), cell, &near, None, pool)
    }
    let part = with_dtype!(block.dtype(), T => typed::<T>(block, cell, connectivity, pool));
    part.ok_or_else(|| OpError::Internal(format!("{cell} has more runs than a cell may have")))
}

impl Seen {
    /// Adds faces that are none of each other's neighbours: compares them with those that are there, and lets go of what
    /// nobody needs any more.
    fn absorb(&mut self, cells: &Cells, connectivity: usize, faces: impl IntoIterator<Item = (Key, Face)>) {
        let mut waiting = Vec::new();
        for (key, mut face) in faces {
            for there in facing(cells, connectivity, key) {
                let other_key = (key.0, there, !key.2);
                let Some(other) = self.faces.get_mut(&other_key) else { continue };
                let (here, beyond) = (cells.region(key.1), cells.region(there));
                let (mut below, mut above) = ((key.1, &here, &face), (there, &beyond, &*other));
                if !key.2 {
                    std::mem::swap(&mut below, &mut above);
                }
                let pairs = touching(usize::from(key.0), connectivity, below, above);
                face.left -= 1;
                other.left -= 1;
                if other.left == 0 {
                    self.bytes -= other.bytes();
                    self.faces.remove(&other_key);
                }
                if !pairs.is_empty() {
                    self.bytes += PAIR * pairs.len() as u64;
                    self.pairs.push(pairs);
                }
            }
            if face.left > 0 {
                waiting.push((key, face));
            }
        }
        for (key, face) in waiting {
            self.bytes += face.bytes();
            self.faces.insert(key, face);
        }
    }

    /// Counts bytes that were noted of a cell besides.
    pub(crate) fn note(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    /// True once more was found than may be held; then nothing is held any more.
    pub(crate) fn overflows(&self, meet: &Meet) -> bool {
        self.most > meet.faces_bytes
    }

    /// Forgets faces and pairs once they are more than may be held.
    fn keep_within(&mut self, limit: u64) {
        self.most = self.most.max(self.bytes);
        if self.most > limit {
            (self.faces, self.pairs, self.bytes) = (BTreeMap::new(), Vec::new(), 0);
        }
    }
}

/// The cells whose face meets this one.
fn facing(cells: &Cells, connectivity: usize, (axis, cell, upper): Key) -> impl Iterator<Item = u32> {
    let across = if upper { 1 } else { -1 };
    let there = steps(cells.extents().len(), connectivity).into_iter().filter(move |s| s[usize::from(axis)] == across);
    there.filter_map(move |step| cells.step(cell, &step))
}

impl Meet {
    /// The cells of an array.
    pub(crate) fn cells(&self, ports: &Ports) -> Cells {
        Cells::new(&ports.meta(0).shape, &self.extents)
    }

    /// The cells whose first voxel lies in a block.
    pub(crate) fn needs(&self, ports: &Ports, block: &Region) -> Needs {
        let region = self.cells(ports).starting_in(block);
        if region.is_empty() { Needs::new() } else { Needs::from_iter([Need::inside(0, region)]) }
    }

    /// Nothing seen yet of an array.
    pub(crate) fn start(&self, ports: &Ports) -> Seen {
        let shape = ports.meta(0).shape.to_vec();
        Seen { shape, faces: BTreeMap::new(), pairs: Vec::new(), bytes: 0, most: 0 }
    }

    /// Sees the cells that start in a block; `note` is told of each, with the names of its components.
    pub(crate) fn see(
        &self,
        call: &ReduceCall<'_>,
        seen: &mut Seen,
        mut note: impl FnMut(u32, &Part, &[u32], &mut Seen),
    ) -> Result<(), OpError> {
        let (cells, connectivity) = (self.cells(call.ports), self.connectivity);
        let (Some(block), ids) = (call.blocks.first(), Ids::new(cells.extents())) else { return Ok(()) };
        cells.each(&cells.starting_in(call.region), |cell, region| {
            let part = find(block, region, connectivity, call.pool)?;
            let names = ids.of(&part);
            note(cell, &part, &names, seen);
            if seen.overflows(self) {
                return Ok(());
            }
            let mut faces = Vec::new();
            for axis in 0..region.rank() {
                for upper in [false, true] {
                    let key = (axis as u8, cell, upper);
                    let left = facing(&cells, connectivity, key).count() as u32;
                    if left > 0 {
                        faces.push((key, Face::of(&part, &names, axis, upper, left)));
                    }
                }
            }
            seen.absorb(&cells, connectivity, faces);
            seen.keep_within(self.faces_bytes);
            Ok(())
        })
    }

    /// Adds what others have seen.
    pub(crate) fn join(&self, into: &mut Seen, other: Seen) {
        into.most = into.most.max(other.most);
        let faces: u64 = other.faces.values().map(Face::bytes).sum();
        into.bytes += other.bytes - faces;
        into.pairs.extend(other.pairs);
        into.absorb(&Cells::new(&into.shape, &self.extents), self.connectivity, other.faces);
        into.keep_within(self.faces_bytes);
    }

    /// The pairs of components that touch, once all cells were seen.
    pub(crate) fn pairs(&self, seen: Seen) -> Result<Pairs, OpError> {
        if seen.overflows(self) {
            let m = format!("expected faces of cells of at most {} bytes, found {}", self.faces_bytes, seen.most);
            return Err(OpError::Data(format!("{m}: set `faces_bytes` higher, or smooth the mask first")));
        }
        match seen.faces.is_empty() {
            true => Ok(seen.pairs),
            false => Err(OpError::Internal("faces of cells that were never met".into())),
        }
    }

    /// The most bytes of faces and pairs of so many cells, with `noted` bytes for each voxel of a face.
    pub(crate) fn bytes_bound(&self, cells: &Cells, number: u64, noted: u64) -> u64 {
        let (extents, rank) = (cells.extents(), cells.extents().len());
        let (volume, near) = (extents.iter().product::<u64>(), steps(rank, self.connectivity).len() as u64);
        let face = |a: usize| {
            let voxels = volume / extents[a].max(1);
            let along = if a + 1 < rank { Some(rank - 1) } else { rank.checked_sub(2) };
            let face = faces::bytes_bound(voxels, along.map_or(1, |b| extents[b]));
            2 * (face + noted * voxels) + PAIR * voxels * near
        };
        number.saturating_mul((0..rank).map(face).sum()).min(self.faces_bytes)
    }

    /// Cells that start in a block.
    pub(crate) fn number(&self, cells: &Cells, block: &Region) -> u64 {
        let region = cells.starting_in(block);
        cells.extents().iter().zip(region.shape()).map(|(&n, len)| (len as u64).div_ceil(n)).product()
    }

    /// The most bytes that finding the components of one cell takes, with their names.
    pub(crate) fn find_bytes(&self, cells: &Cells) -> u64 {
        let whole = Region::whole(cells.extents());
        Part::bytes_bound(&whole, false) + 2 * whole.volume() + (1 << 12)
    }
}

/// The components that touch others, ascending, and for each the place of one that stands for its set: the one that comes
/// first in the order of `key`.
pub(crate) fn forest<K: Ord>(pairs: &Pairs, key: impl Fn(Node) -> K) -> (Vec<Node>, Vec<u32>) {
    let mut nodes: Vec<Node> = Vec::with_capacity(2 * pairs.iter().map(|p| p.len()).sum::<usize>());
    nodes.extend(pairs.iter().flatten().flat_map(|&(a, b)| [a, b]));
    nodes.sort_unstable();
    nodes.dedup();
    nodes.shrink_to_fit();
    let mut parent: Vec<u32> = (0..nodes.len() as u32).collect();
    let place = |node: Node| nodes.partition_point(|&n| n < node) as u32;
    for &(a, b) in pairs.iter().flatten() {
        union(&mut parent, place(a), place(b));
    }
    // A parent comes before its children.
    for i in 0..parent.len() {
        parent[i] = parent[parent[i] as usize];
    }
    // Of each set, the member that comes first in the order of the keys.
    let mut first = parent.clone();
    for i in 0..parent.len() {
        let best = &mut first[parent[i] as usize];
        if key(nodes[i]) < key(nodes[*best as usize]) {
            *best = i as u32;
        }
    }
    for i in (0..parent.len()).rev() {
        first[i] = first[parent[i] as usize];
    }
    (nodes, first)
}

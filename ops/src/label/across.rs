//! `label.across`: the components of each cell, joined across the faces of cells.
//!
//! What is held are the faces of cells whose neighbours are still to come, the pairs of components that touch, and how many
//! components start in each row of each cell: nothing in proportion to the voxels. Labels are numbered from that by
//! `label.number`, which finds the components of a cell again.

use super::cells::{Cells, steps};
use super::faces::{self, Face, Ids, Node, touching};
use super::join::largest;
use super::keys::Numbering;
use super::numbered::Numbered;
use super::part::Part;
use super::runs::neighbours;
use ops_core::{
    Block, DType, Element, FinishCall, Need, Needs, OpError, Pool, Ports, Reduce, ReduceCall, Region, Value, with_dtype,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Bytes that each pair of touching components takes until the end, with what numbering takes for it.
const PAIR: u64 = 16 + 2 * (8 + 4 + 4);
/// Bytes of the counts of a cell besides one for each row.
const COUNTS: u64 = 48;

/// Finds the components of each cell and joins those that touch across cells.
#[derive(Debug, Clone)]
pub(crate) struct Across {
    pub(crate) connectivity: usize,
    pub(crate) numbering: Numbering,
    pub(crate) dtype: DType,
    /// Extents of the cells.
    pub(crate) extents: Vec<u64>,
    /// The most bytes that faces and pairs may take.
    pub(crate) faces_bytes: u64,
}

/// The axis and the cell of a face, and whether it is the upper one.
type Key = (u8, u32, bool);

/// The cells seen so far.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// The shape of the array.
    shape: Vec<u64>,
    /// Faces that have still to be compared.
    faces: BTreeMap<Key, Face>,
    /// Components that touch, for each pair of faces.
    pub(super) pairs: Vec<Box<[(Node, Node)]>>,
    /// Components that start in each row, for each cell.
    pub(super) starts: Vec<(u32, Box<[u16]>)>,
    /// Bytes of faces and pairs now, and the most there were.
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

impl Across {
    fn cells(&self, ports: &Ports) -> Cells {
        Cells::new(&ports.meta(0).shape, &self.extents)
    }

    fn account(&self, call: &ReduceCall<'_>, seen: &mut Seen) -> Result<(), OpError> {
        let (cells, connectivity) = (self.cells(call.ports), self.connectivity);
        let (Some(block), ids) = (call.blocks.first(), Ids::new(cells.extents())) else { return Ok(()) };
        cells.each(&cells.starting_in(call.region), |cell, region| {
            let part = find(block, region, connectivity, call.pool)?;
            seen.starts.push((cell, (0..part.rows()).map(|row| part.starting(row).len() as u16).collect()));
            if seen.most > self.faces_bytes {
                return Ok(());
            }
            let names = ids.of(&part);
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

    /// The most bytes of so many cells: those of faces and pairs, and those of counts.
    fn bytes_bound(&self, cells: &Cells, number: u64) -> u64 {
        let (extents, rank) = (cells.extents(), cells.extents().len());
        let (volume, near) = (extents.iter().product::<u64>(), steps(rank, self.connectivity).len() as u64);
        let face = |a: usize| {
            let voxels = volume / extents[a].max(1);
            let along = if a + 1 < rank { Some(rank - 1) } else { rank.checked_sub(2) };
            2 * faces::bytes_bound(voxels, along.map_or(1, |b| extents[b])) + PAIR * voxels * near
        };
        let each: u64 = (0..rank).map(face).sum();
        let rows = volume / extents.last().map_or(1, |&n| n.max(1));
        number.saturating_mul(each).min(self.faces_bytes).saturating_add(number.saturating_mul(COUNTS + 2 * rows))
    }
}

impl Reduce for Across {
    type Partial = Seen;

    /// The cells whose first voxel lies in the block.
    fn needs(&self, ports: &Ports, block: &Region) -> Needs {
        let region = self.cells(ports).starting_in(block);
        if region.is_empty() { Needs::new() } else { Needs::from_iter([Need::inside(0, region)]) }
    }

    fn granule(&self, _: &Ports) -> Option<Vec<u64>> {
        Some(self.extents.clone())
    }

    fn start(&self, ports: &Ports) -> Seen {
        let shape = ports.meta(0).shape.to_vec();
        Seen { shape, faces: BTreeMap::new(), pairs: Vec::new(), starts: Vec::new(), bytes: 0, most: 0 }
    }

    fn add(&self, call: &ReduceCall<'_>, seen: &mut Seen) -> Result<(), OpError> {
        self.account(call, seen)
    }

    fn merge(&self, into: &mut Seen, other: Seen) {
        into.most = into.most.max(other.most);
        into.starts.extend(other.starts);
        into.bytes += PAIR * other.pairs.iter().map(|p| p.len() as u64).sum::<u64>();
        into.pairs.extend(other.pairs);
        into.absorb(&Cells::new(&into.shape, &self.extents), self.connectivity, other.faces);
        into.keep_within(self.faces_bytes);
    }

    fn finish(&self, seen: Seen, call: &FinishCall<'_>) -> Result<Value, OpError> {
        if seen.most > self.faces_bytes {
            let m = format!("expected faces of cells of at most {} bytes, found {}", self.faces_bytes, seen.most);
            return Err(OpError::Data(format!("{m}: set `faces_bytes` higher, or smooth the mask first")));
        }
        if !seen.faces.is_empty() {
            return Err(OpError::Internal("label.across: faces of cells that were never met".into()));
        }
        let raster = self.numbering == Numbering::Raster;
        let cells = self.cells(call.ports);
        let numbered = Numbered::new(seen.pairs, seen.starts, &cells, &call.ports.meta(0).shape, raster)?;
        let (most, count) = (largest(self.dtype), numbered.count());
        if count > most {
            let m = format!("expected at most {most} labels for dtype {}, found {count}", self.dtype);
            return Err(OpError::Data(format!("{m}: choose a wider `dtype`")));
        }
        Ok(Value::State(Arc::new(numbered)))
    }

    /// Faces and pairs, at most `faces_bytes`, and counts: two bytes for each row of each cell, four for each row of the array.
    fn state_bytes(&self, ports: &Ports) -> u64 {
        let cells = self.cells(ports);
        Numbered::base_bytes(&ports.meta(0).shape, &cells) + self.bytes_bound(&cells, cells.count())
    }

    fn partial_bytes(&self, ports: &Ports, block: &Region) -> u64 {
        let cells = self.cells(ports);
        let (extents, region) = (cells.extents(), cells.starting_in(block));
        let number = extents.iter().zip(region.shape()).map(|(&n, len)| (len as u64).div_ceil(n)).product();
        let whole = Region::whole(extents);
        // What is found of one cell at a time, with the names of its components.
        Part::bytes_bound(&whole, false) + 2 * whole.volume() + self.bytes_bound(&cells, number) + (1 << 12)
    }

    fn nanos_per_element(&self) -> f32 {
        1.0
    }
}

//! The faces of cells: what other cells have to know of one, and which components touch across them.

use super::cells::steps;
use super::part::Part;
use super::placed::{each, place};
use super::runs::{self, starts};
use ops_core::{Index, Region};
use serde::{Deserialize, Serialize};

/// A component of a cell: the cell, and [`Ids`] of the component.
pub(crate) type Node = u64;

/// The node of a component.
pub(crate) fn node(cell: u32, id: u32) -> Node {
    u64::from(cell) << 32 | u64::from(id)
}

/// Names of the components of a cell: the row they start in and their place in that row, in one number. They ascend in C
/// order of the first voxels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ids {
    /// The most components that start in one row.
    most: u32,
}

impl Ids {
    /// The names in cells of these extents.
    pub(crate) fn new(extents: &[u64]) -> Ids {
        Ids { most: extents.last().map_or(1, |n| n.div_ceil(2)) as u32 }
    }

    /// The row a component starts in, and its place there.
    pub(crate) fn place(self, id: u32) -> (u32, u32) {
        (id / self.most, id % self.most)
    }

    /// Calls `f(component, id)` for every component of a part that starts in a row.
    pub(crate) fn of_row(self, part: &Part, row: usize) -> impl Iterator<Item = (u32, u32)> {
        part.starting(row).zip(row as u32 * self.most..)
    }

    /// The name of every component of a part.
    pub(crate) fn of(self, part: &Part) -> Vec<u32> {
        (0..part.rows()).flat_map(|row| self.of_row(part, row).map(|(_, id)| id)).collect()
    }
}

/// One face of a cell: its foreground as bits, and the component of each run.
///
/// It has an axis less than the cell. Rows go along the last axis that is left; runs along any axis are connected, so each
/// has one component.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Face {
    words: Box<[u64]>,
    width: u32,
    /// Runs before each row.
    first: Box<[u32]>,
    /// The name of each run's component.
    ids: Box<[u32]>,
    /// Faces it has still to be compared with.
    pub(crate) left: u32,
}

/// A region without one axis; of one voxel when none is left.
fn without(region: &Region, axis: usize) -> Region {
    let rest = |v: &Index| -> Index { v.iter().enumerate().filter(|(a, _)| *a != axis).map(|(_, &i)| i).collect() };
    match region.rank() {
        1 => Region::whole(&[1]),
        _ => Region::new(rest(&region.lo), rest(&region.hi)),
    }
}

/// Rows of a face, as its first coordinates without the last one.
fn rows(face: &Region) -> Region {
    let last = face.rank() - 1;
    Region::new(&face.lo[..last], &face.hi[..last])
}

impl Face {
    /// The face of a part at the lower or upper end of an axis, to be compared with `left` others.
    pub(crate) fn of(part: &Part, ids: &[u32], axis: usize, upper: bool, left: u32) -> Face {
        let face = without(&part.region, axis);
        let (lead, length) = (rows(&face), face.len(face.rank() - 1) as usize);
        let width = length.div_ceil(64);
        let (mut words, mut first, mut found) = (Vec::new(), Vec::new(), Vec::new());
        let end = if upper { part.region.hi[axis] - 1 } else { part.region.lo[axis] };
        let cell_rows = rows(&part.region);
        let last = part.region.rank() - 1;
        each(&lead, |row| {
            first.push(found.len() as u32);
            let mut at = Index::from_slice(row);
            if axis < last {
                at.insert(axis, end);
                let row = place(&cell_rows, &at);
                words.extend_from_slice(part.row(row).0);
                found.extend(part.components(row).iter().map(|&c| ids[c as usize]));
                return;
            }
            // The row goes along the axis before the last: one voxel of each row of the cell.
            let begin = words.len();
            words.resize(begin + width, 0u64);
            let mut before = false;
            for i in 0..length {
                if last > 0 {
                    at.truncate(last - 1);
                    at.push(part.region.lo[last - 1] + i as i64);
                }
                let row = place(&cell_rows, &at);
                let component = if upper { part.rightmost(row) } else { part.leftmost(row) };
                if let Some(c) = component {
                    words[begin + i / 64] |= 1 << (i % 64);
                    if !before {
                        found.push(ids[c as usize]);
                    }
                }
                before = component.is_some();
            }
        });
        let width = width as u32;
        Face { words: words.into(), width, first: first.into(), ids: found.into(), left }
    }

    /// Bytes it takes.
    pub(crate) fn bytes(&self) -> u64 {
        FACE + 8 * self.words.len() as u64 + 4 * (self.first.len() + self.ids.len()) as u64
    }

    fn row(&self, row: usize) -> (&[u64], u32) {
        let width = self.width as usize;
        (&self.words[row * width..(row + 1) * width], self.first[row])
    }

    /// The run at the begin or the end of a row of `length` voxels.
    fn at_end(&self, row: usize, length: i64, end: bool) -> Option<u32> {
        let (words, first) = self.row(row);
        if !end {
            return (words.first()? & 1 != 0).then_some(first);
        }
        let set = words.last()? >> ((length - 1) % 64) & 1 != 0;
        let mut carry = 0;
        let mut runs = 0;
        for &word in words {
            runs += starts(word, carry).count_ones();
            carry = word >> 63;
        }
        set.then(|| first + runs - 1)
    }
}

/// Bytes a face takes besides its lists.
const FACE: u64 = 160;

/// The most bytes of a face of so many voxels in rows of this length.
pub(crate) fn bytes_bound(voxels: u64, length: u64) -> u64 {
    let rows = voxels.checked_div(length).unwrap_or(0).max(1);
    FACE + rows * (8 * length.div_ceil(64) + 4 + 4 * length.div_ceil(2))
}

/// A cell, its voxels and one of its faces.
type Side<'a> = (u32, &'a Region, &'a Face);

/// The components that touch across an axis, from the upper face of a cell `below` to the lower one of a cell `above`:
/// each pair once, in order. The cells may lie aside of each other too.
pub(crate) fn touching(axis: usize, connectivity: usize, below: Side<'_>, above: Side<'_>) -> Box<[(Node, Node)]> {
    let (one, other) = (without(below.1, axis), without(above.1, axis));
    let (last, may_differ) = (one.rank() - 1, connectivity - 1);
    let (one_rows, other_rows) = (rows(&one), rows(&other));
    let aside = (other.lo[last] - one.lo[last]).signum();
    let (mut pairs, (below_face, above_face)) = (Vec::new(), (below.2, above.2));
    let mut found = |a: u32, b: u32| {
        pairs.push((node(below.0, below_face.ids[a as usize]), node(above.0, above_face.ids[b as usize])));
    };
    for step in steps(last, may_differ) {
        let differing = step.iter().filter(|d| **d != 0).count();
        let back: Index = step.iter().map(|d| -d).collect();
        each(&one_rows.intersect(&other_rows.shift(&back)), |row| {
            let there: Index = row.iter().zip(&step).map(|(i, d)| i + d).collect();
            let (a, b) = (place(&one_rows, row), place(&other_rows, &there));
            if aside == 0 {
                runs::touching(below_face.row(a), above_face.row(b), differing < may_differ, &mut found);
            } else if differing < may_differ {
                let below_end = below_face.at_end(a, one.len(last), aside > 0);
                let above_end = above_face.at_end(b, other.len(last), aside < 0);
                below_end.zip(above_end).into_iter().for_each(|(a, b)| found(a, b));
            }
        });
    }
    pairs.sort_unstable();
    pairs.dedup();
    pairs.into()
}

//! Cells: the grid in which an array too large to be labelled at once is labelled.
//!
//! It has nothing to do with the blocks that a run computes. The components of a cell are found from the whole cell, so they
//! are the same for whoever finds them, and only what touches the faces of cells has to be known of the others.

use super::placed::each;
use ops_core::{Grid, Index, Region};
use smallvec::SmallVec;

/// Arrays whose components take more bytes than this, if they are the worst, are seen in cells.
pub(crate) const AT_ONCE: u64 = 64 << 20;
/// The most bytes that faces of cells may take where nothing else is said.
pub(crate) const FACES_BYTES: u64 = 128 << 20;
/// Voxels of a cell where nothing else is said.
const VOXELS: u64 = 1 << 20;
/// Extent of such a cell along the last axis, where the array is as long: long rows have few ends.
const LENGTH: u64 = 256;
/// The longest row: what starts in it is counted in sixteen bits.
const LONGEST: u64 = 1 << 16;
/// The most voxels of a cell that is given.
const MOST: u64 = 1 << 24;

/// The grid of cells of an array.
#[derive(Debug, Clone)]
pub(crate) struct Cells {
    grid: Grid,
    counts: SmallVec<[u64; 6]>,
}

/// Steps to the cells around one: -1, 0 or 1 along each axis.
pub(crate) type Step = SmallVec<[i64; 6]>;

/// All steps of a number of axes that go along at most `most` of them.
pub(crate) fn steps(rank: usize, most: usize) -> Vec<Step> {
    let all = (0..3usize.pow(rank as u32))
        .map(|code| -> Step { (0..rank).map(|a| (code / 3usize.pow(a as u32) % 3) as i64 - 1).collect() });
    all.filter(|s| s.iter().filter(|d| **d != 0).count() <= most).collect()
}

impl Cells {
    /// The cells of these extents.
    pub(crate) fn new(shape: &[u64], extents: &[u64]) -> Cells {
        let grid = Grid::new(shape, extents);
        let counts = grid.counts();
        Cells { grid, counts }
    }

    /// Extents of cells of about a million voxels: powers of two, as even as the shape allows, rows of 256 and more.
    pub(crate) fn suited(shape: &[u64]) -> Vec<u64> {
        let Some(last) = shape.len().checked_sub(1) else { return Vec::new() };
        let mut extents: Vec<u64> = vec![1; shape.len()];
        extents[last] = LENGTH;
        while extents.iter().product::<u64>() < VOXELS {
            let grows = |a: &usize| extents[*a] < shape[*a] && (*a < last || extents[*a] < LONGEST);
            let Some(a) = (0..shape.len()).filter(grows).min_by_key(|&a| (extents[a], shape.len() - a)) else { break };
            extents[a] *= 2;
        }
        extents
    }

    /// True when an array can be labelled in cells of these extents.
    pub(crate) fn fits(shape: &[u64], extents: &[u64]) -> bool {
        let cells = Cells::new(shape, extents);
        let block = cells.grid.block();
        let voxels = block.iter().fold(1u64, |v, &n| v.saturating_mul(n));
        let long = block.last().is_some_and(|&n| n <= LONGEST);
        long && voxels <= MOST && cells.count() < 1 << 32
    }

    /// Number of cells.
    pub(crate) fn count(&self) -> u64 {
        self.grid.count()
    }

    /// Extents of a cell that no edge cuts short.
    pub(crate) fn extents(&self) -> &[u64] {
        self.grid.block()
    }

    /// Cells along the last axis.
    pub(crate) fn columns(&self) -> u32 {
        self.counts.last().map_or(1, |&n| n as u32)
    }

    /// The voxels of a cell.
    pub(crate) fn region(&self, cell: u32) -> Region {
        self.grid.region(u64::from(cell))
    }

    /// The cell a step away, if there is one.
    pub(crate) fn step(&self, cell: u32, step: &[i64]) -> Option<u32> {
        let (mut rest, mut there, mut weight) = (u64::from(cell), 0, 1);
        for a in (0..step.len()).rev() {
            let at = (rest % self.counts[a]) as i64 + step[a];
            rest /= self.counts[a];
            if !(0..self.counts[a] as i64).contains(&at) {
                return None;
            }
            there += at as u64 * weight;
            weight *= self.counts[a];
        }
        u32::try_from(there).ok()
    }

    /// The voxels of all cells whose first voxel lies in a region: each cell counts in one block of any partition.
    pub(crate) fn starting_in(&self, region: &Region) -> Region {
        let extents = self.extents();
        let up = |a: usize, at: i64| (at.max(0) as u64).next_multiple_of(extents[a]).min(self.grid.shape()[a]) as i64;
        let (lo, hi): (Index, Index) = (0..extents.len()).map(|a| (up(a, region.lo[a]), up(a, region.hi[a]))).unzip();
        Region::new(lo, hi)
    }

    /// The voxels of all cells that share one with a region.
    pub(crate) fn touching(&self, region: &Region) -> Region {
        if region.is_empty() {
            return region.clone();
        }
        let (mut lo, mut hi) = (Index::new(), Index::new());
        for (a, &n) in self.extents().iter().enumerate() {
            lo.push(region.lo[a] / n as i64 * n as i64);
            hi.push((region.hi[a] as u64).next_multiple_of(n).min(self.grid.shape()[a]) as i64);
        }
        Region::new(lo, hi)
    }

    /// Calls `f` for every cell of a region that is made of whole cells, in C order, until one fails.
    pub(crate) fn each<E>(&self, region: &Region, mut f: impl FnMut(u32, &Region) -> Result<(), E>) -> Result<(), E> {
        if region.is_empty() {
            return Ok(());
        }
        let extents = self.extents();
        let lo: Index = (0..extents.len()).map(|a| region.lo[a] / extents[a] as i64).collect();
        let hi: Index = (0..extents.len()).map(|a| (region.hi[a] as u64).div_ceil(extents[a]) as i64).collect();
        let mut result = Ok(());
        each(&Region::new(lo, hi), |at| {
            if result.is_ok() {
                let cell = at.iter().zip(&self.counts).fold(0, |i, (&c, &n)| i * n + c as u64) as u32;
                result = f(cell, &self.region(cell));
            }
        });
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_starts_in_one_block_of_a_partition() {
        let shape = [7, 11, 5];
        let (cells, blocks) = (Cells::new(&shape, &[3, 4, 5]), Grid::new(&shape, &[2, 5, 3]));
        let mut seen = vec![0; cells.count() as usize];
        for i in 0..blocks.count() {
            let region = cells.starting_in(&blocks.region(i));
            let mut voxels = 0;
            let counted: Result<(), ()> = cells.each(&region, |cell, own| {
                seen[cell as usize] += 1;
                voxels += own.volume();
                Ok(())
            });
            assert!(counted.is_ok());
            assert_eq!(voxels, region.volume());
            assert!(cells.touching(&blocks.region(i)).contains(&blocks.region(i)));
        }
        assert_eq!(seen, vec![1; seen.len()]);
    }

    #[test]
    fn cells_have_about_a_million_voxels() {
        assert_eq!(Cells::suited(&[16384, 16384]), [1024, 1024]);
        assert_eq!(Cells::suited(&[2048, 2048, 2048]), [64, 64, 256]);
        assert_eq!(Cells::suited(&[4, 16384, 16384]), [4, 512, 512]);
        assert_eq!(Cells::suited(&[1 << 30]), [1 << 16]);
        assert_eq!(Cells::suited(&[5, 5]), [8, 256]);
    }

    #[test]
    fn steps_stay_inside() {
        let cells = Cells::new(&[4, 9], &[2, 3]);
        assert_eq!(
            (cells.step(0, &[1, 1]), cells.step(0, &[0, -1]), cells.step(5, &[-1, 0])),
            (Some(4), None, Some(2))
        );
        assert_eq!(steps(2, 1).len(), 5);
        assert_eq!(steps(3, 3).len(), 27);
    }
}

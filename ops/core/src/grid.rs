//! A regular grid of blocks over an array; blocks are computed from their number, never listed.

use crate::region::{Index, Region};
use smallvec::SmallVec;

/// Cuts a shape into blocks of equal extent; those at the far edges are cut short.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Grid {
    shape: SmallVec<[u64; 6]>,
    block: SmallVec<[u64; 6]>,
}

impl Grid {
    /// A grid over `shape`. Block extents are clamped to at least 1 and at most the shape.
    pub fn new(shape: &[u64], block: &[u64]) -> Grid {
        debug_assert_eq!(shape.len(), block.len());
        Grid {
            shape: SmallVec::from_slice(shape),
            block: shape.iter().zip(block).map(|(&n, &b)| b.clamp(1, n.max(1))).collect(),
        }
    }

    /// One block that covers everything.
    pub fn single(shape: &[u64]) -> Grid {
        Grid::new(shape, shape)
    }

    /// The extent of a full block.
    pub fn block(&self) -> &[u64] {
        &self.block
    }

    /// The shape the grid covers.
    pub fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// Blocks along each axis.
    pub fn counts(&self) -> SmallVec<[u64; 6]> {
        self.shape.iter().zip(&self.block).map(|(&n, &b)| n.div_ceil(b)).collect()
    }

    /// Number of blocks, saturating; 0 when an extent is 0.
    pub fn count(&self) -> u64 {
        self.counts().iter().fold(1u64, |v, &n| v.saturating_mul(n))
    }

    /// The region of block number `i`, numbered in C order.
    pub fn region(&self, mut i: u64) -> Region {
        let counts = self.counts();
        let rank = self.shape.len();
        let mut lo: Index = SmallVec::from_elem(0, rank);
        let mut hi: Index = SmallVec::from_elem(0, rank);
        for a in (0..rank).rev() {
            let k = i % counts[a].max(1);
            i /= counts[a].max(1);
            lo[a] = (k * self.block[a]) as i64;
            hi[a] = ((k + 1) * self.block[a]).min(self.shape[a]) as i64;
        }
        Region { lo, hi }
    }

    /// The numbers of all blocks that share an element with `region`, ascending.
    pub fn touching(&self, region: &Region) -> Vec<u64> {
        let counts = self.counts();
        let clipped = region.intersect(&Region::whole(&self.shape));
        if clipped.is_empty() {
            return Vec::new();
        }
        let mut out = vec![0u64];
        for a in 0..self.shape.len() {
            let first = clipped.lo[a] as u64 / self.block[a];
            let last = (clipped.hi[a] as u64 - 1) / self.block[a];
            out =
                out.iter().flat_map(|&o| (first..=last).map(move |k| (o, k))).map(|(o, k)| o * counts[a] + k).collect();
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_tile_the_shape_once() {
        let g = Grid::new(&[7, 5], &[3, 2]);
        assert_eq!(g.count(), 9);
        let total: u64 = (0..g.count()).map(|i| g.region(i).volume()).sum();
        assert_eq!(total, 35);
        assert_eq!(g.region(8), Region::new(Index::from_slice(&[6, 4]), Index::from_slice(&[7, 5])));
    }

    #[test]
    fn touching_finds_just_those_that_meet() {
        let g = Grid::new(&[7, 5], &[3, 2]);
        for lo0 in 0..7 {
            for lo1 in 0..5 {
                let r = Region::new(Index::from_slice(&[lo0, lo1]), Index::from_slice(&[lo0 + 2, lo1 + 3]));
                let want: Vec<u64> = (0..9).filter(|&i| !g.region(i).intersect(&r).is_empty()).collect();
                assert_eq!(g.touching(&r), want);
            }
        }
    }

    #[test]
    fn a_billion_blocks_cost_nothing() {
        let g = Grid::new(&[1 << 20, 1 << 20], &[32, 32]);
        assert_eq!(g.count(), 1 << 30);
        assert_eq!(g.region((1 << 30) - 1).hi[0], 1 << 20);
    }
}

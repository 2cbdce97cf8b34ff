//! The order in which labels are numbered: every voxel has a key, a component the smallest key of its voxels.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// What decides the number of a label.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Numbering {
    /// The first voxel in C order, as in `scipy.ndimage.label`.
    #[default]
    Raster,
    /// Blocks of this extent in C order, then C order inside the block: as in `dask_image.ndmeasure.label` on chunks of
    /// that extent. It has nothing to do with the blocks that a run computes.
    Block(#[schemars(inner(range(min = 1)))] Vec<u64>),
}

/// The keys of an array's voxels: a bijection to `0..volume`, ascending along every row.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    shape: SmallVec<[u64; 6]>,
    block: SmallVec<[u64; 6]>,
}

impl Keys {
    /// The keys of an array of this shape. A block has as many extents as the shape, none of them 0.
    pub(crate) fn new(shape: &[u64], numbering: &Numbering) -> Keys {
        let block = match numbering {
            Numbering::Raster => SmallVec::from_slice(shape),
            Numbering::Block(b) => b.iter().zip(shape).map(|(&b, &n)| b.clamp(1, n.max(1))).collect(),
        };
        Keys { shape: SmallVec::from_slice(shape), block }
    }

    /// True when keys ascend in C order over the whole array.
    pub(crate) fn is_raster(&self) -> bool {
        self.block == self.shape
    }

    /// The key of one voxel: the voxels of all blocks before its own, and those before it inside its block.
    pub(crate) fn of(&self, at: &[i64]) -> u64 {
        let (mut before, mut inside) = (0u64, 0u64);
        // Extent, so far, of the part of the array that shares the block's place along the axes already seen.
        let mut slab = 1u64;
        for (a, &i) in at.iter().enumerate() {
            let (n, b, i) = (self.shape[a], self.block[a].max(1), i as u64);
            let (first, len) = (i / b * b, b.min(n - i / b * b));
            let behind: u64 = self.shape[a + 1..].iter().product();
            before += slab * first * behind;
            slab *= len;
            inside = inside * len + (i - first);
        }
        before + inside
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_a_bijection_that_counts_block_by_block() {
        for (shape, block) in [(vec![5, 7], vec![2, 3]), (vec![3, 4, 5], vec![2, 2, 2]), (vec![4], vec![9])] {
            let keys = Keys::new(&shape, &Numbering::Block(block.clone()));
            let grid = ops_core::Grid::new(&shape, &block);
            let mut next = 0;
            for i in 0..grid.count() {
                let region = grid.region(i);
                ops_core::block::for_rows(&region, |row| {
                    let mut at = ops_core::Index::from_slice(row);
                    for x in region.lo[shape.len() - 1]..region.hi[shape.len() - 1] {
                        at[shape.len() - 1] = x;
                        assert_eq!(keys.of(&at), next);
                        next += 1;
                    }
                });
            }
            assert_eq!(next, shape.iter().product::<u64>());
        }
    }

    #[test]
    fn raster_keys_are_positions() {
        let keys = Keys::new(&[3, 4], &Numbering::Raster);
        assert!(keys.is_raster());
        assert_eq!((keys.of(&[0, 0]), keys.of(&[1, 0]), keys.of(&[2, 3])), (0, 4, 11));
    }
}

//! Arrays that stay in memory between stages, or from one pass to the next.

use super::item::lock;
use crate::store::{ArrayReader, StoreError};
use engine_model::graph::NodeId;
use engine_model::plan::{Plan, Stage};
use ops_core::{Axis, Block, DType, Grid, Pool, Region};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

/// An array kept in memory, block by block as its stage made it.
pub struct Kept {
    grid: Grid,
    /// Which axis of the array each axis of the grid cuts; `None` for an axis the array has not.
    cuts: Vec<Option<usize>>,
    blocks: Mutex<Vec<Option<Arc<Block>>>>,
    dtype: DType,
    /// Stages that still read it.
    readers: AtomicU32,
    /// The store in which an earlier run left blocks of it.
    pub(super) behind: OnceLock<Arc<dyn ArrayReader>>,
}

impl Kept {
    /// An empty array of a node that a stage keeps.
    pub(super) fn new(plan: &Plan, stage: &Stage, node: NodeId, class: usize, readers: u32) -> Kept {
        let meta = plan.graph.node(node).meta(class);
        let grid = plan.grid(stage, class);
        let cuts = stage.block.iter().map(|(a, _): &(Axis, u64)| meta.axes.position(*a)).collect();
        let blocks = Mutex::new(vec![None; grid.count() as usize]);
        Kept { grid, cuts, blocks, dtype: meta.dtype, readers: AtomicU32::new(readers), behind: OnceLock::new() }
    }

    /// Keeps block number `i`.
    pub fn put(&self, i: u64, block: Block) {
        if let Some(slot) = lock(&self.blocks).get_mut(i as usize) {
            *slot = Some(Arc::new(block));
        }
    }

    /// True when block number `i` is there.
    pub fn has(&self, i: u64) -> bool {
        lock(&self.blocks).get(i as usize).is_some_and(Option::is_some)
    }

    /// The elements of a region: the kept block itself where it is just that, else a copy. A block that an earlier run
    /// left in a store is read from there.
    ///
    /// `None` when a block it needs was never kept: a bug of the schedule.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn get(&self, region: &Region, pool: &Pool) -> Result<Option<Arc<Block>>, StoreError> {
        let mut across = Region::whole(self.grid.shape());
        for (i, cut) in self.cuts.iter().enumerate() {
            if let Some(axis) = *cut {
                (across.lo[i], across.hi[i]) = (region.lo[axis], region.hi[axis]);
            }
        }
        let mut parts: Vec<Arc<Block>> = Vec::new();
        let mut absent = Vec::new();
        {
            let blocks = lock(&self.blocks);
            for i in self.grid.touching(&across) {
                match blocks.get(i as usize) {
                    Some(Some(b)) => parts.push(b.clone()),
                    _ => absent.push(i),
                }
            }
        }
        for i in absent {
            let Some(behind) = self.behind.get() else { return Ok(None) };
            let (cell, mut part) = (self.grid.region(i), region.clone());
            for (i, cut) in self.cuts.iter().enumerate() {
                if let Some(axis) = *cut {
                    (part.lo[axis], part.hi[axis]) = (part.lo[axis].max(cell.lo[i]), part.hi[axis].min(cell.hi[i]));
                }
            }
            parts.push(Arc::new(behind.read(&part, pool)?.0));
        }
        if let [one] = parts.as_slice()
            && one.region() == region
        {
            return Ok(Some(one.clone()));
        }
        let mut out = Block::take(pool, self.dtype, region.clone());
        parts.iter().for_each(|b| out.paste(b));
        Ok(Some(Arc::new(out)))
    }

    /// So many stages will read it from now on.
    pub(super) fn expect_readers(&self, readers: u32) {
        self.readers.store(readers, Ordering::Release);
    }

    /// A stage that reads it is complete; frees the blocks after the last.
    pub fn release(&self) {
        if self.readers.fetch_sub(1, Ordering::AcqRel) == 1 {
            lock(&self.blocks).clear();
        }
    }
}

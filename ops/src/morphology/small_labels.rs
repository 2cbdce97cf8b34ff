//! Which labels of a label image have too few voxels, and the image without them.

use crate::measure::accumulate::{integer, table_entries};
use crate::measure::rows::{Rows, Wanted};
use ops_core::{
    ArrayMeta, Block, Element, FinishCall, Map, MapCall, OpError, Pool, Ports, Reduce, ReduceCall, Region, Value,
    with_dtype,
};
use std::sync::Arc;

/// Counts the voxels of every label.
#[derive(Debug, Clone)]
pub(crate) struct Sizes {
    /// The fewest voxels of a label that stays.
    pub(crate) least: u64,
    /// Labels at most.
    pub(crate) most: u64,
}

/// The labels of too few voxels, ascending.
#[derive(Debug)]
struct Small(Vec<u64>);

impl Sizes {
    fn wanted(&self, ports: &Ports) -> Wanted {
        let meta = ports.meta(0);
        Wanted {
            background: false,
            extremes: false,
            sum: false,
            squares: false,
            bounds: false,
            coordinates: false,
            rank: meta.rank(),
            labels: meta.dtype,
            image: meta.dtype,
            most: self.most,
        }
    }
}

impl Reduce for Sizes {
    type Partial = Rows;

    fn start(&self, ports: &Ports) -> Rows {
        Rows::new(self.wanted(ports))
    }

    fn add(&self, call: &ReduceCall<'_>, rows: &mut Rows) -> Result<(), OpError> {
        let labels = call.blocks[0];
        with_dtype!(labels.dtype(), L => rows.add::<L, L>(labels, labels, call.pool))
    }

    fn merge(&self, into: &mut Rows, other: Rows) {
        into.merge(other);
    }

    fn finish(&self, rows: Rows, call: &FinishCall<'_>) -> Result<Value, OpError> {
        if rows.excess.is_some() {
            let (most, top) = (self.most, rows.top);
            let enough = top.min(call.ports.meta(0).volume()).max(most.saturating_add(1));
            let m =
                format!("expected at most {most} different labels (`max_labels`), found more, numbered up to {top}");
            let bytes = self.wanted(call.ports).row_bytes() + 8;
            return Err(OpError::Data(format!(
                "{m}: write `max_labels: {enough}` to set memory aside for them, {bytes} bytes each"
            )));
        }
        let few = rows.label.iter().zip(&rows.count).filter(|(_, n)| **n < self.least);
        let mut small: Vec<u64> = few.map(|(label, _)| *label).collect();
        small.sort_unstable();
        Ok(Value::State(Arc::new(Small(small))))
    }

    /// The rows, and the list that is made of them.
    fn state_bytes(&self, ports: &Ports) -> u64 {
        let (wanted, voxels) = (self.wanted(ports), ports.meta(0).volume());
        wanted.bytes(voxels).saturating_add(8 * wanted.rows(voxels))
    }

    /// The rows of a block, and the table from label to row.
    fn partial_bytes(&self, ports: &Ports, block: &Region) -> u64 {
        let table = Pool::rounded(4 * table_entries(block.volume()));
        self.wanted(ports).bytes(block.volume()).saturating_add(table)
    }

    fn nanos_per_element(&self) -> f32 {
        2.0
    }
}

/// Writes labels, and 0 in place of those of too few voxels.
#[derive(Debug, Clone)]
pub(crate) struct Removed;

impl Map for Removed {
    fn infer(&self, ports: &Ports) -> Result<ArrayMeta, OpError> {
        Ok(ports.meta(0).clone())
    }

    fn apply(&self, call: &MapCall<'_>, out: &mut Block) -> Result<(), OpError> {
        let state = call.values.first().ok_or_else(|| OpError::Internal("remove_small without its sizes".into()))?;
        let small = &state.as_state::<Small>()?.0;
        let src = call.blocks[0];
        with_dtype!(src.dtype(), L => without::<L>(src.as_slice(), out.as_mut_slice(), small));
        Ok(())
    }

    fn nanos_per_element(&self) -> f32 {
        1.0
    }
}

/// Looks each run of a label up once.
fn without<L: Element>(src: &[L], dst: &mut [L], small: &[u64]) {
    let mut rest = dst;
    for run in src.chunk_by(|a, b| a == b) {
        let (here, behind) = rest.split_at_mut(run.len());
        let label = integer(run[0]) as u64;
        if label != 0 && small.binary_search(&label).is_ok() {
            here.fill(L::default());
        } else {
            here.copy_from_slice(run);
        }
        rest = behind;
    }
}

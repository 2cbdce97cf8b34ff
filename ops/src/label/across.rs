//! `label.across`: the components of each cell, joined across the faces of cells, and how many start in each row.
//!
//! Labels are numbered from that by `label.number`, which finds the components of a cell again.

use super::join::largest;
use super::keys::Numbering;
use super::meet::{self, Meet};
use super::numbered::Numbered;
use ops_core::{DType, FinishCall, Needs, OpError, Ports, Reduce, ReduceCall, Region, Value};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Bytes of the counts of a cell besides those of its rows.
const COUNTS: u64 = 48;

/// Finds the components of each cell and joins those that touch across cells.
#[derive(Debug, Clone)]
pub(crate) struct Across {
    pub(crate) meet: Meet,
    pub(crate) numbering: Numbering,
    pub(crate) dtype: DType,
}

/// The cells seen so far.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Seen {
    met: meet::Seen,
    /// Components that start in each row, for each cell.
    starts: Vec<(u32, Box<[u16]>)>,
}

impl Across {
    /// Bytes of the counts of so many cells.
    fn counts_bytes(&self, number: u64) -> u64 {
        let rows: u64 = self.meet.extents.iter().rev().skip(1).product();
        number.saturating_mul(COUNTS + 2 * rows)
    }
}

impl Reduce for Across {
    type Partial = Seen;

    /// The cells whose first voxel lies in the block.
    fn needs(&self, ports: &Ports, block: &Region) -> Needs {
        self.meet.needs(ports, block)
    }

    fn granule(&self, _: &Ports) -> Option<Vec<u64>> {
        Some(self.meet.extents.clone())
    }

    fn start(&self, ports: &Ports) -> Seen {
        Seen { met: self.meet.start(ports), starts: Vec::new() }
    }

    fn add(&self, call: &ReduceCall<'_>, seen: &mut Seen) -> Result<(), OpError> {
        let starts = &mut seen.starts;
        self.meet.see(call, &mut seen.met, |cell, part, _, _| {
            starts.push((cell, (0..part.rows()).map(|row| part.starting(row).len() as u16).collect()));
        })
    }

    fn merge(&self, into: &mut Seen, other: Seen) {
        into.starts.extend(other.starts);
        self.meet.join(&mut into.met, other.met);
    }

    fn finish(&self, seen: Seen, call: &FinishCall<'_>) -> Result<Value, OpError> {
        let pairs = self.meet.pairs(seen.met)?;
        let raster = self.numbering == Numbering::Raster;
        let cells = self.meet.cells(call.ports);
        let numbered = Numbered::new(&pairs, seen.starts, &cells, &call.ports.meta(0).shape, raster)?;
        let (most, count) = (largest(self.dtype), numbered.count());
        if count > most {
            let m = format!("expected at most {most} labels for dtype {}, found {count}", self.dtype);
            return Err(OpError::Data(format!("{m}: choose a wider `dtype`")));
        }
        Ok(Value::State(Arc::new(numbered)))
    }

    /// Faces and pairs, at most `faces_bytes`, and counts: two bytes for each row of each cell, four for each row of the array.
    fn state_bytes(&self, ports: &Ports) -> u64 {
        let cells = self.meet.cells(ports);
        let counts = Numbered::base_bytes(&ports.meta(0).shape, &cells) + self.counts_bytes(cells.count());
        counts + self.meet.bytes_bound(&cells, cells.count(), 0)
    }

    fn partial_bytes(&self, ports: &Ports, block: &Region) -> u64 {
        let cells = self.meet.cells(ports);
        let number = self.meet.number(&cells, block);
        self.meet.find_bytes(&cells) + self.meet.bytes_bound(&cells, number, 0) + self.counts_bytes(number)
    }

    fn nanos_per_element(&self) -> f32 {
        1.0
    }
}

//! The labels that `measure` has seen, one row each, and how much memory they may take.
//!
//! Rows lie in flat columns, and only those columns exist that the statistics need: a row is then some ten to two hundred
//! bytes and what is declared to the planner is what is allocated. A row is found by its label through a table of open
//! addresses; nothing ever iterates that table, so the order of the rows never shows.

use ops_core::DType;
use ops_core::exact::ExactSum;

/// Bytes that windows of exact sums may take besides what a row holds inline, where the dtype can need any.
const WINDOWS: u64 = 4 << 20;
/// Bytes for what does not depend on the number of rows: the containers, and one window while it grows.
const FIXED: u64 = 4 << 10;
/// Rows of the first allocation.
const FIRST: usize = 32;

/// Which columns there are, and of what.
#[derive(Debug, Clone, Copy, serde::Serialize, serde::Deserialize)]
pub(crate) struct Wanted {
    /// Label 0 gets a row.
    pub(crate) background: bool,
    /// Smallest and largest value.
    pub(crate) extremes: bool,
    /// Sum of the values.
    pub(crate) sum: bool,
    /// Sum of their squares.
    pub(crate) squares: bool,
    /// First and last index along each axis.
    pub(crate) bounds: bool,
    /// Sums of the coordinates.
    pub(crate) coordinates: bool,
    /// Axes.
    pub(crate) rank: usize,
    /// Dtype of the labels.
    pub(crate) labels: DType,
    /// Dtype of the image.
    pub(crate) image: DType,
    /// Labels at most.
    pub(crate) most: u64,
}

impl Wanted {
    /// Rows at most for so many voxels: one for each, for each value of the labels' dtype, for each that is allowed.
    pub(crate) fn rows(&self, voxels: u64) -> u64 {
        let values = match self.labels {
            DType::Bool => 2,
            DType::UInt8 => 1 << 8,
            DType::UInt16 => 1 << 16,
            DType::Int8 => 1 << 7,
            DType::Int16 => 1 << 15,
            _ => u64::MAX,
        };
        voxels.min(values).min(self.most)
    }

    /// Bytes of one row: its columns, its share of the table of addresses, and of the widest column while it grows.
    pub(crate) fn row_bytes(&self) -> u64 {
        let on = |there: bool, bytes: usize| if there { bytes as u64 } else { 0 };
        let sum = size_of::<ExactSum>();
        let columns = [
            8,
            8,
            on(self.extremes, 8),
            on(self.extremes, 8),
            on(self.sum, sum),
            on(self.squares, sum),
            on(self.bounds, 8 * self.rank),
            on(self.bounds, 8 * self.rank),
            on(self.coordinates, 16 * self.rank),
        ];
        columns.iter().sum::<u64>() + columns.iter().max().copied().unwrap_or(0) + 16
    }

    /// Bytes that windows of exact sums may take on the heap when there are so many rows.
    fn window_bytes(&self, rows: u64) -> u64 {
        let window = |there: bool, square: bool| {
            let own = ExactSum::bytes_bound(self.image, square).saturating_sub(size_of::<ExactSum>() as u64);
            if there { own } else { 0 }
        };
        rows.saturating_mul(window(self.sum, false) + window(self.squares, true)).min(WINDOWS)
    }

    /// Bytes that the rows of so many voxels may take.
    pub(crate) fn bytes(&self, voxels: u64) -> u64 {
        let rows = self.rows(voxels);
        rows.saturating_mul(self.row_bytes()).saturating_add(self.window_bytes(rows)).saturating_add(FIXED)
    }
}

/// What did not fit the memory that was set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Excess {
    /// More labels than allowed.
    Labels,
    /// Sums of values whose magnitudes differ too much in too many labels.
    Windows,
}

/// The rows, in the order in which labels were first met; emptied when they don't fit.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Rows {
    /// Which columns there are.
    pub(crate) wanted: Wanted,
    pub(crate) label: Vec<u64>,
    /// Voxels of each.
    pub(crate) count: Vec<u64>,
    /// The smallest and largest value, as order keys of the image's dtype.
    pub(crate) smallest: Vec<u64>,
    pub(crate) largest: Vec<u64>,
    pub(crate) sum: Vec<ExactSum>,
    pub(crate) squares: Vec<ExactSum>,
    /// The first index along each axis, and one past the last, row by row.
    pub(crate) lo: Vec<u64>,
    pub(crate) hi: Vec<u64>,
    /// Sums of the indices along each axis, row by row.
    pub(crate) coordinates: Vec<u128>,
    /// Positions by hash of the label; `u32::MAX` is free.
    slots: Vec<u32>,
    /// Bytes of windows on the heap.
    windows: u64,
    /// Voxels accounted for.
    pub(crate) voxels: u64,
    /// The largest label met, also when rows no longer fit.
    pub(crate) top: u64,
    /// What did not fit.
    pub(crate) excess: Option<Excess>,
}

impl Rows {
    /// No rows yet.
    pub(crate) fn new(wanted: Wanted) -> Rows {
        Rows {
            wanted,
            label: Vec::new(),
            count: Vec::new(),
            smallest: Vec::new(),
            largest: Vec::new(),
            sum: Vec::new(),
            squares: Vec::new(),
            lo: Vec::new(),
            hi: Vec::new(),
            coordinates: Vec::new(),
            slots: Vec::new(),
            windows: 0,
            voxels: 0,
            top: 0,
            excess: None,
        }
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.label.len()
    }

    /// Gives up: what is held goes, so that what is left of the run stays within its memory.
    pub(crate) fn give_up(&mut self, why: Excess) {
        *self = Rows { voxels: self.voxels, top: self.top, excess: Some(why), ..Rows::new(self.wanted) };
    }

    /// The row of a label, made where it is new; `None` when there are as many as allowed.
    pub(crate) fn row(&mut self, label: u64) -> Option<usize> {
        let wanted = self.wanted;
        if 2 * self.len() >= self.slots.len() {
            self.rehash();
        }
        let mask = self.slots.len() - 1;
        let mut at = hash(label) as usize & mask;
        while self.slots[at] != u32::MAX {
            let row = self.slots[at] as usize;
            if self.label[row] == label {
                return Some(row);
            }
            at = (at + 1) & mask;
        }
        let (row, most) = (self.len(), wanted.rows(self.voxels));
        if row as u64 >= most || row >= u32::MAX as usize {
            return None;
        }
        self.slots[at] = row as u32;
        let rank = wanted.rank;
        push(&mut self.label, 1, label, most);
        push(&mut self.count, 1, 0, most);
        if wanted.extremes {
            push(&mut self.smallest, 1, u64::MAX, most);
            push(&mut self.largest, 1, 0, most);
        }
        if wanted.sum {
            push(&mut self.sum, 1, ExactSum::default(), most);
        }
        if wanted.squares {
            push(&mut self.squares, 1, ExactSum::default(), most);
        }
        if wanted.bounds {
            push(&mut self.lo, rank, u64::MAX, most);
            push(&mut self.hi, rank, 0, most);
        }
        if wanted.coordinates {
            push(&mut self.coordinates, rank, 0, most);
        }
        Some(row)
    }

    fn rehash(&mut self) {
        let size = (2 * (self.len() + 1)).next_power_of_two().max(16);
        // The old one goes first: positions follow from the labels.
        self.slots = Vec::new();
        self.slots = vec![u32::MAX; size];
        for (row, &label) in self.label.iter().enumerate() {
            let mut at = hash(label) as usize & (size - 1);
            while self.slots[at] != u32::MAX {
                at = (at + 1) & (size - 1);
            }
            self.slots[at] = row as u32;
        }
    }

    /// Changes the sums of a row, keeping count of their windows; `false` when these take more than is set aside.
    pub(crate) fn change_sums(
        &mut self,
        row: usize,
        change: impl FnOnce(&mut ExactSum, Option<&mut ExactSum>),
    ) -> bool {
        if !self.wanted.sum {
            return true;
        }
        let (sum, mut squares) = (&mut self.sum[row], self.squares.get_mut(row));
        let of =
            |sum: &ExactSum, squares: Option<&ExactSum>| sum.heap_bytes() + squares.map_or(0, ExactSum::heap_bytes);
        let before = of(sum, squares.as_deref());
        change(sum, squares.as_deref_mut());
        let after = of(sum, squares.as_deref());
        self.windows += after - before;
        after == before || self.windows <= self.wanted.window_bytes(self.wanted.rows(self.voxels))
    }

    /// Accounts for all that another holds.
    pub(crate) fn merge(&mut self, mut other: Rows) {
        if self.len() < other.len() {
            std::mem::swap(self, &mut other);
        }
        self.voxels += other.voxels;
        self.top = self.top.max(other.top);
        if let Some(why) = self.excess.or(other.excess) {
            return self.give_up(why);
        }
        let (wanted, rank) = (self.wanted, self.wanted.rank);
        for from in 0..other.len() {
            let Some(row) = self.row(other.label[from]) else { return self.give_up(Excess::Labels) };
            self.count[row] += other.count[from];
            if wanted.extremes {
                self.smallest[row] = self.smallest[row].min(other.smallest[from]);
                self.largest[row] = self.largest[row].max(other.largest[from]);
            }
            for a in 0..rank {
                let (mine, its) = (row * rank + a, from * rank + a);
                if wanted.bounds {
                    self.lo[mine] = self.lo[mine].min(other.lo[its]);
                    self.hi[mine] = self.hi[mine].max(other.hi[its]);
                }
                if wanted.coordinates {
                    self.coordinates[mine] += other.coordinates[its];
                }
            }
            let fits = self.change_sums(row, |sum, squares| {
                sum.merge(&other.sum[from]);
                if let Some(squares) = squares {
                    squares.merge(&other.squares[from]);
                }
            });
            if !fits {
                return self.give_up(Excess::Windows);
            }
        }
    }
}

/// Appends `n` copies of a value, growing by doubling but never beyond what `most` rows take.
fn push<T: Clone>(column: &mut Vec<T>, n: usize, value: T, most: u64) {
    let needed = column.len() + n;
    if needed > column.capacity() {
        let ceiling = usize::try_from(most).unwrap_or(usize::MAX).saturating_mul(n);
        let to = (2 * column.capacity()).max(FIRST * n).min(ceiling).max(needed);
        column.reserve_exact(to - column.len());
    }
    column.extend(std::iter::repeat_n(value, n));
}

/// Mixes the bits of a label (the finaliser of MurmurHash3), for neighbouring labels fill neighbouring slots otherwise.
fn hash(label: u64) -> u64 {
    let h = (label ^ (label >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let h = (h ^ (h >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    h ^ (h >> 33)
}

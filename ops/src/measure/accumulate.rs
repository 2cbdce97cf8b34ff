//! What `measure` keeps of each label, and how a block is added to it.

use ops_core::block::for_rows;
use ops_core::exact::ExactSum;
use ops_core::{Block, DType, Element, OpError, Pool, Region};
use std::collections::BTreeMap;

/// Spatial axes at most.
const AXES: usize = 3;

/// Everything known of one label.
#[derive(Debug, Clone)]
pub(crate) struct Label {
    /// Voxels.
    pub(crate) count: u64,
    /// The smallest and largest value, as order keys of the image's dtype.
    pub(crate) smallest: u64,
    pub(crate) largest: u64,
    pub(crate) sum: ExactSum,
    pub(crate) squares: ExactSum,
    /// The first index along each axis, and one past the last.
    pub(crate) lo: [u64; AXES],
    pub(crate) hi: [u64; AXES],
    /// Sums of the coordinates.
    pub(crate) coordinates: [u128; AXES],
}

impl Default for Label {
    fn default() -> Label {
        Label {
            count: 0,
            smallest: u64::MAX,
            largest: 0,
            sum: ExactSum::default(),
            squares: ExactSum::default(),
            lo: [u64::MAX; AXES],
            hi: [0; AXES],
            coordinates: [0; AXES],
        }
    }
}

impl Label {
    fn merge(&mut self, other: &Label) {
        self.count += other.count;
        self.smallest = self.smallest.min(other.smallest);
        self.largest = self.largest.max(other.largest);
        self.sum.merge(&other.sum);
        self.squares.merge(&other.squares);
        for a in 0..AXES {
            self.lo[a] = self.lo[a].min(other.lo[a]);
            self.hi[a] = self.hi[a].max(other.hi[a]);
            self.coordinates[a] += other.coordinates[a];
        }
    }

    /// Accounts for where a run of `n` voxels lies that begins at `at` and goes on along the last axis.
    fn place(&mut self, at: &[i64], n: u64) {
        self.count += n;
        let last = at.len() - 1;
        for (a, &i) in at.iter().enumerate() {
            let (i, reach) = (i as u64, if a == last { n } else { 1 });
            self.lo[a] = self.lo[a].min(i);
            self.hi[a] = self.hi[a].max(i + reach);
            // i + (i + 1) + … along the run; the same index n times across it.
            let along = if a == last { u128::from(n) * u128::from(n - 1) / 2 } else { 0 };
            self.coordinates[a] += u128::from(i) * u128::from(n) + along;
        }
    }

    fn values<T: Element>(&mut self, values: &[T], squares: bool) {
        for v in values {
            let key = v.order_key();
            self.smallest = self.smallest.min(key);
            self.largest = self.largest.max(key);
        }
        if T::DTYPE.is_float() {
            for v in values {
                self.sum.add(v.to_f64());
            }
            if squares {
                for v in values {
                    self.squares.add_square(v.to_f64());
                }
            }
        } else if size_of::<T>() <= 2 {
            // Up to 2^31 squares of 16 bits fit; a run is shorter than that in any block that fits a memory.
            for part in values.chunks(1 << 30) {
                let sum: i64 = part.iter().map(|v| integer(*v) as i64).sum();
                self.sum.add_i128(i128::from(sum));
                if squares {
                    let s =
                        part.iter().map(|v| integer(*v).unsigned_abs() as u32).map(|v| u64::from(v * v)).sum::<u64>();
                    self.squares.add_u128(u128::from(s));
                }
            }
        } else {
            for v in values {
                let v = integer(*v);
                self.sum.add_i128(v);
                if squares {
                    self.squares.add_u128(v.unsigned_abs() * v.unsigned_abs());
                }
            }
        }
    }
}

/// The exact value of an integer element.
#[inline(always)]
fn integer<T: Element>(v: T) -> i128 {
    let lowest = match T::DTYPE {
        DType::Int8 => i128::from(i8::MIN),
        DType::Int16 => i128::from(i16::MIN),
        DType::Int32 => i128::from(i32::MIN),
        DType::Int64 => i128::from(i64::MIN),
        _ => 0,
    };
    i128::from(v.order_key()) + lowest
}

/// The labels seen so far; emptied when there are more than allowed.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) labels: BTreeMap<u64, Label>,
    pub(crate) too_many: bool,
}

/// What is wanted of each block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) background: bool,
    pub(crate) values: bool,
    pub(crate) squares: bool,
    /// Labels at most.
    pub(crate) most: u64,
}

/// Bytes one label takes at most, in the map and while a block is added.
pub(crate) fn bytes_of_label(image: DType) -> u64 {
    let sums = [false, true].map(|square| ExactSum::bytes_bound(image, square) - size_of::<ExactSum>() as u64);
    // Nodes of a B-tree are at least half full, and have pointers.
    2 * (size_of::<Label>() as u64 + 16) + sums[0] + sums[1]
}

/// Entries of the table from label to position: used when labels of a block are close together.
pub(crate) fn table_entries(volume: u64) -> u64 {
    volume.max(1 << 12)
}

impl Seen {
    pub(crate) fn merge(&mut self, other: Seen, most: u64) {
        self.too_many |= other.too_many;
        for (label, found) in other.labels {
            match self.labels.get_mut(&label) {
                Some(mine) => mine.merge(&found),
                None => {
                    self.labels.insert(label, found);
                }
            }
        }
        self.limit(most);
    }

    fn limit(&mut self, most: u64) {
        if self.too_many || self.labels.len() as u64 > most {
            self.too_many = true;
            self.labels.clear();
        }
    }

    /// Adds a block of labels and the same block of the image.
    pub(crate) fn add<L: Element, T: Element>(
        &mut self,
        labels: &Block,
        image: &Block,
        wanted: Wanted,
        pool: &Pool,
    ) -> Result<(), OpError> {
        let (region, data, values) = (labels.region(), labels.as_slice::<L>(), image.as_slice::<T>());
        let Some((&first, rest)) = data.split_first() else { return Ok(()) };
        let (lo, hi) =
            rest.iter().fold((first, first), |(lo, hi), &v| (if v < lo { v } else { lo }, if v > hi { v } else { hi }));
        if integer(lo) < 0 {
            let m = format!("expected labels of at least 0, found {} in {region}", integer(lo));
            return Err(OpError::Data(format!("{m}: number regions from 1, with 0 for the background")));
        }
        let (lo, range) = (integer(lo) as u64, (integer(hi) - integer(lo)) as u64);
        if range < table_entries(region.volume()) {
            let mut table = pool.take::<u32>(range as usize + 1);
            table.fill(u32::MAX);
            self.rows::<L, T>(region, data, values, wanted, |label, next| {
                let entry = &mut table[(label - lo) as usize];
                if *entry == u32::MAX {
                    *entry = next as u32;
                }
                *entry as usize
            });
        } else {
            let mut map = BTreeMap::new();
            self.rows::<L, T>(region, data, values, wanted, |label, next| *map.entry(label).or_insert(next));
        }
        Ok(())
    }

    /// Adds every run of a label; `find` gives the position of a label, the one it is offered when it is new.
    fn rows<L: Element, T: Element>(
        &mut self,
        region: &Region,
        data: &[L],
        values: &[T],
        wanted: Wanted,
        mut find: impl FnMut(u64, usize) -> usize,
    ) {
        let len = region.len(region.rank() - 1) as usize;
        let mut found: Vec<(u64, Label)> = Vec::new();
        let (mut from, mut start) = (0, region.lo.clone());
        let last = region.rank() - 1;
        for_rows(region, |at| {
            let row = &data[from..from + len];
            start.copy_from_slice(at);
            let mut x = 0;
            while x < len {
                let n = row[x..].iter().take_while(|v| **v == row[x]).count();
                let label = integer(row[x]) as u64;
                if label != 0 || wanted.background {
                    let slot = find(label, found.len());
                    if slot == found.len() {
                        found.push((label, Label::default()));
                    }
                    start[last] = at[last] + x as i64;
                    let seen = &mut found[slot].1;
                    seen.place(&start, n as u64);
                    if wanted.values {
                        seen.values(&values[from + x..from + x + n], wanted.squares);
                    }
                }
                x += n;
            }
            from += len;
        });
        let block = Seen { labels: found.into_iter().collect(), too_many: false };
        self.merge(block, wanted.most);
    }
}

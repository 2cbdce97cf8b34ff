//! How `measure` adds a block of labels and the same block of the image to its rows.

use super::rows::{Excess, Rows};
use ops_core::block::for_rows;
use ops_core::exact::ExactSum;
use ops_core::{Block, DType, Element, OpError, Pool, Region};

/// Entries of the table from label to row: used when labels of a block are close together.
pub(crate) fn table_entries(volume: u64) -> u64 {
    volume.max(1 << 12)
}

impl Rows {
    /// Adds a block.
    ///
    /// # Errors
    /// For a label below 0. Labels that don't fit are not an error yet: the same message shall be given whichever
    /// block is the one that has them, so it is left to the end.
    pub(crate) fn add<L: Element, T: Element>(
        &mut self,
        labels: &Block,
        image: &Block,
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
        self.voxels += region.volume();
        self.top = self.top.max(integer(hi) as u64);
        if self.excess.is_some() {
            return Ok(());
        }
        let (lo, range) = (integer(lo) as u64, (integer(hi) - integer(lo)) as u64);
        let fits = if range < table_entries(region.volume()) {
            let mut table = pool.take::<u32>(range as usize + 1);
            table.fill(u32::MAX);
            self.block::<L, T>(region, data, values, |rows, label| {
                let entry = &mut table[(label - lo) as usize];
                if *entry == u32::MAX {
                    *entry = rows.row(label)? as u32;
                }
                Some(*entry as usize)
            })
        } else {
            self.block::<L, T>(region, data, values, |rows, label| rows.row(label))
        };
        if let Err(why) = fits {
            self.give_up(why);
        }
        Ok(())
    }

    /// Adds every run of a label; `find` gives the row of a label.
    fn block<L: Element, T: Element>(
        &mut self,
        region: &Region,
        data: &[L],
        values: &[T],
        mut find: impl FnMut(&mut Rows, u64) -> Option<usize>,
    ) -> Result<(), Excess> {
        let last = region.rank() - 1;
        let len = region.len(last) as usize;
        let (mut from, mut start, mut result) = (0, region.lo.clone(), Ok(()));
        for_rows(region, |at| {
            let line = &data[from..from + len];
            start.copy_from_slice(at);
            let mut x = 0;
            while x < len && result.is_ok() {
                let n = line[x..].iter().take_while(|v| **v == line[x]).count();
                let label = integer(line[x]) as u64;
                if label != 0 || self.wanted.background {
                    start[last] = at[last] + x as i64;
                    result = match find(self, label) {
                        None => Err(Excess::Labels),
                        Some(row) => {
                            self.place(row, &start, n as u64);
                            self.values(row, &values[from + x..from + x + n])
                        }
                    };
                }
                x += n;
            }
            from += len;
        });
        result
    }

    /// Accounts for where a run of `n` voxels lies that begins at `at` and goes on along the last axis.
    fn place(&mut self, row: usize, at: &[i64], n: u64) {
        self.count[row] += n;
        let wanted = self.wanted;
        let (last, from) = (at.len() - 1, row * wanted.rank);
        for (a, &i) in at.iter().enumerate() {
            let (i, reach) = (i as u64, if a == last { n } else { 1 });
            if wanted.bounds {
                self.lo[from + a] = self.lo[from + a].min(i);
                self.hi[from + a] = self.hi[from + a].max(i + reach);
            }
            if wanted.coordinates {
                // i + (i + 1) + … along the run; the same index n times across it.
                let along = if a == last { u128::from(n) * u128::from(n - 1) / 2 } else { 0 };
                self.coordinates[from + a] += u128::from(i) * u128::from(n) + along;
            }
        }
    }

    /// Accounts for the values of a run.
    fn values<T: Element>(&mut self, row: usize, values: &[T]) -> Result<(), Excess> {
        if self.wanted.extremes {
            let (mut smallest, mut largest) = (self.smallest[row], self.largest[row]);
            for v in values {
                let key = v.order_key();
                smallest = smallest.min(key);
                largest = largest.max(key);
            }
            (self.smallest[row], self.largest[row]) = (smallest, largest);
        }
        let fits = self.change_sums(row, |sum, squares| add_values(values, sum, squares));
        if fits { Ok(()) } else { Err(Excess::Windows) }
    }
}

fn add_values<T: Element>(values: &[T], sum: &mut ExactSum, squares: Option<&mut ExactSum>) {
    if T::DTYPE.is_float() {
        values.iter().for_each(|v| sum.add(v.to_f64()));
        if let Some(squares) = squares {
            values.iter().for_each(|v| squares.add_square(v.to_f64()));
        }
    } else if size_of::<T>() <= 2 {
        let s: i128 =
            values.chunks(1 << 30).map(|part| i128::from(part.iter().map(|v| integer(*v) as i64).sum::<i64>())).sum();
        sum.add_i128(s);
        if let Some(squares) = squares {
            // Up to 2^31 squares of 16 bits fit 64.
            let square = |v: &T| u64::from((integer(*v).unsigned_abs() as u32).pow(2));
            let s: u128 = values.chunks(1 << 30).map(|part| u128::from(part.iter().map(square).sum::<u64>())).sum();
            squares.add_u128(s);
        }
    } else {
        // A run has fewer than 2^62 voxels.
        sum.add_i128(values.iter().map(|v| integer(*v)).sum());
        if let Some(squares) = squares {
            values.iter().for_each(|v| squares.add_u128(integer(*v).unsigned_abs().pow(2)));
        }
    }
}

/// The exact value of an integer element.
#[inline(always)]
pub(crate) fn integer<T: Element>(v: T) -> i128 {
    let lowest = match T::DTYPE {
        DType::Int8 => i128::from(i8::MIN),
        DType::Int16 => i128::from(i16::MIN),
        DType::Int32 => i128::from(i32::MIN),
        DType::Int64 => i128::from(i64::MIN),
        _ => 0,
    };
    i128::from(v.order_key()) + lowest
}

//! Count, extremes, sum and sum of squares of what is finite, exactly: what statistics are made from.

use crate::elementwise::widened;
use crate::extrema::extrema;
use crate::measure::accumulate::integer;
use ops_core::exact::{ExactSum, mean, variance};
use ops_core::simd::pairs::{Amounts, amounts};
use ops_core::simd::vectorize;
use ops_core::{DType, Element};

/// Elements that are looked at for everything in turn: they stay in the L1 cache, and 2^12 squares of 8 bits add up in 32.
const RUN: usize = 4096;

/// What some elements amount to.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Sums {
    /// Finite elements.
    pub(crate) count: u64,
    /// The smallest of them, infinite without any.
    lo: f64,
    /// The largest.
    hi: f64,
    sum: ExactSum,
    squares: ExactSum,
}

impl Default for Sums {
    fn default() -> Sums {
        Sums {
            count: 0,
            lo: f64::INFINITY,
            hi: f64::NEG_INFINITY,
            sum: ExactSum::default(),
            squares: ExactSum::default(),
        }
    }
}

impl Sums {
    /// Bytes it takes at most.
    pub(crate) fn bytes(dtype: DType) -> u64 {
        size_of::<Sums>() as u64 + ExactSum::bytes_bound(dtype, false) + ExactSum::bytes_bound(dtype, true)
    }

    /// Accounts for all that another holds.
    pub(crate) fn merge(&mut self, other: &Sums) {
        self.count += other.count;
        // Adding +0 makes -0 the zero that every order agrees on.
        self.lo = self.lo.min(other.lo) + 0.0;
        self.hi = self.hi.max(other.hi) + 0.0;
        self.sum.merge(&other.sum);
        self.squares.merge(&other.squares);
    }

    /// Accounts for some elements.
    pub(crate) fn add<T: Element>(&mut self, data: &[T]) {
        if let Some(all) = amounts(data) {
            return self.of_pairs(data.len(), &all);
        }
        let (mut sum, mut squares) = (0i128, 0u128);
        for run in data.chunks(RUN) {
            self.widen(extrema(run));
            if T::DTYPE.is_float() {
                self.floats(run);
                continue;
            }
            self.count += run.len() as u64;
            match size_of::<T>() {
                1 => {
                    let (s, q) = narrow(run);
                    sum += i128::from(s);
                    squares += u128::from(q);
                }
                4 => {
                    let (s, low, high) = middle(run);
                    sum += i128::from(s);
                    squares += u128::from(low) + (u128::from(high) << 32);
                }
                _ => {
                    for v in run {
                        sum += integer(*v);
                        self.squares.add_u128(integer(*v).unsigned_abs().pow(2));
                    }
                }
            }
        }
        self.sum.add_i128(sum);
        self.squares.add_u128(squares);
    }

    /// Accounts for the extremes of a run.
    fn widen<T: Element>(&mut self, (lo, hi): (T, T)) {
        let (lo, hi) = (lo.to_f64(), hi.to_f64());
        if lo <= hi {
            self.lo = self.lo.min(lo) + 0.0;
            self.hi = self.hi.max(hi) + 0.0;
        }
    }

    /// Accounts for integers of 16 bits.
    fn of_pairs(&mut self, n: usize, all: &Amounts) {
        self.count += n as u64;
        self.widen((all.lo, all.hi));
        self.sum.add_i128(all.sum);
        self.squares.add_u128(all.squares);
    }

    /// Accounts for a run of floats.
    fn floats<T: Element>(&mut self, run: &[T]) {
        let mut wide = [0.0; RUN];
        let mut n = run.len();
        vectorize(
            #[inline(always)]
            || wide.iter_mut().zip(run).for_each(|(w, v)| *w = v.to_f64()),
        );
        if !wide[..n].iter().fold(true, |all, v| all & v.is_finite()) {
            n = 0;
            for v in run.iter().map(|v| v.to_f64()).filter(|v| v.is_finite()) {
                wide[n] = v;
                n += 1;
            }
        }
        self.count += n as u64;
        self.sum.add_all(&wide[..n]);
        self.squares.add_squares(&wide[..n]);
    }

    /// The smallest and the largest finite element; NaN without any.
    pub(crate) fn extremes(&self) -> (f64, f64) {
        if self.count == 0 { (f64::NAN, f64::NAN) } else { (self.lo, self.hi) }
    }

    /// The sum, rounded once.
    pub(crate) fn sum(&self) -> f64 {
        self.sum.round()
    }

    /// The mean, rounded once; NaN without elements.
    pub(crate) fn mean(&self) -> f64 {
        mean(self.count, &self.sum)
    }

    /// The standard deviation of the population: the root of the variance, which is rounded once.
    pub(crate) fn deviation(&self) -> f64 {
        variance(self.count, &self.sum, &self.squares).sqrt()
    }
}

/// Sum and sum of squares of a run of integers of 8 bits, which add up in 32.
fn narrow<T: Element>(run: &[T]) -> (i32, u32) {
    vectorize(
        #[inline(always)]
        || {
            run.iter().fold((0, 0), |(sum, squares), v| {
                let v = widened(*v) as i32;
                (sum + v, squares + (v * v) as u32)
            })
        },
    )
}

/// Sum of a run of integers of 32 bits, and the sums of the low and the high halves of their squares.
fn middle<T: Element>(run: &[T]) -> (i64, u64, u64) {
    vectorize(
        #[inline(always)]
        || {
            run.iter().fold((0i64, 0u64, 0u64), |(sum, low, high), v| {
                let v = widened(*v);
                let magnitude = u64::from(v.unsigned_abs() as u32);
                let square = magnitude * magnitude;
                (sum + v, low + (square & 0xFFFF_FFFF), high + (square >> 32))
            })
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against sums of one element after the other.
    fn check<T: Element>(data: &[T]) {
        let mut sums = Sums::default();
        sums.add(data);
        let wide: Vec<i128> = data.iter().map(|v| integer(*v)).collect();
        let (sum, squares) = (wide.iter().sum::<i128>(), wide.iter().map(|v| v * v).sum::<i128>());
        let ends =
            (wide.iter().min().map_or(f64::NAN, |v| *v as f64), wide.iter().max().map_or(f64::NAN, |v| *v as f64));
        let n = data.len();
        assert_eq!((sums.count, sums.sum(), sums.squares.round()), (n as u64, sum as f64, squares as f64), "{n}");
        assert_eq!(format!("{:?}", sums.extremes()), format!("{ends:?}"), "{n}");
    }

    #[test]
    fn runs_of_any_length_and_the_largest_values_add_up() {
        for n in [0, 1, 3, RUN - 1, RUN, RUN + 1, 9 * RUN + 7] {
            check(&vec![u16::MAX; n]);
            check(&vec![i16::MIN; n]);
            check(&(0..n).map(|i| (i * 40_503) as u16).collect::<Vec<_>>());
            check(&(0..n).map(|i| (i * 40_503) as i16).collect::<Vec<_>>());
            check(&(0..n).map(|i| (i * 157) as u8).collect::<Vec<_>>());
        }
    }
}

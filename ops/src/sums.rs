//! Count, extremes, sum and sum of squares of what is finite, exactly: what statistics are made from.

use crate::elementwise::widened;
use crate::extrema::extrema;
use crate::measure::accumulate::integer;
use ops_core::exact::{ExactSum, mean, variance};
use ops_core::simd::vectorize;
use ops_core::{DType, Element};

/// Elements that are looked at for everything in turn: they stay in the L1 cache, and 2^15 of 16 bits add up in 32.
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
        let (mut sum, mut squares) = (0i128, 0u128);
        for run in data.chunks(RUN) {
            let (lo, hi) = extrema(run);
            let (lo, hi) = (lo.to_f64(), hi.to_f64());
            if lo <= hi {
                self.lo = self.lo.min(lo) + 0.0;
                self.hi = self.hi.max(hi) + 0.0;
            }
            if T::DTYPE.is_float() {
                self.floats(run);
                continue;
            }
            self.count += run.len() as u64;
            match size_of::<T>() {
                1 | 2 => {
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

/// Sum and sum of squares of a run of integers of up to 16 bits.
fn narrow<T: Element>(run: &[T]) -> (i64, u64) {
    vectorize(
        #[inline(always)]
        || {
            // The halves of so few squares, and so few elements, add up in 32 bits: twice the lanes of 64.
            let (sum, low, high) = run.iter().fold((0i32, 0u32, 0u32), |(sum, low, high), v| {
                let v = widened(*v) as i32;
                // A square is less than 2^32, unsigned.
                let square = v.wrapping_mul(v) as u32;
                (sum + v, low + (square & 0xFFFF), high + (square >> 16))
            });
            (i64::from(sum), u64::from(low) + (u64::from(high) << 16))
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

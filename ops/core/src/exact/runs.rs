//! Runs of values added at once, as integers of one scale where their magnitudes allow it.
//!
//! Adding one value to a wide integer takes some nanoseconds. In a run whose largest magnitude is below `2^e` most values
//! are whole multiples of `2^(e - 101)`: two integers of fifty bits, which vector instructions add. Where one is none, the
//! run is added value by value. Both ways are exact, so that which one is taken never shows.

use super::ExactSum;
use crate::simd::vectorize;

/// Values of a run; their integers add up to 62 bits.
const RUN: usize = 1024;
/// 1.5 * 2^52: added to a float64 below 2^51 in magnitude, it leaves the nearest integer in the low bits.
const MAGIC: f64 = 6_755_399_441_055_744.0;
/// Bits of the upper of the two integers, and by how many bits the lower one lies below it.
const UPPER: i64 = 50;
const LOWER: i64 = 51;

/// `2^e` for `-1022 <= e <= 1023`.
#[inline(always)]
fn power(e: i64) -> f64 {
    f64::from_bits(((e + 1023) as u64) << 52)
}

/// The exponent that all magnitudes lie below; `None` when one is not finite, or all are 0 or very small or large.
fn exponent(run: &[f64]) -> Option<i64> {
    let most = vectorize(
        #[inline(always)]
        || run.iter().fold(0i64, |m, v| m.max((v.to_bits() & (u64::MAX >> 1)) as i64)),
    );
    let e = (most >> 52) - 1022;
    (-900..=900).contains(&e).then_some(e)
}

/// The sums of the upper and the lower integers of a run; `None` when they do not hold all bits of a value.
fn integers(run: &[f64], e: i64) -> Option<(i64, i64)> {
    let (scale, back, lower) = (power(UPPER - e), power(e - UPPER), power(LOWER));
    let (upper_bits, lower_bits, lost) = vectorize(
        #[inline(always)]
        || {
            run.iter().fold((0u64, 0u64, 0u64), |(upper, low, lost), &v| {
                let t = v * scale;
                let a = t + MAGIC;
                let rest = (t - (a - MAGIC)) * lower;
                let b = rest + MAGIC;
                // Differences of 0 where nothing is lost: by the lower integer, or by scaling the smallest values.
                let below = ((b - MAGIC) - rest).to_bits() | (t * back - v).to_bits();
                (upper.wrapping_add(a.to_bits()), low.wrapping_add(b.to_bits()), lost | below << 1)
            })
        },
    );
    let offset = MAGIC.to_bits().wrapping_mul(run.len() as u64);
    (lost == 0).then_some((upper_bits.wrapping_sub(offset) as i64, lower_bits.wrapping_sub(offset) as i64))
}

impl ExactSum {
    /// Adds all values.
    pub fn add_all(&mut self, values: &[f64]) {
        for run in values.chunks(RUN) {
            match exponent(run).and_then(|e| Some((e, integers(run, e)?))) {
                Some((e, (upper, lower))) => {
                    self.add_scaled(upper < 0, u128::from(upper.unsigned_abs()), e - UPPER);
                    self.add_scaled(lower < 0, u128::from(lower.unsigned_abs()), e - UPPER - LOWER);
                }
                None => run.iter().for_each(|v| self.add(*v)),
            }
        }
    }

    /// Adds the squares of all values, not rounded.
    pub fn add_squares(&mut self, values: &[f64]) {
        let (mut squares, mut errors) = ([0.0; RUN], [0.0; RUN]);
        for run in values.chunks(RUN) {
            let e = exponent(run).filter(|e| (-300..=400).contains(e));
            // What two integers hold is 0 or not much below the largest: no square of it is too small for a float64.
            if e.and_then(|e| integers(run, e)).is_none() {
                run.iter().for_each(|v| self.add_square(*v));
                continue;
            }
            let (squares, errors) = (&mut squares[..run.len()], &mut errors[..run.len()]);
            vectorize(
                #[inline(always)]
                || {
                    for ((v, s), e) in run.iter().zip(&mut *squares).zip(&mut *errors) {
                        (*s, *e) = square(*v);
                    }
                },
            );
            self.add_all(squares);
            self.add_all(errors);
        }
    }
}

/// A square, and what rounding it left out (T. J. Dekker, *A floating-point technique for extending the available
/// precision*, Numer. Math. 18, 1971, 224-242).
#[inline(always)]
fn square(v: f64) -> (f64, f64) {
    let c = 134_217_729.0 * v;
    let high = c - (c - v);
    let low = v - high;
    let s = v * v;
    (s, ((high * high - s) + 2.0 * high * low) + low * low)
}

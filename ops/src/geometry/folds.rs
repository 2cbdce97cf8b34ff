//! Windows folded to one element: sums, and extremes in the order of keys.

use super::windows::Windows;
use crate::elementwise::{narrow, wrapped};
use crate::filter::key::Keyed;
use crate::measure::accumulate::integer;
use ops_core::simd::vectorize;

/// Elements of the result that are made at once: their accumulators stay in the L1 cache.
const RUN: usize = 1024;

/// What becomes of a window.
pub(crate) trait Fold<T> {
    /// True where windows of two and four elements along a row are compiled apart: every fold takes time to compile.
    const APART: bool = true;
    /// What is accumulated.
    type Acc: Copy + Default;
    /// What the result holds.
    type Out;

    /// One element.
    fn of(v: T) -> Self::Acc;

    /// An element more.
    fn join(a: Self::Acc, b: Self::Acc) -> Self::Acc;

    /// The elements of the result, each from a window of `n` elements.
    fn finish(acc: &[Self::Acc], n: usize, dst: &mut [Self::Out]);
}

/// Folds every window: each row of it from its first element on, then the rows.
pub(crate) fn folded<T: Copy, F: Fold<T>>(windows: &Windows, src: &[T], dst: &mut [F::Out]) {
    let mut acc = [F::Acc::default(); RUN];
    windows.runs(RUN, |starts, run| {
        let acc = &mut acc[..run.n];
        for (i, start) in starts.iter().enumerate() {
            let row = &src[start + run.from..][..run.n * run.factor];
            vectorize(
                #[inline(always)]
                || match i {
                    0 => fold_row::<T, F, true>(row, acc, run.factor, run.step),
                    _ => fold_row::<T, F, false>(row, acc, run.factor, run.step),
                },
            );
        }
        vectorize(
            #[inline(always)]
            || F::finish(acc, starts.len() * run.factor, &mut dst[run.to..run.to + run.n]),
        );
    });
}

/// One row: factors and steps that are frequent are compiled apart.
#[inline(always)]
fn fold_row<T: Copy, F: Fold<T>, const FIRST: bool>(row: &[T], acc: &mut [F::Acc], factor: usize, step: usize) {
    if factor == 1 {
        return acc.iter_mut().zip(row).for_each(|(a, &v)| put::<T, F, FIRST>(a, F::of(v)));
    }
    if const { !F::APART } {
        return apart::<T, F, FIRST>(row, acc, factor, step);
    }
    match (factor, step) {
        (2, 1) => adjacent::<T, F, FIRST, 2>(row, acc),
        (4, 1) => adjacent::<T, F, FIRST, 4>(row, acc),
        (2, 3) => apart::<T, F, FIRST>(row, acc, 2, 3),
        (f, s) => apart::<T, F, FIRST>(row, acc, f, s),
    }
}

#[inline(always)]
fn put<T, F: Fold<T>, const FIRST: bool>(a: &mut F::Acc, v: F::Acc) {
    *a = if FIRST { v } else { F::join(*a, v) };
}

#[inline(always)]
fn adjacent<T: Copy, F: Fold<T>, const FIRST: bool, const N: usize>(row: &[T], acc: &mut [F::Acc]) {
    for (a, w) in acc.iter_mut().zip(row.as_chunks::<N>().0) {
        put::<T, F, FIRST>(a, w[1..].iter().fold(F::of(w[0]), |s, &v| F::join(s, F::of(v))));
    }
}

#[inline(always)]
fn apart<T: Copy, F: Fold<T>, const FIRST: bool>(row: &[T], acc: &mut [F::Acc], factor: usize, step: usize) {
    for (group, w) in acc.chunks_exact_mut(step).zip(row.chunks_exact(factor * step)) {
        for (c, a) in group.iter_mut().enumerate() {
            put::<T, F, FIRST>(a, (1..factor).fold(F::of(w[c]), |s, k| F::join(s, F::of(w[k * step + c]))));
        }
    }
}

/// The greatest, by its key.
pub(crate) struct Greatest;

impl<T: Keyed> Fold<T> for Greatest {
    type Acc = T::Key;
    type Out = T;
    #[inline(always)]
    fn of(v: T) -> T::Key {
        v.key()
    }
    #[inline(always)]
    fn join(a: T::Key, b: T::Key) -> T::Key {
        a.max(b)
    }
    #[inline(always)]
    fn finish(acc: &[T::Key], _: usize, dst: &mut [T]) {
        dst.iter_mut().zip(acc).for_each(|(d, a)| *d = T::of_key(*a));
    }
}

/// The least, by its key.
pub(crate) struct Least;

impl<T: Keyed> Fold<T> for Least {
    type Acc = T::Key;
    type Out = T;
    #[inline(always)]
    fn of(v: T) -> T::Key {
        v.key()
    }
    #[inline(always)]
    fn join(a: T::Key, b: T::Key) -> T::Key {
        a.min(b)
    }
    #[inline(always)]
    fn finish(acc: &[T::Key], _: usize, dst: &mut [T]) {
        dst.iter_mut().zip(acc).for_each(|(d, a)| *d = T::of_key(*a));
    }
}

/// The mean of floats, or of at most 2^20 integers of up to 32 bits, whose sum float64 holds.
///
/// The quotient of such a sum is never so near to a half that rounding it to float64 reaches it: halves are at least
/// 2^-21 away, the error is at most 2^-22.
pub(crate) struct Mean;

impl<T: Keyed> Fold<T> for Mean {
    type Acc = f64;
    type Out = T;
    #[inline(always)]
    fn of(v: T) -> f64 {
        v.to_f64()
    }
    #[inline(always)]
    fn join(a: f64, b: f64) -> f64 {
        a + b
    }
    #[inline(always)]
    fn finish(acc: &[f64], n: usize, dst: &mut [T]) {
        let (lo, hi) = T::DTYPE.limits();
        if n.is_power_of_two() {
            // Exact, as dividing by a power of two is.
            let by = 1.0 / n as f64;
            dst.iter_mut().zip(acc).for_each(|(d, a)| *d = rounded(a * by, lo, hi));
        } else {
            dst.iter_mut().zip(acc).for_each(|(d, a)| *d = rounded(a / n as f64, lo, hi));
        }
    }
}

#[inline(always)]
fn rounded<T: Keyed>(v: f64, lo: f64, hi: f64) -> T {
    if T::DTYPE.is_float() { T::from_f64(v) } else { narrow(v, lo, hi) }
}

/// The mean of at most 2^15 integers of up to 16 bits, whose sum 32 bits hold.
pub(crate) struct MeanOfFew;

impl<T: Keyed> Fold<T> for MeanOfFew {
    type Acc = i32;
    type Out = T;
    #[inline(always)]
    fn of(v: T) -> i32 {
        crate::elementwise::widened(v) as i32
    }
    #[inline(always)]
    fn join(a: i32, b: i32) -> i32 {
        a.wrapping_add(b)
    }
    #[inline(always)]
    fn finish(acc: &[i32], n: usize, dst: &mut [T]) {
        let (lo, hi) = T::DTYPE.limits();
        if n.is_power_of_two() {
            let (shift, below) = (n.trailing_zeros(), (n as i32 / 2).wrapping_sub(1));
            for (d, &a) in dst.iter_mut().zip(acc) {
                // A half less one, and one more where the whole part is odd: only then a half carries.
                let odd = (a >> shift) & 1;
                *d = wrapped(i64::from(if n == 1 { a } else { a.wrapping_add(below + odd) >> shift }));
            }
        } else {
            dst.iter_mut().zip(acc).for_each(|(d, a)| *d = narrow(f64::from(*a) / n as f64, lo, hi));
        }
    }
}

/// The mean of any number of integers.
pub(crate) struct MeanOfMany;

impl<T: Keyed> Fold<T> for MeanOfMany {
    const APART: bool = false;
    type Acc = i128;
    type Out = T;
    #[inline(always)]
    fn of(v: T) -> i128 {
        integer(v)
    }
    #[inline(always)]
    fn join(a: i128, b: i128) -> i128 {
        a + b
    }
    #[inline(always)]
    fn finish(acc: &[i128], n: usize, dst: &mut [T]) {
        let n = n as i128;
        for (d, a) in dst.iter_mut().zip(acc) {
            let (whole, rest) = (a.div_euclid(n), a.rem_euclid(n));
            let up = 2 * rest > n || (2 * rest == n && whole & 1 == 1);
            *d = wrapped((whole + i128::from(up)) as i64);
        }
    }
}

//! Windows folded to sums and means that are wider than their elements.

use super::folds::Fold;
use crate::elementwise::widened;
use crate::filter::key::Keyed;
use crate::measure::accumulate::integer;

/// The sum of fewer than 2^31 integers of up to 32 bits.
pub(crate) struct Total;

impl<T: Keyed> Fold<T> for Total {
    const APART: bool = false;
    type Acc = i64;
    type Out = i64;
    #[inline(always)]
    fn of(v: T) -> i64 {
        widened(v)
    }
    #[inline(always)]
    fn join(a: i64, b: i64) -> i64 {
        a.wrapping_add(b)
    }
    #[inline(always)]
    fn finish(acc: &[i64], _: usize, dst: &mut [i64]) {
        dst.copy_from_slice(acc);
    }
}

/// The sum of any number of integers.
pub(crate) struct TotalOfMany;

impl<T: Keyed> Fold<T> for TotalOfMany {
    const APART: bool = false;
    type Acc = i128;
    type Out = i128;
    #[inline(always)]
    fn of(v: T) -> i128 {
        integer(v)
    }
    #[inline(always)]
    fn join(a: i128, b: i128) -> i128 {
        a + b
    }
    #[inline(always)]
    fn finish(acc: &[i128], _: usize, dst: &mut [i128]) {
        dst.copy_from_slice(acc);
    }
}

/// The sum of floats, in float64.
pub(crate) struct TotalOfFloats;

impl<T: Keyed> Fold<T> for TotalOfFloats {
    const APART: bool = false;
    type Acc = f64;
    type Out = f64;
    #[inline(always)]
    fn of(v: T) -> f64 {
        v.to_f64()
    }
    #[inline(always)]
    fn join(a: f64, b: f64) -> f64 {
        a + b
    }
    #[inline(always)]
    fn finish(acc: &[f64], _: usize, dst: &mut [f64]) {
        dst.copy_from_slice(acc);
    }
}

/// The mean in float64 of what another fold sums up.
pub(crate) struct Average<S>(std::marker::PhantomData<S>);

/// A sum as a float64.
pub(crate) trait Sum: Copy + Default {
    /// The nearest float64.
    fn nearest(self) -> f64;
}

impl Sum for i64 {
    #[inline(always)]
    fn nearest(self) -> f64 {
        self as f64
    }
}

impl Sum for i128 {
    #[inline(always)]
    fn nearest(self) -> f64 {
        self as f64
    }
}

impl Sum for f64 {
    #[inline(always)]
    fn nearest(self) -> f64 {
        self
    }
}

impl<T: Keyed, S: Fold<T, Acc: Sum>> Fold<T> for Average<S> {
    const APART: bool = false;
    type Acc = S::Acc;
    type Out = f64;
    #[inline(always)]
    fn of(v: T) -> S::Acc {
        S::of(v)
    }
    #[inline(always)]
    fn join(a: S::Acc, b: S::Acc) -> S::Acc {
        S::join(a, b)
    }
    #[inline(always)]
    fn finish(acc: &[S::Acc], n: usize, dst: &mut [f64]) {
        dst.iter_mut().zip(acc).for_each(|(d, a)| *d = a.nearest() / n as f64);
    }
}

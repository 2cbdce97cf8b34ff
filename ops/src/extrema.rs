//! The smallest and the largest value: a reduction that several ops consume.

use ops_core::simd::vectorize;
use ops_core::warning::NOTHING_FINITE;
use ops_core::{DType, Element, FinishCall, OpError, Ports, Reduce, ReduceCall, Value, with_dtype};

/// Leaves the numbers `[min, max]` of all finite elements, and `[min, max, share * max]` where a share is given; all NaN
/// when there is none.
///
/// NaN and infinities do not count, and a minimum or maximum of zero is +0: so the result does not depend on the order
/// in which elements are seen.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Extrema {
    /// The share of the largest value that is wanted too.
    pub(crate) share_of_max: Option<f64>,
}

/// Accumulators of floats. Four become vector code; with eight or more compilers fall back to one at a time.
const LANES: usize = 4;

/// The largest and the smallest value of a type, infinite for floats: what nothing lies beyond.
#[inline(always)]
fn ends<T: Element>() -> (T, T) {
    if T::DTYPE.is_float() {
        return (T::from_f64(f64::NEG_INFINITY), T::from_f64(f64::INFINITY));
    }
    (T::from_order_key(0), T::from_order_key(u64::MAX >> (64 - 8 * size_of::<T>())))
}

/// Integers: a plain loop, which compilers turn into vector minima and maxima.
#[inline(always)]
fn of_integers<T: Element>(data: &[T]) -> (T, T) {
    let (least, most) = ends::<T>();
    data.iter().fold((most, least), |(lo, hi), &v| (if v < lo { v } else { lo }, if v > hi { v } else { hi }))
}

/// Floats: accumulators side by side, as no compiler may reorder float comparisons by itself. What does not lie strictly
/// between the infinities is passed over.
#[inline(always)]
fn of_floats<T: Element>(data: &[T]) -> (T, T) {
    let (least, most) = ends::<T>();
    let low = |acc: T, v: T| {
        let v = if v > least { v } else { most };
        if v < acc { v } else { acc }
    };
    let high = |acc: T, v: T| {
        let v = if v < most { v } else { least };
        if v > acc { v } else { acc }
    };
    let (chunks, rest) = data.as_chunks::<LANES>();
    let (lo, hi) = chunks.iter().fold(([most; LANES], [least; LANES]), |(lo, hi), v| {
        (std::array::from_fn(|i| low(lo[i], v[i])), std::array::from_fn(|i| high(hi[i], v[i])))
    });
    (
        lo.into_iter().chain(rest.iter().copied()).fold(most, low),
        hi.into_iter().chain(rest.iter().copied()).fold(least, high),
    )
}

/// The smallest and the largest finite element; the largest and the smallest possible value where there is none.
pub(crate) fn extrema<T: Element>(data: &[T]) -> (T, T) {
    vectorize(
        #[inline(always)]
        || if T::DTYPE.is_float() { of_floats(data) } else { of_integers(data) },
    )
}

impl Reduce for Extrema {
    type Partial = (f64, f64);

    fn start(&self, _: &Ports) -> (f64, f64) {
        (f64::INFINITY, f64::NEG_INFINITY)
    }

    fn add(&self, call: &ReduceCall<'_>, partial: &mut (f64, f64)) -> Result<(), OpError> {
        let block = call.blocks[0];
        if block.region().is_empty() {
            return Ok(());
        }
        let (lo, hi) = with_dtype!(block.dtype(), T => {
            let (lo, hi) = extrema::<T>(block.as_slice());
            (lo.to_f64(), hi.to_f64())
        });
        self.merge(partial, (lo, hi));
        Ok(())
    }

    fn merge(&self, into: &mut (f64, f64), other: (f64, f64)) {
        // Adding +0 makes -0 the zero that every order agrees on.
        *into = (into.0.min(other.0) + 0.0, into.1.max(other.1) + 0.0);
    }

    fn finish(&self, (lo, hi): (f64, f64), call: &FinishCall<'_>) -> Result<Value, OpError> {
        let found = lo <= hi;
        if !found {
            let text = "no element is finite, so that there is no smallest and no largest value";
            call.warnings.add(NOTHING_FINITE, text);
        }
        let [lo, hi] = if found { [lo, hi] } else { [f64::NAN; 2] };
        Ok(match self.share_of_max {
            None => Value::numbers(&[lo, hi]),
            Some(share) => Value::numbers(&[lo, hi, share * hi]),
        })
    }

    fn nanos_per_element(&self) -> f32 {
        0.1
    }
}

/// The smallest and the largest value that [`Extrema`] left.
pub(crate) fn numbers(value: &Value) -> Result<(f64, f64), OpError> {
    match value.as_numbers()? {
        &[lo, hi, ..] => Ok((lo, hi)),
        other => Err(OpError::Internal(format!("expected a minimum and a maximum, found {other:?}"))),
    }
}

/// Says that an input is a mask where an op needs intensities.
pub(crate) fn refuse_mask(dtype: DType, help: &str) -> Result<(), OpError> {
    if dtype == DType::Bool {
        return Err(OpError::input(0, "a number dtype", dtype, help));
    }
    Ok(())
}

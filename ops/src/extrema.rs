//! The smallest and the largest value: a reduction that several ops consume.

use ops_core::simd::vectorize;
use ops_core::{DType, Element, OpError, Ports, Reduce, ReduceCall, Value, with_dtype};

/// Leaves the numbers `[min, max]` of all finite elements; both NaN when there is none.
///
/// NaN and infinities do not count, and a minimum or maximum of zero is +0: so the result does not depend on the order
/// in which elements are seen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extrema;

/// Accumulators side by side, for the compiler to keep in vector registers.
const LANES: usize = 32;

/// The largest and the smallest value of a type, infinite for floats: what nothing lies beyond.
fn ends<T: Element>() -> (T, T) {
    if T::DTYPE.is_float() {
        return (T::from_f64(f64::NEG_INFINITY), T::from_f64(f64::INFINITY));
    }
    (T::from_order_key(0), T::from_order_key(u64::MAX >> (64 - 8 * size_of::<T>())))
}

#[inline(always)]
fn take<T: Element>(v: T, lo: &mut T, hi: &mut T, (least, most): (T, T)) {
    // For floats: everything that is not strictly between the infinities is passed over.
    let counts = !T::DTYPE.is_float() || (v > least && v < most);
    *lo = if counts && v < *lo { v } else { *lo };
    *hi = if counts && v > *hi { v } else { *hi };
}

fn extrema<T: Element>(data: &[T]) -> (T, T) {
    let ends = ends::<T>();
    let (mut lo, mut hi) = (ends.1, ends.0);
    vectorize(
        #[inline(always)]
        || {
            let (mut los, mut his) = ([lo; LANES], [hi; LANES]);
            let (chunks, rest) = data.as_chunks::<LANES>();
            for chunk in chunks {
                for i in 0..LANES {
                    take(chunk[i], &mut los[i], &mut his[i], ends);
                }
            }
            rest.iter().for_each(|&v| take(v, &mut lo, &mut hi, ends));
            los.iter().for_each(|&v| lo = if v < lo { v } else { lo });
            his.iter().for_each(|&v| hi = if v > hi { v } else { hi });
        },
    );
    (lo, hi)
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

    fn finish(&self, (lo, hi): (f64, f64), _: &[Value], _: &Ports) -> Result<Value, OpError> {
        Ok(Value::numbers(&if lo <= hi { [lo, hi] } else { [f64::NAN, f64::NAN] }))
    }

    fn nanos_per_element(&self) -> f32 {
        0.1
    }
}

/// The two numbers that [`Extrema`] left.
pub(crate) fn numbers(value: &Value) -> Result<(f64, f64), OpError> {
    match value.as_numbers()? {
        &[lo, hi] => Ok((lo, hi)),
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

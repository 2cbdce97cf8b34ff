//! Mean and standard deviation, exact but for one rounding each.

use crate::elementwise::widened;
use ops_core::exact::ExactSum;
use ops_core::simd::vectorize;
use ops_core::warning::NOTHING_FINITE;
use ops_core::{DType, Element, FinishCall, OpError, Ports, Reduce, ReduceCall, Region, Value, with_dtype};

/// Leaves the number `[mean]` of all finite elements, NaN without any: an exact sum, rounded, divided by their number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mean;

/// Consumes the number `[mean]` and leaves `[mean, standard deviation]` of all finite elements.
///
/// The root of the mean squared distance from the mean, without a correction for the degrees of freedom. Integers of 8 and
/// 16 bits: exactly, from their sum and the sum of their squares. Others: the distances are rounded to float64, their
/// squares are summed exactly.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deviation;

/// A sum, and how many elements went into it.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Counted {
    sum: ExactSum,
    count: u64,
    /// Sum and sum of squares of small integers.
    small: (i128, i128),
}

impl Counted {
    fn merge(&mut self, other: Counted) {
        self.sum.merge(&other.sum);
        self.count += other.count;
        self.small.0 += other.small.0;
        self.small.1 += other.small.1;
    }

    fn mean(&self) -> f64 {
        if self.count == 0 { f64::NAN } else { self.sum.round() / self.count as f64 }
    }
}

fn sum<T: Element>(data: &[T], into: &mut Counted) {
    if T::DTYPE.is_float() {
        for v in data.iter().map(|v| v.to_f64()).filter(|v| v.is_finite()) {
            into.sum.add(v);
            into.count += 1;
        }
        return;
    }
    let exact = |v: &T| if T::DTYPE == DType::UInt64 { i128::from(v.order_key()) } else { i128::from(widened(*v)) };
    into.sum.add_i128(data.iter().map(exact).sum());
    into.count += data.len() as u64;
}

/// True for integers whose sums of squares a 128-bit integer holds, squared, for 2^47 elements.
fn small(dtype: DType) -> bool {
    !dtype.is_float() && dtype.size() <= 2
}

/// Sums that 64 bits hold for a run of small integers.
fn small_squares<T: Element>(data: &[T], into: &mut Counted) {
    for run in data.chunks(1 << 16) {
        let (sum, squares) = vectorize(
            #[inline(always)]
            || {
                run.iter().fold((0i64, 0i64), |(sum, squares), v| {
                    let v = widened(*v) as i32;
                    // At most 2^32 in magnitude, unsigned.
                    (sum + i64::from(v), squares + i64::from(v.wrapping_mul(v) as u32))
                })
            },
        );
        into.small.0 += i128::from(sum);
        into.small.1 += i128::from(squares);
    }
    into.count += data.len() as u64;
}

fn squares<T: Element>(data: &[T], mean: f64, into: &mut Counted) {
    for v in data.iter().map(|v| v.to_f64()).filter(|v| v.is_finite()) {
        into.sum.add_square(v - mean);
        into.count += 1;
    }
}

/// Bytes of one partial.
fn bytes(ports: &Ports, square: bool) -> u64 {
    let dtype = if ports.is_empty() { DType::Float64 } else { ports.meta(0).dtype };
    // Distances from a mean are float64 whatever the dtype.
    48 + ExactSum::bytes_bound(if square { DType::Float64 } else { dtype }, square)
}

impl Reduce for Mean {
    type Partial = Counted;

    fn start(&self, _: &Ports) -> Counted {
        Counted::default()
    }

    fn add(&self, call: &ReduceCall<'_>, partial: &mut Counted) -> Result<(), OpError> {
        let block = call.blocks[0];
        with_dtype!(block.dtype(), T => sum::<T>(block.as_slice(), partial));
        Ok(())
    }

    fn merge(&self, into: &mut Counted, other: Counted) {
        into.merge(other);
    }

    fn finish(&self, partial: Counted, call: &FinishCall<'_>) -> Result<Value, OpError> {
        if partial.count == 0 {
            call.warnings.add(NOTHING_FINITE, "no element is finite, so that there is no mean");
        }
        Ok(Value::numbers(&[partial.mean()]))
    }

    fn partial_bytes(&self, ports: &Ports, _: &Region) -> u64 {
        bytes(ports, false)
    }

    fn nanos_per_element(&self) -> f32 {
        3.0
    }
}

impl Reduce for Deviation {
    type Partial = Counted;

    fn start(&self, _: &Ports) -> Counted {
        Counted::default()
    }

    fn add(&self, call: &ReduceCall<'_>, partial: &mut Counted) -> Result<(), OpError> {
        let (block, mean) = (call.blocks[0], mean_of(call.values)?);
        if small(block.dtype()) {
            with_dtype!(block.dtype(), T => small_squares::<T>(block.as_slice(), partial));
        } else {
            with_dtype!(block.dtype(), T => squares::<T>(block.as_slice(), mean, partial));
        }
        Ok(())
    }

    fn merge(&self, into: &mut Counted, other: Counted) {
        into.merge(other);
    }

    fn finish(&self, partial: Counted, call: &FinishCall<'_>) -> Result<Value, OpError> {
        let deviation = if small(call.ports.meta(0).dtype) {
            let (n, (sum, squares)) = (i128::from(partial.count), partial.small);
            ((n * squares - sum * sum) as f64).sqrt() / n as f64
        } else {
            partial.mean().sqrt()
        };
        Ok(Value::numbers(&[mean_of(call.values)?, deviation]))
    }

    fn partial_bytes(&self, ports: &Ports, _: &Region) -> u64 {
        bytes(ports, true)
    }

    fn nanos_per_element(&self) -> f32 {
        5.0
    }
}

fn mean_of(values: &[Value]) -> Result<f64, OpError> {
    let value = values.first().ok_or_else(|| OpError::Internal("a deviation without its mean".into()))?;
    Ok(value.as_numbers()?.first().copied().unwrap_or(f64::NAN))
}

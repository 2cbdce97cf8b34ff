//! Otsu's threshold: a histogram, and the limit that separates it best.

use crate::edges::Edges;
use crate::extrema::numbers;
use ops_core::warning::NO_CONTRAST;
use ops_core::{DType, Element, FinishCall, OpError, Ports, Reduce, ReduceCall, Value, with_dtype};

/// Bins for floats.
const BINS: usize = 256;
/// Most bins for integers wider than 16 bits.
const WIDEST: u64 = 1 << 20;

/// Consumes the numbers `[min, max]` and leaves the number `[limit]`, NaN where there is no finite element.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Otsu;

/// Number of bins for a dtype and range.
fn bins(dtype: DType, lo: f64, hi: f64) -> Result<usize, OpError> {
    if dtype.is_float() {
        return Ok(BINS);
    }
    if hi - lo >= WIDEST as f64 {
        let help = "cast to float64 first for 256 bins, or rescale";
        return Err(OpError::Data(format!(
            "otsu: expected integers that span at most {WIDEST} values, found {lo} to {hi}; {help}"
        )));
    }
    Ok((hi - lo) as usize + 1)
}

impl Reduce for Otsu {
    type Partial = Vec<u64>;

    fn start(&self, _: &Ports) -> Vec<u64> {
        Vec::new()
    }

    fn add(&self, call: &ReduceCall<'_>, partial: &mut Vec<u64>) -> Result<(), OpError> {
        let extrema = call.values.first().ok_or_else(|| OpError::Internal("otsu without extrema".into()))?;
        let (lo, hi) = numbers(extrema)?;
        let block = call.blocks[0];
        // All equal, or nothing finite: the range alone says it.
        if lo >= hi || lo.is_nan() {
            return Ok(());
        }
        partial.resize(bins(block.dtype(), lo, hi)?, 0);
        with_dtype!(block.dtype(), T => count::<T>(block.as_slice(), lo, hi, partial));
        Ok(())
    }

    fn merge(&self, into: &mut Vec<u64>, other: Vec<u64>) {
        if into.is_empty() {
            *into = other;
        } else {
            into.iter_mut().zip(other).for_each(|(a, b)| *a += b);
        }
    }

    fn finish(&self, counts: Vec<u64>, call: &FinishCall<'_>) -> Result<Value, OpError> {
        let extrema = call.values.first().ok_or_else(|| OpError::Internal("otsu without extrema".into()))?;
        let (lo, hi) = numbers(extrema)?;
        if counts.is_empty() {
            if lo == hi {
                call.warnings
                    .add(NO_CONTRAST, "all values are equal: the limit is that value, and nothing lies above it");
            }
            return Ok(Value::numbers(&[lo]));
        }
        let centers: Vec<f64> = if call.ports.meta(0).dtype.is_float() {
            Edges::new(lo, hi, BINS).edges().windows(2).map(|w| (w[0] + w[1]) / 2.0).collect()
        } else {
            (0..counts.len()).map(|i| lo + i as f64).collect()
        };
        Ok(Value::numbers(&[best(&counts, &centers)]))
    }

    fn partial_bytes(&self, ports: &Ports, _: &ops_core::Region) -> u64 {
        let dtype = ports.meta(0).dtype;
        let bins = match dtype.size() {
            _ if dtype.is_float() => BINS as u64,
            1 => 1 << 8,
            2 => 1 << 16,
            _ => WIDEST,
        };
        8 * bins
    }

    fn nanos_per_element(&self) -> f32 {
        1.5
    }
}

fn count<T: Element>(data: &[T], lo: f64, hi: f64, counts: &mut [u64]) {
    if T::DTYPE.is_float() {
        let edges = Edges::new(lo, hi, BINS);
        for v in data.iter().map(|v| v.to_f64()).filter(|v| v.is_finite()) {
            counts[edges.bin(v)] += 1;
        }
    } else {
        let first = T::from_f64(lo).order_key();
        for v in data {
            if let Some(n) = counts.get_mut(v.order_key().wrapping_sub(first) as usize) {
                *n += 1;
            }
        }
    }
}

/// The centre of the bin after which the variance between the two classes is largest.
///
/// The arithmetic is scikit-image's, with its float32 weights, so that the same bin wins.
fn best(counts: &[u64], centers: &[f64]) -> f64 {
    let n = counts.len();
    let (mut above_weight, mut above_mean) = (vec![0f32; n], vec![0f64; n]);
    let (mut weight, mut sum) = (0f32, 0f64);
    for i in (0..n).rev() {
        weight += counts[i] as f32;
        sum += f64::from(counts[i] as f32) * centers[i];
        (above_weight[i], above_mean[i]) = (weight, sum / f64::from(weight));
    }
    (weight, sum) = (0.0, 0.0);
    let (mut best, mut found) = (f64::NEG_INFINITY, 0);
    for i in 0..n - 1 {
        weight += counts[i] as f32;
        sum += f64::from(counts[i] as f32) * centers[i];
        let apart = sum / f64::from(weight) - above_mean[i + 1];
        let variance = f64::from(weight * above_weight[i + 1]) * (apart * apart);
        if variance > best {
            (best, found) = (variance, i);
        }
    }
    centers[found]
}

/// The definition, class by class in float64: for the reference of `threshold`.
pub(crate) fn naive(sorted: &[f64], integers: bool) -> f64 {
    let (Some(&lo), Some(&hi)) = (sorted.first(), sorted.last()) else { return f64::NAN };
    if lo == hi {
        return lo;
    }
    let n = if integers { (hi - lo) as usize + 1 } else { BINS };
    let width = (hi - lo) / BINS as f64;
    let center = |i: usize| if integers { lo + i as f64 } else { lo + (i as f64 + 0.5) * width };
    let mut counts = vec![0f64; n];
    for v in sorted {
        counts[if integers { (v - lo) as usize } else { (((v - lo) / width) as usize).min(BINS - 1) }] += 1.0;
    }
    let total: f64 = counts.iter().sum();
    let moment: f64 = (0..n).map(|i| counts[i] * center(i)).sum();
    let (mut best, mut at, mut w, mut m) = (-1.0, 0, 0.0, 0.0);
    for (i, count) in counts.iter().enumerate().take(n - 1) {
        w += count;
        m += count * center(i);
        let between = w * (total - w) * (m / w - (moment - m) / (total - w)).powi(2);
        if between > best * (1.0 + 1e-12) {
            (best, at) = (between, i);
        }
    }
    center(at)
}

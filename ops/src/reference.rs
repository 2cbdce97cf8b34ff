//! What the naive references of several ops share.

use ops_core::contract::{Array, Expected};
use ops_core::{ArrayMeta, Boundary, DType, Element, with_dtype};

/// A float64 result computed item by item from the elements of the first input.
pub(crate) fn float64(inputs: &[Vec<Array>], f: impl Fn(&Array) -> Vec<f64>) -> Expected {
    Expected::Bytes(inputs[0].iter().map(|a| f(a).into_iter().flat_map(f64::to_ne_bytes).collect()).collect())
}

/// A `bool` result computed item by item from the elements of the first input.
pub(crate) fn mask(inputs: &[Vec<Array>], f: impl Fn(&Array) -> Vec<bool>) -> Expected {
    Expected::Bytes(inputs[0].iter().map(|a| f(a).into_iter().map(u8::from).collect()).collect())
}

/// The finite elements of some arrays, ascending.
pub(crate) fn sorted<'a>(arrays: impl IntoIterator<Item = &'a Array>) -> Vec<f64> {
    let mut v: Vec<f64> = arrays.into_iter().flat_map(|a| a.to_f64()).filter(|v| v.is_finite()).collect();
    v.sort_by(f64::total_cmp);
    v
}

/// A result computed item by item in float64, to be met but for rounding: as it is, or rounded to the input's dtype.
///
/// Rounded results must be equal: a sum so near to a half that rounding goes either way is not in the tests.
pub(crate) fn rounded(inputs: &[Vec<Array>], to_input: bool, f: impl Fn(&Array) -> Vec<f64>) -> Expected {
    let items = inputs[0].iter().map(|a| {
        let round = |x: f64| with_dtype!(a.meta.dtype, T => T::from_f64(x).to_f64());
        f(a).into_iter().map(|x| if to_input { round(x) } else { x }).collect()
    });
    Expected::Close(items.collect(), 1e-9)
}

/// For each element the indices its window reads, in C order; `None` is the constant beyond the edge.
pub(crate) fn windows(meta: &ArrayMeta, boundary: Boundary, extents: &[usize]) -> Vec<Vec<Option<usize>>> {
    let (region, strides) = (meta.region(), meta.region().strides());
    (0..region.volume() as usize)
        .map(|i| {
            let mut found = vec![Some(0)];
            for (axis, &n) in extents.iter().enumerate() {
                let extent = meta.shape[axis] as i64;
                let at = (i / strides[axis]) as i64 % extent;
                let offsets = (0..n as i64).map(|k| k - (n / 2) as i64);
                let reads: Vec<Option<usize>> =
                    offsets.map(|d| boundary.source(at + d, extent).map(|s| s as usize * strides[axis])).collect();
                found = found.into_iter().flat_map(|f| reads.iter().map(move |r| Some(f? + (*r)?))).collect();
            }
            found
        })
        .collect()
}

/// Each element replaced by the weighed sum of its neighbours along one axis.
pub(crate) fn correlated(v: &[f64], meta: &ArrayMeta, axis: usize, taps: &[f64], boundary: Boundary) -> Vec<f64> {
    let mut extents = vec![1; meta.rank()];
    extents[axis] = taps.len();
    let value = |at: &Option<usize>| at.map_or(0.0, |i| v[i]);
    windows(meta, boundary, &extents).iter().map(|w| w.iter().zip(taps).map(|(at, t)| value(at) * t).sum()).collect()
}

/// A whole number modulo the range of an integer dtype.
pub(crate) fn wrapped(x: f64, dtype: DType) -> f64 {
    let (lo, hi) = dtype.limits();
    (x - lo).rem_euclid(hi - lo + 1.0) + lo
}

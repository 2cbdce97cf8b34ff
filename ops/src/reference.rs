//! What the naive references of several ops share.

use ops_core::contract::{Array, Expected};

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

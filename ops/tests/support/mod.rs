//! What the tests against other libraries share.

use ops_core::contract::interpret::{Blocks, How, Outcome, evaluate};
use ops_core::contract::{Array, Held};
use ops_core::{ArrayMeta, Axes, Block, DType, Element, with_dtype};
use serde_json::Value as Json;

/// A list of numbers, or of the hexadecimal bit patterns of float64.
pub(crate) fn values(v: &Json) -> Vec<f64> {
    let value = |v: &Json| match v.as_str() {
        Some(bits) => f64::from_bits(u64::from_str_radix(bits, 16).unwrap()),
        None => v.as_f64().unwrap(),
    };
    v.as_array().unwrap().iter().map(value).collect()
}

/// Bytes from their hexadecimal digits.
pub(crate) fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

/// The array under `key` of a case: its `shape`, `dtype` and `values` (or the `hex` of its bytes), along the case's `axes`.
pub(crate) fn array(case: &Json, key: &str) -> Array {
    let axes = Axes::parse(case["axes"].as_str().unwrap()).unwrap();
    let shape: Vec<u64> = values(&case["shape"]).into_iter().map(|n| n as u64).collect();
    let dtype: DType = serde_json::from_value(case[key]["dtype"].clone()).unwrap();
    let meta = ArrayMeta::new(&shape, dtype, axes);
    let mut block = Block::zeros(dtype, meta.region());
    if let Some(hex) = case[key]["hex"].as_str() {
        block.bytes_mut().copy_from_slice(&bytes(hex));
        return Array { meta, block };
    }
    let v = values(&case[key]["values"]);
    assert_eq!(v.len() as u64, meta.volume());
    with_dtype!(dtype, T => block.as_mut_slice::<T>().iter_mut().zip(v).for_each(|(d, v)| *d = T::from_f64(v)));
    Array { meta, block }
}

/// Evaluates an op.
pub(crate) fn run(op: &str, with: &Json, inputs: &[Held], blocks: Blocks, seed: u64) -> Outcome {
    assert!(!ops::registered().is_empty());
    let op = (ops_core::registry::find(op).unwrap().parse)(with.clone()).unwrap();
    let how = How { seed, blocks, threads: 1, garbage: 0x5a };
    evaluate(op.as_ref(), inputs, &how).unwrap_or_else(|e| panic!("{e}"))
}

//! Ops of geometry and measuring against numpy, scipy and scikit-image: results that `oracle/geometry.py` wrote, and with
//! a python that has them (`ENGINE_TEST_PYTHON`) any number of random ones.

mod live;
mod support;

use live::{Script, fnv1a, hex, number, pick};
use ops_core::contract::interpret::Blocks;
use ops_core::contract::{Held, Rng};
use ops_core::{Block, DType, Element, with_dtype};
use serde_json::{Value as Json, json};
use support::{array, bytes, run};

/// The inputs of a case.
fn inputs(case: &Json) -> Vec<Held> {
    let item = |i: &Json| array(&json!({"axes": i["axes"], "shape": i["shape"], "a": i}), "a");
    let items = |v: &Json| Held::Arrays(v.as_array().unwrap().iter().map(item).collect());
    case["inputs"].as_array().unwrap().iter().map(items).collect()
}

/// Holds an op in random blocks against a result of the script.
fn agrees(case: &Json, output: &Json, seed: u64) {
    let (op, first) = (case["op"].as_str().unwrap(), &case["inputs"][0][0]);
    let what = format!("{op} {} on {} {} {}, seed {seed}", case["with"], first["dtype"], first["axes"], first["shape"]);
    let inputs = inputs(case);
    let outcome = run(op, &case["with"], &inputs, Blocks::Random, seed);
    let got = outcome.at(&inputs, outcome.result).unwrap().array(0).unwrap();
    assert_eq!(
        json!([got.meta.dtype, got.meta.axes.to_string(), got.meta.shape.to_vec()]),
        json!([output["dtype"], output["axes"], output["shape"]]),
        "{what}"
    );
    let Some(bound) = output["bound"].as_f64() else {
        return assert_eq!(fnv1a(got.block.bytes()), output["hash"], "{what}: {:?}", &got.to_f64());
    };
    let want = bytes(output["hex"].as_str().unwrap());
    let want = want.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap()));
    for (i, (g, w)) in got.to_f64().into_iter().zip(want).enumerate() {
        assert!((g - w).abs() <= 1e-12 * bound, "{what}: element {i} is {g:e}, not {w:e}");
    }
}

#[test]
fn stored_results_are_met() {
    let cases: Vec<Json> = serde_json::from_str(include_str!("oracle/geometry.json")).unwrap();
    assert!(cases.len() >= 50);
    for (n, case) in cases.iter().enumerate() {
        agrees(case, &case["output"], n as u64);
    }
}

/// Elements whose sums are exact in the script: floats are eighths, wide integers have 45 bits.
fn noise(rng: &mut Rng, dtype: DType, shape: &[u64], few: bool) -> Block {
    let mut block = Block::zeros(dtype, ops_core::Region::whole(shape));
    with_dtype!(dtype, T => for v in block.as_mut_slice::<T>() {
        *v = match dtype {
            _ if few => T::from_f64(rng.below(if dtype == DType::Bool { 2 } else { 4 }) as f64),
            DType::Bool => T::from_f64(rng.below(2) as f64),
            _ if dtype.is_float() => T::from_f64(rng.below(17_000) as f64 / 8.0 - 1000.0),
            _ if dtype.size() == 8 => T::from_f64(((rng.unit() - 0.5) * (1u64 << 45) as f64).trunc()),
            _ => T::from_order_key(rng.bits() >> (64 - 8 * dtype.size())),
        };
    });
    block
}

/// A random op and its parameters for an array of these axes and extents.
fn parameters(rng: &mut Rng, axes: &str) -> (&'static str, Json) {
    let letters: Vec<char> = axes.chars().collect();
    let method = pick(rng, &["mean", "nearest", "mode", "max", "min"]);
    let mut factor = serde_json::Map::new();
    while factor.is_empty() {
        for c in &letters {
            if rng.below(3) > 0 {
                factor.insert(c.to_string(), json!(1 + rng.below(5)));
            }
        }
    }
    ("downsample", json!({"factor": factor, "method": method}))
}

fn random_case(rng: &mut Rng) -> Json {
    let axes = pick(rng, &["yx", "yx", "zyx", "yxc", "cyx", "tzyx", "tczyx"]);
    let largest = if axes.len() > 3 { 7 } else { 40 };
    let shape: Vec<u64> = axes.chars().map(|c| 1 + rng.below(if c == 'c' { 4 } else { largest })).collect();
    let (op, with) = parameters(rng, axes);
    let dtype = pick(rng, &DType::ALL);
    let block = noise(rng, dtype, &shape, with["method"] == "mode");
    json!({"op": op, "with": with, "inputs": [[
        {"axes": axes, "shape": shape, "dtype": dtype.name(), "hex": hex(block.bytes())},
    ]]})
}

/// `GEOMETRY_CASES` says how many, `GEOMETRY_SEED` which.
#[test]
fn random_results_are_met() {
    let Some(mut script) = Script::start("geometry.py") else { return };
    let mut rng = Rng::new(number("GEOMETRY_SEED", 1));
    for n in 0..number("GEOMETRY_CASES", 300) {
        let case = random_case(&mut rng);
        let output = script.answer(&case);
        agrees(&case, &output, n);
    }
}

//! Ops against numpy and scikit-image; `oracle/intensity.py` wrote the expected results.

use ops_core::contract::interpret::{Blocks, How, evaluate};
use ops_core::contract::{Array, Held};
use ops_core::{ArrayMeta, Axes, Block, DType, registry};
use serde_json::Value as Json;

fn empty(json: &Json, axes: &str) -> Array {
    let shape: Vec<u64> = json["shape"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect();
    let dtype: DType = serde_json::from_value(json["dtype"].clone()).unwrap();
    let meta = ArrayMeta::new(&shape, dtype, Axes::parse(axes).unwrap());
    let block = Block::zeros(dtype, meta.region());
    Array { meta, block }
}

fn array(json: &Json, axes: &str) -> Array {
    let mut a = empty(json, axes);
    let hex = json["hex"].as_str().unwrap();
    let bytes: Vec<u8> = (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect();
    a.block.bytes_mut().copy_from_slice(&bytes);
    a
}

fn fnv1a(data: &[u8]) -> String {
    let hash = data.iter().fold(0xCBF2_9CE4_8422_2325u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01B3));
    format!("{hash:016x}")
}

#[test]
fn ops_agree_with_numpy_and_scikit_image() {
    let _ = ops::registered();
    let all: Json = serde_json::from_str(include_str!("oracle/intensity.json")).unwrap();
    let cases = all["cases"].as_array().unwrap();
    assert!(cases.len() > 50);
    for (n, case) in cases.iter().enumerate() {
        let (name, input) = (case["op"].as_str().unwrap(), &all["inputs"][case["input"].as_str().unwrap()]);
        let what = format!("case {n}: {name} with {} on {}", case["with"], input["dtype"]);
        let op = (registry::find(name).unwrap().parse)(case["with"].clone()).unwrap();
        let inputs = [Held::Arrays(vec![array(input, input["axes"].as_str().unwrap())])];
        let how = How { seed: n as u64, blocks: Blocks::Random, threads: 1, garbage: 0xEE };
        let outcome = evaluate(op.as_ref(), &inputs, &how).unwrap_or_else(|e| panic!("{what}: {e}"));
        let got = outcome.at(&inputs, outcome.result).unwrap().array(0).unwrap();
        let (axes, output) = (got.meta.axes.to_string(), &case["output"]);
        assert_eq!(got.meta, empty(output, &axes).meta, "{what}");
        match case["tolerance"].as_f64().unwrap() {
            0.0 => {
                let first = &got.to_f64()[..3];
                assert_eq!(fnv1a(got.block.bytes()), output["hash"], "{what}: {first:?} for {}", output["first"]);
            }
            t => {
                let want = array(output, &axes).to_f64();
                assert!(got.to_f64().iter().zip(want).all(|(g, w)| (g - w).abs() <= t), "{what}");
            }
        }
    }
}

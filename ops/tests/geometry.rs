//! Ops of geometry and measuring against numpy, scipy and scikit-image: results that `oracle/geometry.py` wrote, and with
//! a python that has them (`ENGINE_TEST_PYTHON`) any number of random ones.

mod live;
mod support;

use live::{Script, fnv1a, hex, number, pick};
use ops_core::contract::interpret::Blocks;
use ops_core::contract::{Held, Rng};
use ops_core::{Block, ColumnData, DType, Element, Table, with_dtype};
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
    let held = outcome.at(&inputs, outcome.result).unwrap();
    if let Some(columns) = output["table"].as_array() {
        return table(held.value(0).unwrap().as_table().unwrap(), columns, &what);
    }
    let got = held.array(0).unwrap();
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

/// Holds a table against the columns of the script: exactly, but for means and deviations, which numpy rounds more often.
fn table(got: &Table, want: &[Json], what: &str) {
    assert_eq!(got.columns().len(), want.len(), "{what}");
    for (column, want) in got.columns().iter().zip(want) {
        assert_eq!(json!(column.name), want["name"], "{what}");
        let text = |v: &Json| v.as_str().unwrap().to_owned();
        let values: Vec<String> = want["values"].as_array().unwrap().iter().map(text).collect();
        let what = format!("{what}: column {}", column.name);
        match (&column.data, want["kind"].as_str().unwrap()) {
            (ColumnData::UInt64(v), "uint64") => {
                assert_eq!(v.iter().map(u64::to_string).collect::<Vec<_>>(), values, "{what}");
            }
            (ColumnData::Int64(v), "int64") => {
                assert_eq!(v.iter().map(i64::to_string).collect::<Vec<_>>(), values, "{what}");
            }
            (ColumnData::Float64(v), "float64") => {
                assert_eq!(v.len(), values.len(), "{what}");
                let near = ["mean", "std"].contains(&column.name.as_str());
                for (g, w) in v.iter().zip(&values) {
                    let w = f64::from_bits(u64::from_str_radix(w, 16).unwrap());
                    let same = g.to_bits() == w.to_bits() || *g == w;
                    assert!(same || (near && (g - w).abs() <= 1e-13 * w.abs()), "{what}: {g:e}, not {w:e}");
                }
            }
            (got, want) => panic!("{what}: {got:?} where {want} is expected"),
        }
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
fn parameters(rng: &mut Rng, axes: &str, wide: bool, float: bool) -> (&'static str, Json) {
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
    let some = |rng: &mut Rng| -> String { letters.iter().filter(|_| rng.below(2) > 0).collect() };
    let mut shuffled = letters.clone();
    rng.shuffle(&mut shuffled);
    match rng.below(9) {
        0 => ("flip", json!({"axes": format!("{}{}", letters[0], some(rng).replace(letters[0], ""))})),
        1 => ("transpose", json!({"axes": shuffled.iter().collect::<String>()})),
        2 => {
            let boundary = pick(rng, &["reflect", "mirror", "nearest", "wrap", "constant"]);
            let by = json!({letters[0].to_string(): rng.below(60), letters[1].to_string(): rng.below(9)});
            ("pad", json!({"before": by, "after": {letters[1].to_string(): rng.below(50)}, "boundary": boundary}))
        }
        3 => {
            let methods: &[&str] = if wide { &["max", "min"] } else { &["max", "min", "mean", "sum"] };
            ("project", json!({"axis": pick(rng, &letters).to_string(), "method": pick(rng, methods)}))
        }
        4 if !wide => {
            let quantiles: Vec<f64> = (0..rng.below(5)).map(|_| rng.unit()).collect();
            ("statistics", json!({"quantiles": quantiles}))
        }
        5 if !wide => {
            let range = json!([rng.below(100), 100 + rng.below(9000)]);
            let bins = 1 + rng.below(300);
            ("histogram", if rng.below(2) == 0 { json!({"bins": bins}) } else { json!({"bins": bins, "range": range}) })
        }
        6 if !float => ("unique", json!({})),
        _ => ("downsample", json!({"factor": factor, "method": method})),
    }
}

fn random_case(rng: &mut Rng) -> Json {
    let axes = pick(rng, &["yx", "yx", "zyx", "yxc", "cyx", "tzyx", "tczyx"]);
    let largest = if axes.len() > 3 { 7 } else { 40 };
    let shape: Vec<u64> = axes.chars().map(|c| 1 + rng.below(if c == 'c' { 4 } else { largest })).collect();
    let dtype = pick(rng, &DType::ALL);
    // numpy wraps sums of 64 bits, and makes their means by other roundings.
    let (op, with) = parameters(rng, axes, dtype.is_integer() && dtype.size() == 8, dtype.is_float());
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

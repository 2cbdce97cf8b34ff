//! Filters against scipy.ndimage and scikit-image: results that `oracle/filters.py` wrote, and with a python that has
//! both (`ENGINE_TEST_PYTHON`) any number of random ones.

mod live;
mod support;

use live::{Script, fnv1a, hex, number, pick};
use ops_core::contract::interpret::Blocks;
use ops_core::contract::{Held, Rng};
use ops_core::{Block, DType, Element, with_dtype};
use serde_json::{Value as Json, json};
use support::{array, bytes, run};

/// Holds a filter in random blocks against a result of the script.
fn agrees(case: &Json, output: &Json, seed: u64) {
    let op = case["op"].as_str().unwrap();
    let what =
        format!("{op} {} on {} {} {}, seed {seed}", case["with"], case["input"]["dtype"], case["axes"], case["shape"]);
    let inputs = [Held::Arrays(vec![array(case, "input")])];
    let outcome = run(op, &case["with"], &inputs, Blocks::Random, seed);
    let got = outcome.at(&inputs, outcome.result).unwrap().array(0).unwrap();
    assert_eq!(got.meta.dtype.name(), output["dtype"], "{what}");
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
fn filters_agree_with_scipy_and_scikit_image() {
    let cases: Vec<Json> = serde_json::from_str(include_str!("oracle/filters.json")).unwrap();
    assert!(cases.len() > 150);
    for (n, case) in cases.iter().enumerate() {
        agrees(case, &case["output"], n as u64);
    }
}

/// Parameters of a random filter, and the dtypes it may be given.
fn parameters(rng: &mut Rng, spatial: usize) -> (&'static str, Json, Vec<DType>) {
    let small = vec![DType::UInt8, DType::Int8, DType::UInt16, DType::Int16];
    let all: Vec<DType> = DType::ALL[1..].to_vec();
    let float = || vec![DType::Float64, DType::Float32, DType::UInt8, DType::Int16, DType::UInt32];
    let size = |rng: &mut Rng, most: u64| json!((0..spatial).map(|_| 1 + rng.below(most)).collect::<Vec<_>>());
    let sigma = |rng: &mut Rng| json!((0..spatial).map(|_| 0.3 + 2.0 * rng.unit()).collect::<Vec<_>>());
    let order = |rng: &mut Rng| json!((0..spatial).map(|_| rng.below(4)).collect::<Vec<_>>());
    let axis = |rng: &mut Rng| pick(rng, &["z", "y", "x"][3 - spatial..]);
    let most = if spatial == 3 { 6 } else { 14 };
    match rng.below(15) {
        0 | 1 => ("median", json!({"size": size(rng, most)}), all),
        2 => ("percentile", json!({"size": size(rng, most), "percentile": rng.below(101)}), all),
        3 => ("minimum", json!({"size": size(rng, 20)}), all),
        4 => ("maximum", json!({"size": size(rng, 20)}), all),
        5 => ("uniform", json!({"size": size(rng, 20)}), float()),
        6 => ("uniform", json!({"size": size(rng, 9), "dtype": "input", "compat": "scipy"}), small),
        7 => (pick(rng, &["sobel", "prewitt"]), json!({"axis": axis(rng)}), float()),
        8 => (pick(rng, &["sobel", "prewitt"]), json!({"axis": axis(rng), "dtype": "input", "compat": "scipy"}), small),
        9 => ("laplace", json!({}), float()),
        10 => ("laplace", json!({"dtype": "input", "compat": "scipy"}), small),
        11 => ("gaussian_derivative", json!({"sigma": sigma(rng), "order": order(rng)}), float()),
        12 => ("gaussian_laplace", json!({"sigma": sigma(rng)}), float()),
        13 => ("gaussian_gradient_magnitude", json!({"sigma": sigma(rng)}), float()),
        _ => ("difference_of_gaussians", json!({"low_sigma": sigma(rng)}), float()),
    }
}

fn random_case(rng: &mut Rng) -> Json {
    let axes = pick(rng, &["yx", "yx", "zyx", "yxc", "cyx", "tzyx"]);
    let spatial = axes.chars().filter(|c| "zyx".contains(*c)).count();
    let (op, mut with, dtypes) = parameters(rng, spatial);
    with["boundary"] = json!(pick(rng, &["reflect", "mirror", "nearest", "wrap", "constant"]));
    let largest = if spatial == 3 { 12 } else { 40 };
    let extent = |c: char, rng: &mut Rng| if "tc".contains(c) { 1 + rng.below(3) } else { 1 + rng.below(largest) };
    let shape: Vec<u64> = axes.chars().map(|c| extent(c, rng)).collect();
    let dtype = pick(rng, &dtypes);
    let mut block = Block::zeros(dtype, ops_core::Region::whole(&shape));
    with_dtype!(dtype, T => for v in block.as_mut_slice::<T>() {
        *v = if dtype.is_float() {
            T::from_f64(1000.0 * rng.unit() - 300.0)
        } else if dtype.size() == 8 {
            // scipy computes ranks in float64: beyond 2^53 they are not exact.
            T::from_f64((rng.unit() - 0.5) * (1u64 << 50) as f64)
        } else {
            T::from_order_key(rng.bits() >> (64 - 8 * dtype.size()))
        };
    });
    json!({"op": op, "with": with, "axes": axes, "shape": shape, "input": {"dtype": dtype.name(), "hex": hex(block.bytes())}})
}

/// `FILTER_CASES` says how many, `FILTER_SEED` which.
#[test]
fn random_filters_agree_with_scipy() {
    let Some(mut scipy) = Script::start("filters.py") else { return };
    let mut rng = Rng::new(number("FILTER_SEED", 1));
    for n in 0..number("FILTER_CASES", 300) {
        let case = random_case(&mut rng);
        let output = scipy.answer(&case);
        agrees(&case, &output, n);
    }
}

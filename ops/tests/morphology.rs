//! Morphology against scipy.ndimage and scikit-image: results that `oracle/morphology.py` wrote, and with a python that
//! has both (`ENGINE_TEST_PYTHON`) any number of random ones.

mod live;
mod support;

use live::{Script, fnv1a, hex, number, pick};
use ops_core::contract::interpret::Blocks;
use ops_core::contract::{Held, Rng};
use ops_core::{Axes, Block, DType, Element, Region, with_dtype};
use serde_json::{Value as Json, json};
use support::{array, bytes, run};

/// Holds an op in random blocks against a result of the script.
fn agrees(case: &Json, output: &Json, seed: u64) {
    let op = case["op"].as_str().unwrap();
    let what =
        format!("{op} {} on {} {} {}, seed {seed}", case["with"], case["input"]["dtype"], case["axes"], case["shape"]);
    let inputs = [Held::Arrays(vec![array(case, "input")])];
    let outcome = run(op, &case["with"], &inputs, Blocks::Random, seed);
    let got = outcome.at(&inputs, outcome.result).unwrap().array(0).unwrap();
    assert_eq!(got.meta.dtype.name(), output["dtype"], "{what}");
    let Some(want) = output["hex"].as_str() else {
        return assert_eq!(fnv1a(got.block.bytes()), output["hash"], "{what}: {:?}", &got.to_f64());
    };
    let (want, got) = (bytes(want), got.to_f64());
    assert_eq!(want.len(), 8 * got.len(), "{what}");
    let want = want.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap()));
    for (i, (g, w)) in got.into_iter().zip(want).enumerate() {
        assert!((g - w).abs() <= 1e-12 * w, "{what}: element {i} is {g:e}, not {w:e}");
    }
}

#[test]
fn morphology_agrees_with_scipy_and_scikit_image() {
    let cases: Vec<Json> = serde_json::from_str(include_str!("oracle/morphology.json")).unwrap();
    assert!(cases.len() > 230);
    for (n, case) in cases.iter().enumerate() {
        agrees(case, &case["output"], n as u64);
    }
}

/// 0 and 1 in blobs of random size: the mean of a few random numbers, against what lies in the middle.
fn mask(rng: &mut Rng, len: usize, share: f64) -> Vec<f64> {
    let width = 1 + rng.below(4) as usize;
    let noise: Vec<f64> = (0..len + width).map(|_| rng.unit()).collect();
    let mut means: Vec<f64> = noise.windows(width).take(len).map(|w| w.iter().sum()).collect();
    let mut sorted = means.clone();
    sorted.sort_by(f64::total_cmp);
    let limit = sorted[((share * len as f64) as usize).min(len - 1)];
    means.iter_mut().for_each(|v| *v = f64::from(u8::from(*v < limit)));
    means
}

/// A footprint for so many spatial axes.
fn footprint(rng: &mut Rng, spatial: usize) -> Json {
    let most = if spatial == 3 { 3 } else { 9 };
    match rng.below(5) {
        0 => json!({"box": 1 + rng.below(2 * most)}),
        1 => json!({"box": (0..spatial).map(|_| 1 + rng.below(2 * most)).collect::<Vec<_>>()}),
        2 => json!({"cross": rng.below(most)}),
        3 => json!({"ball": rng.below(most)}),
        _ => {
            let shape: Vec<u64> = (0..spatial).map(|_| 1 + rng.below(5)).collect();
            let row = |rng: &mut Rng, n: u64| json!((0..n).map(|_| rng.below(2)).collect::<Vec<_>>());
            let mut plane = |shape: &[u64]| {
                let mut rows: Vec<Json> = (0..shape[0]).map(|_| row(rng, shape[1])).collect();
                rows[0][0] = json!(1);
                json!(rows)
            };
            match shape.as_slice() {
                [z, rest @ ..] if rest.len() == 2 => json!((0..*z).map(|_| plane(rest)).collect::<Vec<_>>()),
                shape => plane(shape),
            }
        }
    }
}

/// An op, its parameters, the dtypes it may be given, and the share of foreground for those of masks.
fn parameters(rng: &mut Rng, spatial: usize) -> (&'static str, Json, Vec<DType>, f64) {
    let connectivity = 1 + rng.below(spatial as u64);
    match rng.below(8) {
        0..4 => {
            let op = pick(rng, &["erode", "dilate", "open", "close"]);
            let mode = pick(rng, &["reflect", "mirror", "nearest", "wrap", "constant"]);
            let dtypes = [&[DType::Bool; 4], &DType::ALL[..]].concat();
            (op, json!({"footprint": footprint(rng, spatial), "boundary": mode}), dtypes, 0.5)
        }
        4 => ("fill_holes", json!({"connectivity": connectivity}), vec![DType::Bool, DType::UInt8], 0.55),
        5 => {
            let with = json!({"connectivity": connectivity, "min_size": 1 + rng.below(12)});
            ("remove_small", with, vec![DType::Bool], 0.4)
        }
        6 => {
            let labels = vec![DType::UInt8, DType::UInt16, DType::Int32, DType::Int64];
            ("remove_small", json!({"min_size": 1 + rng.below(12)}), labels, 1.0)
        }
        _ => {
            let mut with = json!({"squared": rng.below(2) == 0});
            if rng.below(2) == 0 {
                with["sampling"] = json!((0..spatial).map(|_| 0.1 + 4.0 * rng.unit()).collect::<Vec<_>>());
            }
            ("distance_transform", with, vec![DType::Bool, DType::Int16, DType::Float64], 0.9)
        }
    }
}

fn random_case(rng: &mut Rng) -> Json {
    let mut axes = pick(rng, &["yx", "yx", "zyx", "yxc", "cyx", "tzyx"]);
    let spatial = axes.chars().filter(|c| "zyx".contains(*c)).count();
    let (op, with, dtypes, share) = parameters(rng, spatial);
    if ["fill_holes", "remove_small"].contains(&op) {
        axes = if spatial == 3 { "zyx" } else { "yx" };
    }
    let largest = if spatial == 3 { 14 } else { 90 };
    let extent = |c: char, rng: &mut Rng| if "tc".contains(c) { 1 + rng.below(3) } else { 1 + rng.below(largest) };
    let shape: Vec<u64> = axes.chars().map(|c| extent(c, rng)).collect();
    let dtype = pick(rng, &dtypes);
    let mut block = Block::zeros(dtype, Region::whole(&shape));
    let len = block.region().volume() as usize;
    let share = share * (0.6 + 0.7 * rng.unit());
    let ones = mask(rng, len, share);
    // A distance needs background in each channel and time point: here in all of them at one place.
    let (strides, spatial) = (block.region().strides(), Axes::parse(axes).unwrap().spatial());
    let place: Vec<u64> = shape.iter().map(|&n| rng.below(n)).collect();
    let there = |i: usize| spatial.iter().all(|&a| (i / strides[a]) as u64 % shape[a] == place[a]);
    let grey = ["erode", "dilate", "open", "close"].contains(&op) && dtype != DType::Bool;
    with_dtype!(dtype, T => for (i, v) in block.as_mut_slice::<T>().iter_mut().enumerate() {
        *v = if op == "remove_small" && dtype != DType::Bool {
            T::from_f64(rng.below(60) as f64)
        } else if !grey {
            T::from_f64(if op == "distance_transform" && there(i) { 0.0 } else { ones[i] })
        } else if dtype.is_float() {
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

/// `MORPHOLOGY_CASES` says how many, `MORPHOLOGY_SEED` which.
#[test]
fn random_morphology_agrees_with_scipy() {
    let Some(mut scipy) = Script::start("morphology.py") else { return };
    let mut rng = Rng::new(number("MORPHOLOGY_SEED", 1));
    for n in 0..number("MORPHOLOGY_CASES", 300) {
        let case = random_case(&mut rng);
        let output = scipy.answer(&case);
        agrees(&case, &output, n);
    }
}

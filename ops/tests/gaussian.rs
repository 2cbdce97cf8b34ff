//! `gaussian` against `scipy.ndimage.gaussian_filter` (`oracle/gaussian_scipy.py`).

mod support;

use ops_core::contract::interpret::Blocks;
use ops_core::contract::{Array, Held};
use serde_json::{Value as Json, json};
use support::{array, run, values};

fn cases() -> Vec<Json> {
    serde_json::from_str(include_str!("oracle/gaussian_scipy.json")).unwrap()
}

fn gaussian(with: &Json, input: Array, seed: u64) -> Vec<f64> {
    let inputs = [Held::Arrays(vec![input])];
    let outcome = run("gaussian", with, &inputs, Blocks::Random, seed);
    outcome.at(&inputs, outcome.result).unwrap().array(0).unwrap().to_f64()
}

/// The weights of the op, read off its answer to an impulse.
fn weights(sigma: f64, count: usize) -> Vec<f64> {
    let mut impulse = vec![0.0; count];
    impulse[count / 2] = 1.0;
    let with = json!({"sigma": sigma, "boundary": "constant", "truncate": (count / 2) as f64 / sigma});
    let case = json!({"shape": [count], "axes": "x", "input": {"dtype": "float64", "values": impulse}});
    gaussian(&with, array(&case, "input"), 0)
}

fn sigmas(case: &Json) -> Vec<f64> {
    let one = &case["with"]["sigma"];
    let count = case["axes"].as_str().unwrap().chars().filter(|c| "zyx".contains(*c)).count();
    let all = if one.is_array() { values(one) } else { vec![one.as_f64().unwrap(); count] };
    all.into_iter().filter(|&s| s > 0.0).collect()
}

#[test]
fn weights_are_those_of_scipy_to_the_last_place() {
    for case in cases() {
        for (sigma, want) in sigmas(&case).into_iter().zip(case["weights"].as_array().unwrap()) {
            let want = values(want);
            for (got, want) in weights(sigma, want.len()).into_iter().zip(want) {
                // numpy's exponential differs by a unit in the last place here and there.
                assert!((got - want).abs() <= 2.0 * f64::EPSILON * want, "sigma {sigma}: {got:e} not {want:e}");
            }
        }
    }
}

#[test]
fn bits_are_those_of_scipy_where_the_weights_are() {
    let mut same = 0;
    for (number, case) in cases().into_iter().enumerate() {
        let got = gaussian(&case["with"], array(&case, "input"), number as u64);
        let want = values(&case["output"]);
        let scale = values(&case["input"]["values"]).iter().fold(0.0f64, |m, v| m.max(v.abs()));
        for (g, w) in got.iter().zip(&want) {
            assert!((g - w).abs() <= 4.0 * f64::EPSILON * scale, "case {number} {}: {g:e} not {w:e}", case["with"]);
        }
        let known = case["weights"].as_array().unwrap().iter().map(values);
        if sigmas(&case).into_iter().zip(known).all(|(s, w)| weights(s, w.len()) == w) {
            same += 1;
            for (g, w) in got.iter().zip(&want) {
                assert_eq!(g.to_bits(), w.to_bits(), "case {number} {}: {g:e} not {w:e}", case["with"]);
            }
        }
    }
    println!("{same} cases of equal weights");
    assert!(same >= 25, "only {same} cases have scipy's weights");
}

//! Exact sums against Python's `math.fsum` and `fractions` (`oracle/exact_sums.py`).

use ops_core::exact::{ExactSum, mean, variance};
use serde_json::Value;

fn float(v: &Value) -> f64 {
    f64::from_bits(u64::from_str_radix(v.as_str().unwrap(), 16).unwrap())
}

#[test]
fn agree_with_fractions_bit_for_bit() {
    let cases: Value = serde_json::from_str(include_str!("oracle/exact_sums.json")).unwrap();
    for case in cases.as_array().unwrap() {
        let values: Vec<f64> = case["values"].as_array().unwrap().iter().map(float).collect();
        let (mut s, mut q) = (ExactSum::default(), ExactSum::default());
        for &x in &values {
            s.add(x);
            q.add_square(x);
        }
        let n = values.len() as u64;
        let got = [s.round(), q.round(), mean(n, &s), variance(n, &s, &q)];
        for (name, got) in ["sum", "squares", "mean", "variance"].into_iter().zip(got) {
            let want = float(&case[name]);
            assert_eq!(got.to_bits(), want.to_bits(), "{} of {}: {got:e} not {want:e}", name, case["name"]);
        }
    }
}

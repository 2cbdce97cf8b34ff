//! `label` against scipy and dask-image (`oracle/label_scipy.py`).

mod support;

use ops_core::contract::Held;
use ops_core::contract::interpret::Blocks;
use serde_json::Value as Json;
use support::{array, run, values};

#[test]
fn numbers_are_those_of_scipy_and_dask_image_in_any_blocks() {
    let cases: Vec<Json> = serde_json::from_str(include_str!("oracle/label_scipy.json")).unwrap();
    for case in cases {
        let want = values(&case["labels"]);
        for (seed, blocks) in
            [Blocks::Whole, Blocks::Prime, Blocks::Ones].into_iter().chain([Blocks::Random; 8]).enumerate()
        {
            let inputs = [Held::Arrays(vec![array(&case, "input")])];
            let outcome = run("label", &case["with"], &inputs, blocks, seed as u64);
            let got = outcome.at(&inputs, outcome.result).unwrap().array(0).unwrap().to_f64();
            assert!(got == want, "{} {} in {blocks:?} blocks, seed {seed}", case["name"], case["with"]);
        }
    }
}

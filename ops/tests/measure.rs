//! `measure` against exact fractions (`oracle/measure_exact.py`, which holds them against scipy).

mod support;

use ops_core::ColumnData;
use ops_core::contract::Held;
use ops_core::contract::interpret::Blocks;
use serde_json::{Value as Json, json};
use support::{array, run, values};

#[test]
fn every_column_is_the_exact_one_rounded_once() {
    let cases: Vec<Json> = serde_json::from_str(include_str!("oracle/measure_exact.json")).unwrap();
    for (number, case) in cases.iter().enumerate() {
        for (seed, blocks) in [Blocks::Whole, Blocks::Prime, Blocks::Ones, Blocks::Random].into_iter().enumerate() {
            let inputs = [Held::Arrays(vec![array(case, "labels")]), Held::Arrays(vec![array(case, "image")])];
            let outcome = run("measure", &json!({}), &inputs, blocks, seed as u64);
            let table = outcome.at(&inputs, outcome.result).unwrap().value(0).unwrap().as_table().unwrap().clone();
            let want = case["columns"].as_object().unwrap();
            assert!(want.keys().all(|k| table.column(k).is_some()), "case {number}: {:?}", table.columns());
            for column in table.columns() {
                let want = want.get(&column.name).map(values).unwrap_or_default();
                let got: Vec<f64> = match &column.data {
                    ColumnData::UInt64(v) => v.iter().map(|&n| n as f64).collect(),
                    ColumnData::Int64(v) => v.iter().map(|&n| n as f64).collect(),
                    ColumnData::Float64(v) => v.clone(),
                };
                let bits = |v: &[f64]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                assert_eq!(bits(&got), bits(&want), "case {number}, {}: {got:?} not {want:?}", column.name);
            }
        }
    }
}

#[test]
fn too_many_and_negative_labels_are_named() {
    let case = json!({"axes": "yx", "shape": [2, 2], "labels": {"dtype": "int16", "values": [1, 2, -3, 0]},
        "few": {"dtype": "int16", "values": [1, 2, 3, 0]}});
    let fails = |labels: &str, with: Json| {
        let inputs = [Held::Arrays(vec![array(&case, labels)]), Held::Arrays(vec![array(&case, "few")])];
        let op = (ops_core::registry::find("measure").unwrap().parse)(with).unwrap();
        let how = ops_core::contract::interpret::How { seed: 1, blocks: Blocks::Ones, threads: 1, garbage: 0 };
        ops_core::contract::interpret::evaluate(op.as_ref(), &inputs, &how).unwrap_err().to_string()
    };
    assert!(!ops::registered().is_empty());
    assert!(fails("labels", json!({})).contains("found -3 in [1:2, 0:1]"));
    let few = fails("few", json!({"max_labels": 2}));
    assert!(few.contains("at most 2 different labels (`max_labels`), found more, numbered up to 3"), "{few}");
    assert!(few.contains("write `max_labels: 3`"), "{few}");
    assert!(fails("few", json!({"max_labels": 3, "background": true})).contains("write `max_labels: 4`"));
}

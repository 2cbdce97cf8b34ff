//! What ops warn of while they run: on the terminal, in the summary and in the record, once for each step and item.

use crate::support::{self, Run, stderr};
use serde_json::json;
use std::path::{Path, PathBuf};

/// A workflow of one step over an input.
fn workflow(dir: &Path, input: &str, step: &str) -> PathBuf {
    let path = dir.join("w.yaml");
    let text = format!(
        "version: 1\ninputs:\n  image: {input}\nsteps:\n  one: {step}\noutputs:\n  One: {{from: one, format: zarr}}\n"
    );
    support::write(&path, &text);
    path
}

/// Grey PNGs of several blocks: those named with an intensity hold nothing else, others a ramp.
fn images(dir: &Path, all: &[(&str, Option<u8>)]) {
    for (name, flat) in all {
        let image = image::GrayImage::from_fn(600, 300, |x, _| image::Luma([flat.unwrap_or(x as u8)]));
        std::fs::create_dir_all(dir.join("in")).unwrap();
        image.save(dir.join("in").join(format!("{name}.png"))).unwrap();
    }
}

/// The warnings of the summary, and the lines of the terminal that tell of them.
fn told(run: &Run) -> (serde_json::Value, Vec<String>) {
    let lines = stderr(&run.output).lines().filter(|l| l.starts_with("warning")).map(str::to_owned).collect();
    (run.summary()["warnings"].clone(), lines)
}

/// Steps and items of the record, in order of items.
fn recorded(run: &Run) -> Vec<(String, String, Option<String>)> {
    let read = run.report("warnings.yaml");
    let text = |v: &serde_yaml::Value| v.as_str().map(str::to_owned);
    let mut all: Vec<_> = read
        .as_sequence()
        .unwrap()
        .iter()
        .map(|w| {
            assert!(w["message"].as_str().is_some_and(|m| !m.is_empty()), "{w:?}");
            (text(&w["code"]).unwrap(), text(&w["step"]).unwrap(), text(&w["item"]))
        })
        .collect();
    all.sort();
    all
}

fn entry(code: &str, item: Option<&str>) -> (String, String, Option<String>) {
    (code.to_owned(), "one".to_owned(), item.map(str::to_owned))
}

#[test]
fn normalizing_one_constant_image_warns_once_however_many_blocks_it_has() {
    let dir = support::temp();
    let input = "{generate: {shape: [600, 900], dtype: uint8, pattern: zeros}}";
    let flat = workflow(dir.path(), input, "{op: normalize, input: image}");
    for block in ["64", "1024"] {
        let run = Run::ok(&flat, &["--block", block]);
        let message = "the values to stretch between are equal: everything became the first number of `range`";
        let (summary, lines) = told(&run);
        let want = json!([{"step": "one", "code": "W0921", "message": message, "items": 0, "first": null}]);
        assert_eq!((summary, lines), (want, vec![format!("warning[W0921]: step `one`: {message}")]));
        assert_eq!(recorded(&run), [entry("W0921", None)]);
    }
}

#[test]
fn of_a_family_the_constant_item_is_named() {
    let dir = support::temp();
    images(dir.path(), &[("a", None), ("b", Some(7)), ("c", None)]);
    let step = |over: &str| format!("{{op: normalize, input: image, with: {{over: {over}}}}}");
    let run = Run::ok(&workflow(dir.path(), "{foreach: in/*.png}", &step("item")), &[]);
    let (summary, lines) = told(&run);
    assert_eq!((&summary[0]["items"], &summary[0]["first"]), (&json!(1), &json!("b")), "{summary}");
    assert_eq!((lines.len(), lines[0].ends_with("(item b)")), (1, true), "{lines:?}");
    assert_eq!(recorded(&run), [entry("W0921", Some("b"))]);
    // Measured together there is contrast, and nothing to say.
    let run = Run::ok(&workflow(dir.path(), "{foreach: in/*.png}", &step("collection")), &[]);
    assert_eq!(told(&run), (json!([]), Vec::new()));
    assert!(!run.dir().join("Reports/warnings.yaml").exists());
}

#[test]
fn a_constant_collection_is_one_line_that_counts_its_items() {
    let dir = support::temp();
    images(dir.path(), &[("a", Some(7)), ("b", Some(7)), ("c", Some(7))]);
    let step = "{op: normalize, input: image, with: {over: collection, method: percentile, percentiles: [1, 99]}}";
    let run = Run::ok(&workflow(dir.path(), "{foreach: in/*.png}", step), &[]);
    let (summary, lines) = told(&run);
    assert_eq!((&summary[0]["items"], &summary[0]["first"]), (&json!(3), &json!("a")), "{summary}");
    assert_eq!((lines.len(), lines[0].ends_with("(3 items, the first is a)")), (1, true), "{lines:?}");
    assert!(stderr(&run.output).contains("warnings.yaml"));
    assert_eq!(recorded(&run), ["a", "b", "c"].map(|item| entry("W0921", Some(item))));
}

#[test]
fn the_end_of_a_reduction_warns_too() {
    let dir = support::temp();
    images(dir.path(), &[("a", None), ("b", Some(7))]);
    let otsu = "{op: threshold, input: image, with: {method: otsu}}";
    let run = Run::ok(&workflow(dir.path(), "{foreach: in/*.png}", otsu), &[]);
    assert_eq!(recorded(&run), [entry("W0921", Some("b"))]);
    assert_eq!(told(&run).1.len(), 1);
    // 0 / 0 is NaN everywhere.
    let path = dir.path().join("nan.yaml");
    let text = "version: 1\ninputs:\n  image: {generate: {shape: [40, 40], dtype: float64, pattern: zeros}}\nsteps:\n  \
        nan: {op: arithmetic, inputs: {a: image, b: image}, with: {operation: divide}}\n  one: {op: threshold, input: nan, with: {relative_to: max}}\noutputs:\n  \
        One: {from: one, format: zarr}\n";
    support::write(&path, text);
    let run = Run::ok(&path, &[]);
    assert_eq!(recorded(&run), [entry("W0922", None)]);
}

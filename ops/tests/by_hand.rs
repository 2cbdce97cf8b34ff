//! Results small enough to compute by hand, and what ops say when they refuse.

use ops_core::contract::interpret::{Blocks, Failure, How, evaluate};
use ops_core::contract::{Array, Held};
use ops_core::{ArrayMeta, Axes, Block, Element, registry};
use serde_json::{Value as Json, json};

fn array<T: Element>(axes: &str, shape: &[u64], data: &[T]) -> Array {
    let meta = ArrayMeta::new(shape, T::DTYPE, Axes::parse(axes).unwrap());
    Array { block: Block::from_slice(meta.region(), data), meta }
}

fn row<T: Element>(data: &[T]) -> Held {
    Held::Arrays(vec![array("yx", &[1, data.len() as u64], data)])
}

fn run(op: &str, with: Json, inputs: &[Held]) -> Result<Array, Failure> {
    let _ = ops::registered();
    let op = (registry::find(op).unwrap().parse)(with).map_err(Failure::Parse)?;
    let how = How { seed: 5, blocks: Blocks::Prime, threads: 1, garbage: 0x77 };
    let mut outcome = evaluate(op.as_ref(), inputs, &how)?;
    match outcome.held.swap_remove(outcome.result) {
        Some(Held::Arrays(mut v)) => Ok(v.remove(0)),
        other => panic!("expected an array, found {other:?}"),
    }
}

fn numbers(op: &str, with: Json, input: Held) -> Vec<f64> {
    run(op, with, &[input]).unwrap().to_f64()
}

fn refusal(op: &str, with: Json, input: Held) -> String {
    run(op, with, &[input]).unwrap_err().to_string()
}

#[test]
fn normalize() {
    assert_eq!(numbers("normalize", json!({}), row(&[0u8, 5, 10])), [0.0, 127.5, 255.0]);
    assert_eq!(numbers("normalize", json!({"range": [1, 3]}), row(&[-4.0, 0.0, 4.0])), [1.0, 2.0, 3.0]);
    assert_eq!(numbers("normalize", json!({"range": [7, 9]}), row(&[4u16, 4])), [7.0, 7.0]);
    // Of 0..=100 the 25th percentile is 25 and the 75th is 75.
    let all: Vec<u8> = (0..=100).rev().collect();
    let with = json!({"method": "percentile", "percentiles": [25, 75], "range": [0, 50]});
    assert_eq!(numbers("normalize", with, row(&all))[..3], [75.0, 74.0, 73.0]);
    // Mean 5, squares of the distances 9 + 1 + 1 + 9, deviation the root of 5.
    let z = numbers("normalize", json!({"method": "zscore"}), row(&[2i16, 4, 6, 8]));
    assert_eq!(z, [-3.0 / 5f64.sqrt(), -1.0 / 5f64.sqrt(), 1.0 / 5f64.sqrt(), 3.0 / 5f64.sqrt()]);
    let odd = numbers("normalize", json!({"range": [0, 1]}), row(&[f64::NAN, 1.0, 3.0, f64::INFINITY]));
    assert!(odd[0].is_nan() && odd[1..3] == [0.0, 1.0] && odd[3] == f64::INFINITY);
}

#[test]
fn grayscale_and_threshold() {
    let pixel = Held::Arrays(vec![array("yxc", &[1, 1, 4], &[10u8, 20, 30, 255])]);
    assert_eq!(numbers("grayscale", json!({"weights": [0.5, 0.25, 0.125]}), pixel), [13.75]);
    assert_eq!(numbers("threshold", json!({"value": 2}), row(&[1u8, 2, 3])), [0.0, 0.0, 1.0]);
    assert_eq!(
        numbers("threshold", json!({"relative_to": "max", "factor": 0.5}), row(&[2.0, 2.5, 4.0])),
        [0.0, 1.0, 1.0]
    );
    // Two clusters, 1 to 3 and 9: every limit from 3 to 8 separates them alike, and the first wins.
    assert_eq!(numbers("threshold", json!({"method": "otsu"}), row(&[1u8, 2, 3, 9, 9])), [0.0, 0.0, 0.0, 1.0, 1.0]);
}

#[test]
fn other_intensities() {
    assert_eq!(
        numbers("cast", json!({"dtype": "uint8", "rounding": "wrap"}), row(&[256i32, 300, -1])),
        [0.0, 44.0, 255.0]
    );
    assert_eq!(
        numbers("cast", json!({"dtype": "uint8"}), row(&[2.5, 3.5, -7.0, 1e9, f64::NAN])),
        [2.0, 4.0, 0.0, 255.0, 0.0]
    );
    assert_eq!(
        numbers("cast", json!({"dtype": "int16", "rounding": "truncate"}), row(&[-2.9, 2.9, 4e4])),
        [-2.0, 2.0, 32767.0]
    );
    assert_eq!(numbers("rescale", json!({"from": [0, 4], "to": [10, 20]}), row(&[0u8, 1, 8])), [10.0, 12.5, 30.0]);
    assert_eq!(numbers("clip", json!({"min": 2, "max": 4}), row(&[1u8, 3, 5])), [2.0, 3.0, 4.0]);
    assert_eq!(numbers("invert", json!({}), row(&[0u8, 255, 1])), [255.0, 0.0, 254.0]);
    assert_eq!(numbers("invert", json!({}), row(&[-128i8, 127, 0])), [127.0, -128.0, -1.0]);
    let pair = [row(&[200u8, 10]), row(&[100u8, 20])];
    let both = |operation: &str, dtype: &str| {
        run("arithmetic", json!({"operation": operation, "dtype": dtype}), &pair).unwrap().to_f64()
    };
    assert_eq!(both("add", "uint8"), [255.0, 30.0]);
    assert_eq!(both("subtract", "int16"), [100.0, -10.0]);
    assert_eq!(both("divide", "float64"), [2.0, 0.5]);
    assert_eq!(both("absolute_difference", "uint8"), [100.0, 10.0]);
}

#[test]
fn geometry() {
    let family = || {
        let tile = |first: u8| array("yx", &[1, 2], &[first, first + 1]);
        Held::Arrays(vec![tile(1), tile(3), tile(5), tile(7)])
    };
    let stacked = run("stack", json!({}), &[family()]).unwrap();
    assert_eq!(
        (stacked.meta.to_string().as_str(), stacked.to_f64()),
        ("uint8 zyx (4, 1, 2)", (1..9).map(f64::from).collect())
    );
    let tiled = run("tile", json!({"rows": 4, "columns": 1}), &[family()]).unwrap();
    assert_eq!(tiled.meta.to_string(), "uint8 yx (4, 2)");
    let tiled = run("tile", json!({"rows": 2, "columns": 2}), &[family()]).unwrap();
    assert_eq!((tiled.meta.to_string().as_str(), tiled.to_f64()), ("uint8 yx (2, 4)", (1..9).map(f64::from).collect()));
    assert_eq!(numbers("crop", json!({"x": [1, 3]}), row(&[5u8, 6, 7, 8])), [6.0, 7.0]);
    assert_eq!(numbers("crop", json!({"x": [2, 99], "clip": true}), row(&[5u8, 6, 7, 8])), [7.0, 8.0]);
}

#[test]
fn refusals_say_what_is_wrong() {
    let bytes = || row(&[1u8, 2, 3]);
    let said = |op, with, input, text: &str| assert_eq!(refusal(op, with, input), text);
    let one_of = "parameter `value`: expected one of `value`, `relative_to` and `method`, found";
    said("threshold", json!({}), bytes(), &format!("{one_of} none of them"));
    said("threshold", json!({"value": 1, "method": "otsu"}), bytes(), &format!("{one_of} several of them"));
    let alone = "parameter `factor`: expected only together with `relative_to`, found it without";
    said("threshold", json!({"value": 1, "factor": 0.5}), bytes(), alone);
    let beyond = "parameter `x`: expected a span within the extent 3 (or `clip: true`), found [0, 4]";
    said("crop", json!({"x": [0, 4]}), bytes(), beyond);
    said(
        "crop",
        json!({"z": [0, 4]}),
        bytes(),
        "parameter `z`: expected one of the input's axes `yx`, found a span along `z`",
    );
    said("clip", json!({"min": 3, "max": 2}), bytes(), "parameter `min`: expected a number up to `max` (2), found 3");
    let whole = "parameter `max`: expected a whole number from 0 to 255, as the input is uint8, found 1.5";
    said("clip", json!({"max": 1.5}), bytes(), whole);
    said("grayscale", json!({}), bytes(), "input 0: expected an axis `c`, found uint8 yx (1, 3)");
    said("tile", json!({"rows": 2, "columns": 1}), bytes(), "input 0: expected 2 x 1 items, found 1 items");
    let range = "parameter `range`: expected nothing: `zscore` has no range, found it";
    said("normalize", json!({"method": "zscore", "range": [0, 1]}), bytes(), range);
    said(
        "rescale",
        json!({"to": [0, 1]}),
        row(&[1.0]),
        "parameter `from`: expected two numbers, as the input is float64, found nothing",
    );
    let wide = "otsu: expected integers that span at most 1048576 values, found 0 to 2000000; \
                cast to float64 first for 256 bins, or rescale";
    said("threshold", json!({"method": "otsu"}), row(&[0i32, 2_000_000]), wide);
    let other = [row(&[1u8, 2]), row(&[1u8, 2, 3])];
    let mismatch = run("arithmetic", json!({"operation": "add"}), &other).unwrap_err().to_string();
    assert_eq!(mismatch, "input 1: expected the shape and axes of `a`: uint8 yx (1, 2), found uint8 yx (1, 3)");
    let unknown = refusal("normalize", json!({"ranges": [0, 1]}), bytes());
    assert!(unknown.contains("unknown field `ranges`, expected one of `range`"), "{unknown}");
}

//! Results against independent libraries: thresholds, masks, label images and tables of both workflows.
//!
//! The figures are in `tests/oracles`: `reference.json` as published, `computed.json` as `make.py` finds them with scipy
//! and dask-image.

use crate::support::{self, Run, pixels};
use serde_json::Value as Json;
use std::path::Path;

fn oracle(file: &str) -> Json {
    let path = support::root().join("tests/oracles").join(file);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[track_caller]
fn close(what: &str, found: f64, expected: f64, relative: f64) {
    assert!((found - expected).abs() <= relative * expected.abs(), "{what}: expected {expected}, found {found}");
}

/// Threshold: three quarters of the brightest smoothed value, as the record has it for an item.
fn threshold(run: &Run, item: Option<&str>) -> f64 {
    let values = run.report("values.yaml");
    let values = values.as_sequence().unwrap();
    let of_item: Vec<_> =
        values.iter().filter(|v| v["node"].as_str() == Some("mask.extrema") && v["item"].as_str() == item).collect();
    assert_eq!(of_item.len(), 1, "one value of mask.extrema for {item:?}: {values:?}");
    0.75 * of_item[0]["numbers"][1].as_f64().unwrap()
}

/// The same from the smoothed image, where the workflow writes it.
fn threshold_of_image(path: &Path) -> f64 {
    0.75 * pixels::tiff_f64(path).into_iter().fold(f64::NEG_INFINITY, f64::max)
}

/// Holds the results of a run against one group of both oracles.
fn agrees(run: &Run, group: &str) {
    let (reference, computed) = (oracle("reference.json"), oracle("computed.json"));
    let (reference, computed) = (&reference["histology"][group], &computed["histology"][group]);
    let stems: Vec<&String> = reference.as_object().unwrap().keys().collect();
    assert!(!stems.is_empty() && stems.iter().all(|s| computed[s.as_str()].is_object()));
    for stem in stems {
        let (wanted, scipy) = (&reference[stem], &computed[stem]);
        let found = threshold(run, Some(stem));
        close(stem, found, wanted["threshold"].as_f64().unwrap(), 1e-9);
        let smooth = run.results("Smooth").join(format!("{stem}.tiff"));
        if smooth.exists() {
            assert_eq!(threshold_of_image(&smooth), found, "{stem}: the record and the image that was written");
        }

        let (_, width, height, mask) = pixels::png(&run.results("Threshold").join(format!("{stem}.png")));
        assert_eq!((width, height), (512, 512));
        let mask: Vec<u8> = mask.into_iter().map(|v| u8::from(v != 0)).collect();
        assert_eq!(mask.iter().filter(|v| **v == 1).count() as u64, wanted["pixels"], "pixels of {stem}");
        assert_eq!(pixels::sha256(&mask), scipy["mask_sha256"], "mask of {stem}");

        let (color, width, height, labels) = pixels::png(&run.results("Labeled").join(format!("{stem}.png")));
        assert_eq!((color, width, height), (image::ColorType::L16, 512, 512));
        assert_eq!(u64::from(*labels.iter().max().unwrap()), wanted["labels"], "labels of {stem}");
        assert_eq!(pixels::sha256(&pixels::le(&labels)), scipy["labels_sha256"], "label image of {stem}");
    }
}

const SMOOTH: (&str, &str) = ("\noutputs:\n", "\noutputs:\n  Smooth: {from: smooth, format: tiff}\n");

#[test]
fn the_ten_tiles_are_segmented_as_scipy_does_it() {
    let run = Run::ok(&support::workflow("bcss.yaml"), &[]);
    agrees(&run, "ten");
    assert_eq!(run.summary()["status"], "ok");
    // The collection spans 0..255, where normalisation changes nothing: images as they went in.
    for stem in support::stems() {
        let name = format!("{stem}.png");
        let (color, _, _, out) = pixels::png(&run.results("Normalized").join(&name));
        assert_eq!(color, image::ColorType::Rgb8);
        let rgb = image::open(support::data("histology").join(&name)).unwrap().into_rgb8().into_raw();
        assert!(out.iter().eq(rgb.iter().map(|v| u16::from(*v)).collect::<Vec<_>>().iter()), "{stem}");
    }
}

#[test]
fn three_tiles_are_normalised_as_a_collection_and_each_by_itself() {
    let dir = support::temp();
    let three = ["high-nuclei-score-level2", "no-tissue", "tissue-level2-3000-7666-7096-11763"];
    let glob = support::copies(&dir.path().join("three"), &three);
    let collection = support::edited("bcss.yaml", &dir.path().join("a"), &[SMOOTH]);
    agrees(&Run::ok(&collection, &["--set", &format!("images={glob}")]), "three");
    let item = support::edited("bcss.yaml", &dir.path().join("b"), &[SMOOTH, ("over: collection", "over: item")]);
    agrees(&Run::ok(&item, &["--set", &format!("images={glob}")]), "over_item");
}

#[test]
fn the_astronaut_is_labelled_and_measured_as_dask_image_does_it() {
    let run = Run::ok(&support::workflow("astronaut.yaml"), &[]);
    let (reference, computed) = (oracle("reference.json"), oracle("computed.json"));
    let (wanted, dask) = (&reference["astronaut"], &computed["astronaut"]);
    close("threshold", threshold(&run, None), wanted["threshold"].as_f64().unwrap(), 1e-9);
    let (color, width, height, labels) = pixels::png(&run.results("Labeled.png"));
    assert_eq!((color, width, height), (image::ColorType::L16, 512, 512));
    assert_eq!(labels.iter().filter(|v| **v != 0).count() as u64, wanted["pixels"]);
    assert_eq!(u64::from(*labels.iter().max().unwrap()), wanted["labels"]);
    assert_eq!(pixels::sha256(&pixels::le(&labels)), dask["labels_sha256"], "label image");

    let mut table = csv::Reader::from_path(run.results("Table.csv")).unwrap();
    let head = table.headers().unwrap().clone();
    let column = |name: &str| head.iter().position(|h| h == name).unwrap_or_else(|| panic!("{name} in {head:?}"));
    let at = [column("label"), column("count"), column("mean"), column("std")];
    let rows: Vec<[f64; 4]> =
        table.records().map(|r| r.unwrap()).map(|r| at.map(|i| r[i].parse::<f64>().unwrap())).collect();
    assert_eq!(rows.len(), 79, "78 labels and the background");
    for (label, [number, count, mean, std]) in rows.into_iter().enumerate() {
        assert_eq!(number, label as f64);
        assert_eq!(count, wanted["area"][label].as_f64().unwrap(), "area of {label}");
        for (name, found) in [("mean", mean), ("std", std)] {
            let expected = wanted[name][label].as_f64().unwrap();
            assert!((found - expected).abs() <= 1e-6, "{name} of label {label}: expected {expected}, found {found}");
        }
    }
}

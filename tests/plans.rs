//! What the planner decides, as golden texts, and that a run does what its plan says.
//!
//! Golden plans are in `tests/golden/plans`; `UPDATE=1` writes them anew.

use crate::support::{self, Run, call, stderr, stdout, tree};
use serde_json::Value as Json;
use std::path::Path;

const SETTINGS: [&str; 4] = ["--threads", "2", "--memory", "1GiB"];

/// Compares what `engine plan` prints with the golden file of that name.
fn golden(name: &str, workflow: &Path, args: &[&str]) {
    let mut all = vec!["plan", workflow.to_str().unwrap()];
    all.extend(SETTINGS);
    all.extend(args);
    let output = call(&all);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let (found, path) = (stdout(&output), support::root().join("tests/golden/plans").join(format!("{name}.txt")));
    if std::env::var_os("UPDATE").is_some_and(|v| v == "1") {
        support::write(&path, &found);
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert_eq!(found, expected, "{} differs; UPDATE=1 writes it anew", path.display());
}

/// Ten slices, smoothed, stacked, of which two are asked for.
fn stacked(dir: &Path, crop: &str) -> std::path::PathBuf {
    let path = dir.join("stacked.yaml");
    let text = format!(
        "version: 1\nname: stacked\n\
         inputs:\n  slice: {{generate: {{items: 10, shape: [40, 50], dtype: uint8, pattern: noise}}}}\n\
         steps:\n  smooth: {{op: gaussian, input: slice, with: {{sigma: 1.0}}}}\n  \
         volume: {{op: stack, input: smooth}}\n  \
         part: {{op: crop, input: volume, with: {{{crop}}}}}\n\
         outputs:\n  Part: {{from: part, format: tiff}}\n"
    );
    support::write(&path, &text);
    path
}

#[test]
fn a_crop_of_a_stack_makes_only_the_items_it_covers() {
    let dir = support::temp();
    let some = stacked(dir.path(), "z: [3, 5]");
    golden("crop_of_stack", &some, &[]);
    let cropped = Run::ok(&some, &SETTINGS);
    // One task a slice, since a slice is one block, and one for the result.
    assert_eq!(cropped.number("tasks"), 2.0 + 1.0);
    let all = Run::ok(&stacked(dir.path(), "z: [0, 10]"), &SETTINGS);
    assert_eq!(all.number("tasks"), 10.0 + 1.0);
    let pages = |run: &Run| support::pixels::tiff_pages(&run.results("Part.tiff"));
    assert_eq!(pages(&all).len(), 10);
    assert!(pages(&cropped) == pages(&all)[3..5], "the planes are those of the whole stack");
}

/// A workflow over every image of a directory.
fn over(dir: &Path, more: &str, op: &str, format: &str) -> std::path::PathBuf {
    let path = dir.join("over.yaml");
    let text = format!(
        "version: 1\nname: over\n\
         inputs:\n  image: {{foreach: \"in/*\"{more}}}\n\
         steps:\n  made: {{{op}, input: image}}\n\
         outputs:\n  Made: {{from: made, format: {format}}}\n"
    );
    support::write(&path, &text);
    path
}

/// Two images that ship and one tiled TIFF of 2.1 megapixels.
fn mixed(dir: &Path) {
    support::copies(&dir.join("in"), &["no-tissue", "high-nuclei-score-level2"]);
    crate::memory::tiled(&dir.join("in/slide.tif"), 1_600, 1_300);
}

#[test]
fn a_tiled_image_among_png_is_read_region_by_region() {
    let dir = support::temp();
    mixed(dir.path());
    let workflow = over(dir.path(), "", "op: normalize, with: {over: collection}", "tiff");
    golden("mixed_access", &workflow, &[]);
    let found = |block: &str| {
        let run = Run::ok(&workflow, &[&SETTINGS[..], &["--block", block]].concat());
        ["slide", "no-tissue"].map(|stem| std::fs::read(run.results(&format!("Made/{stem}.tiff"))).unwrap())
    };
    assert!(found("512") == found("100000"), "the way an item is read changes its result");
}

#[test]
fn chunks_of_arrays_of_several_sizes_have_one_writer() {
    let dir = support::temp();
    // The first item in order is smaller than a default chunk, the last is larger.
    crate::memory::tiled(&dir.path().join("in/a.tif"), 300, 600);
    crate::memory::tiled(&dir.path().join("in/b.tif"), 1_400, 1_200);
    let workflow = over(dir.path(), "", "op: invert", "zarr");
    let run = Run::ok(&workflow, &SETTINGS);
    assert!(run.results("Made/a.zarr").is_dir() && run.results("Made/b.zarr").is_dir());
}

#[test]
fn an_item_found_damaged_while_running_is_skipped_where_its_input_says_so() {
    let dir = support::temp();
    support::copies(&dir.path().join("in"), &["no-tissue", "high-nuclei-score-level2"]);
    let damaged = dir.path().join("in/no-tissue.png");
    let bytes = std::fs::read(&damaged).unwrap();
    // The header is whole, so that only reading the pixels can find it.
    std::fs::write(&damaged, &bytes[..bytes.len() / 2]).unwrap();
    let skips = over(dir.path(), ", on_error: skip, batch: 1", "op: invert", "tiff");
    let run = Run::with(&skips, &["--threads", "1"], &[]).expect_code(5);
    assert_eq!((run.number("items_failed"), run.number("tasks_failed")), (1.0, 1.0));
    assert!(run.results("Made/high-nuclei-score-level2.tiff").is_file());
    assert!(!run.results("Made/no-tissue.tiff").exists());
    // Without it the first failure ends the run: here the damaged item comes first.
    std::fs::rename(&damaged, dir.path().join("in/a.png")).unwrap();
    let stops = over(dir.path(), ", batch: 1", "op: invert", "tiff");
    let run = Run::with(&stops, &["--threads", "1"], &[]).expect_code(5);
    assert!(!run.results("Made/high-nuclei-score-level2.tiff").exists());
}

fn plan_json(file: &str, more: &[&str]) -> Json {
    let output = call(&[&["plan", file, "--json", "--threads", "2"], more].concat());
    serde_json::from_str(&stdout(&output)).unwrap()
}

#[test]
fn plans_of_what_ships_are_the_golden_ones() {
    for name in ["bcss", "astronaut"] {
        golden(name, &support::workflow(&format!("{name}.yaml")), &[]);
    }
}

#[test]
fn images_are_decoded_once_where_memory_has_room_and_again_where_not() {
    let file = support::workflow("bcss.yaml");
    let once: u64 = tree::files(&support::data("histology"))
        .iter()
        .filter(|f| f.extension().is_some_and(|e| e == "png"))
        .map(|f| support::data("histology").join(f).metadata().unwrap().len())
        .sum();
    let file_text = file.to_str().unwrap();
    let roomy = plan_json(file_text, &["--memory", "1GiB"]);
    assert_eq!(roomy["handed_on"][0]["items"], 10, "{}", roomy["handed_on"]);
    let first = Run::ok(&file, &SETTINGS);
    assert_eq!(first.number("bytes_read") as u64, once, "each file is read once");

    // The refused plan says how much the least would be: nothing is left to hand on.
    let least = plan_json(file_text, &["--memory", "1MiB"])["memory"]["projected"].to_string();
    let tight = Run::ok(&file, &["--threads", "2", "--memory", &least]);
    assert_eq!(tight.number("bytes_read") as u64, 2 * once, "each pass reads each file");

    // In between, the first items are handed on and the others read again.
    let some = (least.parse::<u64>().unwrap() + (3 << 20)).to_string();
    let plan = plan_json(file_text, &["--memory", &some]);
    let items = plan["handed_on"][0]["items"].as_u64().unwrap_or(0);
    assert!((1..10).contains(&items), "{}", plan["handed_on"]);
    assert!(plan["memory"]["projected"].as_u64().unwrap() <= some.parse::<u64>().unwrap(), "{}", plan["memory"]);
    let partly = Run::ok(&file, &["--threads", "2", "--memory", &some]);
    let read = partly.number("bytes_read") as u64;
    assert!(once < read && read < 2 * once, "{read} of {once}");

    for other in [&tight, &partly] {
        assert_eq!(tree::digests(&first.dir().join("Results")), tree::digests(&other.dir().join("Results")));
    }
}

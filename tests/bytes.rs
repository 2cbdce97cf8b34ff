//! Same workflow, same bytes: whatever the blocks, threads, fusion and instruction set.
//!
//! Encoded files are compared, so decoded values are equal too; Zarr stores are written in chunks that the workflow
//! names, since their chunks are part of what is asked for.

use crate::support::{self, Run, tree};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// One way to execute: arguments and variables that must not change a byte.
type Way = (&'static str, &'static [&'static str], &'static [(&'static str, &'static str)]);

/// Each block extent, thread count, fusion and path at least once, crossed where one bears upon the other.
const FEW: [Way; 7] = [
    ("blocks of 64, 2 threads", &["--block", "64", "--threads", "2"], &[]),
    ("blocks of 97, 8 threads", &["--block", "97", "--threads", "8"], &[]),
    ("blocks of 97, 1 thread, not fused", &["--block", "97", "--threads", "1", "--no-fuse"], &[]),
    ("blocks of 512, 2 threads, scalar", &["--block", "512", "--threads", "2"], &[("ENGINE_SIMD", "scalar")]),
    (
        "blocks of 64, 8 threads, not fused, scalar",
        &["--block", "64", "--threads", "8", "--no-fuse"],
        &[("ENGINE_SIMD", "scalar")],
    ),
    ("whole, 8 threads", &["--block", "100000", "--threads", "8"], &[]),
    ("chosen by the planner, not fused", &["--no-fuse"], &[]),
];

fn digests(run: &Run) -> BTreeMap<PathBuf, String> {
    tree::digests(&run.dir().join("Results"))
}

/// What differs, named; empty where nothing does.
fn differences(a: &BTreeMap<PathBuf, String>, b: &BTreeMap<PathBuf, String>) -> Vec<String> {
    let names: std::collections::BTreeSet<&PathBuf> = a.keys().chain(b.keys()).collect();
    let differ = names.into_iter().filter(|n| a.get(*n) != b.get(*n));
    differ.map(|n| n.display().to_string()).collect()
}

/// Runs a workflow in every way of the long or short matrix and compares each with the first.
fn same_everywhere(workflow: &Path, args: &[&str], files: usize) {
    let first = Run::ok(workflow, &[&["--block", "100000", "--threads", "1"], args].concat());
    let expected = digests(&first);
    assert_eq!(expected.len(), files, "{expected:?}");
    let compare = |way: &str, more: &[&str], vars: &[(&str, &str)]| {
        let run = Run::with(workflow, &[more, args].concat(), vars).expect_code(0);
        let differ = differences(&expected, &digests(&run));
        assert!(differ.is_empty(), "{way}: not the bytes of the whole image on one thread: {differ:?}");
    };
    for (way, more, vars) in FEW {
        compare(way, more, vars);
    }
    if !support::long() {
        return;
    }
    for block in ["64", "97", "512", "100000"] {
        for threads in ["1", "2", "8"] {
            for fuse in [&[][..], &["--no-fuse"]] {
                for vars in [&[][..], &[("ENGINE_SIMD", "scalar")]] {
                    let more = [&["--block", block, "--threads", threads], fuse].concat();
                    compare(&format!("{more:?} {vars:?}"), &more, vars);
                }
            }
        }
    }
}

#[test]
fn bcss_writes_the_same_bytes_however_it_is_executed() {
    let dir = support::temp();
    let three = ["high-nuclei-score-level2", "no-tissue", "tissue-level2-3000-7666-7096-11763"];
    let images = format!("images={}", support::copies(dir.path(), &three));
    same_everywhere(&support::workflow("bcss.yaml"), &["--set", &images], 9);
}

#[test]
fn astronaut_writes_the_same_bytes_however_it_is_executed() {
    same_everywhere(&support::workflow("astronaut.yaml"), &[], 2);
}

/// Every format, three dimensions, several kinds of reduction, shapes that no block divides.
const EVERY_FORMAT: &str = r#"
version: 1
name: formats
inputs:
  volume: {generate: {shape: [23, 111, 131], dtype: uint16, pattern: noise, seed: 5}}
  image: {generate: {items: 2, shape: [211, 307], dtype: uint8, pattern: noise, seed: 9}}
steps:
  smooth3: {op: gaussian, input: volume, with: {sigma: 1.5}}
  mask3: {op: threshold, input: smooth3, with: {relative_to: max, factor: 0.9}}
  labels3: {op: label, input: mask3, with: {dtype: uint32}}
  table3: {op: measure, inputs: {labels: labels3, image: smooth3}}
  scaled: {op: normalize, input: image, with: {method: percentile, range: [0, 1], percentiles: [1, 99], over: collection}}
  smooth: {op: gaussian, input: scaled, with: {sigma: 2.0}}
  mask: {op: threshold, input: smooth, with: {method: otsu}}
  labels: {op: label, input: mask, with: {dtype: uint16}}
  table: {op: measure, inputs: {labels: labels, image: scaled}, with: {background: true}}
outputs:
  Smooth3: {from: smooth3, format: zarr, chunks: [8, 50, 50]}
  Labels3: {from: labels3, format: tiff}
  Table3: {from: table3, format: parquet}
  Scaled: {from: scaled, format: zarr, chunks: [64, 64]}
  Smooth: {from: smooth, format: tiff}
  Labels: {from: labels, format: png}
  Table: {from: table, format: csv}
"#;

#[test]
fn every_format_holds_the_same_bytes_however_it_was_executed() {
    let dir = support::temp();
    let path = dir.path().join("formats.yaml");
    support::write(&path, EVERY_FORMAT);
    // Zarr: one metadata file a store and its chunks; TIFF, PNG and CSV twice; one TIFF and one Parquet of the volume.
    let chunks3 = 3 * 3 * 3;
    let chunks = 4 * 5;
    same_everywhere(&path, &[], (1 + chunks3) + 1 + 1 + 2 * (1 + chunks) + 2 + 2 + 2);
}

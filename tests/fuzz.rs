//! The short form of fuzzing: the targets of `fuzz/`, on their seeds and on mutations of them that are the same each time.
//!
//! The long form, guided by coverage, is `cargo xtask fuzz`. What it finds is kept among the seeds under a name that says what
//! was wrong, and so is tried here from then on.

#[path = "../fuzz/src/lib.rs"]
mod targets;

mod mutate;

use crate::support;
use mutate::Mutator;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The longest that an input may take, as in the long form.
const SLOWEST: Duration = Duration::from_secs(10);

fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let mut paths: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|p| (p.file_name().unwrap().to_string_lossy().into(), std::fs::read(p).unwrap())).collect()
}

/// Runs a target on one input; a panic or a hang is told with the input, which is kept for a look.
fn run(name: &str, target: fn(&[u8]), from: &str, input: &[u8]) {
    let start = Instant::now();
    let ended = catch_unwind(AssertUnwindSafe(|| target(input)));
    let took = start.elapsed();
    if ended.is_ok() && took < SLOWEST {
        return;
    }
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{name}-{from}"));
    std::fs::write(&kept, input).unwrap();
    panic!("{name} after {took:?}, on {from}: see above; the input is kept as {}", kept.display());
}

/// All seeds of a target, then `rounds` mutations; `ENGINE_LONG=1` asks for twenty times as many.
fn replay(name: &str, rounds: u64) {
    let fuzz = support::root().join("fuzz");
    let (_, target) = targets::TARGETS.into_iter().find(|(n, _)| *n == name).unwrap();
    let seeds = files(&fuzz.join("seeds").join(name));
    assert!(seeds.len() >= 5, "only {} seeds of {name}", seeds.len());
    for (from, seed) in &seeds {
        run(name, target, from, seed);
    }
    let dictionary = match name {
        "params" | "terms" => "workflow",
        own => own,
    };
    let words = std::fs::read_to_string(fuzz.join("dictionaries").join(format!("{dictionary}.dict"))).unwrap();
    let bytes: Vec<&[u8]> = seeds.iter().map(|(_, seed)| seed.as_slice()).collect();
    let mutator = Mutator::new(&bytes, &words);
    let rounds = if support::long() { 20 * rounds } else { rounds };
    for round in 0..rounds {
        run(name, target, &format!("mutation-{round}"), &mutator.make(round));
    }
}

#[test]
fn workflow() {
    replay("workflow", 1500);
}

#[test]
fn params() {
    replay("params", 1500);
}

#[test]
fn terms() {
    replay("terms", 3000);
}

#[test]
fn png() {
    replay("png", 6000);
}

#[test]
fn jpeg() {
    replay("jpeg", 4000);
}

#[test]
fn tiff() {
    replay("tiff", 6000);
}

#[test]
fn zarr() {
    replay("zarr", 3000);
}

#[test]
fn journal() {
    replay("journal", 3000);
}

#[test]
fn every_target_is_replayed_and_has_a_place() {
    let fuzz = support::root().join("fuzz");
    let names: Vec<&str> = targets::TARGETS.iter().map(|(n, _)| *n).collect();
    assert_eq!(names, ["workflow", "params", "terms", "png", "jpeg", "tiff", "zarr", "journal"]);
    let mut found: Vec<String> =
        files(&fuzz.join("targets")).into_iter().map(|(n, _)| n.trim_end_matches(".rs").to_owned()).collect();
    found.sort_by_key(|n| names.iter().position(|m| m == n));
    assert_eq!(found, names);
    let size: usize = names.iter().flat_map(|n| files(&fuzz.join("seeds").join(n))).map(|(_, v)| v.len()).sum();
    assert!(size < 300 << 10, "the seeds have {size} bytes");
}

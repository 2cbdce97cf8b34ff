//! Outputs outside the run directory: never replaced unasked, never written by two, and chunks that have one writer.

use crate::support::{self, Run, stderr, tree};
use engine_runtime::lock::Lock;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

const WORKFLOW: &str = "version: 1
params:
  seed: {type: integer, default: 1}
inputs:
  noise: {generate: {shape: [EXTENT, EXTENT], dtype: uint16, pattern: noise, seed: \"${params.seed}\"}}
steps:
  smooth: {op: gaussian, input: noise, with: {sigma: 3, dtype: input}}
outputs:
  Out: {from: smooth, format: FORMAT, to: to/out.FORMAT}
";

fn workflow(dir: &Path, extent: u64, format: &str) -> PathBuf {
    let path = dir.join("workflow.yaml");
    support::write(&path, &WORKFLOW.replace("EXTENT", &extent.to_string()).replace("FORMAT", format));
    path
}

fn call(workflow: &Path, args: &[&str]) -> std::process::Output {
    let mut command = support::engine();
    command.arg("run").arg(workflow).args(["--progress", "none"]).args(args);
    command.current_dir(workflow.parent().unwrap()).output().unwrap()
}

fn names(dir: &Path) -> Vec<String> {
    let all = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = all.collect();
    names.sort();
    names
}

#[test]
fn what_is_there_is_replaced_only_when_that_is_asked_for() {
    for format in ["zarr", "tiff"] {
        let dir = support::temp();
        let path = workflow(dir.path(), 300, format);
        let file = format!("out.{format}");
        let first = call(&path, &["--out", "one"]);
        assert_eq!(first.status.code(), Some(0), "{}", stderr(&first));
        assert_eq!(names(&dir.path().join("to")), std::slice::from_ref(&file), "the lock is given back");
        let before = tree::digests(&dir.path().join("to"));
        let refused = call(&path, &["--out", "two", "--set", "seed=2"]);
        assert_eq!(refused.status.code(), Some(4), "{}", stderr(&refused));
        for part in ["E0710", "exists already", file.as_str(), "--overwrite"] {
            assert!(stderr(&refused).contains(part), "{part} in {}", stderr(&refused));
        }
        assert!(!dir.path().join("two").exists(), "nothing was begun");
        assert_eq!(tree::digests(&dir.path().join("to")), before);
        // The run that wrote it may go on with it.
        let again = call(&path, &["--resume", "one"]);
        assert_eq!(again.status.code(), Some(0), "{}", stderr(&again));
        assert_eq!(tree::digests(&dir.path().join("to")), before);
        let replaced = call(&path, &["--out", "two", "--set", "seed=2", "--overwrite"]);
        assert_eq!(replaced.status.code(), Some(0), "{}", stderr(&replaced));
        assert_ne!(tree::digests(&dir.path().join("to")), before);
        assert_eq!(names(&dir.path().join("to")), [file]);
    }
}

#[test]
fn items_that_are_there_are_refused_by_name() {
    let dir = support::temp();
    let path = dir.path().join("workflow.yaml");
    let text = "version: 1\ninputs:\n  noise: {generate: {items: 3, shape: [8, 8], dtype: uint8}}\n\
                outputs:\n  Items: {from: noise, format: png, to: items}\n";
    support::write(&path, text);
    let first = call(&path, &["--out", "one"]);
    assert_eq!(first.status.code(), Some(0), "{}", stderr(&first));
    std::fs::remove_file(dir.path().join("items/0.png")).unwrap();
    let refused = call(&path, &["--out", "two"]);
    assert_eq!(refused.status.code(), Some(4));
    assert!(stderr(&refused).contains("1.png` exists already, and 1 more"), "{}", stderr(&refused));
    assert_eq!(call(&path, &["--out", "two", "--overwrite"]).status.code(), Some(0));
}

#[test]
fn a_place_that_another_run_writes_to_is_refused_by_host_and_process() {
    let dir = support::temp();
    let path = workflow(dir.path(), 64, "zarr");
    std::fs::create_dir(dir.path().join("to")).unwrap();
    let held = Lock::acquire(&Lock::beside(&dir.path().join("to/out.zarr"))).unwrap();
    let refused = call(&path, &["--out", "one", "--overwrite"]);
    assert_eq!(refused.status.code(), Some(4));
    let host = engine_runtime::host::name();
    for part in ["E0711", &format!("process {} on host {host}", std::process::id()), "out.zarr.lock", "s ago"] {
        assert!(stderr(&refused).contains(part), "{part} in {}", stderr(&refused));
    }
    assert!(!dir.path().join("one").exists());
    drop(held);
    assert_eq!(call(&path, &["--out", "one"]).status.code(), Some(0));
}

#[test]
fn the_lock_of_a_run_that_was_killed_is_taken_over() {
    let dir = support::temp();
    let path = workflow(dir.path(), 6000, "zarr");
    let mut command = support::engine();
    command.arg("run").arg(&path).args(["--out", "one", "--progress", "none"]).current_dir(dir.path());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let lock = dir.path().join("to/out.zarr.lock");
    let since = Instant::now();
    while !lock.exists() && since.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(lock.exists(), "the run ended before it was killed");
    let small = workflow(dir.path(), 200, "zarr");
    let after = call(&small, &["--out", "two"]);
    assert_eq!(after.status.code(), Some(0), "{}", stderr(&after));
    for part in ["W0912", "took over the lock", &format!("process {}", child.id())] {
        assert!(stderr(&after).contains(part), "{part} in {}", stderr(&after));
    }
    assert_eq!(names(&dir.path().join("to")), ["out.zarr"]);
}

/// Two grids of chunks, and of shards, in one workflow: blocks of whole ones of both, or tasks for each.
#[test]
fn every_chunk_has_one_writer_whatever_grids_are_written_together() {
    let dir = support::temp();
    let text = |outputs: &str, extent: u64| {
        let path = dir.path().join("grids.yaml");
        let input = format!("{{generate: {{shape: [{extent}, {extent}], dtype: uint8, pattern: noise, seed: 4}}}}");
        let whole = "  Plain: {from: noise, format: tiff}\n";
        support::write(&path, &format!("version: 1\ninputs:\n  noise: {input}\noutputs:\n{whole}{outputs}"));
        path
    };
    let plan = |path: &Path| support::stdout(&support::call(&["plan", path.to_str().unwrap()]));
    let check = |path: &Path, extent: u64, all: &[&str]| {
        for args in [&[][..], &["--block", "70", "--threads", "3"]] {
            let run = Run::ok(path, args);
            let read = |name: &str| {
                let options = engine_runtime::store::read::InputOptions::default();
                let reader = engine_runtime::store::read::open(&run.results(name), &options).unwrap();
                let whole = ops_core::Region::whole(&[extent, extent]);
                reader.read(&whole, &ops_core::Pool::default()).unwrap().0.bytes().to_vec()
            };
            let want = read("Plain.tiff");
            all.iter().for_each(|name| assert!(read(name) == want, "{name} {args:?}"));
        }
    };
    let shared = text(
        "  A: {from: noise, chunks: [96, 64]}\n  B: {from: noise, chunks: [64, 48], shards: [64, 96], codec: zstd}\n",
        1000,
    );
    assert!(plan(&shared).contains("block y=384 x=384"), "{}", plan(&shared));
    check(&shared, 1000, &["A.zarr", "B.zarr"]);
    let apart = text("  A: {from: noise, chunks: [509, 509]}\n  B: {from: noise, chunks: [503, 503]}\n", 2600);
    let planned = plan(&apart);
    assert!(planned.contains("tasks of its own") && planned.contains("y=509 x=509"), "{planned}");
    check(&apart, 2600, &["A.zarr", "B.zarr"]);
}

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

/// Levels are made from what this run has written, not from what lies under the name that it is going to get.
#[test]
fn an_image_with_levels_is_replaced_by_what_a_fresh_run_makes() {
    let dir = support::temp();
    let path = dir.path().join("workflow.yaml");
    let text = WORKFLOW.replace("EXTENT", "500").replace("FORMAT", "ome-zarr");
    let text = text.replace("format: ome-zarr", "format: ome-zarr, chunks: [64, 64], pyramid: {levels: 3}");
    support::write(&path, &text.replace("to/out.ome-zarr", "to/out"));
    let image = dir.path().join("to/out.ome.zarr");
    let run = |args: &[&str]| {
        let done = call(&path, args);
        assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
        tree::digests(&image)
    };
    let old = run(&["--out", "old"]);
    std::fs::remove_dir_all(&image).unwrap();
    let fresh = run(&["--out", "fresh", "--set", "seed=2"]);
    assert_ne!(old, fresh);
    std::fs::remove_dir_all(&image).unwrap();
    assert_eq!(run(&["--out", "again"]), old);
    assert_eq!(run(&["--out", "replaced", "--set", "seed=2", "--overwrite"]), fresh);
    assert_eq!(run(&["--resume", "replaced", "--set", "seed=2"]), fresh);
    assert_eq!(names(&dir.path().join("to")), ["out.ome.zarr"]);
}

/// A run that was killed while what it had made took the place of what was there, at each of its steps.
#[test]
fn a_run_that_was_killed_while_it_replaced_goes_on() {
    for format in ["zarr", "ome-zarr"] {
        let dir = support::temp();
        let path = dir.path().join("workflow.yaml");
        let text = WORKFLOW
            .replace("EXTENT", "300")
            .replace("format: FORMAT, to: to/out.FORMAT", "format: FORMAT, to: to/out");
        support::write(&path, &text.replace("FORMAT", format));
        let name = format!("out.{}", if format == "zarr" { "zarr" } else { "ome.zarr" });
        let at = |more: &str| dir.path().join("to").join(format!("{name}{more}"));
        let run = |args: &[&str]| {
            let done = call(&path, args);
            assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
            tree::digests(&at(""))
        };
        let old = run(&["--out", "old"]);
        std::fs::rename(at(""), dir.path().join("kept")).unwrap();
        let new = run(&["--out", "new", "--set", "seed=2"]);
        std::fs::rename(at(""), dir.path().join("made")).unwrap();
        assert_ne!(old, new);
        let (kept, made) = (dir.path().join("kept"), dir.path().join("made"));
        let lay = |old: &str, new: &str, marked: bool| {
            // What the one before has left.
            let _ = std::fs::remove_dir_all(at(""));
            tree::copy(&kept, &at(old));
            tree::copy(&made, &at(new));
            if marked {
                support::write(&at(old).join(".replaced"), "");
            }
        };
        // Before they change places, after it, before the old one is removed; the last entry of the journal is missing.
        for (step, [olds, news]) in [["", ".partial"], [".partial", ""], [".replaced", ""]].into_iter().enumerate() {
            lay(olds, news, step < 2);
            let journal = dir.path().join("new/Reports/journal");
            let whole = std::fs::read(&journal).unwrap();
            std::fs::write(&journal, &whole[..whole.len() - 3]).unwrap();
            assert_eq!(run(&["--resume", "new", "--set", "seed=2"]), new, "{format}, step {step}");
            assert_eq!(names(&dir.path().join("to")), [name.as_str()], "{format}, step {step}");
            // One that begins afresh does not take the old one for its own either.
            lay(olds, news, step < 2);
            let fresh = format!("fresh{step}");
            assert_eq!(run(&["--out", &fresh, "--overwrite", "--set", "seed=2"]), new, "{format}, step {step}");
            assert_eq!(names(&dir.path().join("to")), [name.as_str()], "{format}, step {step}");
        }
    }
}

#[test]
fn what_is_read_is_not_replaced_by_what_is_made_from_it() {
    let dir = support::temp();
    let made = workflow(dir.path(), 100, "zarr");
    assert_eq!(call(&made, &["--out", "made"]).status.code(), Some(0));
    let tiles = dir.path().join("tiles");
    std::fs::create_dir(&tiles).unwrap();
    for name in ["a.zarr", "b.zarr"] {
        tree::copy(&dir.path().join("to/out.zarr"), &tiles.join(name));
    }
    std::fs::create_dir_all(dir.path().join("other")).unwrap();
    let before = (tree::digests(&tiles), tree::digests(&dir.path().join("to")));
    let path = dir.path().join("over.yaml");
    for (input, to, code) in [
        ("path: to/out.zarr", "to/out", 4),
        ("path: to/out.zarr", "other/../to/out.zarr", 4),
        ("foreach: \"tiles/*.zarr\"", "tiles", 4),
        ("path: tiles/a.zarr", "tiles", 4),
        // Beside it is somewhere else.
        ("path: to/out.zarr", "to/out2", 0),
        ("foreach: \"tiles/*.zarr\"", "other", 0),
    ] {
        let text = format!(
            "version: 1\ninputs:\n  a: {{{input}}}\nsteps:\n  b: {{op: invert, input: a}}\n\
             outputs:\n  B: {{from: b, format: zarr, to: \"{to}\"}}\n"
        );
        support::write(&path, &text.replace("path: tiles/a.zarr", "foreach: \"tiles/a.zarr\""));
        let run = dir.path().join(format!("run-{}", to.replace('/', "-")));
        let output = call(&path, &["--out", run.to_str().unwrap(), "--overwrite"]);
        assert_eq!(output.status.code(), Some(code), "{input} to {to}: {}", stderr(&output));
        if code == 4 {
            let text = stderr(&output);
            assert!(text.contains("E0710") && text.contains("is read by this workflow"), "{text}");
            assert_eq!((tree::digests(&tiles), tree::digests(&dir.path().join("to"))), before);
        }
    }
}

/// A link in the place of an output is replaced; what it leads to is somebody else's.
#[cfg(unix)]
#[test]
fn what_a_link_leads_to_is_not_touched() {
    for format in ["zarr", "tiff"] {
        let dir = support::temp();
        let path = workflow(dir.path(), 200, format);
        assert_eq!(call(&path, &["--out", "one"]).status.code(), Some(0));
        let (out, elsewhere) = (dir.path().join(format!("to/out.{format}")), dir.path().join("elsewhere"));
        std::fs::rename(&out, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &out).unwrap();
        let held = || match elsewhere.is_dir() {
            true => tree::digests(&elsewhere).into_values().collect(),
            false => vec![support::pixels::sha256(&std::fs::read(&elsewhere).unwrap())],
        };
        let before = held();
        assert_eq!(call(&path, &["--out", "two", "--set", "seed=2"]).status.code(), Some(4));
        let replaced = call(&path, &["--out", "two", "--set", "seed=2", "--overwrite"]);
        assert_eq!(replaced.status.code(), Some(0), "{}", stderr(&replaced));
        assert_eq!(held(), before, "{format}");
        assert!(!out.is_symlink());
        assert_eq!(names(&dir.path().join("to")), [format!("out.{format}")]);
    }
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

//! Outputs whose chunks lie across the tiles they are made from: through scratch, each tile decoded once.

use crate::support::{self, Run, tree};
use serde_json::Value as Json;
use std::path::{Path, PathBuf};
use std::process::Stdio;

const MIB: f64 = 1024.0 * 1024.0;

/// A series of images of 60 MiB, one a chunk: more than a reader keeps decoded.
fn series(dir: &Path, name: &str, seed: u64) -> PathBuf {
    let path = dir.join("make.yaml");
    let text = format!(
        "version: 1\ninputs:\n  a: {{generate: {{shape: [240, 512, 512], axes: tyx, dtype: uint8, pattern: blobs, seed: {seed}}}}}\n\
         outputs:\n  A: {{from: a, format: zarr, chunks: [1, 512, 512], to: {name}.zarr}}\n"
    );
    support::write(&path, &text);
    Run::ok(&path, &["--threads", "2"]);
    dir.join(format!("{name}.zarr"))
}

/// Rearranges an array, as it is or smoothed.
fn rearranged(dir: &Path, name: &str, from: &str, steps: &str, chunks: [u64; 3]) -> PathBuf {
    let path = dir.join(format!("{name}.yaml"));
    let of = if steps.is_empty() { "a" } else { "s" };
    let text = format!(
        "version: 1\ninputs:\n  a: {{{from}, axes: tyx}}\n{steps}outputs:\n  B: {{from: {of}, format: zarr, chunks: {chunks:?}}}\n"
    );
    support::write(&path, &text);
    path
}

fn path(store: &Path) -> String {
    format!("path: \"{}\"", store.display())
}

const SMOOTHED: &str = "steps:\n  s: {op: maximum, input: a, with: {size: 3}}\n";

#[test]
fn a_series_of_images_becomes_series_of_pixels_and_images_again() {
    let dir = support::temp();
    let images = series(dir.path(), "images", 1);
    let there = rearranged(dir.path(), "there", &path(&images), "", [240, 32, 32]);
    let run = Run::limited(&there, &["--memory", "96MiB", "--threads", "2"], 96 << 20);
    let (read, spilled) = (run.number("bytes_read") / MIB, run.number("bytes_spilled") / MIB);
    // What is stored is less than what is decoded; each chunk was read once, and once again from scratch.
    assert!(
        spilled > 1.0 && read < 2.2 * spilled.max(tree::size(&images) as f64 / MIB),
        "{read} read, {spilled} spilled"
    );
    assert!(!run.dir().join("Scratch").exists());
    let (projected, measured) = (run.number("projected_peak_bytes"), run.number("peak_rss_bytes"));
    assert!(measured <= projected && projected <= 96.0 * MIB, "measured {measured}, projected {projected}");
    let pixels = tree::digests(&run.results("B.zarr"));
    // Whatever it may take, and however it is cut.
    for args in
        [&["--threads", "1"] as &[&str], &["--threads", "2", "--block", "40"], &["--memory", "1GiB", "--threads", "3"]]
    {
        let other = Run::ok(&there, args);
        assert_eq!(tree::digests(&other.results("B.zarr")), pixels, "{args:?}");
    }
    let back = rearranged(dir.path(), "back", &path(&run.results("B.zarr")), "", [1, 512, 512]);
    let back = Run::ok(&back, &["--memory", "96MiB", "--threads", "2"]);
    assert!(back.number("bytes_spilled") > 0.0);
    assert_eq!(tree::digests(&back.results("B.zarr")), tree::digests(&images));
}

/// What is computed goes through scratch as well: with a halo of one a block of one pixel would compute nine.
#[test]
fn what_is_computed_is_gathered_and_a_killed_run_goes_on() {
    let dir = support::temp();
    let images = series(dir.path(), "images", 2);
    let args = ["--memory", "256MiB", "--threads", "2"];
    let workflow = rearranged(dir.path(), "smooth", &path(&images), SMOOTHED, [240, 16, 16]);
    let want = Run::ok(&workflow, &args);
    assert!(want.number("bytes_spilled") > 0.0);
    let want = tree::digests(&want.results("B.zarr"));
    // The same, in chunks that need no gathering, and then rearranged.
    let plain = Run::ok(&rearranged(dir.path(), "plain", &path(&images), SMOOTHED, [4, 512, 512]), &args);
    assert_eq!(plain.number("bytes_spilled"), 0.0);
    let then = rearranged(dir.path(), "then", &path(&plain.results("B.zarr")), "", [240, 16, 16]);
    assert_eq!(tree::digests(&Run::ok(&then, &args).results("B.zarr")), want);

    let run = dir.path().join("run");
    let mut command = support::engine();
    command.arg("run").arg(&workflow).arg("--out").arg(&run).args(args).args(["--progress", "none"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while stores(&run).is_empty() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!stores(&run).is_empty(), "the run was killed too late, or spilled nothing");
    let mut command = support::engine();
    command.arg("run").arg(&workflow).arg("--resume").arg(&run).args(args).args(["--json", "--progress", "none"]);
    let resumed = command.output().unwrap();
    assert_eq!(resumed.status.code(), Some(0), "{}", support::stderr(&resumed));
    let summary: Json = serde_json::from_str(support::stdout(&resumed).trim()).unwrap();
    assert!(summary["tasks_resumed"].as_u64().unwrap() >= 8, "{summary}");
    assert_eq!(tree::digests(&run.join("Results/B.zarr")), want);
    assert!(!run.join("Scratch").exists());
}

/// Stores below the scratch directory of a run that are complete: under the names they get then.
fn stores(run: &Path) -> Vec<PathBuf> {
    let below = |dir: &Path| -> Vec<PathBuf> {
        std::fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path()).filter(|p| p.is_dir()).collect()
    };
    let named = |p: &PathBuf| p.extension().is_some_and(|x| x == "zarr");
    let all = below(&run.join("Scratch"));
    let items = all.iter().filter(|p| !named(p)).flat_map(|p| below(p));
    all.iter().cloned().chain(items).filter(named).collect()
}

#[test]
fn items_of_a_collection_have_scratch_while_they_are_in_flight() {
    let dir = support::temp();
    std::fs::create_dir(dir.path().join("all")).unwrap();
    let each: Vec<PathBuf> = (0..4).map(|i| series(dir.path(), &format!("all/{i}"), i)).collect();
    let all = format!("foreach: \"{}/all/*.zarr\"", dir.path().display());
    let workflow = rearranged(dir.path(), "items", &all, "", [240, 32, 32]);
    let (run, args) = (dir.path().join("run"), ["--memory", "256MiB", "--threads", "2"]);
    let mut command = support::engine();
    command.arg("run").arg(&workflow).arg("--out").arg(&run).args(args).args(["--json", "--progress", "none"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut most = 0;
    while child.try_wait().unwrap().is_none() {
        most = most.max(stores(&run).len());
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let output = child.wait_with_output().unwrap();
    let summary: Json = serde_json::from_str(support::stdout(&output).trim()).unwrap();
    assert!(summary["bytes_spilled"].as_f64().unwrap() > 4.0 * MIB, "{summary}");
    let number = |name: &str| summary[name].as_f64().unwrap();
    assert!(number("peak_rss_bytes") <= number("projected_peak_bytes"), "{summary}");
    assert!((1..=2).contains(&most), "{most} items had scratch at once");
    assert!(!run.join("Scratch").exists());
    for (i, images) in each.iter().enumerate() {
        let one = Run::ok(&rearranged(dir.path(), "one", &path(images), "", [240, 32, 32]), &args);
        assert_eq!(tree::digests(&run.join(format!("Results/B/{i}.zarr"))), tree::digests(&one.results("B.zarr")));
    }
}

/// What no laptop holds is planned within the memory of one: 67 GB of images as pixels, and 268 GB of distances.
#[test]
fn arrays_far_larger_than_memory_have_a_plan() {
    let dir = support::temp();
    let store = dir.path().join("huge.zarr");
    std::fs::create_dir(&store).unwrap();
    let metadata = serde_json::json!({
        "zarr_format": 3, "node_type": "array", "shape": [2000, 4096, 4096], "data_type": "uint16",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1, 4096, 4096]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}}, "fill_value": 0,
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}], "attributes": {},
    });
    support::write(&store.join("zarr.json"), &metadata.to_string());
    let input = format!("version: 1\ninputs:\n  a: {{path: \"{}\", axes: AXES}}\n", store.display());
    let pixels = "outputs:\n  P: {from: a, format: zarr, chunks: [2000, 64, 64]}\n";
    let distances = "steps:\n  m: {op: threshold, input: a, with: {value: 1000}}\n  d: {op: distance_transform, input: m}\n\
                     outputs:\n  D: {from: d, format: zarr}\n";
    let path = dir.path().join("huge.yaml");
    for (axes, rest, memory, steps) in [("tyx", pixels, 1u64 << 30, 2), ("zyx", distances, 1 << 30, 4)] {
        support::write(&path, &(input.replace("AXES", axes) + rest));
        let (path, limit) = (path.to_str().unwrap(), format!("{}MiB", memory >> 20));
        let planned = support::call(&["plan", path, "--json", "--memory", &limit, "--threads", "4"]);
        assert_eq!(planned.status.code(), Some(0), "{}", support::stderr(&planned));
        let plan: Json = serde_json::from_slice(&planned.stdout).unwrap();
        assert!(plan["memory"]["projected"].as_u64().unwrap() <= memory, "{}", plan["memory"]);
        let stages = plan["stages"].as_array().unwrap();
        assert_eq!(stages.len(), steps, "{plan}");
        let extents = |s: &Json| s["block"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).collect();
        let blocks: Vec<Vec<u64>> = stages.iter().map(extents).collect();
        assert!(blocks.iter().flatten().all(|n| *n > 0), "{blocks:?}");
        assert!(blocks.iter().all(|b| b.iter().product::<u64>() <= 1 << 24), "{blocks:?}");
    }
}

//! Volumes that memory does not hold: labelled in cells, spilled to disk, within the limit.

use crate::support::{self, Run, tree};
use serde_json::Value as Json;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const MIB: f64 = 1024.0 * 1024.0;

/// Smoothed blobs, cut, labelled; more than the steps may say, and more outputs.
fn workflow(dir: &Path, shape: [u64; 3], label: &str, more: &str) -> PathBuf {
    let path = dir.join("volume.yaml");
    let text = format!(
        "version: 1\ninputs:\n  a: {{generate: {{shape: {shape:?}, axes: zyx, dtype: uint16, pattern: blobs, seed: 1}}}}\n\
         steps:\n  smooth: {{op: gaussian, input: a, with: {{sigma: 1}}}}\n\
         \x20 mask: {{op: threshold, input: smooth, with: {{value: 24000}}}}\n\
         \x20 labels: {{op: label, input: mask{label}}}\n\
         outputs:\n  Labels: {{from: labels, format: zarr, chunks: [64, 128, 256]}}\n{more}"
    );
    support::write(&path, &text);
    path
}

/// How many components scipy finds in the labels, slab by slab, the largest label, and how many are wrong; `None` without
/// a Python.
fn counted(labels: &Path) -> Option<[u64; 3]> {
    let python = std::env::var_os("ENGINE_TEST_PYTHON")?;
    let script = support::root().join("tests/oracles/label_count.py");
    let out = Command::new(python).arg(script).arg(labels).output().unwrap();
    assert!(out.status.success(), "{}", support::stderr(&out));
    let numbers: Vec<u64> = support::stdout(&out).split_whitespace().map(|n| n.parse().unwrap()).collect();
    Some(numbers.try_into().unwrap())
}

fn right(labels: &Path) {
    match counted(labels) {
        Some([count, largest, wrong]) => {
            println!("{count} labels");
            assert!(
                count > 100 && largest == count && wrong == 0,
                "{count} components, {largest} labels, {wrong} wrong"
            );
        }
        None => support::skipped("counting labels by scipy: no ENGINE_TEST_PYTHON"),
    }
}

#[test]
fn labels_do_not_depend_on_the_cells_they_are_found_in() {
    let dir = support::temp();
    let mut first = None;
    for label in ["", ", with: {cell: [64, 64, 64]}", ", with: {cell: [31, 50, 257]}", ", with: {cell: [7, 300, 11]}"] {
        let workflow = workflow(dir.path(), [90, 130, 270], label, "");
        for args in [["--block", "64", "--threads", "2"], ["--block", "50", "--threads", "1"]] {
            let run = Run::ok(&workflow, &args);
            let found = tree::digests(&run.results("Labels.zarr"));
            assert_eq!(first.get_or_insert(found.clone()), &found, "{label} {args:?}");
        }
    }
}

/// Two grids of cells over one array, in blocks that are whole cells of the one and not of the other.
#[test]
fn labels_in_cells_of_two_kinds_share_what_they_read() {
    let dir = support::temp();
    let path = dir.path().join("two.yaml");
    let text = "version: 1
inputs:
  a: {generate: {shape: [43, 30], dtype: int16, pattern: noise, seed: 264}}
steps:
  five: {op: label, input: a, with: {connectivity: 1, cell: [5, 17]}}
  nine: {op: label, input: a, with: {connectivity: 1, cell: [9, 8]}}
outputs:
  Five: {from: five, format: zarr, chunks: [15, 10]}
  Nine: {from: nine, format: zarr, chunks: [15, 10]}
";
    support::write(&path, text);
    let mut first = None;
    for block in ["3", "7", "16", "40", "256"] {
        let run = Run::ok(&path, &["--block", block, "--threads", "2"]);
        let (five, nine) = (tree::digests(&run.results("Five.zarr")), tree::digests(&run.results("Nine.zarr")));
        assert_eq!(five, nine, "blocks of {block}");
        assert_eq!(first.get_or_insert(five.clone()), &five, "blocks of {block}");
    }
}

#[test]
fn what_the_faces_of_cells_may_take_is_a_limit() {
    let dir = support::temp();
    let workflow = workflow(dir.path(), [90, 130, 270], ", with: {cell: [16, 16, 16], faces_bytes: 10000}", "");
    let run = Run::with(&workflow, &[], &[]).expect_code(5);
    let text = support::stderr(&run.output);
    assert!(text.contains("faces_bytes") && text.contains("10000"), "{text}");
}

/// A mask of 75 MiB: more than is kept, and dearer to compute again than to write and read.
const SPILLED: [u64; 3] = [300, 512, 512];

#[test]
fn a_spilled_array_changes_nothing_and_goes_with_the_run() {
    let dir = support::temp();
    let args = ["--threads", "2", "--memory", "1GiB"];
    let spilling = workflow(dir.path(), SPILLED, "", "");
    let spilled = Run::ok(&spilling, &args);
    let bytes = spilled.number("bytes_spilled");
    assert!(bytes > 1e5 && bytes < 75.0 * MIB, "{bytes} bytes spilled");
    assert!(!spilled.dir().join("Scratch").exists());
    let (projected, measured) = (spilled.number("projected_peak_bytes"), spilled.number("peak_rss_bytes"));
    assert!(measured <= projected, "measured {measured}, projected {projected}");
    let want = tree::digests(&spilled.results("Labels.zarr"));
    right(&spilled.results("Labels.zarr"));
    // An output of the same array takes its place.
    let written = workflow(dir.path(), SPILLED, "", "  Mask: {from: mask, format: zarr, chunks: [64, 64, 256]}\n");
    let written = Run::ok(&written, &args);
    assert_eq!(written.number("bytes_spilled"), 0.0);
    assert_eq!(tree::digests(&written.results("Labels.zarr")), want);

    // Killed once the scratch is complete, the run goes on from it, and it goes at the end.
    let (spilling, run) = (workflow(dir.path(), SPILLED, "", ""), dir.path().join("run"));
    let mut command = support::engine();
    command.arg("run").arg(&spilling).arg("--out").arg(&run).args(args).args(["--progress", "none"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let complete = || {
        let stores = std::fs::read_dir(run.join("Scratch")).into_iter().flatten().flatten();
        stores.into_iter().any(|e| e.path().extension().is_some_and(|x| x == "zarr"))
    };
    while !complete() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(complete(), "the run was killed too late, or spilled nothing");
    let mut command = support::engine();
    command.arg("run").arg(&spilling).arg("--resume").arg(&run).args(args).args(["--json", "--progress", "none"]);
    let resumed = command.output().unwrap();
    assert_eq!(resumed.status.code(), Some(0), "{}", support::stderr(&resumed));
    let summary: Json = serde_json::from_str(support::stdout(&resumed).trim()).unwrap();
    // Blocks of the first stage were done.
    assert!(summary["tasks_resumed"].as_u64().unwrap() >= 40, "{summary}");
    assert_eq!(tree::digests(&run.join("Results/Labels.zarr")), want);
    assert!(!run.join("Scratch").exists());
    // Nothing is left to do, though the scratch is gone.
    let mut command = support::engine();
    command.arg("run").arg(&spilling).arg("--resume").arg(&run).args(args).args(["--json", "--progress", "none"]);
    let again: Json = serde_json::from_str(support::stdout(&command.output().unwrap()).trim()).unwrap();
    assert_eq!(again["tasks"], 0, "{again}");
}

/// Passes over lines of three axes: no block but the whole array has whole lines of all.
#[test]
fn distances_go_from_pass_to_pass_in_memory_or_scratch() {
    let dir = support::temp();
    let path = dir.path().join("distances.yaml");
    let text = "version: 1
inputs:
  a: {generate: {shape: [160, 200, 240], axes: zyx, dtype: uint16, pattern: blobs, seed: 3}}
steps:
  mask: {op: threshold, input: a, with: {value: 24000}}
  depth: {op: distance_transform, input: mask}
outputs:
  Mask: {from: mask, format: zarr}
  Depth: {from: depth, format: zarr, chunks: [40, 50, 60]}
";
    support::write(&path, text);
    let wide = Run::ok(&path, &["--threads", "2", "--memory", "2GiB"]);
    let want = tree::digests(&wide.results("Depth.zarr"));
    let tight = Run::limited(&path, &["--threads", "2", "--memory", "80MiB"], 80 << 20);
    assert_eq!(wide.number("bytes_spilled"), 0.0);
    assert!(tight.number("bytes_spilled") > MIB, "{}", tight.summary());
    for other in [tight, Run::ok(&path, &["--block", "50"]), Run::ok(&path, &["--memory", "256MiB", "--threads", "3"])]
    {
        let (projected, measured) = (other.number("projected_peak_bytes"), other.number("peak_rss_bytes"));
        assert!(measured <= projected, "measured {measured}, projected {projected}");
        assert_eq!(tree::digests(&other.results("Depth.zarr")), want);
    }
    let Some(python) = support::python() else {
        return support::skipped("distances by scipy: no ENGINE_TEST_PYTHON");
    };
    let script = support::root().join("tests/oracles/distances.py");
    let out = Command::new(python).arg(script).arg(wide.results("Mask.zarr")).arg(wide.results("Depth.zarr")).output();
    assert_eq!(support::stdout(&out.unwrap()).trim(), format!("{} 0", 160 * 200 * 240));
}

#[test]
fn scratch_that_does_not_fit_the_disk_is_refused_before_the_start() {
    let dir = support::temp();
    let disk = dir.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "none"];
    let mounted = Command::new(mount[0]).args(&mount[1..]).arg(&disk).stderr(Stdio::null()).status();
    if !mounted.is_ok_and(|s| s.success()) {
        return support::skipped("a small disk: mounting one needs rights");
    }
    let workflow = workflow(dir.path(), SPILLED, "", "");
    let mut command = support::engine();
    command.arg("run").arg(&workflow).arg("--out").arg(disk.join("run")).args(["--memory", "1GiB"]);
    let refused = command.output().unwrap();
    let begun = disk.join("run/Results/Labels.zarr.partial").exists();
    assert!(Command::new("umount").arg(&disk).status().unwrap().success());
    let text = support::stderr(&refused);
    assert_eq!(refused.status.code(), Some(4), "{text}");
    assert!(text.contains("E0802") && text.contains("`mask`") && !begun, "{text}");
}

/// 16 GiB with `ENGINE_LONG=1`, else a 64th of that: smoothed, cut, labelled and written with levels in a process that may
/// not have more than the limit.
#[test]
fn a_volume_larger_than_memory_is_labelled_within_the_limit() {
    let dir = support::temp();
    let (extent, limit) = if support::long() { (2048, 1024u64) } else { (512, 448) };
    let path = dir.path().join("volume.yaml");
    let small = workflow(dir.path(), [extent; 3], "", "");
    let text = std::fs::read_to_string(&small).unwrap();
    let image = "format: ome-zarr, labels: true, chunks: [64, 128, 256], pyramid: {levels: 3, method: nearest}";
    support::write(&path, &text.replace("format: zarr, chunks: [64, 128, 256]", image));
    let memory = format!("{limit}MiB");
    let run = Run::limited(&path, &["--threads", "2", "--memory", &memory], limit << 20).expect_code(0);
    let (projected, measured) = (run.number("projected_peak_bytes"), run.number("peak_rss_bytes"));
    let figures = format!(
        "{extent}^3 uint16 under {memory}: projected {:.0} MiB, measured {:.0} MiB, {:.0} MiB spilled, {:.0} s",
        projected / MIB,
        measured / MIB,
        run.number("bytes_spilled") / MIB,
        run.number("wall_s")
    );
    println!("{figures}");
    assert!(measured <= projected && projected <= (limit << 20) as f64, "{figures}");
    // Of a small volume what is counted for gaps in the heap weighs more.
    assert!(projected <= if support::long() { 1.5 } else { 1.75 } * measured + 64.0 * MIB, "{figures}");
    right(&run.results("Labels.ome.zarr/labels/Labels/0"));
}

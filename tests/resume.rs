//! Runs that are killed, or changed, and go on: the same bytes, and nothing done twice.
//!
//! Eight kills, or fifty with `ENGINE_LONG=1`.

use crate::support::{self, Run, tree};
use serde_json::Value as Json;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Blobs in noise: smoothed, cut, labelled, measured; three stages that write and three that reduce.
const WORKFLOW: &str = "\
version: 1
params:
  extent: {type: integer, default: 1000}
  sigma: {type: number, default: 2.0}
  factor: {type: number, default: 0.97}
  connectivity: {type: integer, default: 1}
inputs:
  noise: {generate: {shape: [1500, \"${params.extent}\"], dtype: uint16, pattern: noise, seed: 3}}
steps:
  smooth: {op: gaussian, input: noise, with: {sigma: \"${params.sigma}\", dtype: input}}
  mask: {op: threshold, input: smooth, with: {relative_to: max, factor: \"${params.factor}\"}}
  labels: {op: label, input: mask, with: {connectivity: \"${params.connectivity}\"}}
  table: {op: measure, inputs: {labels: labels, image: smooth}}
outputs:
  Smooth: {from: smooth, format: zarr, chunks: [128, 96]}
  Labels: {from: labels, format: zarr, chunks: [100, 128]}
  Table: {from: table, format: csv}
";

const BLOCKS: [&str; 4] = ["--block", "96", "--threads", "2"];

fn workflow(dir: &Path) -> PathBuf {
    let path = dir.join("workflow.yaml");
    support::write(&path, WORKFLOW);
    path
}

fn resume(workflow: &Path, run: &Path, args: &[&str]) -> Output {
    let mut command = support::engine();
    command.arg("run").arg(workflow).arg("--resume").arg(run).args(BLOCKS);
    command.args(["--json", "--progress", "none"]).args(args);
    command.output().unwrap()
}

fn summary(output: &Output) -> Json {
    assert_eq!(output.status.code(), Some(0), "{}\n{}", support::stdout(output), support::stderr(output));
    serde_json::from_str(support::stdout(output).trim()).unwrap()
}

fn number(summary: &Json, name: &str) -> u64 {
    summary[name].as_u64().unwrap_or_else(|| panic!("{name} in {summary}"))
}

/// Files that are chunks of a store that was begun and not completed.
fn chunks(run: &Path, name: &str) -> u64 {
    let store = run.join("Results").join(format!("{name}.zarr.partial/c"));
    if !store.is_dir() {
        return 0;
    }
    tree::files(&store).iter().filter(|f| f.extension().is_none()).count() as u64
}

#[test]
fn a_run_that_was_killed_goes_on_to_the_same_bytes_and_does_nothing_twice() {
    let kills = if support::long() { 50 } else { 8 };
    let seed = std::env::var("ENGINE_TEST_SEED").ok().map_or_else(
        || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64,
        |seed| seed.parse().unwrap(),
    );
    println!("ENGINE_TEST_SEED={seed}");
    let mut random = crate::faults::Random(seed);
    let dir = support::temp();
    let workflow = workflow(dir.path());
    let whole = Run::ok(&workflow, &BLOCKS);
    let told = |run: &Path| std::fs::metadata(run.join("Reports/journal")).map_or(0, |m| m.len());
    let all = told(&whole.dir());
    let (want, total) = (tree::digests(&whole.dir().join("Results")), number(&whole.summary(), "tasks"));
    assert!(total > 300, "{total} tasks");
    let mut resumed = 0;
    for kill in 0..kills {
        let run = dir.path().join(format!("run{kill}"));
        // Some runs are killed again while they go on.
        for attempt in 0..1 + kill % 3 {
            let mut command = support::engine();
            command.arg("run").arg(&workflow).arg(if attempt == 0 { "--out" } else { "--resume" }).arg(&run);
            command.args(BLOCKS).args(["--progress", "none"]).stdout(Stdio::null()).stderr(Stdio::null());
            let mut child = command.spawn().unwrap();
            // A random moment of its work, however fast the machine is: so much is told, and a little more may be done.
            let until = random.next() % all;
            while told(&run) < until && child.try_wait().unwrap().is_none() {
                std::thread::sleep(Duration::from_micros(100));
            }
            std::thread::sleep(Duration::from_micros(random.next() % 3000));
            child.kill().unwrap();
            child.wait().unwrap();
            if !run.join("Reports/journal").is_file() {
                break;
            }
        }
        if !run.join("Reports/journal").is_file() {
            continue;
        }
        // Each chunk that is there was a task, though not the other way round: blocks cover several.
        let chunks = [("Smooth", 12 * 11), ("Labels", 15 * 8)].map(|(name, all)| (chunks(&run, name), all));
        let summary = summary(&resume(&workflow, &run, &[]));
        let (ran, before) = (number(&summary, "tasks"), number(&summary, "tasks_resumed"));
        assert_eq!(ran + before, total, "kill {kill}: {summary}");
        for (there, all) in chunks {
            assert!(there == 0 || before * 4 + 2 * 4 >= there, "kill {kill}: {there} of {all} chunks, {before} tasks");
        }
        resumed += u64::from(before > 0);
        assert_eq!(tree::digests(&run.join("Results")), want, "kill {kill}");
        // Nothing is left to do.
        let again = self::summary(&resume(&workflow, &run, &[]));
        assert_eq!((number(&again, "tasks"), number(&again, "tasks_resumed")), (0, total), "kill {kill}: {again}");
        assert_eq!(tree::digests(&run.join("Results")), want, "kill {kill}, complete");
    }
    assert!(resumed * 3 >= kills, "{resumed} of {kills} runs had done something");
}

#[test]
fn a_changed_parameter_costs_what_depends_on_it() {
    let dir = support::temp();
    let workflow = workflow(dir.path());
    let first = Run::ok(&workflow, &BLOCKS);
    let before = tree::digests(&first.dir().join("Results/Smooth.zarr"));
    let changed = summary(&resume(&workflow, &first.dir(), &["--set", "factor=0.9"]));
    let fresh = Run::ok(&workflow, &[&BLOCKS[..], &["--set", "factor=0.9"]].concat());
    assert_eq!(tree::digests(&first.dir().join("Results")), tree::digests(&fresh.dir().join("Results")));
    assert_eq!(tree::digests(&first.dir().join("Results/Smooth.zarr")), before);
    // What is stored is read, not computed again.
    assert_eq!(number(&fresh.summary(), "bytes_read"), 0);
    assert!(number(&changed, "bytes_read") > 0, "{changed}");
    // And back again: what the changed run replaced is not taken for what was there before it.
    let back = summary(&resume(&workflow, &first.dir(), &[]));
    assert!(number(&back, "tasks") > 0, "{back}");
    let whole = Run::ok(&workflow, &BLOCKS);
    assert_eq!(tree::digests(&first.dir().join("Results")), tree::digests(&whole.dir().join("Results")));
}

#[test]
fn a_changed_last_step_costs_nothing_before_it() {
    let dir = support::temp();
    let workflow = workflow(dir.path());
    let first = Run::ok(&workflow, &BLOCKS);
    let set = ["--set", "connectivity=2"];
    let status = support::call(&[
        "status".as_ref(),
        first.dir().as_os_str(),
        workflow.as_os_str(),
        "--set".as_ref(),
        "connectivity=2".as_ref(),
        "--json".as_ref(),
    ]);
    let status: Json = serde_json::from_str(&support::stdout(&status)).unwrap();
    let of = |i: usize, what: &str| status[i][what].as_u64().unwrap();
    assert_eq!((of(0, "done"), of(1, "done"), of(1, "stale")), (1, 0, 1), "{status}");
    let changed = summary(&resume(&workflow, &first.dir(), &set));
    let fresh = Run::ok(&workflow, &[&BLOCKS[..], &set].concat());
    assert_eq!(tree::digests(&first.dir().join("Results")), tree::digests(&fresh.dir().join("Results")));
    let stream = support::yaml(&first.dir().join("Reports/task_stream.yaml"));
    for task in stream.as_sequence().unwrap() {
        let steps = task["metadata"]["steps"].as_sequence().unwrap();
        assert!(steps.iter().any(|s| ["labels", "table"].contains(&s.as_str().unwrap())), "{task:?}");
    }
    assert!(number(&changed, "tasks_resumed") > 0, "{changed}");
}

#[test]
fn a_file_that_changed_is_read_again() {
    let dir = support::temp();
    let images =
        support::copies(&dir.path().join("in"), &support::stems().iter().map(String::as_str).collect::<Vec<_>>()[..3]);
    let set = format!("images={images}");
    let args = [&BLOCKS[..], &["--set", &set]].concat();
    let first = Run::ok(&support::workflow("bcss.yaml"), &args);
    let again = summary(&resume(&support::workflow("bcss.yaml"), &first.dir(), &["--set", &set]));
    assert_eq!(number(&again, "tasks"), 0, "{again}");
    let target = dir.path().join("in").join(format!("{}.png", support::stems()[0]));
    std::fs::copy(support::data("histology").join(format!("{}.png", support::stems()[4])), &target).unwrap();
    let changed = summary(&resume(&support::workflow("bcss.yaml"), &first.dir(), &["--set", &set]));
    assert!(number(&changed, "tasks") > 0, "{changed}");
    let fresh = Run::ok(&support::workflow("bcss.yaml"), &args);
    assert_eq!(tree::digests(&first.dir().join("Results")), tree::digests(&fresh.dir().join("Results")));
}

/// As after a fresh copy of the data: other times, other files, the same pictures.
#[test]
fn a_file_that_was_copied_again_is_what_it_was() {
    let dir = support::temp();
    let stems = support::stems();
    let copies = dir.path().join("images");
    support::copies(&copies, &stems.iter().map(String::as_str).collect::<Vec<_>>());
    let workflow = dir.path().join("copied.yaml");
    let text = format!(
        "version: 1\ninputs:\n  a: {{foreach: \"{}/*\"}}\nsteps:\n  b: {{op: invert, input: a}}\n  c: {{op: stack, input: b}}\n\
         outputs:\n  B: {{from: b, format: zarr}}\n  C: {{from: c, format: zarr}}\n",
        copies.display()
    );
    support::write(&workflow, &text);
    let run = dir.path().join("run");
    let first = support::call(&["run", workflow.to_str().unwrap(), "--out", run.to_str().unwrap(), "--json"]);
    assert_eq!(first.status.code(), Some(0), "{}", support::stderr(&first));
    for entry in std::fs::read_dir(&copies).unwrap() {
        let path = entry.unwrap().path();
        let other = path.with_extension("copy");
        std::fs::copy(&path, &other).unwrap();
        std::fs::rename(&other, &path).unwrap();
    }
    let again = summary(&resume(&workflow, &run, &[]));
    assert_eq!(number(&again, "tasks"), 0, "{again}");
    // One of them is another now; the rest still is what it was.
    let changed = std::fs::read_dir(&copies).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&changed).unwrap();
    bytes.extend_from_slice(b"more");
    std::fs::write(&changed, bytes).unwrap();
    let again = summary(&resume(&workflow, &run, &[]));
    let (done, left) = (number(&again, "tasks"), number(&again, "tasks_resumed"));
    assert!(done > 0 && left > 0, "{again}");
}

#[test]
fn a_torn_journal_is_cut_off_and_what_is_none_is_refused() {
    let dir = support::temp();
    let workflow = workflow(dir.path());
    let whole = Run::ok(&workflow, &BLOCKS);
    let want = tree::digests(&whole.dir().join("Results"));
    let journal = whole.dir().join("Reports/journal");
    let bytes = std::fs::read(&journal).unwrap();
    for keep in [bytes.len() - 3, bytes.len() / 2, 40, 5, 0] {
        let mut torn = bytes[..keep].to_vec();
        if keep > 40 {
            torn.extend([0xff; 11]);
        }
        std::fs::write(&journal, torn).unwrap();
        summary(&resume(&workflow, &whole.dir(), &[]));
        assert_eq!(tree::digests(&whole.dir().join("Results")), want, "{keep} bytes of the journal");
    }
    std::fs::write(&journal, "something else").unwrap();
    let refused = resume(&workflow, &whole.dir(), &[]);
    assert_eq!(refused.status.code(), Some(2), "{}", support::stderr(&refused));
    let none = resume(&workflow, dir.path(), &[]);
    assert_eq!(none.status.code(), Some(2), "{}", support::stderr(&none));
    assert!(support::stderr(&none).contains("--resume"), "{}", support::stderr(&none));
}

/// An output that has another name now, and one more of the same array, are not there because another is.
#[test]
fn an_output_of_another_name_is_another_output() {
    let dir = support::temp();
    let text = "version: 1
inputs:
  a: {generate: {shape: [100, 200], dtype: uint8, pattern: noise, seed: 1}}
steps:
  s: {op: invert, input: a}
outputs:
";
    let path = dir.path().join("names.yaml");
    let with = |outputs: &[(&str, &str)]| {
        let outputs: String = outputs.iter().map(|(n, f)| format!("  {n}: {{from: s, format: {f}}}\n")).collect();
        support::write(&path, &format!("{text}{outputs}"));
    };
    for format in ["zarr", "tiff"] {
        with(&[("S", format)]);
        let run = Run::ok(&path, &[]);
        for outputs in [&[("T", format)] as &[(&str, &str)], &[("T", format), ("U", format)], &[("S", format)]] {
            with(outputs);
            summary(&resume(&path, &run.dir(), &[]));
            let digest = |name: &str| {
                let place = run.results(&format!("{name}.{format}"));
                match place.is_dir() {
                    true => tree::digests(&place).into_values().collect(),
                    false => vec![support::pixels::sha256(&std::fs::read(&place).unwrap())],
                }
            };
            assert!(outputs.iter().all(|(name, _)| digest(name) == digest("S")), "{outputs:?}");
        }
    }
}

/// A table of a small array is not in the journal: it is sooner made again.
#[test]
fn status_tells_of_what_no_journal_tells_of() {
    let dir = support::temp();
    let path = dir.path().join("table.yaml");
    let text = "version: 1
inputs:
  a: {generate: {shape: [10, 20], dtype: uint8, pattern: noise, seed: 1}}
steps:
  s: {op: statistics, input: a}
outputs:
  S: {from: s, format: csv}
";
    support::write(&path, text);
    let run = Run::ok(&path, &[]);
    let told = || support::stdout(&support::call(&["status", run.dir().to_str().unwrap()]));
    assert!(told().contains("0 of 1 done, 1 there, made again by every run"), "{}", told());
    std::fs::remove_file(run.results("S.csv")).unwrap();
    assert!(told().contains("0 of 1 done, 1 missing"), "{}", told());
}

#[test]
fn a_run_that_has_not_ended_can_not_be_resumed() {
    let dir = support::temp();
    let (workflow, run) = (workflow(dir.path()), dir.path().join("run"));
    let mut command = support::engine();
    command.arg("run").arg(&workflow).arg("--out").arg(&run).args(BLOCKS).args(["--set", "extent=200000"]);
    let mut child = command.args(["--progress", "none"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !run.join("Reports/journal").is_file() {
        assert!(child.try_wait().unwrap().is_none(), "the run ended before it began a journal");
        std::thread::sleep(Duration::from_millis(5));
    }
    let refused = resume(&workflow, &run, &[]);
    let record = run.join("Reports/workflow.yaml").is_file() || !run.join("Reports/1").exists();
    let running = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(running && record);
    assert_eq!(refused.status.code(), Some(2), "{}", support::stderr(&refused));
    let (text, pid) = (support::stderr(&refused), child.id().to_string());
    assert!(text.contains("in use") && text.contains(&pid), "{text}");
    // Killed, it has given its lock back as far as others can tell.
    assert_eq!(resume(&workflow, &run, &["--durability", "machine"]).status.code(), Some(0));
}

#[test]
fn a_full_disk_ends_the_run_so_that_it_can_go_on() {
    let dir = support::temp();
    let (workflow, disk) = (workflow(dir.path()), dir.path().join("disk"));
    std::fs::create_dir(&disk).unwrap();
    let mount = |options: &str| {
        let command = ["mount", "-t", "tmpfs", "-o", options, "none"];
        let done = std::process::Command::new(command[0]).args(&command[1..]).arg(&disk).stderr(Stdio::null()).status();
        done.is_ok_and(|s| s.success())
    };
    if !mount("size=1m") {
        return support::skipped("a full disk: mounting a small one needs rights");
    }
    let run = disk.join("run");
    let mut command = support::engine();
    command.arg("run").arg(&workflow).arg("--out").arg(&run).args(BLOCKS).args(["--json", "--progress", "none"]);
    let full = command.output().unwrap();
    let more = mount("remount,size=64m");
    let resumed = resume(&workflow, &run, &[]);
    let results = tree::digests(&run.join("Results"));
    let unmounted = std::process::Command::new("umount").arg(&disk).status().unwrap().success();
    assert!(more && unmounted);
    let text = support::stderr(&full);
    assert_eq!(full.status.code(), Some(6), "{}\n{text}", support::stdout(&full));
    assert!(text.contains("disk full") && text.contains("--resume"), "{text}");
    let resumed = summary(&resumed);
    assert!(number(&resumed, "tasks_resumed") > 0, "{resumed}");
    let whole = Run::ok(&workflow, &BLOCKS);
    assert_eq!(results, tree::digests(&whole.dir().join("Results")));
}

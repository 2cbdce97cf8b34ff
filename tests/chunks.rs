//! One chunk of an input is written again: what rests on it is made again, and nothing else.

use crate::remote::{expect, number, write};
use crate::support::{self, tree};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Output;

/// 8 x 8 chunks of input and output; sigma 2 reaches 8 elements.
const WORKFLOW: &str = "version: 1
inputs: {image: {path: in.zarr}}
steps:
  smooth: {op: gaussian, input: image, with: {sigma: 2, dtype: input}}
  cut: {op: clip, input: image, with: {min: 0, max: 60000}}
  whole: {op: statistics, input: image}
outputs:
  Smooth: {from: smooth, chunks: [64, 64]}
  Cut: {from: cut, format: ome-zarr, chunks: [64, 64], pyramid: {levels: 2, method: max}}
  Whole: {from: whole, format: csv}
run: {block: 64, threads: 2}
";

/// An element of `scaled` rests on the extremes of all.
const WHOLE: &str = "version: 1
inputs: {image: {path: in.zarr}}
steps:
  cut: {op: clip, input: image, with: {min: 10}}
  scaled: {op: normalize, input: image}
outputs:
  Cut: {from: cut, chunks: [64, 64]}
  Scaled: {from: scaled, chunks: [64, 64]}
run: {block: 64, threads: 2}
";

fn source(dir: &Path, name: &str, seed: u64) {
    let text = "version: 1
inputs: {noise: {generate: {shape: [512, 512], dtype: uint16, pattern: noise, seed: SEED}}}
outputs: {In: {from: noise, chunks: [64, 64], to: NAME}}
";
    let path = write(dir, text, &[("SEED", &seed.to_string()), ("NAME", name)]);
    expect(&call(&path, &["run"], &["--out", &format!("of-{name}")]), 0, &[]);
}

fn call(workflow: &Path, command: &[&str], args: &[&str]) -> Output {
    let mut engine = support::engine();
    engine.args(command);
    if command == ["run"] {
        engine.arg(workflow).args(["--progress", "none", "--json"]);
    }
    engine.args(args).current_dir(workflow.parent().unwrap()).output().unwrap()
}

fn results(dir: &Path, run: &str) -> BTreeMap<PathBuf, String> {
    tree::digests(&dir.join(run).join("Results"))
}

/// Blocks of each output that are there, of those of outputs that are stale in part.
fn stale(workflow: &Path, run: &str) -> BTreeMap<String, (u64, u64)> {
    let output = call(workflow, &["status"], &[run, "--json"]);
    expect(&output, 0, &[]);
    let all: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let of = |p: &serde_json::Value| {
        let number = |name: &str| p[name].as_u64().unwrap();
        assert_eq!((number("begun"), number("blocks")), (0, 0), "complete outputs are not begun");
        let (stale, all) = (number("blocks_stale"), number("blocks_of_stale"));
        (p["name"].as_str().unwrap().to_owned(), (all - stale, all))
    };
    all.as_array().unwrap().iter().map(of).filter(|(_, (_, blocks))| *blocks > 0).collect()
}

#[test]
fn what_rests_on_a_chunk_that_was_written_again_is_made_again_and_nothing_else() {
    let dir = support::temp();
    source(dir.path(), "in.zarr", 1);
    source(dir.path(), "other.zarr", 2);
    let path = write(dir.path(), WORKFLOW, &[]);
    expect(&call(&path, &["run"], &["--out", "run"]), 0, &[]);
    assert!(stale(&path, "run").is_empty());
    let first = results(dir.path(), "run");
    let chunk = |store: &str, key: &str| dir.path().join(store).join("c").join(key);
    let mut last = first.clone();
    // One chunk of other values; one in a corner that goes, and is of the fill value then; two at once.
    let steps: [(&[&str], &str, [u64; 4]); 3] = [
        (&["3/4"], "other", [55, 63, 15, 10]),
        (&["0/0"], "none", [60, 63, 15, 5]),
        (&["7/7", "7/0"], "other", [56, 62, 14, 10]),
    ];
    for (n, (keys, by, [smooth, cut, half, tasks])) in steps.into_iter().enumerate() {
        for key in keys {
            std::fs::remove_file(chunk("in.zarr", key)).unwrap();
            if by == "other" {
                std::fs::copy(chunk("other.zarr", key), chunk("in.zarr", key)).unwrap();
            }
        }
        let told = stale(&path, "run");
        let of = |name: &str, done, blocks| (name.to_owned(), (done, blocks));
        let levels = [of("Cut.ome.zarr/0", cut, 64), of("Cut.ome.zarr/1", half, 16)];
        let expected = levels.into_iter().chain([of("Smooth", smooth, 64), of("Whole", cut, 64)]).collect();
        assert_eq!(told, expected, "step {n}");
        let resumed = call(&path, &["run"], &["--resume", "run"]);
        expect(&resumed, 0, &[]);
        assert_eq!(number(&resumed, "tasks"), tasks, "step {n}");
        let fresh = format!("fresh{n}");
        expect(&call(&path, &["run"], &["--out", &fresh]), 0, &[]);
        let after = results(dir.path(), "run");
        assert_eq!(after, results(dir.path(), &fresh), "step {n}");
        assert_ne!(after, last, "step {n}");
        assert!(stale(&path, "run").is_empty());
        let nothing = call(&path, &["run"], &["--resume", "run"]);
        expect(&nothing, 0, &[]);
        assert_eq!(number(&nothing, "tasks"), 0, "step {n}");
        last = after;
    }
}

#[test]
fn what_rests_on_a_value_of_the_whole_array_is_made_again_as_a_whole() {
    let dir = support::temp();
    source(dir.path(), "in.zarr", 1);
    let path = write(dir.path(), WHOLE, &[]);
    expect(&call(&path, &["run"], &["--out", "run"]), 0, &[]);
    std::fs::remove_file(dir.path().join("in.zarr/c/2/2")).unwrap();
    let told = call(&path, &["status"], &["run"]);
    expect(&told, 0, &[]);
    let told = support::stdout(&told);
    assert!(told.contains("1 stale (1 of 64 blocks to be made again)") && told.contains("1 stale\n"), "{told}");
    expect(&call(&path, &["run"], &["--resume", "run"]), 0, &[]);
    expect(&call(&path, &["run"], &["--out", "fresh"]), 0, &[]);
    assert_eq!(results(dir.path(), "run"), results(dir.path(), "fresh"));
    // Other metadata, another array: everything is made again.
    let zarr = dir.path().join("in.zarr/zarr.json");
    let text = std::fs::read_to_string(&zarr).unwrap().replace("\"fill_value\": 0", "\"fill_value\": 7");
    std::fs::write(&zarr, text.replace("\"fill_value\":0", "\"fill_value\":7")).unwrap();
    let told = support::stdout(&call(&path, &["status"], &["run"]));
    assert_eq!(told.matches("1 stale").count(), 2, "{told}");
    expect(&call(&path, &["run"], &["--resume", "run"]), 0, &[]);
    expect(&call(&path, &["run"], &["--out", "filled"]), 0, &[]);
    assert_eq!(results(dir.path(), "run"), results(dir.path(), "filled"));
}

/// A run that is killed while it makes again what is stale goes on with what is left of that.
#[test]
fn a_kill_while_stale_blocks_are_made_again_costs_what_is_left() {
    let dir = support::temp();
    source(dir.path(), "in.zarr", 1);
    source(dir.path(), "other.zarr", 2);
    let path = write(dir.path(), WORKFLOW, &[]);
    expect(&call(&path, &["run"], &["--out", "run"]), 0, &[]);
    for key in ["1/1", "6/6"] {
        std::fs::remove_file(dir.path().join("in.zarr/c").join(key)).unwrap();
        std::fs::copy(dir.path().join("other.zarr/c").join(key), dir.path().join("in.zarr/c").join(key)).unwrap();
    }
    let journal = dir.path().join("run/Reports/journal");
    let before = std::fs::metadata(&journal).unwrap().len();
    expect(&call(&path, &["run"], &["--resume", "run"]), 0, &[]);
    expect(&call(&path, &["run"], &["--out", "fresh"]), 0, &[]);
    let done = results(dir.path(), "run");
    assert_eq!(done, results(dir.path(), "fresh"));
    // As a kill leaves it: the journal ends anywhere, outputs have their names or not.
    let whole = std::fs::read(&journal).unwrap();
    for (n, cut) in (before as usize..whole.len()).step_by(97).enumerate() {
        std::fs::write(&journal, &whole[..cut]).unwrap();
        if n % 2 == 0 {
            let smooth = dir.path().join("run/Results/Smooth.zarr");
            std::fs::rename(&smooth, smooth.with_file_name("Smooth.zarr.partial")).unwrap();
        }
        let resumed = call(&path, &["run"], &["--resume", "run"]);
        expect(&resumed, 0, &[]);
        assert!(number(&resumed, "tasks") <= 20, "cut at {cut}");
        assert_eq!(results(dir.path(), "run"), done, "cut at {cut}");
    }
}

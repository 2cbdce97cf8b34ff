//! Places on disk that fail: a target that can't be written, directories that go away while a run needs them.

use crate::remote::{expect, keys, same, write};
use crate::support::{self, stderr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Slow enough to be caught at it, in chunks of its own on both sides.
const WORKFLOW: &str = "version: 1
inputs: {image: {path: \"FROM\"}}
steps: {out: {op: median, input: image, with: {size: 9}}}
outputs: {Out: {from: out, chunks: [64, 64], to: \"TO\"}}
run: {threads: 2, block: 64}
";

fn source(dir: &Path) {
    let text = "version: 1
inputs: {noise: {generate: {shape: [1500, 1200], dtype: uint16, pattern: noise, seed: 1}}}
outputs: {In: {from: noise, chunks: [64, 64], to: in.zarr}}
";
    let path = write(dir, text, &[]);
    expect(&engine(&path, &["--out", "source"]).output().unwrap(), 0, &[]);
}

fn engine(workflow: &Path, args: &[&str]) -> Command {
    let mut command = support::engine();
    command.arg("run").arg(workflow).args(["--progress", "none", "--json"]).args(args);
    command.current_dir(workflow.parent().unwrap());
    command
}

/// A run that has written so many chunks, and is not done.
fn started(workflow: &Path, out: &str, store: &Path) -> Child {
    let mut command = engine(workflow, &["--out", out]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (since, chunks) = (Instant::now(), store.join("c"));
    while !chunks.is_dir() || support::tree::files(&chunks).len() < 20 {
        assert!(since.elapsed() < Duration::from_secs(120) && child.try_wait().unwrap().is_none(), "it ended early");
        std::thread::sleep(Duration::from_millis(2));
    }
    child
}

#[test]
fn an_input_that_goes_away_fails_the_run_by_name_and_it_goes_on_when_it_is_back() {
    let dir = support::temp();
    source(dir.path());
    let path = write(dir.path(), WORKFLOW, &[("FROM", "in.zarr"), ("TO", "whole.zarr")]);
    expect(&engine(&path, &["--out", "whole"]).output().unwrap(), 0, &[]);
    let path = write(dir.path(), WORKFLOW, &[("FROM", "in.zarr"), ("TO", "out.zarr")]);
    let child = started(&path, "run", &dir.path().join("out.zarr.partial"));
    link(&dir.path().join("in.zarr"), &dir.path().join("away"));
    std::fs::remove_dir_all(dir.path().join("in.zarr")).unwrap();
    let output = child.wait_with_output().unwrap();
    expect(&output, 5, &["the array went away", "`zarr.json` is gone", "in.zarr", "chunk ["]);
    assert!(!dir.path().join("out.zarr").exists(), "what is not complete has not its name");
    std::fs::rename(dir.path().join("away"), dir.path().join("in.zarr")).unwrap();
    let resumed = engine(&path, &["--resume", "run"]).output().unwrap();
    expect(&resumed, 0, &[]);
    assert!(crate::remote::number(&resumed, "tasks_resumed") > 0);
    same(&keys(&dir.path().join("out.zarr")), &keys(&dir.path().join("whole.zarr")), "resumed");
}

#[test]
fn an_input_that_is_moved_or_replaced_while_it_is_read_stays_what_it_was() {
    let dir = support::temp();
    source(dir.path());
    let whole = write(dir.path(), WORKFLOW, &[("FROM", "in.zarr"), ("TO", "whole.zarr")]);
    expect(&engine(&whole, &["--out", "whole"]).output().unwrap(), 0, &[]);
    let path = write(dir.path(), WORKFLOW, &[("FROM", "in.zarr"), ("TO", "out.zarr")]);
    let child = started(&path, "run", &dir.path().join("out.zarr.partial"));
    std::fs::rename(dir.path().join("in.zarr"), dir.path().join("away")).unwrap();
    // Another array of the same kind under its name.
    std::fs::rename(dir.path().join("whole.zarr"), dir.path().join("in.zarr")).unwrap();
    expect(&child.wait_with_output().unwrap(), 0, &[]);
    same(&keys(&dir.path().join("out.zarr")), &keys(&dir.path().join("in.zarr")), "of what it was");
}

/// The same files under another directory.
fn link(from: &Path, to: &Path) {
    for file in support::tree::files(from) {
        let path = to.join(&file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::hard_link(from.join(&file), path).unwrap();
    }
}

#[test]
fn an_output_that_goes_away_fails_the_run_and_is_not_made_again_without_what_it_held() {
    let dir = support::temp();
    source(dir.path());
    let path = write(dir.path(), WORKFLOW, &[("FROM", "in.zarr"), ("TO", "out.zarr")]);
    let partial = dir.path().join("out.zarr.partial");
    let child = started(&path, "run", &partial);
    std::fs::rename(&partial, dir.path().join("away")).unwrap();
    let output = child.wait_with_output().unwrap();
    expect(&output, 5, &["writing `c/", "out.zarr.partial"]);
    assert!(!partial.exists() && !dir.path().join("out.zarr").exists());
    let refused = engine(&path, &["--resume", "run"]).output().unwrap();
    expect(&refused, 5, &["that an earlier run left, found another or none", "Reports/journal"]);
    // Back where it was, it is taken up.
    std::fs::rename(dir.path().join("away"), &partial).unwrap();
    expect(&engine(&path, &["--resume", "run"]).output().unwrap(), 0, &[]);
    let whole = write(dir.path(), WORKFLOW, &[("FROM", "in.zarr"), ("TO", "whole.zarr")]);
    expect(&engine(&whole, &["--out", "whole"]).output().unwrap(), 0, &[]);
    same(&keys(&dir.path().join("out.zarr")), &keys(&dir.path().join("whole.zarr")), "resumed");
    // Only its metadata goes: chunks could still be written, but it would be no array.
    std::fs::remove_dir_all(dir.path().join("out.zarr")).unwrap();
    let path = write(dir.path(), WORKFLOW, &[("FROM", "in.zarr"), ("TO", "out.zarr")]);
    let child = started(&path, "third", &partial);
    std::fs::remove_file(partial.join("zarr.json")).unwrap();
    expect(&child.wait_with_output().unwrap(), 5, &["the store went away", "out.zarr.partial"]);
    assert!(!dir.path().join("out.zarr").exists());
}

#[test]
fn a_target_that_is_read_only_is_refused_before_anything_is_done() {
    let dir = support::temp();
    source(dir.path());
    let target = dir.path().join("target");
    std::fs::create_dir(&target).unwrap();
    let path = write(dir.path(), WORKFLOW, &[("FROM", "in.zarr"), ("TO", "target/out.zarr")]);
    // The superuser passes over permission bits, so the file system itself has to be read-only.
    let mount = |args: &[&str]| {
        let run = engine(&path, args);
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", "mount -t tmpfs -o ro none \"$0\" || exit 99; exec \"$@\""]).arg(&target);
        command.arg(run.get_program()).args(run.get_args()).current_dir(dir.path());
        command.env("NO_COLOR", "1").output()
    };
    match mount(&["--out", "never"]) {
        Ok(output) if !matches!(output.status.code(), Some(99 | 1)) => {
            expect(
                &output,
                4,
                &["E0711", "workflow.yaml:4", "target/out.zarr` can't be written to", "Read-only file system"],
            );
            assert!(!dir.path().join("never").exists());
            let output = mount(&["--out", "target/run"]).unwrap();
            expect(&output, 4, &["E0711"]);
        }
        Ok(output) => {
            support::skipped(&format!("a read-only file system: no unshare here: {}", stderr(&output).trim()))
        }
        Err(e) => support::skipped(&format!("a read-only file system: no unshare here: {e}")),
    }
    // A file where a directory has to be.
    std::fs::remove_dir(&target).unwrap();
    std::fs::write(&target, "a file").unwrap();
    expect(&engine(&path, &["--out", "never"]).output().unwrap(), 4, &["E0711", "target", "can't be written to"]);
    assert!(!dir.path().join("never").exists());
}

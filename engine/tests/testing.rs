//! `engine test`, as a user types it: what holds, what does not, and the exit codes of both.

use serde_json::Value as Json;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A ramp of all 256 values, as it is and above a level.
const RAMP: &str = "version: 1
params:
  level: {type: number, default: 100}
inputs:
  ramp: {generate: {shape: [16, 16], dtype: uint8, pattern: ramp}}
steps:
  bright: {op: threshold, input: ramp, with: {value: \"${params.level}\"}}
outputs:
  Ramp: {from: ramp, format: tiff}
  Bright: {from: bright, format: png}
tests:
";

fn engine(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_engine")).args(args).env("NO_COLOR", "1").output().unwrap()
}

fn stdout(o: &Output) -> String {
    String::from_utf8(o.stdout.clone()).unwrap()
}

fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn tested(text: &str) -> (Option<i32>, String, Json) {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "w.yaml", text);
    let o = engine(&["test", path.to_str().unwrap()]);
    let json = engine(&["test", path.to_str().unwrap(), "--json"]);
    assert_eq!(json.status.code(), o.status.code());
    assert_eq!(stdout(&json).lines().count(), 1);
    (o.status.code(), stdout(&o), serde_json::from_str(&stdout(&json)).unwrap())
}

#[test]
fn expectations_that_hold_pass_with_the_params_of_each_test() {
    let (code, text, json) = tested(&format!(
        "{RAMP}  - name: all
    expect: {{outputs: {{Ramp: {{Ramp: {{sum: 32640, labels: 255, min: 0, max: 255, dtype: uint8, shape: [16, 16]}}}},
      Bright: {{'*': {{count_nonzero: 155}}}}}}}}
  - name: higher
    params: {{level: 200}}
    expect: {{outputs: {{Bright: {{Bright: {{count_nonzero: 55}}}}}}}}
"
    ));
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("  pass  all (8 checks") && text.ends_with("2 tests, 0 failed\n"), "{text}");
    assert_eq!((&json["passed"], json["tests"].as_array().unwrap().len()), (&true.into(), 2));
}

#[test]
fn one_that_does_not_hold_shows_both_sides_and_its_line_and_exits_with_7() {
    let (code, text, json) = tested(&format!(
        "{RAMP}  - name: wrong
    expect:
      outputs:
        Bright:
          Bright: {{count_nonzero: 154}}
"
    ));
    assert_eq!(code, Some(7), "{text}");
    assert!(text.contains("Bright: count_nonzero: expected 154, found 155  ("), "{text}");
    assert!(text.contains("w.yaml:16)") && text.ends_with("1 test, 1 failed\n"), "{text}");
    assert_eq!(json["tests"][0]["mismatches"][0]["found"], "155");
}

#[test]
fn an_invalid_workflow_exits_with_3_and_the_others_are_tested() {
    let dir = tempfile::tempdir().unwrap();
    let bad = write(dir.path(), "bad.yaml", "version: 1\nsteps: {a: {op: nothing, input: b}}\n");
    let good = write(dir.path(), "good.yaml", &format!("{RAMP}  - {{name: x, expect: {{}}}}\n"));
    let o = engine(&["test", bad.to_str().unwrap(), good.to_str().unwrap()]);
    assert_eq!(o.status.code(), Some(3));
    assert!(stdout(&o).ends_with("1 test, 0 failed, 1 workflow invalid\n"), "{}", stdout(&o));
    let value =
        write(dir.path(), "value.yaml", &format!("{RAMP}  - {{name: x, params: {{level: up}}, expect: {{}}}}\n"));
    assert_eq!(engine(&["test", value.to_str().unwrap()]).status.code(), Some(3));
}

#[test]
fn a_run_that_fails_gives_its_code_unless_it_was_expected() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("images")).unwrap();
    let noise = image::GrayImage::from_fn(64, 64, |x, y| image::Luma([(x * 7919 + y * 104_729) as u8]));
    let path = dir.path().join("images/cut.png");
    noise.save(&path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let text = |exit: &str| {
        format!(
            "version: 1
params:
  file: {{type: string, default: images/none.png}}
inputs:
  image: {{path: \"${{params.file}}\"}}
outputs:
  Copy: {{from: image, format: png}}
tests:
  - name: damaged
    params: {{file: images/cut.png}}
    expect: {{{exit}}}
"
        )
    };
    for (exit, code) in [("exit: 5", 0), ("", 5), ("exit: 3", 5)] {
        let file = write(dir.path(), "w.yaml", &text(exit));
        let o = engine(&["test", file.to_str().unwrap()]);
        assert_eq!(o.status.code(), Some(code), "{exit}: {} {}", stdout(&o), String::from_utf8_lossy(&o.stderr));
    }
}

//! The commands that check and explain, as a user types them: output, exit codes, formats.

use serde_json::Value as Json;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn engine(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_engine")).args(args).env_remove("NO_COLOR").output().unwrap()
}

fn golden(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/diagnostics").join(name);
    path.canonicalize().unwrap().display().to_string()
}

fn stdout(o: &Output) -> String {
    String::from_utf8(o.stdout.clone()).unwrap()
}

fn stderr(o: &Output) -> String {
    String::from_utf8(o.stderr.clone()).unwrap()
}

fn json(o: &Output) -> Json {
    let text = stdout(o);
    assert_eq!(text.lines().count(), 1, "one line on standard output: {text}");
    serde_json::from_str(&text).unwrap()
}

#[test]
fn init_writes_a_workflow_that_validates_and_never_overwrites() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("new/project");
    let target = target.to_str().unwrap();
    let o = engine(&["init", target]);
    assert_eq!(o.status.code(), Some(0), "{}", stderr(&o));
    let file = format!("{target}/workflow.yaml");
    let o = engine(&["validate", "--deny-warnings", &file]);
    assert_eq!((o.status.code(), stderr(&o).as_str()), (Some(0), ""));
    assert!(stdout(&o).contains("valid (1 input, 2 steps, 2 outputs)"));
    std::fs::write(&file, "mine").unwrap();
    let o = engine(&["init", target]);
    assert_eq!(o.status.code(), Some(2));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    let named = dir.path().join("a.yaml");
    assert_eq!(json(&engine(&["init", "--json", named.to_str().unwrap()]))["written"], named.to_str().unwrap());
}

#[test]
fn validate_shows_every_error_with_its_place_and_exits_with_3() {
    let file = golden("many_first_try.yaml");
    let o = engine(&["validate", &file]);
    assert_eq!(o.status.code(), Some(3));
    let text = stderr(&o);
    assert!(text.contains(&format!("--> {file}:7:14")), "{text}");
    assert!(text.contains("error[E0501]") && text.contains("error[E0703]") && text.contains("engine explain E0"));
    assert!(!text.contains('\u{1b}'), "no colours where there is no terminal");
    assert_eq!(stdout(&o), format!("{file}: invalid\n"));
}

#[test]
fn warnings_count_only_when_denied() {
    let file = golden("unused.yaml");
    assert_eq!(engine(&["validate", "--no-open", &file]).status.code(), Some(0));
    assert_eq!(engine(&["validate", "--no-open", "--deny-warnings", &file]).status.code(), Some(3));
}

#[test]
fn inputs_are_opened_unless_told_not_to() {
    let file = golden("valid_include.yaml");
    assert_eq!(engine(&["validate", "--no-open", &file]).status.code(), Some(0));
    let o = engine(&["validate", &file]);
    assert_eq!(o.status.code(), Some(3));
    assert!(stderr(&o).contains("error[E060"), "{}", stderr(&o));
}

#[test]
fn the_formats_for_programs() {
    let (bad, good) = (golden("cycle_two.yaml"), golden("valid_use.yaml"));
    let o = engine(&["validate", "--json", "--no-open", &good, &bad]);
    let v = json(&o);
    assert_eq!((o.status.code(), v["valid"].as_bool()), (Some(3), Some(false)));
    assert_eq!(v["workflows"][0]["valid"], true);
    assert_eq!(v["workflows"][1]["diagnostics"][0]["code"], "E0314");
    let o = engine(&["validate", "--format", "github", "--no-open", &bad]);
    assert!(stdout(&o).starts_with(&format!("::error file={bad},line=5,endLine=5,col=26,endColumn=27,title=E0314::")));
    let o = engine(&["validate", "--format", "sarif", "--no-open", &good, &bad]);
    let v: Json = serde_json::from_str(&stdout(&o)).unwrap();
    assert_eq!((v["version"].as_str(), v["runs"].as_array().unwrap().len()), (Some("2.1.0"), 2));
    assert_eq!(v["runs"][1]["results"][0]["ruleId"], "E0314");
}

#[test]
fn parameters_from_the_command_line_and_from_files() {
    let file = golden("param_no_default.yaml");
    assert_eq!(engine(&["validate", "--no-open", &file]).status.code(), Some(3));
    assert_eq!(engine(&["validate", "--no-open", "--set", "sigma=2", &file]).status.code(), Some(0));
    assert_eq!(engine(&["validate", "--no-open", "--params", &golden("_params.yaml"), &file]).status.code(), Some(0));
    let o = engine(&["validate", "--no-open", "--set", "sigma=wide", &file]);
    assert!(stderr(&o).contains("--> command line:1:13"), "{}", stderr(&o));
}

#[test]
fn explain_lists_and_shows_codes() {
    let o = engine(&["explain"]);
    assert!(stdout(&o).lines().count() > 70 && stdout(&o).contains("E0314  cycle"));
    let o = engine(&["explain", "e0314"]);
    assert!(stdout(&o).contains("wrong:") && stdout(&o).contains("right:"));
    assert_eq!(json(&engine(&["explain", "E0314", "--json"]))["title"], "cycle");
    assert_eq!(engine(&["explain", "E9999"]).status.code(), Some(2));
}

#[test]
fn ops_lists_and_shows_manuals() {
    let list = json(&engine(&["ops", "--json"]));
    assert!(list.as_array().unwrap().iter().any(|o| o["name"] == "gaussian"));
    for op in list.as_array().unwrap() {
        let name = op["name"].as_str().unwrap();
        let o = engine(&["ops", "show", name]);
        let text = stdout(&o);
        assert_eq!(o.status.code(), Some(0));
        for part in ["input", "result\n", "example\n"] {
            assert!(text.contains(part), "{name} has no {part}: {text}");
        }
    }
    let o = engine(&["ops", "show", "gausian"]);
    assert_eq!(o.status.code(), Some(2));
    assert!(stderr(&o).contains("did you mean `gaussian`?"));
}

#[test]
fn schema_prints_and_writes() {
    let dir = tempfile::tempdir().unwrap();
    let o = engine(&["schema", "--write", dir.path().to_str().unwrap(), "--json"]);
    let written = json(&o)["written"].as_array().unwrap().len();
    assert_eq!(written, 1 + std::fs::read_dir(dir.path().join("ops")).unwrap().count());
    let printed = stdout(&engine(&["schema"]));
    assert_eq!(printed, std::fs::read_to_string(dir.path().join("workflow.schema.json")).unwrap());
    let shipped: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/workflow.schema.json");
    assert_eq!(printed, std::fs::read_to_string(shipped).unwrap(), "`engine schema --write schemas` rewrites it");
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_engine"))
        .arg("schema")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let o = child.wait_with_output().unwrap();
    assert_eq!((o.status.code(), stderr(&o).as_str()), (Some(0), ""));
}

/// Runs a command in a folder of golden cases over each and compares what it says; `UPDATE=1` rewrites the texts.
fn golden_cases(folder: &str, command: &str, code: impl Fn(&str) -> i32) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/diagnostics").join(folder);
    let mut names: Vec<PathBuf> = std::fs::read_dir(&dir).unwrap().map(|e| e.unwrap().path()).collect();
    names.retain(|p| p.extension().is_some_and(|e| e == "yaml"));
    names.sort();
    assert!(!names.is_empty());
    let mut wrong = Vec::new();
    for path in names {
        let file = path.file_name().unwrap().to_str().unwrap().to_owned();
        let run = Command::new(env!("CARGO_BIN_EXE_engine")).args([command, &file]).current_dir(&dir).output().unwrap();
        assert_eq!(run.status.code(), Some(code(&file)), "{file}: {}", stderr(&run));
        let text: String =
            stderr(&run).lines().filter(|l| !l.starts_with("`engine explain")).map(|l| format!("{l}\n")).collect();
        let golden = path.with_extension("txt");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&golden, &text).unwrap();
        } else if std::fs::read_to_string(&golden).unwrap_or_default() != text {
            wrong.push(format!("--- {file}\n{text}"));
        }
    }
    assert!(wrong.is_empty(), "differ from their golden text (UPDATE=1 rewrites):\n{}", wrong.join("\n"));
}

#[test]
fn what_only_opening_the_inputs_shows() {
    golden_cases("opened", "validate", |file| if file == "skipped.yaml" { 0 } else { 3 });
}

#[test]
fn what_only_planning_shows() {
    golden_cases("planned", "plan", |_| 4);
}

/// What a refused plan advises is tried: each way it names fits, and what it says of the limit is exact.
#[test]
fn every_way_out_of_too_little_memory_is_one() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/diagnostics/planned");
    let mut tried = 0;
    for case in ["memory_blocks", "memory_threads", "memory_kept", "memory_program"] {
        let file = dir.join(format!("{case}.yaml")).display().to_string();
        let advice = stderr(&engine(&["plan", &file]));
        let help = advice.lines().find(|l| l.contains("help:")).unwrap_or_else(|| panic!("no help in {advice}"));
        let ways: Vec<&str> = help.split('`').filter(|w| w.starts_with("--")).collect();
        assert!(ways.iter().any(|w| w.starts_with("--memory")), "{help}");
        for way in ways {
            let words: Vec<&str> = ["plan", &file].into_iter().chain(way.split(' ')).collect();
            let o = engine(&words);
            assert_eq!(o.status.code(), Some(0), "{case}: `{way}` is advised: {}", stderr(&o));
            tried += 1;
        }
    }
    assert!(tried >= 6, "only {tried} ways were advised");
}

//! Golden diagnostics: every broken workflow in `tests/golden/diagnostics` gives exactly its `.txt`.
//!
//! `UPDATE=1 cargo test -p engine-model --test diagnostics` rewrites them. A case `NAME.yaml` may begin with comment
//! lines `# set: k=v` and `# params: FILE` for the command line; names starting with `_` are read by other cases.

use engine_model::diag::{Diagnostic, Report, Sources, Style, codes, github, json, sarif, text};
use engine_model::spec::workflow::Workflow;
use engine_model::spec::{Overrides, TextSource, load};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

// The registry is filled by the crate `ops`, which the linker drops unless something refers to it.
use ops as _;

struct Folder(PathBuf);

impl TextSource for Folder {
    fn read(&self, path: &Path) -> Result<String, String> {
        std::fs::read_to_string(self.0.join(path)).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => "no such file".into(),
            other => other.to_string(),
        })
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/diagnostics")
}

fn cases() -> Vec<(String, String)> {
    let mut v: Vec<(String, String)> = std::fs::read_dir(folder())
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "yaml"))
        .map(|p| (p.file_stem().unwrap().to_str().unwrap().to_owned(), std::fs::read_to_string(&p).unwrap()))
        .filter(|(name, _)| !name.starts_with('_'))
        .collect();
    v.sort();
    v
}

fn overrides(text: &str) -> Overrides {
    let after = |prefix: &str| -> Vec<String> {
        text.lines().filter_map(|l| l.strip_prefix(prefix)).map(|s| s.trim().to_owned()).collect()
    };
    let params_files = after("# params: ").into_iter().map(PathBuf::from).collect();
    Overrides { set: after("# set: "), params_files, test: None }
}

fn run(name: &str, text: &str) -> (Sources, Option<Workflow>, Report) {
    let path = PathBuf::from(format!("{name}.yaml"));
    load(&path, text.to_owned(), &overrides(text), &Folder(folder()))
}

#[test]
fn every_case_gives_its_golden_text() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut wrong = Vec::new();
    for (name, yaml) in cases() {
        let (sources, workflow, report) = run(&name, &yaml);
        assert_eq!(workflow.is_some(), !report.has_errors(), "{name}");
        let found = text(&sources, &report, Style::Plain);
        let golden = folder().join(format!("{name}.txt"));
        if update {
            std::fs::write(&golden, &found).unwrap();
        } else if std::fs::read_to_string(&golden).unwrap_or_default() != found {
            wrong.push(format!("--- {name}\n{found}"));
        }
    }
    assert!(wrong.is_empty(), "differ from their golden text (UPDATE=1 rewrites):\n{}", wrong.join("\n"));
}

/// Codes in the golden texts of what needs files or a plan, which the tests of the program compare.
fn codes_beyond_text() -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    for part in ["opened", "planned"] {
        for e in std::fs::read_dir(folder().join(part)).unwrap() {
            let path = e.unwrap().path();
            if path.extension().is_some_and(|e| e == "txt") {
                let text = std::fs::read_to_string(&path).unwrap();
                let heads = text.lines().filter(|l| l.starts_with("error[") || l.starts_with("warning["));
                codes.extend(heads.filter_map(|l| Some(l.split_once('[')?.1.split_once(']')?.0.to_owned())));
            }
        }
    }
    codes
}

/// Every code written as a string in the sources of a crate.
fn codes_in(dir: &Path, out: &mut BTreeSet<String>) {
    for e in std::fs::read_dir(dir).unwrap() {
        let path = e.unwrap().path();
        if path.is_dir() && path.file_name().unwrap() != "codes" {
            codes_in(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            for (i, _) in text.match_indices('"') {
                let Some(code) = text.get(i + 1..i + 6) else { continue };
                let digits = code[1..].bytes().all(|b| b.is_ascii_digit());
                if code.starts_with(['E', 'W']) && digits && text.as_bytes().get(i + 6) == Some(&b'"') {
                    out.insert(code.to_owned());
                }
            }
        }
    }
}

#[test]
fn codes_are_registered_used_and_shown_by_a_case() {
    let registered: BTreeSet<String> = codes::all().map(|c| c.code.to_owned()).collect();
    let mut used = BTreeSet::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for part in ["src", "../src", "../runtime/src", "../../ops/src", "../../ops/core/src"] {
        codes_in(&root.join(part), &mut used);
    }
    let unregistered: Vec<_> = used.difference(&registered).collect();
    assert!(unregistered.is_empty(), "used without a page in codes: {unregistered:?}");
    let mut shown = BTreeSet::new();
    for (name, yaml) in cases() {
        shown.extend(run(&name, &yaml).2.sorted().iter().map(|d| d.code.to_owned()));
    }
    shown.extend(codes_beyond_text());
    // What ops warn of and what is in the way of outputs needs a run: the tests of the program show it.
    let by_a_run =
        |code: &&String| code.starts_with("W092") || ["E0710", "E0711", "E0802", "W0912"].contains(&code.as_str());
    let missing: Vec<_> = registered.difference(&shown).filter(|code| !by_a_run(code)).collect();
    assert!(missing.is_empty(), "no golden case shows {missing:?}");
    let mut order: Vec<&str> = codes::all().map(|c| c.code).collect();
    order.dedup();
    assert!(order.is_sorted() && order.len() == registered.len(), "codes in order, each once");
}

#[test]
fn there_are_enough_cases_and_many_errors_come_at_once() {
    let counts: Vec<usize> = cases().iter().map(|(n, y)| run(n, y).2.counts().0).collect();
    assert!(counts.iter().filter(|c| **c > 0).count() >= 60);
    assert!(counts.iter().filter(|c| **c >= 3).count() >= 10);
}

#[test]
fn valid_cases_are_valid() {
    for (name, yaml) in cases().iter().filter(|(n, _)| n.starts_with("valid")) {
        let (sources, workflow, report) = run(name, yaml);
        assert!(workflow.is_some() && report.is_empty(), "{}", text(&sources, &report, Style::Plain));
    }
}

/// A diagnostic without its position, which fixes move.
fn facts(report: &Report) -> BTreeSet<(&'static str, String)> {
    report.sorted().into_iter().map(|d| (d.code, d.message)).collect()
}

fn replaced(text: &str, d: &Diagnostic) -> String {
    let fix = d.fix.as_ref().unwrap();
    let mut out = text.to_owned();
    out.replace_range(fix.span.start as usize..fix.span.end as usize, &fix.text);
    out
}

/// Errors that a mended one was hiding: reading stopped there, or the name was taken for unknown.
fn hidden_behind(code: &str) -> bool {
    ["E0101", "E0105", "E0201", "E0204", "E0501", "E0503"].contains(&code)
}

#[test]
fn each_fix_removes_its_error_and_brings_no_other() {
    let mut applied = 0;
    for (name, yaml) in cases() {
        let (_, _, report) = run(&name, &yaml);
        let before = facts(&report);
        for d in report.sorted().iter().filter(|d| d.fix.as_ref().is_some_and(|f| f.span.file == 0)) {
            let mended = replaced(&yaml, d);
            let after = facts(&run(&name, &mended).2);
            assert!(!after.contains(&(d.code, d.message.clone())), "{name}: {} stays after\n{mended}", d.message);
            let new: Vec<_> = after.difference(&before).filter(|(c, _)| !c.starts_with('W')).collect();
            assert!(new.is_empty() || hidden_behind(d.code), "{name}: fixing {} brings {new:?}\n{mended}", d.message);
            applied += 1;
        }
        // All of them together, last first: where every error had a fix, the workflow is valid then.
        let all = report.sorted();
        let errors: Vec<_> = all.iter().filter(|d| d.code.starts_with('E')).collect();
        let mendable = |d: &&&Diagnostic| d.fix.as_ref().is_some_and(|f| f.span.file == 0);
        if !errors.is_empty() && errors.iter().filter(mendable).count() == errors.len() {
            let mut mended = yaml.clone();
            let mut fixes: Vec<_> = errors.clone();
            fixes.sort_by_key(|d| std::cmp::Reverse(d.fix.as_ref().unwrap().span));
            for d in fixes {
                mended = replaced(&mended, d);
            }
            let (sources, _, left) = run(&name, &mended);
            assert!(!left.has_errors(), "{name} mended is\n{mended}\n{}", text(&sources, &left, Style::Plain));
        }
    }
    assert!(applied >= 30, "only {applied} fixes in the golden cases");
}

#[test]
fn the_other_formats_carry_every_diagnostic() {
    let (name, yaml) = cases().into_iter().find(|(n, _)| n == "many_first_try").unwrap();
    let (sources, _, report) = run(&name, &yaml);
    let all = report.sorted();
    let json = json(&sources, &report);
    assert_eq!(json["diagnostics"].as_array().unwrap().len(), all.len());
    assert_eq!(json["valid"], false);
    let first = &json["diagnostics"][0]["at"];
    assert_eq!((first["line"].as_u64(), first["file"].as_str()), (Some(5), Some("many_first_try.yaml")));
    let commands = github(&sources, &report);
    assert_eq!(commands.lines().count(), all.len());
    assert!(commands.starts_with("::error file=many_first_try.yaml,line=5,"));
    let sarif = sarif(&sources, &report);
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    assert_eq!(results.len(), all.len());
    for r in results {
        let rule = r["ruleIndex"].as_u64().unwrap() as usize;
        assert_eq!(sarif["runs"][0]["tool"]["driver"]["rules"][rule]["id"], r["ruleId"]);
    }
}

#[test]
fn plain_text_has_no_escape_sequences_and_colour_adds_no_words() {
    let (name, yaml) = cases().into_iter().find(|(n, _)| n == "many_first_try").unwrap();
    let (sources, _, report) = run(&name, &yaml);
    let plain = text(&sources, &report, Style::Plain);
    let colour = text(&sources, &report, Style::Colour);
    assert!(!plain.contains('\u{1b}') && colour.contains('\u{1b}'));
    let mut bare = String::new();
    let mut rest = colour.as_str();
    while let Some(i) = rest.find('\u{1b}') {
        bare.push_str(&rest[..i]);
        rest = &rest[i + rest[i..].find('m').unwrap() + 1..];
    }
    bare.push_str(rest);
    assert_eq!(bare, plain);
}

/// A chain of `n` steps.
fn chain(n: usize) -> String {
    let mut s =
        "version: 1\nparams:\n  sigma: {type: number, default: 1}\ninputs:\n  s0: {path: a.tif}\nsteps:\n".to_owned();
    for i in 1..=n {
        s.push_str(&format!("  s{i}: {{op: gaussian, input: s{}, with: {{sigma: \"${{params.sigma}}\"}}}}\n", i - 1));
    }
    s + &format!("outputs:\n  Result: {{from: s{n}}}\n")
}

#[test]
fn fifty_steps_are_checked_in_less_than_50_ms() {
    let text = chain(50);
    assert!(run("chain", &text).1.is_some());
    let fastest = (0..5)
        .map(|_| {
            let start = std::time::Instant::now();
            assert_eq!(run("chain", &text).1.unwrap().steps.len(), 50);
            start.elapsed()
        })
        .min()
        .unwrap();
    println!("50 steps: {fastest:?}");
    assert!(fastest < std::time::Duration::from_millis(50), "{fastest:?}");
}

#[test]
fn a_chain_of_10000_steps_does_not_overflow_the_stack() {
    let (_, workflow, report) = run("chain", &chain(10_000));
    assert!(report.is_empty(), "{:?}", report.sorted().first());
    assert_eq!(workflow.unwrap().steps.len(), 10_000);
}

#[test]
fn hostile_texts_end_soon() {
    let deep = "[".repeat(500_000);
    let deep_block: String = (0..2000).map(|i| format!("{}- \n", " ".repeat(i))).collect();
    let keys = "a: ".repeat(100_000);
    let quotes = "\"".repeat(99_999);
    let wide = format!("version: 1\nx-a: {{{}}}\n", (0..40_000).map(|i| format!("k{i}: 1, ")).collect::<String>());
    let anchors: String = (0..700).map(|i| format!("x-{i}: &a{i} [*a{}]\n", i.max(1) - 1)).collect();
    let flow_keys = "{".repeat(100_000) + "a";
    let question = "? ".repeat(50_000);
    for text in [deep, deep_block, keys, quotes, wide, anchors, flow_keys, question, "\u{feff}".into(), "\0\0".into()] {
        let start = std::time::Instant::now();
        run("hostile", &text);
        let head: String = text.chars().take(20).collect();
        assert!(start.elapsed() < std::time::Duration::from_secs(10), "{:?} for {head:?}", start.elapsed());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_gives_a_report_or_a_workflow(text in "\\PC{0,200}|[-a-z:{}\\[\\]&*!|>'\"%@`#,? \n\t]{0,300}") {
        let (sources, workflow, report) = run("any", &text);
        prop_assert_eq!(workflow.is_some(), !report.has_errors());
        render_all(&sources, &report);
    }

    #[test]
    fn any_bytes_give_a_report_or_a_workflow(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let (sources, _, report) = run("any", &String::from_utf8_lossy(&bytes));
        render_all(&sources, &report);
    }

    #[test]
    fn mutated_workflows_never_panic(which in 0usize..200, edits in proptest::collection::vec((any::<u16>(), 0u8..4, "\\PC{0,4}|[:{}\\[\\]\n #-]{1,3}"), 1..6)) {
        let cases = cases();
        let (name, yaml) = &cases[which % cases.len()];
        let mut text: Vec<char> = yaml.chars().collect();
        for (at, kind, piece) in edits {
            let at = at as usize % (text.len() + 1);
            match kind {
                0 => { text.splice(at..at, piece.chars()); }
                1 => { let end = (at + 1 + piece.len()).min(text.len()); text.drain(at..end); }
                2 => { let end = (at + 40).min(text.len()); let copy: Vec<char> = text[at..end].to_vec(); text.splice(at..at, copy); }
                _ => { text.truncate(at.max(1)); }
            }
        }
        let (sources, workflow, report) = run(name, &text.iter().collect::<String>());
        prop_assert_eq!(workflow.is_some(), !report.has_errors());
        render_all(&sources, &report);
    }
}

fn render_all(sources: &Sources, report: &Report) {
    text(sources, report, Style::Plain);
    json(sources, report);
    github(sources, report);
    sarif(sources, report);
}

#[test]
fn every_op_has_a_schema_that_compiles_and_an_example_that_validates() {
    for op in ops_core::registry::all() {
        let json = engine_model::spec::schema::of_op(op);
        engine_model::spec::check::Schema::new(json).compile().unwrap_or_else(|e| panic!("{}: {e}", op.name));
        let step = op.example.trim_end();
        let name = step.split(':').next().unwrap().trim();
        let mut sources: BTreeSet<String> = BTreeSet::new();
        let value: serde_json::Value = {
            let mut report = Report::default();
            engine_model::spec::yaml::parse(step, 0, 0, &mut report).unwrap().to_json()
        };
        match (&value[name]["input"], &value[name]["inputs"]) {
            (serde_json::Value::String(s), _) => drop(sources.insert(s.clone())),
            (_, serde_json::Value::Object(o)) => sources.extend(o.values().map(|v| v.as_str().unwrap().to_owned())),
            other => panic!("{}: the example connects {other:?}", op.name),
        }
        let inputs: String = sources.iter().map(|s| format!("  {s}: {{foreach: \"*.tif\"}}\n")).collect();
        let indented: String = step.lines().map(|l| format!("  {l}\n")).collect();
        let yaml = format!("version: 1\ninputs:\n{inputs}steps:\n{indented}outputs:\n  Result: {{from: {name}}}\n");
        let (texts, workflow, report) = run("example", &yaml);
        assert!(workflow.is_some(), "{}:\n{}", op.name, text(&texts, &report, Style::Plain));
    }
}

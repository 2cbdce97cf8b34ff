//! Text to plan: reading, checking, building and planning a workflow, and showing what is wrong with it.

use super::pictures::Pictures;
use engine_model::diag::{Report, Sources, Style, github, json, sarif, text};
use engine_model::graph::build;
use engine_model::plan::{Settings, document, print, rules};
use engine_model::spec::workflow::Workflow;
use engine_model::spec::{Overrides, TextSource, load};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A line that begins another file, followed by its name: the first file is the workflow.
const FILE: &str = "#file ";

/// The workflow that parameters are given to: one of every type, with and without bounds.
const PARAMETERS: &str = "\
version: 1
params:
  text: {type: string, default: a}
  word: {type: string, default: low, choices: [low, high]}
  number: {type: number, default: 1, minimum: -2.5, maximum: 1e3}
  count: {type: integer, default: 3, minimum: 1}
  flag: {type: boolean, default: false}
  many: {type: list, default: [1, 2]}
inputs:
  image: {foreach: \"${params.text}\"}
steps:
  a: {op: gaussian, input: image, with: {sigma: \"${params.number}\"}, when: \"${params.flag}\"}
outputs:
  Result: {from: a}
";

/// Files by name.
struct Texts(BTreeMap<PathBuf, String>);

impl TextSource for Texts {
    fn read(&self, path: &Path) -> Result<String, String> {
        self.0.get(path).cloned().ok_or_else(|| "no such file".into())
    }
}

/// A workflow, with the files it refers to after lines `#file NAME`.
pub fn workflow(data: &[u8]) {
    let (first, others) = files(data);
    check(first, &Overrides::default(), others);
}

/// Lines for `--set`, and params files after lines `#file NAME`.
pub fn params(data: &[u8]) {
    let (first, others) = files(data);
    let set = first.lines().map(str::to_owned).collect();
    let overrides = Overrides { set, params_files: others.keys().cloned().collect(), test: None };
    check(PARAMETERS.into(), &overrides, others);
}

fn files(data: &[u8]) -> (String, BTreeMap<PathBuf, String>) {
    let text = String::from_utf8_lossy(data);
    let mut parts: Vec<(PathBuf, String)> = vec![Default::default()];
    for line in text.split_inclusive('\n') {
        match (line.strip_prefix(FILE), parts.last_mut()) {
            (Some(name), _) => parts.push((name.trim().into(), String::new())),
            (None, Some(part)) => part.1.push_str(line),
            (None, None) => {}
        }
    }
    let first = parts.remove(0).1;
    (first, parts.into_iter().collect())
}

fn check(text: String, overrides: &Overrides, others: BTreeMap<PathBuf, String>) {
    let texts = Texts(others);
    let (sources, workflow, mut report) = load(Path::new("workflow.yaml"), text, overrides, &texts);
    assert_eq!(workflow.is_some(), !report.has_errors(), "a workflow, or an error that says why not");
    if let Some(workflow) = workflow {
        plan(&workflow, &mut report);
    }
    show(&sources, &report);
}

fn plan(workflow: &Workflow, report: &mut Report) {
    let Some(graph) = build::build(workflow, &Pictures, report) else {
        assert!(report.has_errors(), "a graph, or an error that says why not");
        return;
    };
    if report.has_errors() {
        return;
    }
    document::graph(&graph);
    let p = &workflow.profile;
    let settings = Settings {
        memory: p.memory.as_ref().map_or(256 << 20, |m| m.value),
        threads: p.threads.as_ref().map_or(3, |t| t.value as usize).max(1),
        block: p.block.as_ref().map_or(vec![], |b| b.value.clone()),
        fuse: true,
        spill: false,
        waiting: 0,
    };
    let limit = settings.memory;
    let (plan, fits) = match rules::make(graph, settings) {
        Ok(plan) => (plan, true),
        Err(refusal) => {
            assert!(!refusal.to_string().is_empty() && !refusal.help.is_empty());
            (refusal.plan, false)
        }
    };
    assert_eq!(fits, plan.memory.projected <= limit, "a plan is refused exactly when it does not fit");
    print::text(&plan);
    document::of(&plan);
}

/// Every form of the report; and a fix replaces text that is there.
fn show(sources: &Sources, report: &Report) {
    text(sources, report, Style::Plain);
    text(sources, report, Style::Colour);
    json(sources, report);
    github(sources, report);
    sarif(sources, report);
    for d in report.sorted() {
        let Some(fix) = &d.fix else { continue };
        let Some(file) = sources.get(fix.span.file) else { panic!("a fix in no file: {d:?}") };
        let range = fix.span.start as usize..fix.span.end as usize;
        assert!(file.text.get(range).is_some(), "a fix of text that is not there: {d:?}");
    }
}

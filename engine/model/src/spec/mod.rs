//! The workflow language: text to a checked, flat [`workflow::Workflow`].
//!
//! Reading order: [`yaml`] and [`scalar`] (text to a tree with positions), [`mod@file`] (the types of the file, from which
//! [`schema`] is generated), [`check`] (schema violations as diagnostics), [`params`] (values), `references`, `unit`
//! (one file), `expand` (sub-workflows and repeats to a flat list of steps), `conditions` (`when:`), `resolve` (names, cycles),
//! `ops` (ops, their inputs and parameters), `outputs` (outputs, profile and tests).

pub mod check;
pub mod codec;
mod conditions;
mod expand;
pub mod file;
pub mod names;
mod ops;
mod outputs;
pub mod params;
mod parts;
mod references;
mod resolve;
pub mod scalar;
pub mod schema;
mod size;
pub mod tree;
mod unit;
pub mod workflow;
pub mod yaml;

pub use size::parse_bytes;

use crate::diag::{Diagnostic, Report, Sources, Span};
use params::{Given, Raw};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use workflow::{Origin, Spanned, Workflow};

/// Reads texts that a workflow refers to: includes, used workflows, params files.
pub trait TextSource {
    /// The text of a file.
    ///
    /// # Errors
    /// Why it can't be read, in words.
    fn read(&self, path: &Path) -> Result<String, String>;
}

/// Values given besides the workflow file.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `name=value`, as typed after `--set`; the last one of a name counts, before any params file.
    pub set: Vec<String>,
    /// Files of `name: value`; a later one counts before an earlier one.
    pub params_files: Vec<PathBuf>,
    /// The entry of the workflow's `tests:` whose params hold, by its number; they win over the others.
    pub test: Option<usize>,
}

/// Loads a workflow and checks all that can be told from text: everything wrong is in the report.
///
/// The workflow is there exactly when the report has no error.
pub fn load(
    path: &Path,
    text: String,
    overrides: &Overrides,
    fs: &dyn TextSource,
) -> (Sources, Option<Workflow>, Report) {
    let mut l = Loader {
        sources: Sources::default(),
        by_path: BTreeMap::new(),
        command_line: None,
        report: Report::default(),
        fs,
        schemas: BTreeMap::new(),
        test: overrides.test,
    };
    let file = l.add_source(path, text);
    let given = l.given(overrides);
    let text = l.sources.get(file).map(|f| f.text.clone()).unwrap_or_default();
    let workflow = l.unit(path, text, &given).and_then(|unit| expand::workflow(&mut l, unit, path));
    let workflow = if l.report.has_errors() { None } else { workflow };
    (l.sources, workflow, l.report)
}

/// What loading carries along.
pub(crate) struct Loader<'a> {
    sources: Sources,
    by_path: BTreeMap<PathBuf, u32>,
    command_line: Option<u32>,
    report: Report,
    fs: &'a dyn TextSource,
    schemas: BTreeMap<&'static str, check::Schema>,
    /// The entry of `tests:` whose params hold, until the outermost file was read.
    test: Option<usize>,
}

impl Loader<'_> {
    /// The number of a text in the sources; the same path is added once.
    fn add_source(&mut self, path: &Path, text: String) -> u32 {
        if let Some(file) = self.by_path.get(path) {
            return *file;
        }
        let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
        let file = self.sources.add(path, text);
        self.by_path.insert(path.to_path_buf(), file);
        file
    }

    /// The values of params files, then those of the command line.
    fn given(&mut self, overrides: &Overrides) -> Vec<Given> {
        let mut given = Vec::new();
        for path in &overrides.params_files {
            self.params_file(path, &mut given);
        }
        if overrides.set.is_empty() {
            return given;
        }
        let text: String = overrides.set.iter().map(|s| format!("--set {}\n", s.replace('\n', " "))).collect();
        let file = self.sources.add(Path::new("command line"), text);
        self.command_line = Some(file);
        let mut start = 0u32;
        for s in &overrides.set {
            let at = start + "--set ".len() as u32;
            let end = at + s.len() as u32;
            start = end + 1;
            let Some((name, value)) = s.split_once('=') else {
                let d = Diagnostic::new(
                    "E0407",
                    Span { file, start: at, end },
                    "expected `--set name=value`, found no `=`",
                );
                self.report.push(d.help(format!("write `--set {s}=…`")));
                continue;
            };
            let split = at + name.len() as u32;
            let value = Spanned::new(value.replace('\n', " "), Span { file, start: split + 1, end });
            let name = Spanned::new(name.to_owned(), Span { file, start: at, end: split });
            given.push(Given { name, value: Raw::Typed(value), origin: Origin::CommandLine(s.clone()) });
        }
        given
    }

    fn params_file(&mut self, path: &Path, given: &mut Vec<Given>) {
        let shown = path.display().to_string();
        let text = match self.fs.read(path) {
            Ok(text) => text,
            Err(e) => {
                let file = self.sources.add(Path::new("command line"), format!("--params {shown}\n"));
                let span = Span { file, start: 9, end: 9 + shown.len() as u32 };
                let d = Diagnostic::new("E0409", span, format!("can't read the params file: {e}"));
                self.report.push(d.help("paths on the command line start from the working directory"));
                return;
            }
        };
        let file = self.add_source(path, text);
        let text = self.sources.get(file).map(|f| f.text.clone()).unwrap_or_default();
        let Some(tree) = yaml::parse(&text, file, 0, &mut self.report) else { return };
        if !tree.is_map() {
            let message = format!("expected a mapping of parameters, found {}", tree.describe());
            self.report.push(Diagnostic::new("E0409", tree.span, message).help("write `name: value` lines"));
        }
        for e in tree.entries() {
            given.push(Given {
                name: Spanned::new(e.key.clone(), e.key_span),
                value: Raw::Node(e.value.clone()),
                origin: Origin::ParamsFile(shown.clone()),
            });
        }
    }
}

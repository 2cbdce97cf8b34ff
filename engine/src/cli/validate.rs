//! `engine validate`: everything that can be known to be wrong with a workflow before it runs.

use crate::output;
use crate::{exit, loading};
use clap::{Args, ValueEnum};
use engine_model::diag::{Report, Sources, Style, count, github, json, sarif, text};
use engine_model::graph::build;
use engine_model::spec::Overrides;
use engine_runtime::store::catalog::FileCatalog;
use serde_json::{Value as Json, json};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

/// Arguments of `engine validate`.
#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// The workflow files.
    #[arg(required = true)]
    workflows: Vec<PathBuf>,
    /// How what is wrong is printed.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// The same as `--format json`.
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Check the text only: open no input file, so that shapes and dtypes are not checked.
    #[arg(long)]
    no_open: bool,
    /// Treat warnings as errors.
    #[arg(long)]
    deny_warnings: bool,
    /// Sets a parameter of each workflow; the value is read as YAML. May be repeated.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// A YAML file of parameters; `--set` wins over it. May be repeated.
    #[arg(long, value_name = "FILE")]
    params: Vec<PathBuf>,
}

/// How diagnostics are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// With the source lines, for people.
    Text,
    /// One JSON object.
    Json,
    /// Workflow commands that GitHub shows beside the lines.
    Github,
    /// SARIF 2.1.0.
    Sarif,
}

/// One workflow, checked.
struct Checked<'a> {
    path: &'a Path,
    sources: Sources,
    report: Report,
    /// In words, what a valid workflow holds.
    holds: String,
}

impl Checked<'_> {
    fn is_valid(&self, deny_warnings: bool) -> bool {
        let (errors, warnings) = self.report.counts();
        errors == 0 && !(deny_warnings && warnings > 0)
    }
}

/// Checks the workflows and prints what is wrong.
pub fn run(args: &ValidateArgs) -> u8 {
    let checked: Vec<Checked<'_>> = args.workflows.iter().map(|path| check(path, args)).collect();
    let valid = checked.iter().all(|c| c.is_valid(args.deny_warnings));
    match if args.json { Format::Json } else { args.format } {
        Format::Text => checked.iter().for_each(|c| show(c, args.deny_warnings)),
        Format::Json => {
            let all: Vec<Json> = checked
                .iter()
                .map(|c| {
                    let mut o = json(&c.sources, &c.report);
                    o["workflow"] = c.path.display().to_string().into();
                    o["valid"] = c.is_valid(args.deny_warnings).into();
                    o
                })
                .collect();
            output::line(json!({"valid": valid, "workflows": all}));
        }
        Format::Github => checked.iter().for_each(|c| output::text(&github(&c.sources, &c.report))),
        Format::Sarif => {
            let mut logs = checked.iter().map(|c| sarif(&c.sources, &c.report));
            if let Some(mut first) = logs.next() {
                let more = logs.filter_map(|l| l["runs"].get(0).cloned());
                if let Some(runs) = first["runs"].as_array_mut() {
                    runs.extend(more);
                }
                output::line(format!("{first:#}"));
            }
        }
    }
    if valid { exit::OK } else { exit::INVALID }
}

fn check<'a>(path: &'a Path, args: &ValidateArgs) -> Checked<'a> {
    let overrides = Overrides { set: args.set.clone(), params_files: args.params.clone(), test: None };
    let (sources, workflow, mut report) = match loading::load(path, &overrides) {
        Ok(loaded) => loaded,
        Err(refused) => {
            return Checked { path, sources: refused.sources, report: refused.report, holds: String::new() };
        }
    };
    let mut holds = String::new();
    if let Some(w) = &workflow {
        holds = format!(
            "{}, {}, {}",
            count(w.inputs.len() as u64, "input"),
            count(w.steps.len() as u64, "step"),
            count(w.outputs.len() as u64, "output")
        );
        if !args.no_open {
            build::build(w, &FileCatalog, &mut report);
        }
    }
    Checked { path, sources, report, holds }
}

fn show(c: &Checked<'_>, deny_warnings: bool) {
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    eprint!("{}", text(&c.sources, &c.report, if colour { Style::Colour } else { Style::Plain }));
    if c.is_valid(deny_warnings) {
        output::line(format!("{}: valid ({})", c.path.display(), c.holds));
    } else {
        let why = if c.report.has_errors() { "invalid" } else { "invalid, because of --deny-warnings" };
        output::line(format!("{}: {why}", c.path.display()));
        if let Some(d) = c.report.sorted().first() {
            eprintln!("`engine explain {}` tells more about the first one", d.code);
        }
    }
}

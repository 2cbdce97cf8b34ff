//! From command line to plan: what `run`, `plan` and `test` share.

use crate::{exit, loading};
use clap::Args;
use engine_model::diag::{Diagnostic, Report, Sources, Span};
use engine_model::graph::{Graph, build};
use engine_model::plan::{Plan, Settings, rules};
use engine_model::spec::Overrides;
use engine_model::spec::workflow::{Origin, Workflow};
use engine_runtime::host;
use engine_runtime::store::catalog::FileCatalog;
use std::path::PathBuf;

/// Which workflow, with which parameters.
#[derive(Debug, Clone, Args)]
pub struct WorkflowArgs {
    /// The workflow file.
    pub workflow: PathBuf,
    /// Sets a parameter of the workflow; the value is read as YAML. May be repeated.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    /// A YAML file of parameters; `--set` wins over it. May be repeated.
    #[arg(long, value_name = "FILE")]
    pub params: Vec<PathBuf>,
    /// The entry of `tests:` whose params hold; `engine test` sets it.
    #[arg(skip)]
    pub test: Option<usize>,
}

/// How it is executed: nothing here changes a byte of the results.
#[derive(Debug, Clone, Args)]
pub struct ProfileArgs {
    /// Memory limit, such as `4GiB`; a plan that needs more is refused. [default: what the machine has to spare]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub memory: Option<u64>,
    /// Worker threads. [default: one for each processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub threads: Option<u64>,
    /// Block extent along the spatial axes: one number, or one for each axis.
    #[arg(long, value_name = "N[,N…]", value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..))]
    pub block: Vec<u64>,
    /// Keep every intermediate array instead of fusing steps; for comparison.
    #[arg(long)]
    pub no_fuse: bool,
}

fn parse_size(text: &str) -> Result<u64, String> {
    engine_model::spec::parse_bytes(text)
}

/// An effective setting and where it came from.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Setting {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub value: serde_json::Value,
    /// Where it came from.
    pub origin: Origin,
}

/// A workflow read and checked.
pub struct Prepared {
    /// The texts it came from.
    pub sources: Sources,
    /// The workflow.
    pub workflow: Workflow,
    /// Nodes with shapes and dtypes.
    pub graph: Graph,
    /// Effective settings of the profile.
    pub settings: Settings,
    /// The same with their origins, for the record.
    pub origins: Vec<Setting>,
    /// Warnings.
    pub report: Report,
}

/// A command that ends early: its diagnostics and its exit code.
pub struct Refused {
    /// The texts that spans refer to.
    pub sources: Sources,
    /// What is wrong.
    pub report: Report,
    /// The exit code.
    pub code: u8,
}

/// Reads and checks a workflow.
///
/// # Errors
/// Everything that is wrong with it.
pub fn prepare(args: &WorkflowArgs, profile: &ProfileArgs) -> Result<Prepared, Box<Refused>> {
    let overrides = Overrides { set: args.set.clone(), params_files: args.params.clone(), test: args.test };
    let (sources, workflow, mut report) = loading::load(&args.workflow, &overrides)?;
    let graph = workflow.as_ref().filter(|_| !report.has_errors()).and_then(|w| {
        let graph = build::build(w, &FileCatalog, &mut report)?;
        Some((w.clone(), graph))
    });
    let Some((workflow, graph)) = graph.filter(|_| !report.has_errors()) else {
        return Err(Box::new(Refused { sources, report, code: exit::INVALID }));
    };
    let (settings, origins) = settings(&workflow, profile, &sources);
    Ok(Prepared { sources, workflow, graph, settings, origins, report })
}

fn settings(workflow: &Workflow, args: &ProfileArgs, sources: &Sources) -> (Settings, Vec<Setting>) {
    let at = |span: Span| {
        let file = sources.get(span.file).map(|f| f.path.display().to_string()).unwrap_or_default();
        Origin::Workflow(format!("{file}:{}", sources.line_column(span).0))
    };
    let typed = |flag: &str| Origin::CommandLine(flag.to_owned());
    let p = &workflow.profile;
    let (memory, memory_from) = match (args.memory, &p.memory) {
        (Some(m), _) => (m, typed("--memory")),
        (None, Some(m)) => (m.value, at(m.span)),
        (None, None) => (host::default_memory(), Origin::Default),
    };
    let (threads, threads_from) = match (args.threads, &p.threads) {
        (Some(n), _) => (n as usize, typed("--threads")),
        (None, Some(n)) => (n.value as usize, at(n.span)),
        (None, None) => (host::processors(), Origin::Default),
    };
    let (block, block_from) = match (&args.block, &p.block) {
        (b, _) if !b.is_empty() => (b.clone(), typed("--block")),
        (_, Some(b)) => (b.value.clone(), at(b.span)),
        _ => (Vec::new(), Origin::Default),
    };
    let fuse_from = if args.no_fuse { typed("--no-fuse") } else { Origin::Default };
    let settings = Settings { memory, threads: threads.max(1), block, fuse: !args.no_fuse, spill: false, waiting: 0 };
    let list = vec![
        Setting { name: "memory", value: settings.memory.into(), origin: memory_from },
        Setting { name: "threads", value: settings.threads.into(), origin: threads_from },
        Setting { name: "block", value: serde_json::json!(settings.block), origin: block_from },
        Setting { name: "fuse", value: settings.fuse.into(), origin: fuse_from },
    ];
    (settings, list)
}

/// A plan, or the diagnostic of one that does not fit together with it.
///
/// # Errors
/// When it does not fit the memory limit.
pub fn plan(graph: Graph, settings: Settings, span: Span) -> Result<Plan, Box<(Plan, Diagnostic)>> {
    rules::make(graph, settings).map_err(|refusal| {
        let d = Diagnostic::new("E0801", span, refusal.to_string())
            .note(refusal.largest.clone())
            .help(refusal.help.clone());
        Box::new((refusal.plan, d))
    })
}

//! A run from its arguments to its end: what `run` and `test` share.

use crate::loading::show;
use crate::prepare::{self, Prepared, ProfileArgs, WorkflowArgs};
use crate::run_dir::RunDir;
use crate::{exit, header, targets};
use engine_model::diag::{Diagnostic, Report, Span};
use engine_model::plan::{Plan, Settings as PlanSettings, document, print};
use engine_runtime::bus::Bus;
use engine_runtime::event::{Event, RunStatus};
use engine_runtime::exec::clock::{Clock, process_cpu};
use engine_runtime::exec::run::{self as exec, Durability, Options, Outcome};
use engine_runtime::host;
use engine_telemetry::profile::Clock as ProfileClock;
use engine_telemetry::record::{Record, RecordError};
use engine_telemetry::{Settings, subscribers, waiting_bytes};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What is to be run, and how.
pub struct Request<'a> {
    /// The workflow.
    pub workflow: &'a WorkflowArgs,
    /// Its profile.
    pub profile: &'a ProfileArgs,
    /// The run directory, if one is named.
    pub out: Option<&'a Path>,
    /// The run directory of an earlier run to go on with.
    pub resume: Option<&'a Path>,
    /// Replace outputs with `to:` that are there already.
    pub overwrite: bool,
    /// What is done stays done after this.
    pub durability: Durability,
    /// Go on with other items when one fails.
    pub keep_going: bool,
    /// Outputs of the run besides its results.
    pub settings: Settings,
    /// Ends the run early when set.
    pub stop: &'a AtomicBool,
}

/// A run that came to its end, well or not.
pub struct Ran {
    /// Where it wrote.
    pub dir: RunDir,
    /// What was executed.
    pub plan: Plan,
    /// How it went.
    pub outcome: Outcome,
    /// Seconds on the wall.
    pub wall: f64,
    /// Seconds of CPU of the whole process meanwhile.
    pub cpu: f64,
}

impl Ran {
    /// The exit code that says how it went.
    pub fn code(&self) -> u8 {
        match self.outcome.status {
            RunStatus::Ok => exit::OK,
            RunStatus::Failed => exit::FAILED,
            RunStatus::Interrupted => exit::INTERRUPTED,
        }
    }
}

/// Everything between the arguments and the summary.
///
/// # Errors
/// The exit code of what kept it from starting; the reason was printed.
pub fn execute(request: Request<'_>) -> Result<Ran, u8> {
    let clock = Clock::default();
    let cpu = process_cpu();
    let prepared = prepare::prepare(request.workflow, request.profile).map_err(|refused| {
        show(&refused.sources, &refused.report);
        refused.code
    })?;
    show(&prepared.sources, &prepared.report);
    let span = prepared.workflow.profile.memory.as_ref().map_or(Span::default(), |m| m.span);
    let graph_document = document::graph(&prepared.graph);
    let env = |name: &str| std::env::var(name).ok();
    let settings = PlanSettings { waiting: waiting_bytes(&request.settings, &env), ..prepared.settings.clone() };
    let plan = prepare::plan(prepared.graph.clone(), settings, span).map_err(|refused| {
        let mut report = Report::default();
        report.push(refused.1);
        show(&prepared.sources, &report);
        eprintln!("`engine plan` shows the plan with its terms");
        exit::IMPOSSIBLE
    })?;
    let usage = |e: String| {
        eprintln!("error: {e}");
        exit::USAGE
    };
    let ours = request.resume.map_or_else(|| Box::new(|_: &Path| false) as Box<dyn Fn(&Path) -> bool>, targets::of_run);
    // Held until the run has ended.
    let targets = targets::claim(&plan, &prepared.sources, request.overwrite, &ours)?;
    let dir = match request.resume {
        Some(earlier) => RunDir::resume(earlier),
        None => RunDir::create(request.out),
    };
    // The lock is held until the run has ended.
    let (dir, _lock) = dir.map_err(usage)?;
    if let Some(refused) = no_room_for_scratch(&plan, &dir.root) {
        let mut report = Report::default();
        report.push(refused);
        show(&prepared.sources, &report);
        return Err(exit::IMPOSSIBLE);
    }
    let journal = dir.journal(request.resume.is_some(), request.durability).map_err(usage)?;
    let cpu_profile = request.settings.profile == ProfileClock::Cpu;
    let config = header::settings(cpu_profile, request.keep_going, request.durability, &prepared);
    record(&dir, &config, &prepared, &plan, &graph_document).map_err(|e| {
        eprintln!("error: {e}");
        exit::FAILED
    })?;
    let (list, warnings) = subscribers(&request.settings, &env);
    for w in warnings {
        eprintln!("warning: {w}");
    }
    let bus = Bus::start(list);
    bus.emit(Event::RunStarted(Arc::new(header::of(&plan, &prepared.workflow, &dir, &clock))));
    let options = Options {
        results: &dir.results(),
        keep_going: request.keep_going,
        cpu_profile,
        stop: request.stop,
        bus: &bus,
        clock,
        journal: Some(&journal),
        durability: request.durability,
    };
    let started = std::time::Instant::now();
    let outcome = targets.guarded(request.stop, || exec::run(&plan, &options));
    let outcome = outcome.map_err(|e| internal(format!("can't start worker threads: {e}")))?;
    bus.emit(Event::RunEnded(exec::ended(&outcome, &clock)));
    for w in bus.finish() {
        eprintln!("warning: {w}");
    }
    // A run that goes on later reads it again.
    if outcome.status == RunStatus::Ok
        && plan.scratch_bytes() > 0
        && let Err(e) = std::fs::remove_dir_all(dir.scratch())
    {
        eprintln!("warning: can't remove `{}`: {e}", dir.scratch().display());
    }
    let cpu = process_cpu().saturating_sub(cpu) as f64 / 1e9;
    Ok(Ran { dir, plan, outcome, wall: started.elapsed().as_secs_f64(), cpu })
}

/// What is wrong with a plan whose scratch may not fit the disk of the run directory.
fn no_room_for_scratch(plan: &Plan, dir: &Path) -> Option<Diagnostic> {
    let needed = plan.scratch_bytes();
    let free = host::free_disk(dir).filter(|free| *free < needed)?;
    let of = plan.graph.outputs.iter().filter(|o| o.scratch).map(|o| format!("`{}`", plan.graph.node(o.node).label()));
    let arrays = of.collect::<Vec<_>>().join(", ");
    let (needed, free, dir) = (print::bytes(needed), print::bytes(free), dir.display());
    let message = format!("the run may write {needed} of scratch, and {free} are free on the disk of `{dir}`");
    let d =
        Diagnostic::new("E0802", Span::default(), message).note(format!("it is for {arrays}; `engine plan` says why"));
    Some(d.help("choose a run directory on a larger disk with --out, or free some space"))
}

/// Prints a bug of the engine; gives its exit code.
pub fn internal(message: String) -> u8 {
    eprintln!("internal error, please report it: {message}");
    exit::INTERNAL
}

/// Writes what is known before the first task.
fn record(
    dir: &RunDir,
    config: &[engine_telemetry::record::Setting],
    prepared: &Prepared,
    plan: &Plan,
    graph: &serde_json::Value,
) -> Result<(), RecordError> {
    let record = Record::open(&dir.root)?;
    let text = prepared.sources.get(0).map(|f| f.text.as_str()).unwrap_or_default();
    record.workflow(text.as_bytes())?;
    record.graph(graph)?;
    record.plan(&document::of(plan))?;
    record.config(config)?;
    record.cluster(&header::cluster(plan))
}

//! `engine run`: executes a workflow and leaves its results and its record.

use crate::loading::show;
use crate::prepare::{self, Prepared, ProfileArgs, WorkflowArgs};
use crate::run_dir::RunDir;
use crate::{exit, header, signals, summary};
use clap::{Args, ValueEnum};
use engine_model::diag::{Report, Span};
use engine_model::plan::{Plan, document};
use engine_runtime::bus::Bus;
use engine_runtime::event::{Event, RunStatus};
use engine_runtime::exec::clock::{Clock, process_cpu};
use engine_runtime::exec::run::{self as exec, Options, Outcome};
use engine_telemetry::profile::Clock as ProfileClock;
use engine_telemetry::progress::ProgressMode;
use engine_telemetry::record::{Record, RecordError};
use engine_telemetry::{Settings, subscribers};
use std::path::PathBuf;
use std::sync::Arc;

/// Arguments of `engine run`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  engine run workflows/bcss.yaml\n  engine run workflows/bcss.yaml --set sigma=2 \
    --out results --memory 2GiB\n  engine run workflows/bcss.yaml --otlp http://localhost:4317 --json")]
pub struct RunArgs {
    #[command(flatten)]
    pub(crate) workflow: WorkflowArgs,
    #[command(flatten)]
    pub(crate) profile_args: ProfileArgs,
    /// The run directory; absent or empty. [default: YYYYmmdd-HHMMSS-RUN in the working directory]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Go on with other items when one fails; the run then ends with exit code 5.
    #[arg(long)]
    keep_going: bool,
    /// What the profile of ops counts: the clock on the wall, or also the CPU time of each op.
    #[arg(long, value_enum, default_value = "wall")]
    profile: Measure,
    /// How progress is shown on standard error.
    #[arg(long, value_enum, default_value = "auto")]
    progress: Show,
    /// Where spans are sent by OTLP; also read from OTEL_EXPORTER_OTLP_ENDPOINT and its kin.
    #[arg(long, value_name = "ENDPOINT")]
    otlp: Option<String>,
    /// Print the summary as one line of JSON, the only one on standard output.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Measure {
    Wall,
    Cpu,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Show {
    /// A bar on a terminal, plain lines elsewhere.
    Auto,
    /// Plain lines.
    Plain,
    /// Nothing.
    None,
}

/// Runs the command.
pub fn run(args: &RunArgs) -> u8 {
    match execute(args) {
        Ok(ran) => {
            summary::print(&ran, args.json);
            match ran.outcome.status {
                RunStatus::Ok => exit::OK,
                RunStatus::Failed => exit::FAILED,
                RunStatus::Interrupted => exit::INTERRUPTED,
            }
        }
        Err(code) => code,
    }
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

/// Everything between the command line and the summary.
///
/// # Errors
/// The exit code of what kept it from starting; the reason was printed.
pub fn execute(args: &RunArgs) -> Result<Ran, u8> {
    let clock = Clock::default();
    let cpu = process_cpu();
    let prepared = prepare::prepare(&args.workflow, &args.profile_args).map_err(|refused| {
        show(&refused.sources, &refused.report);
        refused.code
    })?;
    show(&prepared.sources, &prepared.report);
    let span = prepared.workflow.profile.memory.as_ref().map_or(Span::default(), |m| m.span);
    let graph_document = document::graph(&prepared.graph);
    let plan = prepare::plan(prepared.graph.clone(), prepared.settings.clone(), span).map_err(|refused| {
        let mut report = Report::default();
        report.push(refused.1);
        show(&prepared.sources, &report);
        eprintln!("`engine plan` shows the plan with its terms");
        exit::IMPOSSIBLE
    })?;
    let stop = signals::stop_flag().map_err(|e| internal(format!("can't catch signals: {e}")))?;
    let dir = RunDir::create(args.out.as_deref()).map_err(|e| {
        eprintln!("error: can't make the run directory: {e}");
        exit::USAGE
    })?;
    record(&dir, args, &prepared, &plan, &graph_document).map_err(|e| {
        eprintln!("error: {e}");
        exit::FAILED
    })?;
    let wanted = Settings {
        worker: None,
        profile: if args.profile == Measure::Cpu { ProfileClock::Cpu } else { ProfileClock::Wall },
        progress: match args.progress {
            Show::Auto => ProgressMode::Auto,
            Show::Plain => ProgressMode::Plain,
            Show::None => ProgressMode::None,
        },
        otlp: args.otlp.clone(),
    };
    let (list, warnings) = subscribers(&wanted, &|name| std::env::var(name).ok());
    for w in warnings {
        eprintln!("warning: {w}");
    }
    let bus = Bus::start(list);
    bus.emit(Event::RunStarted(Arc::new(header::of(&plan, &prepared.workflow, &dir, &clock))));
    let options = Options {
        results: &dir.results(),
        keep_going: args.keep_going,
        cpu_profile: args.profile == Measure::Cpu,
        stop: &stop,
        bus: &bus,
        clock,
    };
    let started = std::time::Instant::now();
    let outcome = exec::run(&plan, &options).map_err(|e| internal(format!("can't start worker threads: {e}")))?;
    bus.emit(Event::RunEnded(exec::ended(&outcome, &clock)));
    for w in bus.finish() {
        eprintln!("warning: {w}");
    }
    let cpu = process_cpu().saturating_sub(cpu) as f64 / 1e9;
    Ok(Ran { dir, plan, outcome, wall: started.elapsed().as_secs_f64(), cpu })
}

fn internal(message: String) -> u8 {
    eprintln!("internal error, please report it: {message}");
    exit::INTERNAL
}

/// Writes what is known before the first task.
fn record(
    dir: &RunDir,
    args: &RunArgs,
    prepared: &Prepared,
    plan: &Plan,
    graph: &serde_json::Value,
) -> Result<(), RecordError> {
    let record = Record::open(&dir.root)?;
    let text = prepared.sources.get(0).map(|f| f.text.as_str()).unwrap_or_default();
    record.workflow(text.as_bytes())?;
    record.graph(graph)?;
    record.plan(&document::of(plan))?;
    record.config(&header::settings(args.profile == Measure::Cpu, args.keep_going, prepared))?;
    record.cluster(&header::cluster(plan))
}

//! `engine run`: executes a workflow and leaves its results and its record.

use crate::prepare::{ProfileArgs, WorkflowArgs};
use crate::running::{self, Request};
use crate::{signals, summary};
use clap::{Args, ValueEnum};
use engine_runtime::exec::run::Durability;
use engine_telemetry::Settings;
use engine_telemetry::profile::Clock as ProfileClock;
use engine_telemetry::progress::ProgressMode;
use std::path::PathBuf;

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
    /// Go on in the directory of an earlier run, with the same workflow or a changed one: what is there and still right is kept.
    #[arg(long, value_name = "DIR", conflicts_with = "out")]
    resume: Option<PathBuf>,
    /// Replace outputs with `to:` that are there already, each once the new one is complete.
    #[arg(long)]
    overwrite: bool,
    /// What stays done once the record says so: after a kill of the process, or after a crash of the machine, which waits for the disk.
    #[arg(long, value_enum, default_value = "process")]
    durability: Lasting,
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
enum Lasting {
    /// After a kill.
    Process,
    /// After a crash too.
    Machine,
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
    let stop = match signals::stop_flag() {
        Ok(stop) => stop,
        Err(e) => return running::internal(format!("can't catch signals: {e}")),
    };
    let request = Request {
        workflow: &args.workflow,
        profile: &args.profile_args,
        out: args.out.as_deref(),
        resume: args.resume.as_deref(),
        overwrite: args.overwrite,
        durability: match args.durability {
            Lasting::Process => Durability::Process,
            Lasting::Machine => Durability::Machine,
        },
        keep_going: args.keep_going,
        settings: Settings {
            worker: None,
            profile: if args.profile == Measure::Cpu { ProfileClock::Cpu } else { ProfileClock::Wall },
            progress: match args.progress {
                Show::Auto => ProgressMode::Auto,
                Show::Plain => ProgressMode::Plain,
                Show::None => ProgressMode::None,
            },
            otlp: args.otlp.clone(),
        },
        stop: &stop,
    };
    match running::execute(request) {
        Ok(ran) => {
            summary::print(&ran, args.json);
            ran.code()
        }
        Err(code) => code,
    }
}

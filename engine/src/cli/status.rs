//! `engine status`: what of a run is done, stale or missing.

use crate::loading::show;
use crate::output;
use crate::prepare::{self, ProfileArgs, WorkflowArgs};
use crate::{exit, recorded};
use clap::Args;
use engine_model::diag::{Report, Span, count};
use engine_model::plan::{Plan, Root, StageId};
use engine_runtime::exec::outputs::Outputs;
use engine_runtime::exec::resume::{Resume, State};
use engine_runtime::journal::Journal;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Arguments of `engine status`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  engine status 20260117-130349-RUN\n  engine status RUN workflow.yaml --set sigma=2   \
    what going on with a changed workflow would keep"
)]
pub struct StatusArgs {
    /// The run directory.
    run: PathBuf,
    /// The workflow to compare with. [default: the one that was run, with its parameters]
    workflow: Option<PathBuf>,
    /// Sets a parameter of the workflow; the value is read as YAML. May be repeated.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// A YAML file of parameters; `--set` wins over it. May be repeated.
    #[arg(long, value_name = "FILE", requires = "workflow")]
    params: Vec<PathBuf>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// How far one output is.
#[derive(Debug, Default, Serialize)]
struct Progress {
    /// Its name.
    name: String,
    /// Files (or stores) that it has when complete.
    items: u64,
    /// Those that are complete.
    done: u64,
    /// Those of which some blocks are there.
    begun: u64,
    /// Blocks that are there of those begun.
    blocks_done: u64,
    /// Blocks of those begun.
    blocks: u64,
    /// Those that hold the result of another workflow, parameter or file, as a whole or in part.
    stale: u64,
    /// Blocks to be made again of those stale in part.
    blocks_stale: u64,
    /// Blocks of those stale in part.
    blocks_of_stale: u64,
    /// Those of which nothing is there.
    missing: u64,
    /// Those that are there and that no journal tells of, as they are made again sooner than that: tables of small arrays.
    unrecorded: u64,
}

/// Runs the command.
pub fn run(args: &StatusArgs) -> u8 {
    match status(args) {
        Ok(all) => {
            match args.json {
                true => output::line(serde_json::json!(all)),
                false => print(&all),
            }
            exit::OK
        }
        Err(code) => code,
    }
}

fn status(args: &StatusArgs) -> Result<Vec<Progress>, u8> {
    let usage = |e: String| {
        eprintln!("error: {e}");
        exit::USAGE
    };
    let run = std::path::absolute(&args.run).map_err(|e| usage(e.to_string()))?;
    let path = run.join("Reports/journal");
    let journal = Journal::look(&path).map_err(|e| {
        let help = "name the directory of a run";
        usage(format!("can't read the journal `{}`: {e}; {help}", path.display()))
    })?;
    let (workflow, profile) = match (&args.workflow, recorded::read(&run)) {
        (Some(workflow), recorded) => {
            let own = WorkflowArgs {
                workflow: workflow.clone(),
                set: args.set.clone(),
                params: args.params.clone(),
                test: None,
            };
            let none = ProfileArgs { memory: None, threads: None, block: Vec::new(), no_fuse: false };
            (own, recorded.map_or(none, |r| r.profile))
        }
        (None, recorded) => {
            let mut r = recorded.map_err(usage)?;
            let moved = |e| usage(format!("can't go to `{}`, where the run was started: {e}", r.directory.display()));
            std::env::set_current_dir(&r.directory).map_err(moved)?;
            r.workflow.set.extend(args.set.iter().cloned());
            (r.workflow, r.profile)
        }
    };
    let prepared = prepare::prepare(&workflow, &profile).map_err(|refused| {
        show(&refused.sources, &refused.report);
        refused.code
    })?;
    let plan =
        prepare::plan(prepared.graph.clone(), prepared.settings.clone(), Span::default()).map_err(|refused| {
            let mut report = Report::default();
            report.push(refused.1);
            show(&prepared.sources, &report);
            exit::IMPOSSIBLE
        })?;
    Ok(outputs(&plan, &journal, &Outputs::new(&plan, &run.join("Results"))))
}

/// Looks every item of every output up.
fn outputs(plan: &Plan, journal: &Journal, places: &Outputs) -> Vec<Progress> {
    let resume = Resume::new(plan, journal);
    let mut all: BTreeMap<usize, Progress> = BTreeMap::new();
    for (at, group) in plan.groups.iter().enumerate() {
        for item in (0..plan.graph.items(group.family)).filter(|i| group.runs(*i)) {
            let class = plan.graph.class_of(group.family, item);
            for &id in plan.groups[at].stages_of(class) {
                for &root in &plan.stage(id).roots {
                    for o in (0..plan.graph.outputs.len())
                        .filter(|o| leaves(plan, root, *o) && !plan.graph.outputs[*o].scratch)
                    {
                        let out = &plan.graph.outputs[o];
                        // The levels of an image are told apart.
                        let name = out.part.as_ref().map_or_else(|| out.decl.name.value.clone(), |_| out.label());
                        let progress = all.entry(o).or_insert_with(|| Progress { name, ..Progress::default() });
                        look(plan, &resume, places, (id, root, o), (item, class), progress);
                    }
                }
            }
        }
    }
    all.into_values().collect()
}

/// True for a root that an output is made from: its array, or the table of a reduction over single items.
fn leaves(plan: &Plan, root: Root, o: usize) -> bool {
    match root {
        Root::Write(written) => written == o,
        Root::Reduce(n) => plan.graph.outputs[o].node == n && plan.graph.outputs[o].format.is_table(),
        Root::Keep(_) => false,
    }
}

fn look(
    plan: &Plan,
    resume: &Resume<'_>,
    places: &Outputs,
    (id, root, o): (StageId, Root, usize),
    (item, class): (u64, usize),
    progress: &mut Progress,
) {
    let stage = plan.stage(id);
    progress.items += 1;
    let Some(keys) = resume.keys(plan, stage, root, item, class) else {
        match places.path(plan, o, item).is_file() {
            true => progress.unrecorded += 1,
            false => progress.missing += 1,
        }
        return;
    };
    let known = resume.journal().known();
    let place = resume.journal().named(&places.path(plan, o, item));
    let table = || matches!(root, Root::Reduce(_)) && places.path(plan, o, item).is_file();
    match resume.state(plan, stage, root, &keys, class) {
        State::Complete => progress.done += 1,
        State::Blocks if table() => progress.done += 1,
        State::Some | State::Blocks => {
            let count = plan.grid(stage, class).count();
            let done = resume.done(root, &keys, count);
            if keys.were_complete() || (keys.are_stale() && table()) {
                progress.stale += 1;
                progress.blocks_stale += count - done;
                progress.blocks_of_stale += count;
            } else {
                progress.begun += 1;
                progress.blocks += count;
                progress.blocks_done += done;
            }
        }
        State::Open => match keys.are_stale() || known.holds_other(&place, [&keys.whole, &keys.blocks]) {
            true => progress.stale += 1,
            false => progress.missing += 1,
        },
    }
}

fn print(all: &[Progress]) {
    for p in all {
        let mut parts = vec![format!("{} of {} done", p.done, p.items)];
        if p.begun > 0 {
            parts.push(format!("{} begun ({} of {})", p.begun, p.blocks_done, count(p.blocks, "block")));
        }
        let there = "there, made again by every run";
        let stale = match p.blocks_stale {
            0 => "stale".to_owned(),
            n => format!("stale ({n} of {} to be made again)", count(p.blocks_of_stale, "block")),
        };
        for (n, what) in [(p.stale, stale.as_str()), (p.missing, "missing"), (p.unrecorded, there)] {
            if n > 0 {
                parts.push(format!("{n} {what}"));
            }
        }
        output::line(format!("{:16} {}", p.name, parts.join(", ")));
    }
}

//! What a run prints when it ends: for a person, or as one line of JSON.

use crate::output;
use crate::running::Ran;
use engine_model::diag::count;
use engine_model::plan::print::bytes;
use engine_runtime::event::{Cause, Failure};
use engine_runtime::host;
use serde_json::json;

/// Failures that are shown one by one.
const SHOW: usize = 10;

/// Prints the summary to standard output and failures to standard error.
pub fn print(ran: &Ran, as_json: bool) {
    failures(ran);
    warnings(ran);
    if as_json {
        output::line(document(ran));
    } else {
        text(ran);
    }
}

/// Prints the first failures to standard error.
pub fn failures(ran: &Ran) {
    for f in ran.outcome.failures.iter().take(SHOW) {
        failure(f);
    }
    let more = ran.outcome.failures.len().saturating_sub(SHOW);
    if more > 0 {
        let listed = ran.dir.reports().join("task_stream.yaml");
        eprintln!("and {}, listed in {}", count(more as u64, "more failure"), listed.display());
    }
    for (output, inputs) in &ran.outcome.missing {
        eprintln!("error: output `{output}` is not written");
        eprintln!("  cause:  every item of {inputs} is needed for it, and some failed");
        eprintln!("  next:   replace the failed items, or take them out of the input, then run again");
    }
}

/// Prints what ops warned of to standard error, once for each step and code.
fn warnings(ran: &Ran) {
    for w in &ran.outcome.warnings {
        let of = match (w.items, &w.first) {
            (1, Some(first)) => format!(" (item {first})"),
            (n, Some(first)) if n > 1 => format!(" ({}, the first is {first})", count(n, "item")),
            _ => String::new(),
        };
        eprintln!("warning[{}]: step `{}`: {}{of}", w.code, w.step, w.message);
    }
    if ran.outcome.warnings.iter().any(|w| w.items > 1) {
        eprintln!("  all items are listed in {}", ran.dir.reports().join("warnings.yaml").display());
    }
}

/// The summary as data.
pub fn document(ran: &Ran) -> serde_json::Value {
    let o = &ran.outcome;
    json!({
        "run_dir": ran.dir.root,
        "status": o.status,
        "wall_s": ran.wall,
        "cpu_s": ran.cpu,
        "peak_rss_bytes": host::peak_rss(),
        "projected_peak_bytes": ran.plan.memory.projected,
        "tasks": o.tasks_ok,
        "tasks_failed": o.tasks_failed,
        "tasks_resumed": o.tasks_resumed,
        "items_failed": o.items_failed,
        "bytes_read": o.bytes_read,
        "bytes_written": o.bytes_written,
        "bytes_spilled": o.bytes_spilled,
        "outputs": o.outputs,
        "missing": o.missing.iter().map(|(output, _)| output).collect::<Vec<_>>(),
        "warnings": o.warnings,
    })
}

fn failure(f: &Failure) {
    let cause = match f.cause {
        Cause::BadData => "bad data",
        Cause::Io => "input/output",
        Cause::DiskFull => "disk full",
        Cause::Memory => "memory",
        Cause::Bug => "a bug of the engine",
    };
    eprintln!("error: step `{}` ({}) failed: {}", f.step, f.op, f.message);
    if let Some(item) = &f.item {
        eprintln!("  item:   {item}");
    }
    if !f.region.is_empty() {
        eprintln!("  region: {}", f.region);
    }
    if let Some(path) = &f.path {
        eprintln!("  file:   {}", path.display());
    }
    eprintln!("  cause:  {cause}");
    match (f.cause, &f.path, &f.item) {
        (Cause::BadData, Some(path), Some(_)) if f.left_out => {
            eprintln!("  next:   the run goes on without it; replace `{}` to have its results too", path.display());
        }
        (Cause::BadData, Some(path), Some(_)) => {
            eprintln!("  next:   replace or remove `{}`, or leave such items out with --keep-going", path.display());
        }
        (Cause::DiskFull, ..) => eprintln!("  next:   free some space, then go on with --resume"),
        (Cause::Memory, ..) => eprintln!("  next:   `engine plan` shows what takes the memory"),
        (Cause::Bug, ..) => eprintln!("  next:   report it with the Reports directory of this run"),
        _ => {}
    }
}

fn text(ran: &Ran) {
    let o = &ran.outcome;
    let status = match o.status {
        engine_runtime::event::RunStatus::Ok => "done",
        engine_runtime::event::RunStatus::Failed => "failed",
        engine_runtime::event::RunStatus::Interrupted => "interrupted",
    };
    output::line(format!(
        "{status} in {:.2} s: {}, {} read, {} written",
        ran.wall,
        count(o.tasks_ok, "task"),
        bytes(o.bytes_read),
        bytes(o.bytes_written)
    ));
    if o.bytes_spilled > 0 {
        output::line(format!("  {} spilled to scratch, removed at the end", bytes(o.bytes_spilled)));
    }
    if o.tasks_resumed > 0 {
        output::line(format!("  {} done before", count(o.tasks_resumed, "task")));
    }
    if o.items_failed > 0 || o.tasks_failed > 0 {
        output::line(format!("  {} failed, {} left out", count(o.tasks_failed, "task"), count(o.items_failed, "item")));
    }
    output::line(format!("  memory {} of {} projected", bytes(host::peak_rss()), bytes(ran.plan.memory.projected)));
    for w in &o.outputs {
        output::line(format!(
            "  {:16} {}, {} in {}",
            w.name,
            count(w.entries, "file"),
            bytes(w.bytes),
            w.path.display()
        ));
    }
    if ran.code() == crate::exit::INTERRUPTED {
        output::line(format!("  go on with the same command and --resume {}", ran.dir.root.display()));
    }
    output::line(format!("  record in {}", ran.dir.reports().display()));
}

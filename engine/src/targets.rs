//! What a run may write outside its directory: nothing that is there already, unless told to, and nothing that another
//! run is writing.

use crate::{exit, loading};
use engine_model::diag::{Diagnostic, Report, Sources, Span};
use engine_model::place::is_remote;
use engine_model::plan::Plan;
use engine_runtime::exec::outputs::Outputs;
use engine_runtime::lock::{Lock, LockError};
use engine_runtime::store::StoreError;
use engine_runtime::store::write::exists;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

/// The declared places of a run, locked until it is dropped.
#[derive(Debug, Default)]
pub struct Targets {
    // Given back when they are dropped.
    locks: Vec<Lock>,
}

/// How often the locks are looked at while a run writes.
const LOOK: Duration = Duration::from_millis(500);

impl Targets {
    /// Does what writes to the places; once one of the locks was taken over by another run, having heard nothing of this one
    /// for long, sets `stop`.
    pub fn guarded<T>(&self, stop: &AtomicBool, work: impl FnOnce() -> T) -> T {
        std::thread::scope(|scope| {
            let (ended, wait) = mpsc::channel::<()>();
            scope.spawn(move || {
                while wait.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                    if let Some(lost) = self.locks.iter().find(|l| l.is_lost()) {
                        let path = lost.path().display();
                        eprintln!("error: another run has taken over the lock `{path}`; nothing more is written");
                        stop.store(true, Ordering::Relaxed);
                        return;
                    }
                }
            });
            let done = work();
            drop(ended);
            done
        })
    }
}

/// Takes the places that outputs with `to:` are written to. What is there already is refused, unless `overwrite` is set
/// or it is of the run that goes on (`ours`).
///
/// # Errors
/// The exit code; why was printed.
pub fn claim(plan: &Plan, sources: &Sources, overwrite: bool, ours: &dyn Fn(&Path) -> bool) -> Result<Targets, u8> {
    let mut report = Report::default();
    let outputs = Outputs::new(plan, Path::new(""));
    let firsts = plan.graph.outputs.iter().enumerate().filter(|(_, out)| out.is_first());
    let declared = firsts.filter_map(|(o, out)| Some((o, out.decl.to.as_ref()?.span)));
    let declared: Vec<(usize, Span)> = declared.collect();
    let mut places: Vec<(PathBuf, Span)> = declared.iter().map(|&(o, span)| (outputs.place(plan, o), span)).collect();
    let mut once = BTreeSet::new();
    places.retain(|(place, _)| once.insert(place.clone()));
    // No directory is made before it is known that nothing is in the way.
    let (now, later): (Vec<_>, Vec<_>) = places.iter().partition(|(place, _)| {
        is_remote(place) || place.parent().is_none_or(|dir| dir.as_os_str().is_empty() || dir.is_dir())
    });
    let inputs = if declared.is_empty() { BTreeSet::new() } else { inputs(plan) };
    declared.iter().for_each(|&(o, span)| report_input(plan, &outputs, o, span, &inputs, &mut report));
    let mut targets = Targets::default();
    for places in [now, later] {
        if report.has_errors() || places.is_empty() {
            continue;
        }
        places.iter().for_each(|(place, span)| lock(place, *span, &mut targets, &mut report));
        // Not before: another run may have completed them just before it gave its locks back.
        if !report.has_errors() && !overwrite {
            declared.iter().for_each(|&(o, span)| report_existing(plan, &outputs, o, span, ours, &mut report));
        }
    }
    loading::show(sources, &report);
    if report.has_errors() { Err(exit::IMPOSSIBLE) } else { Ok(targets) }
}

/// Everything on disk and behind URLs that the run reads, as [`Real`] tells it.
fn inputs(plan: &Plan) -> BTreeSet<PathBuf> {
    let mut real = Real::default();
    let items = plan.graph.inputs.iter().flat_map(|input| (0..input.items.len()).filter_map(|i| input.items.path(i)));
    items.map(|path| real.of(&path)).collect()
}

/// Tells paths of the same file as the same, asking for each directory once.
#[derive(Default)]
struct Real(Option<(PathBuf, PathBuf)>);

impl Real {
    fn of(&mut self, path: &Path) -> PathBuf {
        let (Some(dir), Some(name)) = (path.parent().filter(|_| !is_remote(path)), path.file_name()) else {
            return path.into();
        };
        let known = self.0.take().filter(|(of, _)| of == dir);
        let dir = known.unwrap_or_else(|| {
            let from = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
            let real = from.canonicalize().or_else(|_| std::path::absolute(from));
            (dir.into(), real.unwrap_or_else(|_| dir.into()))
        });
        self.0.insert(dir).1.join(name)
    }
}

/// Reports an output that would replace what the run reads: the old one is needed until the end, and by whoever goes on.
fn report_input(plan: &Plan, outputs: &Outputs, o: usize, span: Span, inputs: &BTreeSet<PathBuf>, report: &mut Report) {
    let mut real = Real::default();
    let items = 0..plan.graph.items(plan.graph.node(plan.graph.outputs[o].node).family);
    let read = items.map(|item| outputs.store(plan, o, item)).find(|store| {
        let store = real.of(store);
        // What lies below a path comes right behind it.
        inputs.range(store.clone()..).next().is_some_and(|input| input.starts_with(&store))
    });
    if let Some(store) = read {
        let message =
            format!("`{}` is read by this workflow, and can't be replaced by what is made from it", store.display());
        report.push(Diagnostic::new("E0710", span, message).help("choose another path"));
    }
}

/// Reports the first file of an output that is there and not ours.
fn report_existing(
    plan: &Plan,
    outputs: &Outputs,
    o: usize,
    span: Span,
    ours: &dyn Fn(&Path) -> bool,
    report: &mut Report,
) {
    let out = &plan.graph.outputs[o];
    let family = plan.graph.node(out.node).family;
    let failed = |e: StoreError| {
        let place = outputs.place(plan, o);
        let d = Diagnostic::new("E0711", span, format!("`{}` can't be written to: {e}", place.display()));
        d.help("choose a place that can be written to")
    };
    if family.is_some() {
        match exists(&outputs.place(plan, o)) {
            Ok(true) => {}
            Ok(false) => return,
            Err(e) => return report.push(failed(e)),
        }
    }
    let items = 0..plan.graph.items(family);
    let mut there = Vec::new();
    for item in items {
        let store = outputs.store(plan, o, item);
        if ours(&outputs.path(plan, o, item)) {
            continue;
        }
        match exists(&store) {
            Ok(true) => there.push(store),
            Ok(false) => {}
            Err(e) => return report.push(failed(e)),
        }
    }
    let Some(first) = there.first() else { return };
    let (name, more) = (&out.decl.name.value, there.len() - 1);
    let others = if more > 0 { format!(", and {more} more of output `{name}`") } else { String::new() };
    let message = format!("`{}` exists already{others}", first.display());
    let d = Diagnostic::new("E0710", span, message);
    report.push(d.help("choose another path, or add --overwrite to replace it once the new one is complete"));
}

fn lock(place: &Path, span: Span, targets: &mut Targets, report: &mut Report) {
    let path = Lock::beside(place);
    let parent = path.parent().filter(|_| !is_remote(&path));
    let made = parent.map_or(Ok(()), std::fs::create_dir_all);
    let taken = made.map_err(|source| LockError::Io { path: path.clone(), source }).and_then(|()| Lock::acquire(&path));
    match taken {
        Ok(taken) => {
            if let Some(holder) = taken.stale {
                let age = holder.age().as_secs();
                let message = format!(
                    "took over the lock of `{}` from process {} on host {}, which is gone (last heard of {age} s ago)",
                    place.display(),
                    holder.pid,
                    holder.host
                );
                report.push(Diagnostic::new("W0912", span, message));
            }
            targets.locks.push(taken.lock);
        }
        Err(e @ LockError::Held { .. }) => {
            let d =
                Diagnostic::new("E0711", span, format!("`{}` is being written by another run: {e}", place.display()));
            report.push(d.help("wait until it has ended, or write to another path"));
        }
        Err(e @ LockError::Io { .. }) => {
            let d = Diagnostic::new("E0711", span, format!("`{}` can't be written to: {e}", place.display()));
            report.push(d.help("choose a path in a directory that can be written to"));
        }
    }
}

/// The files that an earlier run in this directory has written or begun, by its journal; everything where there is none
/// to read, which is reported when the run is to go on.
pub fn of_run(dir: &Path) -> Box<dyn Fn(&Path) -> bool> {
    let journal: PathBuf = dir.join("Reports").join("journal");
    match engine_runtime::journal::Journal::look(&journal) {
        Ok(journal) => Box::new(move |path| journal.known().holds(&journal.named(path))),
        Err(_) => Box::new(|_| true),
    }
}

//! Drives a plan to its end: workers on one pool, each asking the schedule what comes next.

use super::clock::Clock;
use super::failed::{self, Failed};
use super::item::{ItemData, lock};
use super::outputs::{Outputs, Written};
use super::resume::Resume;
use super::task::{self, Context};
use super::warned::{Warned, Warnings};
use crate::bus::Bus;
use crate::event::{Cause, Event, Failure, RunEnd, RunStatus};
use crate::journal::Journal;
use crate::schedule::{ItemSource, Next, Schedule, Task};
use engine_model::graph::NodeId;
use engine_model::plan::Plan;
use ops_core::Pool;
use ops_core::op::AnyPartial;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock};
use std::time::Duration;

/// When what is written counts as done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// When the system has it: it outlives the process.
    #[default]
    Process,
    /// When the disk has it: it outlives a crash of the machine.
    Machine,
}

/// What a run is told besides its plan.
pub struct Options<'a> {
    /// Where outputs go that do not say otherwise.
    pub results: &'a Path,
    /// Go on with other items when one fails.
    pub keep_going: bool,
    /// Take the CPU time of every op.
    pub cpu_profile: bool,
    /// Set from outside to end the run early and in order.
    pub stop: &'a AtomicBool,
    /// Where events go.
    pub bus: &'a Bus,
    /// Time.
    pub clock: Clock,
    /// Where it tells what is done, and what an earlier run told; `None` for a run that can't be resumed.
    pub journal: Option<&'a Journal>,
    /// When what is written counts as done.
    pub durability: Durability,
}

/// How a run went.
#[derive(Debug)]
pub struct Outcome {
    /// How it ended.
    pub status: RunStatus,
    /// Tasks that did their work.
    pub tasks_ok: u64,
    /// Tasks that an earlier run had done.
    pub tasks_resumed: u64,
    /// Tasks that failed.
    pub tasks_failed: u64,
    /// The first failures, in order of time.
    pub failures: Vec<Failure>,
    /// Items that failed.
    pub items_failed: u64,
    /// Bytes read from storage.
    pub bytes_read: u64,
    /// Bytes that reached storage.
    pub bytes_written: u64,
    /// Bytes of arrays that were written only to be read again.
    pub bytes_spilled: u64,
    /// What was written.
    pub outputs: Vec<Written>,
    /// Outputs that need every item of inputs of which some failed: their names, and those of the inputs.
    pub missing: Vec<(String, String)>,
    /// What ops warned of, in the order of the plan.
    pub warnings: Vec<Warned>,
}

/// What workers share under one lock.
pub(super) struct Shared {
    pub(super) schedule: Schedule,
    pub(super) data: BTreeMap<u64, Arc<ItemData>>,
    /// Items of each family that failed: they take no part in later groups.
    pub(super) failed: BTreeMap<u32, BTreeSet<u64>>,
    pub(super) failures: Vec<Failure>,
    /// Partials of collection reductions.
    pub(super) collected: BTreeMap<NodeId, AnyPartial>,
    pub(super) stages_begun: BTreeSet<u32>,
    pub(super) missing: Vec<(String, String)>,
    /// Workers that wait for something to do.
    pub(super) waiting: usize,
    pub(super) ended: bool,
}

pub(super) struct Driver<'a> {
    pub(super) cx: Context<'a>,
    pub(super) options: &'a Options<'a>,
    pub(super) shared: Mutex<Shared>,
    pub(super) wake: Condvar,
    pub(super) warnings: Warnings,
    pub(super) tasks_ok: AtomicU64,
    pub(super) tasks_resumed: AtomicU64,
    pub(super) tasks_failed: AtomicU64,
    pub(super) bytes_read: AtomicU64,
    pub(super) bytes_written: AtomicU64,
}

struct Admission<'a> {
    plan: &'a Plan,
    failed: &'a BTreeMap<u32, BTreeSet<u64>>,
}

impl ItemSource for Admission<'_> {
    fn class(&self, group: usize, item: u64) -> Option<usize> {
        let family = self.plan.groups[group].family;
        let out = family.is_some_and(|f| self.failed.get(&f.0).is_some_and(|s| s.contains(&item)));
        (!out).then(|| self.plan.graph.class_of(family, item))
    }
}

/// Runs a plan. Events of tasks, stages and items go to the bus; the caller emits those of the run.
///
/// # Errors
/// When the thread pool can't be made.
pub fn run(plan: &Plan, options: &Options<'_>) -> Result<Outcome, rayon::ThreadPoolBuildError> {
    let pool = Pool::keeping(plan.memory.pool);
    let outputs = Outputs::new(plan, options.results).synced(options.durability == Durability::Machine);
    let fixed = plan.memory.projected - plan.memory.item_budget;
    let budget = plan.settings.memory.saturating_sub(fixed).min(plan.memory.item_budget);
    let driver = Driver {
        cx: Context {
            plan,
            outputs: &outputs,
            pool: &pool,
            clock: options.clock,
            cpu_profile: options.cpu_profile,
            resume: options.journal.map(|j| Resume::new(plan, j)),
            values: RwLock::default(),
            exports: RwLock::default(),
        },
        options,
        shared: Mutex::new(Shared {
            schedule: Schedule::new(plan, budget),
            data: BTreeMap::new(),
            failed: BTreeMap::new(),
            failures: Vec::new(),
            collected: BTreeMap::new(),
            stages_begun: BTreeSet::new(),
            missing: Vec::new(),
            waiting: 0,
            ended: false,
        }),
        wake: Condvar::new(),
        warnings: Warnings::default(),
        tasks_ok: AtomicU64::new(0),
        tasks_resumed: AtomicU64::new(0),
        tasks_failed: AtomicU64::new(0),
        bytes_read: AtomicU64::new(0),
        bytes_written: AtomicU64::new(0),
    };
    let threads = rayon::ThreadPoolBuilder::new()
        .num_threads(plan.settings.threads)
        .thread_name(|i| format!("worker-{i}"))
        .build()?;
    threads.broadcast(|worker| driver.work(worker.index() as u32));
    let shared = driver.shared.into_inner().unwrap_or_else(PoisonError::into_inner);
    let interrupted = options.stop.load(Ordering::Relaxed);
    let failed = driver.tasks_failed.load(Ordering::Relaxed);
    // Nothing is wrong with the work itself: with some space the run can go on.
    let full = !shared.failures.is_empty() && shared.failures.iter().all(|f| f.cause == Cause::DiskFull);
    Ok(Outcome {
        status: match (interrupted || (options.journal.is_some() && full), failed) {
            (true, _) => RunStatus::Interrupted,
            (false, 0) if shared.failures.is_empty() => RunStatus::Ok,
            _ => RunStatus::Failed,
        },
        tasks_ok: driver.tasks_ok.load(Ordering::Relaxed),
        tasks_resumed: driver.tasks_resumed.load(Ordering::Relaxed),
        tasks_failed: failed,
        items_failed: shared.failed.values().map(|s| s.len() as u64).sum(),
        failures: shared.failures,
        bytes_read: driver.bytes_read.load(Ordering::Relaxed),
        bytes_written: driver.bytes_written.load(Ordering::Relaxed),
        bytes_spilled: outputs.spilled(plan),
        outputs: outputs.written(plan),
        missing: shared.missing,
        warnings: driver.warnings.all(plan),
    })
}

impl Driver<'_> {
    fn work(&self, worker: u32) {
        let mut guard = lock(&self.shared);
        loop {
            if self.options.stop.load(Ordering::Relaxed) && !guard.schedule.is_stopped() {
                guard.schedule.stop();
            }
            let next = {
                let Shared { schedule, failed, .. } = &mut *guard;
                schedule.next(self.cx.plan, &Admission { plan: self.cx.plan, failed })
            };
            match next {
                Next::Task(task) => {
                    let data = match self.data(&mut guard, &task) {
                        Ok(data) => data,
                        Err(f) => {
                            self.item_failed(&mut guard, &task, *f);
                            continue;
                        }
                    };
                    if task::is_done(&self.cx, &data, &task) {
                        self.tasks_resumed.fetch_add(1, Ordering::Relaxed);
                        self.options.bus.emit(Event::TaskResumed { stage: task.stage.0 });
                        guard.schedule.done(&task);
                    } else {
                        self.begin_stage(&mut guard, task.stage.0);
                        drop(guard);
                        let failed = self.task(worker, &data, &task);
                        guard = lock(&self.shared);
                        match failed {
                            None => guard.schedule.done(&task),
                            Some(f) => self.item_failed(&mut guard, &task, f),
                        }
                    }
                }
                Next::FinishStage(task) => {
                    let data = self.data(&mut guard, &task);
                    drop(guard);
                    let named = |f: Failed| f.named(self.cx.plan, task.item, self.options.keep_going);
                    let failed = match data {
                        Ok(data) => guarded(|| self.finish_stage(&data, &task)).map_err(named).err(),
                        Err(f) => Some(*f),
                    };
                    guard = lock(&self.shared);
                    match failed {
                        None => guard.schedule.stage_finished(self.cx.plan, &task),
                        Some(f) => {
                            self.tasks_failed.fetch_add(1, Ordering::Relaxed);
                            guard.schedule.stage_finished(self.cx.plan, &task);
                            self.item_failed_after(&mut guard, &task, f);
                        }
                    }
                }
                Next::FinishItem { group, item, failed } => {
                    let data = guard.data.remove(&item);
                    drop(guard);
                    if let Some(d) = data.as_deref() {
                        self.finish_item(group, failed, d);
                    }
                    guard = lock(&self.shared);
                    if let (Some(d), false) = (&data, failed)
                        && let Err(failed) = self.collect(&mut guard, group, d)
                    {
                        let (task, f) = *failed;
                        self.item_failed_after(&mut guard, &task, f);
                    }
                    guard.schedule.item_finished(item);
                }
                Next::FinishGroup(group) => {
                    self.finish_group(&mut guard, group);
                    guard.schedule.group_finished();
                }
                Next::Wait => {
                    guard.waiting += 1;
                    // The time-out only serves a stop that comes from outside.
                    let (g, _) = self
                        .wake
                        .wait_timeout(guard, Duration::from_millis(50))
                        .unwrap_or_else(PoisonError::into_inner);
                    guard = g;
                    guard.waiting -= 1;
                    continue;
                }
                Next::End => {
                    if !guard.ended {
                        guard.ended = true;
                        let at = self.cx.clock.now();
                        for &stage in &guard.stages_begun {
                            self.options.bus.emit(Event::StageEnded { stage, at });
                        }
                    }
                    self.wake.notify_all();
                    return;
                }
            }
            if guard.waiting > 0 {
                self.wake.notify_all();
            }
        }
    }

    /// What the item of a task owns, made at its first task.
    fn data(&self, shared: &mut Shared, task: &Task) -> Result<Arc<ItemData>, Box<Failure>> {
        if let Some(data) = shared.data.get(&task.item) {
            return Ok(data.clone());
        }
        let handed = |n| {
            self.cx.plan.hands_on(n, task.item, task.group)?;
            let mut exports = self.cx.exports.write().unwrap_or_else(PoisonError::into_inner);
            exports.remove(&(n, task.item))
        };
        let mut data = ItemData::new(self.cx.plan, task.group, task.item, task.class, handed);
        if let Some(resume) = &self.cx.resume {
            let (plan, outputs) = (self.cx.plan, self.cx.outputs);
            let node = plan.root_node(plan.stage(task.stage).roots[0]);
            let looked_up = data.look_up(plan, task.group, resume, outputs);
            let looked_up = looked_up
                .map_err(|e| failed::store_failed(node, String::new(), e))
                .and_then(|()| resume.restore(plan, &data).map_err(|e| failed::journal_failed(resume, node, &e)));
            looked_up.map_err(|f| Box::new(f.named(plan, task.item, self.options.keep_going)))?;
        }
        let data = Arc::new(data);
        shared.data.insert(task.item, data.clone());
        Ok(data)
    }
}

/// Runs work that a bug might make panic: the panic becomes a failure that names it.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, Failed>) -> Result<T, Failed> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or_else(|p| {
        let text = p
            .downcast_ref::<&str>()
            .map(|s| (*s).to_owned())
            .or_else(|| p.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "panic".into());
        Err(Failed {
            node: NodeId(0),
            region: String::new(),
            path: None,
            cause: Cause::Bug,
            message: format!("internal error, please report it: {text}"),
        })
    })
}

/// The end of a run as an event.
pub fn ended(outcome: &Outcome, clock: &Clock) -> RunEnd {
    RunEnd { status: outcome.status, stop: clock.now(), tasks_ok: outcome.tasks_ok, tasks_failed: outcome.tasks_failed }
}

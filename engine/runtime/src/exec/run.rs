//! Drives a plan to its end: workers on one pool, each asking the schedule what comes next.

use super::clock::{Clock, thread_cpu};
use super::item::{ItemData, lock, outlives};
use super::outputs::{Outputs, Written};
use super::task::{self, Context, Done, Failed};
use crate::bus::Bus;
use crate::event::{Cause, Event, Failure, RunEnd, RunStatus, TaskRecord, TaskStatus};
use crate::schedule::{ItemSource, Next, Schedule, Task};
use engine_model::graph::{Kind, NodeId};
use engine_model::plan::{Plan, Root};
use engine_model::spec::workflow::OnError;
use ops_core::op::AnyPartial;
use ops_core::{Pool, Scope};
use smallvec::SmallVec;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock};
use std::time::Duration;

/// Failures of which the full text is kept; more are counted.
const KEEP_FAILURES: usize = 1000;

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
}

/// How a run went.
#[derive(Debug)]
pub struct Outcome {
    /// How it ended.
    pub status: RunStatus,
    /// Tasks that did their work.
    pub tasks_ok: u64,
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
    /// What was written.
    pub outputs: Vec<Written>,
    /// Outputs that need every item of inputs of which some failed: their names, and those of the inputs.
    pub missing: Vec<(String, String)>,
}

/// What workers share under one lock.
struct Shared {
    schedule: Schedule,
    data: BTreeMap<u64, Arc<ItemData>>,
    /// Items of each family that failed: they take no part in later groups.
    failed: BTreeMap<u32, BTreeSet<u64>>,
    failures: Vec<Failure>,
    /// Partials of collection reductions.
    collected: BTreeMap<NodeId, AnyPartial>,
    stages_begun: BTreeSet<u32>,
    missing: Vec<(String, String)>,
    /// Workers that wait for something to do.
    waiting: usize,
    ended: bool,
}

struct Driver<'a> {
    cx: Context<'a>,
    options: &'a Options<'a>,
    shared: Mutex<Shared>,
    wake: Condvar,
    tasks_ok: AtomicU64,
    tasks_failed: AtomicU64,
    bytes_read: AtomicU64,
    bytes_written: AtomicU64,
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
    let outputs = Outputs::new(plan, options.results);
    let fixed = plan.memory.projected - plan.memory.item_budget;
    let budget = plan.settings.memory.saturating_sub(fixed).min(plan.memory.item_budget);
    let driver = Driver {
        cx: Context {
            plan,
            outputs: &outputs,
            pool: &pool,
            clock: options.clock,
            cpu_profile: options.cpu_profile,
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
        tasks_ok: AtomicU64::new(0),
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
    Ok(Outcome {
        status: match (interrupted, failed) {
            (true, _) => RunStatus::Interrupted,
            (false, 0) if shared.failures.is_empty() => RunStatus::Ok,
            _ => RunStatus::Failed,
        },
        tasks_ok: driver.tasks_ok.load(Ordering::Relaxed),
        tasks_failed: failed,
        items_failed: shared.failed.values().map(|s| s.len() as u64).sum(),
        failures: shared.failures,
        bytes_read: driver.bytes_read.load(Ordering::Relaxed),
        bytes_written: driver.bytes_written.load(Ordering::Relaxed),
        outputs: outputs.written(plan),
        missing: shared.missing,
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
                    let data = self.data(&mut guard, &task);
                    self.begin_stage(&mut guard, task.stage.0);
                    drop(guard);
                    let failed = self.task(worker, &data, &task);
                    guard = lock(&self.shared);
                    match failed {
                        None => guard.schedule.done(&task),
                        Some(f) => self.item_failed(&mut guard, &task, f),
                    }
                }
                Next::FinishStage(task) => {
                    let data = self.data(&mut guard, &task);
                    drop(guard);
                    let failed = guarded(|| self.finish_stage(&data, &task)).err();
                    guard = lock(&self.shared);
                    match failed {
                        None => guard.schedule.stage_finished(self.cx.plan, &task),
                        Some(f) => {
                            let f = f.named(self.cx.plan, task.item, self.options.keep_going);
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

    fn data(&self, shared: &mut Shared, task: &Task) -> Arc<ItemData> {
        let handed = |n| {
            self.cx.plan.hands_on(n, task.item, task.group)?;
            let mut exports = self.cx.exports.write().unwrap_or_else(PoisonError::into_inner);
            exports.remove(&(n, task.item))
        };
        let make = || Arc::new(ItemData::new(self.cx.plan, task.group, task.item, task.class, handed));
        shared.data.entry(task.item).or_insert_with(make).clone()
    }

    fn begin_stage(&self, shared: &mut Shared, stage: u32) {
        if shared.stages_begun.insert(stage) {
            self.options.bus.emit(Event::StageStarted { stage, at: self.cx.clock.now() });
        }
    }

    /// Runs and reports one task.
    fn task(&self, worker: u32, data: &ItemData, task: &Task) -> Option<Failure> {
        let start = self.cx.clock.now();
        let cpu = thread_cpu();
        let result = guarded(|| task::run(&self.cx, data, task));
        let cpu = thread_cpu().saturating_sub(cpu);
        let stop = self.cx.clock.now();
        let (done, failure) = match result {
            Ok(done) => (done, None),
            Err(f) => (Done::default(), Some(f.named(self.cx.plan, task.item, self.options.keep_going))),
        };
        let counter = if failure.is_none() { &self.tasks_ok } else { &self.tasks_failed };
        counter.fetch_add(1, Ordering::Relaxed);
        self.bytes_read.fetch_add(done.bytes_read, Ordering::Relaxed);
        self.bytes_written.fetch_add(done.bytes_written, Ordering::Relaxed);
        let status = match &failure {
            None => TaskStatus::Ok,
            Some(f) => TaskStatus::Failed(Arc::new(f.clone())),
        };
        self.options.bus.emit(Event::TaskEnded(Arc::new(TaskRecord {
            stage: task.stage.0,
            item: task.item,
            block: task.block,
            worker,
            start,
            stop,
            cpu,
            nbytes: done.nbytes,
            status,
            actions: done.actions,
            ops: done.ops,
        })));
        failure
    }

    fn item_failed(&self, shared: &mut Shared, task: &Task, f: Failure) {
        shared.schedule.fail(task);
        self.item_failed_after(shared, task, f);
    }

    fn item_failed_after(&self, shared: &mut Shared, task: &Task, f: Failure) {
        let family = self.cx.plan.groups[task.group].family;
        if let Some(family) = family {
            shared.failed.entry(family.0).or_default().insert(task.item);
        }
        shared.schedule.fail_item(task.item);
        if shared.failures.len() < KEEP_FAILURES {
            shared.failures.push(f);
        }
        let skips = family.is_some_and(|f| self.cx.plan.graph.input(f).decl.on_error == OnError::Skip);
        if family.is_none() || !(self.options.keep_going || skips) {
            shared.schedule.stop();
        }
    }

    /// The last task of a stage is done: reductions become values, outputs are completed, arrays it read may go.
    fn finish_stage(&self, data: &ItemData, task: &Task) -> Result<(), Failed> {
        let plan = self.cx.plan;
        let stage = plan.stage(task.stage);
        for &root in &stage.roots {
            match root {
                Root::Reduce(n) => {
                    if let Kind::Reduce(op, Scope::Item) = &plan.graph.node(n).kind {
                        let value = self.value(op.as_ref(), n, task.class, data)?;
                        self.found(n, Some(task.item), &value);
                        if plan.graph.node(n).family.is_none() {
                            self.publish(n, value.clone());
                        }
                        self.tables(n, task.item, &value)?;
                        if let Some(slot) = data.values.get(&n) {
                            let _already = slot.set(value);
                        }
                    }
                }
                Root::Write(o) => {
                    let writer = data.outputs.get(&o).and_then(|w| lock(&w.writer).take());
                    let writer = match writer {
                        Some(w) => w,
                        // No block was written: an empty array.
                        None => self
                            .cx
                            .outputs
                            .open(plan, o, task.item, task.class)
                            .map_err(|e| task::store_failed(plan.graph.outputs[o].node, String::new(), e))?,
                    };
                    let bytes = writer.finish().map_err(|e| {
                        writer.abandon();
                        task::store_failed(plan.graph.outputs[o].node, String::new(), e)
                    })?;
                    self.bytes_written.fetch_add(bytes, Ordering::Relaxed);
                    self.cx.outputs.completed(o, bytes);
                }
                Root::Keep(_) => {}
            }
        }
        for n in &stage.reads {
            if let Some(kept) = data.kept.get(n) {
                kept.release();
            }
        }
        Ok(())
    }

    fn value(
        &self,
        op: &dyn ops_core::op::DynReduce,
        n: NodeId,
        class: usize,
        data: &ItemData,
    ) -> Result<ops_core::Value, Failed> {
        let ports = self.cx.plan.graph.ports(n, class);
        let partial = data.partials.get(&n).and_then(|p| lock(p).take()).unwrap_or_else(|| op.start(&ports));
        self.finish_value(op, n, class, partial, Some(data))
    }

    fn finish_value(
        &self,
        op: &dyn ops_core::op::DynReduce,
        n: NodeId,
        class: usize,
        partial: AnyPartial,
        data: Option<&ItemData>,
    ) -> Result<ops_core::Value, Failed> {
        let ports = self.cx.plan.graph.ports(n, class);
        let global = self.cx.values.read().unwrap_or_else(PoisonError::into_inner);
        let values: SmallVec<[ops_core::Value; 2]> = self
            .cx
            .plan
            .graph
            .node(n)
            .values
            .iter()
            .filter_map(|v| data.and_then(|d| d.values.get(v)?.get().cloned()).or_else(|| global.get(v).cloned()))
            .collect();
        drop(global);
        op.finish(partial, &values, &ports).map_err(|e| task::op_failed(n, "all blocks".into(), e))
    }

    fn publish(&self, n: NodeId, value: ops_core::Value) {
        self.cx.values.write().unwrap_or_else(PoisonError::into_inner).insert(n, value);
    }

    /// Tells of the numbers that a value is; `item` is `None` for a collection.
    fn found(&self, n: NodeId, item: Option<u64>, value: &ops_core::Value) {
        let ops_core::Value::Numbers(numbers) = value else { return };
        let graph = &self.cx.plan.graph;
        let family = graph.node(n).family;
        let name: Arc<str> = match (item, family) {
            (Some(item), Some(f)) => graph.input(f).items.stem(item).into(),
            _ => "".into(),
        };
        let numbers = numbers.clone();
        self.options.bus.emit(Event::Value { node: n.0, item: item.unwrap_or(0), name, numbers });
    }

    /// Writes the table outputs that a value is.
    fn tables(&self, n: NodeId, item: u64, value: &ops_core::Value) -> Result<(), Failed> {
        let plan = self.cx.plan;
        for (o, out) in plan.graph.outputs.iter().enumerate() {
            if out.node == n && out.format.is_table() {
                let table = value.as_table().map_err(|e| task::op_failed(n, String::new(), e))?;
                let bytes =
                    self.cx.outputs.table(plan, o, item, table).map_err(|e| task::store_failed(n, String::new(), e))?;
                self.bytes_written.fetch_add(bytes, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// The item's last stage is done, or it was dropped.
    fn finish_item(&self, group: usize, failed: bool, data: &ItemData) {
        let (plan, item) = (self.cx.plan, data.item);
        let g = &plan.groups[group];
        if failed {
            data.abandon();
        } else {
            let mut exports = self.cx.exports.write().unwrap_or_else(PoisonError::into_inner);
            for (&n, kept) in data.kept.iter().filter(|(n, _)| outlives(plan, group, item, **n)) {
                exports.insert((n, item), kept.clone());
            }
        }
        let last = plan.groups[group + 1..].iter().all(|later| later.family != g.family || !later.runs(item));
        if let (Some(f), true) = (g.family, last || failed) {
            let name: Arc<str> = plan.graph.input(f).items.stem(item).into();
            self.options.bus.emit(Event::ItemEnded { item, name, ok: !failed });
        }
    }

    /// Adds an item's share to the reductions over its collection.
    fn collect(&self, shared: &mut Shared, group: usize, data: &ItemData) -> Result<(), Box<(Task, Failure)>> {
        let plan = self.cx.plan;
        for (&n, slot) in &data.partials {
            let Kind::Reduce(op, Scope::Collection) = &plan.graph.node(n).kind else { continue };
            let Some(partial) = lock(slot).take() else { continue };
            match shared.collected.get_mut(&n) {
                None => {
                    shared.collected.insert(n, partial);
                }
                Some(into) => {
                    if let Err(e) = op.merge(into, partial) {
                        let stage = plan.groups[group].stages_of(data.class)[0];
                        let task = Task { group, item: data.item, class: data.class, stage, block: 0 };
                        let failed = task::op_failed(n, String::new(), e);
                        return Err(Box::new((task, failed.named(plan, data.item, self.options.keep_going))));
                    }
                }
            }
        }
        Ok(())
    }

    /// Every item of a group is done: reductions over the collection become values, arrays that no later group reads
    /// go.
    fn finish_group(&self, shared: &mut Shared, group: usize) {
        let plan = self.cx.plan;
        let g = &plan.groups[group];
        // Variants of a pass share their reductions.
        let reduces: BTreeSet<NodeId> = g
            .stages
            .iter()
            .flat_map(|&s| plan.stage(s).roots.iter())
            .filter_map(|r| match r {
                Root::Reduce(n) if matches!(plan.graph.node(*n).kind, Kind::Reduce(_, Scope::Collection)) => Some(*n),
                _ => None,
            })
            .collect();
        for n in reduces {
            if shared.schedule.is_stopped() {
                break;
            }
            let Kind::Reduce(op, _) = &plan.graph.node(n).kind else { continue };
            let partial = shared.collected.remove(&n).unwrap_or_else(|| op.start(&plan.graph.ports(n, 0)));
            let finished = self.finish_value(op.as_ref(), n, 0, partial, None).and_then(|v| {
                self.found(n, None, &v);
                self.tables(n, 0, &v)?;
                self.publish(n, v);
                Ok(())
            });
            if let Err(f) = finished {
                shared.failures.push(f.named(plan, 0, false));
                self.tasks_failed.fetch_add(1, Ordering::Relaxed);
                shared.schedule.stop();
            }
        }
        let mut exports = self.cx.exports.write().unwrap_or_else(PoisonError::into_inner);
        exports.retain(|(n, _), _| !g.releases.contains(n));
        drop(exports);
        self.give_up_joins(shared, group);
    }

    /// Ends the run before passes that join items of which some failed: a join needs every one.
    fn give_up_joins(&self, shared: &mut Shared, group: usize) {
        let plan = self.cx.plan;
        let later = plan.groups.get(group + 1..).unwrap_or_default();
        let stages = || later.iter().flat_map(|g| g.stages.iter().map(move |&s| (g, plan.stage(s))));
        let joined = stages().filter(|(g, _)| g.family.is_none()).flat_map(|(_, s)| s.reads.iter());
        let failed: BTreeSet<&str> = joined
            .filter_map(|&n| plan.graph.node(n).family)
            .filter(|f| shared.failed.get(&f.0).is_some_and(|items| !items.is_empty()))
            .map(|f| plan.graph.input(f).decl.name.value.as_str())
            .collect();
        if failed.is_empty() || shared.schedule.is_stopped() {
            return;
        }
        let inputs = failed.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        for (_, stage) in stages() {
            for root in &stage.roots {
                if let Root::Write(o) = root {
                    let name = plan.graph.outputs[*o].decl.name.value.clone();
                    shared.missing.push((name, inputs.clone()));
                }
            }
        }
        shared.schedule.stop();
    }
}

/// Runs work that a bug might make panic: the panic becomes a failure that names it.
fn guarded<T>(work: impl FnOnce() -> Result<T, Failed>) -> Result<T, Failed> {
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

//! Runs tasks and tells of them: their records, what stages found, and what a failure ends.

use super::clock::thread_cpu;
use super::item::ItemData;
use super::run::{Driver, Shared, guarded};
use super::task::{self, Done};
use crate::event::{Cause, Event, Failure, TaskRecord, TaskStatus, WarningRecord};
use crate::schedule::Task;
use engine_model::graph::NodeId;
use engine_model::plan::StageId;
use engine_model::spec::workflow::OnError;
use ops_core::Warning;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Failures of which the full text is kept; more are counted.
const KEEP_FAILURES: usize = 1000;

impl Driver<'_> {
    pub(super) fn begin_stage(&self, shared: &mut Shared, stage: u32) {
        if shared.stages_begun.insert(stage) {
            self.options.bus.emit(Event::StageStarted { stage, at: self.cx.clock.now() });
        }
    }

    /// Runs and reports one task.
    pub(super) fn task(&self, worker: u32, data: &ItemData, task: &Task) -> Option<Failure> {
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
            warnings: done.warnings.clone(),
        })));
        for (node, warning) in done.warnings {
            self.warn(task.stage, NodeId(node), Some(task.item), warning, true);
        }
        failure
    }

    pub(super) fn item_failed(&self, shared: &mut Shared, task: &Task, f: Failure) {
        shared.schedule.fail(task);
        self.item_failed_after(shared, task, f);
    }

    pub(super) fn item_failed_after(&self, shared: &mut Shared, task: &Task, f: Failure) {
        let family = self.cx.plan.groups[task.group].family;
        if let Some(family) = family {
            shared.failed.entry(family.0).or_default().insert(task.item);
        }
        shared.schedule.fail_item(task.item);
        if shared.failures.len() < KEEP_FAILURES {
            shared.failures.push(f);
        }
        let skips = family.is_some_and(|f| self.cx.plan.graph.input(f).decl.on_error == OnError::Skip);
        // On a full disk every other item would fail too.
        let full = shared.failures.last().is_some_and(|f| f.cause == Cause::DiskFull);
        if family.is_none() || full || !(self.options.keep_going || skips) {
            shared.schedule.stop();
        }
    }

    /// Tells of the numbers that a value is; `item` is `None` for a collection.
    pub(super) fn found(&self, n: NodeId, item: Option<u64>, value: &ops_core::Value) {
        let ops_core::Value::Numbers(numbers) = value else { return };
        let (item, name) = self.item(n, item);
        let numbers = numbers.clone();
        self.options.bus.emit(Event::Value { node: n.0, item: item.unwrap_or(0), name, numbers });
    }

    /// Tells of a warning, unless its step told of it for the item; `item` is `None` for a collection.
    pub(super) fn warn(&self, stage: StageId, n: NodeId, item: Option<u64>, warning: Warning, in_task: bool) {
        let (item, name) = self.item(n, item);
        if self.warnings.note(self.cx.plan, n, item, warning) {
            let (item, at) = (item.unwrap_or(0), self.cx.clock.now());
            let record = WarningRecord { node: n.0, stage: stage.0, item, name, warning, at, in_task };
            self.options.bus.emit(Event::Warned(Arc::new(record)));
        }
    }

    /// Number and name of the item that a node is computed for; `None` and an empty name where it is not one of many.
    fn item(&self, n: NodeId, item: Option<u64>) -> (Option<u64>, Arc<str>) {
        let graph = &self.cx.plan.graph;
        match (item, graph.node(n).family) {
            (Some(item), Some(f)) => (Some(item), graph.input(f).items.stem(item).into()),
            _ => (None, "".into()),
        }
    }
}

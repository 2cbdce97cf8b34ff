//! What is due when the last task of a stage, an item or a pass is done: values, complete outputs, arrays that may go.

use super::failed::{self, Failed};
use super::item::{ItemData, lock, outlives};
use super::leaving;
use super::resume::State;
use super::run::{Driver, Shared};
use crate::event::{Event, Failure};
use crate::schedule::Task;
use engine_model::graph::{Kind, NodeId};
use engine_model::plan::{Root, StageId};
use ops_core::op::{AnyPartial, DynReduce};
use ops_core::{FinishCall, Scope, Value, Warnings};
use smallvec::SmallVec;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

impl Driver<'_> {
    /// The last task of a stage is done: reductions become values, outputs are completed, arrays it read may go.
    pub(super) fn finish_stage(&self, data: &ItemData, task: &Task) -> Result<(), Failed> {
        let plan = self.cx.plan;
        let stage = plan.stage(task.stage);
        for &root in &stage.roots {
            match root {
                Root::Reduce(n) => {
                    if let Kind::Reduce(op, Scope::Item) = &plan.graph.node(n).kind {
                        let value = self.value(op.as_ref(), n, task, data)?;
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
                Root::Write(_) if data.needs_not(plan, root) => {}
                Root::Write(o) if self.completed_before(data, root, o)? => {}
                Root::Write(o) => {
                    let writer = data.outputs.get(&o).and_then(|w| lock(&w.writer).take());
                    let writer = match writer {
                        Some(w) => w,
                        // No block was written: an empty array, or an earlier run wrote them all.
                        None => leaving::open_output(&self.cx, data, stage, o)?,
                    };
                    let node = plan.graph.outputs[o].node;
                    let bytes = writer.finish().map_err(|e| {
                        writer.abandon();
                        failed::store_failed(node, String::new(), e)
                    })?;
                    self.bytes_written.fetch_add(bytes, Ordering::Relaxed);
                    let more = self.cx.outputs.completed(plan, o, task.item, bytes);
                    let more = more.map_err(|e| failed::store_failed(node, String::new(), e))?;
                    self.bytes_written.fetch_add(more, Ordering::Relaxed);
                    if let Some((resume, r)) = self.cx.resume.as_ref().zip(data.roots.get(&root)) {
                        let (path, bytes) = self.cx.outputs.size(plan, o, task.item);
                        resume.complete(&r.keys, &path, bytes).map_err(|e| failed::journal_failed(resume, node, &e))?;
                    }
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

    /// True for an output that an earlier run completed, which then counts as one of this run.
    fn completed_before(&self, data: &ItemData, root: Root, o: usize) -> Result<bool, Failed> {
        let journaled = self.cx.resume.as_ref().zip(data.roots.get(&root));
        let bytes = journaled.filter(|(_, r)| r.state == State::Complete).and_then(|(s, r)| s.completed(&r.keys));
        let Some(bytes) = bytes else { return Ok(false) };
        let plan = self.cx.plan;
        let failed = |e| failed::store_failed(plan.graph.outputs[o].node, String::new(), e);
        self.cx.outputs.completed(plan, o, data.item, bytes).map_err(failed)?;
        Ok(true)
    }

    fn value(&self, op: &dyn DynReduce, n: NodeId, task: &Task, data: &ItemData) -> Result<Value, Failed> {
        let ports = self.cx.plan.graph.ports(n, task.class);
        let partial = data.partials.get(&n).and_then(|p| lock(p).take()).unwrap_or_else(|| op.start(&ports));
        self.finish_value(op, n, task.stage, partial, Some(data))
    }

    /// What a reduction leaves; `data` is that of its item, `None` for a collection.
    fn finish_value(
        &self,
        op: &dyn DynReduce,
        n: NodeId,
        stage: StageId,
        partial: AnyPartial,
        data: Option<&ItemData>,
    ) -> Result<Value, Failed> {
        let ports = self.cx.plan.graph.ports(n, data.map_or(0, |d| d.class));
        let global = self.cx.values.read().unwrap_or_else(PoisonError::into_inner);
        let consumed = &self.cx.plan.graph.node(n).values;
        let values: SmallVec<[Value; 2]> = consumed
            .iter()
            .filter_map(|v| data.and_then(|d| d.values.get(v)?.get().cloned()).or_else(|| global.get(v).cloned()))
            .collect();
        drop(global);
        let warnings = Warnings::default();
        let call = FinishCall { ports: &ports, values: &values, warnings: &warnings };
        let value = op.finish(partial, &call).map_err(|e| failed::op_failed(n, "all blocks".into(), e))?;
        for warning in warnings.take() {
            self.warn(stage, n, data.map(|d| d.item), warning, false);
        }
        Ok(value)
    }

    fn publish(&self, n: NodeId, value: Value) {
        self.cx.values.write().unwrap_or_else(PoisonError::into_inner).insert(n, value);
    }

    /// Writes the table outputs that a value is.
    fn tables(&self, n: NodeId, item: u64, value: &Value) -> Result<(), Failed> {
        let plan = self.cx.plan;
        for (o, out) in plan.graph.outputs.iter().enumerate() {
            if out.node == n && out.format.is_table() {
                let table = value.as_table().map_err(|e| failed::op_failed(n, String::new(), e))?;
                let bytes = self
                    .cx
                    .outputs
                    .table(plan, o, item, table)
                    .map_err(|e| failed::store_failed(n, String::new(), e))?;
                self.bytes_written.fetch_add(bytes, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// The item's last stage is done, or it was dropped.
    pub(super) fn finish_item(&self, group: usize, failed: bool, data: &ItemData) {
        let (plan, item) = (self.cx.plan, data.item);
        let g = &plan.groups[group];
        if failed {
            data.give_up(self.cx.resume.is_some());
        } else {
            let mut exports = self.cx.exports.write().unwrap_or_else(PoisonError::into_inner);
            for (&n, kept) in data.kept.iter().filter(|(n, _)| outlives(plan, group, item, **n)) {
                exports.insert((n, item), kept.clone());
            }
        }
        if g.family.is_some() && !failed {
            // Room for the next items. What can't be removed is met again at the end of the run, which warns.
            data.outputs.keys().filter(|o| plan.graph.outputs[**o].scratch).for_each(|o| {
                let _ = std::fs::remove_dir_all(self.cx.outputs.path(plan, *o, item));
            });
        }
        let last = plan.groups[group + 1..].iter().all(|later| later.family != g.family || !later.runs(item));
        if let (Some(f), true) = (g.family, last || failed) {
            let name: Arc<str> = plan.graph.input(f).items.stem(item).into();
            self.options.bus.emit(Event::ItemEnded { item, name, ok: !failed });
        }
    }

    /// Adds an item's share to the reductions over its collection.
    pub(super) fn collect(
        &self,
        shared: &mut Shared,
        group: usize,
        data: &ItemData,
    ) -> Result<(), Box<(Task, Failure)>> {
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
                        let failed = failed::op_failed(n, String::new(), e);
                        return Err(Box::new((task, failed.named(plan, data.item, self.options.keep_going))));
                    }
                }
            }
        }
        Ok(())
    }

    /// Every item of a group is done: reductions over the collection become values, arrays that no later group reads
    /// go.
    pub(super) fn finish_group(&self, shared: &mut Shared, group: usize) {
        let plan = self.cx.plan;
        let g = &plan.groups[group];
        // Variants of a pass share their reductions: the first stage stands for all.
        let mut reduces: BTreeMap<NodeId, StageId> = BTreeMap::new();
        for &stage in &g.stages {
            for root in &plan.stage(stage).roots {
                if let Root::Reduce(n) = *root
                    && matches!(plan.graph.node(n).kind, Kind::Reduce(_, Scope::Collection))
                {
                    reduces.entry(n).or_insert(stage);
                }
            }
        }
        for (n, stage) in reduces {
            if shared.schedule.is_stopped() {
                break;
            }
            let Kind::Reduce(op, _) = &plan.graph.node(n).kind else { continue };
            let partial = shared.collected.remove(&n).unwrap_or_else(|| op.start(&plan.graph.ports(n, 0)));
            let finished = self.finish_value(op.as_ref(), n, stage, partial, None).and_then(|v| {
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

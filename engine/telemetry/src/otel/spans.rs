//! Spans built straight from events: run > stage > task > op.
//!
//! Ids are computed from (run, stage, item, block, node), so a parent need not have ended, nor be remembered, for its
//! children to name it, and the same task gets the same span whoever tells of it.

use super::config::Parent;
use super::trace::OpenStage;
use engine_model::diag::count;
use engine_runtime::event::{Nanos, RunEnd, RunHeader, RunStatus, TaskRecord, TaskStatus, Warning};
use opentelemetry::trace::{
    Event as SpanEvent, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Makes the spans of one run.
pub(crate) struct Spans {
    run: u128,
    trace: TraceId,
    state: TraceState,
    parent: Option<SpanId>,
    scope: InstrumentationScope,
    start: Nanos,
    workflow: String,
    threads: usize,
    stages: Vec<Texts>,
    nodes: Vec<Texts>,
}

/// Texts shared by all spans of a stage or a node.
struct Texts {
    span: String,
    /// The stage's name, or the step.
    first: Arc<str>,
    /// The stage's steps, or the op.
    second: Arc<str>,
}

/// What a span stands for; part of its id.
#[derive(Clone, Copy)]
enum Kind {
    Run = 1,
    Stage,
    Task,
    Op,
}

impl Spans {
    pub(crate) fn new(header: &RunHeader, parent: Option<&Parent>) -> Self {
        let step = |node: &u32| header.nodes.get(*node as usize).map(|node| node.step.as_str());
        let stages = header.stages.iter().map(|stage| {
            let mut steps: Vec<&str> = stage.nodes.iter().filter_map(step).collect();
            steps.dedup();
            Texts {
                span: format!("task {}", stage.name),
                first: stage.name.as_str().into(),
                second: steps.join(",").into(),
            }
        });
        let nodes = header.nodes.iter().map(|node| Texts {
            span: if node.name.is_empty() { node.op.clone() } else { format!("{} {}", node.op, node.name) },
            first: node.step.as_str().into(),
            second: node.op.as_str().into(),
        });
        Self {
            run: header.run_id,
            trace: trace_id(header.run_id, parent),
            state: parent.map(|parent| parent.state.clone()).unwrap_or_default(),
            parent: parent.map(|parent| parent.span),
            scope: InstrumentationScope::builder("engine").with_version(header.version.clone()).build(),
            start: header.start,
            workflow: header.workflow.clone(),
            threads: header.threads,
            stages: stages.collect(),
            nodes: nodes.collect(),
        }
    }

    /// The span of the whole run. Without an end the run was cut off.
    pub(crate) fn run(&self, end: Option<&RunEnd>, stop: Nanos) -> SpanData {
        let mut attributes = vec![
            KeyValue::new("engine.workflow", self.workflow.clone()),
            KeyValue::new("engine.run", format!("{:032x}", self.run)),
            KeyValue::new("engine.threads", number(self.threads as u64)),
        ];
        if let Some(end) = end {
            attributes.push(KeyValue::new("engine.tasks", number(end.tasks_ok + end.tasks_failed)));
            attributes.push(KeyValue::new("engine.tasks.failed", number(end.tasks_failed)));
        }
        let status = match end.map(|end| end.status) {
            Some(RunStatus::Ok) => Status::Ok,
            Some(RunStatus::Failed) => Status::error("some tasks failed"),
            Some(RunStatus::Interrupted) => Status::error("interrupted"),
            None => Status::error("ended without a word"),
        };
        let id = self.id(Kind::Run, [0; 4]);
        let mut span =
            self.span(id, SpanId::INVALID, format!("run {}", self.workflow), self.start, stop, attributes, status);
        if let Some(parent) = self.parent {
            span.parent_span_id = parent;
            span.parent_span_is_remote = true;
        }
        span
    }

    /// The span of a stage.
    pub(super) fn stage(&self, stage: u32, open: &OpenStage, stop: Nanos) -> SpanData {
        let (name, attributes) = match self.stages.get(stage as usize) {
            None => (format!("stage {stage}"), Vec::new()),
            Some(texts) => {
                let name = format!("stage {}", texts.first);
                (
                    name,
                    vec![
                        KeyValue::new("engine.stage", Arc::clone(&texts.first)),
                        KeyValue::new("engine.step", Arc::clone(&texts.second)),
                    ],
                )
            }
        };
        let failed = || Status::error(format!("{} failed", count(open.failed, "task")));
        let status = if open.failed == 0 { Status::Ok } else { failed() };
        let mut span =
            self.span(self.stage_id(stage), self.id(Kind::Run, [0; 4]), name, open.start, stop, attributes, status);
        span.events.events = open
            .warnings
            .iter()
            .map(|warned| {
                let mut event = self.warning(warned.node, &warned.warning, warned.at);
                event.attributes.push(KeyValue::new("engine.item", number(warned.item)));
                event
            })
            .collect();
        span.events.dropped_count = open.more_warnings;
        span
    }

    /// Appends the spans of a task and of its ops.
    pub(crate) fn task(&self, record: &TaskRecord, out: &mut Vec<SpanData>) {
        let key = [u64::from(record.stage), record.item, record.block, 0];
        let task = self.id(Kind::Task, key);
        let mut attributes = Vec::with_capacity(10);
        let mut name = Cow::Borrowed("task");
        if let Some(texts) = self.stages.get(record.stage as usize) {
            name = Cow::Owned(texts.span.clone());
            attributes.push(KeyValue::new("engine.stage", Arc::clone(&texts.first)));
            attributes.push(KeyValue::new("engine.step", Arc::clone(&texts.second)));
        }
        attributes.push(KeyValue::new("engine.item", number(record.item)));
        attributes.push(KeyValue::new("engine.block", number(record.block)));
        attributes.push(KeyValue::new("engine.bytes", number(record.nbytes)));
        attributes.push(KeyValue::new("thread.id", number(u64::from(record.worker))));
        let status = match &record.status {
            TaskStatus::Ok => Status::Ok,
            TaskStatus::Cancelled => {
                attributes.push(KeyValue::new("engine.cancelled", true));
                Status::Unset
            }
            TaskStatus::Failed(failure) => {
                attributes.push(KeyValue::new("engine.region", failure.region.clone()));
                if let Some(path) = &failure.path {
                    attributes.push(KeyValue::new("engine.path", path.to_string_lossy().into_owned()));
                }
                Status::error(format!("{} ({}): {}", failure.step, failure.op, failure.message))
            }
        };
        let mut span =
            self.span(task, self.stage_id(record.stage), name, record.start, record.stop, attributes, status);
        span.events.events = record.warnings.iter().map(|(node, w)| self.warning(*node, w, record.stop)).collect();
        out.push(span);
        for (position, op) in (0u64..).zip(&record.ops) {
            let mut attributes = Vec::with_capacity(8);
            let mut name = Cow::Borrowed("op");
            if let Some(texts) = self.nodes.get(op.node as usize) {
                name = Cow::Owned(texts.span.clone());
                attributes.push(KeyValue::new("engine.step", Arc::clone(&texts.first)));
                attributes.push(KeyValue::new("engine.op", Arc::clone(&texts.second)));
            }
            attributes.push(KeyValue::new("engine.item", number(record.item)));
            attributes.push(KeyValue::new("engine.block", number(record.block)));
            attributes.push(KeyValue::new("engine.bytes", number(op.bytes)));
            attributes.push(KeyValue::new("thread.id", number(u64::from(record.worker))));
            if op.cpu > 0 {
                attributes.push(KeyValue::new("engine.cpu_s", op.cpu as f64 / 1e9));
            }
            // An op may run more than once in a task.
            let id = self.id(Kind::Op, [key[0], key[1], key[2], u64::from(op.node) << 32 | position]);
            out.push(self.span(id, task, name, op.start, op.stop, attributes, Status::Ok));
        }
    }

    /// What an op warned of, as an event of a span.
    fn warning(&self, node: u32, warning: &Warning, at: Nanos) -> SpanEvent {
        let mut attributes =
            vec![KeyValue::new("engine.code", warning.code), KeyValue::new("engine.message", warning.text)];
        if let Some(texts) = self.nodes.get(node as usize) {
            attributes.push(KeyValue::new("engine.step", Arc::clone(&texts.first)));
            attributes.push(KeyValue::new("engine.op", Arc::clone(&texts.second)));
        }
        SpanEvent::new("warning", time(at), attributes, 0)
    }

    #[expect(clippy::too_many_arguments, reason = "it is the constructor of a foreign struct")]
    fn span(
        &self,
        id: SpanId,
        parent: SpanId,
        name: impl Into<Cow<'static, str>>,
        start: Nanos,
        stop: Nanos,
        attributes: Vec<KeyValue>,
        status: Status,
    ) -> SpanData {
        SpanData {
            span_context: SpanContext::new(self.trace, id, TraceFlags::SAMPLED, false, self.state.clone()),
            parent_span_id: parent,
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: name.into(),
            start_time: time(start),
            end_time: time(stop),
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status,
            instrumentation_scope: self.scope.clone(),
        }
    }

    fn stage_id(&self, stage: u32) -> SpanId {
        self.id(Kind::Stage, [u64::from(stage), 0, 0, 0])
    }

    fn id(&self, kind: Kind, key: [u64; 4]) -> SpanId {
        let seed = (self.run as u64) ^ ((self.run >> 64) as u64).rotate_left(32);
        let hash = key.iter().fold(mix(seed ^ kind as u64), |hash, part| mix(hash ^ mix(*part)));
        SpanId::from(hash.max(1))
    }
}

/// The trace of a run: its parent's, or one of its own.
pub(crate) fn trace_id(run: u128, parent: Option<&Parent>) -> TraceId {
    parent.map_or_else(|| TraceId::from(run.max(1)), |parent| parent.trace)
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014): a bijection in which every bit depends on every other.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

fn time(nanos: Nanos) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos)
}

/// OTLP has signed integers only.
fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake;
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::Path;

    fn open(failed: u64) -> OpenStage {
        OpenStage { start: 1, failed, warnings: Vec::new(), more_warnings: 0 }
    }

    fn all(tasks: u64) -> Vec<SpanData> {
        let spans = Spans::new(&fake::header(Path::new("/x"), tasks), None);
        let mut out = Vec::new();
        (0..tasks).for_each(|i| spans.task(&fake::task(i, tasks), &mut out));
        (0..2).for_each(|stage| out.push(spans.stage(stage, &open(0), 2)));
        out.push(spans.run(None, 9));
        out
    }

    #[test]
    fn every_id_is_unique_and_every_parent_is_there() {
        let spans = all(30_000);
        // Run, stages, tasks of two ops and of one.
        assert_eq!(spans.len(), 1 + 2 + 15_000 * 3 + 15_000 * 2);
        let ids: BTreeSet<_> = spans.iter().map(|span| span.span_context.span_id().to_bytes()).collect();
        assert_eq!(ids.len(), spans.len());
        let roots = spans.iter().filter(|span| span.parent_span_id == SpanId::INVALID).count();
        assert_eq!(roots, 1);
        let orphans = spans.iter().filter(|span| !ids.contains(&span.parent_span_id.to_bytes())).count();
        assert_eq!(orphans, 1, "only the run has no parent");
    }

    #[test]
    fn ids_are_the_same_each_time_and_differ_between_runs() {
        let (first, second) = (all(3), all(3));
        assert_eq!(first, second);
        let mut header = fake::header(Path::new("/x"), 3);
        header.run_id ^= 1 << 64;
        let other = Spans::new(&header, None);
        assert_ne!(other.stage_id(0), Spans::new(&fake::header(Path::new("/x"), 3), None).stage_id(0));
    }

    #[test]
    fn a_task_tells_where_it_ran_and_why_it_failed() {
        let spans = Spans::new(&fake::header(Path::new("/x"), 2), None);
        let mut record = fake::task(0, 2);
        record.status = fake::failure();
        let mut out = Vec::new();
        spans.task(&record, &mut out);
        let texts = |span: &SpanData| -> BTreeMap<String, String> {
            span.attributes.iter().map(|kv| (kv.key.to_string(), kv.value.to_string())).collect()
        };
        assert_eq!(out[0].name, "task smooth+mask");
        assert_eq!(out[0].status, Status::error("smooth (gaussian): expected 4 bytes, found 3: {é}"));
        let task = texts(&out[0]);
        assert_eq!((task["engine.step"].as_str(), task["engine.bytes"].as_str()), ("smooth,mask", "4096"));
        assert_eq!((task["engine.item"].as_str(), task["thread.id"].as_str()), ("0", "0"));
        assert_eq!(task["engine.region"], "[0:64, 64:128]");
        assert_eq!(out[2].name, "threshold compare");
        assert_eq!(
            (texts(&out[2])["engine.op"].as_str(), out[2].parent_span_id),
            ("threshold", out[0].span_context.span_id())
        );
        assert_eq!(out[0].start_time, time(record.start));
    }

    #[test]
    fn what_a_task_warned_of_is_an_event_of_its_span() {
        let spans = Spans::new(&fake::header(Path::new("/x"), 2), None);
        let mut record = fake::task(0, 2);
        record.warnings.push((1, Warning { code: "W0921", text: "flat" }));
        let mut out = Vec::new();
        spans.task(&record, &mut out);
        let event = &out[0].events.events[0];
        let texts: Vec<String> = event.attributes.iter().map(|kv| kv.value.to_string()).collect();
        assert_eq!((event.name.as_ref(), event.timestamp), ("warning", time(record.stop)));
        assert_eq!(texts, ["W0921", "flat", "mask", "threshold"]);
        assert!(out[1..].iter().all(|op| op.events.events.is_empty()));
    }

    #[test]
    fn a_parent_gives_its_trace_and_becomes_the_runs_parent() {
        let parent = Parent {
            trace: TraceId::from(7u128),
            span: SpanId::from(9u64),
            sampled: true,
            state: TraceState::default(),
        };
        let spans = Spans::new(&fake::header(Path::new("/x"), 2), Some(&parent));
        let end = RunEnd { status: RunStatus::Ok, stop: 9, tasks_ok: 2, tasks_failed: 0 };
        let run = spans.run(Some(&end), 9);
        assert_eq!((run.span_context.trace_id(), run.parent_span_id), (parent.trace, parent.span));
        assert!(run.parent_span_is_remote && run.status == Status::Ok);
        assert_eq!(spans.stage(0, &open(3), 2).status, Status::error("3 tasks failed"));
    }
}

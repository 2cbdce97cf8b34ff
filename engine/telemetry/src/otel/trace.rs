//! The spans of a run, event by event.

use super::config::Parent;
use super::spans::Spans;
use engine_runtime::event::{Event, Nanos, RunEnd, RunHeader, TaskStatus, WarningRecord};
use opentelemetry_sdk::trace::SpanData;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Warnings that a stage's span tells of; more are counted there, and all are in the record.
const WARNINGS: usize = 128;

/// What must be remembered until a run ends.
pub(super) struct Trace {
    spans: Spans,
    /// Stages that have started and not ended.
    open: BTreeMap<u32, OpenStage>,
    end: Option<RunEnd>,
    start: Nanos,
    opened: u64,
}

/// A stage whose span is not made yet.
pub(super) struct OpenStage {
    pub(super) start: Nanos,
    pub(super) failed: u64,
    /// What reductions warned of at their end, outside any task.
    pub(super) warnings: Vec<Arc<WarningRecord>>,
    pub(super) more_warnings: u32,
}

impl Trace {
    pub(super) fn new(header: &RunHeader, parent: Option<&Parent>) -> Self {
        Self { spans: Spans::new(header, parent), open: BTreeMap::new(), end: None, start: header.start, opened: 0 }
    }

    /// Appends the spans that an event completes: of tasks and their ops to `tasks`, of stages to `stages`.
    pub(super) fn add(&mut self, event: &Event, tasks: &mut Vec<SpanData>, stages: &mut Vec<SpanData>) {
        match event {
            Event::TaskEnded(record) => {
                let stage = self.stage(record.stage, record.start);
                stage.failed += u64::from(matches!(record.status, TaskStatus::Failed(_)));
                self.spans.task(record, tasks);
            }
            Event::StageStarted { stage, at } => {
                self.stage(*stage, *at);
            }
            Event::StageEnded { stage, at } => {
                self.stage(*stage, *at);
                if let Some(open) = self.open.remove(stage) {
                    stages.push(self.spans.stage(*stage, &open, *at));
                }
            }
            Event::Warned(warned) if !warned.in_task => {
                let stage = self.stage(warned.stage, warned.at);
                if stage.warnings.len() < WARNINGS {
                    stage.warnings.push(Arc::clone(warned));
                } else {
                    stage.more_warnings += 1;
                }
            }
            Event::RunEnded(end) => self.end = Some(end.clone()),
            Event::RunStarted(_)
            | Event::TaskResumed { .. }
            | Event::ItemEnded { .. }
            | Event::Value { .. }
            | Event::Warned(_) => {}
        }
    }

    /// Spans of stages begun since it was last asked.
    pub(super) fn newly_opened(&mut self) -> u64 {
        std::mem::take(&mut self.opened)
    }

    /// Ends what is still open, at `now` where the run has not told its end: the spans of stages, and last the run's.
    pub(super) fn finish(self, now: Nanos) -> Vec<SpanData> {
        let stop = self.end.as_ref().map_or(now, |end| end.stop).max(self.start);
        let open = self.open.iter().map(|(stage, open)| self.spans.stage(*stage, open, stop));
        open.chain([self.spans.run(self.end.as_ref(), stop)]).collect()
    }

    fn stage(&mut self, stage: u32, at: Nanos) -> &mut OpenStage {
        let opened = &mut self.opened;
        self.open.entry(stage).or_insert_with(|| {
            *opened += 1;
            OpenStage { start: at, failed: 0, warnings: Vec::new(), more_warnings: 0 }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake;
    use std::path::Path;

    #[test]
    fn what_a_reduction_warned_of_is_an_event_of_its_stage_and_bounded() {
        let mut trace = Trace::new(&fake::header(Path::new("/x"), 2), None);
        let (mut tasks, mut stages) = (Vec::new(), Vec::new());
        trace.add(&Event::StageStarted { stage: 0, at: 1 }, &mut tasks, &mut stages);
        for _ in 0..WARNINGS + 7 {
            trace.add(&crate::warnings::warned(1, "a"), &mut tasks, &mut stages);
        }
        trace.add(&Event::StageEnded { stage: 0, at: 9 }, &mut tasks, &mut stages);
        assert!(tasks.is_empty());
        assert_eq!((stages[0].events.events.len(), stages[0].events.dropped_count), (WARNINGS, 7));
        let texts: Vec<String> = stages[0].events.events[0].attributes.iter().map(|kv| kv.value.to_string()).collect();
        assert_eq!(texts, ["W0921", "flat: nothing", "mask", "threshold", "3"]);
        assert_eq!((trace.newly_opened(), trace.newly_opened()), (1, 0));
        assert_eq!(trace.finish(12).len(), 1, "only the run is open");
    }
}

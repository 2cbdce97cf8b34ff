//! What has happened so far in a run, and how it reads.

use super::amount::{bytes, duration, significant};
use engine_runtime::event::{ActionKind, RunEnd, RunHeader, RunStatus, TaskRecord, TaskStatus};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

/// Time in which an old rate has lost two thirds of its weight, in seconds.
const MEMORY: f64 = 5.0;
/// Shortest time a rate is taken over, in seconds.
const SHORTEST: f64 = 0.05;

/// What has happened so far.
pub(super) struct Count {
    pub(super) header: Option<Arc<RunHeader>>,
    pub(super) started: Instant,
    pub(super) tasks: u64,
    pub(super) failed: u64,
    pub(super) items: u64,
    pub(super) items_failed: u64,
    pub(super) bytes: u64,
    pub(super) active: BTreeSet<u32>,
    pub(super) rate: Rate,
    pub(super) end: Option<RunEnd>,
}

/// A rate that forgets: an average with weights that fall off by `e` every [`MEMORY`] seconds.
#[derive(Default)]
pub(super) struct Rate {
    at: f64,
    done: u64,
    /// The weighted sum, of weights that do not add up to one in the beginning.
    sum: f64,
    value: Option<f64>,
}

impl Rate {
    /// Takes note of how much was done how many seconds after the start.
    pub(super) fn update(&mut self, done: u64, at: f64) {
        let passed = at - self.at;
        if passed < SHORTEST {
            return;
        }
        let now = done.saturating_sub(self.done) as f64 / passed;
        self.sum += (1.0 - (-passed / MEMORY).exp()) * (now - self.sum);
        self.value = Some(self.sum / (1.0 - (-at / MEMORY).exp()));
        (self.at, self.done) = (at, done);
    }
}

impl Count {
    pub(super) fn new() -> Self {
        Self {
            header: None,
            started: Instant::now(),
            tasks: 0,
            failed: 0,
            items: 0,
            items_failed: 0,
            bytes: 0,
            active: BTreeSet::new(),
            rate: Rate::default(),
            end: None,
        }
    }

    pub(super) fn add(&mut self, record: &TaskRecord) {
        self.tasks += 1;
        self.failed += u64::from(matches!(record.status, TaskStatus::Failed(_)));
        if record.actions.iter().any(|action| action.kind == ActionKind::DiskWrite) {
            self.bytes += record.nbytes;
        }
    }

    /// How much is done, of how much if that is known, of what.
    pub(super) fn position(&self) -> Option<(u64, Option<u64>, &'static str)> {
        let header = self.header.as_ref()?;
        Some(match header.tasks {
            Some(total) => (self.tasks, Some(total), "tasks"),
            None if header.items > 1 => (self.items, Some(header.items), "items"),
            None => (self.tasks, None, "tasks"),
        })
    }

    /// Rate, time left, failures, bytes and stages.
    pub(super) fn details(&self) -> String {
        let Some((done, total, unit)) = self.position() else { return String::new() };
        let mut parts = Vec::new();
        if let Some(rate) = self.rate.value {
            parts.push(format!("{} {unit}/s", significant(rate)));
            let left = total.map(|total| total.saturating_sub(done));
            if let Some(left) = left.filter(|left| *left > 0 && rate > 0.0) {
                parts.push(format!("{} left", duration(left as f64 / rate)));
            }
        }
        let failed = if unit == "items" { self.items_failed } else { self.failed };
        if failed > 0 {
            parts.push(format!("{failed} failed"));
        }
        if self.bytes > 0 {
            parts.push(format!("{} made", bytes(self.bytes)));
        }
        if let Some(header) = &self.header {
            let names: Vec<&str> = (self.active.iter())
                .filter_map(|stage| header.stages.get(*stage as usize).map(|stage| stage.name.as_str()))
                .collect();
            if let [first, rest @ ..] = names.as_slice() {
                let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
                parts.push(format!("in {first}{more}"));
            }
        }
        parts.join(", ")
    }

    /// All of it in one line.
    pub(super) fn line(&self) -> String {
        let Some((done, total, unit)) = self.position() else { return String::new() };
        let mut line = match total {
            Some(total) if total > 0 => format!("{done}/{total} {unit} ({} %)", done.saturating_mul(100) / total),
            _ => format!("{done} {unit}"),
        };
        let details = self.details();
        if !details.is_empty() {
            line.push_str(", ");
            line.push_str(&details);
        }
        line
    }

    /// The last line.
    pub(super) fn summary(&mut self) -> String {
        let (status, passed) = match (&self.end, &self.header) {
            (Some(end), Some(header)) => {
                let status = match end.status {
                    RunStatus::Ok => "done",
                    RunStatus::Failed => "failed",
                    RunStatus::Interrupted => "interrupted",
                };
                // Events may have been dropped; the end knows.
                (self.tasks, self.failed) = (end.tasks_ok + end.tasks_failed, end.tasks_failed);
                (status, end.stop.saturating_sub(header.start) as f64 / 1e9)
            }
            _ => ("ended early", self.started.elapsed().as_secs_f64()),
        };
        let mut text = format!("{status}: {} tasks in {}", self.tasks, duration(passed));
        if self.failed > 0 {
            text.push_str(&format!(", {} failed", self.failed));
        }
        if self.bytes > 0 {
            text.push_str(&format!(", {} made", bytes(self.bytes)));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_rate_fades() {
        let mut rate = Rate::default();
        rate.update(100, 1.0);
        assert!((rate.value.unwrap() - 100.0).abs() < 1e-9, "{:?}", rate.value);
        (2..60).for_each(|second| rate.update(100 + (second - 1) * 10, second as f64));
        assert!((rate.value.unwrap() - 10.0).abs() < 0.1, "{:?}", rate.value);
        rate.update(1_000_000, 59.0);
        assert!(rate.value.unwrap() < 11.0, "no time passed");
    }

    /// A burst that was seen for a moment counts for that moment only.
    #[test]
    fn the_first_moment_does_not_rule_the_first_seconds() {
        let mut rate = Rate::default();
        rate.update(1_000, 0.000_1);
        assert_eq!(rate.value, None);
        rate.update(1_000, 0.1);
        rate.update(1_010, 1.0);
        let mean = 1_010.0 / 1.0;
        assert!((rate.value.unwrap() - mean).abs() < 0.2 * mean, "{:?}", rate.value);
        rate.update(1_020, 2.0);
        assert!(rate.value.unwrap() < 600.0, "{:?}", rate.value);
    }
}

//! `Reports/profile.yaml`: where the time of a run went, by stage, step and op.
//!
//! Every call of a node's kernel is counted, none is sampled. Sums are over threads: with eight busy threads a run of
//! one second has eight seconds of wall time. The file is replaced every few seconds and at the end.

mod report;
mod sums;

use crate::record::write_whole;
use engine_runtime::event::{
    ActionKind, Delivery, Event, Nanos, OpTime, RunHeader, Subscriber, TaskRecord, TaskStatus,
};
use report::{Actions, OpReport, Report, StageReport, StepReport, Times, seconds};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use sums::Sums;

/// How often the file is replaced.
const REFRESH: Duration = Duration::from_secs(3);

/// What op times are measured with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    /// Time that passed.
    #[default]
    Wall,
    /// Also the time a thread ran on a processor.
    Cpu,
}

/// Adds op times up.
pub struct Profile {
    clock: Clock,
    header: Option<Arc<RunHeader>>,
    stages: Vec<StageSums>,
    nodes: Vec<Sums>,
    reads: Sums,
    computes: Sums,
    writes: Sums,
    stop: Option<Nanos>,
    written: Instant,
    changed: bool,
    warning: Option<String>,
}

#[derive(Debug, Clone, Copy, Default)]
struct StageSums {
    sums: Sums,
    failed: u64,
    cancelled: u64,
    first: Option<Nanos>,
    last: Nanos,
}

impl Profile {
    /// A profile whose `cpu_s` is measured with `--profile cpu` only.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            header: None,
            stages: Vec::new(),
            nodes: Vec::new(),
            reads: Sums::default(),
            computes: Sums::default(),
            writes: Sums::default(),
            stop: None,
            written: Instant::now(),
            changed: false,
            warning: None,
        }
    }

    fn add(&mut self, record: &TaskRecord) {
        self.changed = true;
        if let Some(stage) = self.stages.get_mut(record.stage as usize) {
            match record.status {
                TaskStatus::Ok => {}
                TaskStatus::Failed(_) => stage.failed += 1,
                TaskStatus::Cancelled => stage.cancelled += 1,
            }
            stage.sums.add(record.stop.saturating_sub(record.start), record.cpu, record.nbytes);
            stage.first = Some(stage.first.map_or(record.start, |first| first.min(record.start)));
            stage.last = stage.last.max(record.stop);
        }
        for &OpTime { node, start, stop, cpu, bytes } in &record.ops {
            if let Some(node) = self.nodes.get_mut(node as usize) {
                node.add(stop.saturating_sub(start), cpu, bytes);
            }
        }
        for action in &record.actions {
            let sums = match action.kind {
                ActionKind::DiskRead => &mut self.reads,
                ActionKind::Compute => &mut self.computes,
                ActionKind::DiskWrite => &mut self.writes,
            };
            sums.add(action.stop.saturating_sub(action.start), 0, 0);
        }
    }

    fn write(&mut self) {
        self.written = Instant::now();
        self.changed = false;
        let Some(header) = &self.header else { return };
        let path: PathBuf = header.dir.join("Reports").join("profile.yaml");
        let report = self.report(header);
        let written = serde_yaml::to_string(&report)
            .map_err(std::io::Error::other)
            .and_then(|text| write_whole(&path, text.as_bytes()));
        if let Err(error) = written {
            self.warning = Some(format!("{}: cannot write the profile: {error}", path.display()));
        }
    }

    fn report<'a>(&self, header: &'a RunHeader) -> Report<'a> {
        let cpu = self.clock == Clock::Cpu;
        let total: u64 = self.nodes.iter().map(|sums| sums.wall).sum();
        let mut steps: BTreeMap<&str, Sums> = BTreeMap::new();
        let mut ops = Vec::with_capacity(self.nodes.len());
        for (node, sums) in header.nodes.iter().zip(&self.nodes) {
            steps.entry(&node.step).or_default().merge(sums);
            ops.push(OpReport {
                step: &node.step,
                op: &node.op,
                name: &node.name,
                times: Times::new(sums, total, cpu),
            });
        }
        let stages = (header.stages.iter().zip(&self.stages).enumerate()).map(|(number, (info, stage))| StageReport {
            stage: number,
            name: &info.name,
            tasks: stage.sums.calls,
            failed: stage.failed,
            cancelled: stage.cancelled,
            elapsed_s: stage.first.map_or(0.0, |first| seconds(stage.last.saturating_sub(first))),
            wall_s: seconds(stage.sums.wall),
            cpu_s: seconds(stage.sums.cpu),
            bytes: stage.sums.bytes,
        });
        Report {
            version: 1,
            clock: self.clock,
            workflow: &header.workflow,
            threads: header.threads,
            complete: self.stop.is_some(),
            elapsed_s: self.stop.map(|stop| seconds(stop.saturating_sub(header.start))),
            actions: Actions {
                disk_read_s: seconds(self.reads.wall),
                compute_s: seconds(self.computes.wall),
                disk_write_s: seconds(self.writes.wall),
            },
            stages: stages.collect(),
            steps: (steps.iter())
                .map(|(step, sums)| StepReport { step, times: Times::new(sums, total, cpu) })
                .collect(),
            ops,
        }
    }
}

impl Subscriber for Profile {
    fn name(&self) -> &'static str {
        "profile"
    }

    fn delivery(&self) -> Delivery {
        Delivery::Lossless
    }

    fn on_event(&mut self, event: &Event) {
        match event {
            Event::RunStarted(header) => {
                self.stages = vec![StageSums::default(); header.stages.len()];
                self.nodes = vec![Sums::default(); header.nodes.len()];
                self.header = Some(Arc::clone(header));
                if let Err(error) = std::fs::create_dir_all(header.dir.join("Reports")) {
                    self.warning = Some(format!("{}: cannot make Reports: {error}", header.dir.display()));
                }
            }
            Event::TaskEnded(record) => self.add(record),
            Event::RunEnded(end) => self.stop = Some(end.stop),
            _ => {}
        }
    }

    fn on_idle(&mut self) {
        if self.changed && self.written.elapsed() >= REFRESH {
            self.write();
        }
    }

    fn finish(&mut self, _dropped: u64) -> Vec<String> {
        // What an earlier attempt failed with does not matter when the last one succeeds.
        self.warning = None;
        self.write();
        self.warning.take().into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake;
    use serde_yaml::Value;

    fn profile(clock: Clock, tasks: u64) -> Value {
        let dir = tempfile::tempdir().unwrap();
        let mut profile = Profile::new(clock);
        fake::run(dir.path(), tasks).for_each(|event| profile.on_event(&event));
        assert!(profile.finish(0).is_empty());
        serde_yaml::from_str(&std::fs::read_to_string(dir.path().join("Reports/profile.yaml")).unwrap()).unwrap()
    }

    /// A fake task of stage 0 takes 400 ns in op 0 and 200 ns in op 1; of stage 1, 500 ns in op 2.
    #[test]
    fn times_add_up_by_op_step_and_stage() {
        let report = profile(Clock::Cpu, 10);
        let ops = &report["ops"];
        assert_eq!(ops[0]["calls"].as_u64(), Some(5));
        assert_eq!(ops[0]["wall_s"].as_f64(), Some(2e-6));
        assert_eq!(ops[0]["cpu_s"].as_f64(), Some(2e-6));
        assert_eq!(ops[0]["bytes"].as_u64(), Some(5 * 4096));
        assert_eq!((ops[1]["min_s"].as_f64(), ops[1]["max_s"].as_f64()), (Some(2e-7), Some(2e-7)));
        assert_eq!(ops[2]["share"].as_f64(), Some(0.4545));
        assert_eq!((ops[2]["step"].as_str(), ops[2]["op"].as_str()), (Some("labels"), Some("label")));
        assert_eq!(report["stages"][1]["tasks"].as_u64(), Some(5));
        assert_eq!(report["stages"][1]["wall_s"].as_f64(), Some(4.5e-6));
        assert_eq!(report["stages"][1]["elapsed_s"].as_f64(), Some(4.9e-6));
        assert_eq!(report["actions"]["disk_read_s"].as_f64(), Some(1.5e-6));
        assert_eq!(report["actions"]["disk_write_s"].as_f64(), Some(2e-6));
        assert_eq!(report["steps"][1]["step"].as_str(), Some("mask"));
        assert_eq!((report["complete"].as_bool(), report["elapsed_s"].as_f64()), (Some(true), Some(1e-5)));
    }

    #[test]
    fn the_clock_is_named_and_wall_has_no_cpu_time() {
        let report = profile(Clock::Wall, 4);
        assert_eq!(report["clock"].as_str(), Some("wall"));
        assert!(report["ops"][0].get("cpu_s").is_none());
        assert_eq!(profile(Clock::Cpu, 0)["ops"][0]["mean_s"].as_f64(), Some(0.0));
    }
}

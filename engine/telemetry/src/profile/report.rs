//! The layout of `Reports/profile.yaml`.

use super::Clock;
use super::sums::Sums;
use serde::Serialize;

#[derive(Serialize)]
pub(super) struct Report<'a> {
    pub(super) version: u32,
    pub(super) clock: Clock,
    pub(super) workflow: &'a str,
    pub(super) threads: usize,
    pub(super) complete: bool,
    pub(super) elapsed_s: Option<f64>,
    pub(super) actions: Actions,
    pub(super) stages: Vec<StageReport<'a>>,
    pub(super) steps: Vec<StepReport<'a>>,
    pub(super) ops: Vec<OpReport<'a>>,
}

#[derive(Serialize)]
pub(super) struct Actions {
    pub(super) disk_read_s: f64,
    pub(super) compute_s: f64,
    pub(super) disk_write_s: f64,
}

#[derive(Serialize)]
pub(super) struct StageReport<'a> {
    pub(super) stage: usize,
    pub(super) name: &'a str,
    pub(super) tasks: u64,
    pub(super) failed: u64,
    pub(super) cancelled: u64,
    /// From the start of its first task to the stop of its last.
    pub(super) elapsed_s: f64,
    pub(super) wall_s: f64,
    pub(super) cpu_s: f64,
    pub(super) bytes: u64,
}

#[derive(Serialize)]
pub(super) struct StepReport<'a> {
    pub(super) step: &'a str,
    #[serde(flatten)]
    pub(super) times: Times,
}

#[derive(Serialize)]
pub(super) struct OpReport<'a> {
    pub(super) step: &'a str,
    pub(super) op: &'a str,
    pub(super) name: &'a str,
    #[serde(flatten)]
    pub(super) times: Times,
}

/// `cpu_s` is absent with the wall clock. `share` is of the wall time of all ops.
#[derive(Serialize)]
pub(super) struct Times {
    pub(super) calls: u64,
    pub(super) wall_s: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cpu_s: Option<f64>,
    pub(super) share: f64,
    pub(super) min_s: f64,
    pub(super) mean_s: f64,
    pub(super) max_s: f64,
    pub(super) bytes: u64,
}

impl Times {
    pub(super) fn new(sums: &Sums, total: u64, cpu: bool) -> Self {
        let ratio = |part: f64, whole: u64| if whole == 0 { 0.0 } else { part / whole as f64 };
        Self {
            calls: sums.calls,
            wall_s: seconds(sums.wall),
            cpu_s: cpu.then(|| seconds(sums.cpu)),
            share: (ratio(sums.wall as f64, total) * 1e4).round() / 1e4,
            min_s: seconds(sums.min),
            mean_s: seconds(ratio(sums.wall as f64, sums.calls).round() as u64),
            max_s: seconds(sums.max),
            bytes: sums.bytes,
        }
    }
}

pub(super) fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

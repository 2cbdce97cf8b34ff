//! A run that never was: events of any number of tasks, as a real run would tell them.

use engine_runtime::event::{
    Action, ActionKind, Cause, Event, Failure, NodeInfo, OpTime, RunEnd, RunHeader, RunStatus, StageInfo, TaskRecord,
    TaskStatus,
};
use std::path::Path;
use std::sync::Arc;

/// When fake runs start, in nanoseconds since 1970.
pub(crate) const START: u64 = 1_706_035_210_130_710_600;

/// Two stages: one that reads and filters (two ops), one that labels and writes (one op).
pub(crate) fn header(dir: &Path, tasks: u64) -> RunHeader {
    let node = |step: &str, op: &str, name: &str| NodeInfo { step: step.into(), op: op.into(), name: name.into() };
    RunHeader {
        run_id: 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c,
        dir: dir.to_path_buf(),
        workflow: "fake".into(),
        version: "0.1.0".into(),
        threads: 2,
        stages: vec![
            StageInfo { name: "smooth+mask".into(), nodes: vec![0, 1] },
            StageInfo { name: "labels".into(), nodes: vec![2] },
        ],
        nodes: vec![
            node("smooth", "gaussian", "filter"),
            node("mask", "threshold", "compare"),
            node("labels", "label", "number"),
        ],
        items: 4,
        tasks: Some(tasks),
        start: START,
    }
}

/// Task number `i`: the first half belongs to stage 0, the rest to stage 1.
pub(crate) fn task(i: u64, tasks: u64) -> TaskRecord {
    let stage = u32::from(i >= tasks.div_ceil(2));
    let start = START + i * 1_000;
    let action = |kind, from: u64, to: u64| Action { kind, start: start + from, stop: start + to };
    let op =
        |node, from: u64, to: u64| OpTime { node, start: start + from, stop: start + to, cpu: to - from, bytes: 4096 };
    let (actions, ops): (Vec<_>, Vec<_>) = if stage == 0 {
        let actions = vec![action(ActionKind::DiskRead, 0, 300), action(ActionKind::Compute, 300, 900)];
        (actions, vec![op(0, 300, 700), op(1, 700, 900)])
    } else {
        let actions = vec![action(ActionKind::Compute, 0, 500), action(ActionKind::DiskWrite, 500, 900)];
        (actions, vec![op(2, 0, 500)])
    };
    TaskRecord {
        stage,
        item: i % 4,
        block: i / 4,
        worker: (i % 2) as u32,
        start,
        stop: start + 900,
        cpu: 850,
        nbytes: 4096,
        status: TaskStatus::Ok,
        actions: actions.into_iter().collect(),
        ops: ops.into_iter().collect(),
        warnings: Vec::new(),
    }
}

/// A failure whose texts need quoting.
pub(crate) fn failure() -> TaskStatus {
    TaskStatus::Failed(Arc::new(Failure {
        step: "smooth".into(),
        op: "gaussian".into(),
        item: Some("a: \"b\" #c".into()),
        region: "[0:64, 64:128]".into(),
        path: Some("/data/no such\n'file'.png".into()),
        cause: Cause::BadData,
        message: "expected 4 bytes, found 3: {é}".into(),
        left_out: false,
    }))
}

/// All events of a run of `tasks` tasks that went well.
pub(crate) fn run(dir: &Path, tasks: u64) -> impl Iterator<Item = Event> {
    let header = Arc::new(header(dir, tasks));
    let half = tasks.div_ceil(2);
    let end = START + tasks * 1_000;
    let first = [Event::RunStarted(header), Event::StageStarted { stage: 0, at: START }];
    let middle = START + half * 1_000;
    first
        .into_iter()
        .chain((0..half).map(move |i| Event::TaskEnded(Arc::new(task(i, tasks)))))
        .chain([Event::StageEnded { stage: 0, at: middle }, Event::StageStarted { stage: 1, at: middle }])
        .chain((half..tasks).map(move |i| Event::TaskEnded(Arc::new(task(i, tasks)))))
        .chain([Event::StageEnded { stage: 1, at: end }])
        .chain((0..4).map(|item| Event::ItemEnded { item, name: format!("item-{item}").into(), ok: true }))
        .chain([Event::RunEnded(RunEnd { status: RunStatus::Ok, stop: end, tasks_ok: tasks, tasks_failed: 0 })])
}

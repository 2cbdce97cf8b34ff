//! `Reports/task_stream.yaml`: one entry for each finished task, in the layout of Dask's task stream.
//!
//! A YAML sequence of mappings with the keys, in alphabetical order, that Dask's `TaskStreamPlugin` gives them, so that
//! scripts made for its streams read ours:
//!
//! ```yaml
//! - key: ('smooth+mask', 3, 17)
//!   metadata: {block: 17, cpu_s: 0.011873000, item: 3, stage: 2, steps: [smooth, mask]}
//!   nbytes: 262144
//!   startstops:
//!   - action: compute
//!     start: 1706035210.130710600
//!     stop: 1706035210.142584100
//!   status: OK
//!   thread: 1
//!   type: !!binary gAWVFQAAAAAAAACMBW51bXB5lIwHbmRhcnJheZSTlC4=
//!   typename: numpy.ndarray
//!   worker: inproc://host/4711/0
//! ```
//!
//! `key` is a Python tuple in text (stage, item, block), as in Dask's local runs. `metadata`, which Dask leaves empty,
//! holds what is ours. `nbytes` counts the task's results. Actions are `disk-read`, `compute`, `disk-write`; times are
//! seconds since 1970. `status` is `OK`, `error` (then `metadata` has `error`) or `cancelled`. `thread` is the number
//! of the worker thread. `type` is the pickled class of a block as Python sees it; it and `typename` are null for a
//! task without result. `cpu_s` is absent where it was not measured.

use crate::stream::{Records, Stream};
use crate::text::{push_quoted, push_scalar, push_seconds, push_u64};
use engine_runtime::event::{ActionKind, Cause, Event, Failure, RunHeader, TaskRecord, TaskStatus};
use std::sync::Arc;

/// Longest message of a failure, in characters: a record should fit a page.
const MESSAGE: usize = 1000;

/// Writes the task stream.
pub type TaskStream = Stream<Tasks>;

/// The records of tasks.
pub struct Tasks {
    worker: Vec<u8>,
    stages: Vec<StageText>,
}

/// The parts of a record that are the same for all tasks of a stage.
struct StageText {
    /// From the start of the entry to the item.
    key_open: Vec<u8>,
    /// From the block to the first value of `metadata`.
    key_close: &'static [u8],
    /// From the item to the end of `metadata`.
    metadata_close: Vec<u8>,
}

impl TaskStream {
    /// A stream whose entries name `worker`, an address such as `inproc://host/4711/0` or `tcp://host:port`.
    #[must_use]
    pub fn new(worker: &str) -> Self {
        let mut text = Vec::new();
        if worker.bytes().all(|c| c.is_ascii_alphanumeric() || b"._/:-".contains(&c)) && !worker.ends_with(':') {
            // `:` is part of a plain scalar unless a space follows it.
            text.extend_from_slice(worker.as_bytes());
        } else {
            push_quoted(&mut text, worker);
        }
        Stream::of(Tasks { worker: text, stages: Vec::new() })
    }
}

impl Records for Tasks {
    const NAME: &'static str = "task-stream";
    const FILE: &'static str = "task_stream.yaml";
    const TITLE: &'static str = "task stream 1";
    const ALWAYS: bool = true;

    fn start(&mut self, header: &Arc<RunHeader>) {
        self.stages = (0..).zip(&header.stages).map(|(number, stage)| stage_text(header, number, stage)).collect();
    }

    fn has(&self, event: &Event) -> bool {
        matches!(event, Event::TaskEnded(_))
    }

    fn write(&self, event: &Event, out: &mut Vec<u8>) {
        if let Event::TaskEnded(record) = event {
            let stage = usize::try_from(record.stage).ok().and_then(|stage| self.stages.get(stage));
            push_record(out, record, stage, &self.worker);
        }
    }
}

fn stage_text(header: &RunHeader, number: u64, stage: &engine_runtime::event::StageInfo) -> StageText {
    let mut key_open = b"- key: ".to_vec();
    let plain =
        !stage.name.is_empty() && stage.name.bytes().all(|c| c.is_ascii_alphanumeric() || b"_.+-/".contains(&c));
    let key_close: &[u8] = if plain {
        key_open.extend_from_slice(format!("('{}', ", stage.name).as_bytes());
        b")\n  metadata: {block: "
    } else {
        let python = stage.name.replace('\\', "\\\\").replace('\'', "\\'");
        push_quoted(&mut key_open, &format!("('{python}', "));
        key_open.pop();
        b")\"\n  metadata: {block: "
    };
    let mut metadata_close = b", stage: ".to_vec();
    push_u64(&mut metadata_close, number);
    metadata_close.extend_from_slice(b", steps: [");
    let mut steps: Vec<&str> = Vec::new();
    for &node in &stage.nodes {
        let step = usize::try_from(node).ok().and_then(|node| header.nodes.get(node)).map(|node| node.step.as_str());
        if let Some(step) = step
            && !steps.contains(&step)
        {
            steps.push(step);
        }
    }
    for (i, step) in steps.iter().enumerate() {
        if i > 0 {
            metadata_close.extend_from_slice(b", ");
        }
        push_scalar(&mut metadata_close, step);
    }
    metadata_close.extend_from_slice(b"]}\n  nbytes: ");
    StageText { key_open, key_close, metadata_close }
}

fn push_record(out: &mut Vec<u8>, record: &TaskRecord, stage: Option<&StageText>, worker: &[u8]) {
    match stage {
        Some(stage) => out.extend_from_slice(&stage.key_open),
        None => {
            out.extend_from_slice(b"- key: ('stage ");
            push_u64(out, u64::from(record.stage));
            out.extend_from_slice(b"', ");
        }
    }
    push_u64(out, record.item);
    out.extend_from_slice(b", ");
    push_u64(out, record.block);
    out.extend_from_slice(stage.map_or(b")\n  metadata: {block: ", |stage| stage.key_close));
    push_u64(out, record.block);
    if record.cpu > 0 {
        out.extend_from_slice(b", cpu_s: ");
        push_seconds(out, record.cpu);
    }
    if let TaskStatus::Failed(failure) = &record.status {
        push_failure(out, failure);
    }
    out.extend_from_slice(b", item: ");
    push_u64(out, record.item);
    match stage {
        Some(stage) => out.extend_from_slice(&stage.metadata_close),
        None => {
            out.extend_from_slice(b", stage: ");
            push_u64(out, u64::from(record.stage));
            out.extend_from_slice(b", steps: []}\n  nbytes: ");
        }
    }
    push_u64(out, record.nbytes);
    if record.actions.is_empty() {
        out.extend_from_slice(b"\n  startstops: []");
    } else {
        out.extend_from_slice(b"\n  startstops:");
    }
    for action in &record.actions {
        out.extend_from_slice(match action.kind {
            ActionKind::DiskRead => b"\n  - action: disk-read\n    start: ".as_slice(),
            ActionKind::Compute => b"\n  - action: compute\n    start: ",
            ActionKind::DiskWrite => b"\n  - action: disk-write\n    start: ",
        });
        push_seconds(out, action.start);
        out.extend_from_slice(b"\n    stop: ");
        push_seconds(out, action.stop);
    }
    out.extend_from_slice(match record.status {
        TaskStatus::Ok => b"\n  status: OK\n  thread: ".as_slice(),
        TaskStatus::Failed(_) => b"\n  status: error\n  thread: ",
        TaskStatus::Cancelled => b"\n  status: cancelled\n  thread: ",
    });
    push_u64(out, u64::from(record.worker));
    out.extend_from_slice(match record.status {
        // pickle.dumps(numpy.ndarray)
        TaskStatus::Ok => {
            b"\n  type: !!binary gAWVFQAAAAAAAACMBW51bXB5lIwHbmRhcnJheZSTlC4=\n  typename: numpy.ndarray\n  worker: "
                .as_slice()
        }
        TaskStatus::Failed(_) | TaskStatus::Cancelled => b"\n  type: null\n  typename: null\n  worker: ",
    });
    out.extend_from_slice(worker);
    out.push(b'\n');
}

fn push_failure(out: &mut Vec<u8>, failure: &Failure) {
    out.extend_from_slice(b", error: {cause: ");
    out.extend_from_slice(match failure.cause {
        Cause::BadData => b"bad-data",
        Cause::Io => b"io",
        Cause::DiskFull => b"disk-full",
        Cause::Memory => b"memory",
        Cause::Bug => b"bug",
    });
    if let Some(item) = &failure.item {
        out.extend_from_slice(b", item: ");
        push_scalar(out, item);
    }
    out.extend_from_slice(b", message: ");
    match failure.message.char_indices().nth(MESSAGE) {
        Some((end, _)) => push_quoted(out, &format!("{}...", failure.message.get(..end).unwrap_or_default())),
        None => push_quoted(out, &failure.message),
    }
    out.extend_from_slice(b", op: ");
    push_scalar(out, &failure.op);
    if let Some(path) = &failure.path {
        out.extend_from_slice(b", path: ");
        push_quoted(out, &path.to_string_lossy());
    }
    out.extend_from_slice(b", region: ");
    push_quoted(out, &failure.region);
    out.extend_from_slice(b", step: ");
    push_scalar(out, &failure.step);
    out.push(b'}');
}

#[cfg(test)]
#[path = "task_stream_tests.rs"]
mod tests;

//! What a run tells of itself: a closed set of facts that subscribers turn into spans, files and progress.
//!
//! A subscriber runs on its own thread behind a bounded queue. One that is slow never slows the run: what its queue
//! can't take is dropped, counted, and shown at the end. Subscribers that write the record must not lose facts and
//! are therefore waited for ([`Delivery::Lossless`]).

pub use ops_core::Warning;
use smallvec::SmallVec;
use std::path::PathBuf;
use std::sync::Arc;

/// Nanoseconds since 1970, UTC.
pub type Nanos = u64;

/// What is known when a run starts.
#[derive(Debug, Clone)]
pub struct RunHeader {
    /// Identifies the run; also the trace id of its spans unless `TRACEPARENT` gives one.
    pub run_id: u128,
    /// The run directory.
    pub dir: PathBuf,
    /// Name of the workflow.
    pub workflow: String,
    /// Version of the engine.
    pub version: String,
    /// Worker threads.
    pub threads: usize,
    /// The stages of the plan, by number.
    pub stages: Vec<StageInfo>,
    /// The nodes of the plan, by number.
    pub nodes: Vec<NodeInfo>,
    /// Items of the largest family; 1 without a `foreach`.
    pub items: u64,
    /// Number of tasks, where it is known before the run.
    pub tasks: Option<u64>,
    /// When the run started.
    pub start: Nanos,
}

/// A stage of the plan.
#[derive(Debug, Clone)]
pub struct StageInfo {
    /// Its name: the steps it computes, joined with `+`.
    pub name: String,
    /// Numbers of the nodes it computes, in order.
    pub nodes: Vec<u32>,
}

/// A node of the plan.
#[derive(Debug, Clone)]
pub struct NodeInfo {
    /// The step it was lowered from.
    pub step: String,
    /// The op of that step; `read` and `write` for inputs and outputs.
    pub op: String,
    /// What it does within the step, such as `min_max`.
    pub name: String,
}

/// What a stretch of a task was spent on. The names are those of Dask's task stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActionKind {
    /// Reading and decoding a source.
    DiskRead,
    /// Running kernels.
    Compute,
    /// Encoding and writing an output.
    DiskWrite,
}

/// A stretch of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Action {
    /// What it was spent on.
    pub kind: ActionKind,
    /// When it started.
    pub start: Nanos,
    /// When it stopped.
    pub stop: Nanos,
}

/// One op's share of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpTime {
    /// Number of the node.
    pub node: u32,
    /// When it started.
    pub start: Nanos,
    /// When it stopped.
    pub stop: Nanos,
    /// CPU time of its thread meanwhile, in nanoseconds; 0 unless `--profile cpu`.
    pub cpu: u64,
    /// Bytes of the block it made.
    pub bytes: u64,
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskStatus {
    /// It did its work.
    Ok,
    /// It failed.
    Failed(Arc<Failure>),
    /// It was dropped since the run ends or its item failed.
    Cancelled,
}

/// What kind of thing went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// Input that is damaged or not what its header says.
    BadData,
    /// The file system or network said no.
    Io,
    /// No space left.
    DiskFull,
    /// The memory limit.
    Memory,
    /// A bug of the engine.
    Bug,
}

/// Why a task failed, in the parts that a message is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The step, and the node within it.
    pub step: String,
    /// The op.
    pub op: String,
    /// The item's name, for a family.
    pub item: Option<String>,
    /// The region that was being computed.
    pub region: String,
    /// The file concerned.
    pub path: Option<PathBuf>,
    /// What kind of thing went wrong.
    pub cause: Cause,
    /// What was expected and found.
    pub message: String,
    /// The run goes on without the item.
    pub left_out: bool,
}

/// A finished task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskRecord {
    /// Number of the stage.
    pub stage: u32,
    /// Number of the item within its family.
    pub item: u64,
    /// Number of the block within the stage's grid.
    pub block: u64,
    /// Number of the worker thread.
    pub worker: u32,
    /// When it started.
    pub start: Nanos,
    /// When it stopped.
    pub stop: Nanos,
    /// CPU time of its thread meanwhile, in nanoseconds.
    pub cpu: u64,
    /// Bytes of its results.
    pub nbytes: u64,
    /// How it ended.
    pub status: TaskStatus,
    /// What it was spent on, in order.
    pub actions: SmallVec<[Action; 3]>,
    /// The ops that ran, in order.
    pub ops: SmallVec<[OpTime; 4]>,
    /// What nodes warned of, by number.
    pub warnings: Vec<(u32, Warning)>,
}

/// A warning of an op.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WarningRecord {
    /// Number of the node.
    pub node: u32,
    /// Number of the stage that computes it.
    pub stage: u32,
    /// Number of the item; 0 for a collection, and for what is not one of many.
    pub item: u64,
    /// Name of the item; empty for a collection, and for what is not one of many.
    pub name: Arc<str>,
    /// What it warned of.
    pub warning: Warning,
    /// When.
    pub at: Nanos,
    /// True when the record of a task tells of it too; false for the end of a reduction.
    pub in_task: bool,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RunStatus {
    /// Everything was written.
    Ok,
    /// Some tasks failed; what did not depend on them was written.
    Failed,
    /// A signal ended it.
    Interrupted,
}

/// What is known when a run ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunEnd {
    /// How it ended.
    pub status: RunStatus,
    /// When.
    pub stop: Nanos,
    /// Tasks that ended well.
    pub tasks_ok: u64,
    /// Tasks that failed.
    pub tasks_failed: u64,
}

/// A fact.
#[derive(Debug, Clone)]
pub enum Event {
    /// The first of a run.
    RunStarted(Arc<RunHeader>),
    /// The first task of a stage was started.
    StageStarted {
        /// Number of the stage.
        stage: u32,
        /// When.
        at: Nanos,
    },
    /// A task ended.
    TaskEnded(Arc<TaskRecord>),
    /// A task need not be run: an earlier run did what it would do.
    TaskResumed {
        /// Number of the stage.
        stage: u32,
    },
    /// The last task of a stage ended.
    StageEnded {
        /// Number of the stage.
        stage: u32,
        /// When.
        at: Nanos,
    },
    /// All that depends on one item was written, or the item failed.
    ItemEnded {
        /// Number of the item.
        item: u64,
        /// Its name.
        name: Arc<str>,
        /// True when nothing of it failed.
        ok: bool,
    },
    /// A reduction found numbers.
    Value {
        /// Number of the node.
        node: u32,
        /// Number of the item; 0 for a collection.
        item: u64,
        /// Name of the item; empty for a collection, and for what is not one of many.
        name: Arc<str>,
        /// What was found.
        numbers: Arc<[f64]>,
    },
    /// An op warned of a result; once for each warning, step and item.
    Warned(Arc<WarningRecord>),
    /// The last of a run.
    RunEnded(RunEnd),
}

/// What happens when a subscriber can't keep up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// The run waits: for the record.
    Lossless,
    /// Events are dropped and counted: for whatever may block on something else than the disk, such as a terminal.
    Lossy,
}

/// Turns events into something: one output, one file of code.
pub trait Subscriber: Send {
    /// Names it in warnings.
    fn name(&self) -> &'static str;

    /// What happens when it can't keep up.
    fn delivery(&self) -> Delivery;

    /// Takes one event. Called on the subscriber's own thread, in order.
    fn on_event(&mut self, event: &Event);

    /// Called about every tenth of a second, between events, for subscribers that flush or redraw.
    fn on_idle(&mut self) {}

    /// Called once after the last event; returns warnings for the user (dropped spans, a file that could not be
    /// written).
    fn finish(&mut self, dropped: u64) -> Vec<String>;
}

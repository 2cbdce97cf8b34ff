//! The set of subscribers of a run.

use crate::profile::{Clock, Profile};
use crate::task_stream::TaskStream;
use engine_runtime::event::Subscriber;

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgressKind { Auto, Plain, None }

/// Wanted.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub worker: String,
    pub cpu_profile: bool,
    pub progress: ProgressKind,
    pub otlp: Option<String>,
}

/// Subscribers.
pub fn subscribers(w: &Wanted) -> (Vec<Box<dyn Subscriber>>, Vec<String>) {
    let clock = if w.cpu_profile { Clock::Cpu } else { Clock::Wall };
    (vec![Box::new(TaskStream::new(&w.worker)), Box::new(Profile::new(clock))], Vec::new())
}

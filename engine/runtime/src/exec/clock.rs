//! Time: wall clock in nanoseconds since 1970 that never steps back, and the CPU time of a thread.

use crate::event::Nanos;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A monotonic clock tied to the wall clock once, at its start.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    started: Instant,
    unix: Nanos,
}

impl Default for Clock {
    fn default() -> Clock {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as Nanos);
        Clock { started: Instant::now(), unix }
    }
}

impl Clock {
    /// Nanoseconds since 1970.
    pub fn now(&self) -> Nanos {
        self.unix + self.started.elapsed().as_nanos() as Nanos
    }
}

/// CPU time of the calling thread, in nanoseconds.
pub fn thread_cpu() -> u64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

/// CPU time of the whole process, in nanoseconds.
pub fn process_cpu() -> u64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

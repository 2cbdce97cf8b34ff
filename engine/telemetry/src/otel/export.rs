//! The thread that turns queued events into spans and sends them.
//!
//! Events wait in a queue bounded by number; they are a fraction of the size of the spans made of them. What the queue
//! can't take is counted as dropped. A request that fails is repeated some times; then its spans are counted as failed,
//! except those of stages, which go with the last request, as other spans refer to them.

use super::config::OtlpConfig;
use super::trace::Trace;
use super::transport::Transport;
use engine_runtime::event::Event;
use opentelemetry_sdk::trace::SpanData;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Task records and warnings that wait at most.
const BACKLOG: usize = 32_768;
/// What they take together: a task of a dozen ops takes a kilobyte, and events of other kinds are few.
pub const WAITING_BYTES: u64 = BACKLOG as u64 * 1024;
/// Events that make one request, of about four spans each.
const REQUEST: usize = 512;
/// Longest wait for a request to fill.
const LINGER: Duration = Duration::from_millis(500);
/// How often a request is sent before its spans are given up.
const ATTEMPTS: u32 = 6;
/// Wait before the second attempt; it doubles with each.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// Longest time at the end without anything arriving.
pub(super) const SILENCE: Duration = Duration::from_secs(4);
/// Longest time at the end in all.
pub(super) const DRAIN: Duration = Duration::from_secs(30);

/// What became of a run's spans. Emitted is the sum of the others once the run is over.
#[derive(Debug, Default)]
pub struct Stats {
    emitted: AtomicU64,
    exported: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
    error: Mutex<Option<String>>,
}

impl Stats {
    /// Spans the run made.
    #[must_use]
    pub fn emitted(&self) -> u64 {
        self.emitted.load(Ordering::Relaxed)
    }

    /// Spans the receiver confirmed.
    #[must_use]
    pub fn exported(&self) -> u64 {
        self.exported.load(Ordering::Relaxed)
    }

    /// Spans the receiver refused, or did not answer for, each time.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Spans that were never sent: the queue was full, or the run's end could not wait.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// What the last request that failed said.
    #[must_use]
    pub fn error(&self) -> Option<String> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn fail(&self, error: String) {
        *self.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}

/// What the subscriber and the sending thread share.
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    pub(super) stats: Arc<Stats>,
    capacity: usize,
}

#[derive(Default)]
struct State {
    events: VecDeque<Event>,
    /// Task records and warnings among them.
    waiting: usize,
    closed: Option<Instant>,
    /// When something last arrived.
    arrived: Option<Instant>,
}

impl State {
    /// Since when there is silence at the end.
    fn silent_since(&self) -> Option<Instant> {
        self.closed.map(|closed| self.arrived.map_or(closed, |arrived| arrived.max(closed)))
    }
}

impl Queue {
    pub(super) fn new(stats: Arc<Stats>) -> Self {
        Self { state: Mutex::default(), changed: Condvar::new(), stats, capacity: BACKLOG }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, event: &Event) {
        let mut state = self.lock();
        match event {
            Event::TaskEnded(record) => {
                let spans = 1 + record.ops.len() as u64;
                self.stats.emitted.fetch_add(spans, Ordering::Relaxed);
                if state.waiting >= self.capacity {
                    self.stats.dropped.fetch_add(spans, Ordering::Relaxed);
                    return;
                }
                state.waiting += 1;
            }
            Event::RunStarted(_) => {
                self.stats.emitted.fetch_add(1, Ordering::Relaxed);
            }
            Event::StageStarted { .. } | Event::StageEnded { .. } | Event::RunEnded(_) => {}
            // Told in the record whether it fits or not.
            Event::Warned(warned) if warned.in_task || state.waiting >= self.capacity => return,
            Event::Warned(_) => state.waiting += 1,
            Event::TaskResumed { .. } | Event::ItemEnded { .. } | Event::Value { .. } => return,
        }
        state.events.push_back(event.clone());
        if state.events.len() == REQUEST {
            self.changed.notify_all();
        }
    }

    pub(super) fn close(&self) {
        self.lock().closed.get_or_insert_with(Instant::now);
        self.changed.notify_all();
    }

    /// True when the end has waited long enough.
    pub(super) fn is_overdue(&self, grace: Duration) -> bool {
        let state = self.lock();
        let silent = state.silent_since().is_some_and(|since| since.elapsed() > SILENCE + grace);
        silent || state.closed.is_some_and(|closed| closed.elapsed() > DRAIN + grace)
    }

    /// Waits for enough events for a request; nothing once the queue is closed and empty.
    fn take(&self) -> Option<Vec<Event>> {
        let mut state = self.lock();
        let since = Instant::now();
        while state.closed.is_none() && state.events.len() < REQUEST {
            let left = LINGER.saturating_sub(since.elapsed());
            if left.is_zero() && !state.events.is_empty() {
                break;
            }
            let wait = if left.is_zero() { LINGER } else { left };
            state = self.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
        let count = state.events.len().min(REQUEST);
        let events: Vec<Event> = state.events.drain(..count).collect();
        let counted = |event: &&Event| matches!(event, Event::TaskEnded(_) | Event::Warned(_));
        state.waiting -= events.iter().filter(counted).count();
        (count > 0).then_some(events)
    }

    /// Waits before another attempt, less long once the queue is closed. False when there is no time for another.
    fn pause(&self, wait: Duration) -> bool {
        let (state, _) = self
            .changed
            .wait_timeout_while(self.lock(), wait, |state| state.closed.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        let Some(since) = state.silent_since() else { return true };
        drop(state);
        if since.elapsed() + FIRST_WAIT >= SILENCE {
            return false;
        }
        std::thread::sleep(FIRST_WAIT);
        true
    }
}

/// Sends until the queue is closed and empty, or the end has waited long enough.
pub(super) fn run(queue: &Queue, config: &OtlpConfig) {
    let transport = match Transport::open(config) {
        Ok(transport) => transport,
        Err(error) => {
            queue.stats.fail(error.to_string());
            while let Some(events) = queue.take() {
                count_dropped(queue, &events);
            }
            return;
        }
    };
    let mut sender = Sender { queue, config, transport, trace: None, owed: Vec::new() };
    while let Some(events) = queue.take() {
        if queue.is_overdue(Duration::ZERO) {
            // Stages and the run are told of still, so that what was sent has parents.
            count_dropped(queue, &events);
            let others = events.iter().filter(|event| !matches!(event, Event::TaskEnded(_)));
            others.for_each(|event| sender.note(event, &mut Vec::new()));
            continue;
        }
        sender.send(&events);
    }
    sender.finish();
}

fn count_dropped(queue: &Queue, events: &[Event]) {
    for event in events {
        if let Event::TaskEnded(record) = event {
            queue.stats.dropped.fetch_add(1 + record.ops.len() as u64, Ordering::Relaxed);
        }
    }
}

struct Sender<'a> {
    queue: &'a Queue,
    config: &'a OtlpConfig,
    transport: Transport,
    trace: Option<Trace>,
    /// Spans of stages that have not arrived.
    owed: Vec<SpanData>,
}

impl Sender<'_> {
    fn send(&mut self, events: &[Event]) {
        let mut batch = Vec::with_capacity(events.len() * 4);
        events.iter().for_each(|event| self.note(event, &mut batch));
        let tasks = batch.len();
        batch.append(&mut self.owed);
        if batch.is_empty() {
            return;
        }
        if let Err(mut batch) = self.deliver(batch) {
            self.owed = batch.split_off(tasks);
            self.queue.stats.failed.fetch_add(tasks as u64, Ordering::Relaxed);
        }
    }

    /// Takes note of an event; spans of tasks go to `batch`.
    fn note(&mut self, event: &Event, batch: &mut Vec<SpanData>) {
        if let Event::RunStarted(header) = event {
            self.trace = Some(Trace::new(header, self.config.parent.as_ref()));
        } else if let Some(trace) = &mut self.trace {
            trace.add(event, batch, &mut self.owed);
            self.queue.stats.emitted.fetch_add(trace.newly_opened(), Ordering::Relaxed);
        }
    }

    /// Ends what is still open, and sends the run's own span last.
    fn finish(mut self) {
        let Some(trace) = self.trace.take() else { return };
        let mut batch = std::mem::take(&mut self.owed);
        batch.extend(trace.finish(super::now()));
        if let Err(batch) = self.deliver(batch) {
            self.queue.stats.failed.fetch_add(batch.len() as u64, Ordering::Relaxed);
        }
    }

    /// Sends until it succeeds; gives the spans back when it does not.
    fn deliver(&self, batch: Vec<SpanData>) -> Result<(), Vec<SpanData>> {
        let mut wait = FIRST_WAIT;
        for _ in 0..ATTEMPTS {
            match self.transport.send(batch.clone()) {
                Ok(()) => {
                    self.queue.stats.exported.fetch_add(batch.len() as u64, Ordering::Relaxed);
                    self.queue.lock().arrived = Some(Instant::now());
                    return Ok(());
                }
                Err(error) => self.queue.stats.fail(error.to_string()),
            }
            if !self.queue.pause(wait) {
                break;
            }
            wait *= 2;
        }
        Err(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake;
    use std::path::Path;

    #[test]
    fn a_full_queue_drops_tasks_counts_their_spans_and_keeps_the_rest() {
        let queue = Queue { capacity: 10, ..Queue::new(Arc::default()) };
        fake::run(Path::new("/x"), 100).for_each(|event| queue.push(&event));
        // 50 tasks of 3 spans and 50 of 2; the first ten fit.
        assert_eq!(queue.stats.dropped(), 250 - 30);
        assert_eq!(queue.stats.emitted(), 250 + 1);
        queue.close();
        let kept = queue.take().unwrap();
        assert_eq!(kept.iter().filter(|event| matches!(event, Event::TaskEnded(_))).count(), 10);
        assert_eq!(kept.iter().filter(|event| matches!(event, Event::StageEnded { .. })).count(), 2);
        assert!(queue.take().is_none());
        assert_eq!(queue.lock().waiting, 0);
    }

    #[test]
    fn a_few_events_are_sent_without_waiting_for_more() {
        let queue = Queue::new(Arc::default());
        fake::run(Path::new("/x"), 2).take(3).for_each(|event| queue.push(&event));
        let start = Instant::now();
        assert_eq!(queue.take().unwrap().len(), 3);
        assert!(start.elapsed() < LINGER * 2);
    }
}

//! Carries events from the threads that compute to the subscribers that tell of them.
//!
//! Emitting is a push onto a shared vector under a lock. A full vector, or one a tenth of a second old, goes as one
//! shared batch to the queue of every subscriber, so that a queue is touched and a sleeping thread is woken once for
//! hundreds of events. The lock is held while a batch is handed over: all subscribers see one order, in which a
//! stage starts before its tasks end.
//!
//! A [`Delivery::Lossless`] subscriber that falls behind makes emitters wait. A [`Delivery::Lossy`] one loses ended
//! tasks and items, numbers and warnings of ops, which are counted; starts and ends of stages and runs and failed tasks are carried over
//! until its queue has room. A subscriber that panics is left out from then on and named in a warning.

use crate::event::{Delivery, Event, Subscriber, TaskStatus};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Events of one batch.
const BATCH: usize = 256;
/// Batches a queue holds: with [`BATCH`] some 16 000 events, about 8 MB of task records shared by all queues.
const QUEUE: usize = 64;
/// Longest time an event waits for its batch to fill, and the interval of [`Subscriber::on_idle`].
const TICK: Duration = Duration::from_millis(100);
/// Events a lossy queue carries over at most; only failures can be that many.
const CARRY: usize = 65_536;
/// Longest wait at the end for a lossy subscriber; one that takes longer is left behind.
const GRACE: Duration = Duration::from_secs(60);

type Batch = Arc<Vec<Event>>;

/// The subscribers of one run and the way to them.
///
/// Shared by reference between all threads of the run. [`Bus::finish`] must be called at the end: what it returns is
/// how a subscriber tells of losses.
pub struct Bus {
    shared: Arc<Mutex<Shared>>,
    stop_pump: Sender<()>,
    pump: Mutex<Option<JoinHandle<()>>>,
    grace: Duration,
}

struct Shared {
    pending: Vec<Event>,
    ports: Vec<Port>,
    warnings: Vec<String>,
}

/// The sending side of one subscriber.
struct Port {
    name: &'static str,
    delivery: Delivery,
    /// Absent once the subscriber died or the run ended.
    queue: Option<Sender<Message>>,
    /// Events that must arrive and found the queue full.
    carried: Vec<Event>,
    dropped: u64,
    outcome: Receiver<Result<Vec<String>, String>>,
    thread: Option<JoinHandle<()>>,
}

enum Message {
    Events(Batch),
    Finish { dropped: u64 },
}

impl Bus {
    /// Starts a thread for each subscriber.
    #[must_use]
    pub fn start(subscribers: Vec<Box<dyn Subscriber>>) -> Self {
        Self::start_with(subscribers, GRACE)
    }

    fn start_with(subscribers: Vec<Box<dyn Subscriber>>, grace: Duration) -> Self {
        let mut warnings = Vec::new();
        let mut ports = Vec::with_capacity(subscribers.len());
        for subscriber in subscribers {
            let name = subscriber.name();
            match Port::open(subscriber) {
                Ok(port) => ports.push(port),
                Err(error) => warnings.push(format!("{name}: no thread could be started for it: {error}")),
            }
        }
        let shared = Arc::new(Mutex::new(Shared { pending: Vec::with_capacity(BATCH), ports, warnings }));
        let (stop_pump, stopped) = bounded(0);
        let pumped = Arc::clone(&shared);
        let pump = std::thread::Builder::new().name("events".into()).spawn(move || {
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                lock(&pumped).flush();
            }
        });
        if let Err(error) = &pump {
            lock(&shared).warnings.push(format!("events: progress may lag, no thread could be started: {error}"));
        }
        Self { shared, stop_pump, pump: Mutex::new(pump.ok()), grace }
    }

    /// Tells every subscriber of one event.
    ///
    /// Takes some tens of nanoseconds; longer only when a lossless subscriber's queue is full.
    pub fn emit(&self, event: Event) {
        let mut shared = lock(&self.shared);
        shared.pending.push(event);
        if shared.pending.len() >= BATCH {
            shared.flush();
        }
    }

    /// Tells every subscriber of many events at once, in order.
    pub fn emit_all(&self, events: impl IntoIterator<Item = Event>) {
        let mut shared = lock(&self.shared);
        for event in events {
            shared.pending.push(event);
            if shared.pending.len() >= BATCH {
                shared.flush();
            }
        }
    }

    /// Delivers what is pending, waits for every subscriber to finish, and returns what the user should be told.
    ///
    /// A second call returns nothing. Events emitted afterwards are lost.
    pub fn finish(&self) -> Vec<String> {
        let pump = self.pump.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(pump) = pump {
            // A failed send means that the pump is gone already.
            let _ = self.stop_pump.send(());
            let _ = pump.join();
        }
        let (ports, mut warnings) = {
            let mut shared = lock(&self.shared);
            shared.flush();
            (std::mem::take(&mut shared.ports), std::mem::take(&mut shared.warnings))
        };
        let deadline = Instant::now() + self.grace;
        let ports: Vec<Port> = ports.into_iter().map(|port| port.close(deadline)).collect();
        for port in ports {
            warnings.extend(port.outcome(deadline));
        }
        warnings
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Shared {
    fn flush(&mut self) {
        if self.pending.is_empty() && self.ports.iter().all(|port| port.carried.is_empty()) {
            return;
        }
        let batch = Arc::new(std::mem::replace(&mut self.pending, Vec::with_capacity(BATCH)));
        for port in &mut self.ports {
            port.send(&batch);
        }
    }
}

impl Port {
    fn open(subscriber: Box<dyn Subscriber>) -> std::io::Result<Self> {
        let (name, delivery) = (subscriber.name(), subscriber.delivery());
        let (queue, events) = bounded(QUEUE);
        let (tell, outcome) = bounded(1);
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || {
            let result = catch_unwind(AssertUnwindSafe(|| serve(subscriber, events)));
            // Nobody listens any more when the end of the run did not wait for this subscriber.
            let _ = tell.send(result.map_err(|panic| panic_message(&*panic)));
        })?;
        let thread = Some(thread);
        Ok(Self { name, delivery, queue: Some(queue), carried: Vec::new(), dropped: 0, outcome, thread })
    }

    /// Puts a batch into the queue, behind what was carried over.
    fn send(&mut self, batch: &Batch) {
        let Some(queue) = &self.queue else { return };
        if self.delivery == Delivery::Lossless {
            if !batch.is_empty() && queue.send(Message::Events(Arc::clone(batch))).is_err() {
                self.queue = None;
            }
            return;
        }
        if !self.carried.is_empty() {
            match queue.try_send(Message::Events(Arc::new(std::mem::take(&mut self.carried)))) {
                Ok(()) => {}
                Err(TrySendError::Full(Message::Events(events))) => {
                    self.carried = Arc::try_unwrap(events).unwrap_or_else(|shared| (*shared).clone());
                    self.carry(batch);
                    return;
                }
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                    self.queue = None;
                    return;
                }
            }
        }
        if batch.is_empty() {
            return;
        }
        match queue.try_send(Message::Events(Arc::clone(batch))) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => self.carry(batch),
            Err(TrySendError::Disconnected(_)) => self.queue = None,
        }
    }

    /// Keeps what must not be lost of a batch the queue has no room for, and counts the rest.
    fn carry(&mut self, batch: &Batch) {
        for event in batch.iter() {
            if must_arrive(event) && self.carried.len() < CARRY {
                self.carried.push(event.clone());
            } else {
                self.dropped += 1;
            }
        }
    }

    /// Puts the last message into the queue.
    fn close(mut self, deadline: Instant) -> Self {
        let Some(queue) = self.queue.take() else { return self };
        let carried = Message::Events(Arc::new(std::mem::take(&mut self.carried)));
        for message in [carried, Message::Finish { dropped: self.dropped }] {
            let refused = match self.delivery {
                Delivery::Lossless => queue.send(message).is_err(),
                Delivery::Lossy => queue.send_deadline(message, deadline).is_err(),
            };
            if refused {
                break;
            }
        }
        self
    }

    /// Waits for what the subscriber says at its end.
    fn outcome(self, deadline: Instant) -> Vec<String> {
        let name = self.name;
        let result = match self.delivery {
            Delivery::Lossless => self.outcome.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Delivery::Lossy => self.outcome.recv_deadline(deadline),
        };
        match result {
            Ok(Ok(warnings)) => {
                if let Some(thread) = self.thread {
                    // It has told its outcome, a panic included.
                    let _ = thread.join();
                }
                warnings
            }
            Ok(Err(panic)) => {
                vec![format!("{name}: stopped by a bug of the engine, what it writes is incomplete: {panic}")]
            }
            Err(RecvTimeoutError::Timeout) => {
                vec![format!("{name}: did not finish in time and was left behind, what it writes is incomplete")]
            }
            Err(RecvTimeoutError::Disconnected) => {
                vec![format!("{name}: ended without a word, what it writes is incomplete")]
            }
        }
    }
}

/// True for events that are few and that others refer to.
fn must_arrive(event: &Event) -> bool {
    match event {
        Event::TaskEnded(record) => matches!(record.status, TaskStatus::Failed(_)),
        Event::ItemEnded { ok, .. } => !ok,
        Event::TaskResumed { .. } | Event::Value { .. } | Event::Warned(_) => false,
        Event::RunStarted(_) | Event::StageStarted { .. } | Event::StageEnded { .. } | Event::RunEnded(_) => true,
    }
}

/// The life of a subscriber's thread.
fn serve(mut subscriber: Box<dyn Subscriber>, events: Receiver<Message>) -> Vec<String> {
    let mut idle = Instant::now();
    loop {
        match events.recv_timeout(TICK) {
            Ok(Message::Events(batch)) => {
                for event in batch.iter() {
                    subscriber.on_event(event);
                }
            }
            Ok(Message::Finish { dropped }) => return subscriber.finish(dropped),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return subscriber.finish(0),
        }
        if idle.elapsed() >= TICK {
            subscriber.on_idle();
            idle = Instant::now();
        }
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

/// What is behind the lock is whole between calls, so a panic elsewhere leaves it usable.
fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "bus_tests.rs"]
mod tests;

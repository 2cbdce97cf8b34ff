//! Delivery, order, loss and death, with subscribers that are slow, stuck or broken.

use super::*;
use crate::event::{Cause, Failure, RunEnd, RunStatus, TaskRecord};
use smallvec::SmallVec;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

fn task(block: u64, status: TaskStatus) -> Event {
    Event::TaskEnded(Arc::new(TaskRecord {
        stage: 0,
        item: 0,
        block,
        worker: 0,
        start: 1,
        stop: 2,
        cpu: 1,
        nbytes: 8,
        status,
        actions: SmallVec::new(),
        ops: SmallVec::new(),
        warnings: Vec::new(),
    }))
}

fn failure() -> TaskStatus {
    TaskStatus::Failed(Arc::new(Failure {
        step: "s".into(),
        op: "o".into(),
        item: None,
        region: "0:1".into(),
        path: None,
        cause: Cause::BadData,
        message: "m".into(),
        left_out: false,
    }))
}

/// Notes what it gets and how many events it was told it lost; waits at a gate before the first event.
struct Probe {
    delivery: Delivery,
    gate: Arc<AtomicBool>,
    seen: Arc<Mutex<Vec<String>>>,
    idles: Arc<AtomicU64>,
    panic_at: Option<u64>,
}

impl Probe {
    fn new(delivery: Delivery) -> Self {
        Self {
            delivery,
            gate: Arc::new(AtomicBool::new(true)),
            seen: Arc::default(),
            idles: Arc::default(),
            panic_at: None,
        }
    }
}

impl Subscriber for Probe {
    fn name(&self) -> &'static str {
        "probe"
    }
    fn delivery(&self) -> Delivery {
        self.delivery
    }
    fn on_event(&mut self, event: &Event) {
        while !self.gate.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(1));
        }
        let text = match event {
            Event::TaskEnded(record) => {
                assert_ne!(Some(record.block), self.panic_at, "told to");
                let failed = if matches!(record.status, TaskStatus::Failed(_)) { " failed" } else { "" };
                format!("{}{failed}", record.block)
            }
            Event::StageEnded { stage, .. } => format!("end {stage}"),
            _ => "other".to_owned(),
        };
        self.seen.lock().unwrap().push(text);
    }
    fn on_idle(&mut self) {
        self.idles.fetch_add(1, Ordering::Relaxed);
    }
    fn finish(&mut self, dropped: u64) -> Vec<String> {
        vec![format!("dropped {dropped}")]
    }
}

#[test]
fn a_lossless_subscriber_gets_everything_in_order_however_slow() {
    let probe = Probe::new(Delivery::Lossless);
    let (seen, gate) = (Arc::clone(&probe.seen), Arc::clone(&probe.gate));
    gate.store(false, Ordering::Relaxed);
    let bus = Bus::start(vec![Box::new(probe)]);
    let count = (BATCH * QUEUE * 2) as u64;
    thread::scope(|scope| {
        scope.spawn(|| {
            for block in 0..count {
                bus.emit(task(block, TaskStatus::Ok));
            }
        });
        thread::sleep(Duration::from_millis(50));
        gate.store(true, Ordering::Relaxed);
    });
    assert_eq!(bus.finish(), ["dropped 0"]);
    let expected: Vec<String> = (0..count).map(|block| block.to_string()).collect();
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[test]
fn the_end_waits_for_a_full_lossless_queue() {
    let probe = Probe::new(Delivery::Lossless);
    let (seen, gate) = (Arc::clone(&probe.seen), Arc::clone(&probe.gate));
    gate.store(false, Ordering::Relaxed);
    let bus = Bus::start(vec![Box::new(probe)]);
    // One batch is with the subscriber, the others fill the queue.
    let count = BATCH * (QUEUE + 1);
    (0..count as u64).for_each(|block| bus.emit(task(block, TaskStatus::Ok)));
    let warnings = thread::scope(|scope| {
        let end = scope.spawn(|| bus.finish());
        thread::sleep(TICK * 2);
        gate.store(true, Ordering::Relaxed);
        end.join().unwrap()
    });
    assert_eq!(warnings, ["dropped 0"]);
    assert_eq!(seen.lock().unwrap().len(), count);
}

#[test]
fn all_subscribers_see_one_order_of_many_threads() {
    let probes = [Probe::new(Delivery::Lossless), Probe::new(Delivery::Lossless)];
    let seen: Vec<_> = probes.iter().map(|probe| Arc::clone(&probe.seen)).collect();
    let bus = Bus::start(probes.into_iter().map(|probe| Box::new(probe) as Box<dyn Subscriber>).collect());
    thread::scope(|scope| {
        for thread in 0..4u64 {
            let bus = &bus;
            scope.spawn(move || (0..5_000).for_each(|i| bus.emit(task(thread * 10_000 + i, TaskStatus::Ok))));
        }
    });
    bus.finish();
    let first = seen[0].lock().unwrap();
    assert_eq!(first.len(), 20_000);
    assert_eq!(*first, *seen[1].lock().unwrap());
}

#[test]
fn a_stuck_lossy_subscriber_slows_nothing_and_keeps_what_must_arrive() {
    let probe = Probe::new(Delivery::Lossy);
    let (seen, gate) = (Arc::clone(&probe.seen), Arc::clone(&probe.gate));
    gate.store(false, Ordering::Relaxed);
    let bus = Bus::start(vec![Box::new(probe)]);
    let count = (BATCH * QUEUE * 3) as u64;
    let start = Instant::now();
    for block in 0..count {
        bus.emit(task(block, TaskStatus::Ok));
    }
    bus.emit(task(count, failure()));
    bus.emit(Event::StageEnded { stage: 7, at: 3 });
    assert!(start.elapsed() < Duration::from_secs(5), "emitting waited for a lossy subscriber");
    // The last two are handed over, and carried, while the queue is still full.
    thread::sleep(TICK * 3);
    gate.store(true, Ordering::Relaxed);
    let warnings = bus.finish();
    let seen = seen.lock().unwrap();
    assert_eq!(seen[seen.len() - 2..], [format!("{count} failed"), "end 7".to_owned()]);
    let dropped = count + 2 - seen.len() as u64;
    assert!(dropped > 0);
    assert_eq!(warnings, [format!("dropped {dropped}")]);
}

#[test]
fn a_panicking_subscriber_is_named_and_hangs_nothing() {
    let mut broken = Probe::new(Delivery::Lossless);
    broken.panic_at = Some(1_000);
    let whole = Probe::new(Delivery::Lossless);
    let seen = Arc::clone(&whole.seen);
    let bus = Bus::start(vec![Box::new(broken), Box::new(whole)]);
    let count = (BATCH * QUEUE * 2) as u64;
    for block in 0..count {
        bus.emit(task(block, TaskStatus::Ok));
    }
    let warnings = bus.finish();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].starts_with("probe: stopped by a bug of the engine"), "{warnings:?}");
    assert!(warnings[0].contains("told to"), "{warnings:?}");
    assert_eq!(warnings[1], "dropped 0");
    assert_eq!(seen.lock().unwrap().len() as u64, count);
}

#[test]
fn a_lossy_subscriber_that_never_finishes_is_left_behind() {
    let probe = Probe::new(Delivery::Lossy);
    let gate = Arc::clone(&probe.gate);
    gate.store(false, Ordering::Relaxed);
    let bus = Bus::start_with(vec![Box::new(probe)], Duration::from_millis(200));
    bus.emit(Event::RunEnded(RunEnd { status: RunStatus::Ok, stop: 1, tasks_ok: 0, tasks_failed: 0 }));
    let start = Instant::now();
    let warnings = bus.finish();
    assert!(start.elapsed() < Duration::from_secs(2));
    assert!(warnings[0].contains("left behind"), "{warnings:?}");
    gate.store(true, Ordering::Relaxed);
}

#[test]
fn a_lone_event_arrives_without_a_full_batch_and_idling_goes_on() {
    let probe = Probe::new(Delivery::Lossy);
    let (seen, idles) = (Arc::clone(&probe.seen), Arc::clone(&probe.idles));
    let bus = Bus::start(vec![Box::new(probe)]);
    bus.emit(task(5, TaskStatus::Ok));
    thread::sleep(Duration::from_millis(600));
    assert_eq!(*seen.lock().unwrap(), ["5"]);
    assert!((2..=7).contains(&idles.load(Ordering::Relaxed)), "{idles:?}");
    bus.finish();
    assert!(bus.finish().is_empty(), "a second finish tells nothing");
}

/// Prints what emitting costs; run with `--nocapture` to see it.
#[test]
fn emitting_a_million_tasks_stays_below_two_microseconds_each() {
    struct Null(u64);
    impl Subscriber for Null {
        fn name(&self) -> &'static str {
            "null"
        }
        fn delivery(&self) -> Delivery {
            Delivery::Lossless
        }
        fn on_event(&mut self, _: &Event) {
            self.0 += 1;
        }
        fn finish(&mut self, _: u64) -> Vec<String> {
            vec![self.0.to_string()]
        }
    }
    let bus = Bus::start(vec![Box::new(Null(0)), Box::new(Null(0)), Box::new(Null(0))]);
    let cpu = || {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
    };
    let (start, before) = (Instant::now(), cpu());
    for block in 0..1_000_000 {
        bus.emit(task(block, TaskStatus::Ok));
    }
    let (emitting, wall) = (cpu() - before, start.elapsed());
    assert_eq!(bus.finish(), ["1000000", "1000000", "1000000"]);
    println!("emitting: {:.3} us CPU and {:.3} us wall each", emitting, wall.as_secs_f64());
    assert!(emitting < 2.0, "{emitting} us each");
}

//! How far a run is: a bar on a terminal, plain lines elsewhere, both on standard error.
//!
//! Tasks are counted where their number is known before the run, items otherwise. The rate is that of the last ten
//! seconds or so, and the time left follows from it. Warnings are shown when they come.

use engine_runtime::event::{
    ActionKind, Delivery, Event, RunEnd, RunHeader, RunStatus, Subscriber, TaskRecord, TaskStatus,
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Time between plain lines.
const LINES: Duration = Duration::from_secs(3);
/// Time in which an old rate has lost two thirds of its weight.
const MEMORY: f64 = 5.0;

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProgressMode {
    /// A bar on a terminal, plain lines elsewhere.
    #[default]
    Auto,
    /// Plain lines.
    Plain,
    /// Not at all.
    None,
}

impl std::str::FromStr for ProgressMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "plain" => Ok(Self::Plain),
            "none" => Ok(Self::None),
            _ => Err(format!("expected auto, plain or none, found {text:?}")),
        }
    }
}

/// Shows how far a run is.
pub struct Progress {
    display: Display,
    count: Count,
    shown: Instant,
}

enum Display {
    /// A bar, without colours when the flag is set.
    Bar(ProgressBar, bool),
    Lines(Box<dyn Write + Send>),
}

/// What has happened so far.
struct Count {
    header: Option<Arc<RunHeader>>,
    started: Instant,
    tasks: u64,
    failed: u64,
    items: u64,
    items_failed: u64,
    bytes: u64,
    active: BTreeSet<u32>,
    rate: Rate,
    end: Option<RunEnd>,
}

impl Progress {
    /// Progress on standard error; nothing when it is not wanted.
    #[must_use]
    pub fn new(mode: ProgressMode, env: crate::cluster::Env<'_>) -> Option<Self> {
        let terminal = std::io::stderr().is_terminal() && env("TERM").is_none_or(|term| term != "dumb");
        match mode {
            ProgressMode::None => None,
            ProgressMode::Auto if terminal => Some(Self::bar(env("NO_COLOR").is_some_and(|value| !value.is_empty()))),
            ProgressMode::Auto | ProgressMode::Plain => Some(Self::lines(Box::new(std::io::stderr()))),
        }
    }

    /// Progress as plain lines, about one in three seconds and one at the end.
    #[must_use]
    pub fn lines(out: Box<dyn Write + Send>) -> Self {
        Self { display: Display::Lines(out), count: Count::new(), shown: Instant::now() }
    }

    fn bar(plain: bool) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
        bar.set_style(style(false, plain));
        Self { display: Display::Bar(bar, plain), count: Count::new(), shown: Instant::now() }
    }

    fn start(&mut self, header: &Arc<RunHeader>) {
        self.count = Count::new();
        self.count.header = Some(Arc::clone(header));
        if let (Display::Bar(bar, plain), Some((_, Some(total), _))) = (&self.display, self.count.position()) {
            bar.set_length(total);
            bar.set_style(style(true, *plain));
        }
    }

    fn warn(&mut self, text: &str) {
        match &mut self.display {
            Display::Bar(bar, _) => bar.suspend(|| eprintln!("warning: {text}")),
            Display::Lines(out) => say(out, &format!("warning: {text}")),
        }
    }

    fn show(&mut self) {
        self.shown = Instant::now();
        let Some((done, _, _)) = self.count.position() else { return };
        self.count.rate.update(done, self.count.started.elapsed().as_secs_f64());
        match &mut self.display {
            Display::Bar(bar, _) => {
                bar.set_position(done);
                bar.set_message(self.count.details());
            }
            Display::Lines(out) => say(out, &self.count.line()),
        }
    }
}

/// Nothing is left to tell a user whose standard error is closed.
fn say(out: &mut Box<dyn Write + Send>, line: &str) {
    let _ = out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush());
}

fn style(known: bool, plain: bool) -> ProgressStyle {
    let template = match (known, plain) {
        (true, false) => "{bar:30.cyan/dim} {percent:>3} % {human_pos}/{human_len} {msg}",
        (true, true) => "{bar:30} {percent:>3} % {human_pos}/{human_len} {msg}",
        (false, _) => "{spinner} {human_pos} {msg}",
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// A rate that forgets.
struct Rate {
    at: f64,
    done: u64,
    value: Option<f64>,
}

impl Rate {
    /// Takes note of how much was done how many seconds after the start.
    fn update(&mut self, done: u64, at: f64) {
        let passed = at - self.at;
        if passed <= 0.0 {
            return;
        }
        let now = done.saturating_sub(self.done) as f64 / passed;
        let weight = 1.0 - (-passed / MEMORY).exp();
        self.value = Some(self.value.map_or(now, |old| old + weight * (now - old)));
        (self.at, self.done) = (at, done);
    }
}

impl Count {
    fn new() -> Self {
        Self {
            header: None,
            started: Instant::now(),
            tasks: 0,
            failed: 0,
            items: 0,
            items_failed: 0,
            bytes: 0,
            active: BTreeSet::new(),
            rate: Rate { at: 0.0, done: 0, value: None },
            end: None,
        }
    }

    fn add(&mut self, record: &TaskRecord) {
        self.tasks += 1;
        self.failed += u64::from(matches!(record.status, TaskStatus::Failed(_)));
        if record.actions.iter().any(|action| action.kind == ActionKind::DiskWrite) {
            self.bytes += record.nbytes;
        }
    }

    /// How much is done, of how much if that is known, of what.
    fn position(&self) -> Option<(u64, Option<u64>, &'static str)> {
        let header = self.header.as_ref()?;
        Some(match header.tasks {
            Some(total) => (self.tasks, Some(total), "tasks"),
            None if header.items > 1 => (self.items, Some(header.items), "items"),
            None => (self.tasks, None, "tasks"),
        })
    }

    /// Rate, time left, failures, bytes and stages.
    fn details(&self) -> String {
        let Some((done, total, unit)) = self.position() else { return String::new() };
        let mut parts = Vec::new();
        if let Some(rate) = self.rate.value {
            parts.push(format!("{} {unit}/s", significant(rate)));
            let left = total.map(|total| total.saturating_sub(done));
            if let Some(left) = left.filter(|left| *left > 0 && rate > 0.0) {
                parts.push(format!("{} left", duration(left as f64 / rate)));
            }
        }
        let failed = if unit == "items" { self.items_failed } else { self.failed };
        if failed > 0 {
            parts.push(format!("{failed} failed"));
        }
        if self.bytes > 0 {
            parts.push(format!("{} written", bytes(self.bytes)));
        }
        if let Some(header) = &self.header {
            let names: Vec<&str> = (self.active.iter())
                .filter_map(|stage| header.stages.get(*stage as usize).map(|stage| stage.name.as_str()))
                .collect();
            if let [first, rest @ ..] = names.as_slice() {
                let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
                parts.push(format!("in {first}{more}"));
            }
        }
        parts.join(", ")
    }

    /// All of it in one line.
    fn line(&self) -> String {
        let Some((done, total, unit)) = self.position() else { return String::new() };
        let mut line = match total {
            Some(total) if total > 0 => format!("{done}/{total} {unit} ({} %)", done.saturating_mul(100) / total),
            _ => format!("{done} {unit}"),
        };
        let details = self.details();
        if !details.is_empty() {
            line.push_str(", ");
            line.push_str(&details);
        }
        line
    }

    /// The last line.
    fn summary(&mut self) -> String {
        let (status, passed) = match (&self.end, &self.header) {
            (Some(end), Some(header)) => {
                let status = match end.status {
                    RunStatus::Ok => "done",
                    RunStatus::Failed => "failed",
                    RunStatus::Interrupted => "interrupted",
                };
                // Events may have been dropped; the end knows.
                (self.tasks, self.failed) = (end.tasks_ok + end.tasks_failed, end.tasks_failed);
                (status, end.stop.saturating_sub(header.start) as f64 / 1e9)
            }
            _ => ("ended early", self.started.elapsed().as_secs_f64()),
        };
        let mut text = format!("{status}: {} tasks in {}", self.tasks, duration(passed));
        if self.failed > 0 {
            text.push_str(&format!(", {} failed", self.failed));
        }
        if self.bytes > 0 {
            text.push_str(&format!(", {} written", bytes(self.bytes)));
        }
        text
    }
}

impl Subscriber for Progress {
    fn name(&self) -> &'static str {
        "progress"
    }

    fn delivery(&self) -> Delivery {
        Delivery::Lossy
    }

    fn on_event(&mut self, event: &Event) {
        match event {
            Event::RunStarted(header) => self.start(header),
            Event::StageStarted { stage, .. } => {
                self.count.active.insert(*stage);
            }
            Event::StageEnded { stage, .. } => {
                self.count.active.remove(stage);
            }
            Event::TaskEnded(record) => self.count.add(record),
            Event::ItemEnded { ok, .. } => {
                self.count.items += 1;
                self.count.items_failed += u64::from(!ok);
            }
            Event::Warning(text) => self.warn(text),
            Event::RunEnded(end) => self.count.end = Some(end.clone()),
        }
    }

    fn on_idle(&mut self) {
        let due = match &self.display {
            Display::Bar(..) => Duration::from_millis(100),
            Display::Lines(_) => LINES,
        };
        if self.shown.elapsed() >= due && self.count.end.is_none() {
            self.show();
        }
    }

    fn finish(&mut self, _dropped: u64) -> Vec<String> {
        if self.count.header.is_some() {
            let summary = self.count.summary();
            match &mut self.display {
                Display::Bar(bar, _) => {
                    bar.finish_and_clear();
                    eprintln!("{summary}");
                }
                Display::Lines(out) => say(out, &summary),
            }
        }
        Vec::new()
    }
}

/// A number with about three digits.
fn significant(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

/// Seconds as `4.2 s`, `3 min 5 s` or `2 h 1 min`.
fn duration(seconds: f64) -> String {
    let whole = seconds.round().max(0.0) as u64;
    match whole {
        _ if seconds < 9.95 => format!("{seconds:.1} s"),
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole / 60 % 60),
    }
}

/// Bytes in binary units.
fn bytes(count: u64) -> String {
    let mut value = count as f64;
    for unit in ["B", "KiB", "MiB", "GiB", "TiB"] {
        if value < 1000.0 {
            return if unit == "B" { format!("{count} B") } else { format!("{} {unit}", significant(value)) };
        }
        value /= 1024.0;
    }
    format!("{} PiB", significant(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake;
    use std::path::Path;
    use std::sync::Mutex;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn lines(out: &Shared) -> Vec<String> {
        String::from_utf8(out.0.lock().unwrap().clone()).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_line_tells_tasks_rate_time_left_bytes_and_stage() {
        let out = Shared::default();
        let mut progress = Progress::lines(Box::new(out.clone()));
        fake::run(Path::new("/x"), 1000).take(2 + 500 + 2 + 100).for_each(|event| progress.on_event(&event));
        progress.count.rate = Rate { at: 10.0, done: 600, value: Some(20.0) };
        assert_eq!(progress.count.line(), "600/1000 tasks (60 %), 20.0 tasks/s, 20 s left, 400 KiB written, in labels");
        progress.on_event(&Event::Warning("max equals min".into()));
        assert_eq!(lines(&out), ["warning: max equals min"]);
    }

    #[test]
    fn items_are_counted_where_tasks_are_not_known() {
        let mut progress = Progress::lines(Box::new(Shared::default()));
        let mut header = fake::header(Path::new("/x"), 10);
        header.tasks = None;
        progress.on_event(&Event::RunStarted(Arc::new(header.clone())));
        progress.on_event(&Event::ItemEnded { item: 0, name: "a".into(), ok: false });
        assert_eq!(progress.count.line(), "1/4 items (25 %), 1 failed");
        header.items = 1;
        progress.on_event(&Event::RunStarted(Arc::new(header)));
        assert_eq!(progress.count.line(), "0 tasks");
    }

    #[test]
    fn lines_come_every_few_seconds_and_at_the_end() {
        let out = Shared::default();
        let mut progress = Progress::lines(Box::new(out.clone()));
        fake::run(Path::new("/x"), 10).take(6).for_each(|event| progress.on_event(&event));
        progress.on_idle();
        assert!(lines(&out).is_empty());
        progress.shown = Instant::now().checked_sub(LINES).unwrap();
        progress.on_idle();
        progress.on_idle();
        assert_eq!(lines(&out).len(), 1);
        assert!(lines(&out)[0].starts_with("4/10 tasks (40 %), "), "{:?}", lines(&out));
        fake::run(Path::new("/x"), 10).skip(6).for_each(|event| progress.on_event(&event));
        assert!(progress.finish(0).is_empty());
        assert_eq!(lines(&out)[1], "done: 10 tasks in 0.0 s, 20.0 KiB written");
    }

    #[test]
    fn an_old_rate_fades() {
        let mut rate = Rate { at: 0.0, done: 0, value: None };
        rate.update(100, 1.0);
        assert_eq!(rate.value, Some(100.0));
        (2..60).for_each(|second| rate.update(100 + (second - 1) * 10, second as f64));
        assert!((rate.value.unwrap() - 10.0).abs() < 0.1, "{:?}", rate.value);
        rate.update(1_000_000, 59.0);
        assert!(rate.value.unwrap() < 11.0, "no time passed");
    }

    #[test]
    fn amounts_read_well() {
        assert_eq!(
            [0, 999, 1000, 1 << 20, 1 << 40, u64::MAX].map(bytes),
            ["0 B", "999 B", "0.98 KiB", "1.00 MiB", "1.00 TiB", "16384 PiB"]
        );
        assert_eq!(
            [0.04, 9.94, 9.96, 59.4, 61.0, 7321.0].map(duration),
            ["0.0 s", "9.9 s", "10 s", "59 s", "1 min 1 s", "2 h 2 min"]
        );
    }

    #[test]
    fn none_shows_nothing_and_modes_are_spelled_out() {
        assert!(Progress::new(ProgressMode::None, &|_| None).is_none());
        assert!(Progress::new(ProgressMode::Plain, &|_| None).is_some());
        assert_eq!("plain".parse(), Ok(ProgressMode::Plain));
        assert_eq!("x".parse::<ProgressMode>(), Err("expected auto, plain or none, found \"x\"".to_owned()));
    }
}

//! How far a run is: a bar on a terminal, plain lines elsewhere, both on standard error.
//!
//! Tasks are counted where their number is known before the run, items otherwise. The rate is that of the last ten
//! seconds or so, and the time left follows from it.

mod amount;
mod count;

use count::Count;
use engine_runtime::event::{Delivery, Event, RunHeader, Subscriber};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Time between plain lines.
const LINES: Duration = Duration::from_secs(3);

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
    ProgressStyle::with_template(template(known, plain)).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// What the bar shows, by whether the end is known and colours are not wanted.
fn template(known: bool, plain: bool) -> &'static str {
    match (known, plain) {
        (true, false) => "{bar:30.cyan/dim} {percent:>3} % {human_pos}/{human_len} {wide_msg}",
        (true, true) => "{bar:30} {percent:>3} % {human_pos}/{human_len} {wide_msg}",
        (false, _) => "{spinner} {human_pos} {wide_msg}",
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
            Event::TaskResumed { .. } => self.count.tasks += 1,
            Event::ItemEnded { ok, .. } => {
                self.count.items += 1;
                self.count.items_failed += u64::from(!ok);
            }
            Event::Value { .. } | Event::Warned(_) => {}
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
        progress.count.rate.update(600, 30.0);
        assert_eq!(progress.count.line(), "600/1000 tasks (60 %), 20.0 tasks/s, 20 s left, 400 KiB made, in labels");
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
        assert_eq!(lines(&out)[1], "done: 10 tasks in 0.0 s, 20.0 KiB made");
    }

    #[test]
    fn none_shows_nothing_and_modes_are_spelled_out() {
        assert!(Progress::new(ProgressMode::None, &|_| None).is_none());
        assert!(Progress::new(ProgressMode::Plain, &|_| None).is_some());
        assert_eq!("plain".parse(), Ok(ProgressMode::Plain));
        assert_eq!("x".parse::<ProgressMode>(), Err("expected auto, plain or none, found \"x\"".to_owned()));
    }

    #[test]
    fn every_template_is_understood_and_plain_ones_have_no_colour() {
        for known in [false, true] {
            for plain in [false, true] {
                assert!(ProgressStyle::with_template(template(known, plain)).is_ok());
            }
            assert!(!template(known, true).contains("cyan"));
        }
    }
}

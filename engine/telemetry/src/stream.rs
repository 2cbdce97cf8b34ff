//! The files of the record that grow record by record while the run goes on.
//!
//! Each is a YAML sequence, written at least every half second, never cut at a number of records, and valid YAML after a
//! kill at any moment (`paged.rs` tells how). A resumed run appends to it. What a file holds is said by its
//! [`Records`]; a new file is one more implementation of that.

use crate::paged::PagedFile;
use engine_runtime::event::{Delivery, Event, RunHeader, Subscriber};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest time a record waits in memory, less the tick at which it is looked at.
const FLUSH_EVERY: Duration = Duration::from_millis(350);

/// What one file holds.
pub trait Records: Send {
    /// Names the subscriber in warnings.
    const NAME: &'static str;
    /// The file, in `Reports`.
    const FILE: &'static str;
    /// What the comment at its head says it is, and the version of its layout.
    const TITLE: &'static str;
    /// True for a file that every run has; others appear with their first record and cost nothing without one.
    const ALWAYS: bool;

    /// Takes what is known when a run starts.
    fn start(&mut self, header: &Arc<RunHeader>);

    /// True for an event that has a record.
    fn has(&self, event: &Event) -> bool;

    /// Appends the record of such an event: an entry of a sequence, with its line break.
    fn write(&self, event: &Event, out: &mut Vec<u8>);
}

/// Writes one file of records.
pub struct Stream<R> {
    records: R,
    header: Option<Arc<RunHeader>>,
    path: PathBuf,
    file: Option<PagedFile>,
    last_flush: Instant,
    seen: u64,
    lost: u64,
    error: Option<io::Error>,
}

impl<R: Records> Stream<R> {
    pub(crate) fn of(records: R) -> Self {
        Self {
            records,
            header: None,
            path: PathBuf::new(),
            file: None,
            last_flush: Instant::now(),
            seen: 0,
            lost: 0,
            error: None,
        }
    }

    fn start(&mut self, header: &Arc<RunHeader>) -> io::Result<()> {
        self.records.start(header);
        self.path = header.dir.join("Reports").join(R::FILE);
        self.header = Some(Arc::clone(header));
        if R::ALWAYS {
            self.open(header)?.flush()?;
        }
        Ok(())
    }

    fn open(&mut self, header: &RunHeader) -> io::Result<&mut PagedFile> {
        std::fs::create_dir_all(header.dir.join("Reports"))?;
        let mut file = PagedFile::open(&self.path)?;
        file.comment(&format!("{} of run {:032x}, engine {}", R::TITLE, header.run_id, header.version))?;
        Ok(self.file.insert(file))
    }

    fn add(&mut self, event: &Event) -> io::Result<()> {
        self.seen += 1;
        if let (None, None, Some(header)) = (&self.file, &self.error, self.header.clone()) {
            self.open(&header)?;
        }
        match &mut self.file {
            Some(file) => file.record(|out| self.records.write(event, out)),
            None => {
                self.lost += 1;
                Ok(())
            }
        }
    }

    fn keep(&mut self, result: io::Result<()>) {
        if let Err(error) = result {
            self.file = None;
            self.error.get_or_insert(error);
        }
    }
}

impl<R: Records> Subscriber for Stream<R> {
    fn name(&self) -> &'static str {
        R::NAME
    }

    fn delivery(&self) -> Delivery {
        Delivery::Lossless
    }

    fn on_event(&mut self, event: &Event) {
        let result = match event {
            Event::RunStarted(header) => self.start(header),
            event if self.records.has(event) => self.add(event),
            _ => Ok(()),
        };
        self.keep(result);
    }

    fn on_idle(&mut self) {
        if self.last_flush.elapsed() < FLUSH_EVERY {
            return;
        }
        self.last_flush = Instant::now();
        if let Some(file) = &mut self.file
            && file.is_dirty()
        {
            let result = file.flush();
            self.keep(result);
        }
    }

    fn finish(&mut self, _dropped: u64) -> Vec<String> {
        if let Some(file) = &mut self.file {
            let result = file.finish();
            self.keep(result);
        }
        let told = |error| {
            format!(
                "{}: writing failed ({error}); at least {} of {} records are missing",
                self.path.display(),
                self.lost.max(1).min(self.seen),
                self.seen
            )
        };
        self.error.as_ref().map(told).into_iter().collect()
    }
}

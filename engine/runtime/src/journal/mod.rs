//! The journal of a run: which blocks of which results are done, so that a run which was killed can go on.
//!
//! It is appended to, never rewritten. An entry is appended only after what it tells of is where it belongs, so that what
//! the journal says is so; a kill may leave work done that it does not tell of, which is then done again. A record that
//! a kill has torn ends the journal: it is cut off there when the run goes on.
//!
//! Entries are told apart by [`Key`]s: digests of what a result is made from (`engine_model::plan::fingerprint`), the state
//! of the files it is read from, and the grid of its blocks. A result of another workflow, another parameter or another
//! file has another key, so nothing of it is ever taken for this one. A journal may hold entries of many runs.

mod entry;
mod known;
mod ranges;

pub use entry::Entry;
pub use known::{Completed, Known, Place, Stored};
pub use ranges::Ranges;

use crate::exec::item::lock;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Bytes of records that wait at most for the next one, and the time since the last write after which the next one takes
/// them along.
const WAITING: usize = 32 << 10;
const WAIT: Duration = Duration::from_millis(20);

/// What a result is: a digest.
pub type Key = [u8; 16];

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: Mutex<Appending>,
    known: Known,
    /// Waits after every append until it has reached the disk.
    sync: bool,
    /// Nothing can be appended.
    looked_at: bool,
}

#[derive(Debug)]
struct Appending {
    file: File,
    /// Bytes of whole records.
    len: u64,
    /// Records that are to be written with the next ones.
    waiting: Vec<u8>,
    /// When records were written last.
    written: Instant,
}

impl Appending {
    fn new(file: File, len: u64) -> Mutex<Appending> {
        Mutex::new(Appending { file, len, waiting: Vec::new(), written: Instant::now() })
    }

    /// Writes what waits; what can't be written is cut off again, since what was begun must not stand before what
    /// comes later.
    fn flush(&mut self, sync: bool) -> io::Result<()> {
        self.written = Instant::now();
        let bytes = std::mem::take(&mut self.waiting);
        let written = self.file.write_all(&bytes).and_then(|()| if sync { self.file.sync_data() } else { Ok(()) });
        match written {
            Ok(()) => self.len += bytes.len() as u64,
            Err(e) => {
                self.file.set_len(self.len)?;
                self.file.seek(SeekFrom::Start(self.len))?;
                return Err(e);
            }
        }
        // The room serves the next ones.
        self.waiting = bytes;
        self.waiting.clear();
        Ok(())
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // What is lost here is done again; whoever wants to know of a full disk hears of it elsewhere.
        let _ = lock(&self.file).flush(self.sync);
    }
}

impl Journal {
    /// A new, empty journal.
    ///
    /// # Errors
    /// When the file can't be made.
    pub fn create(path: &Path, sync: bool) -> io::Result<Journal> {
        let mut file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        file.write_all(entry::MAGIC)?;
        let len = entry::MAGIC.len() as u64;
        Ok(Journal {
            path: path.into(),
            file: Appending::new(file, len),
            known: Known::empty(path),
            sync,
            looked_at: false,
        })
    }

    /// Reads a journal and goes on with it, after its last whole record.
    ///
    /// # Errors
    /// When the file can't be read or written, or is no journal.
    pub fn open(path: &Path, sync: bool) -> io::Result<Journal> {
        let mut file = OpenOptions::new().read(true).write(true).open(path)?;
        let (known, mut len) = Known::read(path, &mut file)?;
        file.set_len(len)?;
        file.seek(SeekFrom::Start(len))?;
        if len == 0 {
            file.write_all(entry::MAGIC)?;
            len = entry::MAGIC.len() as u64;
        }
        Ok(Journal { path: path.into(), file: Appending::new(file, len), known, sync, looked_at: false })
    }

    /// Reads a journal only; nothing can be appended.
    ///
    /// # Errors
    /// When the file can't be read, or is no journal.
    pub fn look(path: &Path) -> io::Result<Journal> {
        let mut file = File::open(path)?;
        let (known, len) = Known::read(path, &mut file)?;
        Ok(Journal { path: path.into(), file: Appending::new(file, len), known, sync: false, looked_at: true })
    }

    /// What was done before it was opened.
    pub fn known(&self) -> &Known {
        &self.known
    }

    /// Appends entries, all or none.
    ///
    /// Partials of reductions may wait a moment for others, so that tiny tasks cost no system call each; whatever else is
    /// told waits for nothing, and takes them along.
    ///
    /// # Errors
    /// When they can't be written; the journal is then as before.
    pub fn append(&self, entries: &[Entry]) -> io::Result<()> {
        let mut bytes = Vec::new();
        for e in entries {
            entry::frame(e, &mut bytes).map_err(|e| io::Error::other(e.to_string()))?;
        }
        let may_wait = !self.sync && entries.iter().all(|e| matches!(e, Entry::Partial { .. }));
        let mut to = lock(&self.file);
        to.waiting.extend_from_slice(&bytes);
        let full = to.waiting.len() >= WAITING || to.written.elapsed() >= WAIT;
        if may_wait && !full { Ok(()) } else { to.flush(self.sync) }
    }

    /// True for one that is only looked at: nothing can be appended.
    pub fn is_looked_at(&self) -> bool {
        self.looked_at
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path as entries tell it: from the run directory, so that a run can be moved, or whole where it lies elsewhere.
    pub fn named(&self, path: &Path) -> PathBuf {
        if engine_model::place::is_remote(path) {
            return path.into();
        }
        let path = std::path::absolute(path).unwrap_or_else(|_| path.into());
        self.known.root().and_then(|root| path.strip_prefix(root).ok()).map_or(path.clone(), Path::to_path_buf)
    }
}

//! Locks beside what is written, so that no two runs write to one place.
//!
//! A lock is a small file, or key behind a URL, that only one can create. It says who holds it, and a thread writes the time into it again and
//! again while it is held. One whose holder is gone is taken over: on the same host the process tells; on another one
//! the time does.

#[cfg(feature = "remote")]
mod elsewhere;

use crate::host;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use thiserror::Error;

/// How often the holder writes the time.
const BEAT: Duration = Duration::from_secs(10);
/// A holder on another host that has not written the time for so long is gone.
pub const STALE: Duration = Duration::from_secs(60);

/// How long to wait for another that takes over.
const RETRY: Duration = Duration::from_millis(10);

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Name of the host.
    pub host: String,
    /// Number of the process.
    pub pid: u32,
    /// When the process was started, in ticks since the host was; tells it from a later one of the same number.
    born: Option<u64>,
    /// Where process numbers mean the same: one boot of a host, one name space of it.
    space: String,
    /// Tells this lock from all others.
    token: String,
    /// Seconds since 1970 when the holder last said that it is there.
    heartbeat: u64,
}

/// Why a lock was not had.
#[derive(Debug, Error)]
pub enum LockError {
    /// Another run holds it.
    #[error("process {} on host {} is writing there (`{}`, last heard of {} s ago)", holder.pid, holder.host, path.display(), age.as_secs())]
    Held {
        /// The file.
        path: PathBuf,
        /// Who.
        holder: Box<Holder>,
        /// Since it last said that it is there.
        age: Duration,
    },
    /// The file system said no.
    #[error("can't use the lock `{}`: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// A lock that is held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    token: String,
    lost: Arc<AtomicBool>,
    beat: Option<(Sender<()>, JoinHandle<()>)>,
}

/// A lock, and whose it was where that one is gone.
#[derive(Debug)]
pub struct Taken {
    /// The lock.
    pub lock: Lock,
    /// Who held it and is gone without having given it back.
    pub stale: Option<Holder>,
}

impl Lock {
    /// The lock of a file or directory: `NAME.lock` beside it.
    pub fn beside(place: &Path) -> PathBuf {
        let mut name = place.file_name().unwrap_or_default().to_os_string();
        name.push(".lock");
        place.with_file_name(name)
    }

    /// Takes a lock; its directory has to be there.
    ///
    /// # Errors
    /// When another run holds it, or the file system says no.
    pub fn acquire(path: &Path) -> Result<Taken, LockError> {
        #[cfg(feature = "remote")]
        if engine_model::place::is_remote(path) {
            return elsewhere::acquire(path);
        }
        let failed = |source| LockError::Io { path: path.into(), source };
        let own = Holder::own();
        let mut stale = None;
        loop {
            match own.create(path) {
                Ok(file) => {
                    let lost = Arc::new(AtomicBool::new(false));
                    let beat = beat(path, file, own.clone(), lost.clone()).map_err(|e| {
                        // A lock that nobody holds would be in the way.
                        let _ = fs::remove_file(path);
                        failed(e)
                    })?;
                    let lock = Lock { path: path.into(), token: own.token, lost, beat: Some(beat) };
                    return Ok(Taken { lock, stale });
                }
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                Err(e) => return Err(failed(e)),
            }
            // It may be given back at any moment: then it is free.
            let Some(holder) = Holder::read(path).map_err(failed)? else { continue };
            let age = holder.age();
            if !holder.is_gone(&own) {
                return Err(LockError::Held { path: path.into(), holder: Box::new(holder), age });
            }
            holder.remove(path).map_err(failed)?;
            stale = Some(holder);
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// True when another run has taken it over, having found no sign of this one: nothing more may be written.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.beat.take() {
            drop(stop);
            // It only sleeps and writes.
            let _ = thread.join();
        }
        #[cfg(feature = "remote")]
        if engine_model::place::is_remote(&self.path) {
            return elsewhere::release(&self.path, &self.token);
        }
        if matches!(Holder::read(&self.path), Ok(Some(holder)) if holder.token == self.token) {
            // Nothing can be done about a lock that can't be removed; it will be found stale.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Writes the time into the file until the sender is dropped. The open file stays the one that was created: what
/// another run has put in its place is never written to.
fn beat(
    path: &Path,
    mut file: File,
    mut own: Holder,
    lost: Arc<AtomicBool>,
) -> io::Result<(Sender<()>, JoinHandle<()>)> {
    let (stop, stopped) = mpsc::channel();
    let path = path.to_path_buf();
    let thread = std::thread::Builder::new().name("lock".into()).spawn(move || {
        while stopped.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
            // A full disk or a server that is away for a while is no reason to stop: the time is written next time.
            if !matches!(Holder::read(&path), Ok(Some(holder)) if holder.token != own.token) {
                own.heartbeat = now();
                let _ = own.write(&mut file);
            } else {
                lost.store(true, Ordering::Relaxed);
                return;
            }
        }
    })?;
    Ok((stop, thread))
}

impl Holder {
    fn own() -> Holder {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let (pid, host) = (std::process::id(), host::name());
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let token = format!("{host}-{pid}-{nanos:x}-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        Holder { born: host::process_start(pid), space: host::process_space(), host, pid, token, heartbeat: now() }
    }

    /// What the file says; `None` when there is none. One that says nothing yet is as old as itself.
    fn read(path: &Path) -> io::Result<Option<Holder>> {
        let found = fs::read(path).and_then(|bytes| Ok((bytes, fs::metadata(path)?.modified()?)));
        let (bytes, changed) = match found {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let seconds = changed.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Ok(Some(serde_json::from_slice(&bytes).unwrap_or_else(|_| Holder::unknown(seconds))))
    }

    /// Someone who says nothing, but was there at this time.
    fn unknown(heartbeat: u64) -> Holder {
        let (host, space) = ("unknown".to_owned(), String::new());
        Holder { host, pid: 0, born: None, space, token: String::new(), heartbeat }
    }

    /// Makes the file, unless there is one. Where the file system can, it gets its name when it already says whose it is, so that
    /// who is killed in between leaves nothing that would have to be waited for.
    fn create(&self, path: &Path) -> io::Result<File> {
        #[cfg(target_os = "linux")]
        if let Some(mut file) = nameless(path) {
            self.write(&mut file)?;
            match name(&file, path) {
                Err(e) if e.kind() != ErrorKind::AlreadyExists => {}
                named => return named.map(|()| file),
            }
        }
        let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
        self.write(&mut file).inspect_err(|_| {
            // A lock that nobody holds would be in the way.
            let _ = fs::remove_file(path);
        })?;
        Ok(file)
    }

    /// Always of the same length, so that it can be written over.
    fn write(&self, file: &mut File) -> io::Result<()> {
        let mut text = serde_json::to_vec(self)?;
        text.push(b'\n');
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&text)?;
        file.set_len(text.len() as u64)
    }

    /// Since it last said that it is there.
    pub fn age(&self) -> Duration {
        Duration::from_secs(now().saturating_sub(self.heartbeat))
    }

    fn is_gone(&self, own: &Holder) -> bool {
        match self.space == own.space && !self.space.is_empty() {
            true => match (host::process_start(self.pid), self.born) {
                (None, _) => true,
                (Some(now), Some(then)) => now != then,
                (Some(_), None) => false,
            },
            false => self.age() > STALE,
        }
    }

    /// Takes the lock of this holder away, unless it is another's by now. Only one may try at a time, so that none takes
    /// away what another has just made.
    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(".taking");
        let taking = path.with_file_name(name);
        match OpenOptions::new().write(true).create_new(true).open(&taking) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                // Someone else is at it, or died while at it.
                let since = fs::metadata(&taking).and_then(|m| m.modified()).ok().and_then(|t| t.elapsed().ok());
                if since.is_some_and(|age| age > STALE) {
                    let _ = fs::remove_file(&taking);
                }
                std::thread::sleep(RETRY);
                return Ok(());
            }
            other => other?,
        };
        let removed = match Holder::read(path) {
            Ok(Some(found)) if found.token == self.token => fs::remove_file(path),
            other => other.map(|_| ()),
        };
        fs::remove_file(&taking).and(removed)
    }
}

/// A file without a name in the directory of a path; `None` where the file system has no such.
#[cfg(target_os = "linux")]
fn nameless(path: &Path) -> Option<File> {
    use rustix::fs::{Mode, OFlags};
    let dir = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mode = Mode::from_raw_mode(0o666);
    rustix::fs::open(dir, OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC, mode).ok().map(File::from)
}

/// Gives a file without a name one that nothing has.
#[cfg(target_os = "linux")]
fn name(file: &File, path: &Path) -> io::Result<()> {
    use rustix::fs::{AtFlags, CWD};
    use std::os::fd::AsRawFd;
    let own = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(rustix::fs::linkat(CWD, own, CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
#[path = "lock_tests.rs"]
mod tests;

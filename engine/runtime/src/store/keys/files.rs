//! A directory as a store: keys are files below it, each written under a temporary name first, so that none is ever
//! half there.

use super::{Keys, Part};
use crate::store::StoreError;
use crate::store::read::{corrupt, io, unsupported};
use crate::store::write::{partial_name, sync_parent};
use ops_core::{Buf, Pool};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many directories are remembered to be there; asking again costs a system call.
const KNOWN: usize = 1024;

/// The directory.
#[derive(Debug)]
pub(crate) struct Directory {
    root: PathBuf,
    /// The directory itself, whatever its name becomes.
    held: Option<OwnedFd>,
    /// Waits for the disk at every key that is written.
    sync: bool,
    /// Directories below the root that are known to be there.
    made: Mutex<BTreeSet<PathBuf>>,
}

impl Directory {
    /// A directory that is going to be read, and may be there or not. Where it is moved it is read there: what takes its
    /// name is another store, whose chunks are never taken for its own.
    pub(crate) fn hold(root: &Path) -> Directory {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        // Where it is not there, or may not be listed, its keys say more.
        let held = rustix::fs::open(root, flags, Mode::empty()).ok();
        Directory { root: root.into(), held, sync: false, made: Mutex::default() }
    }

    /// Makes the directory, and those above it.
    pub(crate) fn create(root: &Path, sync: bool) -> Result<Directory, StoreError> {
        make(root, sync).map_err(|e| io(root, "creating", &e))?;
        Ok(Directory { root: root.into(), held: None, sync, made: Mutex::default() })
    }

    fn open(&self, key: &str) -> Result<Option<(File, u64)>, StoreError> {
        let failed = |e| io(&self.root, &format!("opening `{key}`"), &e);
        let opened = match &self.held {
            Some(dir) => {
                let file = rustix::fs::openat(dir, key, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
                file.map(File::from).map_err(std::io::Error::from)
            }
            None => File::open(self.root.join(key)),
        };
        let file = match opened {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(failed(e)),
        };
        let about = file.metadata().map_err(failed)?;
        if about.is_dir() {
            return Err(unsupported(&self.root, format!("`{key}` is a directory, expected a file")));
        }
        Ok(Some((file, about.len())))
    }

    /// Where a part of a value of so many bytes lies, or the whole of it; one of more than `most` bytes is refused.
    fn extent(&self, key: &str, part: Option<Part>, bytes: u64, most: u64) -> Result<(u64, u64), StoreError> {
        let (at, len) = match part {
            None if bytes > most => {
                let text = format!("`{key}` has {bytes} bytes, expected at most {most}");
                return Err(corrupt(&self.root, text));
            }
            None => (0, bytes),
            Some(Part::At(at, len)) => (at, len),
            Some(Part::Last(len)) => (bytes.saturating_sub(len), len),
        };
        if at.checked_add(len).is_none_or(|end| end > bytes) {
            let text = format!("`{key}` has {bytes} bytes, expected {len} from byte {at}: truncated or damaged");
            return Err(corrupt(&self.root, text));
        }
        Ok((at, len))
    }

    fn read(&self, key: &str, mut file: File, at: u64, value: &mut [u8]) -> Result<(), StoreError> {
        let sought = if at == 0 { Ok(0) } else { file.seek(SeekFrom::Start(at)) };
        let done = sought.and_then(|_| file.read_exact(value));
        done.map_err(|e| io(&self.root, &format!("reading `{key}`"), &e))
    }

    /// Makes a directory below the root, which has to be there: one that went away is not made again, since with it went
    /// what was written before.
    fn make_below(&self, path: &Path) -> std::io::Result<()> {
        if path == self.root || path.is_dir() {
            return Ok(());
        }
        if let Some(above) = path.parent() {
            self.make_below(above)?;
        }
        match fs::create_dir(path) {
            // Another thread was first.
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            other => other?,
        }
        if self.sync { sync_parent(path) } else { Ok(()) }
    }

    fn made(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_put(&self, path: &Path, partial: &Path, value: &[u8]) -> std::io::Result<()> {
        let parent = path.parent().unwrap_or(&self.root);
        if !self.made().contains(parent) {
            self.make_below(parent)?;
            let mut made = self.made();
            if made.len() >= KNOWN {
                made.clear();
            }
            made.insert(parent.into());
        }
        let mut file = File::create(partial)?;
        file.write_all(value)?;
        if self.sync {
            file.sync_all()?;
        }
        drop(file);
        fs::rename(partial, path)?;
        if self.sync { sync_parent(path) } else { Ok(()) }
    }
}

impl Keys for Directory {
    fn root(&self) -> &Path {
        &self.root
    }

    fn get(&self, key: &str, most: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let Some((mut file, bytes)) = self.open(key)? else { return Ok(None) };
        let (_, len) = self.extent(key, None, bytes, most)?;
        let mut value = Vec::with_capacity(len as usize + 1);
        // A file that grows meanwhile is read no further than it was.
        let read = Read::by_ref(&mut file).take(len).read_to_end(&mut value);
        read.map_err(|e| io(&self.root, &format!("reading `{key}`"), &e))?;
        Ok(Some(value))
    }

    fn take(&self, key: &str, part: Option<Part>, most: u64, pool: &Pool) -> Result<Option<Buf>, StoreError> {
        let Some((file, bytes)) = self.open(key)? else { return Ok(None) };
        let (at, len) = self.extent(key, part, bytes, most)?;
        let mut value = pool.take_bytes(len as usize);
        self.read(key, file, at, value.bytes_mut())?;
        Ok(Some(value))
    }

    fn part(&self, key: &str, part: Part) -> Result<Option<Vec<u8>>, StoreError> {
        let Some((file, bytes)) = self.open(key)? else { return Ok(None) };
        let (at, len) = self.extent(key, Some(part), bytes, u64::MAX)?;
        let mut value = vec![0; len as usize];
        self.read(key, file, at, &mut value)?;
        Ok(Some(value))
    }

    fn fill(&self, key: &str, buffer: &mut [u8]) -> Result<bool, StoreError> {
        let Some((mut file, bytes)) = self.open(key)? else { return Ok(false) };
        if bytes != buffer.len() as u64 {
            let text = format!("`{key}` has {bytes} bytes, expected {}", buffer.len());
            return Err(corrupt(&self.root, text));
        }
        file.read_exact(buffer).map_err(|e| io(&self.root, &format!("reading `{key}`"), &e))?;
        Ok(true)
    }

    fn has(&self, key: &str) -> Result<bool, StoreError> {
        Ok(match &self.held {
            Some(dir) => rustix::fs::statat(dir, key, AtFlags::empty())
                .is_ok_and(|about| FileType::from_raw_mode(about.st_mode) == FileType::RegularFile),
            None => self.root.join(key).is_file(),
        })
    }

    /// With `sync` the value and its name have reached the disk when this returns.
    fn put(&self, key: &str, value: Cow<'_, [u8]>) -> Result<u64, StoreError> {
        let path = self.root.join(key);
        let partial = partial_name(&path);
        let written = self.try_put(&path, &partial, &value);
        written.map(|()| value.len() as u64).map_err(|e| {
            // A full disk needs the room; what matters is the error that made it of no use.
            let _ = fs::remove_file(&partial);
            io(&self.root, &format!("writing `{key}`"), &e)
        })
    }

    fn remove(&self, key: &str) -> Result<(), StoreError> {
        match fs::remove_file(self.root.join(key)) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(io(&self.root, &format!("removing `{key}`"), &e)),
            _ => Ok(()),
        }
    }

    fn names(&self, most: usize) -> Vec<String> {
        let entries = fs::read_dir(&self.root).into_iter().flatten().take(most).filter_map(Result::ok);
        entries.filter_map(|e| e.file_name().into_string().ok()).collect()
    }
}

/// Makes a directory and those above it; with `sync` their names reach the disk.
fn make(path: &Path, sync: bool) -> std::io::Result<()> {
    if !sync {
        return fs::create_dir_all(path);
    }
    let missing: Vec<&Path> = path.ancestors().take_while(|p| !p.as_os_str().is_empty() && !p.is_dir()).collect();
    for dir in missing.iter().rev() {
        match fs::create_dir(dir) {
            // Another thread was first.
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            other => other?,
        }
        sync_parent(dir)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_went_away_is_not_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("a/b.zarr");
        for sync in [false, true] {
            let keys = Directory::create(&root, sync).unwrap();
            keys.put("c/0/0", b"here".as_slice().into()).unwrap();
            assert_eq!(keys.get("c/0/0", 4).unwrap().as_deref(), Some(b"here".as_slice()));
            fs::remove_dir_all(dir.path().join("a")).unwrap();
            for key in ["c/0/1", "c/1/0", "zarr.json"] {
                let e = keys.put(key, b"gone".as_slice().into()).unwrap_err();
                assert!(matches!(&e, StoreError::Io { kind: ErrorKind::NotFound, .. }), "{e}");
                assert!(e.to_string().contains(&format!("writing `{key}`")), "{e}");
            }
            assert!(!root.exists());
        }
    }
}

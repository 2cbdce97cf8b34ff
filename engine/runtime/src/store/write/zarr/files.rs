//! A directory as a store that is only written: every key under a temporary name first, so that none is ever half there.

use crate::store::StoreError;
use crate::store::read::io;
use crate::store::write::replace::sync_parent;
use crate::store::write::sink::partial_name;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many directories are remembered to be there; asking again costs a system call.
const KNOWN: usize = 1024;

/// The directory.
pub(in crate::store::write) struct Directory {
    root: PathBuf,
    /// Waits for the disk at every key.
    sync: bool,
    /// Directories below the root that are known to be there.
    made: Mutex<BTreeSet<PathBuf>>,
}

impl Directory {
    /// Makes the directory, and those above it.
    pub(in crate::store::write) fn create(root: &Path, sync: bool) -> Result<Directory, StoreError> {
        let store = Directory { root: root.into(), sync, made: Mutex::default() };
        make(root, sync).map_err(|e| io(root, "creating", &e))?;
        Ok(store)
    }

    /// Where it is.
    pub(in crate::store::write) fn root(&self) -> &Path {
        &self.root
    }

    /// Writes the value of a key; gives its bytes. What was there is replaced.
    ///
    /// With `sync` the value and its name have reached the disk when this returns.
    pub(in crate::store::write) fn put(&self, key: &str, value: &[u8]) -> Result<u64, StoreError> {
        let path = self.root.join(key);
        let partial = partial_name(&path);
        let written = self.try_put(&path, &partial, value);
        written.map(|()| value.len() as u64).map_err(|e| {
            // A full disk needs the room; what matters is the error that made it of no use.
            let _ = fs::remove_file(&partial);
            io(&self.root, &format!("writing `{key}`"), &e)
        })
    }

    fn made(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_put(&self, path: &Path, partial: &Path, value: &[u8]) -> std::io::Result<()> {
        let parent = path.parent().unwrap_or(&self.root);
        if !self.made().contains(parent) {
            make(parent, self.sync)?;
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

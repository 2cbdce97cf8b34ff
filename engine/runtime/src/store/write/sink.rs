//! A file that is written piece by piece under a temporary name.

use super::names::partial_name;
use super::replace::give_name;
use crate::store::StoreError;
use crate::store::read::io;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Takes numbered pieces in any order and appends them in order of their numbers.
///
/// Whoever brings the next piece writes it, and what waited for it; the others only leave theirs and go on.
pub(super) struct Sink {
    path: PathBuf,
    partial: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// `None` while someone writes, and after the end.
    file: Option<File>,
    waiting: BTreeMap<u64, Vec<u8>>,
    next: u64,
    /// Length of every piece written so far.
    lengths: Vec<u64>,
    /// Bytes that reached the file and were not told to the caller yet.
    untold: u64,
    failed: Option<StoreError>,
    ended: bool,
}

impl Sink {
    /// Makes the file and writes its head.
    pub(super) fn create(path: &Path, head: &[u8]) -> Result<Sink, StoreError> {
        let partial = partial_name(path);
        let open = fs::OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&partial);
        let mut file = open.map_err(|e| io(&partial, "creating", &e))?;
        file.write_all(head).map_err(|e| io(&partial, "writing", &e))?;
        let state = State { file: Some(file), untold: head.len() as u64, ..State::default() };
        Ok(Sink { path: path.into(), partial, state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves a piece; gives the bytes that reached the file through this call.
    pub(super) fn push(&self, index: u64, bytes: Vec<u8>) -> Result<u64, StoreError> {
        let mut state = self.state();
        state.waiting.insert(index, bytes);
        let mut told = std::mem::take(&mut state.untold);
        loop {
            if let Some(e) = &state.failed {
                return Err(e.clone());
            }
            let next = state.next;
            let Some(mut file) = state.file.take() else { return Ok(told) };
            let Some(piece) = state.waiting.remove(&next) else {
                state.file = Some(file);
                return Ok(told);
            };
            drop(state);
            let written = file.write_all(&piece);
            state = self.state();
            match written {
                Ok(()) => {
                    state.file = Some(file);
                    state.next += 1;
                    state.lengths.push(piece.len() as u64);
                    told += piece.len() as u64;
                }
                Err(e) => state.failed = Some(io(&self.partial, "writing", &e)),
            }
        }
    }

    /// Lengths of the pieces written so far, in order.
    pub(super) fn lengths(&self) -> Vec<u64> {
        self.state().lengths.clone()
    }

    /// Appends a tail, overwrites `patch` bytes at a place, and gives the file its name.
    pub(super) fn finish(&self, tail: &[u8], patch: Option<(u64, &[u8])>, sync: bool) -> Result<u64, StoreError> {
        let mut state = self.state();
        if let Some(e) = &state.failed {
            return Err(e.clone());
        }
        let missing = || StoreError::Io {
            path: self.path.clone(),
            message: "finished twice, or while blocks are being written".into(),
            kind: std::io::ErrorKind::Other,
        };
        let mut file = state.file.take().ok_or_else(missing)?;
        state.ended = true;
        let mut work = || -> std::io::Result<()> {
            file.write_all(tail)?;
            if let Some((at, bytes)) = patch {
                file.seek(SeekFrom::Start(at))?;
                file.write_all(bytes)?;
            }
            if sync { file.sync_all() } else { Ok(()) }
        };
        let completed = work().map_err(|e| io(&self.path, "completing", &e));
        if let Err(e) = completed.and_then(|()| give_name(&self.path, sync)) {
            // The partial file is of no use; what matters is the error that made it so.
            let _ = fs::remove_file(&self.partial);
            return Err(e);
        }
        // What is overwritten was counted when it was written: the sum of all counts is the length of the file.
        Ok(std::mem::take(&mut state.untold) + tail.len() as u64)
    }

    /// Removes the file.
    pub(super) fn abandon(&self) {
        let mut state = self.state();
        if !std::mem::replace(&mut state.ended, true) {
            state.file = None;
            state.waiting.clear();
            // Nothing can be done about a file that can't be removed; its name says that it is partial.
            let _ = fs::remove_file(&self.partial);
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.abandon();
    }
}

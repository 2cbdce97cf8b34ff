//! A directory as a store that is only read: keys are paths below it.

use crate::store::StoreError;
use crate::store::read::{corrupt, io, unsupported};
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// A part of a value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part {
    /// So many bytes from a place.
    At(u64, u64),
    /// So many at the end.
    Last(u64),
}

/// The directory.
#[derive(Debug, Clone)]
pub(super) struct Directory {
    root: PathBuf,
}

impl Directory {
    pub(super) fn new(root: &Path) -> Directory {
        Directory { root: root.into() }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The whole value of a key; `None` when there is none. Refuses one of more than `most` bytes before reading it.
    pub(super) fn get(&self, key: &str, most: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let Some((mut file, bytes)) = self.open(key)? else { return Ok(None) };
        if bytes > most {
            let text = format!("`{key}` has {bytes} bytes, expected at most {most}");
            return Err(corrupt(&self.root, text));
        }
        let mut value = Vec::with_capacity(bytes as usize + 1);
        // A file that grows meanwhile is read no further than it was.
        let read = file.by_ref().take(bytes).read_to_end(&mut value);
        read.map_err(|e| io(&self.root, &format!("reading `{key}`"), &e))?;
        Ok(Some(value))
    }

    /// A part of the value of a key; `None` when there is no such key.
    pub(super) fn part(&self, key: &str, part: Part) -> Result<Option<Vec<u8>>, StoreError> {
        let Some((mut file, bytes)) = self.open(key)? else { return Ok(None) };
        let (at, len) = match part {
            Part::At(at, len) => (at, len),
            Part::Last(len) => (bytes.saturating_sub(len), len),
        };
        if at.checked_add(len).is_none_or(|end| end > bytes) {
            let text = format!("`{key}` has {bytes} bytes, expected {len} from byte {at}: truncated or damaged");
            return Err(corrupt(&self.root, text));
        }
        let mut value = vec![0; len as usize];
        let done = file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(&mut value));
        done.map_err(|e| io(&self.root, &format!("reading `{key}`"), &e))?;
        Ok(Some(value))
    }

    /// Fills a buffer with the value of a key; tells whether there is one.
    pub(super) fn fill(&self, key: &str, buffer: &mut [u8]) -> Result<bool, StoreError> {
        let Some((mut file, bytes)) = self.open(key)? else { return Ok(false) };
        if bytes != buffer.len() as u64 {
            let text = format!("`{key}` has {bytes} bytes, expected {}", buffer.len());
            return Err(corrupt(&self.root, text));
        }
        file.read_exact(buffer).map_err(|e| io(&self.root, &format!("reading `{key}`"), &e))?;
        Ok(true)
    }

    fn open(&self, key: &str) -> Result<Option<(File, u64)>, StoreError> {
        let failed = |e| io(&self.root, &format!("opening `{key}`"), &e);
        let file = match File::open(self.root.join(key)) {
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
}

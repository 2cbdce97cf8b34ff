//! Stores of keys: what the readers and writers of Zarr stand on, whatever the keys lie in.
//!
//! A store is named by its place: a directory, or a URL. Every call blocks until it is done, and takes no more memory
//! than it is told that a value may have.

mod files;
mod unfinished;

pub(crate) use files::Directory;
pub(crate) use unfinished::{MARK, Unfinished, marked};

use super::StoreError;
use engine_model::place;
use ops_core::{Buf, Pool};
use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

/// A part of a value.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part {
    /// So many bytes from a place.
    At(u64, u64),
    /// So many at the end.
    Last(u64),
}

/// Values by their keys, which are paths with `/` below the place of the store. Shared between threads.
pub(crate) trait Keys: Send + Sync {
    /// The place, for messages.
    fn root(&self) -> &Path;

    /// The whole value of a key; `None` when there is none. Refuses one of more than `most` bytes before reading it.
    fn get(&self, key: &str, most: u64) -> Result<Option<Vec<u8>>, StoreError>;

    /// As [`Keys::get`], or a part as [`Keys::part`], in a buffer of a pool where the store can fill one.
    fn take(&self, key: &str, part: Option<Part>, most: u64, pool: &Pool) -> Result<Option<Buf>, StoreError> {
        let _ = pool;
        let value = match part {
            None => self.get(key, most),
            Some(part) => self.part(key, part),
        };
        Ok(value?.map(Buf::adopt))
    }

    /// A part of the value of a key; `None` when there is no such key.
    fn part(&self, key: &str, part: Part) -> Result<Option<Vec<u8>>, StoreError>;

    /// Fills a buffer with the value of a key; tells whether there is one.
    fn fill(&self, key: &str, buffer: &mut [u8]) -> Result<bool, StoreError>;

    /// True where there is such a key.
    fn has(&self, key: &str) -> Result<bool, StoreError>;

    /// Writes the value of a key, as a whole or not at all; gives its bytes. What was there is replaced.
    fn put(&self, key: &str, value: Cow<'_, [u8]>) -> Result<u64, StoreError>;

    /// Removes a key, where there is one.
    fn remove(&self, key: &str) -> Result<(), StoreError>;

    /// Names of what lies right below the place, at most so many; none where that can't be told.
    fn names(&self, most: usize) -> Vec<String>;
}

/// Opens the store at a place for reading, without looking whether there is one.
///
/// # Errors
/// When the place is a URL that can't be reached by this program, or in this environment.
pub(crate) fn open(path: &Path) -> Result<Arc<dyn Keys>, StoreError> {
    if !place::is_remote(path) {
        return Ok(Arc::new(Directory::hold(path)));
    }
    #[cfg(feature = "remote")]
    return Ok(Arc::new(super::remote::Remote::open(path)?));
    #[cfg(not(feature = "remote"))]
    Err(super::read::unsupported(path, "a URL, which this program was built without (feature `remote`)".into()))
}

//! A store that is still being written where it will stay: its metadata waits under one key until all else is there.

use super::{Keys, Part};
use crate::store::StoreError;
use crate::store::read::corrupt;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// The key that says that a store is not complete, and holds what its metadata will be.
pub(crate) const MARK: &str = ".partial";

/// The most bytes it may have.
const LARGEST: u64 = 16 << 20;

/// Metadata documents by their keys.
pub(crate) type Documents = BTreeMap<String, String>;

/// The documents as the value of [`MARK`].
pub(crate) fn marked<K: AsRef<str>>(documents: &[(K, String)]) -> Vec<u8> {
    let map: Documents = documents.iter().map(|(key, text)| (key.as_ref().to_owned(), text.clone())).collect();
    // Text by text is always JSON.
    serde_json::to_vec(&map).unwrap_or_default()
}

/// Reads a store as if its metadata were in place.
pub(crate) struct Unfinished {
    keys: Arc<dyn Keys>,
    documents: Documents,
}

impl Unfinished {
    /// The same store with the metadata that waits, where it does.
    pub(crate) fn of(keys: Arc<dyn Keys>) -> Result<Arc<dyn Keys>, StoreError> {
        let Some(bytes) = keys.get(MARK, LARGEST)? else { return Ok(keys) };
        let documents = serde_json::from_slice(&bytes)
            .map_err(|e| corrupt(keys.root(), format!("`{MARK}` is not what an unfinished store has there: {e}")))?;
        Ok(Arc::new(Unfinished { keys, documents }))
    }
}

impl Keys for Unfinished {
    fn root(&self) -> &Path {
        self.keys.root()
    }

    fn get(&self, key: &str, most: u64) -> Result<Option<Vec<u8>>, StoreError> {
        match self.documents.get(key) {
            Some(text) => Ok(Some(text.clone().into_bytes())),
            None => self.keys.get(key, most),
        }
    }

    fn part(&self, key: &str, part: Part) -> Result<Option<Vec<u8>>, StoreError> {
        self.keys.part(key, part)
    }

    fn fill(&self, key: &str, buffer: &mut [u8]) -> Result<bool, StoreError> {
        self.keys.fill(key, buffer)
    }

    /// What waits is there as long as the mark is, or what it stands for is in place.
    fn has(&self, key: &str) -> Result<bool, StoreError> {
        Ok((self.documents.contains_key(key) && self.keys.has(MARK)?) || self.keys.has(key)?)
    }

    fn put(&self, key: &str, value: Cow<'_, [u8]>) -> Result<u64, StoreError> {
        self.keys.put(key, value)
    }

    fn remove(&self, key: &str) -> Result<(), StoreError> {
        self.keys.remove(key)
    }

    fn names(&self, most: usize) -> Vec<String> {
        self.keys.names(most)
    }
}

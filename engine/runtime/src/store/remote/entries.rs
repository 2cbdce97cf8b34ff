//! What only stores behind a URL are asked: the state of a key, lists of keys, writing on a condition, removing.

use super::attempt::attempt;
use super::trouble::Why;
use super::{Key, Remote};
use crate::store::StoreError;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, UpdateVersion};
use std::io::ErrorKind;
use std::sync::Arc;

/// Keys that are listed, or removed, together.
const TOGETHER: usize = 1000;

/// The state of a key: it has another one after every write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Its length in bytes.
    pub(crate) bytes: u64,
    /// What the server calls this version, or the time of its last change where it calls it nothing.
    pub(crate) version: String,
    /// Seconds since 1970 when it was last changed, by the server's clock.
    pub(crate) changed: u64,
}

/// On which condition a key is written.
#[derive(Debug, Clone)]
pub(crate) enum Put {
    /// On none.
    Over,
    /// There is no such key.
    New,
    /// The key is in this state.
    In(Stamp),
}

fn stamp(meta: &ObjectMeta) -> Stamp {
    let version = meta.e_tag.clone().unwrap_or_else(|| meta.last_modified.timestamp_millis().to_string());
    let changed = u64::try_from(meta.last_modified.timestamp()).unwrap_or(0);
    Stamp { bytes: meta.size, version, changed }
}

impl Remote {
    /// The state of a key; `None` when there is none.
    pub(crate) fn stamp(&self, key: &str) -> Result<Option<Stamp>, StoreError> {
        let name = self.key(key)?;
        let head = attempt(&self.behind, move |store: Arc<dyn ObjectStore>| {
            let name = name.clone();
            async move { store.head(&name).await }
        });
        match head {
            Ok(meta) => Ok(Some(stamp(&meta))),
            Err(trouble) if trouble.why == Why::Absent => Ok(None),
            Err(trouble) => Err(self.failed("looking for", key, trouble)),
        }
    }

    /// Writes a key; gives its state, or `None` where the condition does not hold.
    ///
    /// A write whose answer was lost is tried again, and then finds its own value: who sets a condition has to look.
    pub(crate) fn write(&self, key: &str, value: Vec<u8>, on: Put) -> Result<Option<String>, StoreError> {
        let (name, value) = (self.key(key)?, Bytes::from(value));
        let put = attempt(&self.behind, move |store: Arc<dyn ObjectStore>| {
            let mode = match &on {
                Put::Over => PutMode::Overwrite,
                Put::New => PutMode::Create,
                Put::In(s) => PutMode::Update(UpdateVersion { e_tag: Some(s.version.clone()), version: None }),
            };
            let (name, payload) = (name.clone(), PutPayload::from_bytes(value.clone()));
            async move { store.put_opts(&name, payload, PutOptions { mode, ..PutOptions::default() }).await }
        });
        match put {
            Ok(put) => Ok(Some(put.e_tag.unwrap_or_default())),
            Err(trouble) if trouble.why == Why::Condition => Ok(None),
            Err(trouble) => Err(self.failed("writing", key, trouble)),
        }
    }

    pub(super) fn remove_all(&self, key: &str, names: Vec<Key>) -> Result<(), StoreError> {
        let removed = attempt(&self.behind, move |store: Arc<dyn ObjectStore>| {
            let names = names.clone();
            async move {
                let names = futures_util::stream::iter(names.into_iter().map(Ok)).boxed();
                // One that is gone already is no trouble.
                let gone = |e: object_store::Error| match e {
                    object_store::Error::NotFound { .. } => Ok(()),
                    other => Err(other),
                };
                store.delete_stream(names).map(|r| r.map(|_| ()).or_else(gone)).try_collect::<()>().await
            }
        });
        removed.map_err(|trouble| self.failed("removing", key, trouble))
    }

    /// Tells of every key below a prefix, in order of their names, until `tell` says that it is enough.
    pub(crate) fn list(&self, below: &str, mut tell: impl FnMut(&str, Stamp) -> bool) -> Result<(), StoreError> {
        let (prefix, root) = (self.key(below)?, self.key("")?);
        let strip = if root.as_ref().is_empty() { 0 } else { root.as_ref().len() + 1 };
        let mut after: Option<Key> = None;
        loop {
            let (prefix, from) = (prefix.clone(), after.clone());
            let page = attempt(&self.behind, move |store: Arc<dyn ObjectStore>| {
                let listed = match &from {
                    Some(from) => store.list_with_offset(Some(&prefix), from),
                    None => store.list(Some(&prefix)),
                };
                listed.take(TOGETHER).try_collect::<Vec<ObjectMeta>>()
            });
            let page = page.map_err(|trouble| self.failed("listing", below, trouble))?;
            for meta in &page {
                let name = meta.location.as_ref();
                if !tell(name.get(strip..).unwrap_or(name), stamp(meta)) {
                    return Ok(());
                }
            }
            match page.last() {
                Some(last) if page.len() == TOGETHER => after = Some(last.location.clone()),
                _ => return Ok(()),
            }
        }
    }

    /// Digests the state of all keys, or of those that hold metadata where keys can't be listed.
    pub(crate) fn state(&self, digest: &mut blake3::Hasher) -> Result<(), StoreError> {
        let mut add = |key: &str, s: Stamp| {
            digest.update(key.as_bytes()).update(&[0]);
            digest.update(&s.bytes.to_le_bytes()).update(s.version.as_bytes()).update(&[0]);
            true
        };
        if self.behind.lists {
            return self.list("", add);
        }
        for key in ["zarr.json", ".zarray", ".zgroup", ".zattrs"] {
            if let Some(s) = self.stamp(key)? {
                add(key, s);
            }
        }
        Ok(())
    }

    /// Removes every key below a prefix but those that `keep` tells.
    pub(crate) fn clear(&self, below: &str, keep: impl Fn(&str) -> bool) -> Result<(), StoreError> {
        let mut before = String::new();
        loop {
            let mut found = Vec::new();
            self.list(below, |key, _| {
                if !keep(key) {
                    found.push(key.to_owned());
                }
                found.len() < TOGETHER
            })?;
            let Some(first) = found.first() else { return Ok(()) };
            if *first == before {
                let text = format!("removing `{first}` failed: the server says that it is gone, and lists it");
                return Err(StoreError::Io { path: self.root.clone(), message: text, kind: ErrorKind::Other });
            }
            before.clone_from(first);
            let names: Result<Vec<Key>, StoreError> = found.iter().map(|key| self.key(key)).collect();
            self.remove_all(below, names?)?;
        }
    }
}

//! Stores behind S3 and HTTP, and in memory.
//!
//! `object_store` speaks the protocols; when a request is tried again, how long it may take and how much of an answer is
//! read is decided here ([`attempt`]), and so is what an error is called ([`trouble`]). Requests run on one small tokio
//! runtime; whoever asks waits for the answer, so that everything else stays blocking and bounded.

mod attempt;
mod connect;
mod entries;
mod http;
mod trouble;

pub(crate) use connect::tls;
pub(crate) use entries::{Put, Stamp};
pub(crate) use trouble::Why;

use super::StoreError;
use super::keys::{Keys, Part};
use super::read::{corrupt, unsupported};
use attempt::{attempt, collect};
use bytes::Bytes;
use connect::Behind;
use object_store::path::Path as Key;
use object_store::{GetOptions, GetRange, ObjectStore};
use std::borrow::Cow;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use trouble::Trouble;

/// A store behind a URL.
#[derive(Debug, Clone)]
pub(crate) struct Remote {
    /// The URL.
    root: PathBuf,
    behind: Behind,
}

impl Remote {
    /// The store at a URL, without asking for anything there.
    pub(crate) fn open(path: &Path) -> Result<Remote, StoreError> {
        let text = path.to_str().unwrap_or_default();
        let behind = connect::to(text).map_err(|message| unsupported(path, message))?;
        Ok(Remote { root: path.into(), behind })
    }

    /// The same, which tries nothing again.
    pub(crate) fn hurried(&self) -> Remote {
        Remote { behind: Behind { patient: false, ..self.behind.clone() }, ..self.clone() }
    }

    /// The name of a key in what is behind.
    fn key(&self, key: &str) -> Result<Key, StoreError> {
        let joined = match (self.behind.prefix.as_str(), key) {
            ("", key) => key.to_owned(),
            (prefix, "") => prefix.to_owned(),
            (prefix, key) => format!("{prefix}/{key}"),
        };
        let parsed = if self.behind.escaped { Key::from_url_path(&joined) } else { Key::parse(&joined) };
        parsed.map_err(|e| unsupported(&self.root, format!("`{key}` can't be the name of a key: {e}")))
    }

    fn failed(&self, doing: &str, key: &str, trouble: Trouble) -> StoreError {
        trouble.told(&self.root, &if key.is_empty() { doing.to_owned() } else { format!("{doing} `{key}`") })
    }

    /// Asks for a value, or a part of one; gives its pieces, or `None` where there is no such key.
    fn fetch(&self, key: &str, range: Option<GetRange>, most: u64) -> Result<Option<Vec<Bytes>>, StoreError> {
        let name = self.key(key)?;
        let got = attempt(&self.behind, move |store: Arc<dyn ObjectStore>| {
            let options = GetOptions { range: range.clone(), ..GetOptions::default() };
            let name = name.clone();
            async move { collect(store.get_opts(&name, options).await?, most).await }
        });
        match got {
            Ok(pieces) => Ok(Some(pieces)),
            Err(trouble) if trouble.why == Why::Absent => Ok(None),
            Err(trouble) => Err(self.failed("reading", key, trouble)),
        }
    }
}

impl Keys for Remote {
    fn root(&self) -> &Path {
        &self.root
    }

    fn get(&self, key: &str, most: u64) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.fetch(key, None, most)?.map(|pieces| pieces.concat()))
    }

    fn part(&self, key: &str, part: Part) -> Result<Option<Vec<u8>>, StoreError> {
        let (range, len) = match part {
            Part::At(at, len) => (at.checked_add(len).map(|end| GetRange::Bounded(at..end)), len),
            Part::Last(len) => (Some(GetRange::Suffix(len)), len),
        };
        let short = |found: String| {
            let from = if let Part::At(at, _) = part { format!("from byte {at}") } else { "at its end".into() };
            corrupt(&self.root, format!("`{key}` has {found}, expected {len} bytes {from}: truncated or damaged"))
        };
        if len == 0 {
            return Ok(self.has(key)?.then(Vec::new));
        }
        let Some(pieces) = self.fetch(key, Some(range.ok_or_else(|| short("no such bytes".into()))?), len)? else {
            return Ok(None);
        };
        let value = pieces.concat();
        if value.len() as u64 == len { Ok(Some(value)) } else { Err(short(format!("{} of them", value.len()))) }
    }

    fn fill(&self, key: &str, buffer: &mut [u8]) -> Result<bool, StoreError> {
        let Some(pieces) = self.fetch(key, None, buffer.len() as u64)? else { return Ok(false) };
        let bytes: usize = pieces.iter().map(Bytes::len).sum();
        if bytes != buffer.len() {
            return Err(corrupt(&self.root, format!("`{key}` has {bytes} bytes, expected {}", buffer.len())));
        }
        let mut at = 0;
        for piece in pieces {
            buffer[at..at + piece.len()].copy_from_slice(&piece);
            at += piece.len();
        }
        Ok(true)
    }

    fn has(&self, key: &str) -> Result<bool, StoreError> {
        Ok(self.stamp(key)?.is_some())
    }

    fn put(&self, key: &str, value: Cow<'_, [u8]>) -> Result<u64, StoreError> {
        let bytes = value.len() as u64;
        match self.write(key, value.into_owned(), Put::Over)? {
            Some(_) => Ok(bytes),
            None => {
                let message = format!("writing `{key}` failed: the server says that someone else writes it");
                Err(StoreError::Io { path: self.root.clone(), message, kind: ErrorKind::AlreadyExists })
            }
        }
    }

    fn remove(&self, key: &str) -> Result<(), StoreError> {
        self.remove_all(key, vec![self.key(key)?])
    }

    fn names(&self, most: usize) -> Vec<String> {
        if !self.behind.lists {
            return Vec::new();
        }
        let Ok(prefix) = self.key("") else { return Vec::new() };
        let listed = attempt(&self.behind, move |store: Arc<dyn ObjectStore>| {
            let prefix = prefix.clone();
            async move { store.list_with_delimiter(Some(&prefix)).await }
        });
        // They serve a message, which does without.
        let below = listed.map(|l| l.common_prefixes).unwrap_or_default();
        below.iter().take(most).filter_map(|p| p.filename().map(str::to_owned)).collect()
    }
}

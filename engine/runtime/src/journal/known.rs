//! What a journal tells, read once: small, since packed partials stay in the file until they are asked for.

use super::entry::{self, Entry, FRAME, MAGIC};
use super::{Key, Ranges};
use crate::store::write::location;
use engine_model::place;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The place of a packed partial in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    /// Where its record starts.
    at: u64,
}

/// What is there of an output.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stored {
    /// Where it was begun.
    pub path: PathBuf,
    /// The blocks in its store.
    pub blocks: Ranges,
}

/// A complete output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completed {
    /// The file or store.
    pub path: PathBuf,
    /// Bytes it took.
    pub bytes: u64,
    /// Whether it is there, as a server said when it was asked first.
    asked: OnceLock<bool>,
}

/// What was done before.
#[derive(Debug, Default)]
pub struct Known {
    path: PathBuf,
    /// Outputs begun and not complete.
    stored: BTreeMap<Key, Stored>,
    complete: BTreeMap<Key, Completed>,
    partials: BTreeMap<Key, BTreeMap<u64, Place>>,
    /// What each path holds, complete or not.
    holds: BTreeMap<PathBuf, Key>,
}

impl Known {
    /// Nothing was done before.
    pub(super) fn empty(path: &Path) -> Known {
        Known { path: std::path::absolute(path).unwrap_or_else(|_| path.into()), ..Known::default() }
    }

    /// The run directory: the journal lies in its `Reports`.
    pub(super) fn root(&self) -> Option<&Path> {
        self.path.parent().and_then(Path::parent)
    }

    /// Reads a journal up to its end or the first record that is not whole; also gives the length of what was read: 0 where
    /// not even its beginning is whole.
    pub(super) fn read(path: &Path, file: &mut File) -> io::Result<(Known, u64)> {
        let mut from = BufReader::with_capacity(1 << 18, file);
        let mut magic = Vec::with_capacity(MAGIC.len());
        from.by_ref().take(MAGIC.len() as u64).read_to_end(&mut magic)?;
        if magic.len() < MAGIC.len() && MAGIC.starts_with(&magic) {
            // A kill while it was made.
            return Ok((Known::empty(path), 0));
        }
        if magic != MAGIC {
            let text = format!("expected a journal of this version, found another file: {}", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        let mut known = Known::empty(path);
        let (mut at, mut buffer) = (MAGIC.len() as u64, Vec::new());
        while let Some(entry) = next(&mut from, &mut buffer)? {
            known.take(entry, Place { at });
            at += (FRAME + buffer.len()) as u64;
        }
        Ok((known, at))
    }

    fn take(&mut self, entry: Entry, place: Place) {
        match entry {
            Entry::Begun { key, path } => {
                self.replaced(&path);
                self.holds.insert(path.clone(), key);
                self.stored.insert(key, Stored { path, blocks: Ranges::default() });
            }
            Entry::Written { key, block } => {
                if let Some(stored) = self.stored.get_mut(&key) {
                    stored.blocks.insert(block);
                }
            }
            Entry::Partial { key, block, .. } => {
                self.partials.entry(key).or_default().insert(block, place);
            }
            Entry::Complete { key, path, bytes } => {
                self.replaced(&path);
                self.holds.insert(path.clone(), key);
                self.complete.insert(key, Completed { path, bytes, asked: OnceLock::new() });
            }
        }
    }

    /// Forgets what stood at a path.
    fn replaced(&mut self, path: &Path) {
        if let Some(before) = self.holds.remove(path) {
            self.stored.remove(&before);
            self.complete.remove(&before);
        }
    }

    /// True where nothing was done before.
    pub fn is_empty(&self) -> bool {
        self.holds.is_empty() && self.partials.is_empty()
    }

    /// What is there of an output that is not complete.
    pub fn stored(&self, key: &Key) -> Option<&Stored> {
        self.stored.get(key)
    }

    /// An output that is complete and still there.
    pub fn complete(&self, key: &Key) -> Option<&Completed> {
        // A path that is absolute replaces what it is joined to.
        let there = |path: &Path| self.root().is_some_and(|root| location(&place::join_path(root, path)).is_some());
        self.complete.get(key).filter(|c| match place::is_remote(&c.path) {
            true => *c.asked.get_or_init(|| there(&c.path)),
            false => there(&c.path),
        })
    }

    /// True where something was written to the path, or was begun to be.
    pub fn holds(&self, path: &Path) -> bool {
        self.holds.contains_key(path)
    }

    /// True where something else than this was written to the path, or was begun to be.
    pub fn holds_other(&self, path: &Path, keys: [&Key; 2]) -> bool {
        self.holds.get(path).is_some_and(|k| !keys.contains(&k))
    }

    /// The blocks whose partials are there.
    pub fn partials(&self, key: &Key) -> impl Iterator<Item = u64> + '_ {
        self.partials.get(key).into_iter().flat_map(|p| p.keys().copied())
    }

    /// True where a block's partial is there.
    pub fn has_partial(&self, key: &Key, block: u64) -> bool {
        self.partials.get(key).is_some_and(|p| p.contains_key(&block))
    }

    /// Reads the packed partials of a reduction, block by block.
    ///
    /// # Errors
    /// When the journal can't be read any more.
    pub fn each_partial(&self, key: &Key, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let places = self.partials.get(key).into_iter().flat_map(|p| p.values());
        let mut file = None;
        let mut buffer = Vec::new();
        for place in places {
            let file = match &mut file {
                Some(f) => f,
                None => file.insert(BufReader::new(File::open(&self.path)?)),
            };
            file.seek(SeekFrom::Start(place.at))?;
            match next(file, &mut buffer)? {
                Some(Entry::Partial { bytes, .. }) => take(&bytes)?,
                _ => return Err(io::Error::new(io::ErrorKind::InvalidData, "the journal changed while it was read")),
            }
        }
        Ok(())
    }
}

/// The next whole record; `None` at the end, or where the rest is torn or damaged.
fn next(from: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<Option<Entry>> {
    let mut frame = [0; FRAME];
    if !filled(from, &mut frame)? {
        return Ok(None);
    }
    let Some((len, checksum)) = entry::announced(frame) else { return Ok(None) };
    buffer.clear();
    // Grows as it is read: a damaged length costs no memory.
    let whole = from.take(len as u64).read_to_end(buffer)? == len && crc32fast::hash(buffer) == checksum;
    Ok(if whole { postcard::from_bytes(buffer).ok() } else { None })
}

/// Fills a buffer; false where the file ends before it is full.
fn filled(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match from.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(e) => Err(e),
    }
}

//! What a journal tells, read once: small, since packed partials stay in the file until they are asked for.

use super::entry::{self, Entry, FRAME, MAGIC};
use super::{Key, Ranges};
use crate::store::read::Chunks;
use crate::store::write::{left, location};
use engine_model::place;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Where a record starts in the journal: what comes later was told later.
pub type Place = u64;

/// What is there of an output.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stored {
    /// Where it was begun.
    pub path: PathBuf,
    /// The blocks in its store, by the last time before that an input was looked at.
    pub blocks: Vec<(Place, Ranges)>,
    /// The whole output, where it was complete then.
    complete: Option<Key>,
}

impl Stored {
    /// True for a block that is in the store.
    pub fn contains(&self, block: u64) -> bool {
        self.blocks.iter().any(|(_, b)| b.contains(block))
    }

    /// How many blocks below `limit` are in the store.
    pub fn count_below(&self, limit: u64) -> u64 {
        match self.blocks.as_slice() {
            [] => 0,
            [(_, one)] => one.count_below(limit),
            _ => self.iter().take_while(|b| *b < limit).count() as u64,
        }
    }

    /// The blocks in the store, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        let mut parts: Vec<_> = self.blocks.iter().map(|(_, b)| b.iter().peekable()).collect();
        std::iter::from_fn(move || {
            let least = parts.iter_mut().filter_map(|p| p.peek().copied()).min()?;
            for part in &mut parts {
                part.next_if_eq(&least);
            }
            Some(least)
        })
    }
}

/// A complete output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completed {
    /// The file or store.
    pub path: PathBuf,
    /// Bytes it took.
    pub bytes: u64,
    /// When that was told.
    pub at: Place,
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
    /// The blocks of complete outputs.
    blocks_of: BTreeMap<Key, Key>,
    /// When each input was looked at.
    sources: BTreeMap<Key, Vec<Place>>,
    /// When any was, last.
    looked: Place,
    /// State and content of each file that was read, last.
    files: BTreeMap<Key, (Key, Key)>,
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
            known.take(entry, at);
            at += (FRAME + buffer.len()) as u64;
        }
        Ok((known, at))
    }

    fn take(&mut self, entry: Entry, place: Place) {
        match entry {
            Entry::Begun { key, path } => {
                self.replaced(&path);
                self.holds.insert(path.clone(), key);
                self.stored.insert(key, Stored { path, ..Stored::default() });
            }
            Entry::Written { key, block } => {
                if let Some(stored) = self.stored.get_mut(&key) {
                    match stored.blocks.last_mut() {
                        Some((at, blocks)) if *at == self.looked => blocks.insert(block),
                        _ => {
                            let mut blocks = Ranges::default();
                            blocks.insert(block);
                            stored.blocks.push((self.looked, blocks));
                        }
                    }
                }
            }
            Entry::Partial { key, block, .. } => {
                self.partials.entry(key).or_default().insert(block, place);
            }
            Entry::File { key, state, content } => {
                self.files.insert(key, (state, content));
            }
            Entry::Source { key, .. } => {
                self.sources.entry(key).or_default().push(place);
                self.looked = place;
            }
            Entry::Complete { key, path, bytes } => {
                let held = self.holds.get(&path).map(|k| *self.blocks_of.get(k).unwrap_or(k));
                let blocks = held.and_then(|k| self.stored.remove_entry(&k));
                self.replaced(&path);
                // What was made from chunks that have changed since is to be told from the rest.
                if let Some((blocks, stored)) = blocks.filter(|_| !self.sources.is_empty()) {
                    self.stored.insert(blocks, Stored { complete: Some(key), ..stored });
                    self.blocks_of.insert(key, blocks);
                }
                self.holds.insert(path.clone(), key);
                self.complete.insert(key, Completed { path, bytes, at: place, asked: OnceLock::new() });
            }
        }
    }

    /// Forgets what stood at a path.
    fn replaced(&mut self, path: &Path) {
        if let Some(before) = self.holds.remove(path) {
            self.stored.remove(&before);
            self.complete.remove(&before);
            if let Some(blocks) = self.blocks_of.remove(&before) {
                self.stored.remove(&blocks);
            }
        }
    }

    /// True where nothing was done before.
    pub fn is_empty(&self) -> bool {
        self.holds.is_empty() && self.partials.is_empty()
    }

    /// The state that a file had when it was read last, and the digest of what it held.
    pub fn file(&self, key: &Key) -> Option<(Key, Key)> {
        self.files.get(key).copied()
    }

    /// The blocks that are there of an output; of one that was complete only while its store is, under whichever name.
    pub fn stored(&self, key: &Key) -> Option<&Stored> {
        let there = |s: &&Stored| match s.complete {
            Some(whole) if place::is_remote(&s.path) => self.complete(&whole).is_some(),
            Some(_) => self.root().is_some_and(|root| left(&place::join_path(root, &s.path)).exists()),
            None => true,
        };
        self.stored.get(key).filter(there)
    }

    /// When an input was looked at, in the order of time.
    pub fn looks(&self, source: &Key) -> &[Place] {
        self.sources.get(source).map_or(&[], Vec::as_slice)
    }

    /// What an input looked like at one of these times.
    ///
    /// # Errors
    /// When the journal can't be read any more.
    pub fn source(&self, at: Place) -> io::Result<Chunks> {
        let mut file = BufReader::new(File::open(&self.path)?);
        file.seek(SeekFrom::Start(at))?;
        match next(&mut file, &mut Vec::new())? {
            Some(Entry::Source { chunks, .. }) => Ok(chunks),
            _ => Err(changed()),
        }
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

    /// The blocks whose partials are there, and when each was told.
    pub fn partials(&self, key: &Key) -> impl Iterator<Item = (u64, Place)> + '_ {
        self.partials.get(key).into_iter().flat_map(|p| p.iter().map(|(block, at)| (*block, *at)))
    }

    /// True where a block's partial is there.
    pub fn has_partial(&self, key: &Key, block: u64) -> bool {
        self.partials.get(key).is_some_and(|p| p.contains_key(&block))
    }

    /// Reads the packed partials of a reduction, of the blocks that are wanted.
    ///
    /// # Errors
    /// When the journal can't be read any more.
    pub fn each_partial(
        &self,
        key: &Key,
        wanted: impl Fn(u64) -> bool,
        mut take: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let places = self.partials(key).filter(|(block, _)| wanted(*block)).map(|(_, at)| at);
        let mut file = None;
        let mut buffer = Vec::new();
        for place in places {
            let file = match &mut file {
                Some(f) => f,
                None => file.insert(BufReader::new(File::open(&self.path)?)),
            };
            file.seek(SeekFrom::Start(place))?;
            match next(file, &mut buffer)? {
                Some(Entry::Partial { bytes, .. }) => take(&bytes)?,
                _ => return Err(changed()),
            }
        }
        Ok(())
    }
}

fn changed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the journal changed while it was read")
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

//! Writing Zarr v3 and v2: what the metadata says, in which keys, with which codecs.
//!
//! The store is made beside its final name and renamed when complete. Every block has to cover whole chunks, or whole
//! shards where there are any (cut at the end of the array), so that no key is ever written by two. Units that hold
//! nothing but the fill value have no key.

mod encode;
pub(super) mod files;
mod layout;
pub(super) mod metadata;

use super::WriteOptions;
use super::replace::give_name;
use super::sink::partial_name;
use crate::store::read::{corrupt, io, unsupported};
use crate::store::{ArrayWriter, StoreError};
use encode::{Encoder, Scratch};
use files::Directory;
use layout::Layout;
use ops_core::block::for_rows;
use ops_core::{ArrayMeta, Block};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

struct ZarrWriter {
    path: PathBuf,
    layout: Layout,
    encoder: Encoder,
    store: Directory,
    sync: bool,
    /// Elements written so far, those that need no key among them.
    written: AtomicU64,
    /// Bytes that reached storage and were not told yet.
    untold: AtomicU64,
    ended: AtomicBool,
}

/// A writer of a new Zarr array.
pub(super) fn create(
    path: &Path,
    meta: &ArrayMeta,
    options: &WriteOptions,
) -> Result<Box<dyn ArrayWriter>, StoreError> {
    let layout = Layout::new(path, meta, options)?;
    let partial = partial_name(path);
    let documents = metadata::array(&layout);
    let same = |root: &Path| {
        let is = |(key, text): &(&str, String)| fs::read(root.join(key)).is_ok_and(|old| old == text.as_bytes());
        documents.iter().all(is)
    };
    let mut untold = 0;
    if options.resume {
        // A run may have been killed after it gave the store its name, and before it could tell so.
        let named = !partial.exists() && same(path);
        if named {
            fs::rename(path, &partial).map_err(|e| io(path, "taking up", &e))?;
        } else if !same(&partial) {
            let text = "expected the part of the array that an earlier run left, found another or none";
            return Err(corrupt(&partial, format!("{text}; remove the run's Reports/journal to begin afresh")));
        }
    } else if partial.exists() {
        // What a run that was killed has left.
        fs::remove_dir_all(&partial).map_err(|e| io(&partial, "removing", &e))?;
    }
    let store = Directory::create(&partial, options.sync)?;
    if !options.resume {
        for (key, text) in &documents {
            untold += store.put(key, text.as_bytes())?;
        }
    }
    Ok(Box::new(ZarrWriter {
        path: path.into(),
        encoder: Encoder::new(layout.clone()),
        layout,
        store,
        sync: options.sync,
        written: AtomicU64::new(0),
        untold: AtomicU64::new(untold),
        ended: AtomicBool::new(false),
    }))
}

impl ArrayWriter for ZarrWriter {
    fn write(&self, block: &Block) -> Result<u64, StoreError> {
        let (region, whole) = (block.region(), self.layout.meta.region());
        if block.dtype() != self.layout.dtype() || region.rank() != whole.rank() || !whole.contains(region) {
            let expected = self.layout.dtype();
            let text = format!("a block of {} at {region}, expected {expected} in {whole}", block.dtype());
            return Err(unsupported(&self.path, text));
        }
        if !self.layout.covers_units(region) {
            let what = if self.layout.shard.is_some() { "shards" } else { "chunks" };
            return Err(unsupported(&self.path, format!("the block {region} cuts {what} of {:?}", self.layout.unit())));
        }
        let units = self.layout.units(region);
        let mut result = Ok(self.untold.swap(0, Ordering::Relaxed));
        let mut scratch = Scratch::default();
        let last = units.rank().saturating_sub(1);
        let mut number = units.lo.clone();
        for_rows(&units, |row| {
            number.copy_from_slice(row);
            for along in units.lo[last]..units.hi[last] {
                number[last] = along;
                if let Ok(bytes) = &mut result {
                    match self.write_unit(&number, block, &mut scratch) {
                        Ok(more) => *bytes += more,
                        Err(e) => result = Err(e),
                    }
                }
            }
        });
        if result.is_ok() {
            self.written.fetch_add(region.volume(), Ordering::Relaxed);
        }
        result
    }

    fn finish(&self) -> Result<u64, StoreError> {
        let (done, all) = (self.written.load(Ordering::Relaxed), self.layout.meta.volume());
        if done != all {
            self.abandon();
            return Err(unsupported(&self.path, format!("{done} of {all} elements were written")));
        }
        if self.ended.swap(true, Ordering::Relaxed) {
            return Err(unsupported(&self.path, "finished twice".into()));
        }
        give_name(self.store.root(), &self.path, self.sync)?;
        Ok(self.untold.swap(0, Ordering::Relaxed))
    }

    fn resumable(&self) -> bool {
        true
    }

    fn resumed(&self, elements: u64) {
        self.written.fetch_add(elements, Ordering::Relaxed);
    }

    fn suspend(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    fn abandon(&self) {
        if !self.ended.swap(true, Ordering::Relaxed) {
            // Nothing can be done about a store that can't be removed; its name says that it is partial.
            let _ = fs::remove_dir_all(self.store.root());
        }
    }
}

impl Drop for ZarrWriter {
    fn drop(&mut self) {
        self.abandon();
    }
}

impl ZarrWriter {
    /// Writes one chunk or shard; gives the bytes that reached storage.
    fn write_unit(&self, number: &[i64], block: &Block, scratch: &mut Scratch) -> Result<u64, StoreError> {
        let value = self.encoder.unit(number, block, scratch);
        let what = if self.layout.shard.is_some() { "shard" } else { "chunk" };
        let value = value.map_err(|e| unsupported(&self.path, format!("encoding {what} {number:?} failed: {e}")))?;
        match value {
            None => Ok(0),
            Some(value) => self.store.put(&self.layout.key(number), &value),
        }
    }
}

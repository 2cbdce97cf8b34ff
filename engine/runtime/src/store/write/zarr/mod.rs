//! Writing Zarr v3 and v2: what the metadata says, in which keys, with which codecs.
//!
//! A store is made so that it does not look complete before it is. Every block has to cover whole chunks, or whole
//! shards where there are any (cut at the end of the array), so that no key is ever written by two. Units that hold
//! nothing but the fill value have no key.

mod compress;
mod encode;
mod layout;
mod making;
pub(super) mod metadata;
pub(super) mod zstandard;

use super::WriteOptions;
use crate::store::read::unsupported;
use crate::store::{ArrayWriter, StoreError};
use encode::{Encoder, Scratch};
use layout::Layout;
use ops_core::block::for_rows;
use ops_core::{ArrayMeta, Block};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

#[cfg(feature = "remote")]
pub(in crate::store::write) use making::went_away;
pub(in crate::store::write) use making::{Documents, Making, another};

struct ZarrWriter {
    path: PathBuf,
    layout: Layout,
    encoder: Encoder,
    store: Box<dyn Making>,
    /// Elements written so far, those that need no key among them.
    written: AtomicU64,
    /// Bytes that reached storage and were not told yet.
    untold: AtomicU64,
    /// It goes on with what an earlier writer has left.
    resumed: AtomicBool,
    ended: AtomicBool,
}

/// A writer of a new Zarr array.
pub(super) fn create(
    path: &Path,
    meta: &ArrayMeta,
    options: &WriteOptions,
) -> Result<Box<dyn ArrayWriter>, StoreError> {
    let layout = Layout::new(path, meta, options)?;
    let encoder =
        Encoder::new(layout.clone(), engine_model::place::is_remote(path)).map_err(|e| unsupported(path, e))?;
    let (store, untold) = making::begin(path, metadata::array(&layout), options)?;
    Ok(Box::new(ZarrWriter {
        path: path.into(),
        encoder,
        layout,
        store,
        written: AtomicU64::new(0),
        untold: AtomicU64::new(untold),
        resumed: AtomicBool::new(false),
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
        Ok(self.store.complete()? + self.untold.swap(0, Ordering::Relaxed))
    }

    fn resumable(&self) -> bool {
        true
    }

    fn resumed(&self, elements: u64) {
        self.written.fetch_add(elements, Ordering::Relaxed);
        self.resumed.store(elements > 0, Ordering::Relaxed);
    }

    fn suspend(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    fn abandon(&self) {
        if !self.ended.swap(true, Ordering::Relaxed) {
            self.store.remove();
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
            // What was made before of what has changed since may be there.
            None if self.resumed.load(Ordering::Relaxed) => {
                self.store.keys().remove(&self.layout.key(number)).map(|()| 0)
            }
            None => Ok(0),
            Some(value) => self.store.keys().put(&self.layout.key(number), value),
        }
    }
}

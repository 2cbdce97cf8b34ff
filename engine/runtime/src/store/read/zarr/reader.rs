//! Regions of an array, put together from decoded chunks.

use super::corrupt;
use super::header::Header;
use super::shard::{self, Index};
use crate::store::keys::{Keys, Part};
use crate::store::read::tile_cache::TileCache;
use crate::store::read::{inside, lower};
use crate::store::{ArrayReader, StoreError};
use ops_core::block::for_rows;
use ops_core::{ArrayMeta, Block, Pool, Region};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A decoded chunk, or chunk of a shard.
enum Unit {
    /// Its elements; it may reach beyond the array.
    Elements(Block),
    /// It is not stored: every element has the fill value.
    Absent,
}

/// What an absent chunk takes in the cache.
const ABSENT: u64 = 128;

/// An open array.
pub(super) struct ZarrReader {
    path: PathBuf,
    store: Arc<dyn Keys>,
    header: Header,
    meta: ArrayMeta,
    units: TileCache<Unit>,
    indices: TileCache<Option<Index>>,
}

impl ZarrReader {
    pub(super) fn new(store: Arc<dyn Keys>, header: Header, meta: ArrayMeta, cache: u64) -> ZarrReader {
        let indices = TileCache::new(header.shards.as_ref().map_or(0, |s| s.cache_bytes(&header.shape)));
        let path = store.root().to_path_buf();
        ZarrReader { store, path, header, meta, units: TileCache::new(cache), indices }
    }

    /// The place of a unit in the array.
    fn region(&self, unit: &[u64]) -> Region {
        let lo: ops_core::Index = unit.iter().zip(&self.header.unit).map(|(i, n)| (i * n) as i64).collect();
        let hi: ops_core::Index = lo.iter().zip(&self.header.unit).map(|(l, n)| l + *n as i64).collect();
        Region::new(lo, hi)
    }

    /// A unit, from the cache or decoded.
    fn unit(&self, unit: &[u64], pool: &Pool, read: &AtomicU64) -> Result<Arc<Unit>, StoreError> {
        let counts = self.header.unit_counts();
        let number = unit.iter().zip(&counts).fold(0u64, |n, (i, c)| n * c + i);
        let bytes = self.header.unit_bytes();
        self.units.get((0, number), bytes, || {
            let made = self.load(unit, pool, read)?;
            let held = if matches!(made, Unit::Absent) { ABSENT } else { bytes };
            Ok((made, held))
        })
    }

    fn load(&self, unit: &[u64], pool: &Pool, read: &AtomicU64) -> Result<Unit, StoreError> {
        let region = self.region(unit);
        let dtype = self.header.dtype;
        let named = |key: &str, text: &str| corrupt(&self.path, format!("chunk {unit:?} (key `{key}`) {text}"));
        let (key, encoded) = match &self.header.shards {
            Some(shards) => {
                let (shard, inside) = shards.place(unit);
                let key = self.header.key(&shard);
                let number = shard.iter().fold((0u64, 0usize), |(n, a), i| {
                    let count = self.header.shape[a].div_ceil(self.header.unit[a] * shards.counts[a]);
                    (n * count + i, a + 1)
                });
                let index = self.indices.get((1, number.0), shards.index_bytes(), || -> Result<_, StoreError> {
                    let index = shards.index(&*self.store, &key)?;
                    read.fetch_add(index.as_ref().map_or(0, |i| 8 * i.len() as u64), Ordering::Relaxed);
                    let held = if index.is_some() { shards.index_bytes() } else { ABSENT };
                    Ok((index, held))
                })?;
                let Some((offset, len)) = index.as_ref().as_ref().and_then(|i| shard::entry(i, inside)) else {
                    return self.absent(index.is_none(), unit);
                };
                let most = self.header.decoder.most_encoded();
                if len > most {
                    return Err(named(
                        &key,
                        &format!("has {len} bytes by the index of its shard, expected at most {most}"),
                    ));
                }
                let part = Some(Part::At(offset, len));
                let encoded = self.store.take(&key, part, len, pool).map_err(|e| within(e, unit))?;
                (key, encoded)
            }
            None if self.header.decoder.plain() => {
                let key = self.header.key(unit);
                let mut block = Block::take(pool, dtype, region);
                return match self.store.fill(&key, block.bytes_mut()).map_err(|e| within(e, unit))? {
                    false => self.absent(true, unit),
                    true if dtype == ops_core::DType::Bool && block.bytes().iter().any(|v| *v > 1) => {
                        Err(named(&key, "holds bytes that are no truth values, 0 or 1"))
                    }
                    true => {
                        read.fetch_add(block.bytes().len() as u64, Ordering::Relaxed);
                        Ok(Unit::Elements(block))
                    }
                };
            }
            None => {
                let key = self.header.key(unit);
                let most = self.header.decoder.most_encoded();
                let encoded = self.store.take(&key, None, most, pool).map_err(|e| within(e, unit))?;
                (key, encoded)
            }
        };
        let Some(encoded) = encoded else { return self.absent(true, unit) };
        let bytes = encoded.bytes().len() as u64;
        let broken = |e: String| named(&key, &format!("of {bytes} bytes can't be decoded: {}", lower(&e)));
        read.fetch_add(bytes, Ordering::Relaxed);
        if let Some(direct) = self.header.decoder.direct() {
            let mut block = Block::take(pool, dtype, region);
            let decoder = &self.header.decoder;
            let filled =
                decoder.check_claim(encoded.bytes()).and_then(|()| direct.fill(encoded.bytes(), block.bytes_mut()));
            let filled = filled.and_then(|()| decoder.check_values(block.bytes()));
            return filled.map(|()| Unit::Elements(block)).map_err(broken);
        }
        let decoded = self.header.decoder.decode(encoded.bytes()).map_err(broken)?;
        let n = decoded.len();
        Block::adopt(dtype, region, decoded).map(Unit::Elements).ok_or_else(|| named(&key, &format!("holds {n} bytes")))
    }

    /// What a missing key means: the fill value, but only while the array itself is still there.
    fn absent(&self, look: bool, unit: &[u64]) -> Result<Unit, StoreError> {
        if look && !self.store.has(self.header.metadata_key).map_err(|e| within(e, unit))? {
            let gone = StoreError::Io {
                path: self.path.clone(),
                message: format!("the array went away: `{}` is gone", self.header.metadata_key),
                kind: std::io::ErrorKind::NotFound,
            };
            return Err(within(gone, unit));
        }
        Ok(Unit::Absent)
    }
}

/// The same error, with the chunk it happened to.
fn within(e: StoreError, unit: &[u64]) -> StoreError {
    match e {
        StoreError::Corrupt { path, message } => {
            StoreError::Corrupt { path, message: format!("chunk {unit:?}: {message}") }
        }
        StoreError::Unsupported { path, message } => {
            StoreError::Unsupported { path, message: format!("chunk {unit:?}: {message}") }
        }
        StoreError::Io { path, message, kind } => {
            StoreError::Io { path, message: format!("chunk {unit:?}: {message}"), kind }
        }
        other @ StoreError::NotOne { .. } => other,
    }
}

impl ArrayReader for ZarrReader {
    fn read(&self, region: &Region, pool: &Pool) -> Result<(Block, u64), StoreError> {
        inside(&self.path, region, &self.meta)?;
        let read = AtomicU64::new(0);
        if region.is_empty() {
            return Ok((Block::take(pool, self.meta.dtype, region.clone()), 0));
        }
        // Numbers of the units it touches.
        let size = |a: usize| self.header.unit[a] as i64;
        let units = Region::new(
            (0..region.rank()).map(|a| region.lo[a] / size(a)).collect::<ops_core::Index>(),
            (0..region.rank()).map(|a| (region.hi[a] - 1) / size(a) + 1).collect::<ops_core::Index>(),
        );
        let mut number: Vec<u64> = units.lo.iter().map(|i| *i as u64).collect();
        if units.volume() == 1 && *region == self.region(&number) {
            let unit = self.unit(&number, pool, &read)?;
            return match Arc::try_unwrap(unit) {
                // Nobody else has it: no copy.
                Ok(Unit::Elements(block)) => Ok((block, read.into_inner())),
                Ok(Unit::Absent) => Ok((self.filled(region, pool), read.into_inner())),
                Err(shared) => Ok((self.copied(&shared, region, pool), read.into_inner())),
            };
        }
        let mut block = Block::take(pool, self.meta.dtype, region.clone());
        let mut failed = None;
        let last = region.rank() - 1;
        for_rows(&units, |at| {
            number.iter_mut().zip(at).for_each(|(n, i)| *n = *i as u64);
            for along in units.lo[last]..units.hi[last] {
                if failed.is_some() {
                    return;
                }
                number[last] = along as u64;
                match self.unit(&number, pool, &read).as_deref() {
                    Ok(Unit::Elements(unit)) => block.paste(unit),
                    Ok(Unit::Absent) => block.fill(&self.region(&number), &self.header.fill),
                    Err(e) => failed = Some(e.clone()),
                }
            }
        });
        match failed {
            Some(e) => Err(e),
            None => Ok((block, read.into_inner())),
        }
    }
}

impl ZarrReader {
    fn filled(&self, region: &Region, pool: &Pool) -> Block {
        let mut block = Block::take(pool, self.meta.dtype, region.clone());
        block.fill(region, &self.header.fill);
        block
    }

    fn copied(&self, unit: &Unit, region: &Region, pool: &Pool) -> Block {
        match unit {
            Unit::Elements(block) => block.cut(pool, region),
            Unit::Absent => self.filled(region, pool),
        }
    }
}

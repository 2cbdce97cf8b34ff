//! How an array is divided into keys: chunks, or shards of chunks, and what a write has to cover.

use crate::store::StoreError;
use crate::store::read::unsupported;
use crate::store::write::{WriteOptions, ZarrVersion};
use engine_model::spec::codec::ZarrCodec;
use ops_core::{ArrayMeta, DType, Region};
use std::path::Path;

/// The most chunks of a shard: its index is held in memory by whoever reads it.
const MOST_INNER: u64 = 1 << 26;

/// How the elements of an array are stored.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) meta: ArrayMeta,
    pub(super) chunk: Vec<u64>,
    /// Extent of a shard; `None` where every chunk has a key of its own.
    pub(super) shard: Option<Vec<u64>>,
    pub(super) codec: ZarrCodec,
    pub(super) version: ZarrVersion,
}

impl Layout {
    /// The layout that the options ask for.
    pub(super) fn new(path: &Path, meta: &ArrayMeta, options: &WriteOptions) -> Result<Layout, StoreError> {
        let chunk = options.chunks.clone().unwrap_or_else(|| meta.shape.to_vec());
        let refused = |text: String| Err(unsupported(path, text));
        if chunk.len() != meta.rank() || chunk.contains(&0) {
            let n = meta.rank();
            return refused(format!("chunks {chunk:?}, expected {n} extents of at least 1 for {meta}"));
        }
        let bytes = |extent: &[u64]| extent.iter().try_fold(meta.dtype.size() as u64, |b, n| b.checked_mul(*n));
        if bytes(&chunk).is_none_or(|b| b > i32::MAX as u64 / 2) {
            return refused(format!("chunks {chunk:?} of {}, expected at most 1 GiB in one", meta.dtype));
        }
        if let Some(shard) = &options.shards {
            if shard.len() != chunk.len() || shard.iter().zip(&chunk).any(|(s, c)| *s == 0 || s % c != 0) {
                return refused(format!("shards {shard:?}, expected whole multiples of the chunks {chunk:?}"));
            }
            if options.version == ZarrVersion::V2 {
                return refused("shards in Zarr v2, expected none: they belong to Zarr v3".into());
            }
            let inner = shard.iter().zip(&chunk).try_fold(1u64, |n, (s, c)| n.checked_mul(s / c));
            if inner.is_none_or(|n| n > MOST_INNER) || bytes(shard).is_none_or(|b| b > i64::MAX as u64 / 4) {
                return refused(format!("shards {shard:?} of chunks {chunk:?}, expected at most 2^26 chunks in one"));
            }
        }
        let (shard, codec, version) = (options.shards.clone(), options.codec, options.version);
        Ok(Layout { meta: meta.clone(), chunk, shard, codec, version })
    }

    /// The dtype of the elements.
    pub(super) fn dtype(&self) -> DType {
        self.meta.dtype
    }

    /// Extent of what has a key of its own: a shard or a chunk.
    pub(super) fn unit(&self) -> &[u64] {
        self.shard.as_deref().unwrap_or(&self.chunk)
    }

    /// True for a region of whole units, cut at most by the end of the array.
    pub(super) fn covers_units(&self, region: &Region) -> bool {
        let whole = self.meta.region();
        (0..region.rank()).all(|a| {
            let n = self.unit()[a] as i64;
            region.lo[a] % n == 0 && (region.hi[a] % n == 0 || region.hi[a] == whole.hi[a])
        })
    }

    /// Numbers of the units that a region of whole units covers.
    pub(super) fn units(&self, region: &Region) -> Region {
        divide(region, self.unit())
    }

    /// Numbers of the chunks of a unit, those beyond the end of the array among them.
    pub(super) fn chunks(&self, unit: &[i64]) -> Region {
        divide(&self.unit_region(unit), &self.chunk)
    }

    /// Where a unit lies; it may reach beyond the array.
    pub(super) fn unit_region(&self, unit: &[i64]) -> Region {
        place(unit, self.unit())
    }

    /// Where a chunk lies; it may reach beyond the array.
    pub(super) fn chunk_region(&self, number: &[i64]) -> Region {
        place(number, &self.chunk)
    }

    /// The key of a unit.
    pub(super) fn key(&self, number: &[i64]) -> String {
        let joined = number.iter().map(i64::to_string).collect::<Vec<_>>().join("/");
        match self.version {
            ZarrVersion::V3 => format!("c/{joined}"),
            ZarrVersion::V2 => joined,
        }
    }
}

fn place(number: &[i64], extent: &[u64]) -> Region {
    let lo: ops_core::Index = number.iter().zip(extent).map(|(i, n)| i * *n as i64).collect();
    let hi: ops_core::Index = lo.iter().zip(extent).map(|(l, n)| l + *n as i64).collect();
    Region::new(lo, hi)
}

fn divide(region: &Region, extent: &[u64]) -> Region {
    let lo: ops_core::Index = region.lo.iter().zip(extent).map(|(l, n)| l / *n as i64).collect();
    let hi: ops_core::Index = region.hi.iter().zip(extent).map(|(h, n)| (h + *n as i64 - 1) / *n as i64).collect();
    Region::new(lo, hi)
}

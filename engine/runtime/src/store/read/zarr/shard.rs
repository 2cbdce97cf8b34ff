//! Shards: many chunks in one key, found through an index at its end or start.

use super::header::extents;
use crate::store::StoreError;
use crate::store::keys::{Keys, Part};
use crate::store::read::corrupt;
use engine_model::formats;
use serde_json::{Map, Value as Json};
use std::borrow::Cow;
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;
use zarrs::array::data_type::uint64;
use zarrs::array::{ArrayToBytesCodecTraits, BytesRepresentation, CodecChain, CodecOptions, FillValue};
use zarrs::metadata::v3::MetadataV3;

/// How the shards of an array are made.
pub(super) struct Shards {
    /// Extent of the chunks of a shard.
    pub(super) unit: Vec<u64>,
    /// What decodes one chunk of a shard.
    pub(super) inner: Arc<CodecChain>,
    /// Chunks in a shard along each axis.
    pub(super) counts: Vec<u64>,
    index: CodecChain,
    index_shape: Vec<NonZeroU64>,
    encoded_index: u64,
    at_end: bool,
}

/// Where the chunks of one shard lie: offset and length for each, in C order.
pub(super) type Index = Vec<u64>;

impl Shards {
    /// The configuration of sharding, where it is the only codec: with others around it a shard has to be decoded as
    /// a whole, as a chunk.
    pub(super) fn configuration(version: u8, json: &Map<String, Json>) -> Option<Json> {
        match json.get("codecs")?.as_array()?.as_slice() {
            [one] if version == 3 && one.get("name").and_then(Json::as_str) == Some("sharding_indexed") => {
                one.get("configuration").cloned()
            }
            _ => None,
        }
    }

    /// Shards of extent `shard`.
    pub(super) fn new(shard: &[u64], configuration: &Json) -> Result<Shards, String> {
        let chain = |field: &str| -> Result<CodecChain, String> {
            let list = configuration.get(field).cloned().ok_or_else(|| format!("sharding without `{field}`"))?;
            let list: Vec<MetadataV3> = serde_json::from_value(list).map_err(|e| format!("`{field}`: {e}"))?;
            CodecChain::from_metadata(&list).map_err(|e| format!("`{field}`: {e}"))
        };
        let unit = extents(Path::new(""), "sharding", "chunk_shape", configuration.get("chunk_shape"), 1);
        let unit = unit.map_err(|_| "the `chunk_shape` of sharding is no list of extents of at least 1".to_owned())?;
        if unit.len() != shard.len() || shard.iter().zip(&unit).any(|(s, u)| s % u != 0) {
            return Err(format!("chunks of {unit:?} do not divide shards of {shard:?}"));
        }
        let counts: Vec<u64> = shard.iter().zip(&unit).map(|(s, u)| s / u).collect();
        let chunks = counts.iter().try_fold(1u64, |n, c| n.checked_mul(*c)).filter(|n| *n <= 1 << 26);
        if chunks.is_none() {
            return Err(format!("shards of {counts:?} chunks, supported are at most 2^26 in one"));
        }
        let index_shape: Vec<NonZeroU64> = counts.iter().chain(&[2]).filter_map(|n| NonZeroU64::new(*n)).collect();
        let index = chain("index_codecs")?;
        let encoded = index.encoded_representation(&index_shape, &uint64(), &FillValue::from(u64::MAX));
        let encoded_index = match encoded.map_err(|e| e.to_string())? {
            BytesRepresentation::FixedSize(n) => n,
            _ => return Err("the index of shards is compressed, expected one of a fixed size".into()),
        };
        let at_end = match configuration.get("index_location").and_then(Json::as_str) {
            None | Some("end") => true,
            Some("start") => false,
            Some(other) => return Err(format!("`index_location` is \"{other}\", expected \"start\" or \"end\"")),
        };
        Ok(Shards { unit, inner: Arc::new(chain("codecs")?), counts, index, index_shape, encoded_index, at_end })
    }

    /// Bytes of a decoded index.
    pub(super) fn index_bytes(&self) -> u64 {
        formats::index_bytes(&self.extent(), &self.unit)
    }

    /// Bytes of indices that are kept of an array.
    pub(super) fn cache_bytes(&self, shape: &[u64]) -> u64 {
        formats::index_cache_bytes(shape, &self.extent(), &self.unit)
    }

    fn extent(&self) -> Vec<u64> {
        self.unit.iter().zip(&self.counts).map(|(u, c)| u * c).collect()
    }

    /// The shard of a unit, and the unit's number in it.
    pub(super) fn place(&self, unit: &[u64]) -> (Vec<u64>, usize) {
        let shard = unit.iter().zip(&self.counts).map(|(u, c)| u / c).collect();
        let inside = unit.iter().zip(&self.counts).fold(0, |n, (u, c)| n * c + u % c);
        (shard, inside as usize)
    }

    /// Reads the index of a shard; `None` when there is no such shard.
    pub(super) fn index(&self, store: &dyn Keys, key: &str) -> Result<Option<Index>, StoreError> {
        let part = if self.at_end { Part::Last(self.encoded_index) } else { Part::At(0, self.encoded_index) };
        let Some(encoded) = store.part(key, part)? else { return Ok(None) };
        let options = CodecOptions::default().with_concurrent_target(1);
        let fill = FillValue::from(u64::MAX);
        let decoded = self.index.decode(Cow::Owned(encoded), &self.index_shape, &uint64(), &fill, &options);
        let damaged = |e: String| corrupt(store.root(), format!("the index of shard `{key}` is damaged: {e}"));
        let decoded = decoded.map_err(|e| damaged(e.to_string()))?;
        let bytes = decoded.into_fixed().map_err(|e| damaged(e.to_string()))?;
        let words = bytes.as_chunks::<8>().0.iter().map(|w| u64::from_ne_bytes(*w)).collect();
        Ok(Some(words))
    }
}

/// Where a unit lies in its shard; `None` when it is absent.
pub(super) fn entry(index: &[u64], inside: usize) -> Option<(u64, u64)> {
    match index.get(2 * inside..2 * inside + 2) {
        Some(&[offset, len]) if (offset, len) != (u64::MAX, u64::MAX) => Some((offset, len)),
        _ => None,
    }
}

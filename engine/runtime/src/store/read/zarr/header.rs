//! The metadata of an array: shape, dtype, chunks, and what decodes them.

use super::decode::Decoder;
use super::node::Document;
use super::shard::Shards;
use super::{LARGEST_CHUNK, corrupt, unsupported};
use crate::store::StoreError;
use crate::store::read::lower;
use ops_core::{DType, Pool};
use serde_json::{Map, Value as Json};
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;
use zarrs::array::{Array, ArrayMetadata};

/// What reading an array needs to know of it.
pub(super) struct Header {
    /// Extent along each dimension.
    pub(super) shape: Vec<u64>,
    pub(super) dtype: DType,
    /// Extent of what is decoded at once: a chunk, or a chunk of a shard.
    pub(super) unit: Vec<u64>,
    /// Decodes one unit.
    pub(super) decoder: Decoder,
    /// Where several units lie in one key.
    pub(super) shards: Option<Shards>,
    /// The value of elements whose chunk is absent, native order.
    pub(super) fill: Vec<u8>,
    /// The key the metadata was read from.
    pub(super) metadata_key: &'static str,
    /// Names the keys of chunks.
    array: Array<()>,
}

impl Header {
    /// Reads the metadata document of the array at `path`.
    pub(super) fn new(path: &Path, document: Document) -> Result<Header, StoreError> {
        let Document { key, version, mut json, .. } = document;
        let dtype = dtype(path, key, version, &json)?;
        let shape = extents(path, key, "shape", json.get("shape"), 0)?;
        if shape.is_empty() || shape.contains(&0) {
            let text = format!("`{key}`: the shape {shape:?} has no elements to read along an axis");
            return Err(unsupported(path, text));
        }
        let chunk = chunk(path, key, version, &json)?;
        if chunk.len() != shape.len() {
            let text = format!("`{key}`: chunks {chunk:?} and shape {shape:?} differ in their number of extents");
            return Err(corrupt(path, text));
        }
        let bytes = shape.iter().try_fold(dtype.size() as u64, |b, n| b.checked_mul(*n));
        if bytes.is_none_or(|b| b > i64::MAX as u64) {
            return Err(unsupported(path, format!("`{key}`: shape {shape:?} of {dtype} is more than 2^63 bytes")));
        }
        let outer = Decoder::take_outer(version, &mut json);
        if let (DType::Bool, Some(fill @ (0 | 1))) = (dtype, json.get("fill_value").and_then(Json::as_u64)) {
            // As some software writes it.
            json.insert("fill_value".into(), Json::Bool(fill == 1));
        }
        let sharding = Shards::configuration(version, &json);
        let bad = |e: String| unsupported(path, format!("`{key}`: {}", lower(&e)));
        let metadata: ArrayMetadata = serde_json::from_value(Json::Object(json))
            .map_err(|e| corrupt(path, format!("`{key}`: {}", lower(&e.to_string()))))?;
        let array = Array::new_with_metadata(Arc::new(()), "/", metadata).map_err(|e| bad(e.to_string()))?;
        let fill = array.fill_value().as_ne_bytes().to_vec();
        if fill.len() != dtype.size() {
            return Err(corrupt(
                path,
                format!("`{key}`: the fill value has {} bytes, {dtype} has {}", fill.len(), dtype.size()),
            ));
        }
        let shards = match (&outer, sharding) {
            (None, Some(configuration)) => Some(Shards::new(&chunk, &configuration).map_err(bad)?),
            _ => None,
        };
        let unit = shards.as_ref().map_or_else(|| chunk.clone(), |s| s.unit.clone());
        let unit_bytes = unit.iter().try_fold(dtype.size() as u64, |b, n| b.checked_mul(*n));
        let Some(unit_bytes) = unit_bytes.filter(|b| *b <= LARGEST_CHUNK) else {
            let text =
                format!("`{key}`: chunks of {unit:?} {dtype} elements, the most that is decoded at once is 1 GiB");
            return Err(unsupported(path, text));
        };
        let chain = shards.as_ref().map_or_else(|| array.codecs(), |s| s.inner.clone());
        let nonzero: Option<Vec<NonZeroU64>> = unit.iter().map(|n| NonZeroU64::new(*n)).collect();
        let nonzero = nonzero.ok_or_else(|| corrupt(path, format!("`{key}`: chunks of {unit:?} have no elements")))?;
        let types = (array.data_type().clone(), array.fill_value().clone());
        let decoder = Decoder::new(chain, outer, nonzero, types, dtype, unit_bytes as usize);
        Ok(Header { shape, dtype, unit, decoder, shards, fill, metadata_key: key, array })
    }

    /// The key of a chunk, or of a shard.
    pub(super) fn key(&self, index: &[u64]) -> String {
        self.array.chunk_key(index).to_string()
    }

    /// Bytes that a decoded unit takes.
    pub(super) fn unit_bytes(&self) -> u64 {
        Pool::rounded(self.decoder.bytes() as u64)
    }

    /// Number of units along each axis.
    pub(super) fn unit_counts(&self) -> Vec<u64> {
        self.shape.iter().zip(&self.unit).map(|(n, u)| n.div_ceil(*u)).collect()
    }

    /// What one read takes besides its block and the cache: a unit encoded, between two codecs, and decoded; indices of
    /// shards.
    pub(super) fn read_bytes(&self) -> u64 {
        let index = self.shards.as_ref().map_or(0, |s| s.cache_bytes(&self.shape) + 2 * s.index_bytes());
        4 * self.unit_bytes() + index + (64 << 10)
    }
}

/// The dtype that metadata names.
fn dtype(path: &Path, key: &str, version: u8, json: &Map<String, Json>) -> Result<DType, StoreError> {
    let field = if version == 3 { "data_type" } else { "dtype" };
    let named = json.get(field);
    let text = named.and_then(|n| n.as_str().or_else(|| n.get("name")?.as_str())).unwrap_or_default();
    let name = match (version, text) {
        (3, name) => name,
        (_, v2) => match v2.get(1..).unwrap_or_default() {
            "b1" => "bool",
            "u1" => "uint8",
            "u2" => "uint16",
            "u4" => "uint32",
            "u8" => "uint64",
            "i1" => "int8",
            "i2" => "int16",
            "i4" => "int32",
            "i8" => "int64",
            "f4" => "float32",
            "f8" => "float64",
            _ => "",
        },
    };
    DType::ALL.into_iter().find(|d| d.name() == name).ok_or_else(|| {
        let found = named.map_or("none".to_owned(), Json::to_string);
        let supported: Vec<&str> = DType::ALL.iter().map(|d| d.name()).collect();
        unsupported(path, format!("`{key}`: `{field}` is {found}, supported are {}", supported.join(", ")))
    })
}

/// Extents of the chunks, or of the shards.
fn chunk(path: &Path, key: &str, version: u8, json: &Map<String, Json>) -> Result<Vec<u64>, StoreError> {
    if version == 2 {
        return extents(path, key, "chunks", json.get("chunks"), 1);
    }
    let grid = json.get("chunk_grid");
    match grid.and_then(|g| g.get("name").unwrap_or(g).as_str()) {
        Some("regular") => {
            let shape = grid.and_then(|g| g.get("configuration")?.get("chunk_shape"));
            extents(path, key, "chunk_shape", shape, 1)
        }
        found => {
            let found = found.map_or("none".to_owned(), |f| format!("\"{f}\""));
            Err(unsupported(path, format!("`{key}`: `chunk_grid` is {found}, supported is \"regular\"")))
        }
    }
}

/// A list of extents, each at least `least`.
pub(super) fn extents(
    path: &Path,
    key: &str,
    field: &str,
    json: Option<&Json>,
    least: u64,
) -> Result<Vec<u64>, StoreError> {
    let list: Option<Vec<u64>> = json.and_then(Json::as_array).and_then(|l| l.iter().map(Json::as_u64).collect());
    list.filter(|l| l.iter().all(|n| *n >= least)).ok_or_else(|| {
        let found = json.map_or("none".to_owned(), Json::to_string);
        corrupt(path, format!("`{key}`: `{field}` should be a list of extents of at least {least}, found {found}"))
    })
}

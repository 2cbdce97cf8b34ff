//! The metadata documents of an array and of the groups around it.

use super::layout::Layout;
use crate::store::write::{ZarrCodec, ZarrVersion};
use ops_core::DType;
use serde_json::{Map, Value as Json, json};

/// Levels of the compressors: those that other writers take when nothing is said.
pub(super) const BLOSC_LEVEL: i32 = 5;
pub(super) const ZSTD_LEVEL: i32 = 3;
pub(super) const GZIP_LEVEL: u32 = 5;

/// The documents of an array by their keys; the last one makes the directory an array.
pub(super) fn array(layout: &Layout) -> Vec<(&'static str, String)> {
    match layout.version {
        ZarrVersion::V3 => vec![("zarr.json", text(&v3(layout)))],
        ZarrVersion::V2 => {
            let names: Vec<String> = names(layout);
            vec![(".zattrs", text(&json!({"_ARRAY_DIMENSIONS": names}))), (".zarray", text(&v2(layout)))]
        }
    }
}

/// The documents of a group with these attributes.
pub(in crate::store::write) fn group(
    version: ZarrVersion,
    attributes: &Map<String, Json>,
) -> Vec<(&'static str, String)> {
    match version {
        ZarrVersion::V3 => {
            vec![("zarr.json", text(&json!({"zarr_format": 3, "node_type": "group", "attributes": attributes})))]
        }
        ZarrVersion::V2 => {
            vec![(".zattrs", text(&Json::Object(attributes.clone()))), (".zgroup", text(&json!({"zarr_format": 2})))]
        }
    }
}

fn text(json: &Json) -> String {
    format!("{json:#}\n")
}

fn names(layout: &Layout) -> Vec<String> {
    layout.meta.axes.iter().map(|a| a.name().to_string()).collect()
}

fn fill(dtype: DType) -> Json {
    if dtype == DType::Bool { json!(false) } else { json!(0) }
}

fn v3(layout: &Layout) -> Json {
    let mut codecs = vec![json!({"name": "bytes", "configuration": {"endian": "little"}})];
    codecs.extend(match layout.codec {
        ZarrCodec::BloscLz4 => Some(json!({"name": "blosc", "configuration": {
            "cname": "lz4", "clevel": BLOSC_LEVEL, "shuffle": "shuffle", "typesize": layout.dtype().size(),
            "blocksize": 0}})),
        ZarrCodec::Zstd => Some(json!({"name": "zstd", "configuration": {"level": ZSTD_LEVEL, "checksum": false}})),
        ZarrCodec::Gzip => Some(json!({"name": "gzip", "configuration": {"level": GZIP_LEVEL}})),
        ZarrCodec::None => None,
    });
    let codecs = match &layout.shard {
        None => json!(codecs),
        Some(_) => json!([{"name": "sharding_indexed", "configuration": {
            "chunk_shape": layout.chunk,
            "codecs": codecs,
            "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}],
            "index_location": "end"}}]),
    };
    json!({
        "zarr_format": 3,
        "node_type": "array",
        "shape": layout.meta.shape.as_slice(),
        "data_type": layout.dtype().name(),
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": layout.unit()}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": fill(layout.dtype()),
        "codecs": codecs,
        "attributes": {},
        "dimension_names": names(layout),
    })
}

fn v2(layout: &Layout) -> Json {
    let dtype = layout.dtype();
    let order = if dtype.size() == 1 { '|' } else { '<' };
    let kind = match dtype {
        DType::Bool => 'b',
        DType::Float32 | DType::Float64 => 'f',
        DType::Int8 | DType::Int16 | DType::Int32 | DType::Int64 => 'i',
        DType::UInt8 | DType::UInt16 | DType::UInt32 | DType::UInt64 => 'u',
    };
    let compressor = match layout.codec {
        ZarrCodec::BloscLz4 => {
            json!({"id": "blosc", "cname": "lz4", "clevel": BLOSC_LEVEL, "shuffle": 1, "blocksize": 0})
        }
        ZarrCodec::Zstd => json!({"id": "zstd", "level": ZSTD_LEVEL}),
        ZarrCodec::Gzip => json!({"id": "gzip", "level": GZIP_LEVEL}),
        ZarrCodec::None => Json::Null,
    };
    json!({
        "zarr_format": 2,
        "shape": layout.meta.shape.as_slice(),
        "chunks": layout.chunk,
        "dtype": format!("{order}{kind}{}", dtype.size()),
        "compressor": compressor,
        "fill_value": fill(dtype),
        "order": "C",
        "filters": null,
        "dimension_separator": "/",
    })
}

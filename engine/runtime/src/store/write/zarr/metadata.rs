//! The metadata documents of an array and of the groups around it.

use super::layout::Layout;
use crate::store::write::ZarrVersion;
use engine_model::spec::codec::{Checksum, Compressor};
use ops_core::DType;
use serde_json::{Map, Value as Json, json};

/// The level of Blosc that its LZ4, which has none here, is written with: other writers take it when nothing is said.
const BLOSC_LEVEL: u8 = 5;

/// The documents of an array by their keys; the last one makes the directory an array.
pub(super) fn array(layout: &Layout) -> Vec<(&'static str, String)> {
    match layout.version {
        ZarrVersion::V3 => vec![("zarr.json", text(&document(layout)))],
        ZarrVersion::V2 => {
            let names: Vec<String> = names(layout);
            vec![(".zattrs", text(&json!({"_ARRAY_DIMENSIONS": names}))), (".zarray", text(&document(layout)))]
        }
    }
}

/// The document that says how an array is stored.
pub(super) fn document(layout: &Layout) -> Json {
    match layout.version {
        ZarrVersion::V3 => v3(layout),
        ZarrVersion::V2 => v2(layout),
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

/// The codecs of a chunk in Zarr v3. Those of numcodecs have its name before theirs.
fn codecs(layout: &Layout) -> Vec<Json> {
    let (codec, level) = (layout.codec, layout.codec.level());
    let one = |name: &str, configuration: Json| json!({"name": name, "configuration": configuration});
    let mut codecs = match codec.name {
        Compressor::Pcodec => vec![],
        _ => vec![one("bytes", json!({"endian": "little"}))],
    };
    codecs.extend(match codec.name {
        Compressor::BloscLz4 | Compressor::BloscZstd => {
            let (cname, clevel) = blosc(layout);
            let shuffle = codec.shuffle.unwrap_or_default();
            let typesize = layout.dtype().size();
            let all =
                json!({"cname": cname, "clevel": clevel, "shuffle": shuffle, "typesize": typesize, "blocksize": 0});
            Some(one("blosc", all))
        }
        Compressor::Zstd => Some(one("zstd", json!({"level": level, "checksum": false}))),
        Compressor::Gzip => Some(one("gzip", json!({"level": level}))),
        Compressor::Zlib => Some(one("numcodecs.zlib", json!({"level": level}))),
        Compressor::Bz2 => Some(one("numcodecs.bz2", json!({"level": level}))),
        Compressor::Pcodec => Some(one("numcodecs.pcodec", pcodec(level))),
        Compressor::None => None,
    });
    codecs.extend(codec.checksum.map(|Checksum::Crc32c| json!({"name": "crc32c"})));
    codecs
}

/// The compressor of Zarr v2.
fn compressor(layout: &Layout) -> Json {
    let (codec, level) = (layout.codec, layout.codec.level());
    match codec.name {
        Compressor::BloscLz4 | Compressor::BloscZstd => {
            let (cname, clevel) = blosc(layout);
            let shuffle = codec.shuffle.unwrap_or_default() as u8;
            json!({"id": "blosc", "cname": cname, "clevel": clevel, "shuffle": shuffle, "blocksize": 0})
        }
        Compressor::Zstd | Compressor::Gzip | Compressor::Zlib | Compressor::Bz2 => {
            json!({"id": codec.name.name(), "level": level})
        }
        Compressor::Pcodec => {
            let mut all = pcodec(level);
            all["id"] = "pcodec".into();
            all
        }
        Compressor::None => Json::Null,
    }
}

/// Name and level of Blosc's inner compressor.
fn blosc(layout: &Layout) -> (&'static str, u8) {
    match layout.codec.name {
        Compressor::BloscZstd => ("zstd", layout.codec.level()),
        _ => ("lz4", BLOSC_LEVEL),
    }
}

/// Pcodec finds by itself how numbers are best taken apart; its pages are those of numcodecs.
fn pcodec(level: u8) -> Json {
    json!({"level": level, "mode_spec": "auto", "delta_spec": "auto", "paging_spec": "equal_pages_up_to",
        "delta_encoding_order": null, "equal_pages_up_to": 262_144})
}

fn v3(layout: &Layout) -> Json {
    let codecs = codecs(layout);
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
    json!({
        "zarr_format": 2,
        "shape": layout.meta.shape.as_slice(),
        "chunks": layout.chunk,
        "dtype": format!("{order}{kind}{}", dtype.size()),
        "compressor": compressor(layout),
        "fill_value": fill(dtype),
        "order": "C",
        "filters": null,
        "dimension_separator": "/",
    })
}

//! Writing results: blocks in, complete files out.
//!
//! Every file is written under a temporary name beside its final one and renamed when it is complete, so that a file
//! with its final name is always whole. No file says when it was made.

mod bands;
mod deflate;
mod elsewhere;
mod group;
mod huffman;
mod names;
mod ome;
mod png;
mod replace;
mod sink;
mod table;
mod tiff;
mod zarr;

pub use engine_model::spec::codec::{Compressor, ZarrCodec};
pub use engine_model::spec::workflow::ZarrVersion;
pub use group::Group;
pub(super) use names::partial_name;
pub use names::{left, location};
pub use ome::documents;
pub(super) use replace::sync_parent;
pub use table::write_table;
pub use zarr::zstandard::compressor as zstd_compressor;

use crate::store::read::{io, unsupported};
use crate::store::{ArrayWriter, StoreError};
use engine_model::formats::can_hold;
use engine_model::graph::Output;
use engine_model::place;
use engine_model::spec::workflow::Format;
use ops_core::ArrayMeta;
use std::path::{Path, PathBuf};

/// How the strips of a TIFF file are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// Not at all.
    None,
    /// Deflate, integers differenced along x.
    #[default]
    Deflate,
}

/// How an array is written.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WriteOptions {
    /// Chunk extents of a Zarr array, one for each axis; `None` makes the whole array one chunk.
    pub chunks: Option<Vec<u64>>,
    /// Shard extents of a Zarr array, whole multiples of the chunks; `None` gives every chunk a file of its own.
    pub shards: Option<Vec<u64>>,
    /// Codec of a Zarr array.
    pub codec: ZarrCodec,
    /// Version of the Zarr format.
    pub version: ZarrVersion,
    /// Compression of a TIFF file.
    pub compression: Compression,
    /// Waits until what is written has reached the disk: a chunk before it counts as written, a file before it gets its
    /// name.
    pub sync: bool,
    /// The group whose array this is, at its final path: it is complete only when all of its arrays are.
    pub group: Option<PathBuf>,
    /// Takes up what an earlier writer of the same array left suspended, where the format can.
    pub resume: bool,
}

impl WriteOptions {
    /// How an output of an array says that it is written.
    pub fn of(out: &Output, meta: &ArrayMeta) -> WriteOptions {
        WriteOptions {
            chunks: Some(out.chunks(meta)),
            shards: out.decl.shards.as_ref().map(|s| s.value.clone()),
            codec: out.codec(),
            version: out.version(),
            ..WriteOptions::default()
        }
    }

    /// What makes two stores of the same array different, as text that is equal when they are not.
    pub fn form(&self) -> String {
        format!("{:?} {:?} {:?} {:?}", self.version, self.chunks, self.shards, self.codec)
    }
}

/// True where something stands at a place that an output would replace; what an earlier run left of a store is no such
/// thing.
///
/// # Errors
/// When the server of a URL can't tell.
pub fn exists(path: &Path) -> Result<bool, StoreError> {
    #[cfg(feature = "remote")]
    if place::is_remote(path) {
        return elsewhere::standing(path).map(|s| s == elsewhere::Standing::There);
    }
    Ok(path.exists())
}

/// Bytes of a file, or of all files or keys below a directory or URL; those that can't be looked at do not count.
pub fn bytes_of(path: &Path) -> u64 {
    #[cfg(feature = "remote")]
    if place::is_remote(path) {
        return elsewhere::bytes(path).unwrap_or(0);
    }
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    match path.is_dir() {
        true => entries.map(|e| bytes_of(&e.path())).sum(),
        false => path.metadata().map_or(0, |m| m.len()),
    }
}

/// Starts a file (or store) for an array.
///
/// # Errors
/// When the format can't hold the array, or the file can't be made.
pub fn create(
    format: Format,
    path: &Path,
    meta: &ArrayMeta,
    options: &WriteOptions,
) -> Result<Box<dyn ArrayWriter>, StoreError> {
    can_hold(format, meta).map_err(|p| unsupported(path, p.to_string()))?;
    match format {
        Format::Png => png::create(path, meta, options),
        Format::Tiff => tiff::create(path, meta, options),
        Format::Zarr | Format::OmeZarr => match options.group.as_deref().map(|g| (g, path.strip_prefix(g))) {
            Some((group, Ok(array))) => {
                if !place::is_remote(group) {
                    let ready = if options.resume { replace::take_up(group) } else { replace::clear(group) };
                    ready.map_err(|e| io(group, "taking up", &e))?;
                }
                zarr::create(&group::inside(group, &array.to_string_lossy()), meta, options)
            }
            _ => zarr::create(path, meta, options),
        },
        Format::Csv | Format::Parquet => Err(unsupported(path, format!("{} holds tables", format.name()))),
    }
}

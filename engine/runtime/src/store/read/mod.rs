//! Opening sources: the format is told by the first bytes of a file, never by its name; a directory is a Zarr store, and
//! so is whatever lies behind a URL.

mod blobs;
pub mod generate;
mod jpeg;
mod left;
mod png;
pub mod table;
mod tiff;
mod tile_cache;
mod zarr;

pub use left::open_left;
pub use zarr::Chunks;

use crate::store::{ArrayReader, StoreError};
use engine_model::catalog::SourceMeta;
use engine_model::place::is_remote;
use engine_model::spec::workflow::{Channels, InputDecl, Level};
use ops_core::{ArrayMeta, Axes, Axis, DType, Region};
use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

/// Bytes of a file that are buffered while it is decoded.
pub(crate) const FILE_BUFFER: usize = 64 << 10;

/// How a source is to be seen.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct InputOptions {
    /// Which channels are taken.
    pub channels: Channels,
    /// Axes that replace those the file suggests.
    pub axes: Option<Axes>,
    /// Which level of a multiscale image is taken; the finest where it is not said.
    pub level: Option<Level>,
}

impl InputOptions {
    /// The options of an input; `None` when its axes can't be read, which the checks of a workflow find earlier.
    pub fn of(decl: &InputDecl) -> Option<InputOptions> {
        let axes = match &decl.axes {
            Some(text) => Some(Axes::parse(&text.value)?),
            None => None,
        };
        let level = decl.level.as_ref().map(|l| l.value.clone());
        Some(InputOptions { channels: decl.channels, axes, level })
    }
}

/// A file format that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Png,
    Jpeg,
    Tiff,
}

/// Tells shape, dtype, axes and reading cost of a file or Zarr array from its header.
///
/// # Errors
/// When it can't be opened, is of no supported format, is not one array, or its header is damaged.
pub fn probe(path: &Path, options: &InputOptions) -> Result<SourceMeta, StoreError> {
    if is_remote(path) || path.is_dir() {
        return zarr::probe(path, options);
    }
    no_levels(path, options)?;
    let (kind, reader, bytes) = start(path)?;
    match kind {
        Kind::Png => png::probe(path, reader, bytes, options),
        Kind::Jpeg => jpeg::probe(path, reader, bytes, options),
        Kind::Tiff => tiff::probe(path, reader, bytes, options),
    }
}

/// Opens a file or Zarr array for reading its elements, in whatever order.
///
/// # Errors
/// As [`probe`].
pub fn open(path: &Path, options: &InputOptions) -> Result<Box<dyn ArrayReader>, StoreError> {
    open_keeping(path, options, u64::MAX)
}

/// Opens a file or Zarr array for reading its elements, keeping at most `cache` bytes of what it decodes, and no more
/// than [`SourceMeta::cache_bytes`]; 0 where no tile will be needed twice.
///
/// # Errors
/// As [`probe`].
pub fn open_keeping(path: &Path, options: &InputOptions, cache: u64) -> Result<Box<dyn ArrayReader>, StoreError> {
    if is_remote(path) || path.is_dir() {
        return zarr::open(path, options, cache);
    }
    no_levels(path, options)?;
    let (kind, reader, bytes) = start(path)?;
    match kind {
        Kind::Png => png::open(path, reader, bytes, options),
        Kind::Jpeg => jpeg::open(path, reader, bytes, options),
        Kind::Tiff => tiff::open(path, reader, bytes, options, cache),
    }
}

/// The state of every chunk of a Zarr array on disk; `None` for whatever else a path is.
pub fn chunks(path: &Path, options: &InputOptions) -> Option<Chunks> {
    // One that can't be read is in no state; reading it will tell more.
    (!is_remote(path) && path.is_dir()).then(|| zarr::chunks(path, options).ok()).flatten()
}

/// A digest of the state of a store behind a URL: another one once any of its keys was written again. Where keys can't be
/// listed, as over plain HTTP, it is that of its metadata.
pub fn state(path: &Path) -> [u8; 32] {
    let mut digest = blake3::Hasher::new();
    #[cfg(feature = "remote")]
    match super::remote::Remote::open(path).and_then(|remote| remote.state(&mut digest)) {
        Ok(()) => {}
        // As one that is gone: reading it will tell more.
        Err(_) => {
            digest.update(b"gone");
        }
    }
    #[cfg(not(feature = "remote"))]
    digest.update(path.as_os_str().as_encoded_bytes());
    *digest.finalize().as_bytes()
}

fn no_levels(path: &Path, options: &InputOptions) -> Result<(), StoreError> {
    match &options.level {
        None => Ok(()),
        Some(level) => {
            Err(not_one(path, format!("a file has no levels, found `level: {level}`; OME-Zarr images have them")))
        }
    }
}

type FileReader = BufReader<File>;

/// Opens the file, tells its format, and gives it back at its start together with its size.
fn start(path: &Path) -> Result<(Kind, FileReader, u64), StoreError> {
    // Opening a pipe would wait for a writer, and a device may never end.
    let found = path.metadata().map_err(|e| io(path, "opening", &e))?;
    if !found.is_file() {
        return Err(unsupported(path, "a pipe, socket or device, expected a file or a directory".into()));
    }
    let file = File::open(path).map_err(|e| io(path, "opening", &e))?;
    let about = file.metadata().map_err(|e| io(path, "reading the size of", &e))?;
    let mut reader = BufReader::with_capacity(FILE_BUFFER, file);
    let mut head = Vec::with_capacity(8);
    reader.by_ref().take(8).read_to_end(&mut head).map_err(|e| io(path, "reading", &e))?;
    reader.rewind().map_err(|e| io(path, "reading", &e))?;
    let kind = match head.as_slice() {
        [] => return Err(corrupt(path, "the file is empty".into())),
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n'] => Kind::Png,
        [0xff, 0xd8, 0xff, ..] => Kind::Jpeg,
        [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Kind::Tiff,
        _ => {
            let first: Vec<String> = head.iter().map(|b| format!("{b:02x}")).collect();
            let text = format!("the first bytes ({}) are of no supported format: PNG, JPEG, TIFF", first.join(" "));
            return Err(unsupported(path, text));
        }
    };
    Ok((kind, reader, about.len()))
}

pub(crate) fn corrupt(path: &Path, message: String) -> StoreError {
    StoreError::Corrupt { path: path.into(), message }
}

pub(crate) fn unsupported(path: &Path, message: String) -> StoreError {
    StoreError::Unsupported { path: path.into(), message }
}

pub(crate) fn not_one(path: &Path, message: String) -> StoreError {
    StoreError::NotOne { path: path.into(), message }
}

pub(crate) fn io(path: &Path, doing: &str, e: &std::io::Error) -> StoreError {
    StoreError::Io { path: path.into(), message: format!("{doing} failed: {}", lower(&e.to_string())), kind: e.kind() }
}

/// A library's message in the style of ours: no capital in front, no full stop behind.
pub(crate) fn lower(message: &str) -> String {
    let text = message.trim().trim_end_matches('.');
    let mut letters = text.chars();
    match (letters.next(), letters.next()) {
        (Some(a), Some(b)) if b.is_lowercase() || b == ' ' => a.to_lowercase().chain(text.chars().skip(1)).collect(),
        _ => text.to_string(),
    }
}

/// Metadata of an image of `channels` interleaved channels (one: no channel axis), with the options applied.
///
/// Gives also how many of the stored channels are kept.
pub(crate) fn image_meta(
    path: &Path,
    spatial: &[u64],
    default_axes: &str,
    channels: usize,
    dtype: DType,
    options: &InputOptions,
) -> Result<(ArrayMeta, usize), StoreError> {
    if spatial.contains(&0) {
        return Err(corrupt(path, format!("the extent {spatial:?} has a zero, expected at least one pixel")));
    }
    let kept = match (options.channels, channels) {
        (Channels::All, n) => n,
        (Channels::Rgb, 3 | 4) => 3,
        (Channels::Rgb, _) => {
            let found = if channels == 1 { "a grey image".into() } else { format!("an image of {channels} channels") };
            let help = "expected red, green and blue; leave `channels: rgb` out to take it as it is";
            return Err(unsupported(path, format!("{found}, {help}")));
        }
    };
    let mut shape = spatial.to_vec();
    let mut letters = default_axes.to_string();
    if kept > 1 {
        shape.push(kept as u64);
        letters.push('c');
    }
    let axes = match &options.axes {
        Some(axes) if axes.rank() == shape.len() => axes.clone(),
        Some(axes) => {
            let n = axes.rank();
            let text = format!("`axes: {axes}` names {n} axes, the file has {}: {shape:?}", shape.len());
            return Err(unsupported(path, text));
        }
        None => Axes::parse(&letters).ok_or_else(|| unsupported(path, format!("no axes named {letters}")))?,
    };
    if kept < channels && axes.position(Axis::C).is_some_and(|at| at + 1 != axes.rank()) {
        return Err(unsupported(
            path,
            format!("`axes: {axes}` puts c elsewhere, expected it last with `channels: rgb`"),
        ));
    }
    Ok((ArrayMeta::new(&shape, dtype, axes), kept))
}

/// Refuses a header that announces more pixels than the file can hold, before anything is allocated for them.
///
/// `raw` is the bytes of all pixels, `expansion` the most bytes that the codec makes of one byte of the file, which has
/// `bytes`.
pub(crate) fn plausible(
    path: &Path,
    (w, h): (u64, u64),
    raw: u64,
    expansion: u64,
    bytes: u64,
) -> Result<(), StoreError> {
    if raw / expansion <= bytes {
        return Ok(());
    }
    let text = format!("{w} x {h} pixels are {raw} bytes, more than {bytes} bytes can hold: damaged or a bomb");
    Err(corrupt(path, text))
}

/// Refuses an image whose extents are not those of its array any more.
pub(crate) fn unchanged(path: &Path, meta: &ArrayMeta, h: u64, w: u64) -> Result<(), StoreError> {
    if meta.shape.get(..2) == Some(&[h, w]) {
        return Ok(());
    }
    Err(corrupt(path, format!("the image is now {h} x {w}: it has changed")))
}

/// Refuses a region that reaches outside the array.
pub(crate) fn inside(path: &Path, region: &Region, meta: &ArrayMeta) -> Result<(), StoreError> {
    let whole = meta.region();
    if region.rank() == whole.rank() && whole.contains(region) {
        return Ok(());
    }
    Err(unsupported(path, format!("the region {region} is not inside the array {whole}")))
}

//! Reading Zarr v2 and v3: plain arrays, sharded ones, levels of OME-Zarr images.
//!
//! What metadata and codecs mean is `zarrs`' business; when a chunk is read, decoded and kept is ours, so that a chunk
//! is decoded once for all who need it and no key is asked for in vain. Only the metadata of the array is read to open
//! it (and of the group of an OME-Zarr image); keys are never listed.

mod chunks;
mod decode;
mod direct;
mod header;
mod node;
mod ome;
mod reader;
mod shard;

pub use chunks::Chunks;
pub(super) use chunks::chunks;

use super::{InputOptions, corrupt, not_one, unsupported};
use crate::store::keys::{self, Keys, Unfinished};
use crate::store::{ArrayReader, StoreError};
use engine_model::catalog::{Access, AxisScale, SourceMeta};
use engine_model::spec::workflow::Channels;
use header::Header;
use node::Node;
use ops_core::{ArrayMeta, Axes, Axis};
use std::path::Path;
use std::sync::Arc;

/// The largest chunk (or chunk of a shard) that is decoded, in bytes.
const LARGEST_CHUNK: u64 = 1 << 30;

/// Metadata of a Zarr array.
pub(super) fn probe(path: &Path, options: &InputOptions) -> Result<SourceMeta, StoreError> {
    let found = find(path, options, &keys::open)?;
    Ok(found.source())
}

/// A reader of a Zarr array that keeps at most `cache` bytes of decoded chunks.
pub(super) fn open(path: &Path, options: &InputOptions, cache: u64) -> Result<Box<dyn ArrayReader>, StoreError> {
    let found = find(path, options, &keys::open)?;
    let cache = cache.min(found.cache_bytes());
    Ok(Box::new(reader::ZarrReader::new(found.store, found.header, found.meta, cache)))
}

/// A reader of an array that may not be complete, in a store that is written where it stays.
pub(super) fn open_unfinished(
    path: &Path,
    options: &InputOptions,
    cache: u64,
) -> Result<Box<dyn ArrayReader>, StoreError> {
    let found = find(path, options, &|path: &Path| Unfinished::of(keys::open(path)?))?;
    let cache = cache.min(found.cache_bytes());
    Ok(Box::new(reader::ZarrReader::new(found.store, found.header, found.meta, cache)))
}

/// Opens a store by its place.
type Open<'a> = &'a dyn Fn(&Path) -> Result<Arc<dyn Keys>, StoreError>;

/// An array that is going to be read.
struct Found {
    store: Arc<dyn Keys>,
    header: Header,
    /// Shape, dtype and axes with the options applied.
    meta: ArrayMeta,
    scales: Vec<AxisScale>,
}

impl Found {
    fn source(&self) -> SourceMeta {
        let h = &self.header;
        let tile = h.unit.iter().zip(&self.meta.shape).map(|(u, n)| (*u).min(*n)).collect();
        SourceMeta {
            cache_bytes: self.cache_bytes(),
            pooled: h.decoder.direct().is_some() && !engine_model::place::is_remote(self.store.root()),
            scales: self.scales.clone(),
            ..SourceMeta::new(self.meta.clone(), Access::Tiles(tile), h.read_bytes())
        }
    }

    fn cache_bytes(&self) -> u64 {
        let h = &self.header;
        engine_model::formats::cache_bytes(&h.shape, &h.unit, h.unit_bytes())
    }
}

/// Finds the one array that a path and the options mean.
fn find(path: &Path, options: &InputOptions, open: Open<'_>) -> Result<Found, StoreError> {
    let store = open(path)?;
    match node::read(&*store)? {
        Node::Array(document) => {
            if let Some(level) = &options.level {
                let help = "`level` chooses from a multiscale group";
                return Err(not_one(path, format!("a single array has no levels, found `level: {level}`; {help}")));
            }
            let names = document.names.clone();
            let header = Header::new(path, document)?;
            let axes = match &options.axes {
                Some(axes) => axes.clone(),
                None => axes_of(path, names.as_deref(), header.shape.len())?,
            };
            found(store, header, axes, Vec::new(), options)
        }
        Node::Group(attributes) => {
            let image = ome::image(&*store, &attributes, options.level.as_ref())?;
            let inside = path.join(&image.dataset);
            let level = open(&inside)?;
            let Node::Array(document) = node::read(&*level)? else {
                let text = format!("the multiscale lists `{}` as a level, which is a group", image.dataset);
                return Err(corrupt(path, text));
            };
            let header = Header::new(&inside, document)?;
            let rank = header.shape.len();
            let own = image.axes(path, rank)?;
            let axes = options.axes.clone().unwrap_or_else(|| own.clone());
            let scales = if axes == own { image.scales(path, &own)? } else { Vec::new() };
            found(level, header, axes, scales, options)
        }
    }
}

/// Puts together what is known, with `channels` applied.
fn found(
    store: Arc<dyn Keys>,
    header: Header,
    axes: Axes,
    scales: Vec<AxisScale>,
    options: &InputOptions,
) -> Result<Found, StoreError> {
    let (path, mut shape) = (store.root(), header.shape.clone());
    if axes.rank() != shape.len() {
        let text = format!("`axes: {axes}` names {} axes, the array has {}: {shape:?}", axes.rank(), shape.len());
        return Err(unsupported(path, text));
    }
    if options.channels == Channels::Rgb {
        match axes.position(Axis::C).map(|p| (p, shape[p])) {
            // Only the first three are ever read.
            Some((p, 3 | 4)) => shape[p] = 3,
            found => {
                let found = found.map_or("no channel axis".to_owned(), |(_, n)| format!("{n} channels"));
                let help = "expected red, green and blue; leave `channels: rgb` out to take it as it is";
                return Err(unsupported(path, format!("{found}, {help}")));
            }
        }
    }
    let meta = ArrayMeta::new(&shape, header.dtype, axes);
    Ok(Found { store, header, meta, scales })
}

/// Axes from the names of the dimensions, or from their number where they have none.
fn axes_of(path: &Path, names: Option<&[Option<String>]>, rank: usize) -> Result<Axes, StoreError> {
    let named: Option<Vec<&str>> = names.and_then(|n| n.iter().map(Option::as_deref).collect());
    if let Some(named) = named {
        let letters: Option<String> = named.iter().map(|n| axis_of(n)).map(|a| a.map(Axis::name)).collect();
        return letters.and_then(|l| Axes::parse(&l)).filter(|a| a.rank() == rank).ok_or_else(|| {
            let text = format!(
                "the dimensions of the array are named {}, expected each of t, c, z, y, x at most once; say with `axes:` \
                 what they are",
                named.join(", ")
            );
            unsupported(path, text)
        });
    }
    let letters = ["x", "yx", "zyx", "czyx", "tczyx"].get(rank.wrapping_sub(1)).filter(|_| rank != 4);
    letters.and_then(|l| Axes::parse(l)).ok_or_else(|| {
        let text = format!("the {rank} dimensions of the array have no names; say with `axes:` what they are");
        unsupported(path, text)
    })
}

/// The axis that a dimension's name means: a letter, or what OME-Zarr calls it.
fn axis_of(name: &str) -> Option<Axis> {
    match name.to_ascii_lowercase().as_str() {
        "time" => Some(Axis::T),
        "channel" => Some(Axis::C),
        one => match (one.chars().next(), one.len()) {
            (Some(c), 1) => Axis::parse(c),
            _ => None,
        },
    }
}

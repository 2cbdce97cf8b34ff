//! What the planner may know of files: their names and metadata, through a trait that the runtime implements.

use crate::place;
use crate::spec::workflow::InputDecl;
use ops_core::{ArrayMeta, Axis};
use std::path::{Path, PathBuf};

/// How elements of a source can be reached.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Access {
    /// Only by decoding all of it in order, as PNG and JPEG.
    Whole,
    /// In tiles or strips of this extent, one for each axis, as tiled TIFF and Zarr.
    Tiles(Vec<u64>),
    /// Any region at no cost beyond its elements, as generated arrays.
    Any,
}

/// What the header of one source says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SourceMeta {
    /// Shape, dtype and axes after the input's options (such as `channels: rgb`) are applied.
    pub array: ArrayMeta,
    /// How it is read.
    pub access: Access,
    /// Bytes that each read takes while it lasts, besides the block asked for: encoded data, what is being decoded.
    pub read_bytes: u64,
    /// Bytes of decoded tiles that an open source keeps so that none is decoded twice, where neighbouring blocks share
    /// them; 0 for a source that keeps none.
    pub cache_bytes: u64,
    /// True where what is read and decoded lies in buffers of the pool.
    pub pooled: bool,
    /// Where the elements lie in space and time, for each axis that the file tells of.
    pub scales: Vec<AxisScale>,
}

impl SourceMeta {
    /// A source that keeps nothing and says nothing of space.
    pub fn new(array: ArrayMeta, access: Access, read_bytes: u64) -> SourceMeta {
        SourceMeta { array, access, read_bytes, cache_bytes: 0, pooled: false, scales: Vec::new() }
    }
}

/// The physical meaning of one axis: element `i` lies at `translation + i * scale`, in `unit`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AxisScale {
    /// The axis.
    pub axis: Axis,
    /// Distance between neighbours.
    pub scale: Real,
    /// Place of the first element.
    pub translation: Real,
    /// The unit, such as `micrometer`; `None` where the file does not say.
    pub unit: Option<String>,
}

/// A float that is equal to another when its bits are, so that metadata can be compared.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Real(u64);

impl Real {
    /// The number.
    pub fn get(self) -> f64 {
        f64::from_bits(self.0)
    }
}

impl From<f64> for Real {
    fn from(v: f64) -> Real {
        Real(v.to_bits())
    }
}

impl std::fmt::Debug for Real {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(&self.get(), f)
    }
}

/// The items of one input: one file, the files of a `foreach`, or generated arrays.
///
/// At most 64 bytes an item are kept besides its file name, and nothing at all for generated items.
#[derive(Debug, Clone, Default)]
pub struct Items {
    count: u64,
    dirs: Vec<PathBuf>,
    /// File names end to end.
    names: String,
    entries: Vec<Entry>,
    distinct: Vec<SourceMeta>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    name_end: u32,
    dir: u32,
    meta: u32,
}

impl Items {
    /// `count` generated items of equal metadata.
    pub fn generated(count: u64, meta: SourceMeta) -> Items {
        Items { count, distinct: vec![meta], ..Items::default() }
    }

    /// Appends a file. Items keep the order they are added in.
    pub fn push(&mut self, path: &Path, meta: SourceMeta) {
        let parent = path.parent().map(Path::to_path_buf).unwrap_or_default();
        let (dir, name) = match place::is_remote(path) && !place::is_remote(&parent) {
            // What is before the host is no directory.
            true => (PathBuf::new(), Some(path.as_os_str())),
            false => (parent, path.file_name()),
        };
        let dir = find_or_push(&mut self.dirs, dir);
        let meta = find_or_push(&mut self.distinct, meta);
        self.names.push_str(&name.map(|n| n.to_string_lossy()).unwrap_or_default());
        self.entries.push(Entry { name_end: self.names.len() as u32, dir, meta });
        self.count += 1;
    }

    /// Number of items.
    pub fn len(&self) -> u64 {
        self.count
    }

    /// True without items.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The file of item `i`; `None` for a generated one.
    pub fn path(&self, i: u64) -> Option<PathBuf> {
        let e = self.entries.get(i as usize)?;
        let start = if i == 0 { 0 } else { self.entries[i as usize - 1].name_end };
        Some(self.dirs[e.dir as usize].join(&self.names[start as usize..e.name_end as usize]))
    }

    /// What names the outputs of item `i`: the file's stem, or the number of a generated item.
    pub fn stem(&self, i: u64) -> String {
        match self.path(i) {
            Some(p) => p.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default(),
            None => i.to_string(),
        }
    }

    /// The number of item `i`'s metadata in [`Items::distinct`].
    pub fn meta_id(&self, i: u64) -> usize {
        self.entries.get(i as usize).map_or(0, |e| e.meta as usize)
    }

    /// The metadata of item `i`.
    pub fn meta(&self, i: u64) -> &SourceMeta {
        &self.distinct[self.meta_id(i)]
    }

    /// Every different metadata among the items, in order of first appearance.
    pub fn distinct(&self) -> &[SourceMeta] {
        &self.distinct
    }
}

fn find_or_push<T: PartialEq>(list: &mut Vec<T>, value: T) -> u32 {
    let at = list.iter().rposition(|v| *v == value).unwrap_or_else(|| {
        list.push(value);
        list.len() - 1
    });
    at as u32
}

/// Why a source can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceProblem {
    /// No file matches.
    NoMatch,
    /// The pattern is not a valid glob.
    Pattern(String),
    /// The file is missing or can't be opened.
    Unreadable(String),
    /// The content is not what its format demands.
    Corrupt(String),
    /// The format, or a feature of it, is not supported.
    Unsupported(String),
    /// The store holds several arrays, or none of that level: which one is meant is not said, or not there.
    NotOne(String),
}

/// A source that can't be used, and which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceError {
    /// The file or pattern.
    pub path: String,
    /// What is wrong with it.
    pub problem: SourceProblem,
    /// Paths that exist and look like it, best first.
    pub similar: Vec<String>,
}

/// Lists sources and reads their headers, never their elements.
pub trait Catalog {
    /// The items of an input, in natural order of their names, and those that can't be used.
    ///
    /// With `on_error: skip` the caller drops the failing ones, else it reports each.
    fn items(&self, input: &InputDecl) -> (Items, Vec<SourceError>);
}

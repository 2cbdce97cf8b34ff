//! The state of every chunk of a Zarr array on disk, so that what was made from the others is still good when one of them
//! was written again.

use super::{Found, InputOptions, find};
use crate::store::StoreError;
use crate::store::keys;
use ops_core::{Index, Region};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::UNIX_EPOCH;

/// The most parts that are told apart when chunks have changed.
const PARTS: usize = 1024;

/// What a store looked like: sizes and times of change of its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunks {
    /// A digest of all that is no chunk: metadata and stray files.
    pub rest: [u8; 16],
    /// Number of chunks (of shards, where it has them) along each axis.
    counts: Vec<u64>,
    /// Extent of one along each axis.
    extent: Vec<u64>,
    /// Those that are there, ascending by their number in C order, with a digest of their state.
    there: Vec<(u64, u64)>,
}

/// Looks at the array that a path and the options mean.
///
/// # Errors
/// When its metadata can't be read.
pub(in crate::store) fn chunks(path: &Path, options: &InputOptions) -> Result<Chunks, StoreError> {
    let Found { store, header, .. } = find(path, options, &keys::open)?;
    let extent: Vec<u64> = match &header.shards {
        Some(shards) => header.unit.iter().zip(&shards.counts).map(|(unit, n)| unit * n).collect(),
        None => header.unit.clone(),
    };
    let counts = header.shape.iter().zip(&extent).map(|(n, e)| n.div_ceil(*e)).collect();
    let mut found = Chunks { rest: [0; 16], counts, extent, there: Vec::new() };
    let mut rest = blake3::Hasher::new();
    // The group says which of its arrays is meant, and which axes it has.
    for key in ["zarr.json", ".zgroup", ".zattrs"] {
        rest.update(&std::fs::read(path.join(key)).unwrap_or_default()).update(&[0]);
    }
    found.walk(store.root(), "", &mut rest);
    found.rest.copy_from_slice(&rest.finalize().as_bytes()[..16]);
    found.there.sort_unstable();
    Ok(found)
}

impl Chunks {
    fn walk(&mut self, dir: &Path, below: &str, rest: &mut blake3::Hasher) {
        let mut entries: Vec<_> = std::fs::read_dir(dir).into_iter().flatten().flatten().collect();
        entries.sort_unstable_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            let Ok(about) = std::fs::metadata(&path) else { continue };
            let key = if below.is_empty() { name } else { format!("{below}/{name}") };
            if about.is_dir() {
                self.walk(&path, &key, rest);
                continue;
            }
            let changed = about.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
            let mut state = blake3::Hasher::new();
            state.update(&about.len().to_le_bytes()).update(&changed.as_nanos().to_le_bytes());
            match self.number(&key) {
                Some(number) => {
                    let mut short = [0; 8];
                    short.copy_from_slice(&state.finalize().as_bytes()[..8]);
                    self.there.push((number, u64::from_le_bytes(short)));
                }
                // What metadata says counts, not when it was written.
                None if about.len() <= 1 << 20 => {
                    rest.update(key.as_bytes()).update(&[0]).update(&std::fs::read(&path).unwrap_or_default());
                }
                None => {
                    rest.update(key.as_bytes()).update(&[0]).update(state.finalize().as_bytes());
                }
            }
        }
    }

    /// The number of the chunk that a key names, whichever way chunks are named: `c/0/1`, `0.1` and the like.
    fn number(&self, key: &str) -> Option<u64> {
        let indices = key.strip_prefix("c/").or_else(|| key.strip_prefix("c.")).unwrap_or(key).split(['/', '.']);
        let (mut number, mut axes) = (0u64, self.counts.iter());
        for text in indices {
            let (index, count): (u64, u64) = (text.parse().ok()?, *axes.next()?);
            number = number.checked_mul(count)?.checked_add(Some(index).filter(|i| *i < count)?)?;
        }
        axes.next().is_none().then_some(number)
    }

    /// The place of a chunk in the array.
    fn region(&self, mut number: u64) -> Region {
        let (mut lo, mut hi) = (Index::new(), Index::new());
        for (count, extent) in self.counts.iter().zip(&self.extent).rev() {
            let index = number % count;
            number /= count;
            lo.insert(0, (index * extent) as i64);
            hi.insert(0, ((index + 1) * extent) as i64);
        }
        Region::new(lo, hi)
    }

    /// Where what was there before is not what is there now; at most 1024 regions, the last one around all that would
    /// be more. Only of use where all that is no chunk is the same.
    pub fn changed_since(&self, before: &Chunks) -> Vec<Region> {
        let (mut old, mut new) = (before.there.iter().peekable(), self.there.iter().peekable());
        let mut changed: Vec<Region> = Vec::new();
        loop {
            let number = match (old.peek(), new.peek()) {
                (None, None) => return changed,
                (Some(a), Some(b)) => a.0.min(b.0),
                (Some(a), None) | (None, Some(a)) => a.0,
            };
            if old.next_if(|c| c.0 == number) != new.next_if(|c| c.0 == number) {
                let region = self.region(number);
                let full = changed.len() == PARTS;
                match changed.last_mut().filter(|_| full) {
                    Some(last) => *last = last.hull(&region),
                    None => changed.push(region),
                }
            }
        }
    }
}

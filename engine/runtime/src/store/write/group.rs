//! Stores of several arrays: a group is made beside its final name and renamed when all of it is there. Behind a URL it is
//! made in its place, its metadata last.

#[cfg(feature = "remote")]
use super::elsewhere;
use super::names::{in_making, partial_name};
use super::replace::give_name;
use crate::store::StoreError;
use crate::store::keys::{Directory, Keys};
use crate::store::read::io;
use engine_model::place;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A group that is complete but for its metadata and its name.
#[derive(Debug)]
pub struct Group<'a> {
    /// Where it goes.
    pub path: &'a Path,
    /// Its metadata documents by key, the one that makes it an image last.
    pub documents: &'a [(String, String)],
    /// Paths of its arrays inside it.
    pub arrays: &'a [String],
    /// Waits until it has reached the disk.
    pub sync: bool,
}

impl Group<'_> {
    /// Writes the metadata and gives the group its name; what had the name is replaced at once. A group that was given
    /// its name already stays as it is.
    ///
    /// # Errors
    /// When storage says no.
    pub fn complete(&self) -> Result<u64, StoreError> {
        #[cfg(feature = "remote")]
        if place::is_remote(self.path) {
            return elsewhere::complete(self);
        }
        let partial = partial_name(self.path);
        if !in_making(&partial) && self.path.is_dir() {
            return Ok(0);
        }
        let store = Directory::create(&partial, self.sync)?;
        self.remove_strays(&partial)?;
        let mut bytes = 0;
        for (key, text) in self.documents {
            bytes += store.put(key, text.as_bytes().into())?;
        }
        give_name(self.path, self.sync)?;
        Ok(bytes)
    }

    /// Removes what an earlier run with other levels has left.
    fn remove_strays(&self, partial: &Path) -> Result<(), StoreError> {
        let first = |path: &String| path.split('/').next().map(str::to_owned);
        let known: BTreeSet<String> = self.arrays.iter().filter_map(first).collect();
        let failed = |e: std::io::Error| io(partial, "removing what an earlier run has left in", &e);
        for entry in fs::read_dir(partial).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_name().to_str().is_none_or(|name| !known.contains(name)) {
                let path = entry.path();
                if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.map_err(failed)?;
            }
        }
        Ok(())
    }
}

/// Where an array of a group is written while the group is not complete.
pub(super) fn inside(group: &Path, array: &str) -> PathBuf {
    if place::is_remote(group) { group.join(array) } else { partial_name(group).join(array) }
}

//! Writing where nothing can be renamed: behind a URL.
//!
//! Keys are put where they stay. A key `.partial` is there from before the first until after the last: it says that the
//! store is not complete, and holds its metadata, which is put in place at the very end. So nobody takes half a store for
//! a whole one, and a run that goes on finds what it left. What stood there before is gone once the new one is begun.

use super::WriteOptions;
use super::zarr::{Documents, Making};
use crate::store::StoreError;
use std::path::Path;

#[cfg(feature = "remote")]
pub(super) use with::{Standing, begin, bytes, complete, standing};

/// This program was built without what it takes.
#[cfg(not(feature = "remote"))]
pub(super) fn begin(path: &Path, _: Documents, _: &WriteOptions) -> Result<(Box<dyn Making>, u64), StoreError> {
    crate::store::keys::open(path).and_then(|keys| Err(super::zarr::another(keys.root())))
}

#[cfg(feature = "remote")]
mod with {
    use super::*;
    use crate::store::keys::{Keys, MARK, marked};
    use crate::store::remote::Remote;
    use crate::store::write::Group;
    use std::collections::BTreeSet;

    /// Keys that make an array or a group of what is below them.
    const METADATA: [&str; 4] = ["zarr.json", ".zarray", ".zgroup", ".zattrs"];

    /// The most bytes of metadata that are compared.
    const LARGEST: u64 = 16 << 20;

    /// What is at a place.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(in crate::store) enum Standing {
        /// Nothing.
        Nothing,
        /// A store that was begun and not completed.
        Unfinished,
        /// A complete store, or anything else.
        There,
    }

    /// Looks at a place.
    pub(in crate::store) fn standing(path: &Path) -> Result<Standing, StoreError> {
        let remote = Remote::open(path)?;
        if remote.has(MARK)? {
            return Ok(Standing::Unfinished);
        }
        let mut found = Standing::Nothing;
        remote.list("", |_, _| {
            found = Standing::There;
            false
        })?;
        Ok(found)
    }

    /// Bytes of all keys below a place.
    pub(in crate::store) fn bytes(path: &Path) -> Result<u64, StoreError> {
        let mut sum = 0;
        Remote::open(path)?.list("", |_, stamp| {
            sum += stamp.bytes;
            true
        })?;
        Ok(sum)
    }

    struct InPlace {
        keys: Remote,
        documents: Documents,
    }

    pub(in crate::store::write) fn begin(
        path: &Path,
        documents: Documents,
        options: &WriteOptions,
    ) -> Result<(Box<dyn Making>, u64), StoreError> {
        let keys = Remote::open(path)?;
        if let Some(group) = &options.group {
            group_begun(group, path)?;
        }
        let mark = marked(&documents);
        let mut bytes = 0;
        if options.resume {
            match keys.get(MARK, LARGEST)? {
                Some(found) if found == mark => {}
                Some(_) => return Err(super::super::zarr::another(path)),
                // A run may have been killed after it completed the store, and before it could tell so.
                None => {
                    for (key, text) in &documents {
                        if keys.get(key, LARGEST)?.as_deref() != Some(text.as_bytes()) {
                            return Err(super::super::zarr::another(path));
                        }
                    }
                    bytes += keys.put(MARK, mark.into())?;
                    METADATA.iter().try_for_each(|key| keys.remove(key))?;
                }
            }
        } else {
            bytes += keys.put(MARK, mark.into())?;
            // Whoever reads the old one hears that it is gone before its chunks go.
            METADATA.iter().try_for_each(|key| keys.remove(key))?;
            keys.clear("", |key| key == MARK)?;
        }
        Ok((Box::new(InPlace { keys, documents }), bytes))
    }

    impl Making for InPlace {
        fn keys(&self) -> &dyn Keys {
            &self.keys
        }

        fn complete(&self) -> Result<u64, StoreError> {
            if self.keys.get(MARK, LARGEST)?.is_none_or(|mark| mark != marked(&self.documents)) {
                return Err(super::super::zarr::went_away(self.keys.root()));
            }
            let mut bytes = 0;
            for (key, text) in &self.documents {
                bytes += self.keys.put(key, text.as_bytes().into())?;
            }
            self.keys.remove(MARK)?;
            Ok(bytes)
        }

        fn remove(&self) {
            // The mark goes last: what can't be removed still says that it is partial.
            let _ = self.keys.clear("", |key| key == MARK).and_then(|()| self.keys.remove(MARK));
        }
    }

    /// An array of a group is about to be written: neither the group nor what is between them is complete any more.
    pub(in crate::store::write) fn group_begun(group: &Path, array: &Path) -> Result<(), StoreError> {
        let keys = Remote::open(group)?;
        if !keys.has(MARK)? {
            keys.put(MARK, marked::<&str>(&[]).into())?;
        }
        let between = array.strip_prefix(group).unwrap_or(Path::new("")).ancestors().skip(1);
        for above in between.filter_map(Path::to_str) {
            for key in METADATA {
                keys.remove(&if above.is_empty() { key.to_owned() } else { format!("{above}/{key}") })?;
            }
        }
        Ok(())
    }

    /// Puts the metadata of a group in place; one that is complete stays as it is.
    pub(in crate::store::write) fn complete(group: &Group<'_>) -> Result<u64, StoreError> {
        let keys = Remote::open(group.path)?;
        let last = group.documents.last().map_or("", |(key, _)| key);
        if !keys.has(MARK)? && keys.has(last)? {
            return Ok(0);
        }
        // What an earlier run with other levels has left.
        let known: BTreeSet<&str> = group.arrays.iter().filter_map(|path| path.split('/').next()).collect();
        keys.clear("", |key| key == MARK || key.split_once('/').is_some_and(|(first, _)| known.contains(first)))?;
        let mut bytes = 0;
        for (key, text) in group.documents {
            bytes += keys.put(key, text.as_bytes().into())?;
        }
        keys.remove(MARK)?;
        Ok(bytes)
    }
}

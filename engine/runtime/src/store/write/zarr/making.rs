//! A store while it is being written, and how it becomes complete: in a directory beside its final name that is renamed,
//! or, where nothing can be renamed, in its final place with its metadata put last.

use crate::store::StoreError;
use crate::store::keys::{Directory, Keys};
use crate::store::read::{corrupt, io};
use crate::store::write::names::{in_making, partial_name};
use crate::store::write::replace::{clear, give_name, remove, take_up};
use crate::store::write::{WriteOptions, elsewhere};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Metadata documents by their keys, the one that makes it an array last.
pub(in crate::store::write) type Documents = Vec<(&'static str, String)>;

/// A store that is being written.
pub(in crate::store::write) trait Making: Send + Sync {
    /// Where its keys go.
    fn keys(&self) -> &dyn Keys;

    /// Nothing is missing any more: it is what its name says from now on. Gives the bytes that this took.
    fn complete(&self) -> Result<u64, StoreError>;

    /// Removes what was written.
    fn remove(&self);
}

/// Begins a store, or takes up what an earlier writer left of it; gives the bytes that this took.
pub(super) fn begin(
    path: &Path,
    documents: Documents,
    options: &WriteOptions,
) -> Result<(Box<dyn Making>, u64), StoreError> {
    match engine_model::place::is_remote(path) {
        true => elsewhere::begin(path, documents, options),
        false => Beside::begin(path, &documents, options).map(|(store, bytes)| (Box::new(store) as Box<_>, bytes)),
    }
}

/// Why a run that goes on can't.
pub(in crate::store::write) fn another(path: &Path) -> StoreError {
    let text = "expected the part of the array that an earlier run left, found another or none";
    corrupt(path, format!("{text}; remove the run's Reports/journal to begin afresh"))
}

/// A directory beside the final name.
struct Beside {
    path: PathBuf,
    keys: Directory,
    documents: Documents,
    sync: bool,
}

/// True where all documents are there as they were written.
fn stand(root: &Path, documents: &Documents) -> bool {
    documents.iter().all(|(key, text)| fs::read(root.join(key)).is_ok_and(|old| old == text.as_bytes()))
}

/// What was written is not there any more, so that it can't be completed.
pub(in crate::store::write) fn went_away(path: &Path) -> StoreError {
    let message = "the store went away, or was changed by someone else, while it was written".into();
    StoreError::Io { path: path.into(), message, kind: ErrorKind::NotFound }
}

impl Beside {
    fn begin(path: &Path, documents: &Documents, options: &WriteOptions) -> Result<(Beside, u64), StoreError> {
        let partial = partial_name(path);
        let same = |root: &Path| stand(root, documents);
        if options.resume {
            // A run may have been killed after it gave the store its name, and before it could tell so.
            if in_making(&partial) || same(path) {
                take_up(path).map_err(|e| io(path, "taking up", &e))?;
            }
            if !same(&partial) {
                return Err(another(&partial));
            }
        } else {
            // What a run that was killed has left.
            clear(path).and_then(|()| remove(&partial)).map_err(|e| io(&partial, "removing", &e))?;
        }
        let keys = Directory::create(&partial, options.sync)?;
        let mut bytes = 0;
        if !options.resume {
            for (key, text) in documents {
                bytes += keys.put(key, text.as_bytes().into())?;
            }
        }
        Ok((Beside { path: path.into(), keys, documents: documents.clone(), sync: options.sync }, bytes))
    }
}

impl Making for Beside {
    fn keys(&self) -> &dyn Keys {
        &self.keys
    }

    fn complete(&self) -> Result<u64, StoreError> {
        if !stand(self.keys.root(), &self.documents) {
            return Err(went_away(self.keys.root()));
        }
        give_name(&self.path, self.sync).map(|()| 0)
    }

    fn remove(&self) {
        // Nothing can be done about a store that can't be removed; its name says that it is partial.
        let _ = fs::remove_dir_all(self.keys.root());
    }
}

//! Giving a complete file or store its name, in the place of what had it before.
//!
//! The name is never without one of the two, and a run that is killed meanwhile leaves what tells them apart: what is
//! replaced is marked before they change places, so that it is never taken for what was being made.

use super::names::{REPLACED, in_making, partial_name, replaced_name};
use crate::store::StoreError;
use crate::store::read::io;
use std::fs::{self, File};
use std::io::{self as std_io, ErrorKind};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Gives what was made under its partial name the name itself; what has the name already is replaced at once and then
/// removed.
///
/// With `sync` the name has reached the disk when this returns.
///
/// # Errors
/// When the file system says no; then what had the name still has it.
pub(super) fn give_name(path: &Path, sync: bool) -> Result<(), StoreError> {
    let failed = |e: std_io::Error| io(path, "giving it its name", &e);
    let partial = partial_name(path);
    // A file is renamed over another, but no directory over anything, nor anything over one.
    let replaces = path.is_dir() || (path.exists() && partial.is_dir());
    let named = if replaces { change_places(&partial, path) } else { fs::rename(&partial, path) };
    named.map_err(failed)?;
    if sync {
        sync_parent(path).map_err(failed)?;
    }
    match replaces {
        true => remove(&replaced_name(path)).map_err(|e| io(path, "removing what it replaced", &e)),
        false => Ok(()),
    }
}

/// Puts what was made in the place of what is there, which gets the name of what is replaced.
fn change_places(partial: &Path, path: &Path) -> std_io::Result<()> {
    let aside = replaced_name(path);
    // What a run that was killed has left.
    remove(&aside)?;
    if path.is_dir() {
        File::create(path.join(REPLACED))?;
    }
    if exchange(partial, path).inspect_err(|_| unmark(path))? {
        return fs::rename(partial, &aside);
    }
    unmark(path);
    // For a moment the name is without either; each has one that tells which it is.
    fs::rename(path, &aside)?;
    fs::rename(partial, path).inspect_err(|_| {
        // The old one gets its name back; what matters is the error.
        let _ = fs::rename(&aside, path);
    })
}

/// Takes the mark off what stays where it is; one that can't be taken off does no harm there.
fn unmark(path: &Path) {
    let _ = fs::remove_file(path.join(REPLACED));
}

/// Removes what a run has replaced that was killed before it could.
pub(super) fn clear(path: &Path) -> std_io::Result<()> {
    let (partial, aside) = (partial_name(path), replaced_name(path));
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    if partial.exists() && !in_making(&partial) {
        remove(&aside)?;
        fs::rename(&partial, &aside)?;
    }
    if path.exists() { remove(&aside) } else { Ok(()) }
}

/// Makes a store that may have its name already one that is being made again.
pub(super) fn take_up(path: &Path) -> std_io::Result<()> {
    clear(path)?;
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let partial = partial_name(path);
    if partial.exists() || !path.exists() { Ok(()) } else { fs::rename(path, partial) }
}

/// Held by who looks at what is there before it is given another name.
static ONE: Mutex<()> = Mutex::new(());

/// Removes a file or directory, where there is one; of a link to one the link only. The metadata of a store goes first, so that
/// who still reads it is told that it went away, and takes no chunk that was removed for one of the fill value.
pub(super) fn remove(path: &Path) -> std_io::Result<()> {
    let found = fs::symlink_metadata(path);
    let removed = match found {
        Ok(about) if about.is_dir() => {
            forget(path);
            fs::remove_dir_all(path)
        }
        Ok(_) => {
            // What a link leads to stays as it is.
            unmark(path);
            fs::remove_file(path)
        }
        Err(e) => Err(e),
    };
    match removed {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Removes what makes directories stores.
fn forget(store: &Path) {
    let metadata = ["zarr.json", ".zarray", ".zgroup"].map(|name| fs::remove_file(store.join(name)).is_ok());
    if metadata.contains(&true) {
        let entries = fs::read_dir(store).into_iter().flatten().flatten().map(|e| e.path());
        entries.filter(|path| path.is_dir() && !path.is_symlink()).for_each(|path| forget(&path));
    }
}

/// Lets two paths change places in one step; false where the system can't.
fn exchange(a: &Path, b: &Path) -> std_io::Result<bool> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        match renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE).map_err(std_io::Error::from) {
            Ok(()) => Ok(true),
            Err(e) if matches!(e.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(false),
            Err(e) => Err(e),
        }
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (a, b);
        Ok(false)
    }
}

/// Waits until the names in the directory of a path have reached the disk.
pub(in crate::store) fn sync_parent(path: &Path) -> std_io::Result<()> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Only there can a directory be opened as a file.
    if cfg!(unix) { File::open(parent)?.sync_all() } else { Ok(()) }
}

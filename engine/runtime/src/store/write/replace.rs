//! Giving a complete file or store its name, in the place of what had it before.

use super::sink::beside;
use crate::store::StoreError;
use crate::store::read::io;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;

/// Renames a complete file or store; what has the name already is replaced at once and then removed.
///
/// With `sync` the name has reached the disk when this returns.
///
/// # Errors
/// When the file system says no; then what had the name still has it.
pub(super) fn give_name(complete: &Path, path: &Path, sync: bool) -> Result<(), StoreError> {
    let failed = |e: &std::io::Error| io(path, "giving it its name", e);
    if path.is_dir() {
        // A directory can't be renamed over another: they change places, or the old one steps aside first.
        if !exchange(complete, path).map_err(|e| failed(&e))? {
            let aside = beside(path, ".replaced");
            fs::rename(path, &aside).map_err(|e| failed(&e))?;
            if let Err(e) = fs::rename(complete, path) {
                // The old one gets its name back; what matters is the error.
                let _ = fs::rename(&aside, path);
                return Err(failed(&e));
            }
            fs::rename(&aside, complete).map_err(|e| failed(&e))?;
        }
        forget(complete);
        fs::remove_dir_all(complete).map_err(|e| io(complete, "removing what was replaced", &e))?;
    } else {
        fs::rename(complete, path).map_err(|e| failed(&e))?;
    }
    if sync { sync_parent(path).map_err(|e| failed(&e)) } else { Ok(()) }
}

/// Removes the metadata of what was replaced before its chunks: who still reads under this name is told that it went away, and
/// takes no chunk that was removed for one of the fill value.
fn forget(store: &Path) {
    let metadata = ["zarr.json", ".zarray", ".zgroup"].map(|name| fs::remove_file(store.join(name)).is_ok());
    if metadata.contains(&true) {
        let entries = fs::read_dir(store).into_iter().flatten().flatten().map(|e| e.path());
        entries.filter(|path| path.is_dir()).for_each(|path| forget(&path));
    }
}

/// Lets two paths change places in one step; false where the system can't.
fn exchange(a: &Path, b: &Path) -> std::io::Result<bool> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        match renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE).map_err(std::io::Error::from) {
            Ok(()) => Ok(true),
            Err(e) if matches!(e.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(false),
            Err(e) => Err(e),
        }
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (a, b, ErrorKind::Unsupported);
        Ok(false)
    }
}

/// Waits until the names in the directory of a path have reached the disk.
pub(in crate::store) fn sync_parent(path: &Path) -> std::io::Result<()> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Only there can a directory be opened as a file.
    if cfg!(unix) { File::open(parent)?.sync_all() } else { Ok(()) }
}

//! What files and stores are called until they are complete, and which of two that bear an output's names is the one that is
//! being made.

use engine_model::place;
use std::path::{Path, PathBuf};

/// The key in a store that says that another one has taken its place, or is about to.
pub(super) const REPLACED: &str = ".replaced";

/// How deep the arrays of a group lie in it.
const DEPTH: usize = 3;

/// The name that a file has until it is complete.
pub(in crate::store) fn partial_name(path: &Path) -> PathBuf {
    beside(path, ".partial")
}

/// The name of what stood in the place of a complete file while it is removed.
pub(super) fn replaced_name(path: &Path) -> PathBuf {
    beside(path, REPLACED)
}

/// The same path with more behind its name.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(suffix);
    path.with_file_name(name)
}

/// True where something is being made under the name, rather than that what was replaced has not left it yet.
pub(super) fn in_making(partial: &Path) -> bool {
    partial.exists() && !partial.join(REPLACED).exists()
}

/// The name under which a path is found now: that of what is being made, or its own.
fn now(path: &Path) -> PathBuf {
    Some(partial_name(path)).filter(|partial| in_making(partial)).unwrap_or_else(|| path.into())
}

/// The directory of a path as it is named now, which may be a group that is not complete, and those above it.
fn within(path: &Path, depth: usize) -> PathBuf {
    match (path.parent(), path.file_name()) {
        (Some(above), Some(name)) if depth > 0 && above.file_name().is_some() => {
            now(&within(above, depth - 1)).join(name)
        }
        _ => path.into(),
    }
}

/// Where a file or store is that belongs at a path, being complete: there, or inside a group that is not complete yet.
pub fn location(path: &Path) -> Option<PathBuf> {
    #[cfg(feature = "remote")]
    if place::is_remote(path) {
        use super::elsewhere::{Standing, standing};
        // Where it can't be asked it is taken to be there: whoever needs it will hear.
        let there = standing(path).map_or(true, |s| s == Standing::There);
        return there.then(|| path.to_path_buf());
    }
    Some(within(path, DEPTH)).filter(|p| p.exists())
}

/// Where what a run has written of a store lies, complete or not.
pub fn left(path: &Path) -> PathBuf {
    if place::is_remote(path) { path.into() } else { now(&within(path, DEPTH)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::create_dir_all;

    #[test]
    fn what_is_being_made_comes_before_what_it_will_replace() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let array = at("x.zarr/0");
        assert_eq!((left(&array), location(&array)), (array.clone(), None));
        for there in ["x.zarr/0", "x.zarr.partial/0", "x.zarr.partial/0.partial"] {
            create_dir_all(at(there)).unwrap();
            assert_eq!(left(&array), at(there));
        }
        assert_eq!(location(&array), Some(at("x.zarr.partial/0")));
        std::fs::write(at("x.zarr.partial/0.partial/.replaced"), "").unwrap();
        assert_eq!(left(&array), at("x.zarr.partial/0"));
        // The group has its name, and what it took it from has not gone yet.
        std::fs::write(at("x.zarr.partial/.replaced"), "").unwrap();
        assert_eq!((left(&array), location(&array)), (array.clone(), Some(array)));
    }
}

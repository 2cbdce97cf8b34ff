//! What a directory holds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Every file below a directory, by its path from there.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_path_buf()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(&next).unwrap_or_else(|e| panic!("{}: {e}", next.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() { open.push(path) } else { found.push(path) }
        }
    }
    found.iter_mut().for_each(|p| *p = p.strip_prefix(dir).unwrap().to_path_buf());
    found.sort();
    found
}

/// Digest of every file below a directory.
pub fn digests(dir: &Path) -> BTreeMap<PathBuf, String> {
    let digest = |p: PathBuf| (p.clone(), super::pixels::sha256(&std::fs::read(dir.join(&p)).unwrap()));
    files(dir).into_iter().map(digest).collect()
}

/// Bytes of all files below a directory.
pub fn size(dir: &Path) -> u64 {
    files(dir).into_iter().map(|p| std::fs::metadata(dir.join(p)).unwrap().len()).sum()
}

/// Copies a directory with all that is below it.
pub fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let path = to.join(&file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::copy(from.join(&file), path).unwrap();
    }
}

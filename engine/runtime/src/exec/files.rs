//! What tells a file of an input from what it was when a run read it.
//!
//! That is its state: size, times and number. A file of another state may still hold the same, when it was copied or
//! touched; so a run tells the journal what small files hold, and what holds the same counts as the same.

use super::keys::short;
use crate::journal::{Entry, Journal, Key};
use std::fs::{self, File, Metadata};
use std::io;
use std::path::Path;
use std::time::UNIX_EPOCH;

/// Larger files are told by their state alone.
const LARGEST: u64 = 64 << 20;

/// What a file, or a directory with all that is below it, is told by: equal for two that hold the same.
pub(super) fn identity(journal: &Journal, path: &Path) -> Key {
    let Ok(meta) = fs::metadata(path) else { return Key::default() };
    let now = state(path, &meta);
    if !small(&meta) {
        return now;
    }
    match journal.known().file(&name(path)) {
        // Read only where it is not plain that it is as it was.
        Some((then, held)) if then != now && content(path).is_ok_and(|holds| holds == held) => then,
        _ => now,
    }
}

/// Tells the journal what a file holds that is about to be read; no more than once for each of its states.
///
/// # Errors
/// When the journal can't be written. A file that can't be read is told of by who reads it.
pub(super) fn tell(journal: &Journal, path: &Path) -> io::Result<()> {
    let Some(meta) = fs::metadata(path).ok().filter(small) else { return Ok(()) };
    let (key, now) = (name(path), state(path, &meta));
    let known = journal.known().file(&key);
    if known.is_some_and(|(then, _)| then == now) {
        return Ok(());
    }
    let Ok(holds) = content(path) else { return Ok(()) };
    // What was made from it counts by the state it had first.
    match known.is_some_and(|(_, held)| held == holds) {
        true => Ok(()),
        false => journal.append(&[Entry::File { key, state: now, content: holds }]),
    }
}

fn small(meta: &Metadata) -> bool {
    meta.is_file() && meta.len() <= LARGEST
}

/// What a path is called in the journal.
fn name(path: &Path) -> Key {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.into());
    let mut digest = blake3::Hasher::new();
    short(digest.update(absolute.as_os_str().as_encoded_bytes()))
}

fn content(path: &Path) -> io::Result<Key> {
    let mut digest = blake3::Hasher::new();
    digest.update_reader(File::open(path)?)?;
    Ok(short(&digest))
}

fn state(path: &Path, meta: &Metadata) -> Key {
    let mut digest = blake3::Hasher::new();
    add(&mut digest, path, meta);
    short(&digest)
}

/// Adds the state of a file, or the names and states of all files below a directory.
fn add(digest: &mut blake3::Hasher, path: &Path, meta: &Metadata) {
    if meta.is_dir() {
        let mut names: Vec<_> = fs::read_dir(path).into_iter().flatten().flatten().map(|e| e.path()).collect();
        names.sort_unstable();
        for name in names {
            digest.update(name.file_name().unwrap_or_default().as_encoded_bytes()).update(&[0]);
            match fs::metadata(&name) {
                Ok(meta) => add(digest, &name, &meta),
                Err(_) => {
                    digest.update(b"gone");
                }
            }
        }
        return;
    }
    let changed = meta.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    digest.update(&meta.len().to_le_bytes()).update(&changed.as_nanos().to_le_bytes());
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        digest.update(&meta.ino().to_le_bytes());
        // A time of change that was set back does not hide a change.
        digest.update(&meta.ctime().to_le_bytes()).update(&meta.ctime_nsec().to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_the_same_counts_as_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let (file, other) = (dir.path().join("a.png"), dir.path().join("b.png"));
        fs::write(&file, "one").unwrap();
        let journal = Journal::create(&dir.path().join("journal"), false).unwrap();
        let first = identity(&journal, &file);
        assert_eq!(first, identity(&journal, &file));
        tell(&journal, &file).unwrap();
        drop(journal);
        let again = || Journal::open(&dir.path().join("journal"), false).unwrap();
        // Copied over: another state, and the same content.
        fs::write(&other, "one").unwrap();
        fs::rename(&other, &file).unwrap();
        let journal = again();
        assert_eq!(identity(&journal, &file), first);
        tell(&journal, &file).unwrap();
        drop(journal);
        assert_eq!(identity(&again(), &file), first);
        // As long as it was, and another.
        fs::write(&file, "two").unwrap();
        let second = identity(&again(), &file);
        assert_ne!(second, first);
        let journal = again();
        tell(&journal, &file).unwrap();
        drop(journal);
        assert_eq!(identity(&again(), &file), second);
        fs::remove_file(&file).unwrap();
        assert_ne!(identity(&again(), &file), second);
    }
}

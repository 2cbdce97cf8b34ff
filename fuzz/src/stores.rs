//! What lies in directories: Zarr stores, and the journal that a run goes on from.

use super::image;
use super::place::Place;
use engine_model::spec::workflow::Channels;
use engine_runtime::journal::Journal;
use engine_runtime::store::read::InputOptions;
use std::path::Path;

/// What stands before the name of each file of a store; the name ends with its line.
const FILE: &[u8] = b"\n%% ";

/// A Zarr store: its files one after the other, each after a line with its name.
pub fn zarr(data: &[u8]) {
    let place = Place::new("zarr", &[]);
    let root = place.path().join("store");
    std::fs::create_dir_all(&root).expect("a place for temporary files");
    let mut rest = data;
    while let Some(at) = find(rest, FILE) {
        rest = &rest[at + FILE.len()..];
        let Some(end) = find(rest, b"\n") else { break };
        let (name, content) = (&rest[..end], &rest[end + 1..]);
        let value = &content[..find(content, FILE).unwrap_or(content.len())];
        if let Some(name) = std::str::from_utf8(name).ok().filter(|n| inside(n)) {
            put(&root.join(name), value);
        }
        rest = content;
    }
    image::read(&root, &InputOptions { channels: Channels::All, axes: None, level: None });
}

/// The journal of a run.
pub fn journal(data: &[u8]) {
    thread_local!(static PLACE: Place = Place::new("journal", &[("journal", b"")]));
    PLACE.with(|place| {
        let path = place.path().join("journal");
        std::fs::write(&path, data).expect("a place for temporary files");
        match Journal::look(&path) {
            Err(e) => assert!(e.kind() == std::io::ErrorKind::InvalidData, "{e}"),
            Ok(journal) => {
                let _ = journal.known().is_empty();
            }
        }
        // What is not whole is cut off, and what is left is read again as it was.
        if let Ok(journal) = Journal::open(&path, false) {
            let empty = journal.known().is_empty();
            drop(journal);
            let again = Journal::look(&path).expect("a journal that was opened");
            assert_eq!(again.known().is_empty(), empty);
        }
    });
}

fn find(data: &[u8], what: &[u8]) -> Option<usize> {
    data.windows(what.len()).position(|w| w == what)
}

/// True for the name of a file below the store, not too deep in it.
fn inside(name: &str) -> bool {
    let part = |p: &str| !p.is_empty() && p != "." && p != ".." && p.len() < 64 && !p.contains('\0');
    name.split('/').count() < 8 && name.split('/').all(part)
}

/// Writes a file, unless another has its place.
fn put(path: &Path, value: &[u8]) {
    if let Some(dir) = path.parent()
        && std::fs::create_dir_all(dir).is_ok()
    {
        let _ = std::fs::write(path, value);
    }
}

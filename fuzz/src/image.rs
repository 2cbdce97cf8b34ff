//! Images: the header, the whole image, and regions of it, which have to agree.

use super::place::Place;
use engine_model::catalog::Access;
use engine_model::spec::workflow::Channels;
use engine_runtime::store::StoreError;
use engine_runtime::store::read::{InputOptions, open, probe};
use ops_core::{ArrayMeta, Index, Pool, Region};
use std::path::Path;

/// What an image may announce that it takes before it is left alone: a file of few bytes may rightly be a large image.
const BUDGET: u64 = 48 << 20;

/// A PNG file.
pub fn png(data: &[u8]) {
    if data.starts_with(&[0x89, b'P']) {
        image(data);
    }
}

/// A JPEG file.
pub fn jpeg(data: &[u8]) {
    if data.starts_with(&[0xff, 0xd8]) {
        image(data);
    }
}

/// A TIFF file.
pub fn tiff(data: &[u8]) {
    if data.starts_with(b"II") || data.starts_with(b"MM") {
        image(data);
    }
}

thread_local!(static PLACE: Place = Place::new("image", &[("image", b"")]));

fn image(data: &[u8]) {
    PLACE.with(|place| {
        let path = place.path().join("image");
        std::fs::write(&path, data).expect("a place for temporary files");
        for channels in [Channels::All, Channels::Rgb] {
            read(&path, &InputOptions { channels, axes: None, level: None });
        }
    });
}

/// The header and the elements of an image or a store; damage may end it at any point, by an error that says what is wrong.
pub(crate) fn read(path: &Path, options: &InputOptions) {
    let (source, reader) = match probe(path, options) {
        Err(e) => {
            said(&e);
            assert!(open(path, options).is_err(), "opened though the header is refused: {e}");
            return;
        }
        Ok(source) => match open(path, options) {
            Ok(reader) => (source, reader),
            Err(e) => panic!("refused though the header is read: {e}"),
        },
    };
    let meta = &source.array;
    let pool = Pool::default();
    let parts = parts(meta, &source.access);
    if source.read_bytes.saturating_add(meta.bytes()) <= BUDGET {
        match reader.read(&meta.region(), &pool) {
            Err(e) => said(&e),
            Ok((whole, _)) => {
                for part in &parts {
                    let (block, _) = reader.read(part, &pool).unwrap_or_else(|e| panic!("{part} of {meta}: {e}"));
                    assert_eq!(block.bytes(), whole.cut(&pool, part).bytes(), "{part} of {meta}");
                }
                return;
            }
        }
    }
    if source.read_bytes <= BUDGET && (source.access != Access::Whole || meta.bytes() <= BUDGET) {
        for part in parts.iter().filter(|p| p.volume().saturating_mul(8) <= BUDGET) {
            if let Err(e) = reader.read(part, &pool) {
                said(&e);
            }
        }
    }
}

/// Regions at the start, across the first tile's edge, at the end, and an empty one.
fn parts(meta: &ArrayMeta, access: &Access) -> Vec<Region> {
    let region = |lo: &dyn Fn(usize) -> u64, len: &dyn Fn(usize) -> u64| {
        let lo: Index = (0..meta.rank()).map(|a| lo(a).min(meta.shape[a] - 1) as i64).collect();
        let hi: Index =
            (0..meta.rank()).map(|a| (lo[a] as u64).saturating_add(len(a)).min(meta.shape[a]) as i64).collect();
        Region::new(lo, hi)
    };
    let tile = |a: usize| match access {
        Access::Tiles(extent) => extent[a],
        _ => meta.shape[a] / 2,
    };
    vec![
        region(&|_| 0, &|_| 1),
        region(&|a| tile(a).saturating_sub(1), &|_| 2),
        region(&|a| meta.shape[a] - 1, &|_| 1),
        region(&|a| meta.shape[a] / 3, &|_| 0),
    ]
}

/// An error of damage is in words, and of the file: the file system itself has no reason to refuse, but where a part of a
/// store is not there, or is no file.
fn said(e: &StoreError) {
    use std::io::ErrorKind::{InvalidFilename, IsADirectory, NotADirectory, NotFound};
    let absent = |k: std::io::ErrorKind| matches!(k, InvalidFilename | IsADirectory | NotADirectory | NotFound);
    assert!(!matches!(e, StoreError::Io { path, kind, .. } if path.is_file() || !absent(*kind)), "{e}");
    assert!(!e.to_string().contains('\n'), "{e}");
}

//! Opening what a run has written, or an earlier one has left, while it is still being completed.

use super::{InputOptions, is_remote, zarr};
use crate::store::{ArrayReader, StoreError, write};
use std::io::ErrorKind;
use std::path::Path;

/// How often a store is looked for again that gets another name meanwhile: it does so when it is taken up, when it is complete,
/// and when the group is that it lies in.
const AGAIN: usize = 8;

/// Opens the Zarr array that belongs at a path, wherever it is now, complete or not; at most `cache` bytes of decoded chunks are
/// kept. It stays open when it gets its name, in the place of another of the same kind or not.
///
/// # Errors
/// As [`super::probe`].
pub fn open_left(path: &Path, options: &InputOptions, cache: u64) -> Result<Box<dyn ArrayReader>, StoreError> {
    if is_remote(path) {
        // There nothing is renamed.
        return zarr::open_unfinished(path, options, cache);
    }
    for _ in 0..AGAIN {
        let at = write::left(path);
        let opened = zarr::open(&at, options, cache);
        // What had the name before would be another store: it is marked before it gets that of this one.
        if write::left(path) == at {
            return opened;
        }
    }
    let message =
        "what the run has written there is given other names all the time: something else writes to it".into();
    Err(StoreError::Io { path: path.into(), message, kind: ErrorKind::Other })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ArrayWriter;
    use crate::store::write::{Compressor, WriteOptions, ZarrCodec, create};
    use engine_model::spec::workflow::Format;
    use ops_core::{ArrayMeta, Axes, Block, DType, Index, Pool, Region};
    use std::sync::atomic::{AtomicBool, Ordering};

    fn meta() -> ArrayMeta {
        ArrayMeta::new(&[32, 32], DType::UInt8, Axes::parse("yx").unwrap())
    }

    fn filled(value: u8) -> Block {
        let n = meta().volume() as usize;
        Block::adopt(DType::UInt8, meta().region(), vec![value; n]).unwrap()
    }

    /// A store of 64 chunks that is complete but for its name.
    fn unnamed(path: &Path, value: u8, resume: bool) -> Box<dyn ArrayWriter> {
        let options = WriteOptions {
            chunks: Some(vec![4, 4]),
            codec: ZarrCodec::of(Compressor::None),
            resume,
            ..WriteOptions::default()
        };
        let writer = create(Format::Zarr, path, &meta(), &options).unwrap();
        if resume {
            writer.resumed(meta().volume());
        } else {
            writer.write(&filled(value)).unwrap();
        }
        writer
    }

    #[test]
    fn what_is_replaced_is_never_read_for_what_replaces_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.zarr");
        unnamed(&path, 0, false).finish().unwrap();
        let pool = Pool::default();
        let part = Region::new(Index::from_slice(&[2, 3]), Index::from_slice(&[31, 30]));
        for value in 1..=60 {
            let writer = unnamed(&path, value, false);
            let left = open_left(&path, &InputOptions::default(), 0).unwrap();
            let named = AtomicBool::new(false);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    writer.finish().unwrap();
                    // Another run takes it up again.
                    let writer = unnamed(&path, value, true);
                    writer.finish().unwrap();
                    named.store(true, Ordering::Relaxed);
                });
                let mut last = false;
                while !last {
                    last = named.load(Ordering::Relaxed);
                    let (block, _) = left.read(&part, &pool).unwrap();
                    assert!(block.bytes().iter().all(|v| *v == value), "{value}");
                }
            });
        }
        let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["x.zarr"]);
    }

    #[test]
    fn one_that_is_gone_is_no_endless_search() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.zarr");
        assert!(open_left(&path, &InputOptions::default(), 0).is_err());
        unnamed(&path, 7, false).finish().unwrap();
        let left = open_left(&path, &InputOptions::default(), 0).unwrap();
        std::fs::remove_dir_all(&path).unwrap();
        let e = left.read(&meta().region(), &Pool::default()).unwrap_err();
        assert!(e.to_string().contains("went away"), "{e}");
    }
}

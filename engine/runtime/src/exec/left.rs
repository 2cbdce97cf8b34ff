//! Reading what a run has written, or an earlier one has left, while it is still being completed.

use super::item::lock;
use crate::store::read::{self, InputOptions};
use crate::store::{ArrayReader, StoreError, write};
use engine_model::place;
use ops_core::{Axes, Block, Pool, Region};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// How often a store is looked for again that changes its name while it is read: it does so at most when it is taken up, when
/// it is complete, and when the group is that it lies in.
const AGAIN: usize = 8;

/// A Zarr array that may get its name while it is read, in the place of another of the same kind.
///
/// What was read counts only if the store still has the name under which it was read. A store that was replaced can't be
/// taken for it: it is marked before it gets that name.
pub(super) struct Left {
    /// Its name when complete.
    path: PathBuf,
    options: InputOptions,
    /// Bytes of decoded chunks that are kept.
    cache: u64,
    reader: Mutex<Found>,
}

/// A reader, and the name under which it reads.
#[derive(Clone)]
struct Found {
    at: PathBuf,
    reader: Arc<dyn ArrayReader>,
}

impl Found {
    fn open(at: PathBuf, options: &InputOptions, cache: u64) -> Result<Found, StoreError> {
        let reader = read::open_unfinished(&at, options, cache)?.into();
        Ok(Found { at, reader })
    }

    fn read(&self, path: &Path, region: &Region, pool: &Pool) -> Result<Option<(Block, u64)>, StoreError> {
        let read = self.reader.read(region, pool);
        if write::left(path) == self.at { read.map(Some) } else { Ok(None) }
    }
}

impl Left {
    /// Opens the array that belongs at a path, wherever it is now.
    ///
    /// # Errors
    /// When it is not there, or is no array of such axes.
    pub(super) fn open(path: PathBuf, axes: Axes, cache: u64) -> Result<Left, StoreError> {
        let options = InputOptions { axes: Some(axes), ..InputOptions::default() };
        let reader = Mutex::new(find(&path, &options, cache)?);
        Ok(Left { path, options, cache, reader })
    }
}

/// Opens the array under the name it has now.
fn find(path: &Path, options: &InputOptions, cache: u64) -> Result<Found, StoreError> {
    for _ in 0..AGAIN {
        let at = write::left(path);
        let found = Found::open(at.clone(), options, cache);
        if write::left(path) == at {
            return found;
        }
    }
    Err(restless(path))
}

/// It got another name again and again.
fn restless(path: &Path) -> StoreError {
    let message =
        "what the run has written there is given other names all the time: something else writes to it".into();
    StoreError::Io { path: path.into(), message, kind: ErrorKind::Other }
}

impl ArrayReader for Left {
    fn read(&self, region: &Region, pool: &Pool) -> Result<(Block, u64), StoreError> {
        if place::is_remote(&self.path) {
            // There nothing is renamed.
            let reader = lock(&self.reader).reader.clone();
            return reader.read(region, pool);
        }
        for _ in 0..AGAIN {
            let found = lock(&self.reader).clone();
            if let Some(read) = found.read(&self.path, region, pool)? {
                return Ok(read);
            }
            *lock(&self.reader) = find(&self.path, &self.options, self.cache)?;
        }
        Err(restless(&self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::write::{WriteOptions, create};
    use crate::store::{ArrayWriter, write::ZarrCodec};
    use engine_model::spec::workflow::Format;
    use ops_core::{ArrayMeta, DType, Index};
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
        let options =
            WriteOptions { chunks: Some(vec![4, 4]), codec: ZarrCodec::None, resume, ..WriteOptions::default() };
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
            let left = Left::open(path.clone(), meta().axes, 0).unwrap();
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
        assert!(Left::open(path.clone(), meta().axes, 0).is_err());
        unnamed(&path, 7, false).finish().unwrap();
        let left = Left::open(path.clone(), meta().axes, 0).unwrap();
        std::fs::remove_dir_all(&path).unwrap();
        let e = left.read(&meta().region(), &Pool::default()).unwrap_err();
        assert!(e.to_string().contains("went away"), "{e}");
    }
}

//! Zarr behind a URL, in memory: the same values as on disk, complete only at the end, taken up and replaced.

mod common;

use common::{block_of, cuts, meta, shuffle};
use engine_model::catalog::SourceMeta;
use engine_model::spec::workflow::Format;
use engine_runtime::lock::Lock;
use engine_runtime::store::StoreError;
use engine_runtime::store::read::{InputOptions, open, open_left, probe, state};
use engine_runtime::store::write::{
    Compressor, Group, WriteOptions, ZarrCodec, ZarrVersion, bytes_of, create, exists, location,
};
use ops_core::{ArrayMeta, Block, DType, Index, Pool, Region};
use std::io::ErrorKind;
use std::path::Path;

fn whole(
    path: &Path,
    reader: impl Fn(&Path, &InputOptions) -> Result<Box<dyn engine_runtime::store::ArrayReader>, StoreError>,
) -> Result<Block, StoreError> {
    let options = InputOptions::default();
    let reader = reader(path, &options)?;
    let region = Region::whole(&[5, 30, 41]);
    reader.read(&region, &Pool::default()).map(|(block, _)| block)
}

fn write(path: &Path, m: &ArrayMeta, block: &Block, options: &WriteOptions) {
    let w = create(Format::Zarr, path, m, options).unwrap();
    let mut regions = cuts(&m.shape, &[2, 32, 16]);
    shuffle(&mut regions, 5);
    regions.iter().for_each(|r| assert!(w.write(&block.cut(&Pool::default(), r)).is_ok()));
    w.finish().unwrap();
}

fn options(version: ZarrVersion, codec: ZarrCodec, shards: bool) -> WriteOptions {
    let shards = shards.then(|| vec![2, 32, 16]);
    WriteOptions { chunks: Some(vec![2, 16, 16]), codec, version, shards, ..WriteOptions::default() }
}

#[test]
fn every_kind_of_array_comes_back_as_from_disk() {
    let dir = tempfile::tempdir().unwrap();
    for dtype in [DType::Bool, DType::UInt16, DType::Float64] {
        for codec in [Compressor::BloscLz4, Compressor::Zstd, Compressor::Gzip, Compressor::None].map(ZarrCodec::of) {
            for (version, shards) in [(ZarrVersion::V2, false), (ZarrVersion::V3, false), (ZarrVersion::V3, true)] {
                let m = meta(&[5, 30, 41], "zyx", dtype);
                let block = block_of(&m, 11, false);
                let name = format!("{dtype}-{}-{version:?}-{shards}.zarr", codec.name.name());
                let (there, here) = (Path::new("memory://kinds").join(&name), dir.path().join(&name));
                let options = options(version, codec, shards);
                write(&there, &m, &block, &options);
                write(&here, &m, &block, &options);
                let found = probe(&there, &InputOptions::default()).unwrap();
                // Only what comes from disk is read into buffers of the pool.
                let there_too = SourceMeta { pooled: false, ..probe(&here, &InputOptions::default()).unwrap() };
                assert_eq!(found, there_too, "{name}");
                assert_eq!(whole(&there, open).unwrap().bytes(), block.bytes(), "{name}");
                assert_eq!(bytes_of(&there), bytes_of(&here), "{name}");
                // A part of it, across chunks.
                let part = Region::new(Index::from_slice(&[1, 7, 9]), Index::from_slice(&[4, 29, 35]));
                let reader = open(&there, &InputOptions::default()).unwrap();
                let (read, _) = reader.read(&part, &Pool::default()).unwrap();
                assert_eq!(read.bytes(), block.cut(&Pool::default(), &part).bytes(), "{name}");
            }
        }
    }
}

#[test]
fn an_array_is_one_at_the_end_only_and_can_be_taken_up_before() {
    let (path, m) = (Path::new("memory://begun/a.zarr"), meta(&[5, 30, 41], "zyx", DType::UInt16));
    let (block, pool) = (block_of(&m, 3, false), Pool::default());
    let options = options(ZarrVersion::V2, ZarrCodec::of(Compressor::BloscLz4), false);
    assert!(!exists(path).unwrap());
    let parts = cuts(&m.shape, &[2, 32, 16]);
    let first = create(Format::Zarr, path, &m, &options).unwrap();
    for part in &parts[..4] {
        first.write(&block.cut(&pool, part)).unwrap();
    }
    first.suspend();
    drop(first);
    // To others it is nothing; to who goes on it is what was written.
    assert!(!exists(path).unwrap() && location(path).is_none());
    assert!(probe(path, &InputOptions::default()).unwrap_err().to_string().contains("no Zarr metadata"));
    let reader = open_left(path, &InputOptions::default(), 0).unwrap();
    let (read, _) = reader.read(&parts[2], &pool).unwrap();
    assert_eq!(read.bytes(), block.cut(&pool, &parts[2]).bytes());
    // With another grid it is not taken up.
    let resume = WriteOptions { resume: true, ..options.clone() };
    let other = WriteOptions { chunks: Some(vec![1, 16, 16]), ..resume.clone() };
    assert!(create(Format::Zarr, path, &m, &other).err().unwrap().to_string().contains("found another or none"));
    let again = create(Format::Zarr, path, &m, &resume).unwrap();
    again.resumed(parts[..4].iter().map(Region::volume).sum());
    for part in &parts[4..] {
        again.write(&block.cut(&pool, part)).unwrap();
    }
    again.finish().unwrap();
    assert!(exists(path).unwrap() && location(path).is_some());
    assert_eq!(whole(path, open).unwrap().bytes(), block.bytes());
    // The reader that was open before still reads.
    assert_eq!(reader.read(&parts[2], &pool).unwrap().0.bytes(), read.bytes());
    // It may be taken up when it has its metadata already.
    let third = create(Format::Zarr, path, &m, &resume).unwrap();
    assert!(!exists(path).unwrap());
    third.resumed(m.volume());
    third.finish().unwrap();
    assert_eq!(whole(path, open).unwrap().bytes(), block.bytes());
}

#[test]
fn what_stood_there_is_gone_and_what_is_given_up_leaves_nothing() {
    let (path, m) = (Path::new("memory://replaced/a.zarr"), meta(&[5, 30, 41], "zyx", DType::UInt16));
    let block = block_of(&m, 3, false);
    write(path, &m, &block, &options(ZarrVersion::V2, ZarrCodec::of(Compressor::Zstd), false));
    write(
        Path::new("memory://replaced/a.zarr2"),
        &m,
        &block,
        &options(ZarrVersion::V2, ZarrCodec::of(Compressor::Zstd), false),
    );
    let before = state(path);
    let zeros = Block::take(&Pool::default(), DType::UInt16, m.region());
    let mut zeros = zeros;
    zeros.bytes_mut().fill(0);
    write(path, &m, &zeros, &options(ZarrVersion::V3, ZarrCodec::of(Compressor::Zstd), false));
    assert_ne!(state(path), before);
    // Chunks of zeros have no key: had one of the old ones stayed, it would be read.
    assert_eq!(whole(path, open).unwrap().bytes(), zeros.bytes());
    let w = create(Format::Zarr, path, &m, &options(ZarrVersion::V3, ZarrCodec::of(Compressor::None), false)).unwrap();
    w.write(&block).unwrap();
    assert!(w.finish().is_ok());
    let w = create(Format::Zarr, path, &m, &options(ZarrVersion::V3, ZarrCodec::of(Compressor::None), false)).unwrap();
    // From the first moment on the old one is no array to anyone.
    assert!(probe(path, &InputOptions::default()).unwrap_err().to_string().contains("no Zarr metadata"));
    w.write(&block.cut(&Pool::default(), &cuts(&m.shape, &[2, 32, 16])[0])).unwrap();
    w.abandon();
    assert_eq!((exists(path).unwrap(), bytes_of(path)), (false, 0));
    // Its neighbour, whose name begins alike, is another store.
    assert_eq!(whole(Path::new("memory://replaced/a.zarr2"), open).unwrap().bytes(), block.bytes());
}

#[test]
fn a_store_that_was_changed_while_it_was_written_is_not_completed() {
    let (path, m) = (Path::new("memory://taken/a.zarr"), meta(&[5, 30, 41], "zyx", DType::UInt16));
    let block = block_of(&m, 3, false);
    let first =
        create(Format::Zarr, path, &m, &options(ZarrVersion::V3, ZarrCodec::of(Compressor::Zstd), false)).unwrap();
    first.write(&block).unwrap();
    // Another, who paid no heed to the lock.
    write(path, &m, &block, &options(ZarrVersion::V3, ZarrCodec::of(Compressor::Gzip), false));
    let e = first.finish().unwrap_err();
    assert!(matches!(&e, StoreError::Io { kind: ErrorKind::NotFound, .. }), "{e}");
    assert!(e.to_string().contains("changed by someone else"), "{e}");
    drop(first);
    assert_eq!(whole(path, open).unwrap().bytes(), block.bytes(), "the other's is whole");
}

#[test]
fn a_group_is_one_when_all_of_it_is_there() {
    let (group, m) = (Path::new("memory://groups/image.ome.zarr"), meta(&[5, 30, 41], "zyx", DType::UInt16));
    let block = block_of(&m, 3, false);
    let arrays = ["labels/it/0".to_owned(), "labels/it/1".to_owned()];
    let documents: Vec<(String, String)> = ["labels/it/zarr.json", "labels/zarr.json", "zarr.json"]
        .map(|key| {
            (
                key.to_owned(),
                format!("{{\"zarr_format\": 3, \"node_type\": \"group\", \"attributes\": {{\"at\": \"{key}\"}}}}"),
            )
        })
        .into();
    let make = |codec| {
        for array in &arrays {
            let options = WriteOptions { group: Some(group.into()), ..options(ZarrVersion::V3, codec, false) };
            write(&group.join(array), &m, &block, &options);
            assert!(!exists(group).unwrap(), "{array}");
            let none = probe(&group.join("labels/it"), &InputOptions::default()).unwrap_err().to_string();
            assert!(none.contains("no Zarr metadata"), "{none}");
            assert_eq!(whole(&group.join(array), open).unwrap().bytes(), block.bytes());
        }
        let group = Group { path: group, documents: &documents, arrays: &arrays, sync: false };
        group.complete().unwrap()
    };
    let bytes = make(ZarrCodec::of(Compressor::Zstd));
    assert_eq!(bytes, documents.iter().map(|(_, text)| text.len() as u64).sum::<u64>());
    assert!(exists(group).unwrap());
    let found = probe(group, &InputOptions::default()).unwrap_err().to_string();
    assert!(found.contains("it has `labels`"), "{found}");
    // Again, over the old one and what someone left in it.
    write(&group.join("stray"), &m, &block, &options(ZarrVersion::V3, ZarrCodec::of(Compressor::None), false));
    let size = bytes_of(group);
    make(ZarrCodec::of(Compressor::Zstd));
    assert!(bytes_of(group) < size && !exists(&group.join("stray")).unwrap());
    // One that is complete stays as it is.
    let same = Group { path: group, documents: &documents, arrays: &arrays, sync: false };
    assert_eq!(same.complete().unwrap(), 0);
}

#[test]
fn a_lock_lies_beside_its_store_and_not_in_it() {
    let path = Path::new("memory://locks/a.zarr");
    let lock = Lock::acquire(&Lock::beside(path)).unwrap();
    assert!(!exists(path).unwrap());
    assert!(Lock::acquire(&Lock::beside(path)).is_err());
    drop(lock);
    assert!(Lock::acquire(&Lock::beside(path)).is_ok());
}

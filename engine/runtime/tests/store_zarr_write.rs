//! Zarr out: shards, codecs, versions, empty chunks, what is refused, and what a full disk does.

mod common;
use common::{block_of, cuts, meta, shuffle};
use engine_model::spec::workflow::Format;
use engine_runtime::store::read::{InputOptions, open};
use engine_runtime::store::write::{Compressor, WriteOptions, ZarrCodec, ZarrVersion, create};
use engine_runtime::store::{ArrayWriter, StoreError};
use ops_core::{ArrayMeta, Block, DType, Index, Pool, Region};
use proptest::prelude::*;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zarrs::array::{Array, ArrayBytes};
use zarrs::storage::store::MemoryStore;
use zarrs::storage::{StoreKey, WritableStorageTraits};

const CODECS: [ZarrCodec; 6] = [
    ZarrCodec::of(Compressor::BloscLz4),
    ZarrCodec::of(Compressor::BloscZstd),
    ZarrCodec::of(Compressor::Zstd),
    ZarrCodec::of(Compressor::Gzip),
    ZarrCodec::of(Compressor::Bz2),
    ZarrCodec::of(Compressor::None),
];

/// Files of a store, relative to it.
fn keys(path: &Path) -> Vec<String> {
    let (mut found, mut dirs) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(dir) = dirs.pop() {
        for e in std::fs::read_dir(path.join(&dir)).unwrap() {
            let name = dir.join(e.unwrap().file_name());
            match path.join(&name).is_dir() {
                true => dirs.push(name),
                false => found.push(name.to_str().unwrap().to_owned()),
            }
        }
    }
    found.sort();
    found
}

/// The elements as `zarrs` reads them, which knows nothing of how they were written.
fn by_library(path: &Path) -> Vec<u8> {
    let store = Arc::new(MemoryStore::new());
    for name in keys(path) {
        store.set(&StoreKey::new(&name).unwrap(), std::fs::read(path.join(name)).unwrap().into()).unwrap();
    }
    let array = Array::open(store, "/").unwrap();
    let bytes: ArrayBytes = array.retrieve_array_subset(&array.subset_all()).unwrap();
    bytes.into_fixed().unwrap().into_owned()
}

fn by_us(path: &Path, m: &ArrayMeta) -> Vec<u8> {
    let reader = open(path, &InputOptions::default()).unwrap();
    reader.read(&m.region(), &Pool::default()).unwrap().0.bytes().to_vec()
}

fn options(chunks: &[u64], shards: Option<&[u64]>, codec: ZarrCodec) -> WriteOptions {
    WriteOptions {
        chunks: Some(chunks.to_vec()),
        shards: shards.map(<[u64]>::to_vec),
        codec,
        ..WriteOptions::default()
    }
}

/// Writes an array in blocks of this extent, in any order.
fn store(path: &Path, block: &Block, m: &ArrayMeta, options: &WriteOptions, extent: &[u64]) -> u64 {
    let w = create(Format::Zarr, path, m, options).unwrap();
    let mut regions = cuts(&m.shape, extent);
    shuffle(&mut regions, 5);
    let pool = Pool::default();
    let bytes: u64 = regions.iter().map(|r| w.write(&block.cut(&pool, r)).unwrap()).sum();
    bytes + w.finish().unwrap()
}

#[test]
fn shards_of_every_dtype_and_codec_come_back() {
    let dir = tempfile::tempdir().unwrap();
    for dtype in DType::ALL {
        for codec in CODECS {
            let m = meta(&[5, 70, 41], "zyx", dtype);
            let block = block_of(&m, 11, dtype.is_float());
            let path = dir.path().join(format!("{dtype}-{}.zarr", codec.name.name()));
            let options = options(&[2, 16, 8], Some(&[4, 32, 16]), codec);
            let bytes = store(&path, &block, &m, &options, &[4, 32, 48]);
            assert_eq!(by_library(&path), block.bytes(), "{dtype} {codec:?}");
            assert_eq!(by_us(&path, &m), block.bytes(), "{dtype} {codec:?}");
            let keys = keys(&path);
            assert_eq!(keys.len(), 1 + 2 * 3 * 3, "{keys:?}");
            let on_disk: u64 = keys.iter().map(|k| path.join(k).metadata().unwrap().len()).sum();
            assert_eq!(bytes, on_disk, "what was told to have reached storage");
        }
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), DType::ALL.len() * CODECS.len());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// Any shape, chunks, shards and blocks of whole units; much of the array may be the fill value.
    #[test]
    fn any_grid_comes_back(
        axes in 1usize..4,
        extents in prop::array::uniform3((1u64..40, 1u64..12, 1u64..4, 1u64..3)),
        dtype in prop::sample::select(DType::ALL.to_vec()),
        codec in prop::sample::select(CODECS.to_vec()),
        version in prop::sample::select(vec![(ZarrVersion::V3, false), (ZarrVersion::V3, true), (ZarrVersion::V2, false)]),
        empty in 0u64..4,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let (version, sharded) = version;
        let extents = &extents[..axes];
        let shape: Vec<u64> = extents.iter().map(|e| e.0).collect();
        let chunks: Vec<u64> = extents.iter().map(|e| e.1).collect();
        let shards: Vec<u64> = extents.iter().map(|e| e.1 * e.2).collect();
        let unit = if sharded { &shards } else { &chunks };
        let blocks: Vec<u64> = unit.iter().zip(extents).map(|(u, e)| u * e.3).collect();
        let m = meta(&shape, ["x", "yx", "zyx"][axes - 1], dtype);
        let mut block = block_of(&m, 3 + empty, false);
        if let Some(keep) = (block.bytes().len() as u64 / 2).checked_div(empty) {
            block.bytes_mut()[keep as usize..].fill(0);
        }
        let options = WriteOptions { version, ..options(&chunks, sharded.then_some(&shards), codec) };
        let path = dir.path().join("a.zarr");
        store(&path, &block, &m, &options, &blocks);
        prop_assert_eq!(by_library(&path), block.bytes());
        prop_assert_eq!(by_us(&path, &m), block.bytes());
        // What is there is what is not empty.
        let pool = Pool::default();
        let full = cuts(&shape, unit).iter().filter(|r| block.cut(&pool, r).bytes().iter().any(|b| *b != 0)).count();
        let about = if version == ZarrVersion::V3 { 1 } else { 2 };
        prop_assert_eq!(keys(&path).len(), about + full);
    }
}

#[test]
fn chunks_of_the_fill_value_have_no_file_and_count_as_written() {
    let dir = tempfile::tempdir().unwrap();
    let m = meta(&[32, 32], "yx", DType::Float32);
    let zeros = Block::zeros(DType::Float32, m.region());
    let path = dir.path().join("zeros.zarr");
    store(&path, &zeros, &m, &options(&[8, 8], None, ZarrCodec::of(Compressor::BloscLz4)), &[16, 16]);
    assert_eq!(keys(&path), ["zarr.json"]);
    assert_eq!(by_us(&path, &m), zeros.bytes());
    // Negative zero is another value, and has to come back as it is.
    let mut negative = Block::zeros(DType::Float32, m.region());
    negative.as_mut_slice::<f32>()[33] = -0.0;
    for shards in [None, Some(&[16u64, 16][..])] {
        let path = dir.path().join(format!("negative-{}.zarr", shards.is_some()));
        store(&path, &negative, &m, &options(&[8, 8], shards, ZarrCodec::of(Compressor::Zstd)), &[16, 16]);
        assert_eq!(keys(&path), ["c/0/0", "zarr.json"]);
        assert_eq!(by_us(&path, &m), negative.bytes());
        assert_eq!(by_library(&path), negative.bytes());
    }
}

#[test]
fn version_2_has_its_own_metadata_and_keys() {
    let dir = tempfile::tempdir().unwrap();
    for dtype in DType::ALL {
        for codec in CODECS {
            let m = meta(&[20, 30], "yx", dtype);
            let block = block_of(&m, 5, false);
            let path = dir.path().join(format!("{dtype}-{}.zarr", codec.name.name()));
            let options = WriteOptions { version: ZarrVersion::V2, ..options(&[8, 16], None, codec) };
            store(&path, &block, &m, &options, &[16, 16]);
            assert_eq!(keys(&path), [".zarray", ".zattrs", "0/0", "0/1", "1/0", "1/1", "2/0", "2/1"]);
            assert_eq!(by_library(&path), block.bytes(), "{dtype} {codec:?}");
            assert_eq!(by_us(&path, &m), block.bytes(), "{dtype} {codec:?}");
        }
    }
}

#[test]
fn layouts_that_can_not_be_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let m = meta(&[64, 64], "yx", DType::UInt8);
    let refused = |options: &WriteOptions, m: &ArrayMeta, part: &str| {
        let e = create(Format::Zarr, &dir.path().join("a.zarr"), m, options).err().unwrap().to_string();
        assert!(e.contains(part), "{e}");
    };
    let blosc = ZarrCodec::of(Compressor::BloscLz4);
    refused(&options(&[8, 8], Some(&[16, 12]), blosc), &m, "whole multiples of the chunks [8, 8]");
    refused(&options(&[8, 8], Some(&[16]), blosc), &m, "whole multiples");
    refused(&options(&[8, 8], Some(&[0, 8]), blosc), &m, "whole multiples");
    refused(&options(&[8, 8], Some(&[1 << 40, 1 << 20]), blosc), &m, "at most 2^26 chunks");
    let old = WriteOptions { version: ZarrVersion::V2, ..options(&[8, 8], Some(&[16, 16]), blosc) };
    refused(&old, &m, "belong to Zarr v3");
    refused(&options(&[1 << 20, 1 << 20], None, blosc), &m, "at most 1 GiB");
    let w = create(Format::Zarr, &dir.path().join("b.zarr"), &m, &options(&[8, 8], Some(&[32, 32]), blosc)).unwrap();
    let e = w.write(&Block::zeros(DType::UInt8, Region::whole(&[16, 64]))).unwrap_err().to_string();
    assert!(e.contains("cuts shards of [32, 32]"), "{e}");
    drop(w);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn what_is_there_is_replaced_at_once_when_the_new_one_is_complete() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.zarr");
    let m = meta(&[16, 16], "yx", DType::UInt8);
    let (old, new) = (block_of(&m, 1, false), block_of(&m, 2, false));
    let options = WriteOptions { sync: true, ..options(&[8, 8], None, ZarrCodec::of(Compressor::None)) };
    store(&path, &old, &m, &options, &[8, 8]);
    std::fs::write(path.join("notes.txt"), "of the old one").unwrap();
    let w = create(Format::Zarr, &path, &m, &options).unwrap();
    w.write(&new).unwrap();
    assert_eq!(by_us(&path, &m), old.bytes());
    w.finish().unwrap();
    assert_eq!(by_us(&path, &m), new.bytes());
    assert!(!path.join("notes.txt").exists());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

/// A writer that was killed between giving the store its name and telling so.
#[test]
fn a_store_that_has_its_name_already_is_taken_up() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.zarr");
    let m = meta(&[16, 16], "yx", DType::UInt8);
    let block = block_of(&m, 1, false);
    let fresh = options(&[8, 8], None, ZarrCodec::of(Compressor::None));
    store(&path, &block, &m, &fresh, &[8, 8]);
    let again = WriteOptions { resume: true, ..fresh.clone() };
    let w = create(Format::Zarr, &path, &m, &again).unwrap();
    w.resumed(m.volume());
    w.finish().unwrap();
    assert_eq!(by_us(&path, &m), block.bytes());
    // Not one of another layout.
    let other = WriteOptions { resume: true, ..options(&[4, 4], None, ZarrCodec::of(Compressor::None)) };
    let e = create(Format::Zarr, &path, &m, &other).err().unwrap().to_string();
    assert!(e.contains("expected the part of the array"), "{e}");
}

fn kind(e: &StoreError) -> ErrorKind {
    match e {
        StoreError::Io { kind, .. } => *kind,
        other => panic!("{other}"),
    }
}

/// Writes block after block until that fails.
fn until_full(w: &dyn ArrayWriter, block: &Block, m: &ArrayMeta) -> (u64, StoreError) {
    let pool = Pool::default();
    let mut done = 0;
    for r in cuts(&m.shape, &[64, 64]) {
        match w.write(&block.cut(&pool, &r)) {
            Ok(_) => done += r.volume(),
            Err(e) => return (done, e),
        }
    }
    panic!("the disk is larger than it should be");
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_told_as_such() {
    let dir = tempfile::tempdir().unwrap();
    let m = meta(&[64, 64], "yx", DType::UInt8);
    let path = dir.path().join("a.zarr");
    let w = create(Format::Zarr, &path, &m, &options(&[64, 64], None, ZarrCodec::of(Compressor::None))).unwrap();
    // The temporary name of the chunk leads to a device without room.
    let partial = dir.path().join("a.zarr.partial/c/0");
    std::fs::create_dir_all(&partial).unwrap();
    std::os::unix::fs::symlink("/dev/full", partial.join("0.partial")).unwrap();
    let e = w.write(&block_of(&m, 1, false)).unwrap_err();
    assert_eq!(kind(&e), ErrorKind::StorageFull, "{e}");
    assert!(e.to_string().contains("`c/0/0`"), "{e}");
    assert!(Path::new("/dev/full").exists());
    // With room again the same block is written.
    w.write(&block_of(&m, 1, false)).unwrap();
    w.finish().unwrap();
    assert_eq!(by_us(&path, &m), block_of(&m, 1, false).bytes());
}

#[test]
#[cfg(target_os = "linux")]
fn a_disk_that_was_full_is_gone_on_with() {
    let dir = tempfile::tempdir().unwrap();
    let mut mount = std::process::Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(dir.path());
    if !mount.output().is_ok_and(|o| o.status.success()) {
        let said = writeln!(std::io::stderr(), "SKIPPED: a full disk: no tmpfs can be mounted here");
        return said.unwrap();
    }
    let result = std::panic::catch_unwind(|| full_disk(dir.path()));
    let unmounted = std::process::Command::new("umount").arg("-l").arg(dir.path()).status().unwrap();
    assert!(unmounted.success());
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
}

fn full_disk(dir: &Path) {
    let m = meta(&[512, 256], "yx", DType::UInt8);
    let mut block = block_of(&m, 9, false);
    block
        .bytes_mut()
        .iter_mut()
        .enumerate()
        .for_each(|(i, v)| *v = v.wrapping_mul(31).wrapping_add(((i * i) >> 7) as u8));
    let (path, ballast) = (dir.join("a.zarr"), dir.join("ballast"));
    std::fs::write(&ballast, vec![1; 900 << 10]).unwrap();
    for shards in [None, Some(&[64u64, 64][..])] {
        let fresh = options(&[32, 32], shards, ZarrCodec::of(Compressor::None));
        let w = create(Format::Zarr, &path, &m, &fresh).unwrap();
        let (done, e) = until_full(&*w, &block, &m);
        assert_eq!(kind(&e), ErrorKind::StorageFull, "{e}");
        assert!(done > 0 && done < m.volume());
        w.suspend();
        drop(w);
        std::fs::remove_file(&ballast).unwrap();
        let w = create(Format::Zarr, &path, &m, &WriteOptions { resume: true, ..fresh }).unwrap();
        w.resumed(done);
        let pool = Pool::default();
        let mut before = 0;
        for r in cuts(&m.shape, &[64, 64]) {
            if before >= done {
                w.write(&block.cut(&pool, &r)).unwrap();
            }
            before += r.volume();
        }
        w.finish().unwrap();
        assert_eq!(by_us(&path, &m), block.bytes());
        assert!(!keys(&path).iter().any(|k| k.contains("partial")), "{:?}", keys(&path));
        std::fs::remove_dir_all(&path).unwrap();
        std::fs::write(&ballast, vec![1; 900 << 10]).unwrap();
    }
}

#[test]
fn other_errors_keep_their_kind() {
    let dir = tempfile::tempdir().unwrap();
    let m = meta(&[8, 8], "yx", DType::UInt8);
    let w =
        create(Format::Zarr, &dir.path().join("a.zarr"), &m, &options(&[8, 8], None, ZarrCodec::of(Compressor::None)))
            .unwrap();
    std::fs::write(dir.path().join("a.zarr.partial/c"), "in the way").unwrap();
    let e = w.write(&block_of(&m, 1, false)).unwrap_err();
    assert!(matches!(kind(&e), ErrorKind::NotADirectory | ErrorKind::AlreadyExists), "{e}");
    std::fs::write(dir.path().join("file"), "").unwrap();
    let e = create(Format::Zarr, &dir.path().join("file/a.zarr"), &m, &WriteOptions::default()).err().unwrap();
    assert_eq!(kind(&e), ErrorKind::NotADirectory, "{e}");
    // Several chunks in one block: the whole of it is told of when one fails.
    let at = |lo: [i64; 2], hi: [i64; 2]| Region::new(Index::from_slice(&lo), Index::from_slice(&hi));
    let wide = meta(&[8, 16], "yx", DType::UInt8);
    let path = dir.path().join("b.zarr");
    let w = create(Format::Zarr, &path, &wide, &options(&[8, 8], None, ZarrCodec::of(Compressor::None))).unwrap();
    std::fs::create_dir_all(dir.path().join("b.zarr.partial/c/0/1/x")).unwrap();
    let block = block_of(&wide, 1, false);
    assert!(w.write(&block).is_err());
    w.write(&block.cut(&Pool::default(), &at([0, 0], [8, 8]))).unwrap();
    assert!(w.finish().unwrap_err().to_string().contains("64 of 128 elements"));
}

//! Regions of Zarr arrays: cuts of the whole at any cache, each chunk read once, damage named.

mod common;

use common::{block_of, cuts, meta, shuffle};
use engine_model::spec::workflow::Format;
use engine_runtime::store::StoreError;
use engine_runtime::store::read::{InputOptions, open, open_keeping, probe};
use engine_runtime::store::write::{Compressor, WriteOptions, ZarrCodec, create};
use ops_core::{ArrayMeta, Block, DType, Index, Pool, Region};
use proptest::prelude::*;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zarrs::array::{Array, ArrayBytes, ArrayMetadata};
use zarrs::storage::store::MemoryStore;
use zarrs::storage::{ListableStorageTraits, ReadableStorageTraits};

/// Writes an array with our writer, one chunk a block.
fn written(path: &Path, m: &ArrayMeta, chunks: &[u64], codec: ZarrCodec) -> Block {
    let block = block_of(m, 3, m.dtype.is_float());
    let options = WriteOptions { chunks: Some(chunks.to_vec()), codec, ..WriteOptions::default() };
    let w = create(Format::Zarr, path, m, &options).unwrap();
    let pool = Pool::default();
    cuts(&m.shape, chunks).iter().for_each(|r| assert!(w.write(&block.cut(&pool, r)).is_ok()));
    w.finish().unwrap();
    block
}

/// Writes a sharded array through zarrs.
fn sharded(path: &Path, m: &ArrayMeta, shard: &[u64], chunk: &[u64], location: &str) -> Block {
    let block = block_of(m, 5, m.dtype.is_float());
    let document = json!({"zarr_format": 3, "node_type": "array", "shape": m.shape.as_slice(), "data_type": m.dtype.name(),
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": shard}},
        "chunk_key_encoding": {"name": "default"}, "fill_value": 0, "attributes": {},
        "codecs": [{"name": "sharding_indexed", "configuration": {"chunk_shape": chunk, "index_location": location,
            "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "zstd", "configuration": {"level": 1, "checksum": false}}],
            "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]}}]});
    let metadata: ArrayMetadata = serde_json::from_value(document.clone()).unwrap();
    let store = Arc::new(MemoryStore::new());
    let array = Array::new_with_metadata(store.clone(), "/", metadata).unwrap();
    array.store_array_subset(&array.subset_all(), ArrayBytes::new_flen(block.bytes())).unwrap();
    for key in store.list().unwrap() {
        let file = path.join(key.as_str());
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, store.get(&key).unwrap().unwrap()).unwrap();
    }
    std::fs::create_dir_all(path).unwrap();
    std::fs::write(path.join("zarr.json"), document.to_string()).unwrap();
    block
}

/// Bytes of all files of a store but its metadata.
fn stored(path: &Path) -> u64 {
    let mut dirs = vec![path.to_path_buf()];
    let mut sum = 0;
    while let Some(dir) = dirs.pop() {
        for e in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
            match e.path().is_dir() {
                true => dirs.push(e.path()),
                false if e.file_name() != "zarr.json" => sum += e.metadata().unwrap().len(),
                false => {}
            }
        }
    }
    sum
}

/// Every block of a grid, grown by a halo and cut off at the array's edge.
fn sweep(m: &ArrayMeta, block: &[u64], halo: i64) -> Vec<Region> {
    let grow = vec![halo; m.rank()];
    cuts(&m.shape, block).iter().map(|r| r.grow(&grow, &grow).intersect(&m.region())).collect()
}

#[test]
fn a_sweep_with_a_halo_reads_each_chunk_once_and_no_chunk_twice_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let m = meta(&[40, 50, 60], "zyx", DType::UInt16);
    let (plain, shards) = (dir.path().join("plain.zarr"), dir.path().join("shards.zarr"));
    written(&plain, &m, &[16, 16, 16], ZarrCodec::of(Compressor::BloscLz4));
    sharded(&shards, &m, &[32, 32, 32], &[16, 16, 16], "end");
    for path in [&plain, &shards] {
        let reader = open(path, &InputOptions::default()).unwrap();
        let regions = sweep(&m, &[16, 16, 16], 3);
        // Four threads at once, each all regions.
        let total: u64 = std::thread::scope(|scope| {
            let one = |seed: u64| {
                let (mut regions, reader) = (regions.clone(), &reader);
                shuffle(&mut regions, seed);
                scope.spawn(move || {
                    let pool = Pool::default();
                    regions.iter().map(|r| reader.read(r, &pool).unwrap().1).sum::<u64>()
                })
            };
            let threads: Vec<_> = (1..5).map(one).collect();
            threads.into_iter().map(|t| t.join().unwrap()).sum()
        });
        // An index is counted decoded, without its checksum of 4 bytes; 8 shards have one.
        let index = if path == &shards { 8 * 4 } else { 0 };
        assert_eq!(total, stored(path) - index, "{}", path.display());
        // Without a cache every neighbour is decoded again.
        let none = open_keeping(path, &InputOptions::default(), 0).unwrap();
        let pool = Pool::default();
        let again: u64 = regions.iter().map(|r| none.read(r, &pool).unwrap().1).sum();
        assert!(again > 5 * stored(path), "{again}");
    }
}

#[test]
fn the_cache_holds_no_more_than_it_may() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.zarr");
    let m = meta(&[64, 512, 512], "zyx", DType::UInt8);
    // Uncompressed chunks of 64 KiB are read straight into pooled buffers, so that the pool tells what is kept.
    let block = block_of(&m, 1, false);
    let document = json!({"zarr_format": 2, "shape": [64, 512, 512], "chunks": [16, 64, 64], "dtype": "|u1", "order": "C",
        "fill_value": 0, "filters": null, "compressor": null});
    std::fs::create_dir_all(&path).unwrap();
    std::fs::write(path.join(".zarray"), document.to_string()).unwrap();
    let pool = Pool::default();
    for (i, r) in cuts(&m.shape, &[16, 64, 64]).iter().enumerate() {
        let key = format!("{}.{}.{}", i / 64, i / 8 % 8, i % 8);
        std::fs::write(path.join(key), block.cut(&pool, r).bytes()).unwrap();
    }
    for cache in [0, 1 << 20, 3 << 20] {
        let pool = Pool::default();
        let reader = open_keeping(&path, &InputOptions::default(), cache).unwrap();
        for r in sweep(&m, &[16, 64, 64], 2) {
            let (part, _) = reader.read(&r, &pool).unwrap();
            assert_eq!(part.bytes(), block.cut(&Pool::default(), &r).bytes());
            let kept = pool.in_use() - Pool::rounded(part.bytes().len() as u64);
            assert!(kept <= cache, "{kept} bytes kept, {cache} allowed");
        }
        assert!(cache == 0 || pool.in_use() > cache / 2, "the cache is used");
    }
    // A region that is a whole chunk is not copied: nothing but itself was ever taken.
    let pool = Pool::default();
    let reader = open_keeping(&path, &InputOptions::default(), 0).unwrap();
    cuts(&m.shape, &[16, 64, 64]).iter().for_each(|r| assert!(reader.read(r, &pool).is_ok()));
    assert_eq!(pool.peak(), Pool::rounded(1 << 16));
}

#[test]
fn metadata_tells_tiles_and_bounded_memory() {
    let dir = tempfile::tempdir().unwrap();
    let m = meta(&[40, 50, 60], "zyx", DType::UInt16);
    let path = dir.path().join("s.zarr");
    sharded(&path, &m, &[32, 32, 64], &[16, 16, 16], "start");
    let found = probe(&path, &InputOptions::default()).unwrap();
    assert_eq!(found.array.to_string(), "uint16 zyx (40, 50, 60)");
    assert_eq!(found.access, engine_model::catalog::Access::Tiles(vec![16, 16, 16]));
    // All 3 x 4 x 4 chunks of 8 KiB are less than the least that is kept.
    assert_eq!(found.cache_bytes, 48 * 8192);
    assert!(found.read_bytes < 4 << 20, "{}", found.read_bytes);
}

fn names(e: &StoreError, path: &Path, parts: &[&str]) {
    let text = e.to_string();
    assert!(text.contains(path.to_str().unwrap()), "{text}");
    parts.iter().for_each(|p| assert!(text.contains(p), "no `{p}` in: {text}"));
}

#[test]
fn damage_is_named_with_store_key_and_chunk() {
    let dir = tempfile::tempdir().unwrap();
    let m = meta(&[40, 40], "yx", DType::UInt16);
    let read = |path: &Path| open(path, &InputOptions::default()).and_then(|r| r.read(&m.region(), &Pool::default()));
    for codec in [ZarrCodec::of(Compressor::BloscLz4), ZarrCodec::of(Compressor::Zstd)] {
        let path = dir.path().join(format!("{}.zarr", codec.name.name()));
        written(&path, &m, &[16, 16], codec);
        let chunk = path.join("c/1/2");
        let good = std::fs::read(&chunk).unwrap();
        for cut in [good.len() - 1, good.len() / 2, 5, 0] {
            std::fs::write(&chunk, &good[..cut]).unwrap();
            let e = read(&path).unwrap_err();
            assert!(matches!(e, StoreError::Corrupt { .. }), "{e}");
            names(&e, &path, &["chunk [1, 2]", "key `c/1/2`"]);
        }
        std::fs::write(&chunk, [good.as_slice(), &[0; 1 << 21]].concat()).unwrap();
        names(&read(&path).unwrap_err(), &path, &["chunk [1, 2]", "`c/1/2`", "expected at most"]);
        // A header that claims 4 GiB takes no memory.
        let mut bomb = good.clone();
        match codec.name {
            Compressor::BloscLz4 => bomb[4..8].copy_from_slice(&u32::MAX.to_le_bytes()),
            _ => bomb = [&[0x28, 0xb5, 0x2f, 0xfd, 0xe0][..], &(1u64 << 60).to_le_bytes(), &good[5..]].concat(),
        }
        std::fs::write(&chunk, bomb).unwrap();
        names(&read(&path).unwrap_err(), &path, &["chunk [1, 2]", "claims to hold"]);
        // An absent chunk is the fill value, a vanished array is not.
        std::fs::remove_file(&chunk).unwrap();
        assert!(read(&path).is_ok());
        let reader = open(&path, &InputOptions::default()).unwrap();
        std::fs::remove_dir_all(&path).unwrap();
        let gone = reader.read(&m.region(), &Pool::default()).unwrap_err();
        assert!(matches!(gone, StoreError::Io { .. }) && gone.to_string().contains("went away"), "{gone}");
    }
    let path = dir.path().join("shards.zarr");
    sharded(&path, &m, &[32, 32], &[16, 16], "end");
    let shard = path.join("c/0/0");
    let good = std::fs::read(&shard).unwrap();
    let mut flipped = good.clone();
    let at = flipped.len() - 20;
    flipped[at] ^= 1;
    std::fs::write(&shard, &flipped).unwrap();
    names(&read(&path).unwrap_err(), &path, &["index of shard `c/0/0`"]);
    std::fs::write(&shard, &good[..40]).unwrap();
    names(&read(&path).unwrap_err(), &path, &["`c/0/0`", "truncated"]);
    let mut inner = good.clone();
    inner[6] ^= 0xff;
    std::fs::write(&shard, &inner).unwrap();
    names(&read(&path).unwrap_err(), &path, &["key `c/0/0`"]);
}

#[test]
fn torn_and_wrong_metadata_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let m = meta(&[8, 8], "yx", DType::UInt16);
    let path = dir.path().join("a.zarr");
    written(&path, &m, &[4, 4], ZarrCodec::of(Compressor::Zstd));
    let file = path.join("zarr.json");
    let good = std::fs::read_to_string(&file).unwrap();
    let refused = |text: &str| {
        std::fs::write(&file, text).unwrap();
        probe(&path, &InputOptions::default()).unwrap_err()
    };
    for cut in [0, 1, 20, good.trim_end().len() / 2, good.trim_end().len() - 1] {
        let e = refused(&good[..cut]);
        assert!(matches!(e, StoreError::Corrupt { .. }), "{e}");
        names(&e, &path, &["`zarr.json`"]);
    }
    let cases = [
        ("\"uint16\"", "\"float16\"", "`data_type` is \"float16\", supported are bool"),
        ("\"regular\"", "\"rectilinear\"", "`chunk_grid` is \"rectilinear\""),
        ("\"zstd\"", "\"zfp\"", "zfp"),
        ("\"array\"", "\"arrow\"", "`node_type`"),
        ("\"zarr_format\": 3", "\"zarr_format\": 4", "expected `zarr_format` 3, found 4"),
        ("\"fill_value\": 0", "\"fill_value\": \"x\"", "fill value"),
        ("{\n  \"zarr", "[{\n  \"zarr", "`zarr.json`"),
    ];
    for (from, to, part) in cases {
        assert!(good.contains(from), "{from}");
        names(&refused(&good.replacen(from, to, 1)), &path, &[part]);
    }
    let mut json: serde_json::Value = serde_json::from_str(&good).unwrap();
    json["shape"] = json!([8, 8, 8]);
    names(&refused(&json.to_string()), &path, &["differ in their number"]);
    json["shape"] = json!([8, 0]);
    names(&refused(&json.to_string()), &path, &["no elements"]);
    json["shape"] = json!([u64::MAX, 8]);
    names(&refused(&json.to_string()), &path, &["more than 2^63"]);
    let mut json: serde_json::Value = serde_json::from_str(&good).unwrap();
    json["chunk_grid"]["configuration"]["chunk_shape"] = json!([0, 4]);
    names(&refused(&json.to_string()), &path, &["at least 1"]);
    json["chunk_grid"]["configuration"]["chunk_shape"] = json!([1 << 20, 1 << 20]);
    names(&refused(&json.to_string()), &path, &["1 GiB"]);
    let empty: PathBuf = dir.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    names(&probe(&empty, &InputOptions::default()).unwrap_err(), &empty, &["without Zarr metadata"]);
}

#[test]
fn flipped_bits_and_bytes_never_panic() {
    let dir = tempfile::tempdir().unwrap();
    let m = meta(&[24, 24], "yx", DType::UInt16);
    let (plain, shards) = (dir.path().join("p.zarr"), dir.path().join("s.zarr"));
    written(&plain, &m, &[24, 24], ZarrCodec::of(Compressor::BloscLz4));
    sharded(&shards, &m, &[24, 24], &[12, 12], "start");
    let mut s = 99u64;
    let mut step = || {
        s = s.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (s >> 33) as usize
    };
    for (path, key) in [(&plain, "c/0/0"), (&plain, "zarr.json"), (&shards, "c/0/0"), (&shards, "zarr.json")] {
        let file = path.join(key);
        let good = std::fs::read(&file).unwrap();
        for _ in 0..300 {
            let mut bad = good.clone();
            for _ in 0..1 + step() % 3 {
                let at = step() % bad.len();
                bad[at] ^= 1 << (step() % 8);
            }
            std::fs::write(&file, &bad).unwrap();
            let Ok(found) = probe(path, &InputOptions::default()) else { continue };
            if found.array.bytes() < 1 << 24 {
                let _ = open(path, &InputOptions::default()).map(|r| r.read(&found.array.region(), &Pool::default()));
            }
        }
        std::fs::write(&file, &good).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn a_region_is_a_cut_of_the_whole(
        shape in prop::collection::vec(1u64..20, 1..4), sizes in prop::collection::vec((1u64..9, 1u64..4), 3),
        d in 0usize..11, kind in 0usize..3, lo in prop::array::uniform3(0u64..20), len in prop::array::uniform3(1u64..20),
        cache in prop::sample::select(vec![0u64, 200, u64::MAX]),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.zarr");
        let rank = shape.len();
        let m = meta(&shape, ["x", "yx", "zyx"][rank - 1], DType::ALL[d]);
        let chunk: Vec<u64> = sizes[..rank].iter().map(|s| s.0).collect();
        let shard: Vec<u64> = sizes[..rank].iter().map(|s| s.0 * s.1).collect();
        let truth = m.dtype == DType::Bool;
        let whole = match kind {
            0 => written(&path, &m, &chunk, ZarrCodec::of(Compressor::BloscLz4)),
            1 if !truth => sharded(&path, &m, &shard, &chunk, "start"),
            _ => written(&path, &m, &chunk, ZarrCodec::of(Compressor::Zstd)),
        };
        let reader = open_keeping(&path, &InputOptions::default(), cache).unwrap();
        let pool = Pool::filled(0x5a);
        for turn in 0..3u64 {
            let from: Index = (0..rank).map(|a| ((lo[a] + 5 * turn) % shape[a]) as i64).collect();
            let to: Index = (0..rank).map(|a| (from[a] + len[a] as i64).min(shape[a] as i64)).collect();
            let region = Region::new(from, to);
            let (part, _) = reader.read(&region, &pool).unwrap();
            let want = whole.cut(&Pool::default(), &region);
            prop_assert_eq!(part.region(), &region);
            prop_assert_eq!(part.bytes(), want.bytes());
        }
    }
}

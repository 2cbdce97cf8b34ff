//! Zarr out: chunks, edges, metadata, atomicity. Blosc in, as zarr-python writes it.

mod common;
mod independent;

use common::{block_of, cuts, meta, shuffle};
use engine_model::spec::codec::{Checksum, Shuffle};
use engine_model::spec::workflow::Format;
use engine_runtime::store::read::{InputOptions, open};
use engine_runtime::store::write::{Compressor, WriteOptions, ZarrCodec, ZarrVersion, create};
use independent::{sha256, skipped};
use ops_core::{Block, DType, Pool, Region};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zarrs::array::Array;
use zarrs::storage::store::MemoryStore;
use zarrs::storage::{StoreKey, WritableStorageTraits};

/// The elements of a written array as the library reads them.
fn load(path: &Path) -> Vec<u8> {
    let store = Arc::new(MemoryStore::new());
    let mut dirs = vec![PathBuf::new()];
    while let Some(dir) = dirs.pop() {
        for e in std::fs::read_dir(path.join(&dir)).unwrap() {
            let name = dir.join(e.unwrap().file_name());
            if path.join(&name).is_dir() {
                dirs.push(name);
            } else {
                let key = StoreKey::new(name.to_str().unwrap()).unwrap();
                store.set(&key, std::fs::read(path.join(&name)).unwrap().into()).unwrap();
            }
        }
    }
    let array = Array::open(store, "/").unwrap();
    let bytes: zarrs::array::ArrayBytes = array.retrieve_array_subset(&array.subset_all()).unwrap();
    bytes.into_fixed().unwrap().into_owned()
}

/// Every compressor as it is and at the ends of its levels, every shuffle, with and without a checksum.
fn codecs() -> Vec<ZarrCodec> {
    use Compressor::{BloscLz4, BloscZstd, Bz2, Gzip, None, Pcodec, Zlib, Zstd};
    let mut all = vec![];
    for name in [BloscLz4, BloscZstd, Zstd, Gzip, Zlib, Bz2, Pcodec, None] {
        let plain = ZarrCodec::of(name);
        all.push(plain);
        all.push(ZarrCodec { checksum: Some(Checksum::Crc32c), ..plain });
        for level in name.levels().into_iter().flat_map(|(levels, _)| [*levels.start(), *levels.end()]) {
            all.push(ZarrCodec { level: Some(level), ..plain });
        }
        for shuffle in
            [Shuffle::NoShuffle, Shuffle::Shuffle, Shuffle::BitShuffle].into_iter().filter(|_| name.shuffles())
        {
            all.push(ZarrCodec { shuffle: Some(shuffle), ..plain });
        }
    }
    all
}

#[test]
fn every_dtype_and_codec_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let pool = Pool::default();
    let mut stores = 0;
    for dtype in DType::ALL {
        let m = meta(&[5, 30, 41], "zyx", dtype);
        let block = block_of(&m, 11, dtype.is_float());
        for (codec, version) in codecs().into_iter().flat_map(|c| [(c, ZarrVersion::V2), (c, ZarrVersion::V3)]) {
            let refused = codec.name == Compressor::Pcodec && dtype.size() == 1;
            let old = version == ZarrVersion::V2;
            if refused || (old && codec.checksum.is_some()) {
                continue;
            }
            let path = dir.path().join(format!("{stores}.zarr"));
            let shards = (!old).then(|| vec![4, 32, 16]);
            let options =
                WriteOptions { chunks: Some(vec![2, 16, 16]), shards, codec, version, ..WriteOptions::default() };
            let w = create(Format::Zarr, &path, &m, &options).unwrap();
            let mut regions = cuts(&m.shape, &[4, 32, 16]);
            shuffle(&mut regions, 5);
            let mut bytes: u64 = regions.iter().map(|r| w.write(&block.cut(&pool, r)).unwrap()).sum();
            assert!(!path.exists());
            bytes += w.finish().unwrap();
            assert!(bytes > 500);
            assert_eq!(load(&path), block.bytes(), "{dtype} {codec:?} {version:?}");
            let options = InputOptions::default();
            let (own, _) = open(&path, &options).unwrap().read(&m.region(), &pool).unwrap();
            assert_eq!(own.bytes(), block.bytes(), "{dtype} {codec:?} {version:?} by our own reader");
            stores += 1;
        }
    }
    assert_eq!(stores, 8 * (34 + 26) + 3 * (30 + 23));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), stores, "something partial is left");
}

#[test]
fn metadata_says_what_was_asked() {
    let dir = tempfile::tempdir().unwrap();
    let m = meta(&[5, 30, 41], "zyx", DType::Int16);
    let json = |codec, version, name: &str| -> serde_json::Value {
        let path = dir.path().join("a.zarr");
        let options = WriteOptions { chunks: Some(vec![2, 16, 16]), codec, version, ..WriteOptions::default() };
        let w = create(Format::Zarr, &path, &m, &options).unwrap();
        w.write(&block_of(&m, 1, false)).unwrap();
        w.finish().unwrap();
        let text = std::fs::read_to_string(path.join(name)).unwrap();
        std::fs::remove_dir_all(&path).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let zstd = ZarrCodec::of(Compressor::Zstd);
    let three = json(ZarrCodec { checksum: Some(Checksum::Crc32c), ..zstd }, ZarrVersion::V3, "zarr.json");
    assert_eq!(three["dimension_names"], serde_json::json!(["z", "y", "x"]));
    assert_eq!(three["chunk_grid"]["configuration"]["chunk_shape"], serde_json::json!([2, 16, 16]));
    let bytes = serde_json::json!({"name": "bytes", "configuration": {"endian": "little"}});
    let expected = serde_json::json!([bytes,
        {"name": "zstd", "configuration": {"level": 3, "checksum": false}}, {"name": "crc32c"}]);
    assert_eq!(three["codecs"], expected);
    let bits = ZarrCodec { level: Some(9), shuffle: Some(Shuffle::BitShuffle), ..ZarrCodec::of(Compressor::BloscZstd) };
    let expected = serde_json::json!([bytes, {"name": "blosc", "configuration": {
        "cname": "zstd", "clevel": 9, "shuffle": "bitshuffle", "typesize": 2, "blocksize": 0}}]);
    assert_eq!(json(bits, ZarrVersion::V3, "zarr.json")["codecs"], expected);
    let expected = serde_json::json!({"id": "blosc", "cname": "zstd", "clevel": 9, "shuffle": 2, "blocksize": 0});
    assert_eq!(json(bits, ZarrVersion::V2, ".zarray")["compressor"], expected);
    let expected = serde_json::json!({"id": "bz2", "level": 9});
    assert_eq!(json(ZarrCodec::of(Compressor::Bz2), ZarrVersion::V2, ".zarray")["compressor"], expected);
}

#[test]
fn a_flipped_bit_is_noticed_where_there_is_a_checksum() {
    let dir = tempfile::tempdir().unwrap();
    let m = meta(&[64, 64], "yx", DType::UInt16);
    for (name, at) in [(Compressor::None, 0), (Compressor::BloscLz4, 100), (Compressor::Pcodec, 100)] {
        let codec = ZarrCodec { checksum: Some(Checksum::Crc32c), ..ZarrCodec::of(name) };
        let path = dir.path().join(format!("{name:?}.zarr"));
        let w = create(Format::Zarr, &path, &m, &WriteOptions { codec, ..WriteOptions::default() }).unwrap();
        w.write(&block_of(&m, 1, false)).unwrap();
        w.finish().unwrap();
        let chunk = path.join("c/0/0");
        let mut bytes = std::fs::read(&chunk).unwrap();
        bytes[at] ^= 4;
        std::fs::write(&chunk, bytes).unwrap();
        let read = open(&path, &InputOptions::default()).unwrap().read(&m.region(), &Pool::default());
        let error = read.unwrap_err().to_string();
        assert!(error.contains("c/0/0") && error.contains("checksum"), "{error}");
    }
}

#[test]
fn blocks_that_cut_chunks_and_unfinished_stores_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.zarr");
    let m = meta(&[20, 20], "yx", DType::UInt8);
    let options = WriteOptions { chunks: Some(vec![8, 8]), ..WriteOptions::default() };
    let w = create(Format::Zarr, &path, &m, &options).unwrap();
    let e = w.write(&Block::zeros(DType::UInt8, Region::whole(&[12, 20]))).unwrap_err().to_string();
    assert!(e.contains("cuts chunks of [8, 8]"), "{e}");
    w.write(&Block::zeros(DType::UInt8, Region::whole(&[16, 20]))).unwrap();
    assert!(w.finish().unwrap_err().to_string().contains("320 of 400 elements"));
    drop(create(Format::Zarr, &path, &m, &options).unwrap());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    let bad = WriteOptions { chunks: Some(vec![8]), ..WriteOptions::default() };
    assert!(create(Format::Zarr, &path, &m, &bad).is_err());
}

#[test]
fn blosc_stores_of_zarr_python_are_read() {
    let Some(python) = std::env::var_os("ENGINE_TEST_PYTHON") else {
        return skipped("Zarr stores that zarr-python writes: set ENGINE_TEST_PYTHON");
    };
    let dir = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/zarr_python.py");
    let output = std::process::Command::new(python).arg(script).arg(dir.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let digests: std::collections::BTreeMap<String, String> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(digests.len(), 5 * 5 * 3 * 2);
    for (name, digest) in &digests {
        assert_eq!(&sha256(&load(&dir.path().join(name))), digest, "{name}");
    }
}

#[test]
fn what_is_not_written_is_refused_by_name() {
    let codec = serde_json::json!({"name": "blosc", "configuration": {
        "cname": "blosclz", "clevel": 5, "shuffle": "bitshuffle", "typesize": 1, "blocksize": 0}});
    let array = serde_json::json!({"zarr_format": 3, "node_type": "array", "shape": [4], "data_type": "uint8",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [4]}},
        "chunk_key_encoding": {"name": "default"}, "fill_value": 0, "codecs": [{"name": "bytes"}, codec]});
    let metadata = serde_json::from_value(array).unwrap();
    let array = Array::new_with_metadata(Arc::new(MemoryStore::new()), "/", metadata).unwrap();
    let error = array.store_chunk(&[0], &[1u8, 2, 3, 4]).unwrap_err().to_string();
    assert!(error.contains("blosc with BloscLZ is read, expected LZ4 or Zstd"), "{error}");
}

#[test]
fn blosc_stores_of_other_programs_are_read() {
    let Some(root) = std::env::var_os("ENGINE_TEST_DATA") else {
        return skipped("Zarr stores that do not ship: set ENGINE_TEST_DATA");
    };
    let root = Path::new(&root).join("zarr");
    let text = std::fs::read_to_string(root.join("expected.json")).unwrap();
    let stores: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
    let mut seen = 0;
    for (store, entry) in &stores {
        for (array, entry) in entry["arrays"].as_object().into_iter().flatten() {
            let path = root.join(store).join(array);
            let metadata = [".zarray", "zarr.json"].map(|name| std::fs::read_to_string(path.join(name)));
            let blosc = metadata.into_iter().flatten().any(|text| text.contains("\"blosc\""));
            // zarrita wrote 0 as the fill value of booleans, which the library takes for none.
            let other = store.contains("zarrita") && entry["dtype"] == "bool";
            if let (true, false, Some(digest)) = (blosc, other, entry["sha256_le_c_order"].as_str()) {
                assert_eq!(sha256(&load(&path)), digest, "{}", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 30, "{seen} stores");
}

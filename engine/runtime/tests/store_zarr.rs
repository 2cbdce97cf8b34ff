//! Zarr out: chunks, edges, metadata, atomicity. Blosc in, as zarr-python writes it.

mod common;
mod independent;

use common::{block_of, cuts, meta, shuffle};
use engine_model::spec::workflow::Format;
use engine_runtime::store::write::{WriteOptions, ZarrCodec, create};
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

#[test]
fn every_dtype_and_codec_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    for dtype in DType::ALL {
        for codec in [ZarrCodec::BloscLz4, ZarrCodec::Zstd] {
            let m = meta(&[5, 30, 41], "zyx", dtype);
            let block = block_of(&m, 11, dtype.is_float());
            let path = dir.path().join(format!("{dtype}-{codec:?}.zarr"));
            let options = WriteOptions { chunks: Some(vec![2, 16, 16]), codec, ..WriteOptions::default() };
            let w = create(Format::Zarr, &path, &m, &options).unwrap();
            let mut regions = cuts(&m.shape, &[2, 32, 16]);
            shuffle(&mut regions, 5);
            let pool = Pool::default();
            let mut bytes: u64 = regions.iter().map(|r| w.write(&block.cut(&pool, r)).unwrap()).sum();
            assert!(!path.exists());
            bytes += w.finish().unwrap();
            assert!(bytes > 500);
            assert_eq!(load(&path), block.bytes(), "{dtype} {codec:?}");
        }
    }
    let text = std::fs::read_to_string(dir.path().join("int16-Zstd.zarr/zarr.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["dimension_names"], serde_json::json!(["z", "y", "x"]));
    assert_eq!(json["chunk_grid"]["configuration"]["chunk_shape"], serde_json::json!([2, 16, 16]));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 22, "something partial is left");
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
        "cname": "zstd", "clevel": 5, "shuffle": "bitshuffle", "typesize": 1, "blocksize": 0}});
    let array = serde_json::json!({"zarr_format": 3, "node_type": "array", "shape": [4], "data_type": "uint8",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [4]}},
        "chunk_key_encoding": {"name": "default"}, "fill_value": 0, "codecs": [{"name": "bytes"}, codec]});
    let metadata = serde_json::from_value(array).unwrap();
    let array = Array::new_with_metadata(Arc::new(MemoryStore::new()), "/", metadata).unwrap();
    let error = array.store_chunk(&[0], &[1u8, 2, 3, 4]).unwrap_err().to_string();
    assert!(error.contains("blosc with Zstd and shuffle Bits is read, expected LZ4"), "{error}");
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

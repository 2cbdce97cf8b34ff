//! Real files against what independent readers make of them (`expected.json`, written by Pillow and tifffile).
//!
//! Those of `tests/oracle` and of `examples/data` are always compared; those below `$ENGINE_TEST_DATA` where it is set.

mod independent;

use engine_runtime::store::read::{InputOptions, open, probe};
use independent::{sha256, skipped};
use ops_core::{Index, Pool, Region};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// Pixels as the digests want them: C order, little endian.
fn sha(bytes: &[u8], size: usize) -> String {
    if cfg!(target_endian = "little") || size == 1 {
        return sha256(bytes);
    }
    sha256(&bytes.chunks_exact(size).flat_map(|v| v.iter().rev().copied()).collect::<Vec<u8>>())
}

/// The entries of a list, each with its file.
fn entries(list: &Path, files: &Path) -> Vec<(PathBuf, Value)> {
    let text = std::fs::read_to_string(list).unwrap_or_else(|e| panic!("{}: {e}", list.display()));
    let all: Map<String, Value> = serde_json::from_str(&text).unwrap();
    all.into_iter().map(|(name, entry)| (files.join(name), entry)).collect()
}

/// Compares a file with its entry.
fn compare(path: &Path, entry: &Value, pool: &Pool) {
    let name = path.display();
    let meta = probe(path, &InputOptions::default()).unwrap_or_else(|e| panic!("{e}"));
    let shape: Vec<u64> = serde_json::from_value(entry["shape"].clone()).unwrap();
    assert_eq!(meta.array.shape.as_slice(), shape, "{name}");
    assert_eq!(meta.array.dtype.name(), entry["dtype"], "{name}");
    let reader = open(path, &InputOptions::default()).unwrap();
    let (whole, bytes) = reader.read(&meta.array.region(), pool).unwrap_or_else(|e| panic!("{e}"));
    assert!(bytes > 0, "{name}");
    let lossy = path.extension().is_some_and(|e| e == "jpg" || e == "svs");
    if lossy {
        let v = whole.bytes();
        let mean = v.iter().map(|b| f64::from(*b)).sum::<f64>() / v.len() as f64;
        let expected = entry["mean"].as_f64().unwrap();
        assert!((mean - expected).abs() < 0.5, "{name}: mean {mean}, expected {expected}");
    } else {
        let digest = entry["sha256_le_c_order"].as_str().unwrap();
        assert_eq!(sha(whole.bytes(), meta.array.dtype.size()), digest, "{name}");
    }
    // A part is a cut of the whole.
    let third = |hi: bool| -> Index {
        meta.array.shape.iter().map(|n| (if hi { 2 * n / 3 + 1 } else { n / 3 }).min(*n) as i64).collect()
    };
    let region = Region::new(third(false), third(true));
    let (part, _) = reader.read(&region, pool).unwrap();
    assert_eq!(part.bytes(), whole.cut(pool, &region).bytes(), "{name} {region}");
}

#[test]
fn images_of_the_repository_have_the_pixels_of_the_independent_reader() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let all = entries(&here.join("tests/oracle/expected.json"), &here.join("../.."));
    let pool = Pool::keeping(1 << 28);
    all.iter().for_each(|(path, entry)| compare(path, entry, &pool));
    assert_eq!(all.len(), 23, "14 images that ship and 9 of other kinds");
}

#[test]
fn larger_images_have_the_pixels_of_the_independent_reader() {
    let Some(root) = std::env::var_os("ENGINE_TEST_DATA").map(PathBuf::from) else {
        return skipped("images that do not ship: set ENGINE_TEST_DATA");
    };
    let pool = Pool::keeping(1 << 28);
    let mut seen = 0;
    for folder in ["histology", "microscopy", "general"] {
        let list = root.join(folder).join("expected.json");
        for (path, entry) in entries(&list, &root.join(folder)) {
            let entry = entry.get("series0").unwrap_or(&entry);
            if entry.get("sha256_le_c_order").is_some() && path.exists() {
                compare(&path, entry, &pool);
                seen += 1;
            }
        }
    }
    assert!(seen > 0, "no entry of expected.json has its file");
    eprintln!("{seen} files agree");
}

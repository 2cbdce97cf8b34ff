//! Real files against what independent readers make of them (`expected.json`, written by Pillow and tifffile).
//!
//! The files are looked for in `$ENGINE_TEST_DATA`, then in `examples/data` of the repository.

use engine_runtime::store::read::{InputOptions, open, probe};
use ops_core::{Index, Pool, Region};
use sha2::{Digest, Sha256};
use std::path::PathBuf;

fn data() -> Option<PathBuf> {
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples/data");
    std::env::var_os("ENGINE_TEST_DATA").map(PathBuf::from).or_else(|| own.is_dir().then_some(own))
}

/// Pixels as the hashes want them: C order, little endian.
fn sha(bytes: &[u8], size: usize) -> String {
    let mut h = Sha256::new();
    if cfg!(target_endian = "little") || size == 1 {
        h.update(bytes);
    } else {
        bytes.chunks_exact(size).for_each(|v| h.update(v.iter().rev().copied().collect::<Vec<u8>>()));
    }
    h.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn every_image_has_the_pixels_of_the_independent_reader() {
    let Some(root) = data() else {
        eprintln!("no data: set ENGINE_TEST_DATA");
        return;
    };
    let pool = Pool::keeping(1 << 28);
    let mut seen = 0;
    for folder in ["histology", "microscopy", "general"] {
        let list = root.join(folder).join("expected.json");
        let Ok(text) = std::fs::read_to_string(&list) else { continue };
        let all: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
        for (name, entry) in &all {
            let path = root.join(folder).join(name);
            let want = entry.get("series0").unwrap_or(entry);
            let (Some(hash), true) = (want.get("sha256_le_c_order"), path.exists()) else { continue };
            let meta = probe(&path, &InputOptions::default()).unwrap_or_else(|e| panic!("{e}"));
            let shape: Vec<u64> = serde_json::from_value(want["shape"].clone()).unwrap();
            assert_eq!(meta.array.shape.as_slice(), shape, "{name}");
            assert_eq!(meta.array.dtype.name(), want["dtype"], "{name}");
            let reader = open(&path, &InputOptions::default()).unwrap();
            let (whole, bytes) = reader.read(&meta.array.region(), &pool).unwrap_or_else(|e| panic!("{e}"));
            assert!(bytes > 0, "{name}");
            let lossy = name.ends_with("jpg") || name.ends_with("svs");
            if lossy {
                let v = whole.bytes();
                let mean = v.iter().map(|b| f64::from(*b)).sum::<f64>() / v.len() as f64;
                let expected = want["mean"].as_f64().unwrap();
                assert!((mean - expected).abs() < 0.5, "{name}: mean {mean}, expected {expected}");
            } else {
                assert_eq!(sha(whole.bytes(), meta.array.dtype.size()), hash.as_str().unwrap(), "{name}");
            }
            // A part is a cut of the whole.
            let third = |hi: bool| -> Index {
                meta.array.shape.iter().map(|n| (if hi { 2 * n / 3 + 1 } else { n / 3 }).min(*n) as i64).collect()
            };
            let region = Region::new(third(false), third(true));
            let (part, _) = reader.read(&region, &pool).unwrap();
            assert_eq!(part.bytes(), whole.cut(&pool, &region).bytes(), "{name} {region}");
            seen += 1;
        }
    }
    assert!(seen > 0, "no entry of expected.json has its file");
    eprintln!("{seen} files agree");
}

//! Blosc buffers that c-blosc wrote are decoded, ours come back, and a damaged one is an error.

use engine_runtime::store::blosc::{BloscError, Compressor, Shuffle, decode, encode};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// LZ4 of shuffled bytes: what is written when nothing is said.
fn encode_lz4(bytes: &[u8], element: usize) -> Result<Vec<u8>, BloscError> {
    encode(bytes, element, Compressor::Lz4, Shuffle::Bytes)
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/blosc")
}

/// Every buffer of the fixtures with the array it holds and what compressed it.
fn buffers() -> Vec<(String, Vec<u8>, Vec<u8>)> {
    let mut all = Vec::new();
    for dir in std::fs::read_dir(fixtures()).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir()) {
        let text = std::fs::read_to_string(dir.join("config.json")).unwrap();
        let config: serde_json::Value = serde_json::from_str(&text).unwrap();
        for array in ["00", "03", "05", "09"] {
            let npy = std::fs::read(fixtures().join(format!("array.{array}.npy"))).unwrap();
            let header = 10 + usize::from(u16::from_le_bytes([npy[8], npy[9]]));
            let name = format!("{} shuffle {}", config["cname"].as_str().unwrap(), config["shuffle"]);
            let encoded = std::fs::read(dir.join(format!("encoded.{array}.dat"))).unwrap();
            all.push((name, npy[header..].to_vec(), encoded));
        }
    }
    all
}

#[test]
fn buffers_of_c_blosc_hold_their_arrays() {
    let all = buffers();
    for (name, array, encoded) in &all {
        assert_eq!(&decode(encoded, array.len()).unwrap(), array, "{name}");
        let error = decode(encoded, array.len() - 1).unwrap_err().to_string();
        assert!(error.contains(&format!("expected at most {}", array.len() - 1)), "{error}");
    }
    let names: BTreeSet<&str> = all.iter().map(|(name, ..)| name.as_str()).collect();
    let expected =
        ["blosclz shuffle 2", "lz4 shuffle 0", "lz4 shuffle 1", "lz4 shuffle 2", "snappy shuffle 2", "zlib shuffle 0"];
    assert!(names.is_superset(&expected.into()) && names.contains("zstd shuffle 1"), "{names:?}");
    assert_eq!(all.len(), 52);
}

#[test]
fn what_is_not_read_or_written_is_named() {
    let mut later = encode_lz4(&[1; 100], 1).unwrap();
    later[0] = 5;
    assert_eq!(decode(&later, 100).unwrap_err().to_string(), "a Blosc buffer of version 5, expected version 2");
    assert!(decode(&later[..7], 100).unwrap_err().to_string().contains("7 bytes, expected a header of 16"));
    assert!(encode_lz4(&[0; 8], 0).unwrap_err().to_string().contains("elements of 0 bytes"));
    assert!(encode_lz4(&[0; 8], 256).unwrap_err().to_string().contains("expected 1 to 255"));
    assert!(decode(&encode_lz4(&[], 2).unwrap(), 0).unwrap().is_empty());
}

/// Bytes that compress here and do not there.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..3000),
        (any::<u8>(), 0usize..400_000).prop_map(|(byte, n)| vec![byte; n]),
        (0usize..60_000).prop_map(|n| (0..n).flat_map(|i| (i as u32 * 3).to_le_bytes()).collect()),
    ];
    proptest::collection::vec(part, 1..4).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn ours_come_back(bytes in bytes(), element in 1usize..=20, zstd in 0u8..=7, how in 0usize..6) {
        let shuffle = [Shuffle::None, Shuffle::Bytes, Shuffle::Bits][how % 3];
        let compressor = if how < 3 { Compressor::Lz4 } else { Compressor::zstd(zstd) };
        let encoded = encode(&bytes, element, compressor, shuffle).unwrap();
        prop_assert!(encoded.len() <= bytes.len() + 16);
        prop_assert_eq!(&encoded, &encode(&bytes, element, compressor, shuffle).unwrap());
        prop_assert!(decode(&encoded, bytes.len()).unwrap() == bytes);
    }

    #[test]
    fn damage_is_an_error_or_other_bytes_and_never_a_panic(
        which in 0usize..52, damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4), cut in any::<prop::sample::Index>(),
    ) {
        let (name, array, mut encoded) = buffers().swap_remove(which);
        let whole = encoded.clone();
        encoded.truncate(cut.index(encoded.len()));
        prop_assert!(decode(&encoded, array.len()).is_err(), "{} cut to {}", name, encoded.len());
        encoded = whole;
        for (at, byte) in damage {
            let n = encoded.len();
            encoded[at.index(n)] = byte;
        }
        if let Ok(bytes) = decode(&encoded, array.len()) {
            prop_assert!(bytes.len() <= array.len());
        }
    }
}

//! Random stores made by zarr-python: dtype x codec x order x separator x sharding; regions equal numpy's slices.
//!
//! Needs the python that `ENGINE_TEST_PYTHON` names, with the package zarr; SKIPPED without.
//! `ZARR_CASES=1000 ZARR_SEED=7` make it longer and different.

use engine_runtime::store::read::{InputOptions, open_keeping, probe};
use ops_core::{Axes, Index, Pool, Region};
use serde::Deserialize;
use std::path::Path;
use std::process::Command;

#[derive(Deserialize)]
struct Case {
    store: String,
    axes: String,
    dtype: String,
    about: String,
    shape: Vec<u64>,
    slices: Vec<Slice>,
}

#[derive(Deserialize)]
struct Slice {
    lo: Vec<i64>,
    hi: Vec<i64>,
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

#[test]
fn regions_equal_the_slices_of_numpy() {
    let Some(python) = std::env::var_os("ENGINE_TEST_PYTHON") else {
        eprintln!("SKIPPED: no ENGINE_TEST_PYTHON");
        return;
    };
    let has = Command::new(&python).args(["-c", "import zarr, numcodecs"]).output();
    if !has.is_ok_and(|o| o.status.success()) {
        eprintln!("SKIPPED: that python has no package zarr");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/zarr_random.py");
    let (seed, count) = (number("ZARR_SEED", 1), number("ZARR_CASES", 80));
    let made =
        Command::new(&python).arg(script).arg(dir.path()).args([seed.to_string(), count.to_string()]).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let cases: Vec<Case> = serde_json::from_slice(&std::fs::read(dir.path().join("cases.json")).unwrap()).unwrap();
    assert_eq!(cases.len() as u64, count);
    let pool = Pool::filled(0xa5);
    for case in &cases {
        let path = dir.path().join(&case.store);
        let options = InputOptions { axes: Axes::parse(&case.axes), ..InputOptions::default() };
        let label = format!("seed {seed}, store {}: {}", case.store, case.about);
        let meta = probe(&path, &options).unwrap_or_else(|e| panic!("{label}: {e}")).array;
        assert_eq!((meta.shape.as_slice(), meta.dtype.name()), (case.shape.as_slice(), case.dtype.as_str()), "{label}");
        for cache in [0, 100, u64::MAX] {
            let reader = open_keeping(&path, &options, cache).unwrap();
            for (k, slice) in case.slices.iter().enumerate() {
                let region = Region::new(Index::from_slice(&slice.lo), Index::from_slice(&slice.hi));
                let (block, _) = reader.read(&region, &pool).unwrap_or_else(|e| panic!("{label}: {region}: {e}"));
                let mut want = std::fs::read(dir.path().join(format!("{}-{k}.raw", case.store))).unwrap();
                if cfg!(target_endian = "big") {
                    want.chunks_exact_mut(meta.dtype.size()).for_each(<[u8]>::reverse);
                }
                assert!(block.bytes() == want, "{label}: {region} differs (cache {cache})");
            }
        }
    }
}

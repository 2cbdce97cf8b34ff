//! Results opened by independent readers: every value is what the engine wrote.
//!
//! `ENGINE_TEST_PYTHON` names a Python with the packages of `tests/requirements.txt`; without it the tests say that they were
//! skipped.

use crate::support::{self, Run, pixels, stderr};
use engine_runtime::store::read::{InputOptions, open, probe};
use ops_core::{DType, Pool};
use serde_json::{Value as Json, json};
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

/// What the readers found, by path below `Results`; `None` without a Python.
fn found(results: &Path) -> Option<Json> {
    let Some(python) = support::python() else {
        support::skipped("independent readers of results: set ENGINE_TEST_PYTHON");
        return None;
    };
    let script = support::root().join("tests/interop/read.py");
    let output = Command::new(python).arg(script).arg(results).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// Shape, dtype and digest of a file by the engine's own reader.
fn own(path: &Path) -> Json {
    let options = InputOptions::default();
    let meta = probe(path, &options).unwrap().array;
    let (block, _) = open(path, &options).unwrap().read(&meta.region(), &Pool::default()).unwrap();
    let size = meta.dtype.size();
    let little: Vec<u8> = match cfg!(target_endian = "little") {
        true => block.bytes().to_vec(),
        false => block.bytes().chunks(size).flat_map(|v| v.iter().rev().copied()).collect(),
    };
    json!({"shape": meta.shape.as_slice(), "dtype": meta.dtype.name(), "sha256": pixels::sha256(&little)})
}

/// Without what only Zarr tells.
fn plain(array: &Json) -> Json {
    json!({"shape": array["shape"], "dtype": array["dtype"], "sha256": array["sha256"]})
}

/// Noise of every dtype and a real image, each in every format that holds it.
fn arrays(dir: &Path) -> std::path::PathBuf {
    let image = support::data("histology").join("low-nuclei-score-level1.png");
    let mut text =
        format!("version: 1\nname: formats\ninputs:\n  rgb: {{path: \"{}\", channels: rgb}}\n", image.display());
    text.push_str("  noise: {generate: {shape: [301, 410], dtype: float64, items: 2, pattern: noise, seed: 7}}\n");
    text.push_str("steps:\n  scaled: {op: rescale, input: noise, with: {from: [0, 1], to: [0, 250]}}\n");
    text.push_str("  volume: {op: stack, input: scaled}\n");
    let mut outputs =
        String::from("outputs:\n  rgb-png: {from: rgb, format: png}\n  rgb-tiff: {from: rgb, format: tiff}\n");
    outputs.push_str("  rgb-zarr: {from: rgb, format: zarr, chunks: [200, 512, 3]}\n");
    outputs.push_str("  volume-tiff: {from: volume, format: tiff}\n");
    outputs.push_str("  volume-zarr: {from: volume, format: zarr, chunks: [1, 301, 410]}\n");
    for dtype in DType::ALL {
        writeln!(text, "  as-{dtype}: {{op: cast, input: scaled, with: {{dtype: {dtype}}}}}").unwrap();
        // Of more bytes than a block of Blosc for wide elements, and cut by the edge.
        writeln!(outputs, "  {dtype}-zarr: {{from: as-{dtype}, format: zarr, chunks: [256, 256]}}").unwrap();
        writeln!(outputs, "  {dtype}-tiff: {{from: as-{dtype}, format: tiff}}").unwrap();
        if matches!(dtype, DType::Bool | DType::UInt8 | DType::UInt16) {
            writeln!(outputs, "  {dtype}-png: {{from: as-{dtype}, format: png}}").unwrap();
        }
    }
    let path = dir.join("formats.yaml");
    support::write(&path, &(text + &outputs));
    path
}

#[test]
fn arrays_are_the_same_to_independent_readers() {
    let dir = support::temp();
    let run = Run::ok(&arrays(dir.path()), &[]);
    let results = run.results("");
    let Some(found) = found(&results) else { return };
    let files = found.as_object().unwrap();
    assert_eq!(files.len(), 3 + 2 + 2 * (2 * DType::ALL.len() + 3), "{:?}", files.keys().collect::<Vec<_>>());
    let mut compared = 0;
    for (name, array) in files.iter().filter(|(name, _)| !name.ends_with(".zarr")) {
        let mut own = own(&results.join(name));
        if name.starts_with("bool-") {
            // What a reader makes of two values is its own choice; the Zarr store below says which are true.
            own["dtype"] = array["dtype"].clone();
            own["sha256"] = array["sha256"].clone();
        }
        assert_eq!(plain(array), own, "{name}");
        compared += 1;
    }
    // No reader of ours opens Zarr: its arrays are those of the TIFF beside it.
    for (name, array) in files.iter().filter(|(name, _)| name.ends_with(".zarr")) {
        let tiff = name.replace("-zarr", "-tiff").replace(".zarr", ".tiff");
        let tiff =
            files.get(&tiff).or_else(|| files.get(&tiff.replace(".tiff", ".tif"))).unwrap_or_else(|| panic!("{tiff}"));
        if name.starts_with("bool-") {
            assert_eq!((&array["shape"], &array["dtype"]), (&tiff["shape"], &json!("bool")), "{name}");
        } else {
            assert_eq!(plain(array), plain(tiff), "{name}");
        }
        let axes = array["axes"].as_array().unwrap();
        assert_eq!(axes.len(), array["shape"].as_array().unwrap().len(), "{name}");
        compared += 1;
    }
    assert_eq!(compared, files.len());
}

/// Every compressor, at other levels than its own, with each shuffle, and with a checksum.
const CODECS: [&str; 13] = [
    "blosc-lz4",
    "zstd",
    "gzip",
    "none",
    "zlib",
    "bz2",
    "pcodec",
    "{name: blosc-lz4, shuffle: bitshuffle}",
    "{name: blosc-lz4, shuffle: noshuffle, checksum: crc32c}",
    "{name: blosc-zstd, level: 1}",
    "{name: blosc-zstd, level: 9, shuffle: bitshuffle}",
    "{name: zstd, level: 15, checksum: crc32c}",
    "{name: gzip, level: 9}",
];

/// Noise of every dtype, with empty corners, in shards, by every codec, in both versions.
#[test]
fn shards_codecs_and_versions_are_the_same_to_independent_readers() {
    let dir = support::temp();
    let mut text = String::from("version: 1\nname: stores\ninputs:\n");
    text.push_str("  noise: {generate: {shape: [301, 410], dtype: float64, pattern: noise, seed: 7}}\n");
    text.push_str(
        "steps:\n  wide: {op: rescale, input: noise, with: {from: [0, 1], to: [-2000, 250]}}\n  \
         scaled: {op: clip, input: wide, with: {min: 0}}\n",
    );
    let mut outputs = String::from("outputs:\n");
    let mut count = 0;
    for dtype in DType::ALL {
        writeln!(text, "  as-{dtype}: {{op: cast, input: scaled, with: {{dtype: {dtype}}}}}").unwrap();
        writeln!(outputs, "  {dtype}-plain: {{from: as-{dtype}, format: tiff}}").unwrap();
        for (i, codec) in CODECS.into_iter().enumerate() {
            let sharded = "chunks: [16, 40], shards: [96, 120]";
            for (kind, more) in [("shards", sharded), ("old", "chunks: [64, 50], version: 2")] {
                let narrow = matches!(dtype, DType::Bool | DType::UInt8 | DType::Int8);
                if (codec == "pcodec" && narrow) || (codec.contains("crc32c") && kind == "old") {
                    continue;
                }
                let output = format!("{{from: as-{dtype}, format: zarr, codec: {codec}, {more}}}");
                writeln!(outputs, "  {dtype}-{i}-{kind}: {output}").unwrap();
                count += 1;
            }
        }
    }
    let path = dir.path().join("stores.yaml");
    support::write(&path, &(text + &outputs));
    let run = Run::ok(&path, &[]);
    let Some(found) = found(&run.results("")) else { return };
    let files = found.as_object().unwrap();
    let mut compared = 0;
    for (name, array) in files.iter().filter(|(name, _)| name.ends_with(".zarr")) {
        let dtype = name.split('-').next().unwrap();
        let want = own(&run.results(&format!("{dtype}-plain.tiff")));
        match dtype {
            "bool" => assert_eq!(plain(array), plain(&own(&run.results(name))), "{name}"),
            _ => assert_eq!(plain(array), want, "{name}"),
        }
        assert_eq!(array["axes"], json!(["y", "x"]), "{name}");
        let (chunks, shards) = match name.contains("shards") {
            true => (json!([16, 40]), json!([96, 120])),
            false => (json!([64, 50]), Json::Null),
        };
        assert_eq!((&array["chunks"], &array["shards"]), (&chunks, &shards), "{name}");
        compared += 1;
    }
    assert_eq!(compared, count);
}

#[test]
fn images_of_several_levels_are_valid_and_the_same_to_independent_readers() {
    let dir = support::temp();
    let path = dir.path().join("images.yaml");
    let text = "version: 1
inputs:
  noise: {generate: {shape: [3, 150, 190], axes: cyx, dtype: uint16, pattern: noise, seed: 3}}
  volume: {generate: {shape: [2, 9, 80, 70], axes: tzyx, dtype: uint8, pattern: noise, seed: 4}}
steps:
  image: {op: invert, input: noise}
  objects: {op: invert, input: volume}
outputs:
  New: {from: image, format: ome-zarr, chunks: [1, 32, 32], shards: [1, 64, 64], pyramid: {levels: 3}}
  Old: {from: image, format: ome-zarr, version: 0.4, chunks: [1, 32, 32], pyramid: {levels: 3, method: nearest}}
  Deep: {from: objects, format: ome-zarr, chunks: [1, 4, 32, 32], pyramid: {axes: zyx, method: max}}
  Objects: {from: objects, format: ome-zarr, labels: true, chunks: [1, 4, 32, 32], pyramid: {levels: 2}}
  ObjectsOld: {from: objects, format: ome-zarr, version: 0.4, labels: true, chunks: [1, 4, 32, 32], pyramid: {levels: 2}}
";
    support::write(&path, text);
    let run = Run::ok(&path, &[]);
    let Some(found) = found(&run.results("")) else { return };
    let labels = |name: &str| found[format!("{name}.ome.zarr")]["labels"][name].clone();
    let image = |name: &str| found[format!("{name}.ome.zarr")].clone();
    let all = [
        ("New", image("New"), "", 3, "Image"),
        ("Old", image("Old"), "", 3, "Image"),
        ("Deep", image("Deep"), "", 3, "Image"),
        ("Objects", labels("Objects"), "labels/Objects/", 2, "ImageLabel"),
        ("ObjectsOld", labels("ObjectsOld"), "labels/ObjectsOld/", 2, "ImageLabel"),
    ];
    for (name, found, prefix, levels, model) in &all {
        assert_eq!(found["model"], *model, "{name}");
        assert_eq!(found["levels"].as_array().unwrap().len(), *levels, "{name}");
        for (n, level) in found["levels"].as_array().unwrap().iter().enumerate() {
            let ours = own(&run.results(&format!("{name}.ome.zarr")).join(format!("{prefix}{n}")));
            assert_eq!(plain(level), ours, "{name} {n}");
        }
    }
    let level = |name: &str, n: usize| image(name)["levels"][n].clone();
    assert_eq!(image("New")["axes"], json!([["c", "channel", null], ["y", "space", null], ["x", "space", null]]));
    assert_eq!(
        (&level("New", 2)["scale"], &level("New", 2)["translation"]),
        (&json!([1.0, 4.0, 4.0]), &json!([0.0, 1.5, 1.5]))
    );
    assert_eq!((&level("Old", 2)["scale"], &level("Old", 2)["translation"]), (&json!([1.0, 4.0, 4.0]), &Json::Null));
    assert_eq!(level("Deep", 1)["translation"], json!([0.0, 0.5, 0.5, 0.5]));
    assert_eq!(level("Deep", 1)["shape"], json!([2, 5, 40, 35]));
}

#[test]
fn tables_are_the_same_to_independent_readers() {
    let csv = "  Table: {from: table, format: csv}\n";
    let both = format!("{csv}  Parquet: {{from: table, format: parquet}}\n");
    let dir = support::temp();
    let run = Run::ok(&support::edited("astronaut.yaml", dir.path(), &[(csv, &both)]), &[]);
    let Some(found) = found(&run.results("")) else { return };
    let (csv, parquet) = (&found["Table.csv"], &found["Parquet.parquet"]);
    let mut reader = csv::Reader::from_path(run.results("Table.csv")).unwrap();
    let names: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 79);
    for table in [csv, parquet] {
        let columns = table.as_object().unwrap();
        assert_eq!(columns.len(), names.len());
        for (at, name) in names.iter().enumerate() {
            let column = columns[name].as_array().unwrap();
            assert_eq!(column.len(), rows.len(), "{name}");
            for (value, row) in column.iter().zip(&rows) {
                let (theirs, ours): (f64, f64) = (value.as_str().unwrap().parse().unwrap(), row[at].parse().unwrap());
                assert_eq!(theirs.to_bits(), ours.to_bits(), "{name}");
            }
        }
    }
}

//! Zarr stores that other software wrote, against what zarr-python makes of them (`expected.json`).
//!
//! The stores are looked for in `$ENGINE_TEST_DATA/zarr`, and a selection of them in `examples/data/zarr`.

use engine_model::spec::workflow::{Channels, Level};
use engine_runtime::store::StoreError;
use engine_runtime::store::read::{InputOptions, open, probe};
use ops_core::{Axes, Block, DType, Element, Pool, with_dtype};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

fn own() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples/data/zarr")
}

fn roots() -> Vec<PathBuf> {
    let given = std::env::var_os("ENGINE_TEST_DATA").map(|d| PathBuf::from(d).join("zarr"));
    given.into_iter().filter(|d| d.is_dir()).chain([own()]).collect()
}

/// Elements as the hashes want them: C order, little endian.
fn sha(block: &Block) -> String {
    let (bytes, size) = (block.bytes(), block.dtype().size());
    let mut h = Sha256::new();
    if cfg!(target_endian = "little") || size == 1 {
        h.update(bytes);
    } else {
        bytes.chunks_exact(size).for_each(|v| h.update(v.iter().rev().copied().collect::<Vec<u8>>()));
    }
    h.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

fn whole(path: &Path, options: &InputOptions) -> Result<Block, StoreError> {
    let meta = probe(path, options)?.array;
    Ok(open(path, options)?.read(&meta.region(), &Pool::default())?.0)
}

/// Minimum, maximum, mean and standard deviation over finite values.
fn statistics(block: &Block) -> [f64; 4] {
    let v: Vec<f64> = with_dtype!(block.dtype(), T => block.as_slice::<T>().iter().map(|v| v.to_f64()).collect());
    let finite: Vec<f64> = v.into_iter().filter(|x| x.is_finite()).collect();
    let n = finite.len() as f64;
    let mean = finite.iter().sum::<f64>() / n;
    let var = finite.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
    let least = finite.iter().copied().fold(f64::INFINITY, f64::min);
    let most = finite.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    [least, most, mean, var.sqrt()]
}

#[test]
fn every_store_has_the_statistics_of_the_independent_reader() {
    for root in roots() {
        let text = std::fs::read_to_string(root.join("expected.json")).unwrap();
        let all: serde_json::Map<String, Json> = serde_json::from_str(&text).unwrap();
        let (mut read, mut refused) = (0, Vec::new());
        for (store, entry) in &all {
            let Some(arrays) = entry["arrays"].as_object() else { continue };
            for (name, want) in arrays {
                let path = root.join(store).join(name);
                let label = format!("{store}/{name}");
                let axes = ["x", "yx", "zyx", "czyx", "tczyx"];
                let rank = want["shape"].as_array().map_or(0, Vec::len);
                let axes = axes.get(rank.wrapping_sub(1)).and_then(|a| Axes::parse(a));
                let options = InputOptions { axes, ..InputOptions::default() };
                let numeric = want.get("min").is_some();
                let block = match whole(&path, &options) {
                    Ok(block) => block,
                    Err(e) if numeric => panic!("{label}: {e}"),
                    Err(e) => {
                        refused.push(format!("{label}: {e}"));
                        continue;
                    }
                };
                if !numeric {
                    continue;
                }
                read += 1;
                let shape: Vec<u64> = serde_json::from_value(want["shape"].clone()).unwrap();
                assert_eq!(block.region().shape().iter().map(|n| *n as u64).collect::<Vec<_>>(), shape, "{label}");
                assert_eq!(block.dtype().name(), want["dtype"], "{label}");
                if let Some(hash) = want["sha256_le_c_order"].as_str() {
                    assert_eq!(sha(&block), hash, "{label}");
                }
                for (found, key) in statistics(&block).into_iter().zip(["min", "max", "mean", "std"]) {
                    let want = want[key].as_f64().unwrap();
                    assert!((found - want).abs() <= 1e-12 * want.abs().max(1.0), "{label}: {key} {found}, not {want}");
                }
            }
        }
        refused.iter().for_each(|r| eprintln!("refused: {r}"));
        assert!(read >= 20, "only {read} stores of {} were compared", root.display());
    }
}

#[test]
fn what_zarr_python_can_not_read_agrees_with_its_twin() {
    // The stores of zarrs/v2 hold the same array in different codecs.
    let at = |name: &str| whole(&own().join("zarrs/v2").join(name), &InputOptions::default()).unwrap();
    assert_eq!(at("array_pcodec_C.zarr").bytes(), at("array_none_C.zarr").bytes());
    assert_eq!(at("array_blosc_F.zarr").bytes(), at("array_none_C.zarr").bytes());
}

#[test]
fn a_level_of_an_ome_zarr_image_is_chosen_by_number_or_path() {
    for version in ["0.4", "0.5"] {
        let path = own().join(format!("neuroglancer/ome_zarr/simple_{version}"));
        let with = |level: Option<Level>| InputOptions { level, ..InputOptions::default() };
        let shape = |level| probe(&path, &with(level)).map(|m| m.array.shape.to_vec());
        assert_eq!(shape(None).unwrap(), [10, 10]);
        assert_eq!(shape(Some(Level::Number(2))).unwrap(), [2, 2]);
        assert_eq!(shape(Some(Level::Path("scale1/image".into()))).unwrap(), [5, 5]);
        for bad in [Level::Number(3), Level::Path("scale3".into())] {
            let e = shape(Some(bad)).unwrap_err();
            assert!(matches!(&e, StoreError::NotOne { .. }), "{e}");
            assert!(e.to_string().contains("levels 0 to 2 (`scale0/image`, `scale1/image`, `scale2/image`)"), "{e}");
        }
        let direct = whole(&path.join("scale1/image"), &InputOptions::default()).unwrap();
        assert_eq!(whole(&path, &with(Some(Level::Number(1)))).unwrap().bytes(), direct.bytes());
        // Figures of the metadata, by hand: level 1 has scale (8, 60) and translation (2, 15) nanometres.
        let meta = probe(&path, &with(Some(Level::Number(1)))).unwrap();
        let told: Vec<(char, f64, f64, Option<&str>)> = meta
            .scales
            .iter()
            .map(|s| (s.axis.name(), s.scale.get(), s.translation.get(), s.unit.as_deref()))
            .collect();
        assert_eq!(told, [('y', 8.0, 2.0, Some("nanometer")), ('x', 60.0, 15.0, Some("nanometer"))]);
        // Other axes than the image's say nothing of its scales.
        let other = InputOptions { axes: Axes::parse("xy"), ..with(None) };
        assert!(probe(&path, &other).unwrap().scales.is_empty());
        let array = probe(&path.join("scale0/image"), &with(Some(Level::Number(0)))).unwrap_err();
        assert!(array.to_string().contains("a single array has no levels"), "{array}");
    }
}

/// A group of Zarr v2 with these attributes.
fn group(dir: &Path, name: &str, attributes: &Json) -> PathBuf {
    let path = dir.join(name);
    std::fs::create_dir_all(&path).unwrap();
    std::fs::write(path.join(".zgroup"), "{\"zarr_format\": 2}").unwrap();
    std::fs::write(path.join(".zattrs"), attributes.to_string()).unwrap();
    path
}

/// An array of zeros of Zarr v2, without a chunk.
fn zeros(path: &Path, shape: &[u64]) {
    std::fs::create_dir_all(path).unwrap();
    let json = serde_json::json!({"zarr_format": 2, "shape": shape, "chunks": shape, "dtype": "<u2", "order": "C",
        "fill_value": 7, "filters": null, "compressor": null});
    std::fs::write(path.join(".zarray"), json.to_string()).unwrap();
}

#[test]
fn transformations_of_level_and_image_combine_and_older_versions_imply_axes() {
    let dir = tempfile::tempdir().unwrap();
    let path = group(
        dir.path(),
        "i.zarr",
        &serde_json::json!({"multiscales": [{"version": "0.4",
        "axes": [{"name": "t", "type": "time", "unit": "second"}, {"name": "y", "type": "space"}, {"name": "x", "type": "space"}],
        "datasets": [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1, 0.5, 0.25]},
            {"type": "translation", "translation": [0, 3, 4]}]}],
        "coordinateTransformations": [{"type": "scale", "scale": [10, 2, 2]}]}]}),
    );
    zeros(&path.join("0"), &[2, 3, 4]);
    let meta = probe(&path, &InputOptions::default()).unwrap();
    assert_eq!(meta.array.to_string(), "uint16 tyx (2, 3, 4)");
    let told: Vec<(f64, f64)> = meta.scales.iter().map(|s| (s.scale.get(), s.translation.get())).collect();
    assert_eq!(told, [(10.0, 0.0), (1.0, 6.0), (0.5, 8.0)]);
    // A missing chunk has the fill value.
    assert!(whole(&path, &InputOptions::default()).unwrap().as_slice::<u16>().iter().all(|v| *v == 7));
    let old = group(
        dir.path(),
        "old.zarr",
        &serde_json::json!({"multiscales": [{"version": "0.2", "datasets": [{"path": "0"}]}]}),
    );
    zeros(&old.join("0"), &[1, 4, 1, 2, 2]);
    let meta = probe(&old, &InputOptions { channels: Channels::Rgb, ..InputOptions::default() }).unwrap();
    assert_eq!(meta.array.to_string(), "uint16 tczyx (1, 3, 1, 2, 2)");
    assert!(meta.scales.is_empty());
    let third = group(
        dir.path(),
        "3.zarr",
        &serde_json::json!({"multiscales": [{"version": "0.3",
        "axes": ["c", "y", "x"], "datasets": [{"path": "0"}]}]}),
    );
    zeros(&third.join("0"), &[1, 2, 2]);
    assert_eq!(probe(&third, &InputOptions::default()).unwrap().array.to_string(), "uint16 cyx (1, 2, 2)");
}

#[test]
fn what_is_not_one_array_says_what_to_name() {
    let dir = tempfile::tempdir().unwrap();
    let plate = serde_json::json!({"plate": {"wells": [{"path": "A/1"}, {"path": "B/2"}]}});
    let cases = [
        ("plate", plate, "a plate with the wells `A/1`, `B/2`"),
        ("well", serde_json::json!({"well": {"images": [{"path": "0"}, {"path": "1"}]}}), "images `0`, `1`"),
        ("labels", serde_json::json!({"labels": ["nuclei"]}), "the label images `nuclei`"),
        ("raw", serde_json::json!({"bioformats2raw.layout": 3}), "a collection of images"),
        ("empty", serde_json::json!({}), "a Zarr group without arrays"),
    ];
    for (name, attributes, part) in cases {
        let e = probe(&group(dir.path(), name, &attributes), &InputOptions::default()).unwrap_err();
        assert!(matches!(&e, StoreError::NotOne { .. }) && e.to_string().contains(part), "{name}: {e}");
    }
    let plain = group(dir.path(), "plain", &serde_json::json!({}));
    zeros(&plain.join("b10"), &[1]);
    zeros(&plain.join("b9"), &[1]);
    let e = probe(&plain, &InputOptions::default()).unwrap_err().to_string();
    assert!(e.contains("it has `b9`, `b10`"), "{e}");
    // A label image is a multiscale image like any other.
    let label = group(
        dir.path(),
        "l.zarr/labels/nuclei",
        &serde_json::json!({"image-label": {"version": "0.4"},
        "multiscales": [{"version": "0.4", "axes": [{"name": "y"}, {"name": "x"}], "datasets": [{"path": "0"}]}]}),
    );
    zeros(&label.join("0"), &[3, 2]);
    assert_eq!(probe(&label, &InputOptions::default()).unwrap().array.to_string(), "uint16 yx (3, 2)");
    let cases = [
        (
            serde_json::json!({"multiscales": [{"version": "0.9", "datasets": [{"path": "0"}]}]}),
            "OME-Zarr 0.9, supported are 0.1",
        ),
        (serde_json::json!({"multiscales": []}), "`multiscales` is no list"),
        (serde_json::json!({"multiscales": [{"version": "0.4"}]}), "lists no `datasets`"),
        (serde_json::json!({"multiscales": [{"datasets": [{"path": "../x"}]}]}), "expected one inside the group"),
    ];
    for (attributes, part) in cases {
        let e = probe(&group(dir.path(), "bad", &attributes), &InputOptions::default()).unwrap_err().to_string();
        assert!(e.contains(part), "{e}");
    }
}

#[test]
fn axes_come_from_names_or_the_number_of_dimensions() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str, shape: &[u64], names: Json| {
        let path = dir.path().join(name);
        zeros(&path, shape);
        std::fs::write(path.join(".zattrs"), serde_json::json!({"_ARRAY_DIMENSIONS": names}).to_string()).unwrap();
        probe(&path, &InputOptions::default()).map(|m| m.array.axes.to_string())
    };
    assert_eq!(at("a", &[2, 3, 4], serde_json::json!(["time", "Y", "x"])).unwrap(), "tyx");
    assert_eq!(at("b", &[2, 3, 4], Json::Null).unwrap(), "zyx");
    let e = at("c", &[2, 3], serde_json::json!(["lat", "lon"])).unwrap_err().to_string();
    assert!(e.contains("named lat, lon") && e.contains("`axes:`"), "{e}");
    let e = at("d", &[2, 3, 4, 5], Json::Null).unwrap_err().to_string();
    assert!(e.contains("4 dimensions") && e.contains("`axes:`"), "{e}");
    let given = InputOptions { axes: Axes::parse("czyx"), ..InputOptions::default() };
    assert_eq!(probe(&dir.path().join("d"), &given).unwrap().array.axes.to_string(), "czyx");
    let e = probe(&dir.path().join("a"), &given).unwrap_err().to_string();
    assert!(e.contains("`axes: czyx` names 4 axes, the array has 3"), "{e}");
    assert_eq!(probe(&dir.path().join("a"), &InputOptions::default()).unwrap().array.dtype, DType::UInt16);
}

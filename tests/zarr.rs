//! Zarr arrays as inputs: the same results from any chunks, blocks that suit them, damage named, memory bounded.

use crate::support::{self, Run};
use std::path::{Path, PathBuf};

/// Writes a workflow into a directory.
fn workflow(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    support::write(&path, &format!("version: 1\n{text}"));
    path
}

const VOLUME: &str = "
inputs:
  noise: {generate: {shape: [70, 90, 110], dtype: uint16, pattern: noise, seed: 5}}
steps:
  smooth: {op: gaussian, input: noise, with: {sigma: 1.5}}
outputs:
  Volume: {from: noise, format: zarr, chunks: CHUNKS}
  Smooth: {from: smooth, format: tiff}
";

/// The volume in these chunks, and smoothed as it is generated.
fn volume(dir: &Path, chunks: &str) -> Run {
    Run::ok(&workflow(dir, "make.yaml", &VOLUME.replace("CHUNKS", chunks)), &[])
}

#[test]
fn a_volume_is_filtered_alike_from_any_chunks_in_any_blocks() {
    let dir = support::temp();
    for chunks in ["[16, 32, 24]", "[33, 47, 110]"] {
        let made = volume(dir.path(), chunks);
        let expected = std::fs::read(made.results("Smooth.tiff")).unwrap();
        let text = format!(
            "inputs: {{image: {{path: {}}}}}\nsteps: {{smooth: {{op: gaussian, input: image, with: {{sigma: 1.5}}}}}}\n\
             outputs: {{Smooth: {{from: smooth, format: tiff}}}}\n",
            made.results("Volume.zarr").display()
        );
        let path = workflow(dir.path(), "read.yaml", &text);
        for args in
            [&[][..], &["--block", "17"], &["--block", "64", "--threads", "4"], &["--no-fuse", "--threads", "1"]]
        {
            let run = Run::ok(&path, args);
            assert!(std::fs::read(run.results("Smooth.tiff")).unwrap() == expected, "{chunks} {args:?}");
        }
    }
}

#[test]
fn blocks_suit_the_chunks_and_only_shared_chunks_are_kept() {
    let dir = support::temp();
    let made = volume(dir.path(), "[16, 32, 24]");
    let plan = |step: &str, more: &[&str]| {
        let text = format!(
            "inputs: {{image: {{path: {}}}}}\nsteps: {{result: {step}}}\n\
             outputs: {{Result: {{from: result, format: tiff}}}}\n",
            made.results("Volume.zarr").display()
        );
        let file = workflow(dir.path(), "plan.yaml", &text);
        let o = support::call(&[&["plan", file.to_str().unwrap()][..], more].concat());
        assert_eq!(o.status.code(), Some(0), "{}", support::stderr(&o));
        support::stdout(&o)
    };
    let alone = plan("{op: invert, input: image}", &[]);
    // Whole chunks of 16 x 32 x 24, as many as hold 64 elements along each axis.
    assert!(alone.contains("block z=64 y=64 x=72"), "{alone}");
    assert!(alone.contains("suits the tiles of image") && !alone.contains("decoded tiles"), "{alone}");
    let halo = plan("{op: gaussian, input: image, with: {sigma: 2}}", &[]);
    assert!(halo.contains("neighbouring blocks need the same tiles") && halo.contains("decoded tiles"), "{halo}");
    let asked = plan("{op: invert, input: image}", &["--block", "40"]);
    assert!(asked.contains("block z=40 y=40 x=40") && asked.contains("neighbouring blocks"), "{asked}");
}

/// Three images of 64 x 64 in chunks of 32 x 32 as items.
fn items(dir: &Path) -> PathBuf {
    let text = "
inputs:
  noise: {generate: {items: 3, shape: [64, 64], dtype: uint8, pattern: noise}}
outputs:
  Items: {from: noise, format: zarr, chunks: [32, 32], to: items}
";
    drop(Run::ok(&workflow(dir, "make.yaml", text), &[]));
    let text = "
inputs:
  image: {foreach: \"items/*.zarr\"}
steps:
  result: {op: invert, input: image}
outputs:
  Result: {from: result, format: png}
";
    workflow(dir, "read.yaml", text)
}

#[test]
fn a_codec_that_does_not_take_the_dtype_is_refused_before_anything_runs() {
    let dir = support::temp();
    let text = |dtype: &str| {
        format!(
            "inputs:\n  a: {{generate: {{shape: [40, 50], dtype: {dtype}, pattern: noise}}}}\noutputs:\n  \
             Out: {{from: a, format: ome-zarr, pyramid: {{levels: 2}}, codec: {{name: pcodec, checksum: crc32c}}}}\n"
        )
    };
    let refused = support::call(&["validate", workflow(dir.path(), "narrow.yaml", &text("uint8")).to_str().unwrap()]);
    let told = support::stderr(&refused);
    assert_eq!(refused.status.code(), Some(3), "{told}");
    assert!(told.contains("E0713") && told.contains("16 bits and more, `a` is uint8"), "{told}");
    let run = Run::ok(&workflow(dir.path(), "wide.yaml", &text("int16")), &[]);
    for level in ["0", "1"] {
        let text = std::fs::read_to_string(run.results("Out.ome.zarr").join(level).join("zarr.json")).unwrap();
        assert!(text.contains("numcodecs.pcodec") && text.contains("crc32c"), "{text}");
    }
}

#[test]
fn a_damaged_chunk_is_named_with_store_key_and_block() {
    let dir = support::temp();
    let path = items(dir.path());
    let whole = Run::ok(&path, &[]);
    assert_eq!(std::fs::read_dir(whole.results("Result")).unwrap().count(), 3);
    let chunk = dir.path().join("items/1.zarr/c/1/0");
    let bytes = std::fs::read(&chunk).unwrap();
    std::fs::write(&chunk, &bytes[..bytes.len() / 2]).unwrap();
    let run = Run::with(&path, &["--block", "32"], &[]).expect_code(5);
    let text = support::stderr(&run.output);
    for part in ["items/1.zarr", "`c/1/0`", "chunk [1, 0]", "[32:64, 0:32]"] {
        assert!(text.contains(part), "no `{part}` in: {text}");
    }
    let rest = Run::with(&path, &["--keep-going"], &[]).expect_code(5);
    let names: Vec<String> = std::fs::read_dir(rest.results("Result"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .filter(|n| n.ends_with(".png"))
        .collect();
    assert_eq!(names.len(), 2, "{names:?}");
    // The metadata, torn: found before anything runs.
    let zarr_json = dir.path().join("items/1.zarr/zarr.json");
    let text = std::fs::read_to_string(&zarr_json).unwrap();
    std::fs::write(&zarr_json, &text[..text.len() / 2]).unwrap();
    let refused = Run::with(&path, &[], &[]).expect_code(3);
    let text = support::stderr(&refused.output);
    assert!(text.contains("E0603") && text.contains("1.zarr") && text.contains("`zarr.json` ends"), "{text}");
}

#[test]
fn reading_large_chunks_stays_within_the_projection() {
    let dir = support::temp();
    let text = "
inputs:
  noise: {generate: {shape: [256, 256, 256], dtype: uint16, pattern: noise}}
outputs:
  Volume: {from: noise, format: zarr, chunks: [128, 128, 128]}
";
    let made = Run::ok(&workflow(dir.path(), "make.yaml", text), &[]);
    let text = format!(
        "inputs: {{image: {{path: {}}}}}\nsteps: {{smooth: {{op: gaussian, input: image, with: {{sigma: 1}}}}}}\n\
         outputs: {{Smooth: {{from: smooth, format: zarr, chunks: [64, 64, 64]}}}}\n",
        made.results("Volume.zarr").display()
    );
    let path = workflow(dir.path(), "read.yaml", &text);
    let mut before = f64::INFINITY;
    for memory in ["2GiB", "200MiB", "120MiB"] {
        let run = Run::ok(&path, &["--memory", memory, "--threads", "2"]);
        let (projected, measured) = (run.number("projected_peak_bytes"), run.number("peak_rss_bytes"));
        println!("{memory}: projected {:.1} MiB, measured {:.1} MiB", projected / 1048576.0, measured / 1048576.0);
        assert!(measured <= projected && projected <= before, "{memory}: measured {measured}, projected {projected}");
        before = projected;
    }
}

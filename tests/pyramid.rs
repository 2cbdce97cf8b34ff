//! OME-Zarr images: every level is what its method makes of the one before, lies where it should, and is read from where it
//! was written.

use crate::support::{self, Run, stderr, tree};
use engine_runtime::store::read::{InputOptions, open, probe};
use ops_core::{Block, Pool, with_dtype};
use serde_json::{Value as Json, json};
use std::path::{Path, PathBuf};

const WORKFLOW: &str = "version: 1
inputs:
  noise: {generate: {shape: SHAPE, axes: AXES, dtype: DTYPE, pattern: noise, seed: 9}}
steps:
  image: {op: STEP, input: noise}
outputs:
  Image: {from: image, format: ome-zarr, MORE}
";

fn workflow(dir: &Path, shape: &str, axes: &str, dtype: &str, more: &str) -> PathBuf {
    let path = dir.join("pyramid.yaml");
    let step = if dtype == "bool" || dtype.starts_with('f') { "cast, with: {dtype: uint8}" } else { "invert" };
    let text = WORKFLOW.replace("SHAPE", shape).replace("AXES", axes).replace("DTYPE", dtype).replace("STEP", step);
    support::write(&path, &text.replace("MORE", more));
    path
}

fn read(path: &Path) -> (Vec<u64>, Block) {
    let options = InputOptions::default();
    let meta = probe(path, &options).unwrap().array;
    let block = open(path, &options).unwrap().read(&meta.region(), &Pool::default()).unwrap().0;
    (meta.shape.to_vec(), block)
}

fn numbers(block: &Block) -> Vec<i128> {
    with_dtype!(block.dtype(), T => block.as_slice::<T>().iter().map(|v| format!("{v:?}").parse().unwrap()).collect())
}

/// A level by its definition, from the one before: each element from the window of twice its place.
fn next(shape: &[u64], values: &[i128], halved: &[bool], method: &str) -> (Vec<u64>, Vec<i128>) {
    let half: Vec<u64> = shape.iter().zip(halved).map(|(n, h)| if *h { n.div_ceil(2) } else { *n }).collect();
    let count: u64 = half.iter().product();
    let mut out = Vec::new();
    for i in 0..count {
        let mut rest = i;
        let mut windows = vec![0u64];
        let mut step = 1;
        for a in (0..shape.len()).rev() {
            let at = rest % half[a];
            rest /= half[a];
            let along = if halved[a] { 2 * at..(2 * at + 2).min(shape[a]) } else { at..at + 1 };
            windows = along.flat_map(|k| windows.iter().map(move |w| w + k * step)).collect();
            step *= shape[a];
        }
        let mut of: Vec<i128> = windows.iter().map(|w| values[*w as usize]).collect();
        let first = values[*windows.iter().min().unwrap() as usize];
        of.sort_unstable();
        let n = of.len() as i128;
        let sum: i128 = of.iter().sum();
        out.push(match method {
            "nearest" => first,
            "max" => of[of.len() - 1],
            "min" => of[0],
            "mode" => {
                let times = |v: &i128| of.iter().filter(|o| *o == v).count();
                let most = of.iter().map(times).max().unwrap();
                of.iter().copied().find(|v| times(v) == most).unwrap()
            }
            // Halves to even.
            _ => match (sum.div_euclid(n), 2 * sum.rem_euclid(n)) {
                (whole, twice) if twice > n || (twice == n && whole % 2 != 0) => whole + 1,
                (whole, _) => whole,
            },
        });
    }
    (half, out)
}

fn json(path: &Path) -> Json {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Checks all levels of a group; gives how many there are.
fn check(group: &Path, levels: usize, halved: &[bool], method: &str) {
    let (mut shape, block) = read(&group.join("0"));
    let mut values = numbers(&block);
    for level in 1..levels {
        (shape, values) = next(&shape, &values, halved, method);
        let (found, block) = read(&group.join(level.to_string()));
        assert_eq!(found, shape, "level {level}");
        assert!(numbers(&block) == values, "level {level} by {method}");
    }
    assert!(!group.join(levels.to_string()).exists());
}

#[test]
fn levels_are_what_their_method_makes_in_any_blocks() {
    let dir = support::temp();
    for (method, dtype, shape, axes, chunks) in [
        ("mean", "uint8", "[333, 470]", "yx", "[64, 64]"),
        ("mean", "int16", "[3, 201, 130]", "cyx", "[1, 32, 48]"),
        ("nearest", "uint16", "[200, 333]", "yx", "[64, 50]"),
        ("mode", "uint8", "[150, 190]", "yx", "[32, 32]"),
        ("max", "uint32", "[20, 100, 90]", "zyx", "[8, 32, 32]"),
        ("min", "uint8", "[300, 1]", "yx", "[32, 32]"),
    ] {
        let more = format!("chunks: {chunks}, pyramid: {{levels: 4, method: {method}}}");
        let path = workflow(dir.path(), shape, axes, dtype, &more);
        let first = Run::ok(&path, &[]);
        let group = first.results("Image.ome.zarr");
        let halved: Vec<bool> = axes.chars().map(|a| "yx".contains(a)).collect();
        check(&group, 4, &halved, method);
        assert!(!first.results("Image.ome.zarr.partial").exists());
        let want = tree::digests(&group);
        for args in [&["--block", "70", "--threads", "3"][..], &["--no-fuse"], &["--block", "400", "--threads", "1"]] {
            assert_eq!(tree::digests(&Run::ok(&path, args).results("Image.ome.zarr")), want, "{method} {args:?}");
        }
        // The level is the finest where none is named.
        assert_eq!(read(&group).0, read(&group.join("0")).0);
    }
}

#[test]
fn each_level_reads_the_one_before_from_its_store() {
    let dir = support::temp();
    let path = workflow(dir.path(), "[700, 700]", "yx", "uint16", "chunks: [64, 64], pyramid: {levels: 4}");
    let plan = support::stdout(&support::call(&["plan", path.to_str().unwrap()]));
    for part in ["Image.ome.zarr/1: read from its store", "from    image", "from    Image.ome.zarr/2"] {
        assert!(plan.contains(part), "{part} in {plan}");
    }
    let run = Run::ok(&path, &[]);
    // Levels 0 to 2 are read once each; what they take on disk bounds it.
    let group = run.results("Image.ome.zarr");
    let stored = |level: &str| -> u64 {
        let level = group.join(level);
        tree::files(&level).iter().map(|f| level.join(f).metadata().unwrap().len()).sum()
    };
    let most = stored("0") + stored("1") + stored("2");
    let read = run.number("bytes_read") as u64;
    assert!(read > most / 2 && read <= most, "{read} bytes read, {most} stored");
    assert_eq!(run.summary()["outputs"].as_array().unwrap().len(), 1);
    assert_eq!(run.summary()["outputs"][0]["entries"], 1);
}

#[test]
fn metadata_tells_axes_units_scales_and_translations() {
    let dir = support::temp();
    let made = Run::ok(&workflow(dir.path(), "[120, 90]", "yx", "uint16", "chunks: [32, 32]"), &[]);
    let image = made.results("Image.ome.zarr");
    // As a microscope would tell.
    let mut about = json(&image.join("zarr.json"));
    let multiscale = &mut about["attributes"]["ome"]["multiscales"][0];
    (0..2).for_each(|a| multiscale["axes"][a]["unit"] = json!("micrometer"));
    multiscale["datasets"][0]["coordinateTransformations"] =
        json!([{"type": "scale", "scale": [0.5, 0.25]}, {"type": "translation", "translation": [10.0, -3.0]}]);
    support::write(&image.join("zarr.json"), &about.to_string());
    let by = |method: &str, more: &str| {
        let path = dir.path().join("scales.yaml");
        let text = format!(
            "version: 1\ninputs: {{image: {{path: {:?}}}}}\nsteps:\n  smooth: {{op: gaussian, input: image, with: {{sigma: 1}}}}\n  \
             turned: {{op: crop, input: image, with: {{x: [1, 2]}}}}\noutputs:\n  Image: {{from: smooth, format: ome-zarr, \
             pyramid: {{levels: 2, method: {method}}}{more}}}\n  Cut: {{from: turned, format: ome-zarr}}\n",
            image.display()
        );
        support::write(&path, &text);
        Run::ok(&path, &[])
    };
    let run = by("mean", "");
    let about = json(&run.results("Image.ome.zarr").join("zarr.json"));
    assert_eq!(about["node_type"], "group");
    let ome = &about["attributes"]["ome"];
    assert_eq!(ome["version"], "0.5");
    let multiscale = &ome["multiscales"][0];
    assert_eq!(multiscale["name"], "Image");
    assert_eq!(multiscale["type"], "mean");
    let units: Vec<&Json> = multiscale["axes"].as_array().unwrap().iter().map(|a| &a["unit"]).collect();
    assert_eq!(units, [&json!("micrometer"); 2], "a filter leaves elements in their places");
    let level = |n: usize| multiscale["datasets"][n]["coordinateTransformations"].clone();
    let told = |scale: [f64; 2], translation: [f64; 2]| json!([{"type": "scale", "scale": scale}, {"type": "translation", "translation": translation}]);
    assert_eq!(level(0), told([0.5, 0.25], [10.0, -3.0]));
    // Level 1 lies half an element of level 0 further.
    assert_eq!(level(1), told([1.0, 0.5], [10.25, -2.875]));
    let again = probe(&run.results("Image.ome.zarr"), &InputOptions::default()).unwrap();
    assert_eq!(again.scales, probe(&image, &InputOptions::default()).unwrap().scales);
    // What a crop has moved is not said to lie where it was.
    let cut = probe(&run.results("Cut.ome.zarr"), &InputOptions::default()).unwrap();
    assert!(cut.scales.iter().all(|s| (s.scale.get(), s.translation.get(), &s.unit) == (1.0, 0.0, &None)));
    let old = by("nearest", ", version: 0.4");
    let group = old.results("Image.ome.zarr");
    let about = json(&group.join(".zattrs"));
    assert_eq!(about["multiscales"][0]["version"], "0.4");
    assert!(group.join(".zgroup").is_file() && group.join("1/.zarray").is_file() && !group.join("zarr.json").exists());
    let level = about["multiscales"][0]["datasets"][1]["coordinateTransformations"].clone();
    assert_eq!(level, told([1.0, 0.5], [10.0, -3.0]), "nearest does not move elements");
}

#[test]
fn labels_go_into_a_group_of_labels() {
    let dir = support::temp();
    let path = workflow(dir.path(), "[100, 120]", "yx", "uint16", "labels: true, chunks: [32, 32], pyramid: {}");
    let run = Run::ok(&path, &[]);
    let group = run.results("Image.ome.zarr");
    assert_eq!(json(&group.join("labels/zarr.json"))["attributes"]["ome"]["labels"], json!(["Image"]));
    let image = json(&group.join("labels/Image/zarr.json"));
    assert!(image["attributes"]["ome"]["image-label"].is_object());
    assert_eq!(image["attributes"]["ome"]["multiscales"][0]["type"], "mode");
    // 100, 50, 25: then one chunk reaches across.
    check(&group.join("labels/Image"), 3, &[true, true], "mode");
}

#[test]
fn levels_that_can_not_be_are_refused() {
    let dir = support::temp();
    for (dtype, axes, more, part) in [
        ("uint8", "yx", "pyramid: {levels: 20}", "E0709"),
        ("uint8", "yx", "pyramid: {axes: zyx}", "found `z`"),
        ("uint8", "yx", "labels: true, pyramid: {method: mean}", "`method: mean`"),
        ("uint8", "yx", "version: 3", "version 0.4 or 0.5"),
        ("uint8", "yx", "version: 0.4, chunks: [8, 8], shards: [16, 16]", "E0708"),
        ("uint8", "xy", "pyramid: {}", "transpose"),
        ("uint8", "zx", "pyramid: {}", "y and x among them"),
    ] {
        let path = workflow(dir.path(), "[100, 120]", axes, dtype, more);
        let o = support::call(&["validate", path.to_str().unwrap()]);
        assert_eq!(o.status.code(), Some(3), "{more}: {}", stderr(&o));
        assert!(stderr(&o).contains(part), "{part} in {}", stderr(&o));
    }
}

#[test]
fn items_of_many_shapes_and_a_run_that_goes_on() {
    let dir = support::temp();
    let data = support::data("histology");
    let path = dir.path().join("items.yaml");
    let text = format!(
        "version: 1\ninputs:\n  image: {{foreach: \"{}/*.png\", channels: rgb}}\nsteps:\n  \
         gray: {{op: grayscale, input: image}}\n  eight: {{op: cast, input: gray, with: {{dtype: uint8}}}}\n\
         outputs:\n  Images: {{from: eight, format: ome-zarr, chunks: [64, 64], shards: [128, 128], pyramid: {{levels: 3}}}}\n",
        data.display()
    );
    support::write(&path, &text);
    let run = Run::ok(&path, &["--threads", "2"]);
    let items = support::stems().len() as u64;
    assert_eq!(run.summary()["outputs"][0]["entries"], items);
    for stem in support::stems() {
        check(&run.results("Images").join(format!("{stem}.ome.zarr")), 3, &[true, true], "mean");
    }
    let want = tree::digests(&run.dir().join("Results"));
    let resume = || {
        let mut command = support::engine();
        command.arg("run").arg(&path).arg("--resume").arg(run.dir()).args(["--json", "--progress", "none"]);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        serde_json::from_slice::<Json>(&output.stdout).unwrap()
    };
    assert_eq!(resume()["tasks"], 0);
    // One image is gone: it is made again, the others are not.
    std::fs::remove_dir_all(run.results("Images").join(format!("{}.ome.zarr", support::stems()[3]))).unwrap();
    let again = resume();
    assert!(again["tasks"].as_u64().unwrap() > 0 && again["tasks_resumed"].as_u64().unwrap() > 0, "{again}");
    assert_eq!(tree::digests(&run.dir().join("Results")), want);
}

#[test]
fn an_image_that_was_killed_goes_on_to_the_same_bytes() {
    let dir = support::temp();
    let more = "chunks: [64, 64], pyramid: {levels: 5}";
    let path = workflow(dir.path(), "[3000, 2000]", "yx", "uint16", more);
    let since = std::time::Instant::now();
    let whole = Run::ok(&path, &["--threads", "2"]);
    let long = since.elapsed();
    let want = tree::digests(&whole.dir().join("Results"));
    for part in 1..6u32 {
        let run = dir.path().join(format!("run{part}"));
        let mut command = support::engine();
        command.arg("run").arg(&path).arg("--out").arg(&run).args(["--threads", "2", "--progress", "none"]);
        let mut child =
            command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(long * part / 6);
        child.kill().unwrap();
        child.wait().unwrap();
        if !run.join("Reports/journal").is_file() {
            continue;
        }
        let mut command = support::engine();
        command.arg("run").arg(&path).arg("--resume").arg(&run).args(["--threads", "2", "--progress", "none"]);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert_eq!(tree::digests(&run.join("Results")), want, "killed after {part} sixths");
    }
}

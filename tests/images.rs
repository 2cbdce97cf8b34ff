//! Every neighbourhood op through files, on real images: what the engine writes against scipy.ndimage and scikit-image.
//!
//! A photograph, a volume of microscopy and random arrays of odd shapes; random blocks, chunks, shards, threads and
//! parameters. Five runs of each, so that every op meets every boundary mode, or as many as `ENGINE_CASES` says;
//! `ENGINE_TEST_SEED` chooses others. One process of Python compares all of them.

use crate::faults::Random;
use crate::support::{self, Run};
use serde_json::{Value as Json, json};
use std::fmt::Write;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

const MODES: [&str; 5] = ["reflect", "mirror", "nearest", "wrap", "constant"];

/// An input: what the workflow says of it, its file, its shape, and what divides it into a mask.
struct Image {
    name: String,
    path: String,
    shape: Vec<u64>,
    float: bool,
    limit: f64,
}

/// The next number below `n`.
fn below(random: &mut Random, n: u64) -> u64 {
    random.next() % n
}

/// Ops on an image and on its mask: name, parameters, whether they have a boundary mode, and whether they take the mask.
fn ops(random: &mut Random, rank: usize, float: bool) -> Vec<(&'static str, Json, bool, bool)> {
    let mut each = |least: u64, most: u64| -> Json {
        (0..rank).map(|_| least + below(random, most - least + 1)).collect::<Vec<_>>().into()
    };
    let (size, wide, odd) = (each(1, 6), each(2, 11), each(1, 4));
    let odd: Json = odd.as_array().unwrap().iter().map(|v| 2 * v.as_u64().unwrap() + 1).collect::<Vec<_>>().into();
    let (order, sigma) = (each(0, 2), each(5, 25));
    let sigma: Json = sigma.as_array().unwrap().iter().map(|v| v.as_f64().unwrap() / 10.0).collect::<Vec<_>>().into();
    let (percent, least) = (below(random, 101), 2 + below(random, 30));
    let axis = ["z", "y", "x"][3 - rank + below(random, rank as u64) as usize];
    let lopsided = if rank == 2 { json!([[0, 1, 1], [1, 0, 0]]) } else { json!([[[0, 1], [1, 1]], [[1, 0], [0, 0]]]) };
    let mut ops = vec![
        ("gaussian", json!({"sigma": sigma}), true, false),
        ("gaussian_derivative", json!({"sigma": sigma, "order": order}), true, false),
        ("gaussian_laplace", json!({"sigma": sigma}), true, false),
        ("gaussian_gradient_magnitude", json!({"sigma": sigma}), true, false),
        ("difference_of_gaussians", json!({"low_sigma": sigma}), true, false),
        ("unsharp_mask", json!({"sigma": sigma, "amount": 1.5}), true, false),
        ("laplace", json!({}), true, false),
        ("sobel", json!({"axis": axis}), true, false),
        ("sobel", json!({"axis": "magnitude"}), true, false),
        ("prewitt", json!({"axis": axis}), true, false),
        ("uniform", json!({"size": wide}), true, false),
        ("median", json!({"size": 3}), true, false),
        ("median", json!({"size": size}), true, false),
        ("median", json!({"footprint": lopsided}), true, false),
        ("percentile", json!({"size": size, "percentile": percent}), true, false),
        ("minimum", json!({"size": wide}), true, false),
        ("maximum", json!({"size": wide}), true, false),
        ("local_threshold", json!({"method": "mean", "size": odd, "offset": 0.37}), true, false),
        ("local_threshold", json!({"method": "gaussian", "size": odd, "sigma": 1.3, "offset": -0.21}), true, false),
        ("local_threshold", json!({"method": "sauvola", "size": odd, "k": 0.3, "r": 90.0}), false, false),
        ("fill_holes", json!({}), false, true),
        ("fill_holes", json!({"connectivity": rank}), false, true),
        ("remove_small", json!({"min_size": least, "connectivity": 1}), false, true),
        ("remove_small", json!({"min_size": least, "connectivity": rank}), false, true),
        ("distance_transform", json!({}), false, true),
        ("label", json!({"connectivity": 1}), false, true),
        ("label", json!({"connectivity": rank}), false, true),
    ];
    for op in ["erode", "dilate", "open", "close"] {
        ops.push((op, json!({}), true, true));
        ops.push((op, json!({"footprint": {"ball": 2}}), true, true));
        ops.push((op, json!({"footprint": {"box": size}}), true, false));
        ops.push((op, json!({"footprint": lopsided}), true, false));
    }
    if !float {
        for (op, with) in [
            ("uniform", json!({"size": wide})),
            ("laplace", json!({})),
            ("sobel", json!({"axis": axis})),
            ("prewitt", json!({"axis": axis})),
        ] {
            let mut with = with;
            with["dtype"] = json!("input");
            with["compat"] = json!("scipy");
            ops.push((op, with, true, false));
        }
    }
    ops
}

/// Chunks of any extent but of a bounded number, some of them in shards.
fn grid(random: &mut Random, shape: &[u64]) -> String {
    let chunks: Vec<u64> = shape.iter().map(|n| n.div_ceil(6) + below(random, *n)).collect();
    let shards: Vec<u64> = chunks.iter().map(|n| n * (1 + below(random, 3))).collect();
    let shards = if below(random, 3) == 0 { format!(", shards: {shards:?}") } else { String::new() };
    format!("format: zarr, chunks: {chunks:?}{shards}")
}

/// The two images, and an array of noise in a store of random chunks.
fn images(random: &mut Random, dir: &Path, number: u64) -> Vec<Image> {
    let at = |name: &str| support::root().join("tests/oracles/images").join(name).display().to_string();
    let shape: Vec<u64> = match number % 2 {
        0 => vec![37 + 2 * below(random, 40), 41 + 2 * below(random, 60)],
        _ => vec![1 + 2 * below(random, 8), 11 + 2 * below(random, 15), 13 + 2 * below(random, 15)],
    };
    let text = format!(
        "version: 1\ninputs: {{a: {{generate: {{shape: {shape:?}, dtype: float64, pattern: noise, seed: {number}}}}}}}\n\
         steps: {{b: {{op: rescale, input: a, with: {{from: [0, 1], to: [-300, 700]}}}}}}\n\
         outputs: {{Noise: {{from: b, to: noise-{number}.zarr, {}}}}}\n",
        grid(random, &shape)
    );
    let path = dir.join(format!("make-{number}.yaml"));
    support::write(&path, &text);
    drop(Run::ok(&path, &[]));
    let noise = dir.join(format!("noise-{number}.zarr")).display().to_string();
    let image = |name: String, path: String, shape: Vec<u64>, float: bool, limit: f64| Image {
        name: format!("{name} {shape:?}"),
        path,
        shape,
        float,
        limit,
    };
    vec![
        image("camera".into(), at("camera.png"), vec![512, 512], false, 90.0),
        image("img3d".into(), at("img3d.tif"), vec![31, 61, 57], false, 200.0),
        image("noise".into(), noise, shape, true, 150.0),
    ]
}

/// Runs all ops on an image; gives what Python needs to know of it, and keeps the results.
fn run(random: &mut Random, dir: &Path, image: &Image, turn: u64) -> (Run, Json) {
    let rank = image.shape.len();
    let mut text = format!(
        "version: 1\ninputs: {{image: {{path: '{}', axes: {}}}}}\nsteps:\n  mask: {{op: threshold, input: image, with: \
         {{value: {}}}}}\n",
        image.path,
        &"zyx"[3 - rank..],
        image.limit
    );
    let mut outputs = format!("outputs:\n  mask: {{from: mask, {}}}\n", grid(random, &image.shape));
    let mut told = json!({"mask": {"op": "threshold", "with": {"value": image.limit}, "of": "image"}});
    for (number, (op, mut with, boundary, mask)) in ops(random, rank, image.float).into_iter().enumerate() {
        if boundary {
            with["boundary"] = json!(MODES[(number + turn as usize) % MODES.len()]);
        }
        let of = if mask { "mask" } else { "image" };
        let name = format!("s{number}");
        writeln!(text, "  {name}: {{op: {op}, input: {of}, with: {with}}}").unwrap();
        writeln!(outputs, "  {name}: {{from: {name}, {}}}", grid(random, &image.shape)).unwrap();
        told[&name] = json!({"op": op, "with": with, "of": of});
    }
    let path = dir.join(format!("{}-{turn}.yaml", image.name.split(' ').next().unwrap()));
    support::write(&path, &(text + &outputs));
    let least = if rank == 2 { 40 } else { 9 };
    let block: Vec<String> = (0..rank).map(|_| (least + below(random, 4 * least)).to_string()).collect();
    let (block, threads) = (block.join(","), (1 + below(random, 3)).to_string());
    let mut args = vec!["--threads", &threads, "--block", &block];
    if below(random, 4) == 0 {
        args.push("--no-fuse");
    }
    let run = Run::ok(&path, &args);
    for (name, output) in told.as_object_mut().unwrap() {
        output["path"] = json!(run.results(&format!("{name}.zarr")));
    }
    let name = format!("{} turn {turn} {}", image.name, args.join(" "));
    let told = json!({"name": name, "input": image.path, "limit": image.limit, "outputs": told});
    (run, told)
}

#[test]
fn images_and_noise_are_filtered_and_labelled_as_by_scipy() {
    let Some(python) = support::python() else {
        return support::skipped("neighbourhood ops on real images by scipy: set ENGINE_TEST_PYTHON");
    };
    let number = |name: &str, or: u64| std::env::var(name).ok().map_or(or, |n| n.parse().unwrap());
    let (dir, mut random) = (support::temp(), Random(number("ENGINE_TEST_SEED", 3)));
    let (mut runs, mut told) = (Vec::new(), Vec::new());
    for turn in 0..number("ENGINE_CASES", 5) {
        for image in images(&mut random, dir.path(), turn) {
            let (run, one) = run(&mut random, dir.path(), &image, turn);
            runs.push(run);
            told.push(one);
        }
    }
    let script = support::root().join("tests/oracles/images.py");
    let mut child = Command::new(python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let asked: usize = told.iter().map(|t| t["outputs"].as_object().unwrap().len()).sum();
    child.stdin.take().unwrap().write_all(Json::from(told).to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "the script failed");
    let lines: Vec<Json> = support::stdout(&output).lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let largest = lines.iter().filter_map(|l| l["share"].as_f64()).fold(0.0, f64::max);
    println!("{} results, the largest error {largest:.3} of what may be", lines.len());
    assert_eq!(lines.len(), asked);
    let wrong: Vec<String> =
        lines.iter().filter(|l| !l["error"].is_null()).map(|l| format!("{}: {}", l["name"], l["error"])).collect();
    assert!(wrong.is_empty(), "{} of {asked} results are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

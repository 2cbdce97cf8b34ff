//! Times filters on one thread: `cargo run --release -p ops --example bench_filters [median]`.
//!
//! Each op is lowered and its maps run on an image of 512 x 512 or a volume of 64 x 64 x 64 (distances: 2048 x 2048, 128
//! x 128 x 128), one block each. Prints the
//! best of several runs in nanoseconds an element; assembling the extended block is not counted. With `PYTHON` naming an
//! interpreter that has scipy, also scipy's CPU time and how many times it is ours.

#![expect(clippy::expect_used, reason = "a timing tool: it stops where something is wrong")]

use ops_core::contract::{Array, Rng};
use ops_core::{ArrayMeta, Axes, Block, DType, Element, Grid, MapCall, Pool, Ports, Region, with_dtype};
use serde_json::json;
use std::time::{Duration, Instant};

fn lowered(op: &str, with: serde_json::Value, input: &Array) -> ops_core::Lowering {
    let op = (ops_core::registry::find(op).expect("op").parse)(with).expect("params");
    let (mut g, ports) = ops_core::Lowering::new(&[Some(input.meta.clone().into())]);
    op.lower(&mut g, &ports).expect("lowering");
    g
}

/// What the filters are timed with: op, parameters, axes.
fn filter_cases() -> Vec<(&'static str, serde_json::Value, &'static str)> {
    let mut cases = Vec::new();
    for size in [3, 5, 7, 15, 31] {
        cases.push(("median", json!({"size": size}), "yx"));
    }
    cases.push(("median", json!({"size": 3}), "zyx"));
    cases.push(("median", json!({"size": 5}), "zyx"));
    cases.push(("percentile", json!({"size": 5, "percentile": 10}), "yx"));
    cases.push(("median", json!({"footprint": [[0, 1, 0], [1, 1, 1], [0, 1, 0]]}), "yx"));
    for size in [3, 15] {
        cases.push(("maximum", json!({"size": size}), "yx"));
        cases.push(("maximum", json!({"size": size}), "zyx"));
        cases.push(("uniform", json!({"size": size}), "yx"));
        cases.push(("uniform", json!({"size": size}), "zyx"));
    }
    cases.push(("sobel", json!({}), "yx"));
    cases.push(("sobel", json!({}), "zyx"));
    cases.push(("laplace", json!({}), "yx"));
    cases.push(("laplace", json!({}), "zyx"));
    cases.push(("gaussian_laplace", json!({"sigma": 2}), "yx"));
    cases.push(("gaussian_gradient_magnitude", json!({"sigma": 2}), "yx"));
    for footprint in [json!({"box": 3}), json!({"box": 5}), json!({"box": 31}), json!({"cross": 1}), json!({"ball": 7})]
    {
        cases.push(("erode", json!({"footprint": footprint}), "yx"));
    }
    for footprint in [json!({"box": 3}), json!({"cross": 1}), json!({"ball": 3})] {
        cases.push(("erode", json!({"footprint": footprint}), "zyx"));
    }
    cases.push(("open", json!({"footprint": {"ball": 2}}), "yx"));
    cases.push(("distance_transform", json!({}), "yx"));
    cases.push(("distance_transform", json!({}), "zyx"));
    cases
}

/// Dtypes that a filter is timed with.
fn dtypes(op: &str) -> &'static [DType] {
    match op {
        "distance_transform" => &[DType::Bool],
        "erode" | "open" => &[DType::Bool, DType::UInt8, DType::UInt16, DType::Float32, DType::Float64],
        _ => &[DType::UInt8, DType::UInt16, DType::Float32, DType::Float64],
    }
}

/// The extent along each axis of what a filter is timed on.
fn extent(op: &str, axes: &str) -> u64 {
    match (op, axes) {
        ("distance_transform", "yx") => 2048,
        ("distance_transform", _) => 128,
        (_, "yx") => 512,
        _ => 64,
    }
}

/// The least time of each block over several runs, added up, over all maps of an op.
fn least(op: &str, with: &serde_json::Value, input: &Array, edges: &[u64]) -> Duration {
    let g = lowered(op, with.clone(), input);
    let pool = Pool::keeping(1 << 30);
    let mut made: Vec<Option<Array>> = Vec::new();
    let mut total = Duration::ZERO;
    for node in g.nodes() {
        let ops_core::lower::Kind::Map(map) = &node.kind else {
            made.push(None);
            continue;
        };
        let inputs: Vec<&Array> = node.arrays.iter().map(|a| made[a.0].as_ref().unwrap_or(input)).collect();
        let ports = Ports::plain(&inputs.iter().map(|a| a.meta.clone()).collect::<Vec<_>>());
        let meta = map.infer(&ports).expect("inputs");
        let grid = Grid::new(&meta.shape, edges);
        let mut whole = Block::zeros(meta.dtype, meta.region());
        for i in 0..grid.count() {
            let region: Region = grid.region(i);
            let blocks: Vec<Block> = (map.needs(&ports, &region).iter())
                .map(|n| {
                    let from = inputs[n.input];
                    n.boundary.assemble(&pool, &n.region, &from.meta.region(), &[&from.block], from.meta.dtype)
                })
                .collect();
            let blocks: Vec<&Block> = blocks.iter().collect();
            let mut out = Block::take(&pool, meta.dtype, region);
            let warnings = ops_core::Warnings::default();
            let call =
                MapCall { ports: &ports, meta: &meta, blocks: &blocks, values: &[], pool: &pool, warnings: &warnings };
            let (mut block, begun) = (Duration::MAX, Instant::now());
            for _ in 0..9 {
                let start = Instant::now();
                map.apply(&call, &mut out).expect("kernel");
                block = block.min(start.elapsed());
                if begun.elapsed() > Duration::from_millis(200) {
                    break;
                }
            }
            total += block;
            whole.paste(&out);
        }
        made.push(Some(Array { meta, block: whole }));
    }
    total
}

/// scipy's CPU nanoseconds an element for each line of op, parameters, axes and dtype.
fn of_scipy(lines: &str) -> Vec<f64> {
    let Some(python) = std::env::var_os("PYTHON") else { return Vec::new() };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/bench_scipy.py");
    let mut command = std::process::Command::new(python);
    let spawned = command.arg(script).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn();
    let mut child = spawned.expect("python");
    std::io::Write::write_all(&mut child.stdin.take().expect("stdin"), lines.as_bytes()).expect("lines");
    let output = child.wait_with_output().expect("python");
    String::from_utf8_lossy(&output.stdout).lines().map(|l| l.parse().expect("a number")).collect()
}

fn main() {
    assert!(!ops::registered().is_empty());
    let only = std::env::args().nth(1);
    let (mut lines, mut ours) = (String::new(), Vec::new());
    for (op, with, axes) in filter_cases().into_iter().filter(|c| only.as_ref().is_none_or(|o| o == c.0)) {
        for &dtype in dtypes(op) {
            let shape = vec![extent(op, axes); axes.len()];
            let meta = ArrayMeta::new(&shape, dtype, Axes::parse(axes).expect("axes"));
            let (mut block, mut rng) = (Block::zeros(dtype, meta.region()), Rng::new(1));
            with_dtype!(dtype, T => {
                for v in block.as_mut_slice::<T>() {
                    // Of a mask nearly all is foreground.
                    *v = T::from_f64(match dtype {
                        DType::Bool => f64::from(u8::from(rng.unit() > 0.01)),
                        _ => rng.unit() * 255.0,
                    });
                }
            });
            let input = Array { meta, block };
            let time = least(op, &with, &input, &shape).as_secs_f64() * 1e9 / input.meta.volume() as f64;
            let line = format!("{op} {with} {axes} {dtype}");
            println!("{line:<72} {time:>8.2} ns/px");
            lines += &format!("{}\n", json!([op, with, axes, dtype.name()]));
            ours.push((line, time));
        }
    }
    for ((line, ours), scipy) in ours.into_iter().zip(of_scipy(&lines)) {
        println!("{line:<72} {ours:>8.2} ns/px, scipy {scipy:>8.1}, {:>6.1} times", scipy / ours);
    }
}

//! Times kernels on one thread: `cargo run --release -p ops --example bench_kernels [label [blobs]]`.
//!
//! Each op is lowered and its maps run block by block on a 1500 x 1500 image, as the runtime would: extended blocks are
//! assembled, then computed. Prints the best of several runs in nanoseconds per pixel, with and without assembling.

#![expect(clippy::expect_used, clippy::panic, reason = "a timing tool: it stops where something is wrong")]

use ops_core::contract::{Array, Held, Rng};
use ops_core::{ArrayMeta, Axes, Block, DType, Element, Grid, Map, MapCall, Pool, Ports, Region, with_dtype};
use serde_json::json;
use std::time::{Duration, Instant};

fn image(dtype: DType, f: impl Fn(&mut Rng) -> f64) -> Array {
    let meta = ArrayMeta::new(&[1500, 1500], dtype, Axes::parse("yx").expect("axes"));
    let (mut block, mut rng) = (Block::zeros(dtype, meta.region()), Rng::new(1));
    with_dtype!(dtype, T => block.as_mut_slice::<T>().iter_mut().for_each(|v| *v = T::from_f64(f(&mut rng))));
    Array { meta, block }
}

/// Runs one map over a grid; the time of assembling its inputs and that of computing.
fn timed(
    map: &dyn Map,
    inputs: &[&Array],
    values: &[ops_core::Value],
    edge: u64,
    pool: &Pool,
) -> (Block, Duration, Duration) {
    let ports = Ports::plain(&inputs.iter().map(|a| a.meta.clone()).collect::<Vec<_>>());
    let meta = map.infer(&ports).expect("inputs");
    let grid = Grid::new(&meta.shape, &[edge, edge]);
    let mut whole = Block::zeros(meta.dtype, meta.region());
    let (mut assembling, mut computing) = (Duration::ZERO, Duration::ZERO);
    for i in 0..grid.count() {
        let region: Region = grid.region(i);
        let start = Instant::now();
        let blocks: Vec<Block> = (map.needs(&ports, &region).iter())
            .map(|n| {
                let from = inputs[n.input];
                n.boundary.assemble(pool, &n.region, &from.meta.region(), &[&from.block], from.meta.dtype)
            })
            .collect();
        let blocks: Vec<&Block> = blocks.iter().collect();
        let mut out = Block::take(pool, meta.dtype, region);
        assembling += start.elapsed();
        let start = Instant::now();
        let call = MapCall { ports: &ports, meta: &meta, blocks: &blocks, values, pool };
        map.apply(&call, &mut out).expect("kernel");
        computing += start.elapsed();
        whole.paste(&out);
    }
    (whole, assembling, computing)
}

fn lowered(op: &str, with: serde_json::Value, input: &Array) -> ops_core::Lowering {
    let op = (ops_core::registry::find(op).expect("op").parse)(with).expect("params");
    let (mut g, ports) = ops_core::Lowering::new(&[Some(input.meta.clone().into())]);
    op.lower(&mut g, &ports).expect("lowering");
    g
}

fn map_of(g: &ops_core::Lowering, name: &str) -> std::sync::Arc<dyn Map> {
    let node = g.nodes().iter().find(|n| n.name == name).expect("node");
    match &node.kind {
        ops_core::lower::Kind::Map(m) => m.clone(),
        _ => panic!("{name} is no map"),
    }
}

fn best(name: &str, map: &dyn Map, inputs: &[&Array], values: &[ops_core::Value], edge: u64) {
    let pool = Pool::keeping(1 << 30);
    let runs = (0..25).map(|_| {
        let (_, a, c) = timed(map, inputs, values, edge, &pool);
        (c, a)
    });
    let (c, a) = runs.min().expect("a run");
    println!("{name:<52} {:>7.2} ns/px, assembling {:>6.2}", per(c, inputs[0]), per(a, inputs[0]));
}

/// All three nodes of `label` on noise and on blobs.
fn labels(edge: u64) {
    let smooth = image(DType::Float64, |r| r.unit());
    let g = lowered("gaussian", json!({"sigma": 3.0}), &smooth);
    let pool = Pool::keeping(1 << 30);
    let smooth = timed(map_of(&g, "gaussian").as_ref(), &[&smooth], &[], edge, &pool).0;
    let mut blobs = image(DType::Bool, |_| 0.0);
    for (b, s) in blobs.block.as_mut_slice::<u8>().iter_mut().zip(smooth.as_slice::<f64>()) {
        *b = u8::from(*s > 0.5);
    }
    let noise = |p: f64| image(DType::Bool, move |r| f64::from(u8::from(r.unit() < p)));
    for (name, mask) in
        [("noise 0.1", noise(0.1)), ("noise 0.5", noise(0.5)), ("noise 0.6", noise(0.6)), ("blobs", blobs)]
    {
        if std::env::args().nth(2).is_some_and(|only| only != name) {
            continue;
        }
        for connectivity in [1, 2] {
            let g = lowered("label", json!({"connectivity": connectivity}), &mask);
            let name = format!("label {name}, connectivity {connectivity}, blocks {edge}");
            let local = map_of(&g, "label.local");
            best(&format!("{name} local"), local.as_ref(), &[&mask], &[], edge);
            let (block, ..) = timed(local.as_ref(), &[&mask], &[], edge, &pool);
            let local = Array { meta: mask.meta.with_dtype(block.dtype()), block };
            let Some(ops_core::lower::Kind::Reduce(join, _)) =
                g.nodes().iter().find(|n| n.name == "label.join").map(|n| n.kind.clone())
            else {
                panic!("no join")
            };
            let (time, value) =
                (0..25).map(|_| reduced(join.as_ref(), &[&local], edge, &pool)).min_by_key(|r| r.0).expect("a run");
            println!("{:<52} {:>7.2} ns/px", format!("{name} join"), per(time, &local));
            best(&format!("{name} number"), map_of(&g, "label.number").as_ref(), &[&local], &[value], edge);
        }
    }
}

fn reduced(
    reduce: &dyn ops_core::op::DynReduce,
    inputs: &[&Array],
    edge: u64,
    pool: &Pool,
) -> (Duration, ops_core::Value) {
    let ports = Ports::plain(&inputs.iter().map(|a| a.meta.clone()).collect::<Vec<_>>());
    let grid = Grid::new(&inputs[0].meta.shape, &[edge, edge]);
    let mut root = reduce.start(&ports);
    let mut time = Duration::ZERO;
    for i in 0..grid.count() {
        let region = grid.region(i);
        let blocks: Vec<Block> = (reduce.needs(&ports, &region).iter())
            .map(|n| {
                let from = inputs[n.input];
                n.boundary.assemble(pool, &n.region, &from.meta.region(), &[&from.block], from.meta.dtype)
            })
            .collect();
        let blocks: Vec<&Block> = blocks.iter().collect();
        let start = Instant::now();
        let mut partial = reduce.start(&ports);
        let call = ops_core::ReduceCall { ports: &ports, region: &region, blocks: &blocks, values: &[], pool };
        reduce.add(&call, &mut partial).expect("kernel");
        reduce.merge(&mut root, partial).expect("merge");
        time += start.elapsed();
    }
    let start = Instant::now();
    let value = reduce.finish(root, &[], &ports).expect("finish");
    (time + start.elapsed(), value)
}

/// `measure` of blobs, with all its statistics.
fn measured(edge: u64) {
    let pool = Pool::keeping(1 << 30);
    let mut labels = image(DType::UInt32, |_| 0.0);
    // Squares of 12 x 12 with gaps: as many voxels and edges to a label as nuclei have.
    for (i, v) in labels.block.as_mut_slice::<u32>().iter_mut().enumerate() {
        let (y, x) = (i / 1500, i % 1500);
        *v = if y % 16 < 12 && x % 16 < 12 { (y / 16 * 94 + x / 16 + 1) as u32 } else { 0 };
    }
    for dtype in [DType::UInt8, DType::Float64] {
        let values = image(dtype, |r| r.unit() * 255.0);
        let op = (ops_core::registry::find("measure").expect("op").parse)(json!({})).expect("params");
        let metas = [&labels, &values].map(|a| Some(a.meta.clone().into()));
        let (mut g, ports) = ops_core::Lowering::new(&metas);
        op.lower(&mut g, &ports).expect("lowering");
        let Some(ops_core::lower::Kind::Reduce(reduce, _)) = g.nodes().last().map(|n| n.kind.clone()) else {
            panic!("no reduction")
        };
        let time = (0..9).map(|_| reduced(reduce.as_ref(), &[&labels, &values], edge, &pool).0).min().expect("a run");
        println!("{:<52} {:>7.2} ns/px", format!("measure {dtype}, blocks {edge}"), per(time, &values));
    }
}

fn per(d: Duration, input: &Array) -> f64 {
    d.as_secs_f64() * 1e9 / input.meta.volume() as f64
}

fn main() {
    let held = Held::Arrays(Vec::new());
    assert!(held.items() == 0 && !ops::registered().is_empty());
    let noise = image(DType::Float64, |r| r.unit() * 255.0);
    let bytes = image(DType::UInt8, |r| r.unit() * 255.0);
    for edge in [256, 512] {
        let wanted = |name: &str| std::env::args().nth(1).is_none_or(|only| only == name);
        if wanted("label") {
            labels(edge);
        }
        if wanted("measure") {
            measured(edge);
        }
        if !wanted("gaussian") {
            continue;
        }
        for sigma in [1.0, 3.0] {
            for (dtype, input) in [("float64", &noise), ("uint8", &bytes)] {
                let g = lowered("gaussian", json!({"sigma": sigma}), input);
                let name = format!("gaussian sigma {sigma} {dtype}, blocks {edge}");
                best(&name, map_of(&g, "gaussian").as_ref(), &[input], &[], edge);
            }
        }
    }
}

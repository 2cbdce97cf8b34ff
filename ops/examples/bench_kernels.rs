//! Times kernels on one thread: `cargo run --release -p ops --example bench_kernels`.
//!
//! Each op is lowered and its maps run block by block on a 1500 x 1500 image, as the runtime would: extended blocks are
//! assembled, then computed. Prints the best of several runs in nanoseconds per pixel, with and without assembling.

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
fn timed(map: &dyn Map, inputs: &[&Array], edge: u64, pool: &Pool) -> (Block, Duration, Duration) {
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
        let call = MapCall { ports: &ports, meta: &meta, blocks: &blocks, values: &[], pool };
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

fn best(name: &str, map: &dyn Map, inputs: &[&Array], edge: u64) {
    let pool = Pool::keeping(1 << 30);
    let runs = (0..9).map(|_| {
        let (_, a, c) = timed(map, inputs, edge, &pool);
        (c, a)
    });
    let (c, a) = runs.min().expect("a run");
    let per = |d: Duration| d.as_secs_f64() * 1e9 / inputs[0].meta.volume() as f64;
    println!("{name:<44} {:>7.2} ns/px, assembling {:>6.2}", per(c), per(a));
}

fn main() {
    let held = Held::Arrays(Vec::new());
    assert!(held.items() == 0 && !ops::registered().is_empty());
    let noise = image(DType::Float64, |r| r.unit() * 255.0);
    let bytes = image(DType::UInt8, |r| r.unit() * 255.0);
    for edge in [256, 512, 1500] {
        for sigma in [1.0, 3.0] {
            for (dtype, input) in [("float64", &noise), ("uint8", &bytes)] {
                let g = lowered("gaussian", json!({"sigma": sigma}), input);
                let name = format!("gaussian sigma {sigma} {dtype}, blocks {edge}");
                best(&name, map_of(&g, "gaussian").as_ref(), &[input], edge);
            }
        }
    }
}

//! Times downsampling and statistics on one thread: `cargo run --release -p ops --example bench_geometry`.
//!
//! An image of 8192 x 8192 in blocks of 1024 x 1024, the way tasks run: blocks come from a pool and are read once. Prints
//! the best of several runs, beside a plain copy of the same elements. With `PYTHON` naming an interpreter that has numpy,
//! also its CPU time.

#![expect(clippy::expect_used, reason = "a timing tool: it stops where something is wrong")]

use ops_core::lower::Kind;
use ops_core::{
    ArrayMeta, Axes, Block, DType, Element, FinishCall, Grid, Lowering, MapCall, Pool, Ports, ReduceCall, Region,
    Value, Warnings, with_dtype,
};
use serde_json::{Value as Json, json};
use std::time::Instant;

const EXTENT: u64 = 8192;
const BLOCK: u64 = 1024;

/// Seconds that one op takes, best of several; assembling its inputs is not counted.
fn seconds(op: &str, with: &Json, input: &Block, meta: &ArrayMeta) -> f64 {
    let op = (ops_core::registry::find(op).expect("op").parse)(with.clone()).expect("params");
    let (mut g, ports) = Lowering::new(&[Some(meta.clone().into())]);
    g.name_inputs(["a".to_owned()]);
    op.lower(&mut g, &ports).expect("lowering");
    (0..5).map(|_| once(&g, input, meta)).fold(f64::INFINITY, f64::min)
}

fn once(g: &Lowering, input: &Block, meta: &ArrayMeta) -> f64 {
    let (pool, warnings, ports) = (Pool::keeping(1 << 28), Warnings::default(), Ports::plain(&[meta.clone()]));
    let (mut total, mut made): (f64, Vec<Option<Value>>) = (0.0, Vec::new());
    for node in g.nodes() {
        let values: Vec<Value> = node.values.iter().filter_map(|v| made[v.0].clone()).collect();
        made.push(None);
        match &node.kind {
            Kind::Map(map) => {
                let out = map.infer(&ports).expect("inputs");
                for region in regions(&out.shape) {
                    let need = map.needs(&ports, &region)[0].region.clone();
                    let block = input.cut(&pool, &need);
                    let mut to = Block::take(&pool, out.dtype, region);
                    let (blocks, start) = ([&block], Instant::now());
                    let call = MapCall {
                        ports: &ports,
                        meta: &out,
                        blocks: &blocks,
                        values: &values,
                        pool: &pool,
                        warnings: &warnings,
                    };
                    map.apply(&call, &mut to).expect("kernel");
                    total += start.elapsed().as_secs_f64();
                }
            }
            Kind::Reduce(reduce, _) => {
                let mut partial = reduce.start(&ports);
                for region in regions(&meta.shape) {
                    let block = input.cut(&pool, &region);
                    let (blocks, start) = ([&block], Instant::now());
                    let call =
                        ReduceCall { ports: &ports, region: &region, blocks: &blocks, values: &values, pool: &pool };
                    reduce.add(&call, &mut partial).expect("kernel");
                    total += start.elapsed().as_secs_f64();
                }
                let call = FinishCall { ports: &ports, values: &values, warnings: &warnings };
                let value = reduce.finish(partial, &call).expect("value");
                if let Some(last) = made.last_mut() {
                    *last = Some(value);
                }
            }
            Kind::Input(_) | Kind::Join(_) => {}
        }
    }
    total
}

fn regions(shape: &[u64]) -> Vec<Region> {
    let grid = Grid::new(shape, &[BLOCK; 2]);
    (0..grid.count()).map(|i| grid.region(i)).collect()
}

/// Bytes a second of copying elements that lie in no cache.
fn copying(input: &Block) -> f64 {
    let mut to = vec![0u8; input.bytes().len()];
    let once = |to: &mut Vec<u8>| {
        let start = Instant::now();
        to.copy_from_slice(std::hint::black_box(input.bytes()));
        std::hint::black_box(to);
        start.elapsed().as_secs_f64()
    };
    let best = (0..5).map(|_| once(&mut to)).fold(f64::INFINITY, f64::min);
    input.bytes().len() as f64 / best
}

/// numpy's CPU seconds.
fn numpy(expression: &str, dtype: DType) -> Option<f64> {
    let script = format!(
        "import numpy as np, time\na = np.random.default_rng(1).integers(0, 4000, ({EXTENT}, {EXTENT})).astype('{dtype}')\n\
         best = 1e9\nfor _ in range(3):\n    t = time.process_time(); {expression}; best = min(best, time.process_time() - t)\n\
         print(best)"
    );
    let python = std::env::var_os("PYTHON")?;
    let output = std::process::Command::new(python).args(["-c", &script]).output().expect("python");
    String::from_utf8_lossy(&output.stdout).trim().parse().ok()
}

fn main() {
    assert!(!ops::registered().is_empty());
    let halves = "h = EXTENT // 2; r = a.reshape(h, 2, h, 2).mean((1, 3)).round().astype(a.dtype)";
    let halves = halves.replace("EXTENT", &EXTENT.to_string());
    let all = "(a.min(), a.max(), a.sum(), a.mean(), a.std())";
    let cases = [
        ("downsample", json!({"factor": 2}), DType::UInt16, halves.as_str()),
        ("downsample", json!({"factor": 2}), DType::UInt8, halves.as_str()),
        ("downsample", json!({"factor": 2}), DType::Float32, "h = a.reshape(4096, 2, 4096, 2).mean((1, 3))"),
        (
            "downsample",
            json!({"factor": 4}),
            DType::UInt16,
            "r = a.reshape(2048, 4, 2048, 4).mean((1, 3)).round().astype(a.dtype)",
        ),
        (
            "downsample",
            json!({"factor": 2, "method": "max"}),
            DType::UInt16,
            "r = a.reshape(4096, 2, 4096, 2).max((1, 3))",
        ),
        ("downsample", json!({"factor": 2, "method": "mode"}), DType::UInt16, ""),
        ("statistics", json!({}), DType::UInt16, all),
        ("statistics", json!({}), DType::UInt8, all),
        ("statistics", json!({}), DType::Float32, all),
        ("statistics", json!({"quantiles": [0.01, 0.5, 0.99]}), DType::UInt16, "np.quantile(a, [0.01, 0.5, 0.99])"),
        ("histogram", json!({"range": [0, 4096]}), DType::UInt16, "np.histogram(a, 256, (0, 4096))"),
        ("expression", json!({"expression": "a * 2 + 1"}), DType::UInt16, "a.astype(float) * 2 + 1"),
    ];
    for (op, with, dtype, expression) in cases {
        let meta = ArrayMeta::new(&[EXTENT; 2], dtype, Axes::parse("yx").expect("axes"));
        let (mut input, mut rng) = (Block::zeros(dtype, meta.region()), ops_core::contract::Rng::new(1));
        with_dtype!(dtype, T => input.as_mut_slice::<T>().iter_mut().for_each(|v| *v = T::from_f64(rng.below(4000) as f64)));
        let ours = seconds(op, &with, &input, &meta);
        let copy = copying(&input);
        let theirs = Some(expression).filter(|e| !e.is_empty()).and_then(|e| numpy(e, dtype));
        let beside = theirs.map_or(String::new(), |t| format!(", numpy {:.1} ms, {:.1} times", t * 1e3, t / ours));
        let rate = input.bytes().len() as f64 / ours / 1e9;
        println!("{op} {with} {dtype}: {:.1} ms, reads {rate:.1} GB/s (a copy: {:.1}){beside}", ours * 1e3, copy / 1e9);
    }
}

//! Times kernels on one thread, as told on its input; `tests/bench/kernels.py` sets them beside those of scipy.
//!
//! `bench_kernels RGB HEIGHT WIDTH EDGE` reads an image of raw interleaved bytes. Each op is lowered, and its nodes run
//! block by block in blocks of EDGE x EDGE pixels, as the runtime would. Requests are lines: `time KERNEL` answers with
//! two numbers, nanoseconds of this thread's CPU clock: of the reductions and maps, and of assembling blocks where one needs
//! more than its own pixels. (The runtime assembles what it reads; what it computes it computes as large as it is needed. A block
//! that is needed as it is is handed over as it is.) `write KERNEL PATH` leaves the bytes of the result.
//!
//! Instructions instead of time: `echo time KERNEL | valgrind --tool=callgrind --toggle-collect='*counted*' …`.

#![expect(clippy::expect_used, clippy::panic, reason = "a timing tool: it stops where something is wrong")]

use ops_core::lower::Kind;
use ops_core::{
    ArrayMeta, Axes, Block, DType, FinishCall, Grid, Lowering, Map, MapCall, Need, Pool, Ports, ReduceCall, Region,
    Value, Warnings,
};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::io::BufRead;

/// Nanoseconds of CPU that this thread took.
fn clock() -> i64 {
    let t = clock_gettime(ClockId::ThreadCPUTime);
    t.tv_sec * 1_000_000_000 + t.tv_nsec
}

/// Runs what is to be measured and adds its time.
#[inline(never)]
fn counted<R>(nanos: &mut i64, f: impl FnOnce() -> R) -> R {
    let start = clock();
    let result = f();
    *nanos += clock() - start;
    result
}

/// Nanoseconds of a run.
#[derive(Debug, Default)]
struct Nanos {
    kernels: i64,
    assembling: i64,
}

/// An op on one input.
struct Kernel {
    input: Block,
    ports: Ports,
    nodes: Lowering,
    grid: Grid,
}

impl Kernel {
    fn new(op: &str, with: Json, axes: &str, input: Block, edge: u64) -> Kernel {
        let meta = ArrayMeta::new(&extents(&input), input.dtype(), Axes::parse(axes).expect("axes"));
        let op = (ops_core::registry::find(op).expect("an op").parse)(with).expect("params");
        let (mut nodes, inputs) = Lowering::new(&[Some(meta.clone().into())]);
        op.lower(&mut nodes, &inputs).expect("lowering");
        let mut cut = meta.shape.clone();
        cut[..2].fill(edge);
        let ports = Ports::plain(std::slice::from_ref(&meta));
        Kernel { input, ports, nodes, grid: Grid::new(&meta.shape, &cut) }
    }

    /// The blocks a node needs; assembling is counted where they are more than the block itself.
    fn blocks(&self, needs: &[Need], own: &Region, pool: &Pool, nanos: &mut Nanos) -> Vec<Block> {
        let assemble =
            |n: &Need| n.boundary.assemble(pool, &n.region, self.input.region(), &[&self.input], self.input.dtype());
        let more = |n: &&Need| n.region.volume() > own.volume() * if own.rank() < n.region.rank() { 3 } else { 1 };
        match needs.iter().find(more) {
            Some(_) => counted(&mut nanos.assembling, || needs.iter().map(assemble).collect()),
            None => needs.iter().map(assemble).collect(),
        }
    }

    /// The result and the time it took.
    fn run(&self, pool: &Pool) -> (Block, Nanos) {
        let (ports, mut nanos, mut result) = (&self.ports, Nanos::default(), None);
        let mut values: BTreeMap<usize, Value> = BTreeMap::new();
        for (at, node) in self.nodes.nodes().iter().enumerate() {
            let consumed: Vec<Value> = node.values.iter().map(|v| values[&v.0].clone()).collect();
            match &node.kind {
                Kind::Input(_) => {}
                Kind::Reduce(reduce, _) => {
                    let mut root = reduce.start(ports);
                    for i in 0..self.grid.count() {
                        let region = self.grid.region(i);
                        let blocks = self.blocks(&reduce.needs(ports, &region), &region, pool, &mut nanos);
                        let blocks: Vec<&Block> = blocks.iter().collect();
                        let call = ReduceCall { ports, region: &region, blocks: &blocks, values: &consumed, pool };
                        counted(&mut nanos.kernels, || {
                            let mut partial = reduce.start(ports);
                            reduce.add(&call, &mut partial).expect("a reduction");
                            reduce.merge(&mut root, partial).expect("a merge");
                        });
                    }
                    let value = counted(&mut nanos.kernels, || {
                        let warnings = Warnings::default();
                        let call = FinishCall { ports, values: &consumed, warnings: &warnings };
                        reduce.finish(root, &call).expect("a value")
                    });
                    values.insert(at, value);
                }
                Kind::Map(map) => result = Some(self.mapped(map.as_ref(), &consumed, pool, &mut nanos)),
                Kind::Join(_) => panic!("{} joins items", node.name),
            }
        }
        (result.expect("an array"), nanos)
    }

    fn mapped(&self, map: &dyn Map, values: &[Value], pool: &Pool, nanos: &mut Nanos) -> Block {
        let ports = &self.ports;
        let meta = map.infer(ports).expect("inputs");
        let mut whole = Block::zeros(meta.dtype, meta.region());
        for i in 0..self.grid.count() {
            let mut region = self.grid.region(i);
            region.lo.truncate(meta.rank());
            region.hi.truncate(meta.rank());
            let blocks = self.blocks(&map.needs(ports, &region), &region, pool, nanos);
            let blocks: Vec<&Block> = blocks.iter().collect();
            let warnings = Warnings::default();
            let call = MapCall { ports, meta: &meta, blocks: &blocks, values, pool, warnings: &warnings };
            let out = counted(&mut nanos.kernels, || {
                let mut out = Block::take(pool, meta.dtype, region);
                map.apply(&call, &mut out).expect("a map");
                out
            });
            whole.paste(&out);
        }
        whole
    }
}

fn extents(block: &Block) -> Vec<u64> {
    block.region().shape().iter().map(|&n| n as u64).collect()
}

/// A copy that does not belong to a pool.
fn copy(block: &Block) -> Block {
    let mut to = Block::zeros(block.dtype(), block.region().clone());
    to.paste(block);
    to
}

/// The kernels of the example workflow, each on the result of the one before, and some on other inputs.
fn kernels(rgb: &[u8], shape: [u64; 2], edge: u64, pool: &Pool) -> BTreeMap<&'static str, Kernel> {
    let mut all = BTreeMap::new();
    let mut add = |name: &'static str, op: &str, with: Json, axes: &str, input: &Block| {
        let kernel = Kernel::new(op, with, axes, copy(input), edge);
        let result = kernel.run(pool).0;
        all.insert(name, kernel);
        result
    };
    let colour = Region::whole(&[shape[0], shape[1], 3]);
    let normalized = add("normalize", "normalize", json!({}), "yxc", &Block::from_slice(colour, rgb));
    let gray = add("grayscale", "grayscale", json!({}), "yxc", &normalized);
    let smooth = add("gaussian 1", "gaussian", json!({"sigma": 1.0}), "yx", &gray);
    add("gaussian 3", "gaussian", json!({"sigma": 3.0}), "yx", &gray);
    let green: Vec<u8> = rgb.iter().skip(1).step_by(3).copied().collect();
    let green = Block::from_slice(Region::whole(&shape), &green);
    add("gaussian 1 uint8", "gaussian", json!({"sigma": 1.0}), "yx", &green);
    add("gaussian 3 uint8", "gaussian", json!({"sigma": 3.0}), "yx", &green);
    let mask = add("threshold", "threshold", json!({"relative_to": "max"}), "yx", &smooth);
    add("label", "label", json!({}), "yx", &mask);
    add("label corners", "label", json!({"connectivity": 2}), "yx", &mask);
    // The lowest bits are as good as noise.
    let noise: Vec<u8> = rgb.iter().skip(1).step_by(3).map(|v| v & 1).collect();
    let noise = Block::from_slice(Region::whole(&shape), &noise).relabelled(DType::Bool);
    add("label noise", "label", json!({}), "yx", &noise);
    let blobs = add("blobs", "gaussian", json!({"sigma": 3.0}), "yx", &noise);
    let blobs = add("threshold blobs", "threshold", json!({"value": 0.5}), "yx", &blobs);
    add("label blobs", "label", json!({}), "yx", &blobs);
    add("cast", "cast", json!({"dtype": "uint8", "rounding": "truncate"}), "yxc", &normalized);
    all
}

fn main() {
    assert!(!ops::registered().is_empty(), "ops are linked");
    let args: Vec<String> = std::env::args().collect();
    let [_, image, numbers @ ..] = &args[..] else { panic!("expected RGB HEIGHT WIDTH EDGE") };
    let numbers: Vec<u64> = numbers.iter().map(|n| n.parse().expect("a number")).collect();
    let [height, width, edge] = numbers[..] else { panic!("expected RGB HEIGHT WIDTH EDGE") };
    let (pool, rgb) = (Pool::keeping(1 << 30), std::fs::read(image).expect("an image"));
    let kernels = kernels(&rgb, [height, width], edge, &pool);
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("a request");
        match line.split_once(' ').expect("a request and a kernel") {
            ("time", name) => {
                let Nanos { kernels, assembling } = kernels[name].run(&pool).1;
                println!("{kernels} {assembling}");
            }
            ("write", rest) => {
                let (name, path) = rest.rsplit_once(' ').expect("a kernel and a path");
                std::fs::write(path, kernels[name].run(&pool).0.bytes()).expect("a file");
                println!("written");
            }
            (other, _) => panic!("expected time or write, found {other}"),
        }
    }
}

//! Work on a Zarr store without the engine: what it adds is measured against these loops (`tests/bench/large.py`).
//!
//!     bare_zarr copy STORE OUT THREADS           decode, encode and write every chunk
//!     bare_zarr decode STORE THREADS             decode every chunk
//!     bare_zarr map OP PARAMS STORE OUT THREADS  decode all, run the kernel over it in memory, encode and write
//!     bare_zarr limits STORE THREADS             memory and codec speeds of this machine
//!
//! They know one kind of store: Zarr v3, little endian, zstd, which they search as the engine does. Buffers and
//! compressors are used again, no page is touched twice. The last line is JSON: seconds on the wall, and of CPU by phase.

use engine_runtime::store::write::zstd_compressor;
use ops as _;
use ops_core::lower::Kind;
use ops_core::{
    ArrayMeta, Axes, Block, DType, Grid, Lowering, Map, MapCall, Pool, PortMeta, Ports, Region, Warnings, registry,
};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value as Json, json};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use zstd::bulk::{Compressor, Decompressor};

type Fallible<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Chunks whose codecs are timed by `limits`, all in memory.
const SAMPLE: usize = 8;

/// A Zarr array whose chunks are streams of zstd.
struct Store {
    path: PathBuf,
    document: Vec<u8>,
    meta: ArrayMeta,
    grid: Grid,
    chunk: Vec<u64>,
    level: i32,
}

impl Store {
    fn open(path: &str) -> Fallible<Store> {
        let path = PathBuf::from(path);
        let document = std::fs::read(path.join("zarr.json"))?;
        let json: Json = serde_json::from_slice(&document)?;
        let extents = |v: &Json| v.as_array().map(|a| a.iter().filter_map(Json::as_u64).collect::<Vec<_>>());
        let shape = extents(&json["shape"]).ok_or("no shape")?;
        let chunk = extents(&json["chunk_grid"]["configuration"]["chunk_shape"]).ok_or("no chunks")?;
        let dtype = json["data_type"]
            .as_str()
            .and_then(|n| DType::ALL.into_iter().find(|d| d.name() == n))
            .ok_or("no dtype")?;
        let codecs = json["codecs"].as_array().ok_or("no codecs")?;
        let [bytes, zstd] = codecs.as_slice() else { return Err("expected the codecs bytes and zstd".into()) };
        if bytes["name"] != "bytes" || zstd["name"] != "zstd" || shape.iter().zip(&chunk).any(|(n, c)| n % c != 0) {
            return Err("expected whole chunks, with the codecs bytes and zstd".into());
        }
        let level = zstd["configuration"]["level"].as_i64().ok_or("no level")? as i32;
        let axes = Axes::parse(&"zyx"[3 - shape.len()..]).ok_or("expected one to three axes")?;
        let (meta, grid) = (ArrayMeta::new(&shape, dtype, axes), Grid::new(&shape, &chunk));
        Ok(Store { path, document, meta, grid, chunk, level })
    }

    fn file(&self, root: &Path, region: &Region) -> PathBuf {
        let number = region.lo.iter().zip(&self.chunk).map(|(l, n)| (*l as u64 / n).to_string());
        number.fold(root.join("c"), |path, n| path.join(n))
    }

    fn bytes(&self) -> usize {
        self.chunk.iter().product::<u64>() as usize * self.meta.dtype.size()
    }

    /// Makes the store OUT: the same document, and a directory for every row of chunks.
    fn create(&self, out: &str) -> Fallible<PathBuf> {
        let root = PathBuf::from(out);
        for i in 0..self.grid.count() {
            std::fs::create_dir_all(self.file(&root, &self.grid.region(i)).parent().ok_or("a parent")?)?;
        }
        std::fs::write(root.join("zarr.json"), &self.document)?;
        Ok(root)
    }
}

/// What one thread uses again for every chunk.
struct Codec {
    read: Decompressor<'static>,
    write: Compressor<'static>,
    /// As the level says, to compare with.
    level: Compressor<'static>,
    encoded: Vec<u8>,
}

impl Codec {
    fn new(store: &Store) -> Fallible<Codec> {
        let (write, level) = (zstd_compressor(store.meta.dtype.size(), None)?, Compressor::new(store.level)?);
        Ok(Codec { read: Decompressor::new()?, write, level, encoded: Vec::new() })
    }

    fn decode(&mut self, store: &Store, region: &Region, into: &mut [u8]) -> Fallible<()> {
        use std::io::Read;
        self.encoded.clear();
        std::fs::File::open(store.file(&store.path, region))?.read_to_end(&mut self.encoded)?;
        let n = self.read.decompress_to_buffer(&self.encoded, into)?;
        if n == into.len() { Ok(()) } else { Err(format!("a chunk of {n} bytes").into()) }
    }

    /// Encodes and puts the chunk in its place as the engine does: under another name first.
    fn put(&mut self, file: &Path, elements: &[u8]) -> Fallible<()> {
        self.encoded.resize(zstd::zstd_safe::compress_bound(elements.len()), 0);
        let n = self.write.compress_to_buffer(elements, &mut self.encoded)?;
        let part = file.with_extension("part");
        std::fs::write(&part, &self.encoded[..n])?;
        Ok(std::fs::rename(part, file)?)
    }
}

/// Runs `one` for every chunk, each thread with a codec of its own.
fn each<T: Send>(
    store: &Store,
    threads: usize,
    one: impl Fn(&mut Codec, &mut Vec<u8>, Region) -> Fallible<T> + Sync,
) -> Fallible<Vec<T>> {
    let (next, count) = (AtomicUsize::new(0), store.grid.count() as usize);
    let worker = || -> Fallible<Vec<T>> {
        let (mut codec, mut buffer, mut done) = (Codec::new(store)?, vec![0; store.bytes()], Vec::new());
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            if i >= count {
                return Ok(done);
            }
            done.push(one(&mut codec, &mut buffer, store.grid.region(i as u64))?);
        }
    };
    std::thread::scope(|s| {
        let all: Vec<_> = (0..threads).map(|_| s.spawn(worker)).collect();
        let mut done = Vec::with_capacity(count);
        for thread in all {
            done.extend(thread.join().map_err(|_| "a thread panicked")??);
        }
        Ok(done)
    })
}

/// CPU seconds of the process.
fn cpu() -> f64 {
    let t = clock_gettime(ClockId::ProcessCPUTime);
    t.tv_sec as f64 + t.tv_nsec as f64 / 1e9
}

fn copy(store: &Store, out: &str, threads: usize) -> Fallible<Json> {
    let root = store.create(out)?;
    each(store, threads, |codec, buffer, region| {
        codec.decode(store, &region, buffer)?;
        codec.put(&store.file(&root, &region), buffer)
    })?;
    Ok(json!({}))
}

fn decode(store: &Store, threads: usize) -> Fallible<Json> {
    each(store, threads, |codec, buffer, region| codec.decode(store, &region, buffer))?;
    Ok(json!({}))
}

/// The one map that an op of one array lowers to.
fn kernel(op: &str, params: &str, meta: &ArrayMeta) -> Fallible<Arc<dyn Map>> {
    let op = (registry::find(op).ok_or("no such op")?.parse)(serde_json::from_str(params)?)?;
    let (mut g, ports) = Lowering::new(&[Some(PortMeta::from(meta.clone()))]);
    op.lower(&mut g, &ports)?;
    match g.nodes() {
        [_, node] => match &node.kind {
            Kind::Map(map) => Ok(map.clone()),
            _ => Err("expected an op that is a map".into()),
        },
        _ => Err("expected an op that is one map".into()),
    }
}

fn map(op: &str, params: &str, store: &Store, out: &str, threads: usize) -> Fallible<Json> {
    let (map, ports) = (kernel(op, params, &store.meta)?, Ports::plain(std::slice::from_ref(&store.meta)));
    let meta = map.infer(&ports)?;
    if meta != store.meta {
        return Err(format!("expected a result of {}, found {meta}", store.meta).into());
    }
    let (root, pool) = (store.create(out)?, Pool::keeping(1 << 30));
    let start = cpu();
    let dtype = store.meta.dtype;
    let blocks = each(store, threads, |codec, _, region| {
        let mut block = Block::take(&pool, dtype, region.clone());
        codec.decode(store, &region, block.bytes_mut())?;
        Ok(block)
    })?;
    let decoded = cpu();
    let results = each(store, threads, |_, _, region| {
        let given: Vec<Block> = map
            .needs(&ports, &region)
            .iter()
            .map(|need| {
                let sources = need.boundary.sources(&need.region, &store.meta.region());
                let touches = |b: &&Block| sources.iter().any(|s| !s.intersect(b.region()).is_empty());
                let from: Vec<&Block> = blocks.iter().filter(touches).collect();
                need.boundary.assemble(&pool, &need.region, &store.meta.region(), &from, dtype)
            })
            .collect();
        let (given, warnings): (Vec<&Block>, _) = (given.iter().collect(), Warnings::default());
        let mut out = Block::take(&pool, dtype, region);
        let call =
            MapCall { ports: &ports, meta: &meta, blocks: &given, values: &[], pool: &pool, warnings: &warnings };
        map.apply(&call, &mut out)?;
        Ok(out)
    })?;
    drop(blocks);
    let computed = cpu();
    each(store, threads, |codec, _, region| {
        let block = results.iter().find(|b| b.region() == &region).ok_or("a result")?;
        codec.put(&store.file(&root, &region), block.bytes())
    })?;
    let (decode_s, kernel_s, encode_s) = (decoded - start, computed - decoded, cpu() - computed);
    Ok(json!({"decode_cpu_s": decode_s, "kernel_cpu_s": kernel_s, "encode_cpu_s": encode_s}))
}

/// GB/s of decoded data, by one thread and by all: a copy in memory, the codec on the first chunks of the store.
fn limits(store: &Store, threads: usize) -> Fallible<Json> {
    let (mut chunks, mut sizes) = (Vec::new(), [0; 2]);
    for i in 0..store.grid.count().min(SAMPLE as u64) {
        let mut elements = vec![0; store.bytes()];
        Codec::new(store)?.decode(store, &store.grid.region(i), &mut elements)?;
        let level = Compressor::new(store.level)?.compress(&elements)?;
        let encoded = zstd_compressor(store.meta.dtype.size(), None)?.compress(&elements)?;
        sizes[0] += level.len();
        sizes[1] += encoded.len();
        chunks.push((elements, level));
    }
    // Every thread takes every chunk, so that none waits at the end.
    let rate = |threads: usize, one: &(dyn Fn(&mut Codec, &mut [u8]) -> Fallible<()> + Sync)| -> Fallible<f64> {
        let run = |repeat: usize| -> Fallible<f64> {
            let start = Instant::now();
            std::thread::scope(|s| {
                let work = || -> Fallible<()> {
                    let (mut codec, mut buffer) = (Codec::new(store)?, vec![1; store.bytes()]);
                    (0..repeat).try_for_each(|_| one(&mut codec, &mut buffer))
                };
                let all: Vec<_> = (0..threads).map(|_| s.spawn(work)).collect();
                all.into_iter().try_for_each(|t| t.join().map_err(|_| "a thread panicked")?)
            })?;
            Ok(start.elapsed().as_secs_f64())
        };
        let mut seconds = (0..3).map(|_| run(2)).collect::<Fallible<Vec<f64>>>()?;
        seconds.sort_by(f64::total_cmp);
        Ok((2 * threads * chunks.len() * store.bytes()) as f64 / seconds[1] / 1e9)
    };
    let memcpy = |_: &mut Codec, buffer: &mut [u8]| {
        chunks.iter().for_each(|(elements, _)| std::hint::black_box(&mut *buffer).copy_from_slice(elements));
        Ok(())
    };
    let decode = |codec: &mut Codec, buffer: &mut [u8]| -> Fallible<()> {
        chunks.iter().try_for_each(|(_, encoded)| Ok(codec.read.decompress_to_buffer(encoded, buffer).map(|_| ())?))
    };
    let all = |compressor: &mut Compressor<'static>, encoded: &mut Vec<u8>| -> Fallible<()> {
        encoded.resize(zstd::zstd_safe::compress_bound(store.bytes()), 0);
        chunks.iter().try_for_each(|(elements, _)| Ok(compressor.compress_to_buffer(elements, encoded).map(|_| ())?))
    };
    let encode = |codec: &mut Codec, _: &mut [u8]| all(&mut codec.write, &mut codec.encoded);
    let level = |codec: &mut Codec, _: &mut [u8]| all(&mut codec.level, &mut codec.encoded);
    let ratio = sizes.map(|n| (chunks.len() * store.bytes()) as f64 / n as f64);
    Ok(json!({
        "memcpy": [rate(1, &memcpy)?, rate(threads, &memcpy)?],
        "decode": [rate(1, &decode)?, rate(threads, &decode)?],
        "encode": [rate(1, &encode)?, rate(threads, &encode)?],
        "level": [rate(1, &level)?, rate(threads, &level)?],
        "ratio": ratio,
    }))
}

fn main() -> Fallible<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let start = Instant::now();
    let mut told = match args.as_slice() {
        ["copy", store, out, threads] => copy(&Store::open(store)?, out, threads.parse()?)?,
        ["decode", store, threads] => decode(&Store::open(store)?, threads.parse()?)?,
        ["map", op, params, store, out, threads] => map(op, params, &Store::open(store)?, out, threads.parse()?)?,
        ["limits", store, threads] => limits(&Store::open(store)?, threads.parse()?)?,
        _ => return Err("usage: bare_zarr copy|decode|map|limits ..., see the source".into()),
    };
    told["wall_s"] = json!(start.elapsed().as_secs_f64());
    println!("{told}");
    Ok(())
}

//! Speed of reading a Zarr array beside a bare loop that decodes every chunk: statistics chunk by chunk, and a sweep with a
//! halo.
//!
//! `cargo run --release -p engine-runtime --example bench_zarr -- [STORE]`; without a store one of 512 MiB is written.

use engine_model::spec::workflow::Format;
use engine_runtime::store::read::{InputOptions, open_keeping, probe};
use engine_runtime::store::write::{WriteOptions, create};
use ops_core::{ArrayMeta, Axes, Block, DType, Index, Pool, Region};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use zarrs::array::{Array, ArrayBytes, ArrayMetadata, CodecOptions};
use zarrs::storage::store::MemoryStore;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Rounds in turn; the median of each counts.
const ROUNDS: usize = 7;

fn main() -> Result<()> {
    let given = std::env::args_os().nth(1).map(PathBuf::from);
    let dir = std::env::temp_dir().join(format!("bench-zarr-{}", std::process::id()));
    let path = match &given {
        Some(path) => path.clone(),
        None => made(&dir)?,
    };
    let source = probe(&path, &InputOptions::default())?;
    let meta = source.array.clone();
    let engine_model::catalog::Access::Tiles(tile) = source.access else { return Err("not in chunks".into()) };
    let chunks: Vec<Region> = grid(&meta, &tile);
    let halo = vec![8i64; meta.rank()];
    let grown: Vec<Region> = chunks.iter().map(|r| r.grow(&halo, &halo).intersect(&meta.region())).collect();
    println!("{meta}, chunks of {tile:?}, {} threads", rayon::current_num_threads());
    let bare = Bare::open(&path)?;
    let pool = Pool::keeping(1 << 30);
    let mut times: [Vec<[f64; 2]>; 4] = Default::default();
    for _ in 0..ROUNDS {
        // The loop everything is held against: fetch, decode, sum; nothing is assembled.
        times[0].push(timed(&chunks, |r| bare.sum(r, &tile))?);
        let reader = open_keeping(&path, &InputOptions::default(), 0)?;
        times[1].push(timed(&chunks, |r| Ok(sum(&reader.read(r, &pool)?.0)))?);
        let reader = open_keeping(&path, &InputOptions::default(), 0)?;
        times[2].push(timed(&grown, |r| Ok(sum(&reader.read(r, &pool)?.0)))?);
        let reader = open_keeping(&path, &InputOptions::default(), source.cache_bytes)?;
        times[3].push(timed(&grown, |r| Ok(sum(&reader.read(r, &pool)?.0)))?);
    }
    let names = ["bare decode loop", "engine, whole chunks", "engine, halo 8, no cache", "engine, halo 8, cache"];
    let [first, first_cpu] = medians(&times[0]);
    for (name, t) in names.iter().zip(&times) {
        let [s, cpu] = medians(t);
        let speed = meta.bytes() as f64 / s / 1e9;
        println!("{name:26} {:7.1} ms {speed:6.2} GB/s {:5.2} x, CPU {:5.2} x", 1e3 * s, s / first, cpu / first_cpu);
    }
    if given.is_none() {
        std::fs::remove_dir_all(&dir)?;
    }
    Ok(())
}

/// Of the wall times and of the CPU times.
fn medians(v: &[[f64; 2]]) -> [f64; 2] {
    [0, 1].map(|i| {
        let mut v: Vec<f64> = v.iter().map(|t| t[i]).collect();
        v.sort_by(f64::total_cmp);
        v[v.len() / 2]
    })
}

/// CPU seconds of the process: on a machine that others use too they tell more than the clock on the wall.
fn cpu() -> f64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    t.tv_sec as f64 + t.tv_nsec as f64 / 1e9
}

/// Seconds, and CPU seconds, to sum all regions, in order, on all threads.
fn timed(regions: &[Region], one: impl Fn(&Region) -> Result<f64> + Sync) -> Result<[f64; 2]> {
    let (next, start, before) = (AtomicU64::new(0), Instant::now(), cpu());
    let sums: Vec<Result<f64>> = rayon::broadcast(|_| {
        let mut sum = 0.0;
        while let Some(r) = regions.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
            sum += one(r)?;
        }
        Ok(sum)
    });
    for s in sums {
        std::hint::black_box(s?);
    }
    Ok([start.elapsed().as_secs_f64(), cpu() - before])
}

fn sum(block: &Block) -> f64 {
    total(block.bytes())
}

/// A sum over bytes stands for a cheap statistic.
fn total(bytes: &[u8]) -> f64 {
    bytes.chunks(255).map(|c| c.iter().map(|b| u32::from(*b)).sum::<u32>()).map(f64::from).sum()
}

fn grid(meta: &ArrayMeta, tile: &[u64]) -> Vec<Region> {
    let grid = ops_core::Grid::new(&meta.shape, tile);
    (0..grid.count()).map(|i| grid.region(i)).collect()
}

/// Chunks by file and codec alone.
struct Bare {
    path: PathBuf,
    array: Array<MemoryStore>,
}

impl Bare {
    fn open(path: &Path) -> Result<Bare> {
        let metadata: ArrayMetadata = ["zarr.json", ".zarray"]
            .iter()
            .find_map(|k| std::fs::read(path.join(k)).ok())
            .ok_or("no metadata")
            .map(|b| serde_json::from_slice(&b))??;
        Ok(Bare { path: path.into(), array: Array::new_with_metadata(Arc::new(MemoryStore::new()), "/", metadata)? })
    }

    fn sum(&self, region: &Region, tile: &[u64]) -> Result<f64> {
        use zarrs::array::ArrayToBytesCodecTraits;
        let index: Vec<u64> = region.lo.iter().zip(tile).map(|(l, n)| *l as u64 / n).collect();
        let encoded = std::fs::read(self.path.join(self.array.chunk_key(&index).as_str()))?;
        let (shape, options) = (self.array.chunk_shape(&index)?, CodecOptions::default().with_concurrent_target(1));
        let (data_type, fill) = (self.array.data_type(), self.array.fill_value());
        let decoded: ArrayBytes = self.array.codecs().decode(encoded.into(), &shape, data_type, fill, &options)?;
        Ok(total(&decoded.into_fixed()?))
    }
}

/// A volume with some texture: a ramp and five bits of noise.
fn made(dir: &Path) -> Result<PathBuf> {
    let axes = Axes::parse("zyx").ok_or("axes")?;
    let meta = ArrayMeta::new(&[512, 512, 1024], DType::UInt16, axes);
    let path = dir.join("volume.zarr");
    std::fs::create_dir_all(dir)?;
    let chunk = [128, 128, 128];
    let w =
        create(Format::Zarr, &path, &meta, &WriteOptions { chunks: Some(chunk.to_vec()), ..WriteOptions::default() })?;
    let mut noise = 1u64;
    for region in grid(&meta, &chunk) {
        let lo: Index = region.lo.clone();
        let mut block = Block::zeros(DType::UInt16, region);
        for (i, v) in block.as_mut_slice::<u16>().iter_mut().enumerate() {
            noise = noise.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            *v = ((i / 16384) as u16).wrapping_mul(40).wrapping_add(lo[0] as u16) + (noise >> 59) as u16;
        }
        w.write(&block)?;
    }
    w.finish()?;
    Ok(path)
}

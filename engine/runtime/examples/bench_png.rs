//! Speed and size of PNG reading and writing beside the `png` crate's own encoder.
//!
//! `cargo run --release --example bench_png -- FILE.png...`

use engine_model::spec::workflow::Format;
use engine_runtime::store::read::{InputOptions, open, probe};
use engine_runtime::store::write::{WriteOptions, create};
use ops_core::{Block, DType, Pool};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Runs of each measurement; the best counts.
const RUNS: usize = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let files: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let dir = std::env::temp_dir().join(format!("bench-png-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let pool = Pool::keeping(1 << 30);
    let options = InputOptions::default();
    let mut images = Vec::new();
    for f in &files {
        images.push((
            f,
            probe(f, &options)?.array,
            open(f, &options)?.read(&probe(f, &options)?.array.region(), &pool)?.0,
        ));
    }
    let raw: usize = images.iter().map(|(_, _, b)| b.bytes().len()).sum();
    println!("{} images, {:.1} MB of pixels", images.len(), raw as f64 / 1e6);
    let size = |p: &Path| std::fs::metadata(p).map(|m| m.len());
    let stored: u64 = files.iter().map(|f| size(f)).sum::<Result<u64, _>>()?;
    measure("read", raw, || {
        for (f, m, _) in &images {
            open(f, &options)?.read(&m.region(), &pool)?;
        }
        Ok(stored)
    })?;
    let out = dir.join("out.png");
    measure("write", raw, || {
        let mut total = 0;
        for (_, m, b) in &images {
            let w = create(Format::Png, &out, m, &WriteOptions::default())?;
            w.write(b)?;
            w.finish()?;
            total += size(&out)?;
        }
        Ok(total)
    })?;
    measure("read what was written", raw, || {
        for (f, m, b) in &images {
            let w = create(Format::Png, &out, m, &WriteOptions::default())?;
            w.write(b)?;
            w.finish()?;
            let (back, _) = open(&out, &options)?.read(&m.region(), &pool)?;
            if back.bytes() != b.bytes() {
                return Err(format!("{} came back different", f.display()).into());
            }
        }
        Ok(0)
    })?;
    if std::env::var_os("OURS_ONLY").is_some() {
        return Ok(());
    }
    use png::{Compression, Filter};
    let levels = [("fastest", Compression::Fastest), ("fast", Compression::Fast), ("balanced", Compression::Balanced)];
    let filters = [("up", Filter::Up), ("paeth", Filter::Paeth), ("adaptive", Filter::Adaptive)];
    for (level, compression) in levels {
        for (name, filter) in filters {
            measure(&format!("png crate {level} {name}"), raw, || {
                let mut total = 0;
                for (_, m, b) in &images {
                    total += crate_encode(m, b, compression, filter)?.len() as u64;
                }
                Ok(total)
            })?;
        }
    }
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}

fn measure(
    name: &str,
    raw: usize,
    mut work: impl FnMut() -> Result<u64, Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let (mut wall, mut cpu) = (f64::MAX, f64::MAX);
    let mut size = 0;
    for _ in 0..RUNS {
        let (start, busy) = (Instant::now(), thread_seconds());
        size = work()?;
        wall = wall.min(start.elapsed().as_secs_f64());
        cpu = cpu.min(thread_seconds() - busy);
    }
    let mb = raw as f64 / 1e6;
    println!("{name:28} {:8.1} MB/s {:8.1} MB per cpu second {:10.3} MB", mb / wall, mb / cpu, size as f64 / 1e6);
    Ok(())
}

/// Processor time of this thread, which other processes disturb less than the clock on the wall.
fn thread_seconds() -> f64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    t.tv_sec as f64 + t.tv_nsec as f64 / 1e9
}

fn crate_encode(
    meta: &ops_core::ArrayMeta,
    block: &Block,
    compression: png::Compression,
    filter: png::Filter,
) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut out = Vec::new();
    let mut e = png::Encoder::new(&mut out, meta.shape[1] as u32, meta.shape[0] as u32);
    e.set_color(match meta.shape.get(2) {
        None | Some(1) => png::ColorType::Grayscale,
        Some(2) => png::ColorType::GrayscaleAlpha,
        Some(3) => png::ColorType::Rgb,
        Some(_) => png::ColorType::Rgba,
    });
    e.set_compression(compression);
    e.set_filter(filter);
    let mut swapped;
    let mut bytes = block.bytes();
    if meta.dtype == DType::UInt16 {
        e.set_depth(png::BitDepth::Sixteen);
        swapped = bytes.to_vec();
        swapped.chunks_exact_mut(2).for_each(|v| v.swap(0, 1));
        bytes = &swapped;
    } else {
        e.set_depth(png::BitDepth::Eight);
    }
    e.write_header()?.write_image_data(bytes)?;
    Ok(out)
}

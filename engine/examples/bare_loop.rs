//! The bcss job without the engine: decode, the same kernels on whole images, encode, write. What the engine adds is
//! measured against it: `bare_loop GLOB OUT THREADS`.

use engine_model::spec::workflow::{Channels, Format};
use engine_runtime::store::read::{self, InputOptions};
use engine_runtime::store::write::{self, WriteOptions};
use ops as _;
use ops_core::lower::Kind;
use ops_core::{
    Block, FinishCall, Lowering, MapCall, Need, Pool, Port, PortMeta, Ports, ReduceCall, Value, Warnings, registry,
};
use rayon::prelude::*;
use serde_json::{Value as Json, json};
use std::error::Error;
use std::path::{Path, PathBuf};

type Fallible<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Runs a step on a whole array; `found` gives the values of reductions that were made before, `stop` ends after them.
fn step(
    op: &str,
    with: Json,
    input: &Block,
    found: Option<&Value>,
    pool: &Pool,
) -> Fallible<(Option<Block>, Option<Value>)> {
    let axes = if input.region().rank() == 3 { "yxc" } else { "yx" };
    let shape: Vec<u64> = input.region().shape().iter().map(|&n| n as u64).collect();
    let axes = ops_core::Axes::parse(axes).ok_or("axes")?;
    let meta = ops_core::ArrayMeta::new(&shape, input.dtype(), axes);
    let op = (registry::find(op).ok_or("no such op")?.parse)(with)?;
    let (mut g, ports) = Lowering::new(&[Some(PortMeta::from(meta.clone()))]);
    let end = op.lower(&mut g, &ports)?;
    let mut blocks: Vec<Option<Block>> = Vec::new();
    let mut values: Vec<Option<Value>> = Vec::new();
    let warnings = &Warnings::default();
    for n in g.nodes() {
        let (mut block, mut value) = (None, None);
        let metas: Vec<ops_core::ArrayMeta> = n.arrays.iter().map(|&a| g.meta(a).clone()).collect();
        let ports = Ports::plain(&metas);
        let consumed: Vec<Value> = n.values.iter().filter_map(|v| values[v.0].clone()).collect();
        let given = |needs: &[Need]| -> Vec<Block> {
            let of = |need: &Need| {
                let from = blocks[n.arrays[need.input].0].as_ref().unwrap_or(input);
                need.boundary.assemble(pool, &need.region, &metas[need.input].region(), &[from], from.dtype())
            };
            needs.iter().filter(|n| n.boundary != ops_core::Boundary::Clip).map(of).collect()
        };
        match &n.kind {
            Kind::Input(_) => {}
            Kind::Map(m) | Kind::Join(m) => {
                let meta = m.infer(&ports)?;
                let needs = m.needs(&ports, &meta.region());
                let own = given(&needs);
                let of = |need: &Need| blocks[n.arrays[need.input].0].as_ref().unwrap_or(input);
                let refs: Vec<&Block> =
                    if own.is_empty() { needs.iter().map(of).collect() } else { own.iter().collect() };
                let mut out = Block::take(pool, meta.dtype, meta.region());
                let call = MapCall { ports: &ports, meta: &meta, blocks: &refs, values: &consumed, pool, warnings };
                m.apply(&call, &mut out)?;
                block = Some(out);
            }
            Kind::Reduce(r, _) => match found {
                Some(v) => value = Some(v.clone()),
                None => {
                    let region = metas[0].region();
                    let refs: Vec<&Block> = n.arrays.iter().map(|a| blocks[a.0].as_ref().unwrap_or(input)).collect();
                    let call = ReduceCall { ports: &ports, region: &region, blocks: &refs, values: &consumed, pool };
                    let mut partial = r.start(&ports);
                    r.add(&call, &mut partial)?;
                    value = Some(r.finish(partial, &FinishCall { ports: &ports, values: &consumed, warnings })?);
                }
            },
        }
        blocks.push(block);
        values.push(value);
    }
    Ok(match end {
        Port::Array(a) => (blocks.swap_remove(a.0), values.into_iter().flatten().next()),
        Port::Value(v) => (None, values.swap_remove(v.0)),
    })
}

fn decode(path: &Path, pool: &Pool) -> Fallible<Block> {
    let options = InputOptions { channels: Channels::Rgb, ..InputOptions::default() };
    let meta = read::probe(path, &options)?.array;
    Ok(read::open(path, &options)?.read(&meta.region(), pool)?.0)
}

fn save(out: &Path, kind: &str, stem: &str, block: &Block) -> Fallible<()> {
    let dir = out.join(kind);
    std::fs::create_dir_all(&dir)?;
    let shape: Vec<u64> = block.region().shape().iter().map(|&n| n as u64).collect();
    let axes = ops_core::Axes::parse(if shape.len() == 3 { "yxc" } else { "yx" }).ok_or("axes")?;
    let meta = ops_core::ArrayMeta::new(&shape, block.dtype(), axes);
    let writer = write::create(Format::Png, &dir.join(format!("{stem}.png")), &meta, &WriteOptions::default())?;
    writer.write(block)?;
    writer.finish()?;
    Ok(())
}

fn one(path: &Path, out: &Path, range: &Value, pool: &Pool) -> Fallible<()> {
    let rgb = decode(path, pool)?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let array = |r: (Option<Block>, Option<Value>)| r.0.ok_or("an array");
    let normalized = array(step("normalize", json!({"over": "collection"}), &rgb, Some(range), pool)?)?;
    drop(rgb);
    let eight = array(step("cast", json!({"dtype": "uint8", "rounding": "truncate"}), &normalized, None, pool)?)?;
    save(out, "Normalized", &stem, &eight)?;
    drop(eight);
    let gray = array(step("grayscale", json!({}), &normalized, None, pool)?)?;
    drop(normalized);
    let smooth = array(step("gaussian", json!({"sigma": 1.0}), &gray, None, pool)?)?;
    let mask = array(step("threshold", json!({"relative_to": "max", "factor": 0.75}), &smooth, None, pool)?)?;
    save(out, "Threshold", &stem, &mask)?;
    let labels = array(step("label", json!({"dtype": "uint16"}), &mask, None, pool)?)?;
    save(out, "Labeled", &stem, &labels)
}

fn main() -> Fallible<()> {
    let args: Vec<String> = std::env::args().collect();
    let [_, dir, out, threads] = args.as_slice() else { return Err("usage: bare_loop DIR OUT THREADS".into()) };
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir)?.filter_map(|e| Some(e.ok()?.path())).collect();
    files.sort();
    let pool = Pool::keeping(1 << 30);
    let started = std::time::Instant::now();
    let workers = rayon::ThreadPoolBuilder::new().num_threads(threads.parse()?).build()?;
    workers.install(|| -> Fallible<()> {
        let extremes: Vec<(f64, f64)> = files
            .par_iter()
            .map(|f| {
                let v = step("normalize", json!({"over": "collection"}), &decode(f, &pool)?, None, &pool)?
                    .1
                    .ok_or("a value")?;
                let n = v.as_numbers()?;
                Ok((n[0], n[1]))
            })
            .collect::<Fallible<_>>()?;
        let lo = extremes.iter().map(|e| e.0).fold(f64::INFINITY, f64::min);
        let hi = extremes.iter().map(|e| e.1).fold(f64::NEG_INFINITY, f64::max);
        let range = Value::numbers(&[lo, hi]);
        files.par_iter().try_for_each(|f| one(f, Path::new(out), &range, &pool))
    })?;
    println!("{}", json!({"wall_s": started.elapsed().as_secs_f64()}));
    Ok(())
}

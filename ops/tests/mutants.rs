//! Kept mutants: small ops, each with one bug of a kind that people make, and the check that has to catch it.
//!
//! Every family of mutants has a sound member, bug 0, that the battery must pass: so a red mutant is red for its bug.

use ops_core::contract::{Array, Case, Check, Content, Expected, Input, Report, run};
use ops_core::simd::{self, Path};
use ops_core::{
    ArrayMeta, Block, Boundary, DType, Element, FinishCall, InputKind, InputSpec, Lowering, Map, MapCall, Need, Op,
    OpEntry, OpError, Pool, Port, Ports, Reduce, ReduceCall, Region, Scope, Value, op::Needs,
};
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value as Json, json};

fn battery<P>(cases: fn() -> Vec<Case>) -> Report
where
    P: Op + DeserializeOwned + Serialize + JsonSchema + 'static,
{
    let entry = OpEntry {
        name: "mutant",
        domain: "test",
        inputs: &[InputSpec { name: "input", kind: InputKind::Array, doc: "An array." }],
        makes_table: false,
        schema: || {
            let settings = SchemaSettings::draft2020_12().with(|s| s.inline_subschemas = true);
            SchemaGenerator::from(settings).into_root_schema_for::<P>()
        },
        parse: |json| ops_core::registry::read::<P>(json).map(|op| Box::new(op) as Box<dyn Op>),
        canonical: |json| {
            ops_core::registry::read::<P>(json).and_then(|op| serde_json::to_value(&op).map_err(|e| e.to_string()))
        },
        example: "step: {op: mutant, input: image}",
        cases,
    };
    run(&entry, 7)
}

fn sound(report: &Report) {
    assert!(report.violations.is_empty(), "the sound member is red: {report}");
}

fn caught(report: &Report, check: Check) {
    assert!(report.broke(check), "expected {} among the violations of {report}", check.name());
}

/// A mean of five neighbours along the last axis.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Smooth<const BUG: u8> {
    /// What lies beyond the edge.
    #[serde(default)]
    mode: Boundary,
}

const SOUND: u8 = 0;
const HALO_SHORT: u8 = 1;
const HALO_LONG: u8 = 2;
const OTHER_MODE: u8 = 3;
const NOT_NORMALIZED: u8 = 4;
const HALF_SCRATCH: u8 = 5;
const REMAINDER: u8 = 6;
const STALE_SCRATCH: u8 = 7;
const BLOCK_POSITION: u8 = 8;
const THREAD: u8 = 9;
const PATH: u8 = 10;
const NO_SINGLE: u8 = 11;
const RUNNING_SUM: u8 = 12;

impl<const BUG: u8> Op for Smooth<BUG> {
    fn lower(&self, g: &mut Lowering, inputs: &[Port]) -> Result<Port, OpError> {
        let a = g.array(inputs, 0)?;
        Ok(Port::Array(g.map("smooth", self.clone(), &[a], &[])?))
    }
}

impl<const BUG: u8> Map for Smooth<BUG> {
    fn infer(&self, ports: &Ports) -> Result<ArrayMeta, OpError> {
        Ok(ports.meta(0).with_dtype(DType::Float64))
    }

    fn needs(&self, _: &Ports, out: &Region) -> Needs {
        let reach = match BUG {
            HALO_SHORT => 1,
            HALO_LONG => 3,
            _ => 2,
        };
        let mut region = out.clone();
        let last = out.rank() - 1;
        region.lo[last] -= reach;
        region.hi[last] += reach;
        let boundary = match (BUG, self.mode) {
            (OTHER_MODE, Boundary::Reflect) => Boundary::Mirror,
            (OTHER_MODE, Boundary::Mirror) => Boundary::Reflect,
            (_, mode) => mode,
        };
        [Need { input: 0, item: 0, region, boundary }].into_iter().collect()
    }

    fn scratch_bytes(&self, _: &Ports, out: &Region) -> u64 {
        let all = Pool::rounded(8 * out.len(out.rank() - 1) as u64);
        if BUG == HALF_SCRATCH { all / 2 } else { all }
    }

    fn apply(&self, call: &MapCall<'_>, out: &mut Block) -> Result<(), OpError> {
        let (src, region) = (call.blocks[0], out.region().clone());
        let last = region.rank() - 1;
        let (width, given) = (region.len(last) as usize, src.region().len(last) as usize);
        let offset = (region.lo[last] - src.region().lo[last]) as usize;
        let mut sums = call.pool.take::<f64>(width);
        for (row, line) in out.as_mut_slice::<f64>().chunks_mut(width).zip(src.as_slice::<f64>().chunks(given)) {
            if BUG != STALE_SCRATCH {
                sums.fill(0.0);
            }
            for k in 0..5usize {
                for (i, sum) in sums.iter_mut().enumerate() {
                    *sum += line[(i + offset + k).saturating_sub(2).min(given - 1)];
                }
            }
            let by = if BUG == NOT_NORMALIZED { 1.0 } else { 5.0 };
            row.iter_mut().zip(&sums[..]).for_each(|(d, s)| *d = s / by);
            match BUG {
                REMAINDER if width > 7 => row[7] = f64::from_bits(row[7].to_bits() & !0xFF),
                BLOCK_POSITION => row[0] += region.lo[last] as f64,
                THREAD if std::thread::current().name().is_none() => row[0] += 1.0,
                PATH if simd::path() == Path::Scalar => row[0] *= 1.0 + f64::EPSILON,
                RUNNING_SUM => {
                    let mut sum: f64 = line[..5].iter().sum();
                    for (i, d) in row.iter_mut().enumerate() {
                        *d = sum / 5.0;
                        sum += line.get(i + 5).map_or(0.0, |next| next - line[i]);
                    }
                }
                NO_SINGLE if given == 5 && line[0] == line[4] => row[0] = line[given],
                _ => (),
            }
        }
        Ok(())
    }
}

fn smooth_cases() -> Vec<Case> {
    vec![Case::new(json!({}), vec![Input::new("yx", DType::Float64)]).expecting(smooth_reference)]
}

fn smooth_reference(with: &Json, inputs: &[Vec<Array>]) -> Expected {
    let a = &inputs[0][0];
    let mode: Boundary = serde_json::from_value(with["mode"].clone()).unwrap_or_default();
    let (data, n) = (a.to_f64(), a.meta.shape[1] as i64);
    let at = |i: usize, d: i64| {
        let (row, x) = (i as i64 / n, i as i64 % n);
        mode.source(x + d, n).map_or(0.0, |s| data[(row * n + s) as usize])
    };
    Expected::Close(vec![(0..data.len()).map(|i| (-2..3).map(|d| at(i, d)).sum::<f64>() / 5.0).collect()], 1e-12)
}

#[test]
fn a_sound_filter_passes() {
    sound(&battery::<Smooth<SOUND>>(smooth_cases));
}

#[test]
fn a_halo_one_too_short_is_caught() {
    caught(&battery::<Smooth<HALO_SHORT>>(smooth_cases), Check::ChunkedEqualsWhole);
}

#[test]
fn a_halo_one_too_long_is_caught() {
    caught(&battery::<Smooth<HALO_LONG>>(smooth_cases), Check::HaloMinimal);
}

#[test]
fn swapped_boundary_modes_are_caught() {
    caught(&battery::<Smooth<OTHER_MODE>>(smooth_cases), Check::Expected);
}

#[test]
fn a_missing_normalisation_is_caught() {
    caught(&battery::<Smooth<NOT_NORMALIZED>>(smooth_cases), Check::Expected);
}

#[test]
fn half_the_declared_scratch_is_caught() {
    caught(&battery::<Smooth<HALF_SCRATCH>>(smooth_cases), Check::DeclaredBytes);
}

#[test]
fn scratch_read_before_it_is_written_is_caught() {
    caught(&battery::<Smooth<STALE_SCRATCH>>(smooth_cases), Check::WritesAll);
}

#[test]
fn a_result_that_depends_on_the_block_is_caught() {
    caught(&battery::<Smooth<BLOCK_POSITION>>(smooth_cases), Check::ChunkedEqualsWhole);
    caught(&battery::<Smooth<REMAINDER>>(smooth_cases), Check::ChunkedEqualsWhole);
}

#[test]
fn a_sum_that_runs_along_a_line_is_caught() {
    caught(&battery::<Smooth<RUNNING_SUM>>(smooth_cases), Check::ChunkedEqualsWhole);
}

#[test]
fn a_result_that_depends_on_the_thread_is_caught() {
    caught(&battery::<Smooth<THREAD>>(smooth_cases), Check::Threads);
}

#[test]
fn an_instruction_set_that_rounds_otherwise_is_caught() {
    caught(&battery::<Smooth<PATH>>(smooth_cases), Check::SimdPaths);
}

#[test]
fn a_panic_on_a_single_voxel_is_caught() {
    caught(&battery::<Smooth<NO_SINGLE>>(smooth_cases), Check::Runs);
}

/// Writes only some elements.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Holes {}

impl Op for Holes {
    fn lower(&self, g: &mut Lowering, inputs: &[Port]) -> Result<Port, OpError> {
        let a = g.array(inputs, 0)?;
        Ok(Port::Array(g.map("holes", self.clone(), &[a], &[])?))
    }
}

impl Map for Holes {
    fn infer(&self, ports: &Ports) -> Result<ArrayMeta, OpError> {
        Ok(ports.meta(0).clone())
    }

    fn apply(&self, call: &MapCall<'_>, out: &mut Block) -> Result<(), OpError> {
        let src = call.blocks[0].as_slice::<u8>();
        for (d, s) in out.as_mut_slice::<u8>().iter_mut().zip(src).filter(|(_, s)| **s > 9) {
            *d = *s;
        }
        Ok(())
    }
}

#[test]
fn elements_never_written_are_caught() {
    caught(&battery::<Holes>(|| vec![Case::new(json!({}), vec![Input::new("yx", DType::UInt8)])]), Check::WritesAll);
}

/// The mean of each two neighbours along the last axis.
///
/// Bug 1 divides by two at the edge where a window has one element, bug 2 begins its windows where the block begins.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Halved<const BUG: u8> {}

impl<const BUG: u8> Op for Halved<BUG> {
    fn lower(&self, g: &mut Lowering, inputs: &[Port]) -> Result<Port, OpError> {
        let a = g.array(inputs, 0)?;
        Ok(Port::Array(g.map("halved", self.clone(), &[a], &[])?))
    }
}

impl<const BUG: u8> Map for Halved<BUG> {
    fn infer(&self, ports: &Ports) -> Result<ArrayMeta, OpError> {
        let mut meta = ports.meta(0).clone();
        if let Some(n) = meta.shape.last_mut() {
            *n = n.div_ceil(2);
        }
        Ok(meta)
    }

    fn needs(&self, ports: &Ports, out: &Region) -> Needs {
        let (mut region, last) = (out.clone(), out.rank() - 1);
        region.lo[last] = if BUG == 2 { out.lo[last] * 2 / 3 * 3 } else { out.lo[last] * 2 };
        region.hi[last] = region.lo[last] + 2 * out.len(last);
        [Need::inside(0, region.intersect(&ports.meta(0).region()))].into_iter().collect()
    }

    fn apply(&self, call: &MapCall<'_>, out: &mut Block) -> Result<(), OpError> {
        let (src, last) = (call.blocks[0], out.region().rank() - 1);
        let (width, given) = (out.region().len(last) as usize, src.region().len(last) as usize);
        for (row, line) in out.as_mut_slice::<f64>().chunks_mut(width).zip(src.as_slice::<f64>().chunks(given.max(1))) {
            for (i, d) in row.iter_mut().enumerate() {
                let window = &line[(2 * i).min(given)..(2 * i + 2).min(given)];
                *d = window.iter().sum::<f64>() / if BUG == 1 { 2.0 } else { window.len() as f64 };
            }
        }
        Ok(())
    }
}

fn halved_cases() -> Vec<Case> {
    let naive = |_: &Json, inputs: &[Vec<Array>]| {
        let a = &inputs[0][0];
        let (data, n) = (a.to_f64(), a.meta.shape[1] as usize);
        let rows = data.chunks(n.max(1)).filter(|r| !r.is_empty());
        let means = rows.flat_map(|r| r.chunks(2).map(|w| w.iter().sum::<f64>() / w.len() as f64));
        Expected::Close(vec![means.collect()], 0.0)
    };
    vec![Case::new(json!({}), vec![Input::new("yx", DType::Float64)]).expecting(naive)]
}

#[test]
fn a_window_at_the_edge_divided_as_if_whole_is_caught() {
    sound(&battery::<Halved<0>>(halved_cases));
    caught(&battery::<Halved<1>>(halved_cases), Check::Expected);
}

#[test]
fn windows_that_begin_with_the_block_are_caught() {
    caught(&battery::<Halved<2>>(halved_cases), Check::ChunkedEqualsWhole);
}

/// A strict threshold.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Above<const BUG: u8> {
    /// The limit.
    limit: u8,
}

impl<const BUG: u8> Op for Above<BUG> {
    fn lower(&self, g: &mut Lowering, inputs: &[Port]) -> Result<Port, OpError> {
        let a = g.array(inputs, 0)?;
        Ok(Port::Array(g.map("above", self.clone(), &[a], &[])?))
    }
}

impl<const BUG: u8> Map for Above<BUG> {
    fn infer(&self, ports: &Ports) -> Result<ArrayMeta, OpError> {
        Ok(ports.meta(0).with_dtype(DType::Bool))
    }

    fn apply(&self, call: &MapCall<'_>, out: &mut Block) -> Result<(), OpError> {
        for (d, &s) in out.as_mut_slice::<u8>().iter_mut().zip(call.blocks[0].as_slice::<u8>()) {
            *d = u8::from(if BUG == 0 { s > self.limit } else { s >= self.limit });
        }
        Ok(())
    }
}

fn above_cases() -> Vec<Case> {
    // Few distinct values: the witness has elements that equal the limit.
    let input = Input::new("yx", DType::UInt8).content(Content::Labels(4));
    let naive = |with: &Json, inputs: &[Vec<Array>]| {
        let limit = with["limit"].as_f64().unwrap();
        Expected::Bytes(vec![inputs[0][0].to_f64().into_iter().map(|x| u8::from(x > limit)).collect()])
    };
    vec![Case::new(json!({"limit": 2}), vec![input]).expecting(naive)]
}

#[test]
fn at_least_instead_of_more_is_caught() {
    sound(&battery::<Above<0>>(above_cases));
    caught(&battery::<Above<1>>(above_cases), Check::Expected);
}

/// The least of three neighbours along the last axis, NaN after everything and -0 before +0.
///
/// Bug 1 compares floats, so that NaN and zeros of either sign stay where they come first. Bug 2 looks at the two
/// elements after the centre and none before.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Least<const BUG: u8> {}

impl<const BUG: u8> Op for Least<BUG> {
    fn lower(&self, g: &mut Lowering, inputs: &[Port]) -> Result<Port, OpError> {
        let a = g.array(inputs, 0)?;
        Ok(Port::Array(g.map("least", self.clone(), &[a], &[])?))
    }
}

impl<const BUG: u8> Map for Least<BUG> {
    fn infer(&self, ports: &Ports) -> Result<ArrayMeta, OpError> {
        Ok(ports.meta(0).clone())
    }

    fn needs(&self, _: &Ports, out: &Region) -> Needs {
        let (mut region, last) = (out.clone(), out.rank() - 1);
        region.lo[last] -= i64::from(BUG != 2);
        region.hi[last] += if BUG == 2 { 2 } else { 1 };
        [Need { input: 0, item: 0, region, boundary: Boundary::Reflect }].into_iter().collect()
    }

    fn apply(&self, call: &MapCall<'_>, out: &mut Block) -> Result<(), OpError> {
        let (src, last) = (call.blocks[0], out.region().rank() - 1);
        let (width, given) = (out.region().len(last) as usize, src.region().len(last) as usize);
        for (row, line) in out.as_mut_slice::<f64>().chunks_mut(width).zip(src.as_slice::<f64>().chunks(given)) {
            for (d, w) in row.iter_mut().zip(line.windows(3)) {
                let less = |a: f64, b: f64| if BUG == 1 { a < b } else { a.order_key() < b.order_key() };
                *d = w[1..].iter().fold(w[0], |least, &v| if less(v, least) { v } else { least });
            }
        }
        Ok(())
    }
}

fn least_cases() -> Vec<Case> {
    let naive = |_: &Json, inputs: &[Vec<Array>]| {
        let a = &inputs[0][0];
        let (data, n) = (a.to_f64(), a.meta.shape[1] as i64);
        let least = |i: usize| {
            let (row, x) = (i as i64 / n, i as i64 % n);
            let at = |d: i64| data[(row * n + Boundary::Reflect.source(x + d, n).unwrap()) as usize];
            (-1..2).map(at).min_by_key(|v| v.order_key()).unwrap()
        };
        Expected::Bytes(vec![(0..data.len()).flat_map(|i| least(i).to_ne_bytes()).collect()])
    };
    vec![Case::new(json!({}), vec![Input::new("yx", DType::Float64).content(Content::Special)]).expecting(naive)]
}

#[test]
fn an_order_without_a_place_for_nan_is_caught() {
    sound(&battery::<Least<0>>(least_cases));
    caught(&battery::<Least<1>>(least_cases), Check::Expected);
}

#[test]
fn a_window_beside_its_centre_is_caught() {
    caught(&battery::<Least<2>>(least_cases), Check::Expected);
}

/// How many steps along the last axis the nearest zero is away; 1000 where there is none.
///
/// Bug 1 looks three elements beyond its block and no further, bug 2 only towards the low side.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Far<const BUG: u8> {}

impl<const BUG: u8> Op for Far<BUG> {
    fn lower(&self, g: &mut Lowering, inputs: &[Port]) -> Result<Port, OpError> {
        let a = g.array(inputs, 0)?;
        Ok(Port::Array(g.map("far", self.clone(), &[a], &[])?))
    }
}

impl<const BUG: u8> Map for Far<BUG> {
    fn infer(&self, ports: &Ports) -> Result<ArrayMeta, OpError> {
        Ok(ports.meta(0).with_dtype(DType::UInt16))
    }

    fn needs(&self, ports: &Ports, out: &Region) -> Needs {
        let (mut region, last) = (out.clone(), out.rank() - 1);
        (region.lo[last], region.hi[last]) = match BUG {
            1 => (out.lo[last] - 3, out.hi[last] + 3),
            _ => (0, ports.meta(0).shape[last] as i64),
        };
        [Need::inside(0, region)].into_iter().collect()
    }

    fn apply(&self, call: &MapCall<'_>, out: &mut Block) -> Result<(), OpError> {
        let (src, last) = (call.blocks[0], out.region().rank() - 1);
        let (width, given) = (out.region().len(last) as usize, src.region().len(last) as usize);
        let offset = (out.region().lo[last] - src.region().lo[last]) as usize;
        for (row, line) in out.as_mut_slice::<u16>().chunks_mut(width).zip(src.as_slice::<u8>().chunks(given)) {
            for (i, d) in row.iter_mut().enumerate() {
                let seen = (0..given).filter(|&j| line[j] == 0 && (BUG != 2 || j <= i + offset));
                *d = seen.map(|j| j.abs_diff(i + offset) as u16).min().unwrap_or(1000);
            }
        }
        Ok(())
    }
}

fn far_cases() -> Vec<Case> {
    let naive = |_: &Json, inputs: &[Vec<Array>]| {
        let a = &inputs[0][0];
        let (data, n) = (a.to_f64(), a.meta.shape[1] as usize);
        let far = |i: usize| {
            let row = i / n * n;
            (row..row + n).filter(|&j| data[j] == 0.0).map(|j| j.abs_diff(i) as u16).min().unwrap_or(1000)
        };
        Expected::Bytes(vec![(0..data.len()).flat_map(|i| far(i).to_ne_bytes()).collect()])
    };
    vec![Case::new(json!({}), vec![Input::new("yx", DType::UInt8).content(Content::Mask(0.9))]).expecting(naive)]
}

#[test]
fn a_line_that_is_not_seen_whole_is_caught() {
    let mut whole = battery::<Far<0>>(far_cases);
    // Whether the end of a line matters depends on what lies nearer: a bound, as of `distance_transform`.
    whole.violations.retain(|v| v.check != Check::HaloMinimal);
    sound(&whole);
    caught(&battery::<Far<1>>(far_cases), Check::ChunkedEqualsWhole);
    caught(&battery::<Far<2>>(far_cases), Check::Expected);
}

/// A sum, subtracted from every element.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Centred<const BUG: u8> {}

/// Bug 1 adds floats in whatever order they come, bug 2 takes twice the scratch it declared, bug 3 merges by keeping
/// the larger.
#[derive(Debug)]
struct Total<const BUG: u8>;

impl<const BUG: u8> Op for Centred<BUG> {
    fn lower(&self, g: &mut Lowering, inputs: &[Port]) -> Result<Port, OpError> {
        let a = g.array(inputs, 0)?;
        let total = g.reduce("total", Total::<BUG>, &[a], &[], Scope::Item)?;
        Ok(Port::Array(g.map("centred", Minus, &[a], &[total])?))
    }
}

impl<const BUG: u8> Reduce for Total<BUG> {
    /// A float sum and an exact one, in units of 2^-60.
    type Partial = (f64, i128);

    fn start(&self, _: &Ports) -> (f64, i128) {
        (0.0, 0)
    }

    fn add(&self, call: &ReduceCall<'_>, partial: &mut (f64, i128)) -> Result<(), OpError> {
        let _scratch = call.pool.take_bytes(if BUG == 2 { 128 } else { 64 });
        for v in call.blocks[0].as_slice::<f64>() {
            partial.0 += v;
            partial.1 += (v * (1u64 << 60) as f64) as i128;
        }
        Ok(())
    }

    fn merge(&self, into: &mut (f64, i128), other: (f64, i128)) {
        into.0 += other.0;
        into.1 = if BUG == 3 { into.1.max(other.1) } else { into.1 + other.1 };
    }

    fn finish(&self, partial: (f64, i128), _: &FinishCall<'_>) -> Result<Value, OpError> {
        let exact = partial.1 as f64 / (1u64 << 60) as f64;
        Ok(Value::numbers(&[if BUG == 1 { partial.0 } else { exact }]))
    }
}

/// How many elements an array has, and the least of them.
///
/// Bug 1 begins with 0 as the least, bug 2 loses the number when a partial is written down, bug 3 counts a block that comes
/// first only.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Summary<const BUG: u8> {}

#[derive(Serialize, Deserialize)]
struct Seen {
    least: f64,
    count: u64,
    #[serde(skip)]
    lost: u64,
}

impl<const BUG: u8> Op for Summary<BUG> {
    fn lower(&self, g: &mut Lowering, inputs: &[Port]) -> Result<Port, OpError> {
        let a = g.array(inputs, 0)?;
        Ok(Port::Value(g.reduce("summary", self.clone(), &[a], &[], Scope::Item)?))
    }
}

impl<const BUG: u8> Reduce for Summary<BUG> {
    type Partial = Seen;

    fn start(&self, _: &Ports) -> Seen {
        Seen { least: if BUG == 1 { 0.0 } else { f64::INFINITY }, count: 0, lost: 0 }
    }

    fn add(&self, call: &ReduceCall<'_>, seen: &mut Seen) -> Result<(), OpError> {
        let data = call.blocks[0].as_slice::<f64>();
        seen.least = data.iter().copied().fold(seen.least, f64::min);
        match BUG {
            2 => seen.lost += data.len() as u64,
            3 if seen.count > 0 => {}
            _ => seen.count += data.len() as u64,
        }
        Ok(())
    }

    fn merge(&self, into: &mut Seen, other: Seen) {
        into.least = into.least.min(other.least);
        into.count += other.count;
        into.lost += other.lost;
    }

    fn finish(&self, seen: Seen, _: &FinishCall<'_>) -> Result<Value, OpError> {
        Ok(Value::numbers(&[(seen.count + seen.lost) as f64, seen.least]))
    }
}

fn summary_cases() -> Vec<Case> {
    let naive = |_: &Json, inputs: &[Vec<Array>]| {
        let v = inputs[0][0].to_f64();
        Expected::Numbers(vec![v.len() as f64, v.into_iter().fold(f64::INFINITY, f64::min)])
    };
    // Nothing below 5: a least that begins with 0 shows.
    let input = Input::new("yx", DType::Float64).content(Content::Constant(5.0));
    vec![Case::new(json!({}), vec![input]).expecting(naive)]
}

#[test]
fn a_least_that_begins_with_zero_is_caught() {
    sound(&battery::<Summary<0>>(summary_cases));
    caught(&battery::<Summary<1>>(summary_cases), Check::Expected);
}

#[test]
fn a_partial_that_loses_a_part_when_written_down_is_caught() {
    caught(&battery::<Summary<2>>(summary_cases), Check::ChunkedEqualsWhole);
}

#[test]
fn a_block_counted_only_when_it_comes_first_is_caught() {
    caught(&battery::<Summary<3>>(summary_cases), Check::ChunkedEqualsWhole);
}

#[derive(Debug)]
struct Minus;

impl Map for Minus {
    fn infer(&self, ports: &Ports) -> Result<ArrayMeta, OpError> {
        Ok(ports.meta(0).clone())
    }

    fn apply(&self, call: &MapCall<'_>, out: &mut Block) -> Result<(), OpError> {
        let total = call.values[0].as_numbers()?[0];
        for (d, s) in out.as_mut_slice::<f64>().iter_mut().zip(call.blocks[0].as_slice::<f64>()) {
            *d = s - total;
        }
        Ok(())
    }
}

fn total_cases() -> Vec<Case> {
    vec![Case::new(json!({}), vec![Input::new("yx", DType::Float64)])]
}

#[test]
fn a_merge_that_depends_on_its_order_is_caught() {
    sound(&battery::<Centred<0>>(total_cases));
    caught(&battery::<Centred<1>>(total_cases), Check::MergeOrder);
    caught(&battery::<Centred<3>>(total_cases), Check::MergeOrder);
}

#[test]
fn a_reduction_that_takes_more_than_it_declared_is_caught() {
    caught(&battery::<Centred<2>>(total_cases), Check::DeclaredBytes);
}

/// Parameters that take whatever they get, and lose some of it.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
struct Loose {
    #[serde(default, skip_serializing)]
    #[expect(dead_code, reason = "the mutant forgets it")]
    lost: u8,
}

impl Op for Loose {
    fn lower(&self, g: &mut Lowering, inputs: &[Port]) -> Result<Port, OpError> {
        let a = g.array(inputs, 0)?;
        Ok(Port::Array(g.map("loose", Minus, &[a], &[])?))
    }
}

#[test]
fn loose_parameters_are_caught() {
    let report = battery::<Loose>(|| vec![Case::new(json!({"lost": 3}), vec![Input::new("yx", DType::Float64)])]);
    caught(&report, Check::StrictParams);
    caught(&report, Check::RoundTrip);
    caught(&report, Check::Documented);
    // It consumes a reduction that is not there.
    caught(&report, Check::Runs);
}

#[test]
fn an_op_without_cases_is_caught() {
    caught(&battery::<Above<0>>(Vec::new), Check::HasCases);
}

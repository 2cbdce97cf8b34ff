//! `resize`: an array of another shape, its values interpolated.

use super::per_axis::PerAxis;
use super::taps::{Order, Taps};
use crate::elementwise::{Store, stored, widen};
use crate::filter::params::OutputDType;
use ops_core::contract::{Array, Case, Content, Expected, Input};
use ops_core::{
    ArrayMeta, Block, DType, InputKind, InputSpec, Lowering, Map, MapCall, Need, Op, OpError, Pool, Port, Ports,
    Region, block::for_rows, op::Needs, register_op, simd::vectorize,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// The largest extent of a result: more is a mistake.
const LARGEST: f64 = (1u64 << 40) as f64;

/// Resamples an array to another shape along some axes.
///
/// Element `i` of `m` lies at `(i + 0.5) * (n / m) - 0.5` among the `n` of the input (the centres of the first and last
/// elements are half an element inside the edges), and is found there by `order`. Beyond the edge stands the last element.
///
/// **Result.** Same axes. With `factor` an axis of extent `n` gets `round(n * factor)` elements, halves to even, at least
/// one; the scale is the ratio of the extents, so that the array is covered from edge to edge. Of the input's dtype
/// (rounded half to even and saturated once, at the end), or float64 with `dtype: float64`. 64-bit integers are read as
/// float64, but for `nearest`. Interpolated once for all axes together, in float64.
///
/// Making much smaller by `linear` or `cubic` skips elements, since they look at two or four neighbours only: use `area`,
/// or `gaussian` before.
///
/// **Boundary.** None: the last element stands beyond the edge. **Memory.** Two rows of scratch.
///
/// **Reference.** `skimage.transform.resize` with `order` 0 or 1, `mode="edge"`, `anti_aliasing=False`; `area` by whole
/// factors is the mean of `downsample`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["shape"]}, {"required": ["factor"]}]))]
pub struct Resize {
    /// New extents, by axis: `{y: 512, x: 512}`. An axis without one stays as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shape: Option<PerAxis<u64>>,
    /// New extents as multiples of the old: one number for all spatial axes, or by axis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    factor: Option<Factor>,
    /// How values between elements are found.
    #[serde(default)]
    order: Order,
    /// The dtype of the result.
    #[serde(default = "input")]
    dtype: OutputDType,
}

/// One factor, or one for each axis that is named.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
enum Factor {
    /// The same along every spatial axis.
    All(f64),
    /// Along the axes that are named.
    Each(PerAxis<f64>),
}

fn input() -> OutputDType {
    OutputDType::Input
}

impl Resize {
    /// The extents of the result.
    fn extents(&self, meta: &ArrayMeta) -> Result<Vec<u64>, OpError> {
        let factors: Vec<Option<f64>> = match (&self.shape, &self.factor) {
            (Some(shape), None) => {
                let each = shape.of("shape", meta)?.into_iter().zip(&meta.shape);
                return each.map(|(to, &n)| extent("shape", to.map_or(n as f64, |m| m as f64), n)).collect();
            }
            (None, Some(Factor::Each(each))) => each.of("factor", meta)?,
            (None, Some(Factor::All(f))) => meta.axes.iter().map(|a| a.is_spatial().then_some(*f)).collect(),
            (shape, _) => {
                let found = if shape.is_some() { "both" } else { "neither" };
                return Err(OpError::param("shape", "one of `shape` and `factor`", found));
            }
        };
        if let Some(bad) = factors.iter().flatten().find(|f| !(f.is_finite() && **f > 0.0)) {
            return Err(OpError::param("factor", "finite numbers above 0", bad));
        }
        let each = factors.into_iter().zip(&meta.shape);
        each.map(|(f, &n)| extent("factor", f.map_or(n as f64, |f| (n as f64 * f).round_ties_even().max(1.0)), n))
            .collect()
    }

    /// What each index of `out` along an axis is made from.
    fn taps(&self, meta: &ArrayMeta, out: &Region) -> Vec<Vec<Taps>> {
        // Inferring has refused what this could fail on.
        let to = self.extents(meta).unwrap_or_else(|_| meta.shape.to_vec());
        let along = |a: usize| {
            let taps = |i| self.order.taps(i, meta.shape[a] as i64, to[a] as i64);
            (out.lo[a]..out.hi[a]).map(taps).collect()
        };
        (0..out.rank()).map(along).collect()
    }
}

/// An extent of the result, for one of `n` elements.
fn extent(param: &str, to: f64, n: u64) -> Result<u64, OpError> {
    if n == 0 && to > 0.0 {
        return Ok(0);
    }
    if !(1.0..=LARGEST).contains(&to) {
        return Err(OpError::param(param, format!("extents from 1 to {LARGEST}"), to));
    }
    Ok(to as u64)
}

/// The part of the input that taps reach, along one axis.
fn reached(taps: &[Taps]) -> (i64, i64) {
    let lo = taps.iter().map(|t| t.first).min().unwrap_or(0);
    let hi = taps.iter().map(|t| t.first + t.weights.len() as i64).max().unwrap_or(lo);
    (lo, hi)
}

impl Op for Resize {
    fn lower(&self, g: &mut Lowering, inputs: &[Port]) -> Result<Port, OpError> {
        let a = g.array(inputs, 0)?;
        Ok(Port::Array(g.map("resize", self.clone(), &[a], &[])?))
    }
}

impl Map for Resize {
    fn infer(&self, ports: &Ports) -> Result<ArrayMeta, OpError> {
        let meta = ports.meta(0);
        let dtype = match self.dtype {
            OutputDType::Input if meta.dtype == DType::Bool && self.order != Order::Nearest => {
                let expected = "`nearest`, or `dtype: float64`, as the input is a mask";
                return Err(OpError::param("order", expected, format!("{:?}", self.order).to_lowercase()));
            }
            OutputDType::Input => meta.dtype,
            OutputDType::Float64 => DType::Float64,
        };
        Ok(ArrayMeta::new(&self.extents(meta)?, dtype, meta.axes.clone()))
    }

    fn needs(&self, ports: &Ports, out: &Region) -> Needs {
        let spans: Vec<(i64, i64)> = self.taps(ports.meta(0), out).iter().map(|t| reached(t)).collect();
        let region = Region { lo: spans.iter().map(|s| s.0).collect(), hi: spans.iter().map(|s| s.1).collect() };
        [Need::inside(0, region)].into_iter().collect()
    }

    fn apply(&self, call: &MapCall<'_>, out: &mut Block) -> Result<(), OpError> {
        let (src, taps) = (call.blocks[0], self.taps(call.ports.meta(0), out.region()));
        if self.order == Order::Nearest && out.dtype() == src.dtype() {
            picked(src, &taps, out);
        } else {
            interpolated(src, &taps, out, call.pool);
        }
        Ok(())
    }

    fn scratch_bytes(&self, ports: &Ports, out: &Region) -> u64 {
        let (lo, hi) = self.taps(ports.meta(0), out).last().map_or((0, 0), |t| reached(t));
        let row = Pool::rounded(8 * (hi - lo) as u64);
        2 * row + Pool::rounded(8 * out.rank().checked_sub(1).map_or(0, |a| out.len(a)) as u64)
    }

    fn nanos_per_element(&self) -> f32 {
        match self.order {
            Order::Nearest => 0.7,
            Order::Linear => 3.0,
            Order::Area | Order::Cubic => 8.0,
        }
    }
}

/// Each element of a block copied from another.
fn picked(src: &Block, taps: &[Vec<Taps>], out: &mut Block) {
    let (region, size, steps) = (out.region().clone(), src.dtype().size(), src.region().strides());
    let Some(last) = region.rank().checked_sub(1) else { return out.bytes_mut().copy_from_slice(src.bytes()) };
    let (lo, bytes) = (src.region().lo.clone(), src.bytes());
    let along = |a: usize, at: i64| (taps[a][(at - region.lo[a]) as usize].first - lo[a]) as usize * steps[a];
    let columns: Vec<usize> = (region.lo[last]..region.hi[last]).map(|i| along(last, i) * size).collect();
    let mut rows = out.bytes_mut().chunks_exact_mut((columns.len() * size).max(1));
    for_rows(&region, |at| {
        let Some(row) = rows.next() else { return };
        let line = &bytes[(0..last).map(|a| along(a, at[a])).sum::<usize>() * size..];
        match size {
            1 => row.iter_mut().zip(&columns).for_each(|(d, c)| *d = line[*c]),
            2 => take::<2>(row, &columns, line),
            4 => take::<4>(row, &columns, line),
            _ => take::<8>(row, &columns, line),
        }
    });
}

fn take<const N: usize>(row: &mut [u8], columns: &[usize], line: &[u8]) {
    for (d, c) in row.as_chunks_mut::<N>().0.iter_mut().zip(columns) {
        d.copy_from_slice(&line[*c..c + N]);
    }
}

/// Each row of a block: the rows it is made from are weighed and added, then along the row.
fn interpolated(src: &Block, taps: &[Vec<Taps>], out: &mut Block, pool: &Pool) {
    let (region, steps, lo) = (out.region().clone(), src.region().strides(), src.region().lo.clone());
    let Some(last) = region.rank().checked_sub(1) else { return };
    let (width, given) = (region.len(last) as usize, src.region().len(last) as usize);
    let (mut sum, mut wide) = (pool.take::<f64>(given), pool.take::<f64>(given));
    let mut made = pool.take::<f64>(width);
    let mut to = 0;
    let mut rows: Vec<(usize, f64)> = Vec::new();
    for_rows(&region, |at| {
        rows.clear();
        rows.push((0, 1.0));
        for a in 0..last {
            let t = &taps[a][(at[a] - region.lo[a]) as usize];
            let (start, step) = ((t.first - lo[a]) as usize, steps[a]);
            let each = |(from, w): (usize, f64)| {
                t.weights.iter().enumerate().map(move |(k, v)| (from + (start + k) * step, w * v))
            };
            rows = rows.drain(..).flat_map(each).filter(|(_, w)| *w != 0.0).collect();
        }
        for (i, &(from, weight)) in rows.iter().enumerate() {
            widen(src, from, &mut wide);
            vectorize(
                #[inline(always)]
                || match i {
                    0 => sum.iter_mut().zip(&wide[..]).for_each(|(s, v)| *s = weight * v),
                    _ => sum.iter_mut().zip(&wide[..]).for_each(|(s, v)| *s += weight * v),
                },
            );
        }
        for (d, t) in made.iter_mut().zip(&taps[last]) {
            let from = &sum[(t.first - lo[last]) as usize..];
            let weighed = t.weights.iter().zip(from).filter(|(w, _)| **w != 0.0).map(|(w, v)| w * v);
            *d = weighed.reduce(|s, v| s + v).unwrap_or(0.0);
        }
        stored(&made, out, to, Store::Nearest);
        to += width;
    });
}

register_op!(Resize {
    name: "resize",
    domain: "geometry",
    inputs: &[InputSpec { name: "input", kind: InputKind::Array, doc: "An array that has the axes to resample." }],
    makes_table: false,
    example: "small: {op: resize, input: image, with: {shape: {y: 512, x: 512}, order: area}}",
    cases: cases,
});

fn cases() -> Vec<Case> {
    let case = |with: Json, axes, dtype, content| {
        Case::new(with, vec![Input::new(axes, dtype).content(content)]).expecting(reference)
    };
    let (noise, mask) = (Content::Noise, Content::Mask(0.5));
    let every = |order: &str| json!({"shape": {"y": 16, "x": 31}, "order": order, "dtype": "float64"});
    vec![
        case(json!({"factor": 2}), "yx", DType::UInt8, noise),
        case(every("nearest"), "yx", DType::UInt16, noise),
        case(every("linear"), "yx", DType::Float64, noise),
        case(every("area"), "yxc", DType::Float32, noise),
        case(every("cubic"), "cyx", DType::Int16, noise),
        case(json!({"factor": 0.4, "order": "area"}), "yx", DType::Float64, noise),
        case(json!({"factor": {"z": 1.7, "x": 0.6}, "order": "linear"}), "zyx", DType::Float32, noise),
        case(json!({"factor": {"z": 0.5, "y": 2}, "order": "cubic"}), "tzyx", DType::UInt8, noise),
        case(json!({"factor": {"c": 2, "t": 3}, "order": "nearest"}), "tcyx", DType::Int64, noise),
        case(json!({"factor": 1.5, "order": "nearest"}), "yx", DType::Bool, mask),
        case(json!({"factor": 3, "order": "linear"}), "yx", DType::Float64, Content::Special),
        case(json!({"factor": 1.5}), "yx", DType::Bool, mask),
        case(json!({"factor": 0}), "yx", DType::UInt8, noise),
        case(json!({"shape": {"z": 3}}), "yx", DType::UInt8, noise),
        case(json!({}), "yx", DType::UInt8, noise),
        case(json!({"factor": 2, "shape": {"y": 3}}), "yx", DType::UInt8, noise),
    ]
}

/// The weight of every element along an axis for every element of the result: a matrix, applied axis by axis.
fn reference(with: &Json, inputs: &[Vec<Array>]) -> Expected {
    let a = &inputs[0][0];
    let (letters, order) = (a.meta.axes.to_string(), with["order"].as_str().unwrap_or("linear"));
    let known = |m: &Json| m.as_object().is_none_or(|m| m.keys().all(|k| letters.contains(k)));
    let (shape, factor) = (&with["shape"], &with["factor"]);
    let float = with["dtype"] == "float64";
    let mask = a.meta.dtype == DType::Bool && !float && order != "nearest";
    if shape.is_null() == factor.is_null() || !known(shape) || !known(factor) || factor == 0 || mask {
        return Expected::Refused;
    }
    let mut v = a.to_f64();
    let mut extents: Vec<usize> = a.meta.shape.iter().map(|n| *n as usize).collect();
    for (axis, c) in letters.chars().enumerate() {
        let n = extents[axis];
        let scaled = |f: f64| (n as f64 * f).round_ties_even().max(1.0) as usize;
        let given = |m: &Json| m[c.to_string()].as_f64();
        let all = factor.as_f64().filter(|_| "zyx".contains(c)).map(scaled);
        let m = given(shape).map(|m| m as usize).or(given(factor).map(scaled)).or(all).unwrap_or(n);
        let m = if n == 0 { 0 } else { m };
        let matrix: Vec<Vec<f64>> = (0..m).map(|i| weights(order, i, n, m)).collect();
        let inner: usize = extents[axis + 1..].iter().product();
        let outer: usize = extents[..axis].iter().product();
        let at = |o: usize, i: usize, k: usize| -> f64 {
            let weighed = matrix[i].iter().enumerate().filter(|(_, w)| **w != 0.0);
            weighed.map(|(j, w)| w * v[(o * n + j) * inner + k]).sum()
        };
        let places = (0..outer).flat_map(|o| (0..m).flat_map(move |i| (0..inner).map(move |k| (o, i, k))));
        v = places.map(|(o, i, k)| at(o, i, k)).collect();
        extents[axis] = m;
    }
    let (lo, hi) = a.meta.dtype.limits();
    let round = |x: f64| match a.meta.dtype {
        _ if float => x,
        DType::Float64 => x,
        DType::Float32 => f64::from(x as f32),
        _ => x.round_ties_even().clamp(lo, hi),
    };
    let tolerance = if a.meta.dtype == DType::Float32 && !float { 1e-6 } else { 1e-9 };
    Expected::Close(vec![v.into_iter().map(round).collect()], tolerance)
}

/// The weight of each of `n` elements for element `i` of `m`.
fn weights(order: &str, i: usize, n: usize, m: usize) -> Vec<f64> {
    let mut out = vec![0.0; n];
    let (scale, last) = (n as f64 / m as f64, n as f64 - 1.0);
    let centre = (i as f64 + 0.5) * scale - 0.5;
    if n == m {
        out[i] = 1.0;
    } else if order == "area" {
        for (k, w) in out.iter_mut().enumerate() {
            let overlap = ((i + 1) as f64 * scale).min((k + 1) as f64) - (i as f64 * scale).max(k as f64);
            *w = overlap.max(0.0) / scale;
        }
    } else if order == "nearest" {
        out[((2 * i + 1) * n / (2 * m)).min(n - 1)] = 1.0;
    } else {
        for k in -3..n as i64 + 3 {
            let d = (k as f64 - centre).abs();
            let w = match order {
                "linear" => (1.0 - d).max(0.0),
                _ if d <= 1.0 => 1.5 * d.powi(3) - 2.5 * d.powi(2) + 1.0,
                _ if d < 2.0 => -0.5 * d.powi(3) + 2.5 * d.powi(2) - 4.0 * d + 2.0,
                _ => 0.0,
            };
            out[(k as f64).clamp(0.0, last) as usize] += w;
        }
    }
    out
}

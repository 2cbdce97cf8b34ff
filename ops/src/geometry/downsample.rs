//! `downsample`: an array of fewer elements, each made from a window of the input.

use super::folds::{Greatest, Least, Mean, MeanOfFew, MeanOfMany, folded};
use super::modes;
use super::per_axis::PerAxis;
use super::windows::Windows;
use crate::filter::key::Keyed;
use ops_core::contract::{Array, Case, Content, Expected, Input};
use ops_core::{
    ArrayMeta, Block, DType, Element, Index, InputKind, InputSpec, Lowering, Map, MapCall, Need, Op, OpError, Port,
    Ports, Region, op::Needs, register_op, with_dtype,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// The largest factor along one axis: more is a mistake, and a block would be read that fits no memory.
const LARGEST: u64 = 1 << 16;

/// Makes an array smaller by a whole factor along each axis: what a level of an image pyramid is to the one before it.
///
/// Each element of the result is made from a window of as many elements as `factor` says, the windows side by side from
/// the origin:
///
/// - `mean`: their mean. Of integers and masks: an exact sum, divided and rounded half to even once. Of floats: summed in
///   float64, each row of the window from left to right and then the rows.
/// - `nearest`: the first of them.
/// - `mode`: the one that occurs most often, of several the smallest: for labels.
/// - `max`, `min`: the greatest, the least. Negative zero sorts before zero, NaN after everything.
///
/// **Result.** Same dtype and axes; along an axis of extent `n` with the factor `f` it has `ceil(n / f)` elements. A window
/// at the far edge that is not whole counts only the elements inside the array.
///
/// **Boundary.** None. **Memory.** 16 KiB of stack beyond input and output; for `mode` of windows of more than 64 elements
/// a copy of one window. `nearest` reads nothing between the last elements it takes.
///
/// **Reference.** `skimage.measure.block_reduce` with `numpy.mean`, `max` or `min`, but for its padding of the edge;
/// `a[::f]` of numpy; `scipy.stats.mode` of each window.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Downsample {
    /// Elements of the input for one of the result: one number for all spatial axes, or a number for each axis that is
    /// named, such as `{y: 2, x: 2}`. An axis without one stays as it is.
    factor: Factor,
    /// What an element of the result is made from.
    #[serde(default)]
    method: Method,
}

/// One factor, or one for each axis that is named.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
enum Factor {
    /// The same along every spatial axis.
    All(#[schemars(range(min = 1))] u64),
    /// Along the axes that are named.
    Each(PerAxis<u64>),
}

/// What an element of the result is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Method {
    /// The mean of the window.
    #[default]
    Mean,
    /// The first element of the window.
    Nearest,
    /// The most frequent element, of several the smallest.
    Mode,
    /// The greatest element.
    Max,
    /// The least element.
    Min,
}

impl Downsample {
    /// The factor along each axis.
    fn factors(&self, meta: &ArrayMeta) -> Result<Vec<i64>, OpError> {
        let each = match &self.factor {
            Factor::Each(each) => each.of("factor", meta)?.into_iter().map(|f| f.unwrap_or(1)).collect(),
            Factor::All(_) if meta.axes.spatial().is_empty() => {
                let help = "name the axes, as in `factor: {t: 2}`";
                return Err(OpError::input(0, "an array with a spatial axis (z, y, x)", meta, help));
            }
            Factor::All(n) => meta.axes.iter().map(|a| if a.is_spatial() { *n } else { 1 }).collect::<Vec<u64>>(),
        };
        if let Some(bad) = each.iter().find(|&&n| n == 0 || n > LARGEST) {
            return Err(OpError::param("factor", format!("whole numbers from 1 to {LARGEST}"), bad));
        }
        Ok(each.into_iter().map(|n| n as i64).collect())
    }

    /// What the region `out` is made from.
    fn windows(&self, meta: &ArrayMeta, out: &Region) -> Windows {
        // Inferring has refused what this could fail on.
        let factors = self.factors(meta).unwrap_or_else(|_| vec![1; meta.rank()]);
        let first: Index = out.lo.iter().zip(&factors).map(|(l, f)| l * f).collect();
        let taken = |f: i64| if self.method == Method::Nearest { 1 } else { f };
        let end = out.hi.iter().zip(&factors).map(|(h, &f)| (h - 1) * f + taken(f)).collect::<Index>();
        Windows::new(Region::new(first, end).intersect(&meta.region()), out, &factors)
    }
}

impl Op for Downsample {
    fn lower(&self, g: &mut Lowering, inputs: &[Port]) -> Result<Port, OpError> {
        let a = g.array(inputs, 0)?;
        Ok(Port::Array(g.map("downsample", self.clone(), &[a], &[])?))
    }
}

impl Map for Downsample {
    fn infer(&self, ports: &Ports) -> Result<ArrayMeta, OpError> {
        let meta = ports.meta(0);
        let shape: Vec<u64> = meta.shape.iter().zip(self.factors(meta)?).map(|(n, f)| n.div_ceil(f as u64)).collect();
        Ok(ArrayMeta::new(&shape, meta.dtype, meta.axes.clone()))
    }

    fn needs(&self, ports: &Ports, out: &Region) -> Needs {
        [Need::inside(0, self.windows(ports.meta(0), out).source)].into_iter().collect()
    }

    fn apply(&self, call: &MapCall<'_>, out: &mut Block) -> Result<(), OpError> {
        let (src, meta) = (call.blocks[0], call.ports.meta(0));
        let windows = self.windows(meta, out.region());
        with_dtype!(meta.dtype, T => {
            let (src, dst) = (src.as_slice::<T>(), out.as_mut_slice::<T>());
            match self.method {
                Method::Mean => means(&windows, src, dst),
                Method::Max => folded::<T, Greatest>(&windows, src, dst),
                Method::Min => folded::<T, Least>(&windows, src, dst),
                Method::Nearest => windows.firsts(src, dst),
                Method::Mode => modes::apply(&windows, src, dst, call.pool),
            }
        });
        Ok(())
    }

    fn scratch_bytes(&self, ports: &Ports, out: &Region) -> u64 {
        let meta = ports.meta(0);
        if self.method == Method::Mode { modes::scratch_bytes(&self.windows(meta, out), meta.dtype.size()) } else { 0 }
    }

    fn nanos_per_element(&self) -> f32 {
        let window = match &self.factor {
            Factor::All(n) => (n * n) as f32,
            Factor::Each(_) => 4.0,
        };
        match self.method {
            Method::Nearest => 0.5,
            Method::Mode => 2.0 * window,
            _ => 0.2 + 0.1 * window,
        }
    }
}

/// The mean of each window. Sums of integers are exact whichever is made.
fn means<T: Keyed>(windows: &Windows, src: &[T], dst: &mut [T]) {
    let largest = windows.largest();
    if const { T::DTYPE.is_float() } {
        folded::<T, Mean>(windows, src, dst);
    } else if const { size_of::<T>() <= 2 } && largest <= 1 << 15 {
        folded::<T, MeanOfFew>(windows, src, dst);
    } else if const { size_of::<T>() == 4 } && largest <= 1 << 20 {
        folded::<T, Mean>(windows, src, dst);
    } else {
        folded::<T, MeanOfMany>(windows, src, dst);
    }
}

register_op!(Downsample {
    name: "downsample",
    domain: "geometry",
    inputs: &[InputSpec { name: "input", kind: InputKind::Array, doc: "An array that has the axes to shorten." }],
    makes_table: false,
    example: "half: {op: downsample, input: image, with: {factor: {y: 2, x: 2}, method: mean}}",
    cases: cases,
});

fn cases() -> Vec<Case> {
    let case = |factor: Json, method: &str, axes, dtype, content| {
        let with = json!({"factor": factor, "method": method});
        Case::new(with, vec![Input::new(axes, dtype).content(content)]).expecting(reference)
    };
    let (noise, special, labels) = (Content::Noise, Content::Special, Content::Labels(3));
    vec![
        case(json!(2), "mean", "yx", DType::UInt8, noise),
        case(json!(2), "mean", "yxc", DType::UInt8, noise),
        case(json!({"y": 2, "x": 4}), "mean", "yx", DType::UInt16, noise),
        case(json!({"y": 3, "x": 5}), "mean", "cyx", DType::Int16, noise),
        case(json!({"t": 2, "y": 3}), "mean", "tcyx", DType::Int8, noise),
        case(json!(2), "mean", "zyx", DType::UInt32, noise),
        case(json!(3), "mean", "yx", DType::Int32, noise),
        case(json!({"z": 7, "x": 3}), "mean", "zyx", DType::UInt64, noise),
        case(json!(2), "mean", "yx", DType::Int64, noise),
        case(json!({"y": 65_536, "x": 65_536}), "mean", "yx", DType::UInt16, noise),
        case(json!(4), "mean", "yx", DType::Float32, special),
        case(json!({"z": 2, "y": 2, "x": 3}), "mean", "tzyx", DType::Float64, noise),
        case(json!(2), "mean", "yx", DType::Bool, Content::Mask(0.5)),
        case(json!({"y": 2, "x": 3}), "nearest", "yxc", DType::Float32, special),
        case(json!(4), "nearest", "zyx", DType::UInt16, noise),
        case(json!(2), "mode", "yx", DType::UInt8, labels),
        case(json!({"z": 2, "y": 2, "x": 2}), "mode", "zyx", DType::UInt32, labels),
        case(json!({"y": 9, "x": 11}), "mode", "yxc", DType::Int64, labels),
        case(json!({"y": 3, "x": 2}), "mode", "yx", DType::Float64, special),
        case(json!(3), "mode", "yx", DType::Bool, Content::Mask(0.5)),
        case(json!(2), "max", "yx", DType::Float32, special),
        case(json!({"c": 3, "x": 2}), "max", "tcyx", DType::Int16, noise),
        case(json!({"z": 2}), "max", "zyx", DType::UInt8, noise),
        case(json!({"y": 5, "x": 4}), "min", "yxc", DType::UInt16, noise),
        case(json!(2), "min", "zyx", DType::Float64, special),
        case(json!(1), "mean", "yx", DType::Float64, noise),
        case(json!(0), "mean", "yx", DType::UInt8, noise),
        case(json!(100_000), "mean", "yx", DType::UInt8, noise),
        case(json!({"z": 2}), "mean", "yx", DType::UInt8, noise),
        case(json!({}), "mean", "yx", DType::UInt8, noise),
        case(json!(2), "mean", "tc", DType::UInt8, noise),
    ]
}

/// Gathers the window of each element by its coordinates.
fn reference(with: &Json, inputs: &[Vec<Array>]) -> Expected {
    let a = &inputs[0][0];
    let letters: Vec<String> = a.meta.axes.iter().map(|a| a.name().to_string()).collect();
    let given = with["factor"].as_object();
    let known = given.is_none_or(|m| !m.is_empty() && m.keys().all(|k| letters.contains(k)));
    let factor = |letter: &String| match with["factor"].as_u64() {
        Some(n) if "zyx".contains(letter.as_str()) => n,
        Some(_) => 1,
        None => with["factor"][letter].as_u64().unwrap_or(1),
    };
    let factors: Vec<u64> = letters.iter().map(factor).collect();
    let spatial = letters.iter().any(|l| "zyx".contains(l.as_str()));
    if !known || (given.is_none() && !spatial) || factors.iter().any(|f| *f == 0 || *f > LARGEST) {
        return Expected::Refused;
    }
    let (extents, steps): (Vec<usize>, _) =
        (a.meta.shape.iter().map(|n| *n as usize).collect(), a.meta.region().strides());
    let shape: Vec<usize> = extents.iter().zip(&factors).map(|(n, f)| n.div_ceil(*f as usize)).collect();
    let window = |i: usize| -> Vec<usize> {
        let (mut rest, mut found) = (i, vec![0]);
        let mut at = vec![0; shape.len()];
        for axis in (0..shape.len()).rev() {
            at[axis] = rest % shape[axis];
            rest /= shape[axis];
        }
        for axis in 0..shape.len() {
            let first = at[axis] * factors[axis] as usize;
            let last = (first + factors[axis] as usize).min(extents[axis]);
            found = found.iter().flat_map(|o| (first..last).map(|k| o + k * steps[axis]).collect::<Vec<_>>()).collect();
        }
        found
    };
    let count = if extents.contains(&0) { 0 } else { shape.iter().product() };
    let method = with["method"].as_str().unwrap_or_default();
    if method == "mean" && a.meta.dtype.is_float() {
        let v = a.to_f64();
        let mean = |i| window(i).iter().map(|o| v[*o]).sum::<f64>() / window(i).len() as f64;
        let tolerance = if a.meta.dtype == DType::Float32 { 1e-6 } else { 1e-12 };
        return Expected::Close(vec![(0..count).map(mean).collect()], tolerance);
    }
    Expected::Bytes(vec![with_dtype!(a.meta.dtype, T => {
        let v = a.block.as_slice::<T>();
        let of = |i: usize| -> T {
            let mut w: Vec<T> = window(i).into_iter().map(|o| v[o]).collect();
            let first = w[0];
            w.sort_by_key(|v| v.order_key());
            match method {
                "nearest" => first,
                "max" => w[w.len() - 1],
                "min" => w[0],
                "mode" => {
                    let times = |v: &T| w.iter().filter(|o| o.order_key() == v.order_key()).count();
                    let most = w.iter().map(times).max().unwrap_or(0);
                    w.iter().copied().find(|v| times(v) == most).unwrap_or(first)
                }
                _ => {
                    // Keys are the values moved by a constant: an even one, so that halves round alike.
                    let (sum, n) = (w.iter().map(|v| u128::from(v.order_key())).sum::<u128>(), w.len() as u128);
                    let (whole, rest) = (sum / n, sum % n);
                    T::from_order_key((whole + u128::from(2 * rest > n || (2 * rest == n && whole % 2 == 1))) as u64)
                }
            }
        };
        let v: Vec<T> = (0..count).map(of).collect();
        bytemuck::cast_slice(&v).to_vec()
    })])
}

//! `project`: one axis of an array folded away.

use super::axis_names::AxisName;
use super::folds::{Greatest, Least, folded};
use super::totals::{Average, Total, TotalOfFloats, TotalOfMany};
use super::windows::Windows;
use crate::filter::key::Keyed;
use crate::measure::accumulate::integer;
use ops_core::contract::{Array, Case, Content, Expected, Input};
use ops_core::{
    ArrayMeta, Block, DType, Element, InputKind, InputSpec, Lowering, Map, MapCall, Need, Op, OpError, Pool, Port,
    Ports, Region, op::Needs, register_op, with_dtype,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// Folds all elements along one axis to one: the brightest of the slices of a volume, the mean of the frames of a film.
///
/// - `max`, `min`: the greatest, the least. Negative zero sorts before zero, NaN after everything.
/// - `sum`: of integers and masks exact, `uint64` or (of signed ones) `int64`; one that does not fit is an error. Of
///   floats in float64, from the first element to the last.
/// - `mean`: that sum, rounded to float64 and divided by the number of elements; float64.
///
/// **Result.** The axes of the input without `axis`; the dtype of the input for `max` and `min`. An axis without elements
/// has nothing to fold and is refused.
///
/// **Boundary.** None. **Memory.** A block reads all elements along the axis: a projection of deep volumes works in blocks
/// that are small along the other axes. 16 KiB of stack; for sums of 64-bit integers 16 bytes an element of the result.
///
/// **Reference.** `numpy.max`, `min`, `sum` and `mean` with `axis`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Project {
    /// The axis that goes.
    axis: AxisName,
    /// What is made of the elements along it.
    method: Method,
}

/// What is made of the elements along an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Method {
    /// The greatest element.
    Max,
    /// The least element.
    Min,
    /// The mean of the elements.
    Mean,
    /// The sum of the elements.
    Sum,
}

/// True for integers whose sums 64 bits need not hold.
fn wide(dtype: DType) -> bool {
    dtype.is_integer() && dtype.size() == 8
}

impl Project {
    /// The dtype of the result.
    fn dtype(&self, input: DType) -> DType {
        let signed = matches!(input, DType::Int8 | DType::Int16 | DType::Int32 | DType::Int64);
        match self.method {
            Method::Max | Method::Min => input,
            Method::Sum if signed => DType::Int64,
            Method::Sum if !input.is_float() => DType::UInt64,
            Method::Mean | Method::Sum => DType::Float64,
        }
    }

    /// The region of the input that `out` is made from, and `out` with the axis still in it, of one element.
    fn regions(&self, meta: &ArrayMeta, out: &Region) -> (Region, Region, usize) {
        // Inferring has refused what this could fail on.
        let a = self.axis.position("axis", meta).unwrap_or(0);
        let (mut source, mut kept) = (out.clone(), out.clone());
        for (region, n) in [(&mut source, meta.shape[a] as i64), (&mut kept, 1)] {
            region.lo.insert(a, 0);
            region.hi.insert(a, n);
        }
        (source, kept, a)
    }
}

impl Op for Project {
    fn lower(&self, g: &mut Lowering, inputs: &[Port]) -> Result<Port, OpError> {
        let a = g.array(inputs, 0)?;
        Ok(Port::Array(g.map("project", self.clone(), &[a], &[])?))
    }
}

impl Map for Project {
    fn infer(&self, ports: &Ports) -> Result<ArrayMeta, OpError> {
        let meta = ports.meta(0);
        let a = self.axis.position("axis", meta)?;
        if meta.rank() == 1 {
            let help = "measure it with `statistics`: that gives a table";
            return Err(OpError::input(0, "an array of at least two axes", meta, help));
        }
        if meta.shape[a] == 0 {
            let expected = format!("elements along `{}`", self.axis.axis().name());
            return Err(OpError::input(0, expected, meta, "project along an axis that is not empty"));
        }
        let mut shape = meta.shape.clone();
        shape.remove(a);
        Ok(ArrayMeta::new(&shape, self.dtype(meta.dtype), meta.axes.without(self.axis.axis())))
    }

    fn needs(&self, ports: &Ports, out: &Region) -> Needs {
        [Need::inside(0, self.regions(ports.meta(0), out).0)].into_iter().collect()
    }

    fn apply(&self, call: &MapCall<'_>, out: &mut Block) -> Result<(), OpError> {
        let (src, meta) = (call.blocks[0], call.ports.meta(0));
        let (source, kept, a) = self.regions(meta, out.region());
        let factors: Vec<i64> = (0..meta.rank()).map(|i| if i == a { meta.shape[a] as i64 } else { 1 }).collect();
        let windows = Windows::new(source, &kept, &factors);
        with_dtype!(meta.dtype, T => {
            let v = src.as_slice::<T>();
            match self.method {
                Method::Max => folded::<T, Greatest>(&windows, v, out.as_mut_slice()),
                Method::Min => folded::<T, Least>(&windows, v, out.as_mut_slice()),
                Method::Mean => means(&windows, v, out.as_mut_slice()),
                Method::Sum if wide(meta.dtype) => {
                    let mut sums = call.pool.take::<i128>(out.region().volume() as usize);
                    folded::<T, TotalOfMany>(&windows, v, &mut sums);
                    return narrowed(&sums, out);
                }
                Method::Sum => sums(&windows, v, out.bytes_mut()),
            }
        });
        Ok(())
    }

    fn scratch_bytes(&self, ports: &Ports, out: &Region) -> u64 {
        let needed = self.method == Method::Sum && wide(ports.meta(0).dtype);
        if needed { Pool::rounded(16 * out.volume()) } else { 0 }
    }

    fn nanos_per_element(&self) -> f32 {
        4.0
    }
}

/// The mean of each window.
fn means<T: Keyed>(windows: &Windows, src: &[T], dst: &mut [f64]) {
    if const { T::DTYPE.is_float() } {
        folded::<T, Average<TotalOfFloats>>(windows, src, dst);
    } else if const { size_of::<T>() == 8 } {
        folded::<T, Average<TotalOfMany>>(windows, src, dst);
    } else {
        folded::<T, Average<Total>>(windows, src, dst);
    }
}

/// The sum of each window of elements that are no 64-bit integers, as the bytes of its 64 bits: those of an `int64` that
/// is not negative are those of a `uint64`.
fn sums<T: Keyed>(windows: &Windows, src: &[T], dst: &mut [u8]) {
    if const { T::DTYPE.is_float() } {
        folded::<T, TotalOfFloats>(windows, src, bytemuck::cast_slice_mut(dst));
    } else {
        folded::<T, Total>(windows, src, bytemuck::cast_slice_mut(dst));
    }
}

/// Sums as 64-bit integers.
fn narrowed(sums: &[i128], out: &mut Block) -> Result<(), OpError> {
    let dtype = out.dtype();
    let overflow = || {
        let message = format!("project: expected sums that fit {dtype}, found one that does not");
        OpError::Data(format!("{message}; cast to float64 first, or take the mean"))
    };
    match dtype {
        DType::Int64 => out.as_mut_slice::<i64>().iter_mut().zip(sums).try_for_each(|(d, s)| {
            *d = i64::try_from(*s).map_err(|_| overflow())?;
            Ok(())
        }),
        _ => out.as_mut_slice::<u64>().iter_mut().zip(sums).try_for_each(|(d, s)| {
            *d = u64::try_from(*s).map_err(|_| overflow())?;
            Ok(())
        }),
    }
}

register_op!(Project {
    name: "project",
    domain: "geometry",
    inputs: &[InputSpec { name: "input", kind: InputKind::Array, doc: "An array that has the axis, and another." }],
    makes_table: false,
    example: "brightest: {op: project, input: volume, with: {axis: z, method: max}}",
    cases: cases,
});

fn cases() -> Vec<Case> {
    let case = |axis: &str, method: &str, axes, dtype, content| {
        let with = json!({"axis": axis, "method": method});
        Case::new(with, vec![Input::new(axes, dtype).content(content)]).expecting(reference)
    };
    let (noise, special) = (Content::Noise, Content::Special);
    vec![
        case("z", "max", "zyx", DType::UInt8, noise),
        case("t", "max", "tcyx", DType::Float32, special),
        case("x", "min", "zyx", DType::Int16, noise),
        case("c", "min", "yxc", DType::Float64, special),
        case("z", "mean", "zyx", DType::UInt16, noise),
        case("y", "mean", "yx", DType::Float32, noise),
        case("y", "mean", "yxc", DType::Int64, noise),
        case("z", "sum", "zyx", DType::UInt8, noise),
        case("x", "sum", "yx", DType::Int32, noise),
        case("c", "sum", "tcyx", DType::Bool, Content::Mask(0.5)),
        case("y", "sum", "zyx", DType::Float64, noise),
        case("y", "sum", "yx", DType::Int64, Content::Labels(900)),
        case("t", "sum", "tyx", DType::UInt64, Content::Labels(u64::MAX >> 12)),
        // Sums of full 64 bits do not fit.
        case("y", "sum", "yx", DType::UInt64, noise).expecting(|_, inputs| match inputs[0][0].meta.shape[..] {
            [0 | 1, _] | [_, 0] => reference(&json!({"axis": "y", "method": "sum"}), inputs),
            _ => Expected::Refused,
        }),
        case("z", "max", "yx", DType::UInt8, noise),
        case("x", "max", "x", DType::UInt8, noise),
    ]
}

/// Gathers the elements along the axis one by one.
fn reference(with: &Json, inputs: &[Vec<Array>]) -> Expected {
    let a = &inputs[0][0];
    let (axis, method) = (with["axis"].as_str().unwrap_or_default(), with["method"].as_str().unwrap_or_default());
    let Some(at) = a.meta.axes.to_string().find(axis) else { return Expected::Refused };
    let (n, steps) = (a.meta.shape[at] as usize, a.meta.region().strides());
    if n == 0 || a.meta.rank() == 1 {
        return Expected::Refused;
    }
    let columns: Vec<Vec<usize>> = (0..a.meta.volume() as usize)
        .filter(|i| i / steps[at] % n == 0)
        .map(|i| (0..n).map(|k| i + k * steps[at]).collect())
        .collect();
    let bytes: Vec<u8> = with_dtype!(a.meta.dtype, T => {
        let v = a.block.as_slice::<T>();
        let column = |c: &Vec<usize>| -> Vec<u8> {
            let mut sorted: Vec<T> = c.iter().map(|i| v[*i]).collect();
            let float = a.meta.dtype.is_float();
            let total: f64 = sorted.iter().fold(0.0, |s, v| s + v.to_f64());
            let exact: i128 = if float { 0 } else { sorted.iter().map(|v| integer(*v)).sum() };
            sorted.sort_by_key(|v| v.order_key());
            match method {
                "max" => bytemuck::bytes_of(&sorted[n - 1]).to_vec(),
                "min" => bytemuck::bytes_of(&sorted[0]).to_vec(),
                "mean" => ((if float { total } else { exact as f64 }) / n as f64).to_ne_bytes().to_vec(),
                _ if float => total.to_ne_bytes().to_vec(),
                _ => (exact as i64).to_ne_bytes().to_vec(),
            }
        };
        columns.iter().flat_map(column).collect()
    });
    Expected::Bytes(vec![bytes])
}

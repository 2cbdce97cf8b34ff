//! `cast`: another dtype.

use crate::elementwise::{Store, rounded, widened, wrapped};
use ops_core::contract::{Array, Case, Content, Expected, Input};
use ops_core::simd::vectorize;
use ops_core::{
    ArrayMeta, Block, DType, Element, InputKind, InputSpec, Lowering, Map, MapCall, Op, OpError, Port, Ports,
    register_op, with_dtype,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// Stores every element in another dtype.
///
/// **Result.** Same shape and axes, the given dtype. To a float dtype: the nearest value. To an integer dtype: as
/// `rounding` says. To `bool`: false for 0, true for everything else. From `bool`: 0 and 1. An integer becomes
/// another integer without passing through a float, so no bit of a 64-bit integer is lost.
///
/// **Boundary.** None: element by element. **Memory.** None beyond input and output.
///
/// **Reference.** `wrap` is `numpy.ndarray.astype` for values within the range of int64, and what image libraries do
/// that store large label numbers in 8 bits.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cast {
    /// The dtype of the result.
    dtype: DType,
    /// What happens to a value that an integer dtype does not have.
    #[serde(default)]
    rounding: Rounding,
}

/// What happens to a value that an integer dtype does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Rounding {
    /// The nearest one: halves go to the even neighbour, values beyond the range to its end, NaN to 0.
    #[default]
    Nearest,
    /// Cut towards zero; values beyond the range become its end, NaN becomes 0.
    Truncate,
    /// Cut towards zero, then modulo the range: 256 becomes 0 in `uint8`. NaN becomes 0.
    Wrap,
}

impl Op for Cast {
    fn lower(&self, g: &mut Lowering, inputs: &[Port]) -> Result<Port, OpError> {
        let a = g.array(inputs, 0)?;
        Ok(Port::Array(g.map("cast", self.clone(), &[a], &[])?))
    }
}

impl Map for Cast {
    fn infer(&self, ports: &Ports) -> Result<ArrayMeta, OpError> {
        Ok(ports.meta(0).with_dtype(self.dtype))
    }

    fn apply(&self, call: &MapCall<'_>, out: &mut Block) -> Result<(), OpError> {
        let src = call.blocks[0];
        let (from, to) = (src.dtype(), self.dtype);
        if from == to {
            out.bytes_mut().copy_from_slice(src.bytes());
        } else if (from.is_integer() || from == DType::Bool) && to.is_integer() {
            let wrap = self.rounding == Rounding::Wrap;
            with_dtype!(from, S => integers::<S>(src.as_slice(), out, wrap));
        } else if to == DType::Float32 && from.is_integer() {
            with_dtype!(from, S => to_float32::<S>(src.as_slice(), out.as_mut_slice()));
        } else {
            let how = match self.rounding {
                Rounding::Nearest => Store::Nearest,
                Rounding::Truncate => Store::Truncated,
                Rounding::Wrap => Store::Wrapped,
            };
            rounded(src, out, how);
        }
        Ok(())
    }

    fn nanos_per_element(&self) -> f32 {
        0.4
    }
}

/// Integers straight to float32: by way of float64 a 64-bit integer would be rounded twice.
fn to_float32<S: Element>(src: &[S], dst: &mut [f32]) {
    vectorize(
        #[inline(always)]
        || match S::DTYPE {
            DType::UInt64 => dst.iter_mut().zip(src).for_each(|(d, &s)| *d = widened(s) as u64 as f32),
            _ => dst.iter_mut().zip(src).for_each(|(d, &s)| *d = widened(s) as f32),
        },
    );
}

fn integers<S: Element>(src: &[S], out: &mut Block, wrap: bool) {
    let to = out.dtype();
    with_dtype!(to, D => integers_to::<S, D>(src, out.as_mut_slice(), wrap));
}

fn integers_to<S: Element, D: Element>(src: &[S], dst: &mut [D], wrap: bool) {
    // Limits within i64; what uint64 has beyond is cut off before, and the largest uint64 is never exceeded.
    let lo = if D::DTYPE == DType::UInt64 { 0 } else { widened(D::from_order_key(0)) };
    let hi = if D::DTYPE == DType::UInt64 {
        i64::MAX
    } else {
        widened(D::from_order_key(u64::MAX >> (64 - 8 * size_of::<D>())))
    };
    let inside = |s: S| if S::DTYPE == DType::UInt64 && widened(s) < 0 { i64::MAX } else { widened(s) };
    vectorize(
        #[inline(always)]
        || match wrap {
            true => dst.iter_mut().zip(src).for_each(|(d, &s)| *d = wrapped(widened(s))),
            false => dst.iter_mut().zip(src).for_each(|(d, &s)| *d = wrapped(inside(s).clamp(lo, hi))),
        },
    );
}

register_op!(Cast {
    name: "cast",
    domain: "intensity",
    inputs: &[InputSpec { name: "input", kind: InputKind::Array, doc: "An array of any dtype." }],
    makes_table: false,
    example: "narrow: {op: cast, input: labels, with: {dtype: uint8, rounding: wrap}}",
    cases: cases,
});

fn cases() -> Vec<Case> {
    let case = |from: DType, to: DType, rounding: &str, content: Content| {
        Case::new(json!({"dtype": to, "rounding": rounding}), vec![Input::new("yx", from).content(content)])
            .expecting(reference)
    };
    let mut v = Vec::new();
    for rounding in ["nearest", "truncate", "wrap"] {
        for (from, to) in [
            (DType::Float64, DType::UInt8),
            (DType::Float64, DType::Int16),
            (DType::Int32, DType::UInt8),
            (DType::UInt64, DType::Int64),
            (DType::UInt64, DType::Int8),
            (DType::Int64, DType::UInt64),
            (DType::Int64, DType::UInt32),
        ] {
            v.push(case(from, to, rounding, Content::Noise));
        }
    }
    v.push(case(DType::Float32, DType::Int32, "nearest", Content::Special));
    v.push(case(DType::Float32, DType::Bool, "nearest", Content::Special));
    v.push(case(DType::Bool, DType::Float64, "nearest", Content::Noise));
    v.push(case(DType::UInt64, DType::Float32, "nearest", Content::Noise));
    v.push(case(DType::Float64, DType::Float32, "nearest", Content::Special));
    v.push(case(DType::UInt16, DType::UInt16, "nearest", Content::Noise));
    v
}

/// One element at a time by way of i128 or float64.
fn reference(with: &Json, inputs: &[Vec<Array>]) -> Expected {
    let to: DType = serde_json::from_value(with["dtype"].clone()).unwrap_or(DType::Bool);
    let each = |a: &Array| -> Vec<u8> {
        let from = a.meta.dtype;
        let exact: Vec<i128> = with_dtype!(from, S => a.block.as_slice::<S>().iter().map(|v| {
            if from == DType::UInt64 { v.order_key() as i128 } else { widened(*v) as i128 }
        }).collect());
        let floats = a.to_f64();
        let value = |i: usize| -> Vec<u8> {
            match (from.is_float(), to) {
                (_, DType::Bool) => vec![u8::from(floats[i] != 0.0)],
                (false, DType::Float32) => (exact[i] as f32).to_ne_bytes().to_vec(),
                (true, DType::Float32) => (floats[i] as f32).to_ne_bytes().to_vec(),
                (_, DType::Float64) => floats[i].to_ne_bytes().to_vec(),
                _ => {
                    let whole = if !from.is_float() {
                        exact[i]
                    } else if with["rounding"] == "nearest" {
                        floats[i].round_ties_even() as i128
                    } else {
                        floats[i].trunc() as i128
                    };
                    let bits = 8 * to.size() as u32;
                    let (lo, hi) = match to.limits().0 < 0.0 {
                        true => (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1),
                        false => (0, (1i128 << bits) - 1),
                    };
                    let v = if with["rounding"] == "wrap" { whole } else { whole.clamp(lo, hi) };
                    v.to_le_bytes()[..to.size()].to_vec()
                }
            }
        };
        (0..floats.len()).flat_map(value).collect()
    };
    Expected::Bytes(inputs[0].iter().map(each).collect())
}

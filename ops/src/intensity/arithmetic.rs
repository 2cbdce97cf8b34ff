//! `arithmetic`: two arrays, element by element.

use crate::elementwise::{Store, binary};
use ops_core::contract::{Array, Case, Content, Expected, Input};
use ops_core::{
    ArrayMeta, Block, DType, InputKind, InputSpec, Lowering, Map, MapCall, Op, OpError, Port, Ports, register_op,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// Combines two arrays of the same shape and axes, element by element.
///
/// **Result.** Same shape and axes, of the given dtype, float64 by default. Both elements are taken as float64, combined,
/// and rounded once: to an integer dtype half to even and saturated, NaN to 0; to `bool` everything but 0 is true.
/// Dividing by zero gives an infinity or NaN. `min` and `max` give NaN where either element is NaN.
///
/// **Boundary.** None: element by element. **Memory.** 16 KiB of stack beyond input and output.
///
/// **Reference.** `numpy.add`, `subtract`, `multiply`, `divide`, `minimum`, `maximum` on float64 operands.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Arithmetic {
    /// How the two are combined.
    operation: Operation,
    /// The dtype of the result.
    #[serde(default = "float64")]
    dtype: DType,
}

/// How two elements are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Operation {
    /// `a + b`.
    Add,
    /// `a - b`.
    Subtract,
    /// `a * b`.
    Multiply,
    /// `a / b`.
    Divide,
    /// The smaller.
    Min,
    /// The larger.
    Max,
    /// `a - b` without its sign.
    AbsoluteDifference,
}

fn float64() -> DType {
    DType::Float64
}

impl Op for Arithmetic {
    fn lower(&self, g: &mut Lowering, inputs: &[Port]) -> Result<Port, OpError> {
        let (a, b) = (g.array(inputs, 0)?, g.array(inputs, 1)?);
        Ok(Port::Array(g.map("arithmetic", self.clone(), &[a, b], &[])?))
    }
}

impl Map for Arithmetic {
    fn infer(&self, ports: &Ports) -> Result<ArrayMeta, OpError> {
        let (a, b) = (ports.meta(0), ports.meta(1));
        if a.shape != b.shape || a.axes != b.axes {
            return Err(OpError::input(1, format!("the shape and axes of `a`: {a}"), b, "crop or rescale one of them"));
        }
        Ok(a.with_dtype(self.dtype))
    }

    fn apply(&self, call: &MapCall<'_>, out: &mut Block) -> Result<(), OpError> {
        let &[a, b] = call.blocks else {
            return Err(OpError::Internal("arithmetic needs two blocks".into()));
        };
        let how = Store::Nearest;
        match self.operation {
            Operation::Add => binary(a, b, out, how, |a, b| a + b),
            Operation::Subtract => binary(a, b, out, how, |a, b| a - b),
            Operation::Multiply => binary(a, b, out, how, |a, b| a * b),
            Operation::Divide => binary(a, b, out, how, |a, b| a / b),
            Operation::Min => binary(a, b, out, how, |a, b| if a < b || a.is_nan() { a } else { b }),
            Operation::Max => binary(a, b, out, how, |a, b| if a > b || a.is_nan() { a } else { b }),
            Operation::AbsoluteDifference => binary(a, b, out, how, |a, b| (a - b).abs()),
        }
        Ok(())
    }

    fn nanos_per_element(&self) -> f32 {
        0.6
    }
}

register_op!(Arithmetic {
    name: "arithmetic",
    domain: "intensity",
    inputs: &[
        InputSpec { name: "a", kind: InputKind::Array, doc: "The first operand." },
        InputSpec { name: "b", kind: InputKind::Array, doc: "The second operand, of the same shape and axes." },
    ],
    makes_table: false,
    example: "difference: {op: arithmetic, input: {a: image, b: background}, with: {operation: subtract}}",
    cases: cases,
});

fn cases() -> Vec<Case> {
    let case = |operation: &str, to: DType, axes, a: DType, b: DType| {
        let input =
            |d: DType| Input::new(axes, d).content(if d.is_float() { Content::Special } else { Content::Noise });
        Case::new(json!({"operation": operation, "dtype": to}), vec![input(a), input(b)]).expecting(reference)
    };
    vec![
        case("add", DType::Float64, "yx", DType::UInt8, DType::Float64),
        case("add", DType::UInt8, "yxc", DType::UInt8, DType::UInt8),
        case("subtract", DType::UInt16, "zyx", DType::UInt16, DType::Int16),
        case("multiply", DType::Float32, "yx", DType::Float32, DType::Float64),
        case("divide", DType::Float64, "yx", DType::Int8, DType::Bool),
        case("min", DType::Float64, "yx", DType::Float64, DType::Float32),
        case("max", DType::Int8, "yx", DType::Int8, DType::UInt8),
        case("absolute_difference", DType::Int32, "yx", DType::Float64, DType::Float64),
        case("subtract", DType::Bool, "yx", DType::Bool, DType::Bool),
    ]
}

fn reference(with: &Json, inputs: &[Vec<Array>]) -> Expected {
    let to: DType = serde_json::from_value(with["dtype"].clone()).unwrap_or(DType::Float64);
    let combine = |(a, b): (f64, f64)| {
        let y = match with["operation"].as_str() {
            Some("add") => a + b,
            Some("subtract") => a - b,
            Some("multiply") => a * b,
            Some("divide") => a / b,
            Some("min") => {
                if a.is_nan() || b.is_nan() {
                    f64::NAN
                } else {
                    a.min(b)
                }
            }
            Some("max") => {
                if a.is_nan() || b.is_nan() {
                    f64::NAN
                } else {
                    a.max(b)
                }
            }
            _ => {
                if a > b {
                    a - b
                } else {
                    b - a
                }
            }
        };
        match to {
            DType::Bool => f64::from(u8::from(y != 0.0)),
            DType::Float64 => y,
            DType::Float32 => f64::from(y as f32),
            _ if y.is_nan() => 0.0,
            _ => y.round_ties_even().clamp(to.limits().0, to.limits().1),
        }
    };
    let each = |(a, b): (&Array, &Array)| a.to_f64().into_iter().zip(b.to_f64()).map(combine).collect();
    Expected::Close(inputs[0].iter().zip(&inputs[1]).map(each).collect(), 0.0)
}

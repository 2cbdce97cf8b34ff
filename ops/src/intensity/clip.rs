//! `clip`: values limited to a range.

use crate::elementwise::{Store, unary};
use ops_core::contract::{Array, Case, Content, Expected, Input};
use ops_core::{
    ArrayMeta, Block, DType, InputKind, InputSpec, Lowering, Map, MapCall, Op, OpError, Port, Ports, register_op,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// Limits values to a range: what lies below `min` becomes `min`, what lies above `max` becomes `max`.
///
/// **Result.** Same shape, axes and dtype. NaN stays NaN. For an integer dtype the limits must be whole numbers within
/// its range, so that every result is exact; 64-bit integers are compared as float64.
///
/// **Boundary.** None: element by element. **Memory.** None beyond input and output.
///
/// **Reference.** `numpy.clip`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Clip {
    /// The smallest value of the result; without it there is no lower limit.
    #[serde(default)]
    min: Option<f64>,
    /// The largest value of the result; without it there is no upper limit.
    #[serde(default)]
    max: Option<f64>,
}

impl Op for Clip {
    fn lower(&self, g: &mut Lowering, inputs: &[Port]) -> Result<Port, OpError> {
        if self.min.is_none() && self.max.is_none() {
            return Err(OpError::param("min", "at least one of `min` and `max`", "neither"));
        }
        if let (Some(min), Some(max)) = (self.min, self.max)
            && min > max
        {
            return Err(OpError::param("min", format!("a number up to `max` ({max})"), min));
        }
        let a = g.array(inputs, 0)?;
        Ok(Port::Array(g.map("clip", self.clone(), &[a], &[])?))
    }
}

impl Map for Clip {
    fn infer(&self, ports: &Ports) -> Result<ArrayMeta, OpError> {
        let meta = ports.meta(0);
        if !meta.dtype.is_float() {
            let (lo, hi) = meta.dtype.limits();
            for (name, limit) in [("min", self.min), ("max", self.max)] {
                if let Some(v) = limit.filter(|v| v.fract() != 0.0 || *v < lo || *v > hi) {
                    let expected = format!("a whole number from {lo} to {hi}, as the input is {}", meta.dtype);
                    return Err(OpError::param(name, expected, v));
                }
            }
        }
        Ok(meta.clone())
    }

    fn apply(&self, call: &MapCall<'_>, out: &mut Block) -> Result<(), OpError> {
        let (lo, hi) = (self.min.unwrap_or(f64::NEG_INFINITY), self.max.unwrap_or(f64::INFINITY));
        unary(call.blocks[0], out, Store::Nearest, |x| {
            let x = if x < lo { lo } else { x };
            if x > hi { hi } else { x }
        });
        Ok(())
    }

    fn nanos_per_element(&self) -> f32 {
        0.4
    }
}

register_op!(Clip {
    name: "clip",
    domain: "intensity",
    inputs: &[InputSpec { name: "input", kind: InputKind::Array, doc: "An array of any dtype." }],
    makes_table: false,
    example: "limited: {op: clip, input: image, with: {min: 0, max: 1000}}",
    cases: cases,
});

fn cases() -> Vec<Case> {
    let case = |with: Json, axes, dtype, content| {
        Case::new(with, vec![Input::new(axes, dtype).content(content)]).expecting(reference)
    };
    vec![
        case(json!({"min": 10, "max": 200}), "yxc", DType::UInt8, Content::Noise),
        case(json!({"max": 0.5}), "zyx", DType::Float32, Content::Special),
        case(json!({"min": -5}), "yx", DType::Int16, Content::Noise),
        case(json!({"min": 0.0, "max": 500.25}), "yx", DType::Float64, Content::Special),
    ]
}

fn reference(with: &Json, inputs: &[Vec<Array>]) -> Expected {
    let limit = |v: f64| {
        let v = with["min"].as_f64().map_or(v, |lo| if v < lo { lo } else { v });
        with["max"].as_f64().map_or(v, |hi| if v > hi { hi } else { v })
    };
    let each = |a: &Array| a.to_f64().into_iter().map(limit).collect();
    Expected::Close(inputs[0].iter().map(each).collect(), 1e-7)
}

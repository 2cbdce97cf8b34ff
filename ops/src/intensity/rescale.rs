//! `rescale`: one given range to another.

use crate::linear::Linear;
use ops_core::contract::{Array, Case, Content, Expected, Input};
use ops_core::{
    ArrayMeta, Block, DType, InputKind, InputSpec, Lowering, Map, MapCall, Op, OpError, Port, Ports, register_op,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// Takes one range of values to another, linearly: `(x - from[0]) * ((to[1] - to[0]) / (from[1] - from[0])) + to[0]`.
///
/// Both ranges are given and the data is not looked at; for a range found in the data there is `normalize`.
///
/// **Result.** Same shape and axes, of the given dtype, float64 by default; to an integer dtype values are rounded half to
/// even and saturate, and NaN becomes 0. Values outside `from` go beyond `to`.
///
/// **Boundary.** None: element by element. **Memory.** None beyond input and output.
///
/// **Reference.** `skimage.exposure.rescale_intensity` without its clipping.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rescale {
    /// The values that become the ends of `to`. Left out, it is the range of the input's integer dtype.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<[f64; 2]>,
    /// What the ends of `from` become.
    to: [f64; 2],
    /// The dtype of the result.
    #[serde(default = "float64")]
    dtype: DType,
}

fn float64() -> DType {
    DType::Float64
}

#[derive(Debug)]
struct Stretch {
    linear: Linear,
    dtype: DType,
}

impl Op for Rescale {
    fn lower(&self, g: &mut Lowering, inputs: &[Port]) -> Result<Port, OpError> {
        let a = g.array(inputs, 0)?;
        let input = g.meta(a).dtype;
        let from = match self.from {
            Some([lo, hi]) if lo == hi => {
                return Err(OpError::param("from", "two different numbers", format!("[{lo}, {hi}]")));
            }
            Some(from) => from,
            None if input.is_float() => {
                return Err(OpError::param("from", format!("two numbers, as the input is {input}"), "nothing"));
            }
            None => input.limits().into(),
        };
        if self.dtype == DType::Bool {
            return Err(OpError::param("dtype", "a number dtype", self.dtype));
        }
        let map = Stretch { linear: Linear::between(from, self.to), dtype: self.dtype };
        Ok(Port::Array(g.map("rescale", map, &[a], &[])?))
    }
}

impl Map for Stretch {
    fn infer(&self, ports: &Ports) -> Result<ArrayMeta, OpError> {
        Ok(ports.meta(0).with_dtype(self.dtype))
    }

    fn apply(&self, call: &MapCall<'_>, out: &mut Block) -> Result<(), OpError> {
        self.linear.apply(call.blocks[0], out);
        Ok(())
    }

    fn nanos_per_element(&self) -> f32 {
        0.4
    }
}

register_op!(Rescale {
    name: "rescale",
    domain: "intensity",
    inputs: &[InputSpec { name: "input", kind: InputKind::Array, doc: "An array of any dtype." }],
    makes_table: false,
    example: "scaled: {op: rescale, input: image, with: {from: [0, 4095], to: [0, 255], dtype: uint8}}",
    cases: cases,
});

fn cases() -> Vec<Case> {
    let case = |with: Json, axes, dtype, content| {
        Case::new(with, vec![Input::new(axes, dtype).content(content)]).expecting(reference)
    };
    vec![
        case(json!({"to": [0, 1]}), "yxc", DType::UInt8, Content::Noise),
        case(json!({"from": [0, 4096], "to": [0, 256], "dtype": "uint8"}), "zyx", DType::UInt16, Content::Noise),
        case(json!({"from": [1, 3], "to": [-2, 6], "dtype": "float32"}), "yx", DType::Float32, Content::Special),
        case(json!({"from": [1, 0], "to": [0, 64], "dtype": "int16"}), "yx", DType::Float64, Content::Special),
        case(json!({"to": [7, 9]}), "yx", DType::Bool, Content::Noise),
        case(json!({"to": [0, 1]}), "yx", DType::Float32, Content::Noise),
    ]
}

fn reference(with: &Json, inputs: &[Vec<Array>]) -> Expected {
    let number = |key: &str, i: usize| with[key][i].as_f64();
    let (lo, hi) = match (number("from", 0), number("from", 1)) {
        (Some(lo), Some(hi)) => (lo, hi),
        _ if inputs[0][0].meta.dtype.is_float() => return Expected::Refused,
        _ => inputs[0][0].meta.dtype.limits(),
    };
    let (a, b) = (number("to", 0).unwrap_or(0.0), number("to", 1).unwrap_or(0.0));
    let stretch = |x: f64| {
        let y = (x - lo) / (hi - lo) * (b - a) + a;
        match with["dtype"].as_str() {
            Some("uint8") => y.round_ties_even().clamp(0.0, 255.0),
            Some("int16") if y.is_nan() => 0.0,
            Some("int16") => y.round_ties_even().clamp(-32768.0, 32767.0),
            _ => y,
        }
    };
    Expected::Close(inputs[0].iter().map(|i| i.to_f64().into_iter().map(stretch).collect()).collect(), 1e-6)
}

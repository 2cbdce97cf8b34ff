//! `invert`: bright becomes dark.

use crate::elementwise::{Store, unary};
use ops_core::contract::{Array, Case, Content, Expected, Input};
use ops_core::simd::vectorize;
use ops_core::{
    ArrayMeta, Block, DType, InputKind, InputSpec, Lowering, Map, MapCall, Op, OpError, Port, Ports, register_op,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// Turns a range of values around, so that its first value becomes its last.
///
/// **Result.** Same shape, axes and dtype. Without `range`: `bool` is negated, an integer dtype is turned around in its
/// whole range (`255 - x` for uint8, `-1 - x` for signed ones), a float dtype in 0 to 1 (`1 - x`). With
/// `range: [a, b]`: `(a + b) - x`, rounded to the dtype and saturated; not for `bool`. NaN stays NaN.
///
/// **Boundary.** None: element by element. **Memory.** None beyond input and output.
///
/// **Reference.** `skimage.util.invert`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Invert {
    /// The range that is turned around.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    range: Option<[f64; 2]>,
}

impl Op for Invert {
    fn lower(&self, g: &mut Lowering, inputs: &[Port]) -> Result<Port, OpError> {
        let a = g.array(inputs, 0)?;
        Ok(Port::Array(g.map("invert", self.clone(), &[a], &[])?))
    }
}

impl Map for Invert {
    fn infer(&self, ports: &Ports) -> Result<ArrayMeta, OpError> {
        let meta = ports.meta(0);
        if meta.dtype == DType::Bool && self.range.is_some() {
            return Err(OpError::param("range", "nothing, as the input is bool", "a range"));
        }
        Ok(meta.clone())
    }

    fn apply(&self, call: &MapCall<'_>, out: &mut Block) -> Result<(), OpError> {
        let src = call.blocks[0];
        match (self.range, src.dtype()) {
            (Some([a, b]), _) => unary(src, out, Store::Nearest, |x| (a + b) - x),
            (None, d) if d.is_float() => unary(src, out, Store::Nearest, |x| 1.0 - x),
            // Turning an integer around in its whole range is flipping its bits, and so no bit is lost to a float.
            (None, d) => flip(src.bytes(), out.bytes_mut(), if d == DType::Bool { 1 } else { 0xFF }),
        }
        Ok(())
    }

    fn nanos_per_element(&self) -> f32 {
        0.2
    }
}

fn flip(src: &[u8], dst: &mut [u8], bits: u8) {
    vectorize(
        #[inline(always)]
        || dst.iter_mut().zip(src).for_each(|(d, s)| *d = s ^ bits),
    );
}

register_op!(Invert {
    name: "invert",
    domain: "intensity",
    inputs: &[InputSpec { name: "input", kind: InputKind::Array, doc: "An array of any dtype." }],
    makes_table: false,
    example: "dark: {op: invert, input: image}",
    cases: cases,
});

fn cases() -> Vec<Case> {
    let case = |with: Json, axes, dtype, content| {
        Case::new(with, vec![Input::new(axes, dtype).content(content)]).expecting(reference)
    };
    vec![
        case(json!({}), "yxc", DType::UInt8, Content::Noise),
        case(json!({}), "zyx", DType::Int16, Content::Noise),
        case(json!({}), "yx", DType::Bool, Content::Noise),
        case(json!({}), "yx", DType::Float32, Content::Special),
        case(json!({"range": [0, 4095]}), "yx", DType::UInt16, Content::Labels(4095)),
        case(json!({"range": [-1, 3]}), "yx", DType::Float64, Content::Special),
        case(json!({"range": [0, 1]}), "yx", DType::Bool, Content::Noise),
    ]
}

fn reference(with: &Json, inputs: &[Vec<Array>]) -> Expected {
    let dtype = inputs[0][0].meta.dtype;
    let sum = match (with["range"][0].as_f64(), with["range"][1].as_f64()) {
        (Some(_), Some(_)) if dtype == DType::Bool => return Expected::Refused,
        (Some(a), Some(b)) => a + b,
        _ if dtype.is_float() => 1.0,
        _ => dtype.limits().0 + dtype.limits().1,
    };
    Expected::Close(inputs[0].iter().map(|a| a.to_f64().into_iter().map(|x| sum - x).collect()).collect(), 1e-7)
}

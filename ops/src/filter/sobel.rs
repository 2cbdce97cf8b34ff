//! `sobel`: a gradient.

use super::gradient::{Along, Gradient};
use super::params::{Compat, OutputDType};
use ops_core::contract::{Array, Case, Content, Expected, Input};
use ops_core::{Boundary, DType, InputKind, InputSpec, Lowering, Op, OpError, Port, register_op};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// Derives along one spatial axis, or all, by Sobel's filter: `-1 0 1` along the axis, `1 2 1` across it.
///
/// **Result.** Same shape and axes, `float64` whatever the input, or the input's dtype with `dtype: input` (rounded half
/// to even and saturated once, at the end). The sums are not divided by anything, as scipy's are not. 64-bit integers are
/// read as float64. The magnitude is the root of the sum of the squares of the derivatives along all spatial axes.
///
/// **Boundary.** As `boundary` says; the modes are scipy's. **Memory.** Up to 32 rows of scratch for an image (256 KiB,
/// or four rows where those are more), as many planes and rows for a volume; for the
/// magnitude a float64 block for each axis. A halo of 1.
///
/// **Reference.** `scipy.ndimage.sobel(input, axis, mode=boundary, output=float64)` on the spatial axes; with
/// `compat: scipy` and integers of up to 16 bits `scipy.ndimage.sobel(input, axis, mode=boundary)`, whose results wrap
/// round where they do not fit.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sobel {
    /// The axis to derive along, or `magnitude`; the last spatial axis where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    axis: Option<Along>,
    /// What stands beyond the edge of the array.
    #[serde(default)]
    boundary: Boundary,
    /// The dtype of the result.
    #[serde(default)]
    dtype: OutputDType,
    /// `scipy`: that library's integers, which wrap round. Only with `dtype: input`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    compat: Option<Compat>,
}

impl Sobel {
    fn gradient(&self) -> Gradient {
        let Sobel { axis, boundary, dtype, compat } = *self;
        Gradient { centre: 2.0, along: axis, boundary, dtype, compat }
    }
}

impl Op for Sobel {
    fn lower(&self, g: &mut Lowering, inputs: &[Port]) -> Result<Port, OpError> {
        self.gradient().lower("sobel", g, inputs)
    }
}

register_op!(Sobel {
    name: "sobel",
    domain: "filter",
    inputs: &[InputSpec { name: "input", kind: InputKind::Array, doc: "An array of any dtype with a spatial axis." }],
    makes_table: false,
    example: "edges: {op: sobel, input: image, with: {axis: magnitude}}",
    cases: cases,
});

fn cases() -> Vec<Case> {
    let case = |with: Json, axes, dtype, content| {
        Case::new(with, vec![Input::new(axes, dtype).content(content)]).expecting(reference)
    };
    vec![
        case(json!({}), "yx", DType::Float64, Content::Noise),
        case(json!({"axis": "y"}), "yxc", DType::UInt8, Content::Noise),
        case(json!({"axis": "magnitude"}), "zyx", DType::Float32, Content::Noise),
        case(json!({"axis": "z", "dtype": "input"}), "tzcyx", DType::Int16, Content::Noise),
        case(json!({"axis": "x", "dtype": "input", "compat": "scipy"}), "yx", DType::UInt8, Content::Noise),
        case(json!({"axis": "magnitude", "dtype": "input"}), "cyx", DType::UInt16, Content::Noise),
        case(json!({"axis": "x"}), "yx", DType::Bool, Content::Mask(0.5)),
        case(json!({"axis": "z"}), "yx", DType::UInt8, Content::Noise),
        case(json!({"dtype": "input"}), "yx", DType::Bool, Content::Mask(0.5)),
        case(json!({"compat": "scipy"}), "yx", DType::UInt8, Content::Noise),
    ]
}

fn reference(with: &Json, inputs: &[Vec<Array>]) -> Expected {
    match serde_json::from_value::<Sobel>(with.clone()) {
        Ok(op) => op.gradient().reference(inputs),
        Err(_) => Expected::Refused,
    }
}

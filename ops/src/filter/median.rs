//! `median`: the middle of the neighbours.

use super::footprint::Footprint;
use super::params::Size;
use super::ranked::{Ranked, Which};
use ops_core::contract::{Array, Case, Content, Expected, Input};
use ops_core::{Boundary, DType, InputKind, InputSpec, Lowering, Op, OpError, Port, register_op};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// Replaces each element by the median of those in a window around it along the spatial axes.
///
/// **Result.** Same shape, axes and dtype: an element of the window, exactly. The window is a box of `size`, or the ones of
/// a `footprint`; its centre is element `size / 2` along each axis. Of an even
/// number of elements the upper of the two in the middle is taken, as scipy does. -0 sorts before +0, NaN after all.
///
/// **Boundary.** As `boundary` says; the modes are scipy's. **Memory.** Up to 3 MiB of scratch for windows of up to
/// 512 elements; 544 bytes for each column of a larger box and of 128 neighbours of 8 bits; else the size of a window.
/// A halo of half the size.
///
/// **Reference.** `scipy.ndimage.median_filter(input, size, footprint, mode=boundary)` on the spatial axes.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["size"]}, {"required": ["footprint"]}]))]
pub struct Median {
    /// Extent of the window in elements: one number, or one for each spatial axis in the order of the axes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<Size>,
    /// The neighbours that count: a `box`, a `cross`, a `ball`, or 0 and 1 in lists as deep as there are spatial axes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    footprint: Option<Footprint>,
    /// What stands beyond the edge of the array.
    #[serde(default)]
    boundary: Boundary,
}

impl Median {
    fn ranked(&self) -> Ranked {
        let (size, footprint, boundary) = (self.size.clone(), self.footprint.clone(), self.boundary);
        Ranked { size, footprint, boundary, which: Which::Median }
    }
}

impl Op for Median {
    fn lower(&self, g: &mut Lowering, inputs: &[Port]) -> Result<Port, OpError> {
        self.ranked().lower("median", g, inputs)
    }
}

register_op!(Median {
    name: "median",
    domain: "filter",
    inputs: &[InputSpec { name: "input", kind: InputKind::Array, doc: "An array of any dtype with a spatial axis." }],
    makes_table: false,
    example: "clean: {op: median, input: image, with: {size: 3}}",
    cases: cases,
});

fn cases() -> Vec<Case> {
    let case = |with: Json, axes, dtype, content| {
        Case::new(with, vec![Input::new(axes, dtype).content(content)]).expecting(reference)
    };
    vec![
        case(json!({"size": 3}), "yx", DType::Float64, Content::Noise),
        case(json!({"size": 3}), "yx", DType::Float64, Content::Special),
        case(json!({"size": 3}), "zyx", DType::Float32, Content::Special),
        case(json!({"size": 3}), "zyx", DType::UInt8, Content::Noise),
        case(json!({"size": 5}), "yx", DType::Int16, Content::Noise),
        case(json!({"size": [9, 3]}), "yxc", DType::Float32, Content::Special),
        case(json!({"size": [2, 5]}), "yxc", DType::UInt8, Content::Noise),
        case(json!({"size": [4, 3]}), "yx", DType::UInt16, Content::Noise),
        case(json!({"size": [1, 4]}), "cyx", DType::Int16, Content::Noise),
        case(json!({"size": [3, 1, 3]}), "tzcyx", DType::UInt64, Content::Noise),
        case(json!({"size": [11, 9]}), "yxc", DType::UInt8, Content::Noise),
        case(json!({"size": [5, 5, 4]}), "zyx", DType::Int8, Content::Noise),
        case(json!({"size": [9, 10]}), "cyx", DType::Bool, Content::Mask(0.5)),
        case(json!({"footprint": [[0, 1, 0], [1, 1, 1], [0, 1, 0]]}), "yx", DType::Int64, Content::Noise),
        case(json!({"footprint": [[0, 0, 0], [1, 0, 1], [0, 1, 1]]}), "yxc", DType::Int32, Content::Noise),
        case(json!({"footprint": {"ball": 1.5}}), "zyx", DType::Int16, Content::Noise),
        case(json!({"footprint": [[1, 2]]}), "yx", DType::UInt32, Content::Noise),
        case(json!({"size": 3, "footprint": [[1]]}), "yx", DType::UInt8, Content::Noise),
    ]
}

fn reference(with: &Json, inputs: &[Vec<Array>]) -> Expected {
    match serde_json::from_value::<Median>(with.clone()) {
        Ok(op) => op.ranked().reference(inputs),
        Err(_) => Expected::Refused,
    }
}

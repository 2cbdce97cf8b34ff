//! `percentile`: the element of a rank among the neighbours.

use super::footprint::Footprint;
use super::params::Size;
use super::ranked::{Ranked, Which};
use ops_core::contract::{Array, Case, Content, Expected, Input};
use ops_core::{Boundary, DType, InputKind, InputSpec, Lowering, Op, OpError, Port, register_op};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// Replaces each element by a percentile of those in a window around it along the spatial axes.
///
/// **Result.** Same shape, axes and dtype: an element of the window, exactly. The window is a box of `size`, or the ones of
/// a `footprint`; its centre is element `size / 2` along each axis. Of `n`
/// sorted elements that of index `int(n * percentile / 100)` is taken, the last for 100; nothing is interpolated. -0
/// sorts before +0, NaN after all.
///
/// **Boundary.** As `boundary` says; the modes are scipy's. **Memory.** Up to 3 MiB of scratch for windows of up to
/// 512 elements; 544 bytes for each column of a larger box and of 128 neighbours of 8 bits; else the size of a window.
/// A halo of half the size.
///
/// **Reference.** `scipy.ndimage.percentile_filter(input, percentile, size, footprint, mode=boundary)` on the spatial axes.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["size"]}, {"required": ["footprint"]}]))]
pub struct Percentile {
    /// Extent of the window in elements: one number, or one for each spatial axis in the order of the axes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<Size>,
    /// The neighbours that count: 0 and 1 in lists nested as deeply as there are spatial axes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    footprint: Option<Footprint>,
    /// Which element, from 0 (the least) to 100 (the greatest).
    #[schemars(range(min = 0.0, max = 100.0))]
    percentile: f64,
    /// What stands beyond the edge of the array.
    #[serde(default)]
    boundary: Boundary,
}

impl Percentile {
    fn ranked(&self) -> Ranked {
        let (size, footprint, boundary) = (self.size.clone(), self.footprint.clone(), self.boundary);
        Ranked { size, footprint, boundary, which: Which::Percentile(self.percentile) }
    }
}

impl Op for Percentile {
    fn lower(&self, g: &mut Lowering, inputs: &[Port]) -> Result<Port, OpError> {
        if !(0.0..=100.0).contains(&self.percentile) {
            return Err(OpError::param("percentile", "a number from 0 to 100", self.percentile));
        }
        self.ranked().lower("percentile", g, inputs)
    }
}

register_op!(Percentile {
    name: "percentile",
    domain: "filter",
    inputs: &[InputSpec { name: "input", kind: InputKind::Array, doc: "An array of any dtype with a spatial axis." }],
    makes_table: false,
    example: "background: {op: percentile, input: image, with: {size: 15, percentile: 10}}",
    cases: cases,
});

fn cases() -> Vec<Case> {
    let case = |with: Json, axes, dtype, content| {
        Case::new(with, vec![Input::new(axes, dtype).content(content)]).expecting(reference)
    };
    vec![
        case(json!({"size": 3, "percentile": 30}), "yx", DType::Float64, Content::Noise),
        case(json!({"size": 3, "percentile": 30}), "yx", DType::Float64, Content::Special),
        case(json!({"size": 3, "percentile": 30}), "zyx", DType::Float32, Content::Special),
        case(json!({"size": 3, "percentile": 30}), "zyx", DType::UInt8, Content::Noise),
        case(json!({"size": [2, 5], "percentile": 30}), "yxc", DType::UInt8, Content::Noise),
        case(json!({"size": [4, 3], "percentile": 30}), "yx", DType::UInt16, Content::Noise),
        case(json!({"size": [1, 4], "percentile": 30}), "cyx", DType::Int16, Content::Noise),
        case(json!({"size": [3, 1, 3], "percentile": 30}), "tzcyx", DType::UInt64, Content::Noise),
        case(json!({"size": [11, 9], "percentile": 30}), "yxc", DType::UInt8, Content::Noise),
        case(json!({"size": [5, 5, 4], "percentile": 30}), "zyx", DType::Int8, Content::Noise),
        case(json!({"size": [9, 10], "percentile": 30}), "cyx", DType::Bool, Content::Mask(0.7)),
        case(
            json!({"footprint": [[0, 1, 0], [1, 1, 1], [0, 1, 0]], "percentile": 30}),
            "yx",
            DType::Int64,
            Content::Noise,
        ),
        case(
            json!({"footprint": [[0, 0, 0], [1, 0, 1], [0, 1, 1]], "percentile": 30}),
            "yxc",
            DType::Int32,
            Content::Noise,
        ),
        case(json!({"footprint": [[1, 2]], "percentile": 30}), "yx", DType::UInt32, Content::Noise),
        case(json!({"size": 3, "footprint": [[1]], "percentile": 30}), "yx", DType::UInt8, Content::Noise),
        case(json!({"size": 3, "percentile": 100}), "yx", DType::UInt16, Content::Noise),
        case(json!({"size": [11, 9], "percentile": 95.5}), "yx", DType::UInt8, Content::Noise),
        case(json!({"size": 3, "percentile": 101}), "yx", DType::UInt8, Content::Noise)
            .expecting(|_, _| Expected::Refused),
    ]
}

fn reference(with: &Json, inputs: &[Vec<Array>]) -> Expected {
    match serde_json::from_value::<Percentile>(with.clone()) {
        Ok(op) => op.ranked().reference(inputs),
        Err(_) => Expected::Refused,
    }
}

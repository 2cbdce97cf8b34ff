//! `close`: dark things that the footprint does not fit into go.

use super::step::{Side, Step, faces};
use crate::filter::footprint::Footprint;
use ops_core::contract::{Array, Case, Content, Expected, Input};
use ops_core::{Boundary, DType, InputKind, InputSpec, Lowering, Op, OpError, Port, register_op};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// Closes: a dilation and then an erosion, by which dark things that the footprint does not fit into go, such as gaps
/// and small holes of a mask, and others keep their size.
///
/// **Result.** Same shape, axes and dtype. Negative zero sorts before zero, NaN after everything. Axes that are not
/// spatial are taken one by one.
///
/// **Boundary.** As `boundary` says, for masks too, for each of both steps: the dilated array is extended anew. With
/// `constant` there is background beyond the edge of a mask, so that the second step takes away what touches the edge, as
/// in `scipy.ndimage.binary_closing`; the other modes leave it. **Memory.** That of `dilate` and of `erode`, with a halo
/// of half the footprint each.
///
/// **Reference.** `scipy.ndimage.grey_closing(input, footprint=footprint, mode=boundary)` on the spatial axes, and for a
/// mask `scipy.ndimage.binary_closing(input, footprint)` with `boundary: constant`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Close {
    /// The neighbours that count, the element itself among them where the footprint has its centre. `{box: 3}` or
    /// `{box: [3, 5]}`: all within a box of this extent; centre is element `extent / 2`. `{cross: r}`: all at most
    /// `r` steps away, each along one axis. `{ball: r}`: all at a distance of at most `r`. Or 0 and 1 in lists nested
    /// as deeply as there are spatial axes.
    #[serde(default = "faces")]
    footprint: Footprint,
    /// What stands beyond the edge of the array. `constant` is zero, background in a mask.
    #[serde(default)]
    boundary: Boundary,
}

/// What it consists of.
const SIDES: &[Side] = &[Side::Dilate, Side::Erode];

impl Op for Close {
    fn lower(&self, g: &mut Lowering, inputs: &[Port]) -> Result<Port, OpError> {
        let a = g.array(inputs, 0)?;
        Ok(Port::Array(Step::chain(SIDES, &self.footprint, self.boundary, g, a)?))
    }
}

register_op!(Close {
    name: "close",
    domain: "morphology",
    inputs: &[InputSpec {
        name: "input",
        kind: InputKind::Array,
        doc: "A mask, or an array of any other dtype, with a spatial axis."
    }],
    makes_table: false,
    example: "whole: {op: close, input: mask, with: {footprint: {ball: 2}}}",
    cases: cases,
});

fn cases() -> Vec<Case> {
    let case = |with: Json, axes, dtype, content| {
        Case::new(with, vec![Input::new(axes, dtype).content(content)]).expecting(reference)
    };
    let mask = Content::Mask(0.1);
    vec![
        case(json!({}), "yx", DType::Bool, mask),
        case(json!({"footprint": {"box": [3, 4]}}), "yx", DType::Bool, mask),
        case(json!({"footprint": {"cross": 2}}), "yx", DType::UInt8, Content::Noise),
        case(json!({}), "zyx", DType::UInt32, Content::Noise),
        case(json!({"footprint": {"ball": 3}}), "yxc", DType::Float32, Content::Special),
        case(json!({"footprint": {"ball": 1.5}}), "tzcyx", DType::Int16, Content::Noise),
        case(json!({"footprint": {"box": [1, 11]}}), "cyx", DType::Float64, Content::Special),
        case(json!({"footprint": [[0, 0, 1, 1], [1, 0, 1, 0]]}), "yx", DType::UInt16, Content::Noise),
        case(json!({"footprint": [[[1], [1]], [[0], [1]]]}), "zyx", DType::Int64, Content::Noise),
        case(json!({"footprint": [[0, 0], [0, 0]]}), "yx", DType::Bool, mask),
        case(json!({"footprint": {"box": [3, 3]}}), "zyx", DType::UInt8, Content::Noise),
    ]
}

fn reference(with: &Json, inputs: &[Vec<Array>]) -> Expected {
    match serde_json::from_value::<Close>(with.clone()) {
        Ok(op) => super::step::reference(SIDES, &op.footprint, op.boundary, inputs),
        Err(_) => Expected::Refused,
    }
}

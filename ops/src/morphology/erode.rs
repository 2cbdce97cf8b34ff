//! `erode`: bright things shrink.

use super::step::{Side, Step, faces};
use crate::filter::footprint::Footprint;
use ops_core::contract::{Array, Case, Content, Expected, Input};
use ops_core::{Boundary, DType, InputKind, InputSpec, Lowering, Op, OpError, Port, register_op};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// Erodes: replaces each element by the least of its neighbours, so that bright things, or the ones of a mask, shrink.
///
/// **Result.** Same shape, axes and dtype: an element of the footprint around each element, exactly. Of a mask what is
/// left are the places where the whole footprint fits. Negative zero sorts before zero, NaN after everything. Axes that
/// are not spatial are taken one by one.
///
/// **Boundary.** As `boundary` says, for masks too; the modes are scipy's. With `constant` a mask is eroded from the
/// edge, as by `scipy.ndimage.binary_erosion` with its `border_value` of 0; with `reflect` and a symmetric footprint
/// what lies beyond changes nothing. **Memory.** For a box one row of scratch for an image, one plane and one row for a
/// volume; for a large footprint of another shape a copy of the block; a halo of half the footprint.
///
/// **Reference.** `scipy.ndimage.grey_erosion(input, footprint=footprint, mode=boundary)` on the spatial axes, and for a
/// mask `scipy.ndimage.binary_erosion(input, footprint)` with `boundary: constant`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Erode {
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
const SIDES: &[Side] = &[Side::Erode];

impl Op for Erode {
    fn lower(&self, g: &mut Lowering, inputs: &[Port]) -> Result<Port, OpError> {
        let a = g.array(inputs, 0)?;
        Ok(Port::Array(Step::chain(SIDES, &self.footprint, self.boundary, g, a)?))
    }
}

register_op!(Erode {
    name: "erode",
    domain: "morphology",
    inputs: &[InputSpec {
        name: "input",
        kind: InputKind::Array,
        doc: "A mask, or an array of any other dtype, with a spatial axis."
    }],
    makes_table: false,
    example: "smaller: {op: erode, input: mask, with: {footprint: {ball: 2}}}",
    cases: cases,
});

fn cases() -> Vec<Case> {
    let case = |with: Json, axes, dtype, content| {
        Case::new(with, vec![Input::new(axes, dtype).content(content)]).expecting(reference)
    };
    let mask = Content::Mask(0.93);
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
    match serde_json::from_value::<Erode>(with.clone()) {
        Ok(op) => super::step::reference(SIDES, &op.footprint, op.boundary, inputs),
        Err(_) => Expected::Refused,
    }
}

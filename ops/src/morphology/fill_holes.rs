//! `fill_holes`: background that the edge can't be reached from becomes foreground.

use crate::elementwise;
use crate::label::choose::{self, Choose, Rule, check, flooded};
use ops_core::contract::{Array, Case, Content, Expected, Input};
use ops_core::{
    ArrayMeta, Block, DType, InputKind, InputSpec, Lowering, Map, MapCall, Op, OpError, Port, Ports, register_op,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// Fills the holes of a mask: background that does not touch the edge of the array, however far away that is, becomes
/// foreground.
///
/// What is not zero is foreground (NaN too). All axes of the input are spatial. A hole is a connected component of the
/// background; in an array with a single element along an axis every element is at the edge, and there is none.
///
/// **Result.** Same shape and axes, dtype `bool`: that of the whole array, whatever blocks it is computed in.
///
/// **Boundary.** None: the edge of the array is open. **Memory.** As `label`: of arrays up to about 9 million voxels, until the
/// last block is written, a bit for each voxel and some 13 bytes for every run of background along the last axis, at most 7
/// bytes a voxel for the worst of inputs; of larger ones the faces of cells, at most 128 MiB.
///
/// **Reference.** `scipy.ndimage.binary_fill_holes(input, generate_binary_structure(rank, connectivity))`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FillHoles {
    /// Along how many axes touching voxels of the background may differ, by one each: 1 for faces, up to the number of
    /// axes for corners, by which fewer holes are closed.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 3))]
    connectivity: u64,
}

fn one() -> u64 {
    1
}

impl Op for FillHoles {
    fn lower(&self, g: &mut Lowering, inputs: &[Port]) -> Result<Port, OpError> {
        let a = g.array(inputs, 0)?;
        check(g.meta(a), self.connectivity)?;
        let background = g.map("background", Background, &[a], &[])?;
        let outside = Choose { connectivity: self.connectivity, rule: Rule::Edge };
        Ok(Port::Array(choose::lower(g, background, outside, true, ("fill_holes.outside", "fill_holes"))?))
    }
}

/// Where an array is zero.
#[derive(Debug)]
struct Background;

impl Map for Background {
    fn infer(&self, ports: &Ports) -> Result<ArrayMeta, OpError> {
        Ok(ports.meta(0).with_dtype(DType::Bool))
    }

    fn apply(&self, call: &MapCall<'_>, out: &mut Block) -> Result<(), OpError> {
        elementwise::mask(call.blocks[0], out, |x| x == 0.0);
        Ok(())
    }

    fn nanos_per_element(&self) -> f32 {
        0.2
    }
}

register_op!(FillHoles {
    name: "fill_holes",
    domain: "morphology",
    inputs: &[InputSpec {
        name: "input",
        kind: InputKind::Array,
        doc: "An array of spatial axes; what is not 0 is foreground."
    }],
    makes_table: false,
    example: "solid: {op: fill_holes, input: mask}",
    cases: cases,
});

fn cases() -> Vec<Case> {
    let case = |with: Json, axes, dtype, content| {
        Case::new(with, vec![Input::new(axes, dtype).content(content)]).expecting(reference)
    };
    vec![
        case(json!({}), "yx", DType::Bool, Content::Mask(0.5)),
        case(json!({"connectivity": 2}), "yx", DType::UInt8, Content::Mask(0.7)),
        case(json!({}), "zyx", DType::Float32, Content::Mask(0.65)),
        case(json!({"connectivity": 3}), "zyx", DType::Int64, Content::Mask(0.9)),
        case(json!({}), "yx", DType::Float64, Content::Special),
        case(json!({}), "x", DType::Bool, Content::Mask(0.5)),
        case(json!({}), "yxc", DType::Bool, Content::Mask(0.5)),
        case(json!({"connectivity": 3}), "yx", DType::Bool, Content::Mask(0.5)),
    ]
}

/// Flood fill of the background; what holds no voxel of the edge is filled.
fn reference(with: &Json, inputs: &[Vec<Array>]) -> Expected {
    let Ok(op) = serde_json::from_value::<FillHoles>(with.clone()) else { return Expected::Refused };
    if inputs[0].iter().any(|a| check(&a.meta, op.connectivity).is_err()) {
        return Expected::Refused;
    }
    crate::reference::mask(inputs, |a| {
        let strides = a.meta.region().strides();
        let edge = |i: usize| {
            let mut axes = strides.iter().zip(&a.meta.shape);
            axes.any(|(s, &n)| [0, n - 1].contains(&((i / s) as u64 % n)))
        };
        let background: Vec<bool> = a.to_f64().into_iter().map(|x| x == 0.0).collect();
        let mut filled: Vec<bool> = background.iter().map(|b| !b).collect();
        for component in flooded(&background, &a.meta, op.connectivity) {
            if !component.iter().any(|&i| edge(i)) {
                component.iter().for_each(|&i| filled[i] = true);
            }
        }
        filled
    })
}

//! `remove_small`: objects of too few voxels become background.

use super::small_labels::{Removed, Sizes};
use crate::label::choose::{self, Choose, Rule, flooded};
use ops_core::contract::{Array, Case, Content, Expected, Input};
use ops_core::{
    ArrayMeta, DType, Element, InputKind, InputSpec, Lowering, Op, OpError, Port, Scope, register_op, with_dtype,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// Removes small objects: connected components of a mask, or labels of a label image, of fewer than `min_size` voxels
/// become background.
///
/// Of a mask (dtype `bool`) an object is a connected component. Of a label image (integers, 0 for background) it is all
/// that has one number, whether it is connected or not. All axes of the input are spatial.
///
/// **Result.** Same shape, axes and dtype; labels that stay keep their numbers. It is that of the whole array, whatever
/// blocks it is computed in. A label below 0 is an error.
///
/// **Boundary.** Objects end at the edge of the array. **Memory.** For a mask as `label`: of arrays up to about 9 million
/// voxels, until the last block is written, a bit for each voxel and some 13 bytes for every run of foreground along the last
/// axis, at most 7 bytes a voxel for the worst of inputs; of larger ones the faces of cells, at most 128 MiB. For a label image at most `max_labels` rows (fewer where a block, the
/// array or the dtype of the labels has room for fewer) of 48 bytes, and four bytes for each voxel of a block.
///
/// **Reference.** `skimage.morphology.remove_small_objects(input, max_size=min_size - 1, connectivity=connectivity)`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoveSmall {
    /// The fewest voxels of an object that stays.
    #[schemars(range(min = 1, max = 4_294_967_295_u64))]
    min_size: u64,
    /// For a mask, along how many axes touching voxels may differ, by one each: 1 for faces, which is meant where it is
    /// left out, up to the number of axes for corners.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3))]
    connectivity: Option<u64>,
    /// For a label image, how many different labels memory is set aside for: 16384 where it is left out. An image with
    /// more is an error that says what to write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    max_labels: Option<u64>,
}

/// Labels that memory is set aside for where nothing is said.
const LABELS: u64 = 16_384;

impl RemoveSmall {
    /// The fewest voxels; checks all that depends on parameters and metadata only.
    fn check(&self, meta: &ArrayMeta) -> Result<u32, OpError> {
        let least = u32::try_from(self.min_size).ok().filter(|&n| n > 0);
        let least =
            least.ok_or_else(|| OpError::param("min_size", format!("from 1 to {}", u32::MAX), self.min_size))?;
        choose::check(meta, if meta.dtype == DType::Bool { self.connectivity.unwrap_or(1) } else { 1 })?;
        if meta.dtype.is_float() {
            let help = "make a mask with `threshold` or labels with `label`, or cast what holds whole numbers";
            return Err(OpError::input(0, "a mask (bool) or labels (an integer dtype)", meta, help));
        }
        match (meta.dtype, self.connectivity, self.max_labels) {
            (DType::Bool, _, Some(n)) => Err(OpError::param("max_labels", "nothing, as the input is a mask", n)),
            (DType::Bool, ..) => Ok(least),
            (_, Some(n), _) => {
                let expected = "nothing, as the input has labels: what has one number is one object";
                Err(OpError::param("connectivity", expected, n))
            }
            (_, _, Some(0)) => Err(OpError::param("max_labels", "at least 1", 0)),
            _ => Ok(least),
        }
    }
}

impl Op for RemoveSmall {
    fn lower(&self, g: &mut Lowering, inputs: &[Port]) -> Result<Port, OpError> {
        let a = g.array(inputs, 0)?;
        let least = self.check(g.meta(a))?;
        if g.meta(a).dtype == DType::Bool {
            let large = Choose { connectivity: self.connectivity.unwrap_or(1), rule: Rule::Size(least) };
            return Ok(Port::Array(choose::lower(g, a, large, false, ("remove_small.sizes", "remove_small"))?));
        }
        let sizes = Sizes { least: u64::from(least), most: self.max_labels.unwrap_or(LABELS) };
        let small = g.reduce("remove_small.sizes", sizes, &[a], &[], Scope::Item)?;
        Ok(Port::Array(g.map("remove_small", Removed, &[a], &[small])?))
    }
}

register_op!(RemoveSmall {
    name: "remove_small",
    domain: "morphology",
    inputs: &[InputSpec {
        name: "input",
        kind: InputKind::Array,
        doc: "A mask, or labels of an integer dtype, of spatial axes."
    }],
    makes_table: false,
    example: "large: {op: remove_small, input: mask, with: {min_size: 64}}",
    cases: cases,
});

fn cases() -> Vec<Case> {
    let case = |with: Json, axes, dtype, content| {
        Case::new(with, vec![Input::new(axes, dtype).content(content)]).expecting(reference)
    };
    vec![
        case(json!({"min_size": 4}), "yx", DType::Bool, Content::Mask(0.4)),
        case(json!({"min_size": 9, "connectivity": 2}), "yx", DType::Bool, Content::Mask(0.25)),
        case(json!({"min_size": 5}), "zyx", DType::Bool, Content::Mask(0.25)),
        case(json!({"min_size": 6, "connectivity": 3}), "zyx", DType::Bool, Content::Mask(0.06)),
        case(json!({"min_size": 2}), "x", DType::Bool, Content::Mask(0.5)),
        case(json!({"min_size": 9}), "yx", DType::UInt16, Content::Labels(90)),
        case(json!({"min_size": 20, "max_labels": 40}), "zyx", DType::Int32, Content::Labels(20)),
        case(json!({"min_size": 5}), "yx", DType::UInt8, Content::Noise),
        case(json!({"min_size": 1}), "yx", DType::UInt64, Content::Noise),
        case(json!({"min_size": 2}), "yx", DType::Int8, Content::Noise),
        case(json!({"min_size": 2, "max_labels": 3}), "yx", DType::UInt8, Content::Labels(40)),
        case(json!({"min_size": 2, "connectivity": 1}), "yx", DType::UInt8, Content::Labels(4)),
        case(json!({"min_size": 0}), "yx", DType::Bool, Content::Mask(0.5)),
        case(json!({"min_size": 2}), "yx", DType::Float32, Content::Labels(4)),
        case(json!({"min_size": 2}), "cyx", DType::Bool, Content::Mask(0.5)),
    ]
}

/// Flood fill of the mask, or each label counted.
fn reference(with: &Json, inputs: &[Vec<Array>]) -> Expected {
    let Ok(op) = serde_json::from_value::<RemoveSmall>(with.clone()) else { return Expected::Refused };
    let mut items = Vec::new();
    for a in &inputs[0] {
        let values = a.to_f64();
        let mut different: Vec<f64> = values.iter().copied().filter(|&v| v != 0.0).collect();
        different.sort_by(f64::total_cmp);
        different.dedup();
        let most = op.max_labels.unwrap_or(LABELS);
        if op.check(&a.meta).is_err() || different.len() as u64 > most || different.first().is_some_and(|&v| v < 0.0) {
            return Expected::Refused;
        }
        items.push(with_dtype!(a.meta.dtype, T => {
            let mut out = a.block.as_slice::<T>().to_vec();
            if a.meta.dtype == DType::Bool {
                let foreground: Vec<bool> = values.iter().map(|&v| v != 0.0).collect();
                for component in flooded(&foreground, &a.meta, op.connectivity.unwrap_or(1)) {
                    if (component.len() as u64) < op.min_size {
                        component.into_iter().for_each(|i| out[i] = T::default());
                    }
                }
            } else {
                let keys: Vec<u64> = out.iter().map(|v| v.order_key()).collect();
                let size = |key: u64| keys.iter().filter(|k| **k == key).count() as u64;
                let small = out.iter_mut().zip(&keys).filter(|(_, key)| size(**key) < op.min_size);
                small.for_each(|(v, _)| *v = T::default());
            }
            bytemuck::cast_slice(&out).to_vec()
        }));
    }
    Expected::Bytes(items)
}

//! `distance_transform`: how far the nearest background is.

use super::envelope::{Envelope, Finish};
use super::nearest::Nearest;
use crate::filter::params::{spatial, wrong_count};
use ops_core::contract::{Array, Case, Content, Expected, Input};
use ops_core::{ArrayMeta, DType, InputKind, InputSpec, Lowering, Op, OpError, Port, register_op};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// The exact Euclidean distance of every foreground element from the nearest background, centre to centre; 0 in the
/// background.
///
/// What is not zero is foreground (NaN too). Axes that are not spatial are taken one by one.
///
/// **Result.** Same shape and axes, dtype `float64`. Without `sampling` squared distances are whole numbers and exact, and
/// a distance is their square root, correctly rounded; with it each is off by a few roundings. Where there is no
/// background at all distances are infinite (scipy's mean nothing there).
///
/// **Boundary.** None: beyond the edge of the array is neither foreground nor background. **Memory.** One pass for each
/// spatial axis, from the last to the first: the first writes 4 bytes a voxel, others 8. A pass works
/// on whole lines along its axis. Where no block that is not too large has whole lines of two passes, what lies between them
/// is kept, or spilled to scratch. Scratch of 80 bytes for each element of a line. **Cost.** Linear in the voxels
/// of the lines, whatever the distances.
///
/// **Reference.** `scipy.ndimage.distance_transform_edt(input, sampling)`. Lower envelopes of parabolas: Felzenszwalb and
/// Huttenlocher 2012; Meijster, Roerdink and Hesselink 2000.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DistanceTransform {
    /// Distance between neighbouring elements: one number, or one for each spatial axis in the order of the axes. 1 where
    /// it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sampling: Option<Sampling>,
    /// The square of the distance instead.
    #[serde(default)]
    squared: bool,
}

/// One distance, or one for each spatial axis.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
enum Sampling {
    /// The same along every spatial axis.
    All(f64),
    /// One for each spatial axis.
    Each(Vec<f64>),
}

impl DistanceTransform {
    /// The distance between neighbours along each spatial axis.
    fn steps(&self, meta: &ArrayMeta) -> Result<Vec<f64>, OpError> {
        let rank = spatial(meta)?.len();
        let steps = match &self.sampling {
            None => vec![1.0; rank],
            Some(Sampling::All(s)) => vec![*s; rank],
            Some(Sampling::Each(v)) if v.len() == rank => v.clone(),
            Some(Sampling::Each(v)) => return Err(wrong_count("sampling", meta, v.len())),
        };
        match steps.iter().find(|s| !(**s > 0.0 && s.is_finite())) {
            Some(bad) => Err(OpError::param("sampling", "finite numbers above 0", bad)),
            None => Ok(steps),
        }
    }
}

impl Op for DistanceTransform {
    fn lower(&self, g: &mut Lowering, inputs: &[Port]) -> Result<Port, OpError> {
        let mut a = g.array(inputs, 0)?;
        let (axes, steps) = (spatial(g.meta(a))?, self.steps(g.meta(a))?);
        let mut passes = axes.iter().copied().zip(steps).rev();
        let Some((axis, along)) = passes.next() else {
            return Err(OpError::Internal("a distance without an axis".into()));
        };
        a = g.map("distance.nearest", Nearest { axis }, &[a], &[])?;
        let root = |first: bool| first && !self.squared;
        if axes.len() == 1 {
            let finish = Finish { step: along, root: root(true) };
            return Ok(Port::Array(g.map("distance", finish, &[a], &[])?));
        }
        for (axis, step) in passes {
            let envelope = Envelope { axis, step, along, root: root(axis == axes[0]) };
            a = g.map("distance.envelope", envelope, &[a], &[])?;
        }
        Ok(Port::Array(a))
    }
}

register_op!(DistanceTransform {
    name: "distance_transform",
    domain: "morphology",
    inputs: &[InputSpec {
        name: "input",
        kind: InputKind::Array,
        doc: "An array with a spatial axis; what is not 0 is foreground."
    }],
    makes_table: false,
    example: "depth: {op: distance_transform, input: mask}",
    cases: cases,
});

fn cases() -> Vec<Case> {
    let case = |with: Json, axes, dtype, content| {
        Case::new(with, vec![Input::new(axes, dtype).content(content)]).expecting(reference)
    };
    vec![
        case(json!({}), "yx", DType::Bool, Content::Mask(0.97)),
        case(json!({"squared": true}), "yx", DType::UInt8, Content::Mask(0.995)),
        case(json!({}), "yx", DType::Bool, Content::Mask(0.7)),
        case(json!({}), "zyx", DType::Bool, Content::Mask(0.98)),
        case(json!({"sampling": [2.5, 0.7, 1.0]}), "zyx", DType::Float64, Content::Mask(0.98)),
        case(json!({"sampling": 0.3, "squared": true}), "yxc", DType::Int16, Content::Mask(0.95)),
        case(json!({"sampling": [1, 3]}), "tcyx", DType::Float32, Content::Mask(0.9)),
        case(json!({}), "x", DType::UInt32, Content::Mask(0.8)),
        case(json!({"sampling": 2, "squared": true}), "x", DType::Bool, Content::Mask(0.8)),
        case(json!({}), "yx", DType::Bool, Content::Constant(1.0)),
        case(json!({}), "tzcyx", DType::Bool, Content::Mask(0.9)),
        case(json!({"sampling": [1, 2, 3]}), "yx", DType::Bool, Content::Mask(0.9)),
        case(json!({"sampling": 0}), "yx", DType::Bool, Content::Mask(0.9)),
    ]
}

/// The nearest of all background elements of the same channel and time point.
fn reference(with: &Json, inputs: &[Vec<Array>]) -> Expected {
    let Ok(op) = serde_json::from_value::<DistanceTransform>(with.clone()) else { return Expected::Refused };
    let mut items = Vec::new();
    for a in &inputs[0] {
        let Ok(steps) = op.steps(&a.meta) else { return Expected::Refused };
        let (values, strides, axes) = (a.to_f64(), a.meta.region().strides(), a.meta.axes.spatial());
        let at = |i: usize| -> Vec<i64> {
            strides.iter().zip(&a.meta.shape).map(|(s, &n)| ((i / s) as u64 % n) as i64).collect()
        };
        let background: Vec<Vec<i64>> = (0..values.len()).filter(|&i| values[i] == 0.0).map(at).collect();
        let far = |here: &[i64], there: &[i64]| -> f64 {
            let apart = (0..here.len()).any(|k| !axes.contains(&k) && here[k] != there[k]);
            let along = axes.iter().zip(&steps).map(|(&k, s)| ((here[k] - there[k]) as f64 * s).powi(2));
            if apart { f64::INFINITY } else { along.sum() }
        };
        items.push(
            (0..values.len())
                .map(|i| {
                    let here = at(i);
                    let least = background.iter().map(|b| far(&here, b)).fold(f64::INFINITY, f64::min);
                    if op.squared { least } else { least.sqrt() }
                })
                .collect(),
        );
    }
    match op.sampling {
        // Whole numbers, and their correctly rounded roots: bit by bit.
        None => Expected::Bytes(items.iter().map(|v: &Vec<f64>| bytemuck::cast_slice(v).to_vec()).collect()),
        Some(_) => Expected::Close(items, 1e-13),
    }
}

//! `uniform`: the mean over a window.

use super::correlate::{Correlate, Kernels};
use super::params::{Compat, OutputDType, Size, check_compat, spatial, store};
use super::separable::Kernel;
use crate::elementwise::Store;
use ops_core::contract::{Array, Case, Content, Expected, Input};
use ops_core::{ArrayMeta, Boundary, DType, InputKind, InputSpec, Lowering, Op, OpError, Port, register_op};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// Replaces each element by the mean of a window around it along the spatial axes.
///
/// **Result.** Same shape and axes, `float64` whatever the input, or the input's dtype with `dtype: input` (rounded half
/// to even and saturated once, at the end). The sum over the whole window is divided once, so means of integers are
/// correctly rounded. Each window is summed for itself: a NaN or an infinity reaches no further than its windows, and no
/// rounding error runs along a line. 64-bit integers are read as float64. Where a size is even the window has one
/// element more on the low side.
///
/// **Boundary.** As `boundary` says; the modes are scipy's. **Memory.** Up to 32 rows of scratch for an image (256 KiB,
/// or four rows where those are more), as many planes and rows for a volume; a halo of half the size.
///
/// **Reference.** `scipy.ndimage.uniform_filter(input, size, mode=boundary, output=float64)`; with `compat: scipy` and
/// integers of up to 32 bits `scipy.ndimage.uniform_filter(input, size, mode=boundary)`, which cuts the fraction off
/// after every axis.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Uniform {
    /// Extent of the window in elements: one number, or one for each spatial axis in the order of the axes.
    size: Size,
    /// What stands beyond the edge of the array.
    #[serde(default)]
    boundary: Boundary,
    /// The dtype of the result.
    #[serde(default)]
    dtype: OutputDType,
    /// `scipy`: that library's integers, cut off after every axis. Only with `dtype: input`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    compat: Option<Compat>,
}

/// Means over windows of one size along some axes.
#[derive(Debug, Clone)]
pub(crate) struct Means {
    size: Size,
    /// The only axis, where not all spatial ones are meant.
    only: Option<usize>,
}

impl Means {
    /// Along all spatial axes.
    pub(crate) fn over(size: &Size) -> Means {
        Means { size: size.clone(), only: None }
    }
}

impl Kernels for Means {
    fn kernels(&self, meta: &ArrayMeta) -> Result<Vec<Kernel>, OpError> {
        let extents = self.size.extents(meta)?.into_iter().enumerate();
        Ok(extents.map(|(a, n)| Kernel::Ones(if self.only.is_none_or(|o| o == a) { n } else { 1 })).collect())
    }

    fn divisor(&self, kernels: &[Kernel]) -> f64 {
        kernels.iter().map(|k| k.taps() as f64).product()
    }

    fn nanos(&self) -> f32 {
        0.5 + 0.1 * self.size.widest() as f32
    }
}

impl Op for Uniform {
    fn lower(&self, g: &mut Lowering, inputs: &[Port]) -> Result<Port, OpError> {
        let mut a = g.array(inputs, 0)?;
        check_compat(self.compat, self.dtype, g.meta(a).dtype, 32)?;
        let (size, boundary, dtype) = (self.size.clone(), self.boundary, self.dtype);
        if self.compat.is_none() {
            let map = Correlate { kernels: Means { size, only: None }, boundary, dtype, store: store(None) };
            return Ok(Port::Array(g.map("uniform", map, &[a], &[])?));
        }
        for axis in spatial(g.meta(a))? {
            let kernels = Means { size: size.clone(), only: Some(axis) };
            a = g.map("uniform", Correlate { kernels, boundary, dtype, store: Store::Truncated }, &[a], &[])?;
        }
        Ok(Port::Array(a))
    }
}

register_op!(Uniform {
    name: "uniform",
    domain: "filter",
    inputs: &[InputSpec { name: "input", kind: InputKind::Array, doc: "An array of any dtype with a spatial axis." }],
    makes_table: false,
    example: "mean: {op: uniform, input: image, with: {size: 5}}",
    cases: cases,
});

fn cases() -> Vec<Case> {
    let case = |with: Json, axes, dtype, content| {
        Case::new(with, vec![Input::new(axes, dtype).content(content)]).expecting(reference)
    };
    vec![
        case(json!({"size": 3}), "yx", DType::Float64, Content::Noise),
        case(json!({"size": [4, 3]}), "yxc", DType::UInt8, Content::Noise),
        case(json!({"size": [3, 1, 2]}), "zyx", DType::Float32, Content::Noise),
        case(json!({"size": [2, 5], "dtype": "input"}), "cyx", DType::Int16, Content::Noise),
        case(json!({"size": 3, "dtype": "input", "compat": "scipy"}), "zyx", DType::UInt8, Content::Noise),
        case(json!({"size": [4, 3], "dtype": "input", "compat": "scipy"}), "yx", DType::Int32, Content::Noise),
        case(json!({"size": 6}), "tzcyx", DType::UInt16, Content::Noise),
        case(json!({"size": 2}), "yx", DType::Bool, Content::Mask(0.5)),
        case(json!({"size": 0}), "yx", DType::UInt8, Content::Noise),
        case(json!({"size": [3, 3, 3]}), "yx", DType::UInt8, Content::Noise),
        case(json!({"size": 3, "dtype": "input", "compat": "scipy"}), "yx", DType::Float32, Content::Noise),
    ]
}

/// The mean of each window; for `compat: scipy` axis by axis, cut off in between.
fn reference(with: &Json, inputs: &[Vec<Array>]) -> Expected {
    let Ok(op) = serde_json::from_value::<Uniform>(with.clone()) else { return Expected::Refused };
    let refused =
        |a: &Array| op.size.extents(&a.meta).is_err() || check_compat(op.compat, op.dtype, a.meta.dtype, 32).is_err();
    if inputs[0].iter().any(refused) {
        return Expected::Refused;
    }
    crate::reference::rounded(inputs, op.dtype == OutputDType::Input, |a| {
        let extents = op.size.extents(&a.meta).unwrap_or_default();
        let mean = |v: &[f64], extents: &[usize]| -> Vec<f64> {
            let value = |at: &Option<usize>| at.map_or(0.0, |i| v[i]);
            let windows = crate::reference::windows(&a.meta, op.boundary, extents);
            windows.iter().map(|w| w.iter().map(value).sum::<f64>() / w.len() as f64).collect()
        };
        if op.compat.is_none() {
            return mean(&a.to_f64(), &extents);
        }
        (0..extents.len()).fold(a.to_f64(), |v, axis| {
            let one: Vec<usize> = (0..extents.len()).map(|i| if i == axis { extents[i] } else { 1 }).collect();
            mean(&v, &one).into_iter().map(f64::trunc).collect()
        })
    })
}

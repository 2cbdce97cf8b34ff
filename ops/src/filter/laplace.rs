//! `laplace`: the sum of the second differences.

use super::combine::{Combine, How};
use super::correlate::{Correlate, Kernels};
use super::params::{Compat, OutputDType, check_compat, spatial, store};
use super::separable::Kernel;
use ops_core::contract::{Array, Case, Content, Expected, Input};
use ops_core::{ArrayMeta, Boundary, DType, InputKind, InputSpec, Lowering, Op, OpError, Port, register_op};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// Adds up the second differences along the spatial axes: `1 -2 1` along each.
///
/// **Result.** Same shape and axes, `float64` whatever the input, or the input's dtype with `dtype: input` (rounded half
/// to even and saturated once, at the end). 64-bit integers are read as float64.
///
/// **Boundary.** As `boundary` says; the modes are scipy's. **Memory.** A float64 block for each spatial axis; a halo of 1.
///
/// **Reference.** `scipy.ndimage.laplace(input, mode=boundary, output=float64)` on the spatial axes; with `compat: scipy`
/// and integers of up to 16 bits `scipy.ndimage.laplace(input, mode=boundary)`, whose results wrap round where they do
/// not fit.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Laplace {
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

/// The second difference along one axis of the array.
#[derive(Debug, Clone, Copy)]
struct Second {
    axis: usize,
}

impl Kernels for Second {
    fn kernels(&self, meta: &ArrayMeta) -> Result<Vec<Kernel>, OpError> {
        let kernel = |a| if a == self.axis { Kernel::Even(vec![-2.0, 1.0]) } else { Kernel::identity() };
        Ok((0..meta.rank()).map(kernel).collect())
    }
}

impl Op for Laplace {
    fn lower(&self, g: &mut Lowering, inputs: &[Port]) -> Result<Port, OpError> {
        let a = g.array(inputs, 0)?;
        let original = g.meta(a).dtype;
        check_compat(self.compat, self.dtype, original, 16)?;
        let parts: Vec<_> = spatial(g.meta(a))?
            .into_iter()
            .map(|axis| {
                let (dtype, boundary) = (OutputDType::Float64, self.boundary);
                g.map("second", Correlate { kernels: Second { axis }, boundary, dtype, store: store(None) }, &[a], &[])
            })
            .collect::<Result<_, _>>()?;
        let combine = Combine { how: How::Sum, dtype: self.dtype, original, store: store(self.compat) };
        Ok(Port::Array(g.map("laplace", combine, &parts, &[])?))
    }
}

register_op!(Laplace {
    name: "laplace",
    domain: "filter",
    inputs: &[InputSpec { name: "input", kind: InputKind::Array, doc: "An array of any dtype with a spatial axis." }],
    makes_table: false,
    example: "spots: {op: laplace, input: image, with: {boundary: nearest}}",
    cases: cases,
});

fn cases() -> Vec<Case> {
    let case = |with: Json, axes, dtype, content| {
        Case::new(with, vec![Input::new(axes, dtype).content(content)]).expecting(reference)
    };
    vec![
        case(json!({}), "yx", DType::Float64, Content::Noise),
        case(json!({}), "yxc", DType::UInt8, Content::Noise),
        case(json!({"dtype": "input"}), "tzcyx", DType::Int16, Content::Noise),
        case(json!({"dtype": "input", "compat": "scipy"}), "zyx", DType::UInt16, Content::Noise),
        case(json!({}), "cyx", DType::Bool, Content::Mask(0.5)),
        case(json!({"compat": "scipy"}), "yx", DType::UInt8, Content::Noise),
        case(json!({"dtype": "input", "compat": "scipy"}), "yx", DType::Int32, Content::Noise),
    ]
}

/// The sum over the neighbours along each axis, element by element.
fn reference(with: &Json, inputs: &[Vec<Array>]) -> Expected {
    let Ok(op) = serde_json::from_value::<Laplace>(with.clone()) else { return Expected::Refused };
    if inputs[0].iter().any(|a| check_compat(op.compat, op.dtype, a.meta.dtype, 16).is_err()) {
        return Expected::Refused;
    }
    crate::reference::rounded(inputs, op.dtype == OutputDType::Input, |a| {
        let v = a.to_f64();
        let mut sums = vec![0.0; v.len()];
        for axis in a.meta.axes.spatial() {
            let part = crate::reference::correlated(&v, &a.meta, axis, &[1.0, -2.0, 1.0], op.boundary);
            sums.iter_mut().zip(part).for_each(|(s, p)| *s += p);
        }
        let wrap = |x: f64| if op.compat.is_some() { crate::reference::wrapped(x, a.meta.dtype) } else { x };
        sums.into_iter().map(wrap).collect()
    })
}

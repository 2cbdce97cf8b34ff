//! `gaussian_gradient_magnitude`: how steep the smoothed input is.

use super::combine::{Combine, How};
use super::correlate::Correlate;
use super::gaussian::{Gaussian, Sigma, four};
use super::gaussian_derivative::Derivatives;
use super::params::{OutputDType, spatial, store};
use ops_core::contract::{Array, Case, Content, Expected, Input};
use ops_core::{Boundary, DType, InputKind, InputSpec, Lowering, Op, OpError, Port, register_op};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// Says how steep the smoothed input is: the root of the sum of the squares of its derivatives along the spatial axes.
///
/// **Result.** Same shape and axes, `float64` whatever the input, or the input's dtype with `dtype: input` (rounded half
/// to even and saturated once, at the end). 64-bit integers are read as float64.
///
/// **Boundary.** As `boundary` says; the modes are scipy's. **Memory.** A float64 block for each spatial axis, and the
/// scratch of `gaussian`; a halo of its radius `int(truncate * sigma + 0.5)`.
///
/// **Reference.** `scipy.ndimage.gaussian_gradient_magnitude(input, sigma, mode=boundary, truncate=truncate,
/// output=float64)` on the spatial axes.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GaussianGradientMagnitude {
    /// Standard deviation in elements: one number, or one for each spatial axis in the order of the axes.
    sigma: Sigma,
    /// What stands beyond the edge of the array.
    #[serde(default)]
    boundary: Boundary,
    /// Standard deviations after which the weights are cut.
    #[serde(default = "four")]
    #[schemars(range(min = 0.0))]
    truncate: f64,
    /// The dtype of the result.
    #[serde(default)]
    dtype: OutputDType,
}

impl GaussianGradientMagnitude {
    fn smooth(&self) -> Gaussian {
        Gaussian::part(self.sigma.clone(), self.boundary, self.truncate)
    }
}

impl Op for GaussianGradientMagnitude {
    fn lower(&self, g: &mut Lowering, inputs: &[Port]) -> Result<Port, OpError> {
        let a = g.array(inputs, 0)?;
        spatial(g.meta(a))?;
        let original = g.meta(a).dtype;
        let parts: Vec<_> = Derivatives::along_each(&self.smooth(), g.meta(a), 1)
            .into_iter()
            .map(|kernels| {
                let (dtype, boundary) = (OutputDType::Float64, self.boundary);
                g.map("gaussian_derivative", Correlate { kernels, boundary, dtype, store: store(None) }, &[a], &[])
            })
            .collect::<Result<_, _>>()?;
        let combine = Combine { how: How::Magnitude, dtype: self.dtype, original, store: store(None) };
        Ok(Port::Array(g.map("gaussian_gradient_magnitude", combine, &parts, &[])?))
    }
}

register_op!(GaussianGradientMagnitude {
    name: "gaussian_gradient_magnitude",
    domain: "filter",
    inputs: &[InputSpec { name: "input", kind: InputKind::Array, doc: "An array of any dtype with a spatial axis." }],
    makes_table: false,
    example: "edges: {op: gaussian_gradient_magnitude, input: image, with: {sigma: 2}}",
    cases: cases,
});

fn cases() -> Vec<Case> {
    let case = |with: Json, axes, dtype, content| {
        Case::new(with, vec![Input::new(axes, dtype).content(content)]).expecting(reference)
    };
    vec![
        case(json!({"sigma": 1.0}), "yx", DType::Float64, Content::Noise),
        case(json!({"sigma": [1.2, 0.8]}), "yxc", DType::UInt8, Content::Noise),
        case(json!({"sigma": [0.3, 0.3, 0.35], "dtype": "input"}), "zyx", DType::Int16, Content::Noise),
        case(json!({"sigma": 0}), "yx", DType::Float64, Content::Noise).expecting(|_, _| Expected::Refused),
    ]
}

/// Each part by the closed form of its weights, tap by tap.
fn reference(with: &Json, inputs: &[Vec<Array>]) -> Expected {
    let Ok(op) = serde_json::from_value::<GaussianGradientMagnitude>(with.clone()) else { return Expected::Refused };
    crate::reference::rounded(inputs, op.dtype == OutputDType::Input, |a| {
        let parts: Vec<Vec<f64>> =
            Derivatives::along_each(&op.smooth(), &a.meta, 1).iter().map(|d| d.naive(a)).collect();
        (0..parts[0].len()).map(|i| parts.iter().map(|p| p[i] * p[i]).sum::<f64>().sqrt()).collect()
    })
}

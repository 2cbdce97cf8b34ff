//! `unsharp_mask`: sharpening by what smoothing takes away.

use super::combine::{Combine, How};
use super::gaussian::{Gaussian, Sigma, four};
use super::params::{OutputDType, store};
use ops_core::contract::{Array, Case, Content, Expected, Input};
use ops_core::{Boundary, DType, InputKind, InputSpec, Lowering, Op, OpError, Port, register_op};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// Sharpens: adds what a Gaussian takes away, `amount` times.
///
/// **Result.** `x + (x - smoothed) * amount`, same shape and axes, `float64` whatever the input, or the input's dtype with
/// `dtype: input` (rounded half to even and saturated once, at the end). Values are not rescaled. 64-bit integers are
/// read as float64.
///
/// **Boundary.** As `boundary` says; the modes are scipy's. **Memory.** A float64 block, and the scratch of `gaussian`; a
/// halo of its radius `int(truncate * sigma + 0.5)`.
///
/// **Reference.** `skimage.filters.unsharp_mask(input, radius=sigma, amount=amount, preserve_range=True)`, which is
/// `boundary: reflect` always.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnsharpMask {
    /// Standard deviation in elements: one number, or one for each spatial axis in the order of the axes.
    #[serde(default = "one_for_all")]
    sigma: Sigma,
    /// How many times the difference is added; below 0 smooths.
    #[serde(default = "one")]
    amount: f64,
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

fn one() -> f64 {
    1.0
}

fn one_for_all() -> Sigma {
    Sigma::All(1.0)
}

impl UnsharpMask {
    fn smooth(&self) -> Gaussian {
        Gaussian::part(self.sigma.clone(), self.boundary, self.truncate)
    }
}

impl Op for UnsharpMask {
    fn lower(&self, g: &mut Lowering, inputs: &[Port]) -> Result<Port, OpError> {
        let a = g.array(inputs, 0)?;
        if !self.amount.is_finite() {
            return Err(OpError::param("amount", "a finite number", self.amount));
        }
        let original = g.meta(a).dtype;
        let smooth = g.map("gaussian", self.smooth(), &[a], &[])?;
        let combine = Combine { how: How::Sharpened(self.amount), dtype: self.dtype, original, store: store(None) };
        Ok(Port::Array(g.map("unsharp_mask", combine, &[a, smooth], &[])?))
    }
}

register_op!(UnsharpMask {
    name: "unsharp_mask",
    domain: "filter",
    inputs: &[InputSpec { name: "input", kind: InputKind::Array, doc: "An array of any dtype with a spatial axis." }],
    makes_table: false,
    example: "sharp: {op: unsharp_mask, input: image, with: {sigma: 2, amount: 0.5}}",
    cases: cases,
});

fn cases() -> Vec<Case> {
    let case = |with: Json, axes, dtype, content| {
        Case::new(with, vec![Input::new(axes, dtype).content(content)]).expecting(reference)
    };
    vec![
        case(json!({}), "yx", DType::Float64, Content::Noise),
        case(json!({"sigma": [0.0, 1.0], "amount": 2.5}), "yxc", DType::UInt8, Content::Noise),
        case(json!({"sigma": 0.6, "amount": 3, "dtype": "input"}), "zyx", DType::UInt8, Content::Noise),
        case(json!({"sigma": 0.6, "amount": -0.5, "dtype": "input"}), "cyx", DType::Int16, Content::Noise),
        case(json!({"dtype": "input"}), "yx", DType::Bool, Content::Mask(0.5)).expecting(|_, _| Expected::Refused),
    ]
}

fn reference(with: &Json, inputs: &[Vec<Array>]) -> Expected {
    let Ok(op) = serde_json::from_value::<UnsharpMask>(with.clone()) else { return Expected::Refused };
    crate::reference::rounded(inputs, op.dtype == OutputDType::Input, |a| {
        a.to_f64().into_iter().zip(op.smooth().naive(a)).map(|(x, s)| x + op.amount * (x - s)).collect()
    })
}

//! `difference_of_gaussians`: what lies between two scales.

use super::combine::{Combine, How};
use super::gaussian::{Gaussian, Sigma, four};
use super::params::{OutputDType, store};
use ops_core::contract::{Array, Case, Content, Expected, Input};
use ops_core::{Boundary, DType, InputKind, InputSpec, Lowering, Op, OpError, Port, register_op};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// How many times `low_sigma` the other standard deviation is where it is left out: Marr and Hildreth's.
const RATIO: f64 = 1.6;

/// Smooths twice, less and more, and subtracts the second: what is left is of a size between the two.
///
/// **Result.** Same shape and axes, `float64` whatever the input, or the input's dtype with `dtype: input` (rounded half
/// to even and saturated once, at the end). Values are not rescaled. 64-bit integers are read as float64.
///
/// **Boundary.** As `boundary` says; the modes are scipy's. **Memory.** Two float64 blocks, and the scratch of `gaussian`; a
/// halo of `int(truncate * high_sigma + 0.5)`.
///
/// **Reference.** `scipy.ndimage.gaussian_filter` of `low_sigma` less that of `high_sigma`, output float64;
/// `skimage.filters.difference_of_gaussians` for float input, with `boundary: nearest`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DifferenceOfGaussians {
    /// The smaller standard deviation in elements: one number, or one for each spatial axis in the order of the axes.
    low_sigma: Sigma,
    /// The larger one; 1.6 times the smaller where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    high_sigma: Option<Sigma>,
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

impl DifferenceOfGaussians {
    /// Both smoothings.
    fn parts(&self) -> [Gaussian; 2] {
        let high = self.high_sigma.clone().unwrap_or_else(|| match &self.low_sigma {
            Sigma::All(s) => Sigma::All(RATIO * s),
            Sigma::Each(v) => Sigma::Each(v.iter().map(|s| RATIO * s).collect()),
        });
        [self.low_sigma.clone(), high].map(|s| Gaussian::part(s, self.boundary, self.truncate))
    }
}

impl Op for DifferenceOfGaussians {
    fn lower(&self, g: &mut Lowering, inputs: &[Port]) -> Result<Port, OpError> {
        let a = g.array(inputs, 0)?;
        let (original, [low, high]) = (g.meta(a).dtype, self.parts());
        let pairs = low.sigmas(g.meta(a))?.into_iter().zip(high.sigmas(g.meta(a))?);
        if let Some((Some(low), Some(high))) = pairs.into_iter().find(|(low, high)| low > high) {
            return Err(OpError::param("high_sigma", format!("at least `low_sigma` ({low})"), high));
        }
        let (low, high) = (g.map("gaussian", low, &[a], &[])?, g.map("gaussian", high, &[a], &[])?);
        let combine = Combine { how: How::Difference, dtype: self.dtype, original, store: store(None) };
        Ok(Port::Array(g.map("difference", combine, &[low, high], &[])?))
    }
}

register_op!(DifferenceOfGaussians {
    name: "difference_of_gaussians",
    domain: "filter",
    inputs: &[InputSpec { name: "input", kind: InputKind::Array, doc: "An array of any dtype with a spatial axis." }],
    makes_table: false,
    example: "spots: {op: difference_of_gaussians, input: image, with: {low_sigma: 1, high_sigma: 3}}",
    cases: cases,
});

fn cases() -> Vec<Case> {
    let case = |with: Json, axes, dtype, content| {
        Case::new(with, vec![Input::new(axes, dtype).content(content)]).expecting(reference)
    };
    vec![
        case(json!({"low_sigma": 0.7}), "yx", DType::Float64, Content::Noise),
        case(json!({"low_sigma": [0.0, 1.0], "high_sigma": [0.6, 1.0]}), "yxc", DType::UInt8, Content::Noise),
        case(json!({"low_sigma": 0.5, "high_sigma": 0.9, "dtype": "input"}), "zyx", DType::Int16, Content::Noise),
        case(json!({"low_sigma": 2, "high_sigma": 1}), "yx", DType::UInt8, Content::Noise),
    ]
}

/// Both smoothings tap by tap, subtracted.
fn reference(with: &Json, inputs: &[Vec<Array>]) -> Expected {
    let Ok(op) = serde_json::from_value::<DifferenceOfGaussians>(with.clone()) else { return Expected::Refused };
    let [low, high] = op.parts();
    if inputs[0].iter().any(|a| match (low.sigmas(&a.meta), high.sigmas(&a.meta)) {
        (Ok(low), Ok(high)) => low.iter().zip(&high).any(|(l, h)| l > h),
        _ => true,
    }) {
        return Expected::Refused;
    }
    crate::reference::rounded(inputs, op.dtype == OutputDType::Input, |a| {
        let [low, high] = [&low, &high].map(|g| g.naive(a));
        low.into_iter().zip(high).map(|(l, h)| l - h).collect()
    })
}

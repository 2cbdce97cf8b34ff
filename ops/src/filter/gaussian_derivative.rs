//! `gaussian_derivative`: derivatives of the smoothed input.

use super::correlate::{Correlate, Kernels};
use super::gaussian::{Gaussian, Sigma, four, weights};
use super::params::{OutputDType, wrong_count};
use super::separable::Kernel;
use crate::elementwise::Store;
use ops_core::contract::{Array, Case, Content, Expected, Input};
use ops_core::{ArrayMeta, Boundary, DType, InputKind, InputSpec, Lowering, Op, OpError, Port, register_op};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// The highest derivative: beyond it the weights of float64 mean nothing.
const HIGHEST_ORDER: u32 = 8;

/// Derives by Gaussians along the spatial axes: smoothing and derivative in one; order 0 smooths.
///
/// **Result.** Same shape and axes, `float64` whatever the input, or the input's dtype with `dtype: input` (rounded half
/// to even and saturated once, at the end). The weights along an axis are those of `gaussian` times the polynomial by
/// which the derivative differs from it; they are not normalised again. 64-bit integers are read as float64.
///
/// **Boundary.** As `boundary` says; the modes are scipy's. **Memory.** The scratch of `gaussian`; a halo of the
/// radius `int(truncate * sigma + 0.5)`.
///
/// **Reference.** `scipy.ndimage.gaussian_filter(input, sigma, order, mode=boundary, truncate=truncate, output=float64)`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GaussianDerivative {
    /// Standard deviation in elements: one number, or one for each spatial axis in the order of the axes.
    sigma: Sigma,
    /// Which derivative along each axis: one number for all, or one for each spatial axis.
    order: Order,
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

/// One order, or one for each spatial axis.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
enum Order {
    /// The same along every spatial axis.
    All(#[schemars(range(min = 0, max = 8))] u32),
    /// One for each spatial axis.
    Each(Vec<u32>),
}

/// Gaussian derivatives along the axes of one array: what several ops are made of.
#[derive(Debug, Clone)]
pub(crate) struct Derivatives {
    /// The smoothing.
    pub(crate) smooth: Gaussian,
    /// The order along each spatial axis.
    pub(crate) orders: Vec<u32>,
}

impl Derivatives {
    /// One for each spatial axis: of that order along it, smoothed along the others.
    pub(crate) fn along_each(smooth: &Gaussian, meta: &ArrayMeta, order: u32) -> Vec<Derivatives> {
        let n = meta.axes.spatial().len();
        let orders = (0..n).map(|axis| (0..n).map(|a| if a == axis { order } else { 0 }).collect());
        orders.map(|orders| Derivatives { smooth: smooth.clone(), orders }).collect()
    }
}

impl Kernels for Derivatives {
    fn kernels(&self, meta: &ArrayMeta) -> Result<Vec<Kernel>, OpError> {
        let mut orders = self.orders.iter().copied();
        let sigmas = self.smooth.sigmas(meta)?.into_iter();
        sigmas
            .map(|sigma| match sigma {
                None => Ok(Kernel::identity()),
                Some(s) => derivative(s, orders.next().unwrap_or(0), self.smooth.radius(sigma) as usize),
            })
            .collect()
    }

    fn nanos(&self) -> f32 {
        self.smooth.nanos()
    }
}

/// The weights on the low side of a derivative, scipy's `_gaussian_kernel1d`.
fn derivative(sigma: f64, order: u32, radius: usize) -> Result<Kernel, OpError> {
    if order > 0 && radius == 0 {
        let expected = "a standard deviation above 0 (times `truncate` at least 0.5) along an axis that is derived";
        return Err(OpError::param("sigma", expected, sigma));
    }
    let smooth = weights(sigma, radius);
    if order == 0 {
        return Ok(Kernel::Even(smooth));
    }
    // The derivative of q(x) exp(p(x)) is (q' + q p') exp(p), with p' = -x / sigma^2.
    let slope = 1.0 / -(sigma * sigma);
    let mut q = vec![1.0];
    for _ in 0..order {
        let next = (0..=q.len()).map(|k| {
            let derived = q.get(k + 1).map_or(0.0, |c| (k + 1) as f64 * c);
            let times = if k > 0 { slope * q[k - 1] } else { 0.0 };
            derived + times
        });
        q = next.collect();
    }
    let half = smooth.iter().enumerate().map(|(d, w)| {
        let mut power = 1.0;
        let polynomial = q.iter().fold(0.0, |sum, c| {
            let term = power * c;
            power *= d as f64;
            sum + term
        });
        // scipy turns the weights round and correlates: on the low side stand those of positive x.
        polynomial * w
    });
    Ok(if order.is_multiple_of(2) { Kernel::Even(half.collect()) } else { Kernel::Odd(half.collect()) })
}

impl GaussianDerivative {
    fn orders(&self, meta: &ArrayMeta) -> Result<Vec<u32>, OpError> {
        let n = meta.axes.spatial().len();
        let orders = match &self.order {
            Order::All(k) => vec![*k; n],
            Order::Each(v) if v.len() == n => v.clone(),
            Order::Each(v) => return Err(wrong_count("order", meta, v.len())),
        };
        match orders.iter().find(|&&k| k > HIGHEST_ORDER) {
            Some(k) => Err(OpError::param("order", format!("a whole number from 0 to {HIGHEST_ORDER}"), k)),
            None => Ok(orders),
        }
    }
}

impl Op for GaussianDerivative {
    fn lower(&self, g: &mut Lowering, inputs: &[Port]) -> Result<Port, OpError> {
        let a = g.array(inputs, 0)?;
        let smooth = Gaussian::part(self.sigma.clone(), self.boundary, self.truncate);
        let kernels = Derivatives { smooth, orders: self.orders(g.meta(a))? };
        let map = Correlate { kernels, boundary: self.boundary, dtype: self.dtype, store: Store::Nearest };
        Ok(Port::Array(g.map("gaussian_derivative", map, &[a], &[])?))
    }
}

register_op!(GaussianDerivative {
    name: "gaussian_derivative",
    domain: "filter",
    inputs: &[InputSpec { name: "input", kind: InputKind::Array, doc: "An array of any dtype with a spatial axis." }],
    makes_table: false,
    example: "slope: {op: gaussian_derivative, input: image, with: {sigma: 2, order: [0, 1]}}",
    cases: cases,
});

fn cases() -> Vec<Case> {
    let case = |with: Json, axes, dtype, content| {
        Case::new(with, vec![Input::new(axes, dtype).content(content)]).expecting(reference)
    };
    vec![
        case(json!({"sigma": 1.0, "order": 1}), "yx", DType::Float64, Content::Noise),
        case(json!({"sigma": [1.2, 0.8], "order": [0, 2]}), "yxc", DType::UInt8, Content::Noise),
        case(json!({"sigma": 0.9, "order": [1, 0, 3], "truncate": 2.0}), "zyx", DType::Float32, Content::Noise),
        case(json!({"sigma": 1.5, "order": [1, 0], "dtype": "input"}), "cyx", DType::Int16, Content::Noise),
        case(json!({"sigma": 0.8, "order": [1, 1]}), "yx", DType::Bool, Content::Mask(0.5)),
        case(json!({"sigma": 0.1, "order": 1}), "yx", DType::Float64, Content::Noise)
            .expecting(|_, _| Expected::Refused),
        case(json!({"sigma": 1, "order": 9}), "yx", DType::Float64, Content::Noise).expecting(|_, _| Expected::Refused),
    ]
}

fn reference(with: &Json, inputs: &[Vec<Array>]) -> Expected {
    let Ok(op) = serde_json::from_value::<GaussianDerivative>(with.clone()) else { return Expected::Refused };
    let smooth = Gaussian::part(op.sigma.clone(), op.boundary, op.truncate);
    crate::reference::rounded(inputs, op.dtype == OutputDType::Input, |a| {
        op.orders(&a.meta).map_or_else(|_| Vec::new(), |orders| Derivatives { smooth: smooth.clone(), orders }.naive(a))
    })
}

impl Derivatives {
    /// The closed forms of the first derivatives, summed tap by tap.
    pub(crate) fn naive(&self, a: &Array) -> Vec<f64> {
        let axes = a.meta.axes.spatial().into_iter().zip(&self.orders);
        let sigmas = self.smooth.sigmas(&a.meta).unwrap_or_default();
        axes.fold(a.to_f64(), |v, (axis, order)| {
            let s = sigmas[axis].unwrap_or(0.0);
            let r = self.smooth.radius(Some(s));
            let bell = |x: i64| if x == 0 { 1.0 } else { (-0.5 * (x * x) as f64 / (s * s)).exp() };
            let sum: f64 = (-r..=r).map(bell).sum();
            let weight = |x: i64| {
                let t = s * s;
                let (x, bell) = (x as f64, bell(x) / sum);
                match order {
                    0 => bell,
                    1 => -x / t * bell,
                    2 => (x * x / (t * t) - 1.0 / t) * bell,
                    _ => (3.0 * x / (t * t) - x * x * x / (t * t * t)) * bell,
                }
            };
            // The value at distance -x meets the derivative at x.
            let taps: Vec<f64> = (-r..=r).rev().map(weight).collect();
            crate::reference::correlated(&v, &a.meta, axis, &taps, self.smooth.boundary())
        })
    }
}

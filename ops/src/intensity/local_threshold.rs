//! `local_threshold`: a mask of what is brighter than its surroundings.

use crate::elementwise::{Store, mask_of_three, unary};
use crate::extrema::refuse_mask;
use crate::filter::correlate::Correlate;
use crate::filter::gaussian::{Gaussian, Sigma};
use crate::filter::params::{OutputDType, Size};
use crate::filter::uniform::Means;
use ops_core::contract::{Array, Case, Content, Expected, Input};
use ops_core::{
    ArrayMeta, ArrayPort, Block, Boundary, DType, InputKind, InputSpec, Lowering, Map, MapCall, Op, OpError, Port,
    Ports, register_op,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// Standard deviations of a Gaussian in a window, where `sigma` is left out: three on each side.
const IN_WINDOW: f64 = 6.0;
/// Standard deviations after which a Gaussian's weights are cut.
const TRUNCATE: f64 = 4.0;

/// Marks every element that is greater than a limit computed from a window around it along the spatial axes.
///
/// - `method: mean` the mean of the window, less `offset`;
/// - `method: gaussian` the mean weighed by a Gaussian of `sigma`, less `offset`;
/// - `method: sauvola` `mean * (1 + k * (deviation / r - 1))` with the mean and the standard deviation of the window.
///
/// **Result.** `bool`, same shape and axes: true where the element is *strictly* greater than the limit. Limits are
/// computed in float64; NaN is never greater.
///
/// **Boundary.** As `boundary` says; the modes are scipy's. Where it is left out: `reflect`, for Sauvola `mirror`.
/// **Memory.** A float64 block, for Sauvola three; a halo of half the size, for a Gaussian of `int(4 * sigma + 0.5)`.
///
/// **Reference.** J. Sauvola, M. Pietikainen, *Adaptive document image binarization*, Pattern Recognition 33 (2000)
/// 225-236; `input > skimage.filters.threshold_local(input, size, method, offset, boundary, sigma)` and
/// `input > skimage.filters.threshold_sauvola(input, size, k, r)` 0.26, which compute limits of float32 in float32.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LocalThreshold {
    /// How the limit is computed.
    #[serde(default)]
    method: Method,
    /// Extent of the window in elements, odd: one number, or one for each spatial axis in the order of the axes.
    size: Size,
    /// What is subtracted from the mean; not for Sauvola.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    offset: Option<f64>,
    /// Standard deviation of the Gaussian; a sixth of one less than the size where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sigma: Option<Sigma>,
    /// Sauvola's weight of the deviation; 0.2 where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    k: Option<f64>,
    /// Sauvola's largest deviation; half the range of an integer dtype, 1 for floats, where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    r: Option<f64>,
    /// What stands beyond the edge of the array.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    boundary: Option<Boundary>,
}

/// How a local limit is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Method {
    /// The mean of the window.
    Mean,
    /// The mean weighed by a Gaussian.
    #[default]
    Gaussian,
    /// From mean and standard deviation.
    Sauvola,
}

/// The limit from what was computed of the window.
#[derive(Debug, Clone, Copy)]
enum Limit {
    /// The mean less an offset.
    Below(f64),
    /// From mean and mean square.
    Sauvola { k: f64, r: f64 },
}

impl Limit {
    #[inline(always)]
    fn at(self, mean: f64, square: f64) -> f64 {
        match self {
            Limit::Below(offset) => mean - offset,
            Limit::Sauvola { k, r } => {
                let variance = square - mean * mean;
                let deviation = if variance > 0.0 { variance.sqrt() } else { 0.0 };
                mean * (1.0 + k * (deviation / r - 1.0))
            }
        }
    }
}

impl LocalThreshold {
    fn boundary(&self) -> Boundary {
        let usual = if self.method == Method::Sauvola { Boundary::Mirror } else { Boundary::Reflect };
        self.boundary.unwrap_or(usual)
    }

    /// What is given and not used, or not as it must be.
    fn check(&self, meta: &ArrayMeta) -> Result<(), OpError> {
        refuse_mask(meta.dtype, "leave this step out: its input is a mask already")?;
        if let Some(even) = self.size.extents(meta)?.into_iter().find(|n| n % 2 == 0) {
            return Err(OpError::param("size", "odd numbers", even));
        }
        let sauvola = self.method == Method::Sauvola;
        for (name, given, belongs, to) in [
            ("offset", self.offset.is_some(), !sauvola, "`mean` and `gaussian`"),
            ("sigma", self.sigma.is_some(), self.method == Method::Gaussian, "`gaussian`"),
            ("k", self.k.is_some(), sauvola, "`sauvola`"),
            ("r", self.r.is_some(), sauvola, "`sauvola`"),
        ] {
            if given && !belongs {
                return Err(OpError::param(name, format!("only with the method {to}"), "it with another"));
            }
        }
        for (name, value) in [("offset", self.offset), ("k", self.k), ("r", self.r)] {
            if let Some(v) = value.filter(|v| !v.is_finite() || (name == "r" && *v <= 0.0)) {
                let expected = if name == "r" { "a finite number above 0" } else { "a finite number" };
                return Err(OpError::param(name, expected, v));
            }
        }
        Ok(())
    }

    fn limit(&self, dtype: DType) -> Limit {
        if self.method != Method::Sauvola {
            return Limit::Below(self.offset.unwrap_or(0.0));
        }
        let (lo, hi) = if dtype.is_float() { (-1.0, 1.0) } else { dtype.limits() };
        Limit::Sauvola { k: self.k.unwrap_or(0.2), r: self.r.unwrap_or(0.5 * (hi - lo)) }
    }

    fn gaussian(&self, meta: &ArrayMeta) -> Result<Gaussian, OpError> {
        let in_window = |extents: Vec<usize>| {
            let spatial = meta.axes.spatial();
            Sigma::Each(spatial.iter().map(|&a| (extents[a] - 1) as f64 / IN_WINDOW).collect())
        };
        let sigma = match &self.sigma {
            Some(sigma) => sigma.clone(),
            None => in_window(self.size.extents(meta)?),
        };
        Ok(Gaussian::part(sigma, self.boundary(), TRUNCATE))
    }
}

impl Op for LocalThreshold {
    fn lower(&self, g: &mut Lowering, inputs: &[Port]) -> Result<Port, OpError> {
        let a = g.array(inputs, 0)?;
        self.check(g.meta(a))?;
        let limit = self.limit(g.meta(a).dtype);
        let means = |g: &mut Lowering, of: ArrayPort| {
            let (kernels, boundary) = (Means::over(&self.size), self.boundary());
            let map = Correlate { kernels, boundary, dtype: OutputDType::Float64, store: Store::Nearest };
            g.map("uniform", map, &[of], &[])
        };
        let parts = match self.method {
            Method::Mean => vec![a, means(g, a)?],
            Method::Gaussian => {
                let smooth = self.gaussian(g.meta(a))?;
                vec![a, g.map("gaussian", smooth, &[a], &[])?]
            }
            Method::Sauvola => {
                let square = g.map("square", Square, &[a], &[])?;
                vec![a, means(g, a)?, means(g, square)?]
            }
        };
        Ok(Port::Array(g.map("local_threshold", AboveLocal { limit }, &parts, &[])?))
    }
}

/// Every element times itself, in float64.
#[derive(Debug)]
struct Square;

impl Map for Square {
    fn infer(&self, ports: &Ports) -> Result<ArrayMeta, OpError> {
        Ok(ports.meta(0).with_dtype(DType::Float64))
    }

    fn apply(&self, call: &MapCall<'_>, out: &mut Block) -> Result<(), OpError> {
        unary(call.blocks[0], out, Store::Nearest, |x| x * x);
        Ok(())
    }

    fn nanos_per_element(&self) -> f32 {
        0.3
    }
}

/// Elements of the first array above a limit from the others.
#[derive(Debug)]
struct AboveLocal {
    limit: Limit,
}

impl Map for AboveLocal {
    fn infer(&self, ports: &Ports) -> Result<ArrayMeta, OpError> {
        Ok(ports.meta(0).with_dtype(DType::Bool))
    }

    fn apply(&self, call: &MapCall<'_>, out: &mut Block) -> Result<(), OpError> {
        let limit = self.limit;
        match *call.blocks {
            [a, mean] => mask_of_three([a, mean, mean], out, |x, m, _| x > limit.at(m, 0.0)),
            [a, mean, square] => mask_of_three([a, mean, square], out, |x, m, s| x > limit.at(m, s)),
            _ => return Err(OpError::Internal("a local threshold without the mean it follows from".into())),
        }
        Ok(())
    }

    fn nanos_per_element(&self) -> f32 {
        0.5
    }
}

register_op!(LocalThreshold {
    name: "local_threshold",
    domain: "intensity",
    inputs: &[InputSpec { name: "input", kind: InputKind::Array, doc: "Intensities of any dtype but `bool`." }],
    makes_table: false,
    example: "mask: {op: local_threshold, input: image, with: {method: sauvola, size: 15}}",
    cases: cases,
});

fn cases() -> Vec<Case> {
    let case = |with: Json, axes, dtype, content| {
        Case::new(with, vec![Input::new(axes, dtype).content(content)]).expecting(reference)
    };
    vec![
        case(json!({"size": 5, "method": "mean", "offset": 0.25}), "yx", DType::Float64, Content::Noise),
        case(json!({"size": [3, 5], "method": "mean", "offset": 10.5}), "yxc", DType::UInt8, Content::Noise),
        case(json!({"size": 7}), "yx", DType::UInt8, Content::Noise),
        case(json!({"size": 3, "sigma": 0.8, "offset": -3}), "zyx", DType::Int16, Content::Noise),
        case(json!({"size": 3, "method": "sauvola"}), "yx", DType::UInt8, Content::Noise),
        case(json!({"size": [1, 3, 5], "method": "sauvola", "k": 0.5, "r": 300}), "zyx", DType::UInt16, Content::Noise),
        case(json!({"size": 5, "method": "sauvola", "r": 500}), "cyx", DType::Float64, Content::Noise),
        case(json!({"size": 4}), "yx", DType::UInt8, Content::Noise),
        case(json!({"size": 3, "method": "mean", "k": 1}), "yx", DType::UInt8, Content::Noise),
        case(json!({"size": 3}), "yx", DType::Bool, Content::Mask(0.5)),
    ]
}

/// The limit of each element from its window, sums in two passes.
fn reference(with: &Json, inputs: &[Vec<Array>]) -> Expected {
    let Ok(op) = serde_json::from_value::<LocalThreshold>(with.clone()) else { return Expected::Refused };
    if inputs[0].iter().any(|a| op.check(&a.meta).is_err()) {
        return Expected::Refused;
    }
    crate::reference::mask(inputs, |a| {
        let v = a.to_f64();
        if let (Method::Gaussian, Ok(smooth)) = (op.method, op.gaussian(&a.meta)) {
            let offset = op.offset.unwrap_or(0.0);
            return v.iter().zip(smooth.naive(a)).map(|(x, m)| *x > m - offset).collect();
        }
        let extents = op.size.extents(&a.meta).unwrap_or_default();
        let windows = crate::reference::windows(&a.meta, op.boundary(), &extents);
        let limits = windows.into_iter().map(|w| {
            let inside: Vec<f64> = w.iter().map(|at| at.map_or(0.0, |i| v[i])).collect();
            let n = inside.len() as f64;
            let mean = inside.iter().sum::<f64>() / n;
            if op.method == Method::Mean {
                return mean - op.offset.unwrap_or(0.0);
            }
            let variance = inside.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n;
            let (lo, hi) = if a.meta.dtype.is_float() { (-1.0, 1.0) } else { a.meta.dtype.limits() };
            let r = op.r.unwrap_or((hi - lo) / 2.0);
            mean * (1.0 + op.k.unwrap_or(0.2) * (variance.sqrt() / r - 1.0))
        });
        v.iter().zip(limits).map(|(x, limit)| *x > limit).collect()
    })
}

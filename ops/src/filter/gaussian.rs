//! `gaussian`: smoothing by a Gaussian.

use super::correlate::{self, Kernels};
use super::params::{OutputDType, spatial, wrong_count};
use super::separable::{self, Kernel};
use crate::elementwise::Store;
use ops_core::contract::{Array, Case, Content, Expected, Input};
use ops_core::{
    ArrayMeta, Block, Boundary, DType, Element, Index, InputKind, InputSpec, Lowering, Map, MapCall, Need, Needs, Op,
    OpError, Port, Ports, Region, register_op, with_dtype,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use smallvec::smallvec;

/// The largest radius, in elements: more is a mistake, and would need terabytes of halo.
const LARGEST_RADIUS: f64 = 1e6;

/// Smooths by a Gaussian along the spatial axes: `z`, `y` and `x`; every channel and time point on its own.
///
/// **Result.** Same shape and axes, `float64` whatever the input, or the input's dtype with `dtype: input` (rounded half
/// to even and saturated once, at the end). Weights are cut at `truncate` standard deviations: the radius is
/// `int(truncate * sigma + 0.5)`; they sum to 1. 64-bit integers are read as float64.
///
/// **Boundary.** As `boundary` says; the modes are scipy's. **Memory.** Up to 32 rows of scratch for an image (256 KiB,
/// or four rows where those are more), as many planes and rows for a volume; a halo of the radius.
///
/// **Reference.** `scipy.ndimage.gaussian_filter(input, sigma, mode=boundary, truncate=truncate, output=float64)`: the
/// same weights, axes and order of additions.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gaussian {
    /// Standard deviation in elements: one number, or one for each spatial axis in the order of the axes. 0 leaves an
    /// axis as it is.
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

/// One standard deviation, or one for each spatial axis.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Sigma {
    /// The same along every spatial axis.
    All(#[schemars(range(min = 0.0))] f64),
    /// One for each spatial axis.
    Each(Vec<f64>),
}

pub(super) fn four() -> f64 {
    4.0
}

impl Gaussian {
    /// A smoothing whose result is float64: a part of another op.
    pub(crate) fn part(sigma: Sigma, boundary: Boundary, truncate: f64) -> Gaussian {
        Gaussian { sigma, boundary, truncate, dtype: OutputDType::Float64 }
    }

    /// The standard deviation along each axis of the array; `None` for axes that are not spatial.
    pub(super) fn sigmas(&self, meta: &ArrayMeta) -> Result<Vec<Option<f64>>, OpError> {
        let spatial = spatial(meta)?;
        if !(self.truncate.is_finite() && self.truncate >= 0.0) {
            return Err(OpError::param("truncate", "a finite number of at least 0", self.truncate));
        }
        let each = match &self.sigma {
            Sigma::All(s) => vec![*s; spatial.len()],
            Sigma::Each(v) if v.len() == spatial.len() => v.clone(),
            Sigma::Each(v) => return Err(wrong_count("sigma", meta, v.len())),
        };
        for &s in &each {
            if !(s.is_finite() && s >= 0.0 && s * self.truncate < LARGEST_RADIUS) {
                let expected = format!("a number of at least 0, times `truncate` below {LARGEST_RADIUS}");
                return Err(OpError::param("sigma", expected, s));
            }
        }
        let mut out = vec![None; meta.rank()];
        spatial.iter().zip(each).for_each(|(&a, s)| out[a] = Some(s));
        Ok(out)
    }

    pub(super) fn radius(&self, sigma: Option<f64>) -> i64 {
        sigma.map_or(0, |s| (self.truncate * s + 0.5) as i64)
    }

    /// What stands beyond the edge of the array.
    pub(super) fn boundary(&self) -> Boundary {
        self.boundary
    }

    /// A rough cost of one element.
    pub(super) fn nanos(&self) -> f32 {
        let widest = match &self.sigma {
            Sigma::All(s) => *s,
            Sigma::Each(v) => v.iter().copied().fold(0.0, f64::max),
        };
        0.5 + 0.15 * (self.truncate * widest) as f32
    }
}

impl Kernels for Gaussian {
    fn kernels(&self, meta: &ArrayMeta) -> Result<Vec<Kernel>, OpError> {
        let kernel = |s| Kernel::Even(weights(s, self.radius(Some(s)) as usize));
        Ok(self.sigmas(meta)?.into_iter().map(|s| s.map_or_else(Kernel::identity, kernel)).collect())
    }
}

/// Half of the weights: of the centre, then of each distance up to the radius.
///
/// scipy's `_gaussian_kernel1d`, its sum in numpy's order; the exponential is that of the crate `libm` on every host.
pub(super) fn weights(sigma: f64, radius: usize) -> Vec<f64> {
    if radius == 0 {
        return vec![1.0];
    }
    let factor = -0.5 / (sigma * sigma);
    let half: Vec<f64> = (0..=radius).map(|d| libm::exp(factor * (d * d) as f64)).collect();
    let all: Vec<f64> = (0..2 * radius + 1).map(|i| half[radius.abs_diff(i)]).collect();
    let sum = pairwise(&all);
    half.into_iter().map(|w| w / sum).collect()
}

/// The sum of a contiguous array in the order of `numpy.sum`.
fn pairwise(v: &[f64]) -> f64 {
    if v.len() < 8 {
        return v.iter().fold(0.0, |s, x| s + x);
    }
    if v.len() > 128 {
        let half = v.len() / 2;
        let (a, b) = v.split_at(half - half % 8);
        return pairwise(a) + pairwise(b);
    }
    let (rows, rest) = v.split_at(v.len() / 8 * 8);
    let mut r = [0.0; 8];
    r.copy_from_slice(&rows[..8]);
    for row in rows[8..].chunks_exact(8) {
        r.iter_mut().zip(row).for_each(|(a, b)| *a += b);
    }
    let sum = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]));
    rest.iter().fold(sum, |s, x| s + x)
}

impl Op for Gaussian {
    fn lower(&self, g: &mut Lowering, inputs: &[Port]) -> Result<Port, OpError> {
        let a = g.array(inputs, 0)?;
        Ok(Port::Array(g.map("gaussian", self.clone(), &[a], &[])?))
    }
}

impl Map for Gaussian {
    fn infer(&self, ports: &Ports) -> Result<ArrayMeta, OpError> {
        self.sigmas(ports.meta(0))?;
        Ok(match self.dtype {
            OutputDType::Float64 => ports.meta(0).with_dtype(DType::Float64),
            OutputDType::Input => ports.meta(0).clone(),
        })
    }

    fn needs(&self, ports: &Ports, out: &Region) -> Needs {
        // What `infer` refuses is never asked for.
        let sigmas = self.sigmas(ports.meta(0)).unwrap_or_else(|_| vec![None; out.rank()]);
        let r: Index = sigmas.into_iter().map(|s| self.radius(s)).collect();
        smallvec![Need { input: 0, item: 0, region: out.grow(&r, &r), boundary: self.boundary }]
    }

    fn apply(&self, call: &MapCall<'_>, out: &mut Block) -> Result<(), OpError> {
        let meta = call.ports.meta(0);
        correlate::apply(&self.kernels(meta)?, meta, Store::Nearest.into(), call, out);
        Ok(())
    }

    fn scratch_bytes(&self, ports: &Ports, out: &Region) -> u64 {
        self.kernels(ports.meta(0)).map_or(0, |kernels| {
            let (passes, inner) = correlate::passes(&kernels, ports.meta(0), out);
            separable::scratch_bytes(&passes, inner)
        })
    }

    fn nanos_per_element(&self) -> f32 {
        self.nanos()
    }
}

register_op!(Gaussian {
    name: "gaussian",
    domain: "filter",
    inputs: &[InputSpec { name: "input", kind: InputKind::Array, doc: "An array of any dtype with a spatial axis." }],
    makes_table: false,
    example: "smooth: {op: gaussian, input: image, with: {sigma: 1.5}}",
    cases: cases,
});

fn cases() -> Vec<Case> {
    let case = |with: Json, axes, dtype, content| {
        Case::new(with, vec![Input::new(axes, dtype).content(content)]).expecting(reference)
    };
    vec![
        case(json!({"sigma": 1.0}), "yx", DType::Float64, Content::Noise),
        case(json!({"sigma": [0.6, 2.0], "boundary": "mirror"}), "yxc", DType::UInt8, Content::Noise),
        case(
            json!({"sigma": [0.8, 0.0, 1.1], "boundary": "wrap", "truncate": 2.5}),
            "zyx",
            DType::Float32,
            Content::Noise,
        ),
        case(json!({"sigma": 1.3, "boundary": "nearest", "dtype": "input"}), "cyx", DType::Int16, Content::Noise),
        case(json!({"sigma": 3.0, "boundary": "constant"}), "tzcyx", DType::UInt16, Content::Noise),
        case(json!({"sigma": 1.0}), "yx", DType::Bool, Content::Mask(0.5)),
        case(json!({"sigma": [0.0, 0.7], "truncate": 1.0}), "yx", DType::Float64, Content::Special),
        case(json!({"sigma": [1.0, 1.0, 1.0]}), "yx", DType::Float64, Content::Noise)
            .expecting(|_, _| Expected::Refused),
    ]
}

fn reference(with: &Json, inputs: &[Vec<Array>]) -> Expected {
    let Ok(op) = serde_json::from_value::<Gaussian>(with.clone()) else { return Expected::Refused };
    if inputs[0].iter().any(|a| op.sigmas(&a.meta).is_err()) {
        return Expected::Refused;
    }
    let item = |a: &Array| match op.dtype {
        OutputDType::Float64 => op.naive(a).iter().flat_map(|x| x.to_ne_bytes()).collect(),
        OutputDType::Input => with_dtype!(a.meta.dtype, T => {
            let v: Vec<T> = op.naive(a).iter().map(|&x| T::from_f64(x)).collect();
            bytemuck::cast_slice(&v).to_vec()
        }),
    };
    Expected::Bytes(inputs[0].iter().map(item).collect())
}

impl Gaussian {
    /// One axis after the other over the whole array, element by element.
    pub(crate) fn naive(&self, a: &Array) -> Vec<f64> {
        let strides = a.meta.region().strides();
        let sigmas = self.sigmas(&a.meta).unwrap_or_default().into_iter().enumerate();
        sigmas.filter_map(|(i, s)| s.map(|s| (i, s))).fold(a.to_f64(), |v, (axis, sigma)| {
            let r = self.radius(Some(sigma));
            let w = weights(sigma, r as usize);
            let n = a.meta.shape[axis] as i64;
            (0..v.len())
                .map(|i| {
                    let at = (i / strides[axis]) as i64 % n;
                    let value = |k: i64| {
                        let from = self.boundary.source(at + k, n);
                        from.map_or(0.0, |s| v[(i as i64 + (s - at) * strides[axis] as i64) as usize])
                    };
                    let pairs = (1..=r).rev();
                    pairs.fold(value(0) * w[0], |sum, k| sum + (value(-k) + value(k)) * w[k as usize])
                })
                .collect()
        })
    }
}

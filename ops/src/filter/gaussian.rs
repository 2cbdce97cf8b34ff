//! `gaussian`: smoothing by a Gaussian.

use super::separable::{self, Pass};
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
enum Sigma {
    /// The same along every spatial axis.
    All(#[schemars(range(min = 0.0))] f64),
    /// One for each spatial axis.
    Each(Vec<f64>),
}

/// What a filter's result is stored as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum OutputDType {
    /// As computed.
    #[default]
    Float64,
    /// Rounded and saturated to the dtype of the input.
    Input,
}

fn four() -> f64 {
    4.0
}

impl Gaussian {
    /// The standard deviation along each axis of the array; `None` for axes that are not spatial.
    fn sigmas(&self, meta: &ArrayMeta) -> Result<Vec<Option<f64>>, OpError> {
        let spatial = meta.axes.spatial();
        if spatial.is_empty() {
            let help = "smooth an array that has a y or x axis, or name its axes where it is read";
            return Err(OpError::input(0, "an array with a spatial axis (z, y, x)", meta, help));
        }
        if !(self.truncate.is_finite() && self.truncate >= 0.0) {
            return Err(OpError::param("truncate", "a finite number of at least 0", self.truncate));
        }
        let each = match &self.sigma {
            Sigma::All(s) => vec![*s; spatial.len()],
            Sigma::Each(v) if v.len() == spatial.len() => v.clone(),
            Sigma::Each(v) => {
                let expected = format!("one number, or {} of them (the input's axes are {})", spatial.len(), meta.axes);
                return Err(OpError::param("sigma", expected, format!("{} numbers", v.len())));
            }
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

    fn radius(&self, sigma: Option<f64>) -> i64 {
        sigma.map_or(0, |s| (self.truncate * s + 0.5) as i64)
    }

    /// The radius along each axis; nothing for an input that [`Map::infer`] refuses.
    fn radii(&self, meta: &ArrayMeta) -> Index {
        match self.sigmas(meta) {
            Ok(v) => v.into_iter().map(|s| self.radius(s)).collect(),
            Err(_) => smallvec![0; meta.rank()],
        }
    }

    /// The weights along each axis up to the last spatial one.
    fn weights(&self, meta: &ArrayMeta) -> Result<Vec<Vec<f64>>, OpError> {
        let last = meta.axes.spatial().last().map_or(0, |a| a + 1);
        let sigmas = self.sigmas(meta)?.into_iter().take(last);
        Ok(sigmas.map(|s| weights(s.unwrap_or(0.0), self.radius(s) as usize)).collect())
    }
}

fn passes<'a>(weights: &'a [Vec<f64>], out: &Region) -> (Vec<Pass<'a>>, usize) {
    let shape = out.shape();
    let passes = weights.iter().zip(&shape).map(|(w, &n)| Pass { extent: n, weights: w }).collect();
    (passes, shape[weights.len()..].iter().product())
}

/// Half of the weights: of the centre, then of each distance up to the radius.
///
/// scipy's `_gaussian_kernel1d`, its sum in numpy's order; the exponential is that of the crate `libm` on every host.
fn weights(sigma: f64, radius: usize) -> Vec<f64> {
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
        let r = self.radii(ports.meta(0));
        smallvec![Need { input: 0, item: 0, region: out.grow(&r, &r), boundary: self.boundary }]
    }

    fn apply(&self, call: &MapCall<'_>, out: &mut Block) -> Result<(), OpError> {
        let weights = self.weights(call.ports.meta(0))?;
        let (passes, inner) = passes(&weights, out.region());
        let src = call.blocks[0];
        with_dtype!(src.dtype(), T => match self.dtype {
            OutputDType::Float64 => separable::filter::<T, f64>(&passes, inner, src.as_slice(), out.as_mut_slice(), call.pool),
            OutputDType::Input => separable::filter::<T, T>(&passes, inner, src.as_slice(), out.as_mut_slice(), call.pool),
        });
        Ok(())
    }

    fn scratch_bytes(&self, ports: &Ports, out: &Region) -> u64 {
        self.weights(ports.meta(0)).map_or(0, |w| {
            let (passes, inner) = passes(&w, out);
            separable::scratch_bytes(&passes, inner)
        })
    }

    fn nanos_per_element(&self) -> f32 {
        let widest = match &self.sigma {
            Sigma::All(s) => *s,
            Sigma::Each(v) => v.iter().copied().fold(0.0, f64::max),
        };
        0.5 + 0.15 * (self.truncate * widest) as f32
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

/// One axis after the other over the whole array, element by element.
fn reference(with: &Json, inputs: &[Vec<Array>]) -> Expected {
    let Ok(op) = serde_json::from_value::<Gaussian>(with.clone()) else { return Expected::Refused };
    let mut items = Vec::new();
    for a in &inputs[0] {
        let Ok(sigmas) = op.sigmas(&a.meta) else { return Expected::Refused };
        let (mut v, strides) = (a.to_f64(), a.meta.region().strides());
        for (axis, sigma) in sigmas.into_iter().enumerate().filter_map(|(i, s)| s.map(|s| (i, s))) {
            let r = op.radius(Some(sigma));
            let w = weights(sigma, r as usize);
            let n = a.meta.shape[axis] as i64;
            v = (0..v.len())
                .map(|i| {
                    let at = (i / strides[axis]) as i64 % n;
                    let value = |k: i64| {
                        let from = op.boundary.source(at + k, n);
                        from.map_or(0.0, |s| v[(i as i64 + (s - at) * strides[axis] as i64) as usize])
                    };
                    let pairs = (1..=r).rev();
                    pairs.fold(value(0) * w[0], |sum, k| sum + (value(-k) + value(k)) * w[k as usize])
                })
                .collect();
        }
        items.push(match op.dtype {
            OutputDType::Float64 => v.iter().flat_map(|x| x.to_ne_bytes()).collect(),
            OutputDType::Input => with_dtype!(a.meta.dtype, T => {
                let v: Vec<T> = v.iter().map(|&x| T::from_f64(x)).collect();
                bytemuck::cast_slice(&v).to_vec()
            }),
        });
    }
    Expected::Bytes(items)
}

//! What `sobel` and `prewitt` share: a difference along one axis, weighed neighbours along the others.

use super::combine::{Combine, How};
use super::correlate::{Correlate, Kernels};
use super::params::{Compat, OutputDType, check_compat, spatial, store};
use super::separable::Kernel;
use ops_core::contract::{Array, Expected};
use ops_core::{ArrayMeta, Axis, Boundary, Lowering, OpError, Port};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a gradient filter computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Along {
    /// The derivative from plane to plane.
    Z,
    /// The derivative from row to row.
    Y,
    /// The derivative from column to column.
    X,
    /// The root of the sum of the squares of the derivatives along all spatial axes.
    Magnitude,
}

/// A gradient filter: the weight of the centre across the derivative, where its neighbours have 1, and its parameters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gradient {
    /// The weight of the centre: 2 for Sobel, 1 for Prewitt.
    pub(crate) centre: f64,
    /// What is computed; the derivative along the last spatial axis where it is left out.
    pub(crate) along: Option<Along>,
    /// What stands beyond the edge.
    pub(crate) boundary: Boundary,
    /// What the result is stored as.
    pub(crate) dtype: OutputDType,
    /// Whose integers it has.
    pub(crate) compat: Option<Compat>,
}

/// The derivative along one axis of the array.
#[derive(Debug, Clone, Copy)]
struct Derivative {
    axis: usize,
    centre: f64,
}

impl Kernels for Derivative {
    fn kernels(&self, meta: &ArrayMeta) -> Result<Vec<Kernel>, OpError> {
        let mut kernels = vec![Kernel::identity(); meta.rank()];
        for a in spatial(meta)? {
            kernels[a] =
                if a == self.axis { Kernel::Odd(vec![0.0, -1.0]) } else { Kernel::Even(vec![self.centre, 1.0]) };
        }
        Ok(kernels)
    }
}

impl Gradient {
    /// The axes derived along.
    fn axes(&self, meta: &ArrayMeta) -> Result<Vec<usize>, OpError> {
        let all = spatial(meta)?;
        let of = |axis: Axis| match meta.axes.position(axis) {
            Some(a) => Ok(vec![a]),
            None => Err(OpError::param("axis", format!("one of the input's axes `{}`", meta.axes), axis.name())),
        };
        match self.along {
            None => Ok(all.last().copied().into_iter().collect()),
            Some(Along::Z) => of(Axis::Z),
            Some(Along::Y) => of(Axis::Y),
            Some(Along::X) => of(Axis::X),
            Some(Along::Magnitude) => Ok(all.to_vec()),
        }
    }

    /// Adds the nodes of the filter.
    pub(crate) fn lower(&self, name: &'static str, g: &mut Lowering, inputs: &[Port]) -> Result<Port, OpError> {
        let a = g.array(inputs, 0)?;
        let original = g.meta(a).dtype;
        check_compat(self.compat, self.dtype, original, 16)?;
        let (axes, boundary) = (self.axes(g.meta(a))?, self.boundary);
        let derivative = |axis| Derivative { axis, centre: self.centre };
        if self.along != Some(Along::Magnitude) {
            let map =
                Correlate { kernels: derivative(axes[0]), boundary, dtype: self.dtype, store: store(self.compat) };
            return Ok(Port::Array(g.map(name, map, &[a], &[])?));
        }
        if self.compat.is_some() {
            return Err(OpError::param("compat", "nothing: scipy's filter has no magnitude", "`scipy`"));
        }
        let parts: Vec<_> = axes
            .into_iter()
            .map(|axis| {
                let (dtype, store) = (OutputDType::Float64, store(None));
                g.map(name, Correlate { kernels: derivative(axis), boundary, dtype, store }, &[a], &[])
            })
            .collect::<Result<_, _>>()?;
        let combine = Combine { how: How::Magnitude, dtype: self.dtype, original, store: store(None) };
        Ok(Port::Array(g.map("magnitude", combine, &parts, &[])?))
    }

    /// All products of weights at once, tap by tap.
    pub(crate) fn reference(&self, inputs: &[Vec<Array>]) -> Expected {
        let refused = |a: &Array| {
            let dtype = a.meta.dtype;
            self.axes(&a.meta).is_err()
                || self.dtype.of(dtype).is_err()
                || check_compat(self.compat, self.dtype, dtype, 16).is_err()
        };
        if inputs[0].iter().any(refused) {
            return Expected::Refused;
        }
        let wraps = self.compat.is_some();
        let derived = |a: &Array, axis: usize| {
            (a.meta.axes.spatial().iter()).fold(a.to_f64(), |v, &other| {
                let taps = if other == axis { [-1.0, 0.0, 1.0] } else { [1.0, self.centre, 1.0] };
                crate::reference::correlated(&v, &a.meta, other, &taps, self.boundary)
            })
        };
        crate::reference::rounded(inputs, self.dtype == OutputDType::Input, |a| {
            let parts: Vec<_> = self.axes(&a.meta).unwrap_or_default().iter().map(|&x| derived(a, x)).collect();
            if self.along == Some(Along::Magnitude) {
                return (0..parts[0].len()).map(|i| parts.iter().map(|p| p[i] * p[i]).sum::<f64>().sqrt()).collect();
            }
            let wrapped = |x: f64| crate::reference::wrapped(x, a.meta.dtype);
            parts[0].iter().map(|&x| if wraps { wrapped(x) } else { x }).collect()
        })
    }
}

//! The map of separable linear filters: a kernel for each axis, a boundary mode, how the result is stored.

use super::params::{OutputDType, spatial};
use super::separable::{self, Finish, Kernel, Pass};
use crate::elementwise::Store;
use ops_core::{
    ArrayMeta, Block, Boundary, DType, Index, Map, MapCall, Need, Needs, OpError, Ports, Region, with_dtype,
};
use smallvec::smallvec;
use std::fmt::Debug;

/// What a separable filter computes along each axis.
pub(crate) trait Kernels: Debug + Send + Sync {
    /// The kernel of each axis of the array.
    fn kernels(&self, meta: &ArrayMeta) -> Result<Vec<Kernel>, OpError>;

    /// What the sum over the window is divided by.
    fn divisor(&self, kernels: &[Kernel]) -> f64 {
        let _ = kernels;
        1.0
    }

    /// A rough cost of one element in nanoseconds.
    fn nanos(&self) -> f32 {
        1.0
    }
}

/// A separable filter.
#[derive(Debug)]
pub(crate) struct Correlate<K> {
    /// The kernels.
    pub(crate) kernels: K,
    /// What stands beyond the edge.
    pub(crate) boundary: Boundary,
    /// What the result is stored as.
    pub(crate) dtype: OutputDType,
    /// How sums are rounded to integers.
    pub(crate) store: Store,
}

/// Kernels up to the last spatial axis, their passes over an output block, and the elements behind them.
pub(crate) fn passes<'a>(kernels: &'a [Kernel], meta: &ArrayMeta, out: &Region) -> (Vec<Pass<'a>>, usize) {
    let last = meta.axes.spatial().last().map_or(0, |a| a + 1);
    let shape = out.shape();
    let passes = kernels[..last].iter().zip(&shape).map(|(kernel, &extent)| Pass { extent, kernel }).collect();
    (passes, shape[last..].iter().product())
}

/// How far kernels reach on the low and the high side of each axis.
pub(crate) fn reach(kernels: &[Kernel]) -> (Index, Index) {
    let taps: Vec<usize> = kernels.iter().map(Kernel::taps).collect();
    (super::params::before(&taps), super::params::after(&taps))
}

/// Filters an extended block.
pub(crate) fn apply(kernels: &[Kernel], meta: &ArrayMeta, finish: Finish, call: &MapCall<'_>, out: &mut Block) {
    let (passes, inner) = passes(kernels, meta, out.region());
    let src = call.blocks[0];
    with_dtype!(src.dtype(), T => if out.dtype() == DType::Float64 {
        separable::filter::<T, f64>(&passes, inner, src.as_slice(), out.as_mut_slice(), finish, call.pool);
    } else {
        separable::filter::<T, T>(&passes, inner, src.as_slice(), out.as_mut_slice(), finish, call.pool);
    });
}

impl<K: Kernels> Map for Correlate<K> {
    fn infer(&self, ports: &Ports) -> Result<ArrayMeta, OpError> {
        let meta = ports.meta(0);
        spatial(meta)?;
        self.kernels.kernels(meta)?;
        Ok(meta.with_dtype(self.dtype.of(meta.dtype)?))
    }

    fn needs(&self, ports: &Ports, out: &Region) -> Needs {
        // What `infer` refuses is never asked for.
        let kernels = self.kernels.kernels(ports.meta(0)).unwrap_or_else(|_| vec![Kernel::identity(); out.rank()]);
        let (before, after) = reach(&kernels);
        smallvec![Need { input: 0, item: 0, region: out.grow(&before, &after), boundary: self.boundary }]
    }

    fn apply(&self, call: &MapCall<'_>, out: &mut Block) -> Result<(), OpError> {
        let meta = call.ports.meta(0);
        let kernels = self.kernels.kernels(meta)?;
        let finish = Finish { store: self.store, divisor: self.kernels.divisor(&kernels) };
        apply(&kernels, meta, finish, call, out);
        Ok(())
    }

    fn scratch_bytes(&self, ports: &Ports, out: &Region) -> u64 {
        self.kernels.kernels(ports.meta(0)).map_or(0, |kernels| {
            let (passes, inner) = passes(&kernels, ports.meta(0), out);
            separable::scratch_bytes(&passes, inner)
        })
    }

    fn nanos_per_element(&self) -> f32 {
        self.kernels.nanos()
    }
}

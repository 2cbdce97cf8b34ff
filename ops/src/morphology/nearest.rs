//! The first pass of a distance transform: how many steps along one axis the nearest background is away.

use ops_core::{ArrayMeta, Block, DType, Element, Map, MapCall, Need, Needs, OpError, Ports, Region, with_dtype};
use smallvec::smallvec;

/// No background in the line.
pub(crate) const NONE: u32 = u32::MAX;

/// Steps to the nearest zero along one axis.
#[derive(Debug, Clone)]
pub(crate) struct Nearest {
    /// The axis.
    pub(crate) axis: usize,
}

/// The region, but all of the array along an axis.
pub(crate) fn lines(meta: &ArrayMeta, axis: usize, out: &Region) -> Region {
    let mut region = out.clone();
    (region.lo[axis], region.hi[axis]) = (0, meta.shape[axis] as i64);
    region
}

/// Cells that are lines.
pub(crate) fn whole_lines(meta: &ArrayMeta, axis: usize) -> Vec<u64> {
    let extent = |(a, n): (usize, &u64)| if a == axis { (*n).max(1) } else { 1 };
    meta.shape.iter().enumerate().map(extent).collect()
}

/// Elements of a line with all that lies behind its axis.
fn line(meta: &ArrayMeta, axis: usize, out: &Region) -> (usize, usize) {
    (meta.shape[axis] as usize, out.shape()[axis + 1..].iter().product())
}

impl Map for Nearest {
    fn infer(&self, ports: &Ports) -> Result<ArrayMeta, OpError> {
        let meta = ports.meta(0);
        if meta.shape[self.axis] >= u64::from(NONE) {
            let help = "take a part of it with `crop`";
            return Err(OpError::input(0, format!("at most {} elements along an axis", NONE - 1), meta, help));
        }
        Ok(meta.with_dtype(DType::UInt32))
    }

    fn needs(&self, ports: &Ports, out: &Region) -> Needs {
        smallvec![Need::inside(0, lines(ports.meta(0), self.axis, out))]
    }

    fn apply(&self, call: &MapCall<'_>, out: &mut Block) -> Result<(), OpError> {
        let (meta, src, region) = (call.ports.meta(0), call.blocks[0], out.region().clone());
        if region.is_empty() {
            return Ok(());
        }
        let (n, inner) = line(meta, self.axis, &region);
        let mut steps = call.pool.take::<u32>(n * inner);
        let part = region.lo[self.axis] as usize * inner..region.hi[self.axis] as usize * inner;
        let dst = out.as_mut_slice::<u32>().chunks_exact_mut(part.len());
        with_dtype!(src.dtype(), T => {
            for (dst, src) in dst.zip(src.as_slice::<T>().chunks_exact(n * inner)) {
                sweep::<T>(src, inner, &mut steps);
                dst.copy_from_slice(&steps[part.clone()]);
            }
        });
        Ok(())
    }

    fn granule(&self, ports: &Ports) -> Option<Vec<u64>> {
        Some(whole_lines(ports.meta(0), self.axis))
    }

    fn scratch_bytes(&self, ports: &Ports, out: &Region) -> u64 {
        let (n, inner) = line(ports.meta(0), self.axis, out);
        ops_core::Pool::rounded(4 * (n * inner) as u64)
    }

    fn nanos_per_element(&self) -> f32 {
        2.0
    }
}

/// Counts up from each zero, once in each direction.
fn sweep<T: Element>(src: &[T], inner: usize, steps: &mut [u32]) {
    // NONE + 1 saturates to NONE.
    let seen = |v: &T| if *v == T::default() { 0 } else { NONE };
    if inner == 1 {
        let mut count = NONE;
        for (d, s) in steps.iter_mut().zip(src) {
            count = count.saturating_add(1).min(seen(s));
            *d = count;
        }
        count = NONE;
        for d in steps.iter_mut().rev() {
            count = count.saturating_add(1).min(*d);
            *d = count;
        }
        return;
    }
    steps.iter_mut().zip(src).for_each(|(d, s)| *d = seen(s));
    for i in inner..steps.len() {
        steps[i] = steps[i].min(steps[i - inner].saturating_add(1));
    }
    for i in (inner..steps.len()).rev() {
        steps[i - inner] = steps[i - inner].min(steps[i].saturating_add(1));
    }
}

//! Separable symmetric filters: one pass per axis, streamed so that intermediates stay in the cache.
//!
//! The first axis is weighed into one slab (everything behind that axis) at a time, the next into one slab of that slab,
//! and the last spatial axis straight into the output: an image needs one row of scratch, a volume one plane and one
//! row. The order of operations is that of `scipy.ndimage.correlate1d` for symmetric weights: the centre first, then
//! the pairs from the outermost inwards, each pair added before it is weighed.

use ops_core::{Element, Pool, pool::Scratch, simd::vectorize};

/// Results computed at once: eight registers of 256 bits.
const LANES: usize = 32;

/// One axis of a separable filter over one block.
#[derive(Debug, Clone)]
pub(crate) struct Pass<'a> {
    /// Extent of the output along the axis; the input's is larger by twice the radius.
    pub(crate) extent: usize,
    /// The weight of the centre and then of each distance; the radius is one less than their number.
    pub(crate) weights: &'a [f64],
}

impl Pass<'_> {
    fn radius(&self) -> usize {
        self.weights.len() - 1
    }
}

/// Elements behind each axis of the extended input block.
fn strides(passes: &[Pass<'_>], inner: usize) -> Vec<usize> {
    let mut s = vec![inner; passes.len()];
    for a in (0..passes.len().saturating_sub(1)).rev() {
        s[a] = s[a + 1] * (passes[a + 1].extent + 2 * passes[a + 1].radius());
    }
    s
}

/// Elements of each slab of scratch: one for every axis but the last that has a radius.
fn slabs(passes: &[Pass<'_>], inner: usize) -> impl Iterator<Item = usize> {
    let all = strides(passes, inner);
    let last = passes.len().saturating_sub(1);
    passes
        .iter()
        .map(Pass::radius)
        .zip(all)
        .take(last)
        .filter(|(r, _)| *r > 0)
        .map(|(_, s)| s)
        .collect::<Vec<_>>()
        .into_iter()
}

/// Bytes of scratch that [`filter`] takes.
pub(crate) fn scratch_bytes(passes: &[Pass<'_>], inner: usize) -> u64 {
    slabs(passes, inner).map(|s| Pool::rounded(8 * s as u64)).sum()
}

/// Filters `src` into `dst`: one pass for each axis in turn, the last of them over `inner` interleaved elements.
///
/// `src` is extended by the radius on both sides of every axis. Computed in float64 and rounded once.
pub(crate) fn filter<T: Element, U: Element>(passes: &[Pass<'_>], inner: usize, src: &[T], dst: &mut [U], pool: &Pool) {
    let mut scratch: Vec<Scratch<f64>> = slabs(passes, inner).map(|s| pool.take(s)).collect();
    let strides = strides(passes, inner);
    if !dst.is_empty() {
        descend(passes, &strides, src, dst, &mut scratch);
    }
}

fn descend<T: Element, U: Element>(
    passes: &[Pass<'_>],
    strides: &[usize],
    src: &[T],
    dst: &mut [U],
    scratch: &mut [Scratch<f64>],
) {
    let (Some(pass), Some(&stride)) = (passes.first(), strides.first()) else { return };
    if passes.len() == 1 {
        return weigh(dst, src, stride, pass.weights);
    }
    let slices = dst.chunks_exact_mut(dst.len() / pass.extent).enumerate();
    if pass.radius() == 0 {
        for (i, dst) in slices {
            descend(&passes[1..], &strides[1..], &src[i * stride..(i + 1) * stride], dst, scratch);
        }
    } else if let Some((slab, rest)) = scratch.split_first_mut() {
        for (i, dst) in slices {
            weigh(&mut slab[..], &src[i * stride..], stride, pass.weights);
            descend::<f64, U>(&passes[1..], &strides[1..], slab, dst, rest);
        }
    }
}

/// Each result is the weighed sum of the elements `step` apart from `src` on; twice the radius of them and one.
pub(crate) fn weigh<T: Element, U: Element>(dst: &mut [U], src: &[T], step: usize, weights: &[f64]) {
    vectorize(
        #[inline(always)]
        || lanes(dst, src, step, weights),
    );
}

#[inline(always)]
fn lanes<T: Element, U: Element>(dst: &mut [U], src: &[T], step: usize, weights: &[f64]) {
    let n = dst.len();
    if n < LANES {
        for (i, d) in dst.iter_mut().enumerate() {
            *d = U::from_f64(run::<T, 1>(src, i, step, weights)[0]);
        }
        return;
    }
    let mut i = 0;
    loop {
        let sums = run::<T, LANES>(src, i, step, weights);
        for (d, s) in dst[i..i + LANES].iter_mut().zip(sums) {
            *d = U::from_f64(s);
        }
        if i + LANES == n {
            return;
        }
        // The last run overlaps the one before; it computes the same values again.
        i = (i + LANES).min(n - LANES);
    }
}

/// `N` neighbouring results from position `at` on.
#[inline(always)]
fn run<T: Element, const N: usize>(src: &[T], at: usize, step: usize, weights: &[f64]) -> [f64; N] {
    let radius = weights.len() - 1;
    let centre = &src[at + radius * step..][..N];
    let mut sums = [0.0; N];
    for l in 0..N {
        sums[l] = centre[l].to_f64() * weights[0];
    }
    for k in 0..radius {
        let (low, high) = (&src[at + k * step..][..N], &src[at + (2 * radius - k) * step..][..N]);
        let w = weights[radius - k];
        for l in 0..N {
            sums[l] += (low[l].to_f64() + high[l].to_f64()) * w;
        }
    }
    sums
}

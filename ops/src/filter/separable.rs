//! Separable symmetric filters: one pass per axis, streamed so that intermediates stay in the cache.
//!
//! The first axis is weighed into a few slabs (a slab is everything behind that axis) at a time, the next into a few
//! slabs of each slab, and the last spatial axis straight into the output. Slabs are weighed in strips of columns: a
//! strip of all rows that its results need is converted to float64 once, into a tile that stays in the nearest cache
//! while each of its rows is read for every weight. The order of operations is that of `scipy.ndimage.correlate1d` for
//! symmetric weights: the centre first, then the pairs from the outermost inwards, each pair added before it is weighed.

use ops_core::{Element, Pool, pool::Scratch, simd::vectorize};

/// Results computed at once: eight registers of 256 bits.
const LANES: usize = 32;
/// Slabs weighed at once: as many as fit these bytes, within these limits. More make the rows that a tile shares with
/// the next count less; beyond a second-level cache that gains nothing.
const SLABS_BYTES: usize = 256 << 10;
const FEWEST_SLABS: usize = 4;
const MOST_SLABS: usize = 32;

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

/// Slabs of `stride` elements that are weighed at once along an axis.
fn slabs(pass: &Pass<'_>, stride: usize) -> usize {
    (SLABS_BYTES / 8 / stride.max(1)).clamp(FEWEST_SLABS, MOST_SLABS).min(pass.extent)
}

/// Elements of each buffer of scratch: the tile, then the slabs of every axis but the last that has a radius. Nothing
/// where there is no such axis.
fn buffers(passes: &[Pass<'_>], inner: usize) -> Vec<usize> {
    let (mut sizes, mut tile) = (Vec::new(), 0);
    let last = passes.len().saturating_sub(1);
    for (pass, stride) in passes.iter().zip(strides(passes, inner)).take(last).filter(|(p, _)| p.radius() > 0) {
        let slabs = slabs(pass, stride);
        tile = tile.max((slabs + 2 * pass.radius()) * LANES);
        sizes.push(slabs * stride);
    }
    if !sizes.is_empty() {
        sizes.insert(0, tile);
    }
    sizes
}

/// Bytes of scratch that [`filter`] takes.
pub(crate) fn scratch_bytes(passes: &[Pass<'_>], inner: usize) -> u64 {
    buffers(passes, inner).into_iter().map(|s| Pool::rounded(8 * s as u64)).sum()
}

/// Filters `src` into `dst`: one pass for each axis in turn, the last of them over `inner` interleaved elements.
///
/// `src` is extended by the radius on both sides of every axis. Computed in float64 and rounded once.
pub(crate) fn filter<T: Element, U: Element>(passes: &[Pass<'_>], inner: usize, src: &[T], dst: &mut [U], pool: &Pool) {
    if dst.is_empty() {
        return;
    }
    let mut scratch: Vec<Scratch<f64>> = buffers(passes, inner).into_iter().map(|s| pool.take(s)).collect();
    let strides = strides(passes, inner);
    match scratch.split_first_mut() {
        Some((tile, slabs)) => descend(passes, &strides, src, dst, slabs, tile),
        None => descend(passes, &strides, src, dst, &mut [], &mut []),
    }
}

fn descend<T: Element, U: Element>(
    passes: &[Pass<'_>],
    strides: &[usize],
    src: &[T],
    dst: &mut [U],
    scratch: &mut [Scratch<f64>],
    tile: &mut [f64],
) {
    let (Some(pass), Some(&stride)) = (passes.first(), strides.first()) else { return };
    if passes.len() == 1 {
        return weigh(dst, src, stride, pass.weights);
    }
    let slice = dst.len() / pass.extent;
    if pass.radius() == 0 {
        for (src, dst) in src.chunks_exact(stride).zip(dst.chunks_exact_mut(slice)) {
            descend(&passes[1..], &strides[1..], src, dst, scratch, tile);
        }
    } else if let Some((slabs, rest)) = scratch.split_first_mut() {
        let most = slabs.len() / stride;
        for (i, dst) in dst.chunks_mut(most * slice).enumerate() {
            let slabs = &mut slabs[..dst.len() / slice * stride];
            weigh_slabs(slabs, &src[i * most * stride..], stride, pass.weights, tile);
            for (slab, dst) in slabs.chunks_exact(stride).zip(dst.chunks_exact_mut(slice)) {
                descend::<f64, U>(&passes[1..], &strides[1..], slab, dst, rest, tile);
            }
        }
    }
}

/// [`weigh`] with a step of one slab, by strips of columns.
fn weigh_slabs<T: Element>(slabs: &mut [f64], src: &[T], stride: usize, weights: &[f64], tile: &mut [f64]) {
    if stride < LANES {
        return weigh(slabs, src, stride, weights);
    }
    vectorize(
        #[inline(always)]
        || strips(slabs, src, stride, weights, tile),
    );
}

#[inline(always)]
fn strips<T: Element>(slabs: &mut [f64], src: &[T], stride: usize, weights: &[f64], tile: &mut [f64]) {
    let rows = slabs.len() / stride + 2 * (weights.len() - 1);
    let mut at = 0;
    loop {
        for (to, from) in tile.chunks_exact_mut(LANES).zip(src.chunks_exact(stride)).take(rows) {
            to.iter_mut().zip(&from[at..at + LANES]).for_each(|(t, s)| *t = s.to_f64());
        }
        for (y, slab) in slabs.chunks_exact_mut(stride).enumerate() {
            slab[at..at + LANES].copy_from_slice(&run::<f64, LANES>(tile, y * LANES, LANES, weights));
        }
        if at + LANES == stride {
            return;
        }
        // The last strip overlaps the one before; it computes the same values again.
        at = (at + LANES).min(stride - LANES);
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

//! Separable filters: one pass per axis, streamed so that intermediates stay in the cache.
//!
//! The first axis is weighed into a few slabs (a slab is everything behind that axis) at a time, the next into a few
//! slabs of each slab, and the last spatial axis straight into the output. Slabs are weighed in strips of columns: a
//! strip of all rows that its results need is converted to float64 once, into a tile that stays in the nearest cache
//! while each of its rows is read for every weight. The order of operations is that of `scipy.ndimage.correlate1d` for
//! symmetric and antisymmetric weights: the centre first, then the pairs from the outermost inwards, each pair added
//! (subtracted) before it is weighed. Sums of equal weights go from the first element to the last, one window at a time
//! and never running along a line.

use crate::elementwise::{Store, wrapped};
use ops_core::{DType, Element, Pool, pool::Scratch, simd::vectorize};

/// Results computed at once: eight registers of 256 bits.
const LANES: usize = 32;
/// Slabs weighed at once: as many as fit these bytes, within these limits. More make the rows that a tile shares with
/// the next count less; beyond a second-level cache that gains nothing.
const SLABS_BYTES: usize = 256 << 10;
const FEWEST_SLABS: usize = 4;
const MOST_SLABS: usize = 32;

/// Taps up to which float64 is read from where it lies: so few rows stay in the nearest cache without a tile, and copying
/// them into one takes as long as weighing them.
const FEW_TAPS: usize = 12;

/// What is computed along one axis.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kernel {
    /// The weight of the centre and then of each distance; the same on both sides.
    Even(Vec<f64>),
    /// The same, with the opposite sign on the high side.
    Odd(Vec<f64>),
    /// The sum of so many neighbours.
    Ones(usize),
}

impl Kernel {
    /// The kernel that leaves an axis as it is.
    pub(crate) fn identity() -> Kernel {
        Kernel::Ones(1)
    }

    /// Elements that a result is computed from.
    pub(crate) fn taps(&self) -> usize {
        match self {
            Kernel::Even(w) | Kernel::Odd(w) => 2 * w.len() - 1,
            Kernel::Ones(n) => *n,
        }
    }
}

/// One axis of a separable filter over one block.
#[derive(Debug, Clone)]
pub(crate) struct Pass<'a> {
    /// Extent of the output along the axis; the input's is larger by one less than the taps.
    pub(crate) extent: usize,
    /// What is computed.
    pub(crate) kernel: &'a Kernel,
}

/// Elements behind each axis of the extended input block.
fn strides(passes: &[Pass<'_>], inner: usize) -> Vec<usize> {
    let mut s = vec![inner; passes.len()];
    for a in (0..passes.len().saturating_sub(1)).rev() {
        s[a] = s[a + 1] * (passes[a + 1].extent + passes[a + 1].kernel.taps() - 1);
    }
    s
}

/// Slabs of `stride` elements that are weighed at once along an axis.
fn slabs(pass: &Pass<'_>, stride: usize) -> usize {
    (SLABS_BYTES / 8 / stride.max(1)).clamp(FEWEST_SLABS, MOST_SLABS).min(pass.extent)
}

/// Elements of each buffer of scratch: the tile, then the slabs of every axis but the last that has more than one tap. Nothing
/// where there is no such axis.
fn buffers(passes: &[Pass<'_>], inner: usize) -> Vec<usize> {
    let (mut sizes, mut tile) = (Vec::new(), 0);
    let last = passes.len().saturating_sub(1);
    for (pass, stride) in passes.iter().zip(strides(passes, inner)).take(last).filter(|(p, _)| p.kernel.taps() > 1) {
        let slabs = slabs(pass, stride);
        tile = tile.max((slabs + pass.kernel.taps() - 1) * LANES);
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

/// How a sum becomes an element of the result.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Finish {
    /// How it is rounded; float64 is not.
    pub(crate) store: Store,
    /// What it is divided by before that.
    pub(crate) divisor: f64,
}

impl From<Store> for Finish {
    fn from(store: Store) -> Finish {
        Finish { store, divisor: 1.0 }
    }
}

/// Filters `src` into `dst`: one pass for each axis in turn, the last of them over `inner` interleaved elements.
///
/// `src` is extended by one less than the taps along every axis. Computed in float64 and rounded once.
pub(crate) fn filter<T: Element, U: Element>(
    passes: &[Pass<'_>],
    inner: usize,
    src: &[T],
    dst: &mut [U],
    finish: Finish,
    pool: &Pool,
) {
    if dst.is_empty() {
        return;
    }
    let mut scratch: Vec<Scratch<f64>> = buffers(passes, inner).into_iter().map(|s| pool.take(s)).collect();
    let strides = strides(passes, inner);
    match scratch.split_first_mut() {
        Some((tile, slabs)) => descend(passes, &strides, src, (dst, finish), slabs, tile),
        None => descend(passes, &strides, src, (dst, finish), &mut [], &mut []),
    }
}

fn descend<T: Element, U: Element>(
    passes: &[Pass<'_>],
    strides: &[usize],
    src: &[T],
    (dst, finish): (&mut [U], Finish),
    scratch: &mut [Scratch<f64>],
    tile: &mut [f64],
) {
    let (Some(pass), Some(&stride)) = (passes.first(), strides.first()) else { return };
    if passes.len() == 1 {
        return weigh(dst, src, stride, pass.kernel, finish);
    }
    let slice = dst.len() / pass.extent;
    if pass.kernel.taps() == 1 {
        for (src, dst) in src.chunks_exact(stride).zip(dst.chunks_exact_mut(slice)) {
            descend(&passes[1..], &strides[1..], src, (dst, finish), scratch, tile);
        }
    } else if let Some((slabs, rest)) = scratch.split_first_mut() {
        let most = slabs.len() / stride;
        for (i, dst) in dst.chunks_mut(most * slice).enumerate() {
            let slabs = &mut slabs[..dst.len() / slice * stride];
            weigh_slabs(slabs, &src[i * most * stride..], stride, pass.kernel, tile);
            for (slab, dst) in slabs.chunks_exact(stride).zip(dst.chunks_exact_mut(slice)) {
                descend::<f64, U>(&passes[1..], &strides[1..], slab, (dst, finish), rest, tile);
            }
        }
    }
}

/// [`weigh`] with a step of one slab, by strips of columns.
fn weigh_slabs<T: Element>(slabs: &mut [f64], src: &[T], stride: usize, kernel: &Kernel, tile: &mut [f64]) {
    if stride < LANES || (T::DTYPE == DType::Float64 && kernel.taps() <= FEW_TAPS) {
        return weigh(slabs, src, stride, kernel, Store::Nearest.into());
    }
    let rows = slabs.len() / stride + kernel.taps() - 1;
    vectorize(
        #[inline(always)]
        || match kernel {
            Kernel::Even(w) => strips(
                slabs,
                src,
                (stride, rows),
                tile,
                #[inline(always)]
                |tile, at| run::<f64, LANES>(tile, at, LANES, w),
            ),
            Kernel::Odd(w) => strips(
                slabs,
                src,
                (stride, rows),
                tile,
                #[inline(always)]
                |tile, at| slope::<f64, LANES>(tile, at, LANES, w),
            ),
            Kernel::Ones(n) => strips(
                slabs,
                src,
                (stride, rows),
                tile,
                #[inline(always)]
                |tile, at| sum::<f64, LANES>(tile, at, LANES, *n),
            ),
        },
    );
}

#[inline(always)]
fn strips<T: Element>(
    slabs: &mut [f64],
    src: &[T],
    (stride, rows): (usize, usize),
    tile: &mut [f64],
    weighed: impl Fn(&[f64], usize) -> [f64; LANES],
) {
    let mut at = 0;
    loop {
        for (to, from) in tile.chunks_exact_mut(LANES).zip(src.chunks_exact(stride)).take(rows) {
            to.iter_mut().zip(&from[at..at + LANES]).for_each(|(t, s)| *t = s.to_f64());
        }
        for (y, slab) in slabs.chunks_exact_mut(stride).enumerate() {
            slab[at..at + LANES].copy_from_slice(&weighed(tile, y * LANES));
        }
        if at + LANES == stride {
            return;
        }
        // The last strip overlaps the one before; it computes the same values again.
        at = (at + LANES).min(stride - LANES);
    }
}

/// Each result is computed from elements `step` apart from `src` on; as many of them as the kernel has taps.
fn weigh<T: Element, U: Element>(dst: &mut [U], src: &[T], step: usize, kernel: &Kernel, finish: Finish) {
    vectorize(
        #[inline(always)]
        || match kernel {
            Kernel::Even(w) => lanes(
                dst,
                finish,
                #[inline(always)]
                |at| run::<T, LANES>(src, at, step, w),
                |at| run::<T, 1>(src, at, step, w),
            ),
            Kernel::Odd(w) => lanes(
                dst,
                finish,
                #[inline(always)]
                |at| slope::<T, LANES>(src, at, step, w),
                |at| slope::<T, 1>(src, at, step, w),
            ),
            Kernel::Ones(n) => lanes(
                dst,
                finish,
                #[inline(always)]
                |at| sum::<T, LANES>(src, at, step, *n),
                |at| sum::<T, 1>(src, at, step, *n),
            ),
        },
    );
}

#[inline(always)]
fn lanes<U: Element>(
    dst: &mut [U],
    finish: Finish,
    many: impl Fn(usize) -> [f64; LANES],
    one: impl Fn(usize) -> [f64; 1],
) {
    let n = dst.len();
    if n < LANES {
        for (i, d) in dst.chunks_exact_mut(1).enumerate() {
            put(d, one(i), finish);
        }
        return;
    }
    let mut i = 0;
    loop {
        put(&mut dst[i..i + LANES], many(i), finish);
        if i + LANES == n {
            return;
        }
        // The last run overlaps the one before; it computes the same values again.
        i = (i + LANES).min(n - LANES);
    }
}

#[inline(always)]
fn put<U: Element, const N: usize>(dst: &mut [U], mut sums: [f64; N], finish: Finish) {
    if finish.divisor != 1.0 {
        sums.iter_mut().for_each(|s| *s /= finish.divisor);
    }
    let pairs = dst.iter_mut().zip(sums);
    match finish.store {
        Store::Truncated => pairs.for_each(|(d, s)| *d = U::from_f64_truncated(s)),
        Store::Wrapped => pairs.for_each(|(d, s)| *d = wrapped(s as i64)),
        Store::Nearest => pairs.for_each(|(d, s)| *d = U::from_f64(s)),
    }
}

/// `N` neighbouring results of an even kernel from position `at` on.
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

/// `N` neighbouring results of an odd kernel.
#[inline(always)]
fn slope<T: Element, const N: usize>(src: &[T], at: usize, step: usize, weights: &[f64]) -> [f64; N] {
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
            sums[l] += (low[l].to_f64() - high[l].to_f64()) * w;
        }
    }
    sums
}

/// `N` neighbouring sums of `taps` elements.
#[inline(always)]
fn sum<T: Element, const N: usize>(src: &[T], at: usize, step: usize, taps: usize) -> [f64; N] {
    let first = &src[at..][..N];
    let mut sums = [0.0; N];
    for l in 0..N {
        sums[l] = first[l].to_f64();
    }
    for k in 1..taps {
        let next = &src[at + k * step..][..N];
        for l in 0..N {
            sums[l] += next[l].to_f64();
        }
    }
    sums
}

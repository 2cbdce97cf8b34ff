//! Minima and maxima over boxes: one pass per axis, streamed as those of `separable` are.
//!
//! Computed with keys, so the result is exact and does not depend on how it is put together: a window that is wider
//! than `DOUBLING` along x is put together from windows of half the width, whose extremes are computed once.

use super::key::Keyed;
use super::shaped::pairs;
use ops_core::{Pool, pool::Scratch, simd::vectorize};

/// Results computed at once, in bytes.
const LANE_BYTES: usize = 256;
/// From so many elements on, extremes along the last axis come from those of half as many.
const DOUBLING: usize = 8;

/// Extents of one axis.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pass {
    /// Of the output.
    pub(super) extent: usize,
    /// Of the window.
    pub(super) taps: usize,
}

/// Elements behind each axis of the extended input block.
fn strides(passes: &[Pass], inner: usize) -> Vec<usize> {
    let mut s = vec![inner; passes.len()];
    for a in (0..passes.len().saturating_sub(1)).rev() {
        s[a] = s[a + 1] * (passes[a + 1].extent + passes[a + 1].taps - 1);
    }
    s
}

/// Elements of each slab of scratch: one for every axis but the last that has more than one tap, and one for the last
/// where it is wide.
fn slabs(passes: &[Pass], inner: usize) -> Vec<usize> {
    let (Some(last), strides) = (passes.last(), strides(passes, inner)) else { return Vec::new() };
    let others = passes.iter().zip(strides).take(passes.len() - 1);
    let doubled = (last.taps >= DOUBLING).then(|| (last.extent + last.taps - 1) * inner);
    others.filter(|(p, _)| p.taps > 1).map(|(_, s)| s).chain(doubled).collect()
}

/// Bytes of scratch that [`filter`] takes for elements of a size.
pub(super) fn scratch_bytes(passes: &[Pass], inner: usize, size: usize) -> u64 {
    slabs(passes, inner).into_iter().map(|s| Pool::rounded((size * s) as u64)).sum()
}

/// The least or the greatest element of each window. `src` is extended by one less than the taps along every axis.
pub(super) fn filter<T: Keyed, const MAX: bool>(passes: &[Pass], inner: usize, src: &[T], dst: &mut [T], pool: &Pool) {
    let mut scratch: Vec<Scratch<T::Key>> = slabs(passes, inner).into_iter().map(|s| pool.take(s)).collect();
    if !dst.is_empty() {
        descend::<T, T, T::Key, MAX>(passes, &strides(passes, inner), src, dst, &mut scratch);
    }
}

fn descend<S: Keyed<Key = K>, D: Keyed<Key = K>, K: Keyed<Key = K> + Ord, const MAX: bool>(
    passes: &[Pass],
    strides: &[usize],
    src: &[S],
    dst: &mut [D],
    scratch: &mut [Scratch<K>],
) {
    let (Some(&Pass { extent, taps }), Some(&stride)) = (passes.first(), strides.first()) else { return };
    if passes.len() == 1 {
        return match scratch.first_mut() {
            Some(row) if taps >= DOUBLING => doubled::<S, D, K, MAX>(dst, src, stride, taps, row),
            _ => extremes::<S, D, K, MAX>(dst, src, stride, taps),
        };
    }
    let slices = dst.chunks_exact_mut(dst.len() / extent).enumerate();
    if taps == 1 {
        for (i, dst) in slices {
            let slab = &src[i * stride..(i + 1) * stride];
            descend::<S, D, K, MAX>(&passes[1..], &strides[1..], slab, dst, scratch);
        }
    } else if let Some((slab, rest)) = scratch.split_first_mut() {
        for (i, dst) in slices {
            extremes::<S, K, K, MAX>(&mut slab[..stride], &src[i * stride..], stride, taps);
            descend::<K, D, K, MAX>(&passes[1..], &strides[1..], &slab[..stride], dst, rest);
        }
    }
}

#[inline(always)]
fn better<K: Ord, const MAX: bool>(a: K, b: K) -> K {
    if MAX { a.max(b) } else { a.min(b) }
}

/// Each result is the extreme of `taps` elements `step` apart from `src` on.
fn extremes<S: Keyed<Key = K>, D: Keyed<Key = K>, K: Ord + Copy + Default, const MAX: bool>(
    dst: &mut [D],
    src: &[S],
    step: usize,
    taps: usize,
) {
    vectorize(
        #[inline(always)]
        || match size_of::<K>() {
            1 => lanes::<S, D, K, MAX, LANE_BYTES>(dst, src, step, taps),
            2 => lanes::<S, D, K, MAX, { LANE_BYTES / 2 }>(dst, src, step, taps),
            4 => lanes::<S, D, K, MAX, { LANE_BYTES / 4 }>(dst, src, step, taps),
            _ => lanes::<S, D, K, MAX, { LANE_BYTES / 8 }>(dst, src, step, taps),
        },
    );
}

#[inline(always)]
fn lanes<S: Keyed<Key = K>, D: Keyed<Key = K>, K: Ord + Copy + Default, const MAX: bool, const N: usize>(
    dst: &mut [D],
    src: &[S],
    step: usize,
    taps: usize,
) {
    let n = dst.len();
    let whole = n / N * N;
    for at in (0..whole).step_by(N) {
        run::<S, D, K, MAX, N>(&mut dst[at..at + N], &src[at..], step, taps);
    }
    if n >= N && whole < n {
        // The last run overlaps the one before; it computes the same values again.
        return run::<S, D, K, MAX, N>(&mut dst[n - N..], &src[n - N..], step, taps);
    }
    if whole < n {
        part::<S, D, K, MAX, N>(dst, src, step, taps);
    }
}

/// The same for fewer than `N` results.
#[inline(always)]
fn part<S: Keyed<Key = K>, D: Keyed<Key = K>, K: Ord + Copy + Default, const MAX: bool, const N: usize>(
    dst: &mut [D],
    src: &[S],
    step: usize,
    taps: usize,
) {
    let (mut found, n) = ([K::default(); N], dst.len());
    let found = &mut found[..n];
    found.iter_mut().zip(src).for_each(|(f, s)| *f = s.key());
    for k in 1..taps {
        found.iter_mut().zip(&src[k * step..][..n]).for_each(|(f, s)| *f = better::<K, MAX>(*f, s.key()));
    }
    dst.iter_mut().zip(found).for_each(|(d, k)| *d = D::of_key(*k));
}

#[inline(always)]
fn run<S: Keyed<Key = K>, D: Keyed<Key = K>, K: Ord + Copy + Default, const MAX: bool, const N: usize>(
    dst: &mut [D],
    src: &[S],
    step: usize,
    taps: usize,
) {
    let mut found = [K::default(); N];
    let first = &src[..N];
    for l in 0..N {
        found[l] = first[l].key();
    }
    for k in 1..taps {
        let next = &src[k * step..][..N];
        for l in 0..N {
            found[l] = better::<K, MAX>(found[l], next[l].key());
        }
    }
    dst.iter_mut().zip(found).for_each(|(d, k)| *d = D::of_key(k));
}

/// The same along a row: windows of 1, 2, 4, ... elements, and of the last two that overlap the extreme.
fn doubled<S: Keyed<Key = K>, D: Keyed<Key = K>, K: Keyed<Key = K> + Ord, const MAX: bool>(
    dst: &mut [D],
    src: &[S],
    step: usize,
    taps: usize,
    row: &mut [K],
) {
    let mut wide = dst.len() + (taps - 1) * step;
    let row = &mut row[..wide];
    vectorize(
        #[inline(always)]
        || {
            row.iter_mut().zip(src).for_each(|(k, s)| *k = s.key());
            let mut have = 1;
            while 2 * have <= taps {
                wide -= have * step;
                pairs::<K, MAX>(row, wide, have * step);
                have *= 2;
            }
            let rest = &row[(taps - have) * step..];
            for ((d, a), b) in dst.iter_mut().zip(&row[..]).zip(rest) {
                *d = D::of_key(better::<K, MAX>(*a, *b));
            }
        },
    );
}

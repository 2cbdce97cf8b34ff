//! Minima and maxima over windows that are no box.
//!
//! A small window is looked at element by element, many results at once. A larger one is taken apart into runs along
//! x: the extremes of 1, 2, 4, ... elements are computed once for all windows, and a run of any length is two of them
//! that overlap (van Droogenbroeck and Buckley's decomposition by rows, with doubling in place of a queue).

use super::key::Keyed;
use super::rank::Layout;
use ops_core::{Pool, simd::vectorize};

/// Results computed at once, in bytes; and where a row is shorter.
const LANE_BYTES: usize = 256;
const FEW_BYTES: usize = 32;
/// Looks an element, from which on doubling is worth its passes over the block.
const MANY: usize = 16;

/// The elements of a window as places in an extended block.
pub(super) struct Rows {
    /// For each level, extremes of 2^level elements: where they begin, counted from where the window begins.
    levels: Vec<Vec<usize>>,
}

impl Rows {
    /// The cheaper way to see all that count.
    pub(super) fn new(layout: &Layout, members: &[bool]) -> Rows {
        let direct = layout.all(Some(members));
        let mut levels: Vec<Vec<usize>> = Vec::new();
        for (row, column) in members.chunks_exact(layout.width.max(1)).zip(&layout.columns) {
            let mut x = 0;
            for run in row.chunk_by(|a, b| a == b) {
                let (level, from) = (run.len().ilog2() as usize, column + x * layout.inner);
                x += run.len();
                if !run[0] {
                    continue;
                }
                levels.resize_with(levels.len().max(level + 1), Vec::new);
                levels[level].push(from);
                if !run.len().is_power_of_two() {
                    levels[level].push(from + (run.len() - (1 << level)) * layout.inner);
                }
            }
        }
        let looks: usize = levels.iter().map(Vec::len).sum();
        let doubled = looks + 4 * levels.len();
        if direct.len() < MANY || direct.len() <= doubled { Rows { levels: vec![direct] } } else { Rows { levels } }
    }

    /// True when extremes of several elements are held, in scratch as large as the extended block.
    pub(super) fn doubles(&self) -> bool {
        self.levels.len() > 1
    }

    /// The least or the greatest element of each window.
    pub(super) fn filter<T: Keyed, const MAX: bool>(&self, layout: &Layout, src: &[T], dst: &mut [T], pool: &Pool) {
        if !self.doubles() {
            return self.levels.iter().for_each(|o| each_row::<T, T, T::Key, MAX>(layout, o, src, dst, true));
        }
        let mut held = pool.take::<T::Key>(src.len());
        vectorize(
            #[inline(always)]
            || held.iter_mut().zip(src).for_each(|(k, s)| *k = s.key()),
        );
        let mut first = true;
        for (level, offsets) in self.levels.iter().enumerate() {
            if !offsets.is_empty() {
                each_row::<T::Key, T, T::Key, MAX>(layout, offsets, &held, dst, first);
                first = false;
            }
            if level + 1 < self.levels.len() {
                double::<T::Key, MAX>(&mut held, layout.inner << level);
            }
        }
    }
}

#[inline(always)]
fn better<K: Ord, const MAX: bool>(a: K, b: K) -> K {
    if MAX { a.max(b) } else { a.min(b) }
}

/// Each element becomes the extreme of itself and the one `step` further; the last ones have none and stay. What reaches
/// beyond the end of a row is no window's, and never looked at.
fn double<K: Ord + Copy + Default, const MAX: bool>(held: &mut [K], step: usize) {
    vectorize(
        #[inline(always)]
        || pairs::<K, MAX>(held, held.len().saturating_sub(step), step),
    );
}

/// Elements that are read before any of them is written: without that a compiler takes them one by one.
const AT_ONCE: usize = 64;

/// The first `n` elements of a row become the extremes of themselves and those `step` further.
#[inline(always)]
pub(super) fn pairs<K: Ord + Copy + Default, const MAX: bool>(row: &mut [K], n: usize, step: usize) {
    let whole = n / AT_ONCE * AT_ONCE;
    for at in (0..whole).step_by(AT_ONCE) {
        let mut found = [K::default(); AT_ONCE];
        found.copy_from_slice(&row[at..at + AT_ONCE]);
        // What is read lies ahead of what is written, so this may be done in place.
        for (f, b) in found.iter_mut().zip(&row[at + step..][..AT_ONCE]) {
            *f = better::<K, MAX>(*f, *b);
        }
        row[at..at + AT_ONCE].copy_from_slice(&found);
    }
    for i in whole..n {
        row[i] = better::<K, MAX>(row[i], row[i + step]);
    }
}

/// Rows of the output, each the extreme of what lies at these distances; and of what it was, but for the first time.
fn each_row<S: Keyed<Key = K>, D: Keyed<Key = K>, K: Ord + Copy + Default, const MAX: bool>(
    layout: &Layout,
    offsets: &[usize],
    src: &[S],
    dst: &mut [D],
    first: bool,
) {
    vectorize(
        #[inline(always)]
        || {
            for (r, dst) in dst.chunks_exact_mut(layout.row).enumerate() {
                let src = &src[layout.base(r)..];
                match size_of::<K>() {
                    1 => row::<S, D, K, MAX, LANE_BYTES, FEW_BYTES>(dst, src, offsets, first),
                    2 => row::<S, D, K, MAX, { LANE_BYTES / 2 }, { FEW_BYTES / 2 }>(dst, src, offsets, first),
                    4 => row::<S, D, K, MAX, { LANE_BYTES / 4 }, { FEW_BYTES / 4 }>(dst, src, offsets, first),
                    _ => row::<S, D, K, MAX, { LANE_BYTES / 8 }, { FEW_BYTES / 8 }>(dst, src, offsets, first),
                }
            }
        },
    );
}

#[inline(always)]
fn row<
    S: Keyed<Key = K>,
    D: Keyed<Key = K>,
    K: Ord + Copy + Default,
    const MAX: bool,
    const N: usize,
    const F: usize,
>(
    dst: &mut [D],
    src: &[S],
    offsets: &[usize],
    first: bool,
) {
    let (n, mut at) = (dst.len(), 0);
    while at + N <= n {
        run::<S, D, K, MAX, N>(&mut dst[at..at + N], &src[at..], offsets, first);
        at += N;
    }
    while at + F <= n {
        run::<S, D, K, MAX, F>(&mut dst[at..at + F], &src[at..], offsets, first);
        at += F;
    }
    while at < n {
        run::<S, D, K, MAX, 1>(&mut dst[at..at + 1], &src[at..], offsets, first);
        at += 1;
    }
}

#[inline(always)]
fn run<S: Keyed<Key = K>, D: Keyed<Key = K>, K: Ord + Copy + Default, const MAX: bool, const N: usize>(
    dst: &mut [D],
    src: &[S],
    offsets: &[usize],
    first: bool,
) {
    let mut found = [K::default(); N];
    let known = if first { offsets.first() } else { None };
    match known {
        Some(&o) => found.iter_mut().zip(&src[o..][..N]).for_each(|(f, s)| *f = s.key()),
        None => found.iter_mut().zip(&*dst).for_each(|(f, d)| *f = d.key()),
    }
    for &o in &offsets[usize::from(first).min(offsets.len())..] {
        let next = &src[o..][..N];
        for l in 0..N {
            found[l] = better::<K, MAX>(found[l], next[l].key());
        }
    }
    dst.iter_mut().zip(found).for_each(|(d, k)| *d = D::of_key(k));
}

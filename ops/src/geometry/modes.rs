//! The most frequent element of each window.
//!
//! Small windows are sorted side by side, by a network of minima and maxima (Batcher's odd-even merge sort; Knuth, *The
//! Art of Computer Programming* 3, section 5.3.4), and their runs counted without a branch; large ones are sorted one by one.

use super::windows::{Run, Windows};
use crate::filter::key::Keyed;
use ops_core::{Pool, simd::vectorize};

/// Windows that are sorted side by side.
const LANES: usize = 64;
/// Elements of the largest window that a network sorts.
const SMALL: usize = 64;

/// Bytes of scratch that [`apply`] takes for elements of this size.
pub(crate) fn scratch_bytes(windows: &Windows, size: usize) -> u64 {
    let n = windows.largest();
    Pool::rounded((size * if n <= SMALL { n * LANES } else { n }) as u64)
}

/// Finds the most frequent element of each window, of several the smallest.
pub(crate) fn apply<T: Keyed>(windows: &Windows, src: &[T], dst: &mut [T], pool: &Pool) {
    let most = windows.largest();
    if most > SMALL {
        let mut window = pool.take::<T::Key>(most);
        return windows.runs(1, |starts, run| {
            for i in 0..run.n {
                let n = gather(src, starts, run, i, &mut window);
                window[..n].sort_unstable();
                dst[run.to + i] = T::of_key(longest(&window[..n]));
            }
        });
    }
    let mut lanes = pool.take::<T::Key>(most * LANES);
    let lanes = lanes.as_chunks_mut::<LANES>().0;
    windows.runs(LANES, |starts, run| {
        let n = starts.len() * run.factor;
        for (k, lane) in lanes[..n].iter_mut().enumerate() {
            let from = starts[k / run.factor] + run.from + k % run.factor * run.step;
            for (i, v) in lane[..run.n].iter_mut().enumerate() {
                *v = src[from + i / run.step * run.factor * run.step + i % run.step].key();
            }
        }
        let dst = &mut dst[run.to..run.to + run.n];
        vectorize(
            #[inline(always)]
            || {
                sort(&mut lanes[..n]);
                dst.iter_mut().zip(runs(&lanes[..n])).for_each(|(d, k)| *d = T::of_key(k));
            },
        );
    });
}

/// The keys of the window of element `i` of a run; how many there are.
fn gather<T: Keyed>(src: &[T], starts: &[usize], run: Run, i: usize, window: &mut [T::Key]) -> usize {
    let at = run.from + i / run.step * run.factor * run.step + i % run.step;
    let elements = starts.iter().flat_map(|s| (0..run.factor).map(move |k| s + at + k * run.step));
    window.iter_mut().zip(elements).map(|(w, e)| *w = src[e].key()).count()
}

/// The first of the longest runs of equal keys; of no key the default.
fn longest<K: Copy + PartialEq + Default>(sorted: &[K]) -> K {
    let (mut best, mut most) = (K::default(), 0);
    for run in sorted.chunk_by(|a, b| a == b) {
        if run.len() > most {
            (best, most) = (run[0], run.len());
        }
    }
    best
}

/// Sorts each lane, by the same exchanges in all of them.
#[inline(always)]
fn sort<K: Copy + Ord>(lanes: &mut [[K; LANES]]) {
    let n = lanes.len();
    let mut p = 1;
    while p < n {
        let mut k = p;
        while k >= 1 {
            for j in (k % p..n.saturating_sub(k)).step_by(2 * k) {
                for i in (j..(j + k).min(n - k)).filter(|i| i / (2 * p) == (i + k) / (2 * p)) {
                    let (low, high) = lanes.split_at_mut(i + k);
                    for (a, b) in low[i].iter_mut().zip(&mut high[0]) {
                        (*a, *b) = ((*a).min(*b), (*a).max(*b));
                    }
                }
            }
            k /= 2;
        }
        p *= 2;
    }
}

/// The first of the longest runs of equal keys of each sorted lane.
#[inline(always)]
fn runs<K: Copy + Eq>(lanes: &[[K; LANES]]) -> [K; LANES] {
    let (mut best, mut most, mut length) = (lanes[0], [1u8; LANES], [1u8; LANES]);
    for w in lanes.windows(2) {
        for i in 0..LANES {
            length[i] = if w[0][i] == w[1][i] { length[i] + 1 } else { 1 };
            let longer = length[i] > most[i];
            most[i] = if longer { length[i] } else { most[i] };
            best[i] = if longer { w[1][i] } else { best[i] };
        }
    }
    best
}

//! Ranks of 8-bit elements in large boxes, at a cost that does not grow with them along x and y.
//!
//! S. Perreault and P. Hebert, *Median filtering in constant time*, IEEE Trans. Image Process. 16 (2007) 2389-2394: each
//! column of a window has a histogram, which one row leaves and one enters as the window moves down; the histogram of
//! the window gains one column's and loses another's as it moves right.

use super::key::Keyed;
use super::rank::Layout;
use ops_core::{Element, Pool, simd::vectorize};

/// Values of an element.
const BINS: usize = 256;
/// Values counted together, to find a rank in two short steps.
const COARSE: usize = 16;
/// The largest window: counts have 16 bits.
pub(super) const LARGEST: usize = u16::MAX as usize;
/// Columns whose histograms are kept at once, besides those of a window.
const STRIP: usize = 128;

/// Counts of values, and of sixteen values together.
#[derive(Clone, Copy)]
struct Counts {
    fine: [u16; BINS],
    coarse: [u16; COARSE],
}

fn strip(layout: &Layout) -> usize {
    layout.row.min(STRIP * layout.inner)
}

fn columns(layout: &Layout) -> usize {
    strip(layout) + (layout.width - 1) * layout.inner
}

/// Bytes of scratch that [`filter`] takes.
pub(super) fn scratch_bytes(layout: &Layout) -> u64 {
    Pool::rounded((columns(layout) * (BINS + COARSE) * size_of::<u16>()) as u64)
}

/// Finds the element of a rank in each window. Elements have 8 bits.
pub(super) fn filter<T: Keyed>(layout: &Layout, rank: usize, src: &[T], dst: &mut [T], pool: &Pool) {
    let mut scratch = pool.take::<u16>(columns(layout) * (BINS + COARSE));
    let histograms = scratch.as_chunks_mut::<{ BINS + COARSE }>().0;
    let strip = strip(layout);
    // Output rows of one plane, and the step from one to the next.
    let (plane, step) = layout.outer.last().copied().unwrap_or((1, 0));
    // Rows that a window has and the one below has not, and those that only the one below has.
    let own = |c: &usize| c.checked_sub(step).is_none_or(|above| layout.columns.binary_search(&above).is_err());
    let new = |c: &usize| layout.columns.binary_search(&(c + step)).is_err();
    let leaving: Vec<usize> = layout.columns.iter().copied().filter(own).collect();
    let entering: Vec<usize> = layout.columns.iter().copied().filter(new).collect();
    for (p, dst) in dst.chunks_exact_mut(plane * layout.row).enumerate() {
        for from in (0..layout.row).step_by(strip) {
            let n = strip.min(layout.row - from);
            let wide = n + (layout.width - 1) * layout.inner;
            let histograms = &mut histograms[..wide];
            for y in 0..plane {
                let base = layout.base(p * plane + y) + from;
                let row = &mut dst[y * layout.row + from..][..n];
                vectorize(
                    #[inline(always)]
                    || {
                        if y == 0 {
                            histograms.iter_mut().for_each(|h| h.fill(0));
                            layout.columns.iter().for_each(|c| count(&src[base + c..], histograms, 1));
                        } else {
                            leaving.iter().for_each(|c| count(&src[base - step + c..], histograms, u16::MAX));
                            entering.iter().for_each(|c| count(&src[base + c..], histograms, 1));
                        }
                        along(layout, rank, histograms, row);
                    },
                );
            }
        }
    }
}

/// Adds to each column's histogram, modulo 2^16, for the element of a row that is in it.
#[inline(always)]
fn count<T: Element>(row: &[T], histograms: &mut [[u16; BINS + COARSE]], by: u16) {
    for (h, v) in histograms.iter_mut().zip(row) {
        let v = v.order_key() as usize % BINS;
        h[v] = h[v].wrapping_add(by);
        h[BINS + v / COARSE] = h[BINS + v / COARSE].wrapping_add(by);
    }
}

/// Moves the window along a row.
#[inline(always)]
fn along<T: Element>(layout: &Layout, rank: usize, histograms: &[[u16; BINS + COARSE]], row: &mut [T]) {
    for channel in 0..layout.inner.min(row.len()) {
        let mut window = Counts { fine: [0; BINS], coarse: [0; COARSE] };
        for k in 0..layout.width - 1 {
            window.change(&histograms[channel + k * layout.inner], &[0; BINS + COARSE]);
        }
        let mut leaving = &[0; BINS + COARSE];
        for at in (channel..row.len()).step_by(layout.inner) {
            window.change(&histograms[at + (layout.width - 1) * layout.inner], leaving);
            leaving = &histograms[at];
            row[at] = T::from_order_key(window.value(rank) as u64);
        }
    }
}

impl Counts {
    #[inline(always)]
    fn change(&mut self, gained: &[u16; BINS + COARSE], lost: &[u16; BINS + COARSE]) {
        for i in 0..BINS {
            self.fine[i] = self.fine[i].wrapping_add(gained[i]).wrapping_sub(lost[i]);
        }
        for i in 0..COARSE {
            self.coarse[i] = self.coarse[i].wrapping_add(gained[BINS + i]).wrapping_sub(lost[BINS + i]);
        }
    }

    /// The value of a rank.
    #[inline(always)]
    fn value(&self, rank: usize) -> usize {
        let (mut rank, mut coarse) = (rank as u32, 0);
        while coarse + 1 < COARSE && rank >= u32::from(self.coarse[coarse]) {
            rank -= u32::from(self.coarse[coarse]);
            coarse += 1;
        }
        let mut value = coarse * COARSE;
        while value + 1 < (coarse + 1) * COARSE && rank >= u32::from(self.fine[value]) {
            rank -= u32::from(self.fine[value]);
            value += 1;
        }
        value
    }
}

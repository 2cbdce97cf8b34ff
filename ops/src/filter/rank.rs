//! Rank filters: the element of one rank among the neighbours of each element.
//!
//! The rank is exact whatever finds it, so the way is chosen by window and dtype. Small windows: sorting networks over
//! many elements at once. In a box the elements of a column (all of the window at one x) are sorted once for all windows
//! that share it, and the sorted columns of a window are merged only as far as the rank asks; the smallest medians are
//! code, not programs, and share more ([`paired`]). Larger boxes of 8-bit elements: histograms of columns that move along
//! with the window. The rest: selection, window by window.

use super::histogram;
use super::key::Keyed;
use super::lanes::{RUN, Room, columns, direct, merged, run};
use super::network::{Program, selecting, sorting};
use super::paired::{self, Small};
use super::window::Window;
use ops_core::{Block, DType, Pool, Region, simd::vectorize, with_dtype};

/// Largest window that a network is made for.
const NETWORK: usize = 512;
/// Largest window of 8-bit elements that a network is made for: beyond, histograms are quicker.
const NETWORK_OF_BYTES: usize = 81;
/// Elements of a row that are computed at once: their sorted columns stay in the cache.
const STRIP: usize = 1024;

/// How the rank is found.
enum Way {
    /// A program over all elements of the window.
    Direct(Program),
    /// A program that sorts a column, and one over the sorted columns of a window.
    Columns(Program, Program),
    /// Code that shares work between rows of output too: medians of 3 x 3, 5 x 5, 9 x 3 and 3 x 3 x 3. With the axis of y.
    Small(Small, usize),
    /// Histograms.
    Counts,
    /// Selection.
    Gather,
}

fn way(window: &Window, last: usize, rank: usize, dtype: DType) -> Way {
    let (n, width) = (window.count(), window.extents[last]);
    let column = window.extents[..last].iter().fold(1usize, |v, &n| v.saturating_mul(n));
    let plain = window.members.is_none() && column > 1 && width > 1;
    let y = window.extents[..last].iter().rposition(|&n| n > 1);
    let small = Small::of(&window.extents).zip(y);
    if plain && dtype.size() == 1 && n > NETWORK_OF_BYTES && n <= histogram::LARGEST {
        Way::Counts
    } else if n > NETWORK {
        Way::Gather
    } else if let Some((small, axis)) = small.filter(|_| plain && rank == n / 2) {
        Way::Small(small, axis)
    } else if plain {
        Way::Columns(sorting(column), selecting(width, column, rank))
    } else {
        Way::Direct(selecting(n, 1, rank))
    }
}

/// Where the elements of windows lie in an extended block.
pub(super) struct Layout {
    /// Elements of a row of the output.
    pub(super) row: usize,
    /// Elements from one x to the next.
    pub(super) inner: usize,
    /// Extent of the window along x.
    pub(super) width: usize,
    /// Extents of the output along the axes before x, and steps between their elements in the extended block.
    pub(super) outer: Vec<(usize, usize)>,
    /// Distances of the first elements of the window's rows from its first.
    pub(super) columns: Vec<usize>,
}

impl Layout {
    pub(super) fn new(window: &Window, last: usize, src: &Region, out: &Region) -> Layout {
        let (shape, strides) = (out.shape(), src.strides());
        let inner = shape[last + 1..].iter().product();
        let mut columns = vec![0];
        for a in 0..last {
            let (steps, stride) = (0..window.extents[a], strides[a]);
            columns = columns.iter().flat_map(|c| steps.clone().map(move |k| c + k * stride)).collect();
        }
        Layout {
            row: shape[last] * inner,
            inner,
            width: window.extents[last],
            outer: (0..last).map(|a| (shape[a], strides[a])).collect(),
            columns,
        }
    }

    /// Where in the extended block the first window of an output row begins.
    pub(super) fn base(&self, mut row: usize) -> usize {
        let mut base = 0;
        for &(n, stride) in self.outer.iter().rev() {
            base += row % n * stride;
            row /= n;
        }
        base
    }

    /// Distances of all elements that count from the first of the window.
    pub(super) fn all(&self, members: Option<&[bool]>) -> Vec<usize> {
        let rows = self.columns.iter().flat_map(|c| (0..self.width).map(move |x| c + x * self.inner));
        rows.enumerate().filter(|(i, _)| members.is_none_or(|m| m[*i])).map(|(_, o)| o).collect()
    }

    fn strip(&self) -> usize {
        self.row.min(STRIP)
    }

    /// Elements between sorted columns of neighbouring ranks: whole runs, and what the last window needs beyond.
    fn pitch(&self) -> usize {
        self.strip().next_multiple_of(RUN) + (self.width - 1) * self.inner
    }
}

/// Elements of the inputs and of the slots of programs, and of a run.
fn room(programs: &[&Program], loaded: usize, size: usize) -> (usize, usize, usize) {
    let slots = programs.iter().map(|p| p.slots).max().unwrap_or(0);
    let width = run(slots + loaded, size);
    (loaded * width, slots * width, width)
}

/// Bytes of scratch that [`filter`] takes.
pub(crate) fn scratch_bytes(window: &Window, last: usize, rank: usize, dtype: DType, out: &Region) -> u64 {
    let (n, size) = (window.count(), dtype.size());
    let after = window.after();
    let layout = Layout::new(window, last, &out.grow(&window.before, &after), out);
    let bytes = |elements: usize| Pool::rounded((elements * size) as u64);
    let room = |programs: &[&Program], loaded| {
        let (inputs, slots, _) = room(programs, loaded, size);
        bytes(inputs) + bytes(slots)
    };
    let sorted = bytes(layout.columns.len() * layout.pitch());
    match way(window, last, rank, dtype) {
        Way::Direct(p) => room(&[&p], n),
        Way::Columns(sort, select) => room(&[&sort, &select], layout.columns.len()) + sorted,
        Way::Small(small, _) => small.scratch_bytes(&layout, size),
        Way::Counts => histogram::scratch_bytes(&layout),
        Way::Gather => bytes(n),
    }
}

/// Finds the element of a rank in the window of each element of `out`.
pub(crate) fn filter(window: &Window, last: usize, rank: usize, src: &Block, out: &mut Block, pool: &Pool) {
    if out.region().is_empty() {
        return;
    }
    with_dtype!(src.dtype(), T => ranked::<T>(window, last, rank, src, out, pool));
}

fn ranked<T: Keyed>(window: &Window, last: usize, rank: usize, src: &Block, out: &mut Block, pool: &Pool) {
    let layout = Layout::new(window, last, src.region(), out.region());
    let way = way(window, last, rank, src.dtype());
    let (src, dst) = (src.as_slice::<T>(), out.as_mut_slice::<T>());
    let members = window.members.as_deref();
    match way {
        Way::Counts => histogram::filter(&layout, rank, src, dst, pool),
        Way::Gather => gathered(&layout, &layout.all(members), rank, src, dst, pool),
        Way::Direct(program) => {
            let offsets = layout.all(members);
            let (inputs, slots, width) = room(&[&program], offsets.len(), size_of::<T>());
            let (mut inputs, mut slots) = (pool.take(inputs), pool.take(slots));
            let mut room = Room { inputs: &mut inputs, slots: &mut slots, width };
            for (r, dst) in dst.chunks_exact_mut(layout.row).enumerate() {
                let src = &src[layout.base(r)..];
                vectorize(
                    #[inline(always)]
                    || direct::<T>(&program, &offsets, src, dst, &mut room),
                );
            }
        }
        Way::Columns(sort, select) => {
            let (inputs, slots, width) = room(&[&sort, &select], layout.columns.len(), size_of::<T>());
            let (mut inputs, mut slots) = (pool.take(inputs), pool.take(slots));
            let mut room = Room { inputs: &mut inputs, slots: &mut slots, width };
            strips(
                &layout,
                src,
                dst,
                pool,
                #[inline(always)]
                |src, sorted, size, dst| {
                    columns(&sort, &layout.columns, src, sorted, size, &mut room);
                    merged(&select, &layout, sorted, size.0, dst, &mut room);
                },
            );
        }
        Way::Small(small, axis) => paired::filter(small, &layout, axis, src, dst, pool),
    }
}

/// Calls `f` for each strip of each row: with the first windows of the extended block, room for sorted columns, the
/// elements between their ranks and their number, and the output.
#[inline(always)]
fn strips<T: Keyed>(
    layout: &Layout,
    src: &[T],
    dst: &mut [T],
    pool: &Pool,
    mut f: impl FnMut(&[T], &mut [T::Key], (usize, usize), &mut [T]),
) {
    let pitch = layout.pitch();
    let mut sorted = pool.take::<T::Key>(layout.columns.len() * pitch);
    for (r, dst) in dst.chunks_exact_mut(layout.row).enumerate() {
        let base = layout.base(r);
        for (s, dst) in dst.chunks_mut(layout.strip()).enumerate() {
            let src = &src[base + s * layout.strip()..];
            let wide = dst.len() + (layout.width - 1) * layout.inner;
            vectorize(
                #[inline(always)]
                || f(src, &mut sorted, (pitch, wide), dst),
            );
        }
    }
}

/// Selects in each window for itself.
fn gathered<T: Keyed>(layout: &Layout, offsets: &[usize], rank: usize, src: &[T], dst: &mut [T], pool: &Pool) {
    let mut keys = pool.take::<T::Key>(offsets.len());
    for (r, dst) in dst.chunks_exact_mut(layout.row).enumerate() {
        let base = layout.base(r);
        for (at, d) in dst.iter_mut().enumerate() {
            keys.iter_mut().zip(offsets).for_each(|(k, o)| *k = src[base + at + o].key());
            *d = T::of_key(*keys.select_nth_unstable(rank).1);
        }
    }
}

//! Rank filters: the element of one rank among the neighbours of each element.
//!
//! The rank is exact whatever finds it, so the way is chosen by window and dtype. Small windows: sorting networks over
//! many elements at once. In a box the elements of a column (all of the window at one x) are sorted once for all windows
//! that share it, and the sorted columns of a window are merged only as far as the rank asks. Larger boxes of 8-bit
//! elements: histograms of columns that move along with the window. The rest: selection, window by window.

use super::histogram;
use super::key::Keyed;
use super::network::{Program, selecting, sorting};
use super::window::Window;
use ops_core::{Block, DType, Pool, Region, simd::vectorize};

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
    /// Histograms.
    Counts,
    /// Selection.
    Gather,
}

fn way(window: &Window, last: usize, rank: usize, dtype: DType) -> Way {
    let (n, width) = (window.count(), window.extents[last]);
    let column = window.extents[..last].iter().fold(1usize, |v, &n| v.saturating_mul(n));
    let plain = window.members.is_none() && column > 1 && width > 1;
    if plain && dtype.size() == 1 && n > NETWORK_OF_BYTES && n <= histogram::LARGEST {
        Way::Counts
    } else if n > NETWORK {
        Way::Gather
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
    fn all(&self, members: Option<&[bool]>) -> Vec<usize> {
        let rows = self.columns.iter().flat_map(|c| (0..self.width).map(move |x| c + x * self.inner));
        rows.enumerate().filter(|(i, _)| members.is_none_or(|m| m[*i])).map(|(_, o)| o).collect()
    }

    fn strip(&self) -> usize {
        self.row.min(STRIP)
    }

    /// Elements between sorted columns of neighbouring ranks.
    fn pitch(&self, lanes: usize) -> usize {
        self.strip() + (self.width - 1) * self.inner + lanes
    }
}

/// Elements that a program computes at once, by their size.
const fn lanes(size: usize) -> usize {
    match size {
        1 => 64,
        2 => 64,
        4 => 32,
        _ => 16,
    }
}

/// Bytes of scratch that [`filter`] takes.
pub(crate) fn scratch_bytes(window: &Window, last: usize, rank: usize, dtype: DType, out: &Region) -> u64 {
    let (n, size) = (window.count(), dtype.size());
    let after = window.after();
    let layout = Layout::new(window, last, &out.grow(&window.before, &after), out);
    let lanes = lanes(size);
    let bytes = |elements: usize| Pool::rounded((elements * size) as u64);
    match way(window, last, rank, dtype) {
        Way::Direct(p) => bytes(p.slots * lanes),
        Way::Columns(sort, select) => {
            bytes(sort.slots.max(select.slots) * lanes) + bytes(layout.columns.len() * layout.pitch(lanes))
        }
        Way::Counts => histogram::scratch_bytes(&layout),
        Way::Gather => bytes(n),
    }
}

/// Finds the element of a rank in the window of each element of `out`.
pub(crate) fn filter(window: &Window, last: usize, rank: usize, src: &Block, out: &mut Block, pool: &Pool) {
    if out.region().is_empty() {
        return;
    }
    macro_rules! of {
        ($t:ty) => {
            ranked::<$t, { lanes(size_of::<$t>()) }>(window, last, rank, src, out, pool)
        };
    }
    match src.dtype() {
        DType::Bool | DType::UInt8 => of!(u8),
        DType::UInt16 => of!(u16),
        DType::UInt32 => of!(u32),
        DType::UInt64 => of!(u64),
        DType::Int8 => of!(i8),
        DType::Int16 => of!(i16),
        DType::Int32 => of!(i32),
        DType::Int64 => of!(i64),
        DType::Float32 => of!(f32),
        DType::Float64 => of!(f64),
    }
}

fn ranked<T: Keyed, const N: usize>(
    window: &Window,
    last: usize,
    rank: usize,
    src: &Block,
    out: &mut Block,
    pool: &Pool,
) {
    let layout = Layout::new(window, last, src.region(), out.region());
    let way = way(window, last, rank, src.dtype());
    let (src, dst) = (src.as_slice::<T>(), out.as_mut_slice::<T>());
    let members = window.members.as_deref();
    match way {
        Way::Counts => histogram::filter(&layout, rank, src, dst, pool),
        Way::Gather => gathered(&layout, &layout.all(members), rank, src, dst, pool),
        Way::Direct(program) => {
            let offsets = layout.all(members);
            let mut slots = pool.take::<T::Key>(program.slots * N);
            let slots = slots.as_chunks_mut::<N>().0;
            for (r, dst) in dst.chunks_exact_mut(layout.row).enumerate() {
                let src = &src[layout.base(r)..];
                vectorize(
                    #[inline(always)]
                    || direct::<T, N>(&program, &offsets, src, dst, slots),
                );
            }
        }
        Way::Columns(sort, select) => {
            let mut slots = pool.take::<T::Key>(sort.slots.max(select.slots) * N);
            let slots = slots.as_chunks_mut::<N>().0;
            let pitch = layout.pitch(N);
            let mut sorted = pool.take::<T::Key>(layout.columns.len() * pitch);
            for (r, dst) in dst.chunks_exact_mut(layout.row).enumerate() {
                let base = layout.base(r);
                for (s, dst) in dst.chunks_mut(layout.strip()).enumerate() {
                    let src = &src[base + s * layout.strip()..];
                    let wide = dst.len() + (layout.width - 1) * layout.inner;
                    vectorize(
                        #[inline(always)]
                        || {
                            columns::<T, N>(&sort, &layout.columns, src, &mut sorted, (pitch, wide), slots);
                            merged::<T, N>(&select, &layout, &sorted, pitch, dst, slots);
                        },
                    );
                }
            }
        }
    }
}

/// Runs a program on `N` windows at once.
#[inline(always)]
fn execute<K: Ord + Copy, const N: usize>(p: &Program, slots: &mut [[K; N]], input: impl Fn(usize) -> [K; N]) {
    for step in &p.steps {
        let [a, b] = step.from.map(|w| value(p, w, slots, &input));
        if let Some(to) = step.min() {
            slots[to] = std::array::from_fn(|l| a[l].min(b[l]));
        }
        if let Some(to) = step.max() {
            slots[to] = std::array::from_fn(|l| a[l].max(b[l]));
        }
    }
}

#[inline(always)]
fn value<K: Copy, const N: usize>(
    p: &Program,
    wire: u32,
    slots: &[[K; N]],
    input: &impl Fn(usize) -> [K; N],
) -> [K; N] {
    let wire = wire as usize;
    if wire < p.inputs { input(wire) } else { slots[wire - p.inputs] }
}

#[inline(always)]
fn keys<T: Keyed, const N: usize>(src: &[T]) -> [T::Key; N] {
    let src = &src[..N];
    std::array::from_fn(|l| src[l].key())
}

/// The first of `N` elements at once (true) and of single ones that together are `n`; the last `N` overlap those before.
#[inline(always)]
fn cover<const N: usize>(n: usize) -> impl Iterator<Item = (usize, bool)> {
    let singles = if n < N { n } else { 0 };
    (0..n / N)
        .map(|i| (i * N, true))
        .chain((n >= N && !n.is_multiple_of(N)).then(|| (n - N, true)))
        .chain((0..singles).map(|i| (i, false)))
}

#[inline(always)]
fn direct<T: Keyed, const N: usize>(
    p: &Program,
    offsets: &[usize],
    src: &[T],
    dst: &mut [T],
    slots: &mut [[T::Key; N]],
) {
    for (at, many) in cover::<N>(dst.len()) {
        if many {
            window::<T, N>(p, offsets, &src[at..], &mut dst[at..], slots);
        } else {
            window::<T, 1>(p, offsets, &src[at..], &mut dst[at..], slots.as_flattened_mut().as_chunks_mut().0);
        }
    }
}

/// Finds the rank in the first `N` windows.
#[inline(always)]
fn window<T: Keyed, const N: usize>(
    p: &Program,
    offsets: &[usize],
    src: &[T],
    dst: &mut [T],
    slots: &mut [[T::Key; N]],
) {
    let input = |i: usize| keys::<T, N>(&src[offsets[i]..]);
    execute(p, slots, input);
    let v = value(p, p.outputs[0], slots, &input);
    dst[..N].iter_mut().zip(v).for_each(|(d, k)| *d = T::of_key(k));
}

/// Sorts the columns of a strip: element `k` of each column goes to row `k` of `sorted`.
#[inline(always)]
fn columns<T: Keyed, const N: usize>(
    p: &Program,
    offsets: &[usize],
    src: &[T],
    sorted: &mut [T::Key],
    (pitch, wide): (usize, usize),
    slots: &mut [[T::Key; N]],
) {
    for (at, many) in cover::<N>(wide) {
        if many {
            column::<T, N>(p, offsets, &src[at..], &mut sorted[at..], pitch, slots);
        } else {
            column::<T, 1>(
                p,
                offsets,
                &src[at..],
                &mut sorted[at..],
                pitch,
                slots.as_flattened_mut().as_chunks_mut().0,
            );
        }
    }
}

/// Sorts the first `N` columns.
#[inline(always)]
fn column<T: Keyed, const N: usize>(
    p: &Program,
    offsets: &[usize],
    src: &[T],
    sorted: &mut [T::Key],
    pitch: usize,
    slots: &mut [[T::Key; N]],
) {
    let input = |i: usize| keys::<T, N>(&src[offsets[i]..]);
    execute(p, slots, input);
    for (k, &w) in p.outputs.iter().enumerate() {
        sorted[k * pitch..][..N].copy_from_slice(&value(p, w, slots, &input));
    }
}

/// Finds the rank among the sorted columns of each window of a strip.
#[inline(always)]
fn merged<T: Keyed, const N: usize>(
    p: &Program,
    layout: &Layout,
    sorted: &[T::Key],
    pitch: usize,
    dst: &mut [T],
    slots: &mut [[T::Key; N]],
) {
    let ranks = layout.columns.len();
    for (s, dst) in dst.chunks_mut(N).enumerate() {
        // Behind the last column lie unspecified keys: what becomes of them is not stored.
        let input = |i: usize| keys::<T::Key, N>(&sorted[i % ranks * pitch + i / ranks * layout.inner + s * N..]);
        execute(p, slots, input);
        let v = value(p, p.outputs[0], slots, &input);
        dst.iter_mut().zip(v).for_each(|(d, k)| *d = T::of_key(k));
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

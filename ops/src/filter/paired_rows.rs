//! Rows of output by twos: how [`paired`](super::paired) sorts rows, merges them and walks through a block.

use super::key::Keyed;
use super::rank::Layout;
use std::ops::Range;

/// Elements that code computes at once: a vector of the smallest, some of the larger ones.
pub(super) const LANES: usize = 32;

/// The networks of a box: of `D` elements along the third axis, rows of `N`, of which `M` of two are asked for, and `R`
/// times two rows that two boxes share. All of one lane of runs.
pub(super) trait Networks<const D: usize, const N: usize, const M: usize, const R: usize> {
    /// Sorts along the third axis.
    fn column<K: Ord + Copy>(v: &[&Run<K>; D], l: usize) -> [K; D];
    /// Sorts a row: of such lists one after the other.
    fn sort<K: Ord + Copy>(v: &[&Run<K>; N], l: usize) -> [K; N];
    /// Merges two rows.
    fn merge<K: Ord + Copy>(a: &[Run<K>; N], b: &[Run<K>; N], l: usize) -> [K; M];
    /// Finds the medians of two boxes: of the first row, of what both have, and of the last row.
    fn pair<K: Ord + Copy>(first: &[Run<K>; N], both: &[&[Run<K>; M]; R], last: &[Run<K>; N], l: usize) -> [K; 2];
}

/// What medians are taken of.
pub(super) struct Image<'a, T> {
    /// Where its elements lie.
    pub(super) layout: &'a Layout,
    /// The axis of y.
    pub(super) axis: usize,
    /// The extended block.
    pub(super) src: &'a [T],
}

impl<T> Image<'_, T> {
    /// Where a run begins in its row: the last one lies over the one before it.
    fn start(&self, run: usize) -> usize {
        (run * LANES).min(self.layout.row.saturating_sub(LANES))
    }
}

impl<T: Keyed> Image<'_, T> {
    /// Reads the keys of a run. The end of the block may come first where rows are shorter than a run.
    #[inline(always)]
    fn read(&self, from: usize, keys: &mut Run<T::Key>) {
        let rest = &self.src[from..];
        match rest.first_chunk::<LANES>() {
            Some(run) => keys.iter_mut().zip(run).for_each(|(k, v)| *k = v.key()),
            None => keys.iter_mut().zip(rest).for_each(|(k, v)| *k = v.key()),
        }
    }
}

/// Writes a run, or as much of it as a row has.
#[inline(always)]
fn write<T: Keyed>(row: usize, dst: &mut [T], found: &Run<T::Key>) {
    match dst.first_chunk_mut::<LANES>().filter(|_| row >= LANES) {
        Some(run) => run.iter_mut().zip(found).for_each(|(d, k)| *d = T::of_key(*k)),
        None => dst.iter_mut().take(row).zip(found).for_each(|(d, k)| *d = T::of_key(*k)),
    }
}

/// Values of one run.
pub(super) type Run<K> = [K; LANES];

/// Computes all lanes of a run. What is found is put down on the way: a compiler knows that nothing else lies there, and only
/// so makes vectors of the loop.
#[inline(always)]
fn lanes<K: Copy + Default, const N: usize>(out: &mut [Run<K>; N], f: impl Fn(usize) -> [K; N]) {
    let mut found = [[K::default(); LANES]; N];
    #[expect(clippy::needless_range_loop, reason = "`l` is a lane of all runs")]
    for l in 0..LANES {
        let of_lane = f(l);
        for k in 0..N {
            found[k][l] = of_lane[k];
        }
    }
    *out = found;
}

/// Sorts the neighbours along x and the third axis of each element of a row, in two steps: those along the third axis,
/// once for all that share them, then those sorted lists.
#[inline(always)]
fn sort<B: Networks<D, N, M, R>, T: Keyed, const D: usize, const N: usize, const M: usize, const R: usize>(
    image: &Image<'_, T>,
    (from, these): (usize, Range<usize>),
    rows: &mut [[Run<T::Key>; N]],
    columns: &mut [T::Key],
) {
    let (inner, first, none) = (image.layout.inner, image.start(these.start), [T::Key::default(); LANES]);
    let wide = image.start(these.end - 1) + LANES - first + (N / D - 1) * inner;
    let (height, pitch) = (2 * R + 1, columns.len() / D);
    for run in 0..wide.div_ceil(LANES) {
        let at = (run * LANES).min(wide - LANES);
        let mut keys = [none; D];
        for (d, keys) in keys.iter_mut().enumerate() {
            image.read(from + first + at + image.layout.columns[d * height], keys);
        }
        let (keys, mut found) = (keys.each_ref(), [none; D]);
        lanes(
            &mut found,
            #[inline(always)]
            |l| B::column(&keys, l),
        );
        columns.chunks_exact_mut(pitch).zip(&found).for_each(|(c, f)| c[at..][..LANES].copy_from_slice(f));
    }
    for (run, row) in these.zip(rows) {
        let at = image.start(run) - first;
        let mut v = [&none; N];
        for (i, v) in v.iter_mut().enumerate() {
            if let Some(run) = columns[i % D * pitch + i / D * inner + at..].first_chunk() {
                *v = run;
            }
        }
        lanes(
            row,
            #[inline(always)]
            |l| B::sort(&v, l),
        );
    }
}

/// Finds the medians. Rows are sorted by twos, 2 i - 1 and 2 i (`a` and `b`), and merged (`m`); of each, as many are kept
/// as the boxes of two rows of output reach. Rows are cut into strips of so many runs.
#[inline(always)]
pub(super) fn medians<
    B: Networks<D, N, M, R>,
    T: Keyed,
    const D: usize,
    const N: usize,
    const M: usize,
    const R: usize,
>(
    (image, strip): (&Image<'_, T>, usize),
    dst: &mut [T],
    keys: &mut [T::Key],
    columns: &mut [T::Key],
) {
    let layout = image.layout;
    let (a, keys) = keys.as_chunks_mut::<LANES>().0.split_at_mut((R + 2) * strip * N);
    let (b, m) = keys.split_at_mut((R + 2) * strip * N);
    let (a, b, m) = (a.as_chunks_mut::<N>().0, b.as_chunks_mut::<N>().0, m.as_chunks_mut::<M>().0);
    let slots = |i: usize| i % (R + 2) * strip;
    let (height, step) = (layout.outer[image.axis].0, layout.columns[1]);
    let inside: usize = layout.outer[image.axis + 1..].iter().map(|o| o.0).product();
    let outside: usize = layout.outer[..image.axis].iter().map(|o| o.0).product();
    let (all, rows) = (layout.row.div_ceil(LANES), height + 2 * R);
    let planes = (0..outside * inside).map(|i| i / inside * height * inside + i % inside);
    for (plane, begin) in planes.flat_map(|p| (0..all).step_by(strip).map(move |s| (p, s))) {
        let (base, these) = (layout.base(plane), begin..all.min(begin + strip));
        for i in 0..=height.div_ceil(2) + R {
            let here = slots(i)..slots(i) + these.len();
            if i > 0 {
                let row = base + (2 * i - 1).min(rows - 1) * step;
                sort::<B, T, D, N, M, R>(image, (row, these.clone()), &mut a[here.clone()], columns);
            }
            if 2 * i < rows {
                let row = base + 2 * i * step;
                sort::<B, T, D, N, M, R>(image, (row, these.clone()), &mut b[here.clone()], columns);
                for ((m, a), b) in m[here.clone()].iter_mut().zip(&a[here.clone()]).zip(&b[here.clone()]) {
                    lanes(
                        m,
                        #[inline(always)]
                        |l| B::merge(a, b, l),
                    );
                }
            }
            let Some(pair) = i.checked_sub(R + 1) else { continue };
            for (c, run) in these.clone().enumerate() {
                let both: [_; R] = std::array::from_fn(|r| &m[slots(pair + 1 + r) + c]);
                let (first, last) = (&b[slots(pair) + c], &a[here.start + c]);
                let mut found = [[T::Key::default(); LANES]; 2];
                lanes(
                    &mut found,
                    #[inline(always)]
                    |l| B::pair(first, &both, last, l),
                );
                // Of an odd number of rows the last pair has but one.
                for (y, found) in (2 * pair..height).zip(&found) {
                    write(layout.row, &mut dst[(plane + y * inside) * layout.row + image.start(run)..], found);
                }
            }
        }
    }
}

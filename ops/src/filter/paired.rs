//! Medians of the boxes that are used most, two rows of output at a time.
//!
//! The rows of a box (all of it at one y) are sorted once for all boxes that share them. Boxes at y and y + 1 share all
//! rows but one each: what they share is merged once for both, only as far as medians ask. Elements lie side by side
//! along x in short runs of known length, which is what compilers turn into vector code for every dtype.

use super::key::Keyed;
use super::paired_rows::{Image, LANES, Networks, Run, medians};
use super::rank::Layout;
use super::small_networks as code;
use ops_core::{Pool, simd::vectorize};

/// Bytes of sorted rows that are kept: they should stay in the first cache.
const WORKING: usize = 24 << 10;

/// A box whose medians are found this way.
#[derive(Clone, Copy)]
pub(super) enum Small {
    /// Of 3 x 3.
    Three,
    /// Of 5 x 5.
    Five,
    /// Of 9 x 3.
    Tall,
    /// Of 3 x 3 x 3.
    Deep,
}

impl Small {
    /// The box of these extents, whose last is along x, if it is one of them.
    pub(super) fn of(extents: &[usize]) -> Option<Small> {
        match extents.iter().copied().filter(|&n| n > 1).collect::<Vec<_>>()[..] {
            [3, 3] => Some(Small::Three),
            [5, 5] => Some(Small::Five),
            [9, 3] => Some(Small::Tall),
            [3, 3, 3] => Some(Small::Deep),
            _ => None,
        }
    }

    /// Sorted rows that are kept: their number times their length, and elements of merged ones.
    fn kept(self) -> usize {
        match self {
            Small::Three => 3 * (2 * 3 + 4),
            Small::Five => 4 * (2 * 5 + 10),
            Small::Tall => 6 * (2 * 3 + 6),
            Small::Deep => 3 * (2 * 9 + 10),
        }
    }

    /// Runs of a strip.
    fn strip(self, size: usize) -> usize {
        (WORKING / (self.kept() * LANES * size)).clamp(2, 16)
    }

    /// Keys of scratch for sorted rows, and for what they are sorted of.
    fn keys(self, layout: &Layout, size: usize) -> (usize, usize) {
        let strip = self.strip(size) * LANES;
        let depth = if matches!(self, Small::Deep) { 3 } else { 1 };
        (self.kept() * strip, depth * (strip + (layout.width - 1) * layout.inner))
    }

    /// Bytes of scratch that [`filter`] takes.
    pub(super) fn scratch_bytes(self, layout: &Layout, size: usize) -> u64 {
        let (rows, columns) = self.keys(layout, size);
        Pool::rounded((rows * size) as u64) + Pool::rounded((columns * size) as u64)
    }
}

/// A box and its networks: `D` elements along the third axis, sorted rows of `N`, `M` of two of them that are asked for,
/// `R` times two rows that two boxes share.
macro_rules! networks {
    ($name:ident, [$d:literal, $n:literal, $m:literal, $r:literal], $column:path, $sort:path, $merge:path, $pair:path) => {
        struct $name;
        impl Networks<$d, $n, $m, $r> for $name {
            #[inline(always)]
            fn column<K: Ord + Copy>(v: &[&Run<K>; $d], l: usize) -> [K; $d] {
                $column(v, l)
            }
            #[inline(always)]
            fn sort<K: Ord + Copy>(v: &[&Run<K>; $n], l: usize) -> [K; $n] {
                $sort(v, l)
            }
            #[inline(always)]
            fn merge<K: Ord + Copy>(a: &[Run<K>; $n], b: &[Run<K>; $n], l: usize) -> [K; $m] {
                $merge(a, b, l)
            }
            #[inline(always)]
            fn pair<K: Ord + Copy>(
                first: &[Run<K>; $n],
                both: &[&[Run<K>; $m]; $r],
                last: &[Run<K>; $n],
                l: usize,
            ) -> [K; 2] {
                $pair(first, both, last, l)
            }
        }
    };
}
networks!(Three, [1, 3, 4, 1], one, code::sort_3, code::merge_rows_of_3, code::medians_of_3_by_3);
networks!(Five, [1, 5, 10, 2], one, code::sort_5, code::merge_all_rows_of_5, code::medians_of_5_by_5);
networks!(Tall, [1, 3, 6, 4], one, code::sort_3, code::merge_all_rows_of_3, code::medians_of_9_by_3);
networks!(Deep, [3, 9, 10, 1], code::sort_3, code::merge_3_by_3, code::merge_rows_of_9, code::medians_of_3_by_9);

/// One value is sorted.
#[inline(always)]
fn one<K: Copy>(v: &[&Run<K>; 1], l: usize) -> [K; 1] {
    [v[0][l]]
}

/// Finds the median in each window. `axis` is that of y.
pub(super) fn filter<T: Keyed>(small: Small, layout: &Layout, axis: usize, src: &[T], dst: &mut [T], pool: &Pool) {
    let (rows, columns) = small.keys(layout, size_of::<T>());
    let (mut rows, mut columns) = (pool.take::<T::Key>(rows), pool.take::<T::Key>(columns));
    let (image, strip) = (Image { layout, axis, src }, small.strip(size_of::<T>()));
    vectorize(
        #[inline(always)]
        || match small {
            Small::Three => medians::<Three, T, _, _, _, _>((&image, strip), dst, &mut rows, &mut columns),
            Small::Five => medians::<Five, T, _, _, _, _>((&image, strip), dst, &mut rows, &mut columns),
            Small::Tall => medians::<Tall, T, _, _, _, _>((&image, strip), dst, &mut rows, &mut columns),
            Small::Deep => medians::<Deep, T, _, _, _, _>((&image, strip), dst, &mut rows, &mut columns),
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sorted list of `n` zeros and ones of which so many are ones.
    fn list<const N: usize>(ones: usize) -> [Run<u8>; N] {
        std::array::from_fn(|i| [u8::from(i + ones >= N); LANES])
    }

    /// All ways to choose `of` numbers up to `most`.
    fn choices(of: usize, most: usize) -> impl Iterator<Item = Vec<usize>> {
        (0..(most + 1).pow(of as u32))
            .map(move |c| (0..of as u32).map(|i| c / (most + 1).pow(i) % (most + 1)).collect())
    }

    /// A network that is right for all zeros and ones is right for everything.
    fn right_for_zeros_and_ones<
        B: Networks<D, N, M, R>,
        const D: usize,
        const N: usize,
        const M: usize,
        const R: usize,
    >() {
        for bits in choices(D, 1) {
            let column: [Run<u8>; D] = std::array::from_fn(|i| [bits[i] as u8; LANES]);
            let want = list::<D>(bits.iter().sum());
            assert_eq!(B::column(&column.each_ref(), 3), want.map(|r| r[0]), "{bits:?}");
        }
        for ones in choices(N / D, D) {
            let lists: Vec<Run<u8>> = ones.iter().flat_map(|&n| list::<D>(n)).collect();
            let want = list::<N>(ones.iter().sum());
            assert_eq!(B::sort(&std::array::from_fn(|i| &lists[i]), 3), want.map(|r| r[0]), "{ones:?}");
        }
        let merged: Vec<[Run<u8>; M]> =
            choices(2, N).map(|ab| B::merge(&list(ab[0]), &list(ab[1]), 3).map(|v| [v; LANES])).collect();
        for ones in choices(2 * R + 2, N) {
            let both = std::array::from_fn(|r| &merged[ones[2 * r + 1] + ones[2 * r + 2] * (N + 1)]);
            let found = B::pair(&list(ones[0]), &both, &list(ones[2 * R + 1]), 3);
            let all: usize = ones.iter().sum();
            let want = [all - ones[2 * R + 1], all - ones[0]].map(|n| u8::from(n > (2 * R + 1) * N / 2));
            assert_eq!(found, want, "{ones:?}");
        }
    }

    #[test]
    fn networks_are_right_for_all_zeros_and_ones() {
        right_for_zeros_and_ones::<Three, _, _, _, _>();
        right_for_zeros_and_ones::<Five, _, _, _, _>();
        right_for_zeros_and_ones::<Tall, _, _, _, _>();
        right_for_zeros_and_ones::<Deep, _, _, _, _>();
    }
}

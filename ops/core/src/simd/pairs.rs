//! Extremes, sum and sum of squares of integers of 16 bits in one pass: what statistics of images look at.
//!
//! The one kernel here that is not a plain loop: AVX2 multiplies 16 signed integers and adds neighbouring products in one
//! instruction (`vpmaddwd`), which compilers do not find, and this halves the time. Everything is exact, so the plain loop,
//! which any other processor runs, gives the same results.

use super::{Path, path, vectorize};
use crate::{DType, Element};

/// Elements that are taken from the end of the data at a time: a part of what the second cache of a core holds, and so few
/// that sums over lanes fit into 32 bits.
const NEAR: usize = 1 << 18;
/// Elements that the plain loop adds up in 32 bits.
const RUN: usize = 1 << 15;

/// What some integers amount to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amounts {
    /// The smallest.
    pub lo: i32,
    /// The largest.
    pub hi: i32,
    /// Their sum.
    pub sum: i128,
    /// The sum of their squares.
    pub squares: u128,
}

/// Extremes, sum and sum of squares of `int16` or `uint16`; none of an empty slice, and none of any other dtype.
///
/// Of a block as large as a chunk only the end is still in a near cache when it is looked at, so the end comes first. Memory
/// gives four streams faster than one.
pub fn amounts<T: Element>(data: &[T]) -> Option<Amounts> {
    // Unsigned integers are looked at as signed ones, less by 2^15: their bits but for the first are the same.
    let (flip, offset) = match T::DTYPE {
        DType::Int16 => (0, 0),
        DType::UInt16 => (i16::MIN, 1 << 15),
        _ => return None,
    };
    if data.is_empty() {
        return None;
    }
    let mut all = Signed { lo: i16::MAX, hi: i16::MIN, sum: 0, squares: 0 };
    for part in bytemuck::cast_slice(data).rchunks(NEAR) {
        all = all.and(near(part, flip));
    }
    let Signed { lo, hi, sum, squares } = all;
    let n = data.len() as i128;
    Some(Amounts {
        lo: i32::from(lo) + offset,
        hi: i32::from(hi) + offset,
        sum: sum + n * i128::from(offset),
        // (y + o)^2 = y^2 + 2 o y + o^2
        squares: (squares as i128 + 2 * i128::from(offset) * sum + n * i128::from(offset).pow(2)) as u128,
    })
}

/// Amounts of elements as they are looked at.
#[derive(Clone, Copy)]
struct Signed {
    lo: i16,
    hi: i16,
    sum: i128,
    squares: u128,
}

impl Signed {
    fn and(self, other: Signed) -> Signed {
        Signed {
            lo: self.lo.min(other.lo),
            hi: self.hi.max(other.hi),
            sum: self.sum + other.sum,
            squares: self.squares + other.squares,
        }
    }
}

/// Sums of squares of which the halves are wanted: all of them modulo 2^32, and their high halves. Of up to 2^16 squares the
/// low halves add up to less than 2^32, so they are what is left of the former without the latter.
fn squares(low: u32, high: u32) -> u128 {
    u128::from(low.wrapping_sub(high << 16)) + (u128::from(high) << 16)
}

/// Amounts of up to [`NEAR`] elements.
fn near(part: &[i16], flip: i16) -> Signed {
    #[cfg(target_arch = "x86_64")]
    if path() == Path::Vector
        && let pulp::Arch::V3(simd) = pulp::Arch::new()
    {
        return avx2::near(simd, part, flip);
    }
    plain(part, flip)
}

/// Amounts of any number of elements, by a plain loop.
fn plain(part: &[i16], flip: i16) -> Signed {
    let mut all = Signed { lo: i16::MAX, hi: i16::MIN, sum: 0, squares: 0 };
    for run in part.chunks(RUN) {
        let (lo, hi, sum, low, high) = vectorize(
            #[inline(always)]
            || {
                run.iter().fold((i16::MAX, i16::MIN, 0i32, 0u32, 0u32), |(lo, hi, sum, low, high), v| {
                    let v = v ^ flip;
                    let square = i32::from(v).pow(2) as u32;
                    (lo.min(v), hi.max(v), sum + i32::from(v), low.wrapping_add(square), high + (square >> 16))
                })
            },
        );
        all = all.and(Signed { lo, hi, sum: sum.into(), squares: squares(low, high) });
    }
    all
}

/// AVX2 by pulp's wrappers, which are safe: only who has found the processor to have it holds a token.
#[cfg(target_arch = "x86_64")]
mod avx2 {
    use super::{Signed, plain, squares};
    use pulp::x86::V3;
    use pulp::{NullaryFnOnce, cast};
    use std::arch::x86_64::__m256i;

    /// Elements of a vector.
    const LANES: usize = 16;

    /// Amounts of up to [`super::NEAR`] elements: of what four streams of whole vectors leave, by the plain loop.
    pub(super) fn near(simd: V3, part: &[i16], flip: i16) -> Signed {
        let (vectors, _) = part.as_chunks::<LANES>();
        let quarter = vectors.len() / 4;
        let (front, back) = vectors[..4 * quarter].split_at(2 * quarter);
        let ((a, b), (c, d)) = (front.split_at(quarter), back.split_at(quarter));
        simd.vectorize(Streams { simd, all: [a, b, c, d], flip }).and(plain(&part[4 * quarter * LANES..], flip))
    }

    /// Four streams of vectors, equally long.
    struct Streams<'a> {
        simd: V3,
        all: [&'a [[i16; LANES]]; 4],
        flip: i16,
    }

    impl NullaryFnOnce for Streams<'_> {
        type Output = Signed;

        #[inline(always)]
        fn call(self) -> Signed {
            let (avx, avx2) = (self.simd.avx, self.simd.avx2);
            let (flip, one) = (avx._mm256_set1_epi16(self.flip), avx._mm256_set1_epi16(1));
            let (mut lo, mut hi) = (avx._mm256_set1_epi16(i16::MAX), avx._mm256_set1_epi16(i16::MIN));
            let mut sum = avx._mm256_setzero_si256();
            let (mut low, mut high) = (sum, sum);
            let [a, b, c, d] = self.all;
            for ((a, b), (c, d)) in a.iter().zip(b).zip(c.iter().zip(d)) {
                for v in [a, b, c, d] {
                    let v = avx2._mm256_xor_si256(cast::<_, __m256i>(*v), flip);
                    lo = avx2._mm256_min_epi16(lo, v);
                    hi = avx2._mm256_max_epi16(hi, v);
                    sum = avx2._mm256_add_epi32(sum, avx2._mm256_madd_epi16(v, one));
                    // Two squares of up to 2^30 each: less than 2^32, unsigned.
                    let pair = avx2._mm256_madd_epi16(v, v);
                    low = avx2._mm256_add_epi32(low, pair);
                    high = avx2._mm256_add_epi32(high, avx2._mm256_srli_epi32::<16>(pair));
                }
            }
            let (sum, low, high): ([i32; 8], [u32; 8], [u32; 8]) = (cast(sum), cast(low), cast(high));
            let (lo, hi): ([i16; LANES], [i16; LANES]) = (cast(lo), cast(hi));
            Signed {
                lo: lo.into_iter().fold(i16::MAX, i16::min),
                hi: hi.into_iter().fold(i16::MIN, i16::max),
                sum: sum.into_iter().map(i128::from).sum(),
                squares: low.into_iter().zip(high).map(|(low, high)| squares(low, high)).sum(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against sums of one element after the other; the plain loop too.
    fn check<T: Element + Into<i32>>(data: &[T], flip: i16) {
        let wide = || data.iter().map(|v| (*v).into());
        let expected = wide().min().map(|lo| Amounts {
            lo,
            hi: wide().max().unwrap(),
            sum: wide().map(i128::from).sum(),
            squares: wide().map(|v| u128::from(v.unsigned_abs()).pow(2)).sum(),
        });
        assert_eq!(amounts(data), expected, "{} elements", data.len());
        let signed: &[i16] = bytemuck::cast_slice(data);
        let (fast, plain) =
            (near(&signed[..signed.len().min(NEAR)], flip), plain(&signed[..signed.len().min(NEAR)], flip));
        let all = |s: Signed| (s.lo, s.hi, s.sum, s.squares);
        assert_eq!(all(fast), all(plain), "{} elements", data.len());
    }

    #[test]
    fn any_number_of_elements_and_the_largest_values_add_up() {
        for n in [0, 1, 15, 16, 63, 64, 65, 1000, RUN, RUN + 1, NEAR - 1, NEAR, NEAR + 5, 2 * NEAR + 3] {
            for value in [0, 1, u16::MAX / 2, u16::MAX / 2 + 1, u16::MAX] {
                check(&vec![value; n], i16::MIN);
                check(&vec![value as i16; n], 0);
            }
            check(&(0..n).map(|i| (i * 40_503) as u16).collect::<Vec<_>>(), i16::MIN);
            check(&(0..n).map(|i| (i * 40_503) as i16).collect::<Vec<_>>(), 0);
        }
        assert_eq!(amounts(&[1u8]), None);
    }
}

//! Exact sums of floats: the order of adding never shows.
//!
//! A sum of float64 depends on its order, so a mean would change with the chunk size and the number of threads.
//! [`ExactSum`] keeps the whole sum as one wide fixed-point integer (Kulisch's long accumulator) and rounds once, when
//! asked. Only the limbs that the data reach are kept, so that the sum over an image costs two or three words and not
//! the 67 that the range of float64 squared spans. [`mean`] and [`variance`] are ratios of such sums, rounded once too.

mod big;
mod moments;
mod runs;

pub use moments::{mean, ratio, variance};

use big::Big;
use smallvec::{SmallVec, smallvec};

/// The weight of bit 0 of limb 0 is 2 to the power of minus this: below the square of the smallest subnormal.
const BIAS: i64 = 34 * 64;

/// An exact sum of float64 values, of squares of them and of 128-bit integers.
///
/// Adding and merging are exactly associative and commutative. NaN, or infinities of both signs, make the sum NaN; an
/// infinity of one sign makes it that infinity. An empty sum, and one of negative zeros, is +0.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub struct ExactSum {
    /// Two's complement, least significant first; the top limb stays within a quarter of its range.
    limbs: SmallVec<[u64; 4]>,
    /// Position of `limbs[0]`, in limbs above `2^-BIAS`.
    lo: u32,
    /// Bit 0: a NaN was added; bit 1: +inf; bit 2: -inf.
    special: u8,
}

impl ExactSum {
    /// Bytes one sum of values (or of squares, for `square`) of this dtype takes at most, on and off the heap.
    ///
    /// The limbs that the exponents of the dtype can reach, three for alignment and carries, and the growth of their vector.
    pub fn bytes_bound(dtype: crate::DType, square: bool) -> u64 {
        let bits: u64 = match dtype {
            crate::DType::Float64 => 2098,
            crate::DType::Float32 => 277,
            other => 8 * other.size() as u64,
        };
        let limbs = (if square { 2 * bits } else { bits }).div_ceil(64) + 3;
        size_of::<ExactSum>() as u64 + if limbs <= 4 { 0 } else { 8 * limbs.next_power_of_two() }
    }

    /// Bytes it holds on the heap now; none while its window is a few limbs.
    #[inline]
    pub fn heap_bytes(&self) -> u64 {
        if self.limbs.spilled() { 8 * self.limbs.capacity() as u64 } else { 0 }
    }

    /// Adds one value.
    #[inline]
    pub fn add(&mut self, x: f64) {
        match split(x) {
            Some((negative, mantissa, exponent)) => self.add_scaled(negative, u128::from(mantissa), exponent),
            None => self.special |= special(x),
        }
    }

    /// Adds the square of one value, not rounded.
    #[inline]
    pub fn add_square(&mut self, x: f64) {
        match split(x) {
            Some((_, m, exponent)) => self.add_scaled(false, u128::from(m) * u128::from(m), 2 * exponent),
            None => self.special |= special(x.abs()),
        }
    }

    /// Adds an integer, such as a sum that was made exactly elsewhere.
    #[inline]
    pub fn add_i128(&mut self, x: i128) {
        self.add_scaled(x < 0, x.unsigned_abs(), 0);
    }

    /// Adds an unsigned integer.
    #[inline]
    pub fn add_u128(&mut self, x: u128) {
        self.add_scaled(false, x, 0);
    }

    /// Adds all that another sum holds.
    pub fn merge(&mut self, other: &ExactSum) {
        self.special |= other.special;
        let Some(&top) = other.limbs.last() else { return };
        self.cover(other.lo, other.lo + other.limbs.len() as u32);
        let at = (other.lo - self.lo) as usize;
        let fill = sign_of(top);
        let mut carry = false;
        for (i, limb) in self.limbs[at..].iter_mut().enumerate() {
            let (s, c1) = limb.overflowing_add(other.limbs.get(i).copied().unwrap_or(fill));
            let (s, c2) = s.overflowing_add(u64::from(carry));
            *limb = s;
            carry = c1 | c2;
        }
        self.guard();
    }

    /// The sum, rounded once to the nearest float64, ties to even.
    pub fn round(&self) -> f64 {
        self.not_finite().unwrap_or_else(|| self.big().round())
    }

    /// The value when it is not a finite number.
    fn not_finite(&self) -> Option<f64> {
        match self.special {
            0 => None,
            2 => Some(f64::INFINITY),
            4 => Some(f64::NEG_INFINITY),
            _ => Some(f64::NAN),
        }
    }

    /// Sign and magnitude of what was added, without NaN and infinities.
    fn big(&self) -> Big {
        Big::from_twos_complement(&self.limbs, i64::from(self.lo) * 64 - BIAS)
    }

    /// Adds `±m * 2^exponent`.
    #[inline]
    fn add_scaled(&mut self, negative: bool, m: u128, exponent: i64) {
        if m == 0 {
            return;
        }
        let zeros = m.trailing_zeros();
        let at = (exponent + BIAS) as u64 + u64::from(zeros);
        let (limb, shift) = ((at / 64) as u32, (at % 64) as u32);
        let m = m >> zeros;
        let low = m << shift;
        let high = if shift == 0 { 0 } else { (m >> (128 - shift)) as u64 };
        let words = [low as u64, (low >> 64) as u64, high];
        let mut used = if words[2] != 0 { 3 } else { 1 + usize::from(words[1] != 0) };
        if words[used - 1] >> 61 != 0 {
            used += 1;
        }
        self.cover(limb, limb + used as u32);
        let from = (limb - self.lo) as usize;
        let mut carry = false;
        for (i, l) in self.limbs[from..].iter_mut().enumerate() {
            let w = words.get(i).copied().unwrap_or(0);
            if i >= used && !carry {
                break;
            }
            let (s, c1) = if negative { l.overflowing_sub(w) } else { l.overflowing_add(w) };
            let k = u64::from(carry);
            let (s, c2) = if negative { s.overflowing_sub(k) } else { s.overflowing_add(k) };
            *l = s;
            carry = c1 | c2;
        }
        self.guard();
    }

    /// Widens the window to hold limbs `lo..hi`.
    #[inline]
    fn cover(&mut self, lo: u32, hi: u32) {
        if self.limbs.is_empty() {
            self.lo = lo;
            self.limbs = smallvec![0; (hi - lo) as usize];
            return;
        }
        if lo < self.lo {
            self.limbs.insert_many(0, std::iter::repeat_n(0, (self.lo - lo) as usize));
            self.lo = lo;
        }
        let have = self.lo + self.limbs.len() as u32;
        if hi > have {
            let fill = sign_of(self.limbs[self.limbs.len() - 1]);
            self.limbs.extend(std::iter::repeat_n(fill, (hi - have) as usize));
        }
    }

    /// Keeps the top limb within a quarter of its range, so that the next addition can't overflow it.
    #[inline]
    fn guard(&mut self) {
        if let Some(&top) = self.limbs.last()
            && ((top ^ (top << 1)) >> 63) != 0
        {
            self.limbs.push(sign_of(top));
        }
    }
}

/// All ones below zero, else 0: what stands above the top limb.
#[inline]
fn sign_of(top: u64) -> u64 {
    ((top as i64) >> 63) as u64
}

/// Sign, integer mantissa and the exponent it is scaled by; `None` for NaN and infinities.
#[inline]
fn split(x: f64) -> Option<(bool, u64, i64)> {
    let bits = x.to_bits();
    let biased = (bits >> 52) & 0x7ff;
    if biased == 0x7ff {
        return None;
    }
    let fraction = bits & ((1 << 52) - 1);
    let mantissa = if biased == 0 { fraction } else { fraction | (1 << 52) };
    Some((bits >> 63 != 0, mantissa, biased.max(1) as i64 - 1075))
}

fn special(x: f64) -> u8 {
    if x.is_nan() {
        1
    } else if x > 0.0 {
        2
    } else {
        4
    }
}

#[cfg(test)]
mod tests;

//! Loops over elements that several ops share.
//!
//! Arithmetic happens in float64, whatever the dtypes: elements are widened, computed, and rounded once to the output's
//! dtype. Where the output is float64 that is one loop; otherwise runs of elements pass through a buffer that stays
//! in the L1 cache, so that the number of compiled loops is the sum and not the product of the dtypes.

use ops_core::{Block, DType, Element, simd::vectorize, with_dtype};

/// Elements that pass through the buffer at once.
const RUN: usize = 1024;

/// How a float64 becomes an integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    /// Rounded half to even, saturated.
    Nearest,
    /// Cut towards zero, saturated.
    Truncated,
    /// Cut towards zero, modulo the range of the dtype.
    Wrapped,
}

/// Widens elements to float64; 64-bit integers are rounded to nearest.
fn load<S: Element>(src: &[S], dst: &mut [f64]) {
    vectorize(
        #[inline(always)]
        || dst.iter_mut().zip(src).for_each(|(d, s)| *d = s.to_f64()),
    );
}

/// Elements of a block from number `at` on, widened to float64.
pub(crate) fn widen(src: &Block, at: usize, dst: &mut [f64]) {
    with_dtype!(src.dtype(), S => load::<S>(&src.as_slice()[at..at + dst.len()], dst));
}

/// The distance from the smallest value of an integer type to 0.
const fn offset(dtype: DType) -> i64 {
    match dtype {
        DType::Int8 => i8::MIN as i64,
        DType::Int16 => i16::MIN as i64,
        DType::Int32 => i32::MIN as i64,
        DType::Int64 => i64::MIN,
        _ => 0,
    }
}

/// The low bits of `v` as an integer type: the value modulo its range.
#[inline(always)]
pub(crate) fn wrapped<D: Element>(v: i64) -> D {
    D::from_order_key(v.wrapping_sub(offset(D::DTYPE)) as u64)
}

/// The bits of an integer, sign-extended; `uint64` beyond the range of `i64` comes out negative.
#[inline(always)]
pub(crate) fn widened<S: Element>(v: S) -> i64 {
    (v.order_key() as i64).wrapping_add(offset(S::DTYPE))
}

/// 1.5 * 2^52: added to a float64 below 2^51 in magnitude, it leaves the nearest integer (half to even) in the low bits.
const MAGIC: f64 = 6_755_399_441_055_744.0;

/// An integer of up to 32 bits from a float64, saturated, NaN to 0: the values of [`Element::from_f64`] in operations
/// that every instruction set has for vectors.
#[inline(always)]
pub(crate) fn narrow<D: Element>(v: f64, lo: f64, hi: f64) -> D {
    let v = if v > lo { v } else { lo };
    let v = if v < hi { v } else { hi };
    wrapped(((v + MAGIC).to_bits() as i64).wrapping_sub(MAGIC.to_bits() as i64))
}

fn store<D: Element>(src: &[f64], dst: &mut [D], how: Store) {
    let (lo, hi) = D::DTYPE.limits();
    let number = |v: f64| if v.is_nan() { 0.0 } else { v };
    vectorize(
        #[inline(always)]
        || match how {
            _ if D::DTYPE.is_float() => dst.iter_mut().zip(src).for_each(|(d, &s)| *d = D::from_f64(s)),
            Store::Nearest if size_of::<D>() <= 4 => {
                dst.iter_mut().zip(src).for_each(|(d, &s)| *d = narrow(number(s), lo, hi));
            }
            Store::Truncated if size_of::<D>() <= 4 => {
                dst.iter_mut().zip(src).for_each(|(d, &s)| *d = narrow(number(s).trunc(), lo, hi));
            }
            Store::Nearest => dst.iter_mut().zip(src).for_each(|(d, &s)| *d = D::from_f64(s)),
            Store::Truncated => dst.iter_mut().zip(src).for_each(|(d, &s)| *d = D::from_f64_truncated(s)),
            Store::Wrapped => dst.iter_mut().zip(src).for_each(|(d, &s)| *d = wrapped(s as i64)),
        },
    );
}

/// Rounds a run of values into a block; into `bool` everything but 0 becomes 1.
pub(crate) fn stored(src: &[f64], out: &mut Block, at: usize, how: Store) {
    if out.dtype() == DType::Bool {
        let dst = &mut out.as_mut_slice::<u8>()[at..at + src.len()];
        return dst.iter_mut().zip(src).for_each(|(d, &s)| *d = u8::from(s != 0.0));
    }
    with_dtype!(out.dtype(), D => store::<D>(src, &mut out.as_mut_slice()[at..at + src.len()], how));
}

/// Calls `f` with the start and length of each run of `n` elements.
fn runs(n: usize, mut f: impl FnMut(usize, usize)) {
    for at in (0..n).step_by(RUN) {
        f(at, RUN.min(n - at));
    }
}

fn fused<S: Element>(src: &[S], dst: &mut [f64], f: impl Fn(f64) -> f64) {
    vectorize(
        #[inline(always)]
        || dst.iter_mut().zip(src).for_each(|(d, s)| *d = f(s.to_f64())),
    );
}

/// `out = f(src)`, element by element.
pub(crate) fn unary(src: &Block, out: &mut Block, how: Store, f: impl Fn(f64) -> f64) {
    if out.dtype() == DType::Float64 {
        return with_dtype!(src.dtype(), S => fused::<S>(src.as_slice(), out.as_mut_slice(), f));
    }
    let mut buf = [0.0; RUN];
    runs(out.region().volume() as usize, |at, n| {
        widen(src, at, &mut buf[..n]);
        vectorize(
            #[inline(always)]
            || buf[..n].iter_mut().for_each(|v| *v = f(*v)),
        );
        stored(&buf[..n], out, at, how);
    });
}

/// `out = src`, rounded.
pub(crate) fn rounded(src: &Block, out: &mut Block, how: Store) {
    match src.dtype() {
        DType::Float64 => stored(src.as_slice(), out, 0, how),
        _ => unary(src, out, how, |x| x),
    }
}

/// `out = f(a, b)`, element by element.
pub(crate) fn binary(a: &Block, b: &Block, out: &mut Block, how: Store, f: impl Fn(f64, f64) -> f64) {
    let (mut x, mut y) = ([0.0; RUN], [0.0; RUN]);
    runs(out.region().volume() as usize, |at, n| {
        widen(a, at, &mut x[..n]);
        widen(b, at, &mut y[..n]);
        vectorize(
            #[inline(always)]
            || x[..n].iter_mut().zip(&y[..n]).for_each(|(x, y)| *x = f(*x, *y)),
        );
        stored(&x[..n], out, at, how);
    });
}

/// `out = last(step(step(first(a), b), c))` over any number of blocks, element by element.
pub(crate) fn folded(
    blocks: &[&Block],
    out: &mut Block,
    how: Store,
    first: impl Fn(f64) -> f64,
    step: impl Fn(f64, f64) -> f64,
    last: impl Fn(f64) -> f64,
) {
    let (mut x, mut y) = ([0.0; RUN], [0.0; RUN]);
    runs(out.region().volume() as usize, |at, n| {
        for (i, block) in blocks.iter().enumerate() {
            widen(block, at, &mut y[..n]);
            let pairs = x[..n].iter_mut().zip(&y[..n]);
            vectorize(
                #[inline(always)]
                || match i {
                    0 => pairs.for_each(|(x, y)| *x = first(*y)),
                    _ => pairs.for_each(|(x, y)| *x = step(*x, *y)),
                },
            );
        }
        vectorize(
            #[inline(always)]
            || x[..n].iter_mut().for_each(|x| *x = last(*x)),
        );
        stored(&x[..n], out, at, how);
    });
}

fn compared<S: Element>(src: &[S], dst: &mut [u8], f: impl Fn(f64) -> bool) {
    vectorize(
        #[inline(always)]
        || dst.iter_mut().zip(src).for_each(|(d, s)| *d = u8::from(f(s.to_f64()))),
    );
}

/// `out = f(src)` for a `bool` output.
pub(crate) fn mask(src: &Block, out: &mut Block, f: impl Fn(f64) -> bool) {
    with_dtype!(src.dtype(), S => compared::<S>(src.as_slice(), out.as_mut_slice(), f));
}

/// `out = f(a, b, c)` for a `bool` output.
pub(crate) fn mask_of_three(blocks: [&Block; 3], out: &mut Block, f: impl Fn(f64, f64, f64) -> bool) {
    let (mut x, mut y, mut z) = ([0.0; RUN], [0.0; RUN], [0.0; RUN]);
    runs(out.region().volume() as usize, |at, n| {
        for (block, buf) in blocks.into_iter().zip([&mut x, &mut y, &mut z]) {
            widen(block, at, &mut buf[..n]);
        }
        let dst = &mut out.as_mut_slice::<u8>()[at..at + n];
        vectorize(
            #[inline(always)]
            || {
                for (((d, x), y), z) in dst.iter_mut().zip(&x).zip(&y).zip(&z) {
                    *d = u8::from(f(*x, *y, *z));
                }
            },
        );
    });
}

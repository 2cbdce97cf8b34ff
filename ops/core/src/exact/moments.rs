//! Means and variances from exact sums, each rounded once.

use super::ExactSum;

/// The mean of `n` values whose sum is `sum`, rounded once; NaN when there are none.
pub fn mean(n: u64, sum: &ExactSum) -> f64 {
    if n == 0 {
        return f64::NAN;
    }
    sum.not_finite().unwrap_or_else(|| sum.big().divided(n, 1))
}

/// The population variance of `n` values, `(n * squares - sum^2) / n^2` computed exactly and rounded once.
///
/// `squares` is the sum of the squares. NaN when there are no values or one of them is not finite.
pub fn variance(n: u64, sum: &ExactSum, squares: &ExactSum) -> f64 {
    if n == 0 || sum.special != 0 || squares.special != 0 {
        return f64::NAN;
    }
    squares.big().times(n).minus(&sum.big().squared()).divided(n, 2)
}

/// A quotient of integers, rounded once; NaN for a divisor of 0.
pub fn ratio(sum: u128, n: u64) -> f64 {
    let mut s = ExactSum::default();
    s.add_u128(sum);
    mean(n, &s)
}

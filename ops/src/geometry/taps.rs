//! Which elements along an axis a resized one is made from, and by which weights.
//!
//! Everything follows from the index in the whole result, never from a block: element `i` of `m` lies at
//! `(i + 0.5) * (n / m) - 0.5` among `n` elements, in float64. So the centres of the first and last elements are half an
//! element inside the edges of the array, whichever way it is scaled.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How values between elements are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Order {
    /// The element that the centre lies in: for labels and masks.
    Nearest,
    /// Between two neighbours, linearly.
    #[default]
    Linear,
    /// The mean over the span that the element covers, parts of elements by their share: for making smaller.
    Area,
    /// From four neighbours by Keys' cubic with `a = -0.5` (Catmull-Rom).
    Cubic,
}

/// The elements an element is made from: from `first` on, one for each weight.
#[derive(Debug, Clone, Default)]
pub(crate) struct Taps {
    pub(crate) first: i64,
    pub(crate) weights: Vec<f64>,
}

/// Keys' cubic convolution kernel for `a = -0.5` (IEEE Trans. Acoustics, Speech, Signal Processing 29, 1981, 1153-1160).
fn cubic(x: f64) -> f64 {
    let x = x.abs();
    if x <= 1.0 {
        (1.5 * x - 2.5) * x * x + 1.0
    } else if x < 2.0 {
        ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    } else {
        0.0
    }
}

impl Order {
    /// What element `i` of `m` is made from among `n`. Beyond the edge stands the last element.
    pub(crate) fn taps(self, i: i64, n: i64, m: i64) -> Taps {
        let scale = n as f64 / m as f64;
        if n == m {
            return Taps { first: i, weights: vec![1.0] };
        }
        match self {
            // floor((i + 0.5) * n / m), in integers.
            Order::Nearest => {
                let at = ((2 * i128::from(i) + 1) * i128::from(n) / (2 * i128::from(m))) as i64;
                Taps { first: at.min(n - 1), weights: vec![1.0] }
            }
            Order::Area => {
                let (lo, hi) = (i as f64 * scale, ((i + 1) as f64 * scale).min(n as f64));
                let (first, end) = ((lo.floor() as i64).min(n - 1), (hi.ceil() as i64).min(n));
                let share = |k: i64| (hi.min((k + 1) as f64) - lo.max(k as f64)).max(0.0);
                let shares: Vec<f64> = (first..end.max(first + 1)).map(share).collect();
                let total: f64 = shares.iter().sum();
                Taps { first, weights: shares.into_iter().map(|s| s / total).collect() }
            }
            Order::Linear | Order::Cubic => {
                let at = (i as f64 + 0.5) * scale - 0.5;
                let (base, t) = (at.floor() as i64, at - at.floor());
                let near: Vec<(i64, f64)> = match self {
                    Order::Linear => vec![(base, 1.0 - t), (base + 1, t)],
                    _ => (-1..3).map(|k| (base + k, cubic(k as f64 - t))).collect(),
                };
                gathered(&near, n)
            }
        }
    }
}

/// Taps whose elements all lie in the array; those that count for nothing at either end are left out, so that a NaN
/// there does not count either.
fn gathered(near: &[(i64, f64)], n: i64) -> Taps {
    let inside = |k: i64| k.clamp(0, n - 1);
    let mut used = near.iter().filter(|(_, w)| *w != 0.0).map(|(k, _)| inside(*k));
    let first = used.clone().min().unwrap_or(0);
    let last = used.by_ref().max().unwrap_or(0);
    let mut weights = vec![0.0; (last - first + 1) as usize];
    for (k, w) in near.iter().filter(|(_, w)| *w != 0.0) {
        weights[(inside(*k) - first) as usize] += w;
    }
    Taps { first, weights }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_sum_to_one_and_lie_inside() {
        for order in [Order::Nearest, Order::Linear, Order::Area, Order::Cubic] {
            for n in 1..12 {
                for m in 1..25 {
                    for i in 0..m {
                        let t = order.taps(i, n, m);
                        let sum: f64 = t.weights.iter().sum();
                        assert!((sum - 1.0).abs() < 1e-12, "{order:?} {i} of {m} among {n}: {t:?}");
                        assert!(t.first >= 0 && t.first + t.weights.len() as i64 <= n);
                    }
                }
            }
        }
    }

    #[test]
    fn by_hand() {
        // Twice as many: a quarter and three quarters.
        let t = Order::Linear.taps(1, 4, 8);
        assert_eq!((t.first, t.weights), (0, vec![0.75, 0.25]));
        let t = Order::Linear.taps(0, 4, 8);
        assert_eq!((t.first, t.weights), (0, vec![1.0]));
        // Three of two: the middle one is half of each.
        let t = Order::Area.taps(1, 2, 3);
        assert_eq!((t.first, t.weights.len()), (0, 2));
        assert!((t.weights[0] - 0.5).abs() < 1e-15);
        assert_eq!(Order::Nearest.taps(1, 4, 2).first, 3);
        let t = Order::Cubic.taps(1, 8, 4);
        assert_eq!((t.first, t.weights), (1, vec![-0.0625, 0.5625, 0.5625, -0.0625]));
    }
}

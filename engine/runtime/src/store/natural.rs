//! Natural order of names: digits compare as numbers.

use std::cmp::Ordering;

/// Compares names as people number files: `img2` before `img10`.
///
/// Runs of ASCII digits compare by value, everything else byte by byte, so capitals come before small letters as in
/// tifffile's `natural_sorted`. Names that differ only in leading zeros are ordered by the shorter run of digits.
pub(crate) fn compare(a: &str, b: &str) -> Ordering {
    let (x, y) = (a.as_bytes(), b.as_bytes());
    let (mut i, mut j) = (0, 0);
    while i < x.len() && j < y.len() {
        if x[i].is_ascii_digit() && y[j].is_ascii_digit() {
            let (m, n) = (digits(&x[i..]), digits(&y[j..]));
            let (p, q) = (significant(&x[i..i + m]), significant(&y[j..j + n]));
            let order = p.len().cmp(&q.len()).then_with(|| p.cmp(q));
            if order != Ordering::Equal {
                return order;
            }
            (i, j) = (i + m, j + n);
        } else if x[i] != y[j] {
            return x[i].cmp(&y[j]);
        } else {
            (i, j) = (i + 1, j + 1);
        }
    }
    // One is the start of the other, or they differ in leading zeros only.
    (x.len() - i).cmp(&(y.len() - j)).then_with(|| x.len().cmp(&y.len())).then_with(|| x.cmp(y))
}

fn digits(s: &[u8]) -> usize {
    s.iter().take_while(|c| c.is_ascii_digit()).count()
}

fn significant(s: &[u8]) -> &[u8] {
    &s[s.iter().take_while(|c| **c == b'0').count()..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_count_by_value() {
        let mut v = ["z10", "z2", "z02", "a", "B", "z1a10", "z1a9", "z", "z123456789012345678901234567890", "z99"];
        v.sort_by(|a, b| compare(a, b));
        // As tifffile.natural_sorted gives it, but for the order of z2 and z02, which it leaves as found.
        assert_eq!(v, ["B", "a", "z", "z1a9", "z1a10", "z2", "z02", "z10", "z99", "z123456789012345678901234567890"]);
    }

    proptest! {
        #[test]
        fn the_order_is_total(mut v in prop::collection::vec("[a0-2]{0,6}", 3)) {
            v.sort_by(|a, b| compare(a, b));
            for (i, a) in v.iter().enumerate() {
                for b in &v[i..] {
                    prop_assert!(compare(a, b) != Ordering::Greater);
                    prop_assert_eq!(compare(a, b), compare(b, a).reverse());
                    prop_assert_eq!(compare(a, b) == Ordering::Equal, a == b);
                }
            }
        }
    }
}

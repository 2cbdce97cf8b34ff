//! Huffman codes of bounded length, as DEFLATE (RFC 1951) wants them.

/// Code lengths of at most `limit` bits for these frequencies; symbols that never occur get 0.
///
/// Lengths are those of Huffman's algorithm (two queues, ties broken by symbol), then shortened to `limit` by the
/// usual repair of the Kraft sum, so they depend on the frequencies alone.
pub(super) fn lengths(frequencies: &[u32], limit: u8, out: &mut [u8]) {
    out.fill(0);
    let mut used: Vec<(u32, u16)> =
        frequencies.iter().enumerate().filter(|(_, f)| **f > 0).map(|(s, f)| (*f, s as u16)).collect();
    match used.as_slice() {
        [] => return,
        [(_, only)] => {
            out[usize::from(*only)] = 1;
            return;
        }
        _ => used.sort_unstable(),
    }
    let mut count = depths(&used);
    // Fold everything deeper than the limit onto it, then pay for it with shorter codes.
    let deep: u32 = count[usize::from(limit) + 1..].iter().sum();
    count[usize::from(limit)] += deep;
    count[usize::from(limit) + 1..].fill(0);
    let mut kraft: u64 = (1..=limit).map(|l| u64::from(count[usize::from(l)]) << (limit - l)).sum();
    while kraft > 1 << limit {
        count[usize::from(limit)] -= 1;
        let from = (1..limit).rev().find(|&l| count[usize::from(l)] > 0).unwrap_or(1);
        count[usize::from(from)] -= 1;
        count[usize::from(from) + 1] += 2;
        kraft -= 1;
    }
    // The rarest symbols get the longest codes.
    let mut symbols = used.iter();
    for length in (1..=limit).rev() {
        for (_, symbol) in symbols.by_ref().take(count[usize::from(length)] as usize) {
            out[usize::from(*symbol)] = length;
        }
    }
}

/// How many symbols have each depth in the Huffman tree of at least two `(frequency, symbol)` in ascending order.
fn depths(used: &[(u32, u16)]) -> [u32; 64] {
    let n = used.len();
    // Inner nodes come out in ascending weight, so two queues do: leaves and inner nodes.
    let mut weight: Vec<u64> = Vec::with_capacity(n);
    let mut parent_of_leaf = vec![0u32; n];
    let mut parent_of_inner = vec![0u32; n];
    let (mut leaf, mut inner) = (0, 0);
    for node in 0..n - 1 {
        let mut sum = 0;
        for _ in 0..2 {
            let take_leaf = leaf < n && (inner >= weight.len() || u64::from(used[leaf].0) <= weight[inner]);
            if take_leaf {
                sum += u64::from(used[leaf].0);
                parent_of_leaf[leaf] = node as u32;
                leaf += 1;
            } else {
                sum += weight[inner];
                parent_of_inner[inner] = node as u32;
                inner += 1;
            }
        }
        weight.push(sum);
    }
    let mut depth = vec![0u8; n - 1];
    for node in (0..n - 2).rev() {
        depth[node] = depth[parent_of_inner[node] as usize] + 1;
    }
    let mut count = [0u32; 64];
    for parent in parent_of_leaf {
        count[usize::from(depth[parent as usize] + 1).min(63)] += 1;
    }
    count
}

/// The canonical codes of these lengths, bit-reversed as DEFLATE writes them.
pub(super) fn codes(lengths: &[u8], out: &mut [u16]) {
    let mut count = [0u16; 16];
    lengths.iter().for_each(|l| count[usize::from(*l)] += 1);
    count[0] = 0;
    let mut next = [0u16; 16];
    for l in 1..16 {
        next[l] = (next[l - 1] + count[l - 1]) << 1;
    }
    for (length, code) in lengths.iter().zip(out) {
        if *length > 0 {
            *code = next[usize::from(*length)].reverse_bits() >> (16 - length);
            next[usize::from(*length)] += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn four_symbols_by_hand() {
        let mut l = [9; 5];
        lengths(&[8, 1, 0, 2, 1], 15, &mut l);
        assert_eq!(l, [1, 3, 0, 2, 3]);
        let mut c = [0; 5];
        codes(&l, &mut c);
        // Canonical 0, 110, 10, 111, each reversed.
        assert_eq!(c, [0, 0b011, 0, 0b01, 0b111]);
    }

    proptest! {
        #[test]
        fn codes_are_complete_and_no_longer_than_the_limit(
            f in prop::collection::vec(prop_oneof![Just(0u32), 1u32..4, 1u32..100_000_000], 2..286),
            limit in 9u8..15,
        ) {
            let mut l = vec![0; f.len()];
            lengths(&f, limit, &mut l);
            let used = f.iter().filter(|v| **v > 0).count();
            prop_assert!(f.iter().zip(&l).all(|(f, l)| (*f > 0) == (*l > 0) && *l <= limit));
            if used > 1 {
                let kraft: u64 = l.iter().filter(|l| **l > 0).map(|l| 1u64 << (limit - l)).sum();
                prop_assert_eq!(kraft, 1 << limit);
            }
        }
    }
}

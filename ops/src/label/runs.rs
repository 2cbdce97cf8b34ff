//! Runs of foreground along the last axis, and which of two rows' runs touch.
//!
//! Rows become bits, 64 voxels to a word; a run begins where a bit is set and the one before is not. Runs of
//! neighbouring rows that touch are found by logic on words, once for each stretch where they touch (He, Chao, Suzuki
//! 2008, with bits instead of loops over voxels).

use ops_core::Element;

/// Offsets to the rows that come before a row in C order and touch it.
#[derive(Debug, Clone)]
pub(crate) struct Neighbour {
    /// Steps along all axes but the last.
    pub(crate) step: Vec<i64>,
    /// True when voxels one to the side touch too.
    pub(crate) diagonal: bool,
}

/// The neighbouring rows for a connectivity: how many axes may differ, each by one, between voxels that touch.
pub(crate) fn neighbours(rank: usize, connectivity: usize) -> Vec<Neighbour> {
    let leading = rank.saturating_sub(1);
    let mut out = Vec::new();
    for code in 0..3usize.pow(leading as u32) {
        let step: Vec<i64> = (0..leading).map(|a| (code / 3usize.pow(a as u32) % 3) as i64 - 1).collect();
        let differing = step.iter().filter(|&&s| s != 0).count();
        let before = step.iter().find(|&&s| s != 0) == Some(&-1);
        if before && differing <= connectivity {
            out.push(Neighbour { step, diagonal: differing < connectivity });
        }
    }
    out
}

/// For which of sixty-four pairs `f` holds, as bits.
#[inline(always)]
pub(crate) fn flags<T: Element>(a: &[T; 64], b: &[T; 64], f: impl Fn(T, T) -> bool) -> u64 {
    let mut flags = [0u8; 64];
    for i in 0..64 {
        flags[i] = u8::from(f(a[i], b[i]));
    }
    // Bit 8j + i of the sum is flag 8i + j: eight shifts, and then a transposition of 8 x 8 bits.
    let mut x = 0u64;
    for (i, eight) in flags.as_chunks::<8>().0.iter().enumerate() {
        x |= u64::from_le_bytes(*eight) << i;
    }
    let t = (x ^ (x >> 7)) & 0x00aa_00aa_00aa_00aa;
    x ^= t ^ (t << 7);
    let t = (x ^ (x >> 14)) & 0x0000_cccc_0000_cccc;
    x ^= t ^ (t << 14);
    let t = (x ^ (x >> 28)) & 0x0000_0000_f0f0_f0f0;
    x ^ t ^ (t << 28)
}

/// The bits of a row's non-zero elements.
#[inline(always)]
pub(crate) fn bits<T: Element>(row: &[T], words: &mut [u64]) {
    let (chunks, rest) = row.as_chunks::<64>();
    let zero = [T::default(); 64];
    for (chunk, word) in chunks.iter().zip(&mut *words) {
        *word = flags(chunk, &zero, |a, b| a != b);
    }
    if let (Some(word), false) = (words.last_mut(), rest.is_empty()) {
        *word = rest.iter().enumerate().fold(0, |w, (i, v)| w | (u64::from(*v != T::default()) << i));
    }
}

/// The bits at which runs start in a word, when the last bit of the word before is `carry`.
#[inline(always)]
pub(crate) fn starts(word: u64, carry: u64) -> u64 {
    word & !((word << 1) | carry)
}

/// Calls `f(run, other run)` for the runs of two rows that touch. Runs count up from `first` in each row.
#[inline(always)]
pub(crate) fn touching(
    (row, first): (&[u64], u32),
    (other, other_first): (&[u64], u32),
    diagonal: bool,
    mut f: impl FnMut(u32, u32),
) {
    let (mut c_at, mut p_at) = (first, other_first);
    let (mut c_low, mut p_low, mut o_low) = (0u64, 0u64, 0u64);
    let width = row.len().min(other.len());
    for k in 0..width {
        let (c, p) = (row[k], other[k]);
        let (c_starts, p_starts) = (starts(c, c_low), starts(p, p_low));
        // The run that began last at or before a bit.
        let run = |starts: u64, at: u32, bit: u32| at + (starts & (u64::MAX >> (63 - bit))).count_ones() - 1;
        let over = c & p;
        let mut events = starts(over, o_low);
        while events != 0 {
            let bit = events.trailing_zeros();
            events &= events - 1;
            f(run(c_starts, c_at, bit), run(p_starts, p_at, bit));
        }
        if diagonal {
            // Only where neither voxel has the other's column: else they touch straight, which was seen above.
            let mut left = c_starts & ((p << 1) | p_low) & !p;
            while left != 0 {
                let bit = left.trailing_zeros();
                left &= left - 1;
                f(run(c_starts, c_at, bit), run(p_starts, p_at, bit));
            }
            let (c_high, p_high) = if k + 1 == width { (0, 0) } else { (row[k + 1] << 63, other[k + 1] << 63) };
            let mut right = c & !((c >> 1) | c_high) & ((p >> 1) | p_high) & !p;
            while right != 0 {
                let bit = right.trailing_zeros();
                right &= right - 1;
                let next = p_at + (p_starts & (u64::MAX >> (63 - bit))).count_ones();
                f(run(c_starts, c_at, bit), next);
            }
        }
        c_at += c_starts.count_ones();
        p_at += p_starts.count_ones();
        (c_low, p_low, o_low) = (c >> 63, p >> 63, over >> 63);
    }
}

/// The root of a set; shortens the way to it.
///
/// The first step is taken unasked, so that roots and what hangs right below them, nearly all there is, go the same way:
/// a processor guesses no branch wrong.
#[inline(always)]
fn root(parent: &mut [u32], of: u32) -> u32 {
    let (mut below, mut i) = (of, parent[of as usize]);
    loop {
        let above = parent[i as usize];
        if above == i {
            return i;
        }
        parent[below as usize] = above;
        (below, i) = (i, above);
    }
}

/// Joins two sets; the smaller root stays.
#[inline(always)]
pub(crate) fn union(parent: &mut [u32], a: u32, b: u32) {
    let (a, b) = (root(parent, a), root(parent, b));
    parent[a.max(b) as usize] = a.min(b);
}

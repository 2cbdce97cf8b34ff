//! Connected components of one block, by runs of foreground along the last axis.
//!
//! Rows become bits, 64 voxels to a word; a run begins where a bit is set and the one before is not. Runs of
//! neighbouring rows that touch are found by logic on words, once for each stretch where they touch, and joined in a
//! union-find over runs (He, Chao, Suzuki 2008, with bits instead of loops over voxels).

use ops_core::{Element, Pool, Region, pool::Scratch, simd::vectorize};

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
fn bits<T: Element>(row: &[T], words: &mut [u64]) {
    vectorize(
        #[inline(always)]
        || {
            let (chunks, rest) = row.as_chunks::<64>();
            let zero = [T::default(); 64];
            for (chunk, word) in chunks.iter().zip(&mut *words) {
                *word = flags(chunk, &zero, |a, b| a != b);
            }
            if let (Some(word), false) = (words.last_mut(), rest.is_empty()) {
                *word = rest.iter().enumerate().fold(0, |w, (i, v)| w | (u64::from(*v != T::default()) << i));
            }
        },
    );
}

/// The runs of a block and which of them are connected.
pub(crate) struct Runs {
    rows: usize,
    len: usize,
    /// Words to a row.
    width: usize,
    words: Scratch<u64>,
    /// Runs that began before each word.
    before: Scratch<u32>,
    parent: Scratch<u32>,
    count: usize,
}

/// Rows, words to a row, and the most runs of a region.
fn sizes(region: &Region) -> (usize, usize, usize, usize) {
    let shape = region.shape();
    let len = shape.last().copied().unwrap_or(0);
    let rows = (region.volume() as usize).checked_div(len).unwrap_or(0);
    (rows, len, len.div_ceil(64), rows.saturating_mul(len.div_ceil(2)))
}

impl Runs {
    /// Bytes of scratch for a block, with one key of `key` bytes for each run.
    pub(crate) fn scratch_bytes(region: &Region, key: usize) -> u64 {
        let (rows, _, width, most) = sizes(region);
        let words = (rows * width) as u64;
        [8 * words, 4 * words, 4 * most as u64, (key * most) as u64].into_iter().map(Pool::rounded).sum()
    }

    /// The most runs a region can have.
    pub(crate) fn most(region: &Region) -> usize {
        sizes(region).3
    }

    /// Finds the runs of a block and joins those that touch. `None` for a block of more than `u32::MAX` runs.
    pub(crate) fn find<T: Element>(src: &[T], region: &Region, near: &[Neighbour], pool: &Pool) -> Option<Runs> {
        let (rows, len, width, most) = sizes(region);
        u32::try_from(most).ok()?;
        let (words, before, parent) = (pool.take(rows * width), pool.take(rows * width), pool.take(most));
        let mut runs = Runs { rows, len, width, words, before, parent, count: 0 };
        if rows == 0 {
            return Some(runs);
        }
        let leading = &region.shape()[..region.rank() - 1];
        let mut at: Vec<i64> = vec![0; leading.len()];
        for row in 0..rows {
            bits(&src[row * len..(row + 1) * len], &mut runs.words[row * width..(row + 1) * width]);
            // Counting bits takes one instruction where the processor has it.
            vectorize(
                #[inline(always)]
                || runs.count_row(row),
            );
            for n in near {
                let there = |a: usize| (0..leading[a] as i64).contains(&(at[a] + n.step[a]));
                if (0..at.len()).all(there) {
                    let other = at.iter().zip(&n.step).zip(leading).fold(0, |r, ((i, s), &e)| r * e as i64 + i + s);
                    vectorize(
                        #[inline(always)]
                        || runs.join_rows(row, other as usize, n.diagonal),
                    );
                }
            }
            for a in (0..at.len()).rev() {
                at[a] += 1;
                if at[a] < leading[a] as i64 {
                    break;
                }
                at[a] = 0;
            }
        }
        runs.flatten();
        Some(runs)
    }

    /// Number of runs.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// For each run the first run of its component.
    pub(crate) fn roots(&self) -> &[u32] {
        &self.parent[..self.count]
    }

    #[inline(always)]
    fn count_row(&mut self, row: usize) {
        let (mut carry, mut n) = (0u64, self.count as u32);
        let range = row * self.width..(row + 1) * self.width;
        for (word, before) in self.words[range.clone()].iter().zip(&mut self.before[range]) {
            *before = n;
            n += (word & !((word << 1) | carry)).count_ones();
            carry = word >> 63;
        }
        for i in self.count as u32..n {
            self.parent[i as usize] = i;
        }
        self.count = n as usize;
    }

    /// Joins the runs of two rows that touch; those of `other` come first.
    #[inline(always)]
    fn join_rows(&mut self, row: usize, other: usize, diagonal: bool) {
        let (c0, p0) = (row * self.width, other * self.width);
        let words = &self.words[..];
        let (mut c_low, mut p_low, mut o_low) = (0u64, 0u64, 0u64);
        for k in 0..self.width {
            let (c, p) = (words[c0 + k], words[p0 + k]);
            let last = k + 1 == self.width;
            let (c_high, p_high) = if last { (0, 0) } else { (words[c0 + k + 1] << 63, words[p0 + k + 1] << 63) };
            let (c_starts, p_starts) = (c & !((c << 1) | c_low), p & !((p << 1) | p_low));
            let (c_at, p_at) = (self.before[c0 + k], self.before[p0 + k]);
            // The run that began last at or before a bit.
            let run = |starts: u64, at: u32, bit: u32| at + (starts & (u64::MAX >> (63 - bit))).count_ones() - 1;
            let over = c & p;
            let mut events = over & !((over << 1) | o_low);
            while events != 0 {
                let bit = events.trailing_zeros();
                events &= events - 1;
                union(&mut self.parent, run(c_starts, c_at, bit), run(p_starts, p_at, bit));
            }
            if diagonal {
                // Only where neither voxel has the other's column: else they touch straight, which was seen above.
                let mut left = c_starts & ((p << 1) | p_low) & !p;
                while left != 0 {
                    let bit = left.trailing_zeros();
                    left &= left - 1;
                    union(&mut self.parent, run(c_starts, c_at, bit), run(p_starts, p_at, bit));
                }
                let mut right = c & !((c >> 1) | c_high) & ((p >> 1) | p_high) & !p;
                while right != 0 {
                    let bit = right.trailing_zeros();
                    right &= right - 1;
                    let next = p_at + (p_starts & (u64::MAX >> (63 - bit))).count_ones();
                    union(&mut self.parent, run(c_starts, c_at, bit), next);
                }
            }
            (c_low, p_low, o_low) = (c >> 63, p >> 63, over >> 63);
        }
    }

    fn flatten(&mut self) {
        for i in 0..self.count {
            self.parent[i] = self.parent[self.parent[i] as usize];
        }
    }

    /// Calls `f(row, column)` for the start of every run, in order.
    pub(crate) fn each_start(&self, mut f: impl FnMut(usize, usize)) {
        for row in 0..self.rows {
            let mut carry = 0u64;
            for k in 0..self.width {
                let word = self.words[row * self.width + k];
                let mut starts = word & !((word << 1) | carry);
                carry = word >> 63;
                while starts != 0 {
                    f(row, 64 * k + starts.trailing_zeros() as usize);
                    starts &= starts - 1;
                }
            }
        }
    }

    /// Writes the value of each run to its voxels, and 0 elsewhere.
    pub(crate) fn paint<K: Element>(&self, values: &[K], out: &mut [K]) {
        vectorize(
            #[inline(always)]
            || self.paint_rows(values, out),
        );
    }

    #[inline(always)]
    fn paint_rows<K: Element>(&self, values: &[K], out: &mut [K]) {
        let mut next = 0;
        for row in 0..self.rows {
            let end = (row + 1) * self.len;
            let (mut from, mut carry, mut value) = (row * self.len, 0u64, K::default());
            for k in 0..self.width {
                let word = self.words[row * self.width + k];
                let mut edges = word ^ ((word << 1) | carry);
                carry = word >> 63;
                while edges != 0 {
                    let at = row * self.len + 64 * k + edges.trailing_zeros() as usize;
                    edges &= edges - 1;
                    stretch(out, from, at.min(end), value);
                    from = at.min(end);
                    let begins = value == K::default();
                    value = if begins { values[next] } else { K::default() };
                    next += usize::from(begins);
                }
            }
            stretch(out, from, end, value);
        }
    }
}

/// Elements written at once.
const WIDTH: usize = 16;

/// Writes `out[from..to]`; may write up to sixteen elements further, which come later and are written then. Whole widths
/// spare the processor from guessing how long a stretch is.
#[inline(always)]
fn stretch<K: Element>(out: &mut [K], from: usize, to: usize, value: K) {
    if to + WIDTH > out.len() {
        return out[from..to].fill(value);
    }
    let mut at = from;
    loop {
        out[at..at + WIDTH].fill(value);
        at += WIDTH;
        if at >= to {
            return;
        }
    }
}

/// Writes `f` of each element, called once for every stretch of equal ones.
pub(crate) fn each_stretch<K: Element, O: Element>(src: &[K], out: &mut [O], mut f: impl FnMut(K) -> O) {
    let Some((first, rest)) = src.split_first() else { return };
    let (mut from, mut value) = (0, f(*first));
    vectorize(
        #[inline(always)]
        || {
            let (now, tail) = rest.as_chunks::<64>();
            let (before, _) = src.as_chunks::<64>();
            for (c, (now, before)) in now.iter().zip(before).enumerate() {
                let mut edges = flags(now, before, |a, b| a != b);
                while edges != 0 {
                    let at = edges.trailing_zeros() as usize;
                    edges &= edges - 1;
                    stretch(out, from, 64 * c + 1 + at, value);
                    (from, value) = (64 * c + 1 + at, f(now[at]));
                }
            }
            for at in src.len() - tail.len()..src.len() {
                if src[at] != src[at - 1] {
                    stretch(out, from, at, value);
                    (from, value) = (at, f(src[at]));
                }
            }
            stretch(out, from, src.len(), value);
        },
    );
}

#[inline(always)]
fn root(parent: &mut [u32], mut i: u32) -> u32 {
    loop {
        let p = parent[i as usize];
        if p == i {
            return i;
        }
        let above = parent[p as usize];
        parent[i as usize] = above;
        i = above;
    }
}

/// Joins two sets; the smaller root stays.
#[inline(always)]
fn union(parent: &mut [u32], a: u32, b: u32) {
    let (a, b) = (root(parent, a), root(parent, b));
    if a < b {
        parent[b as usize] = a;
    } else {
        parent[a as usize] = b;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Within one block nothing is left to `label.join`: it would mend what is missed here, and hide it.
    #[test]
    fn runs_of_one_block_are_joined_just_where_voxels_touch() {
        let region = Region::whole(&[3, 5, 131]);
        let mut state = 1u64;
        let mut random = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            state >> 33
        };
        for connectivity in 1..=3 {
            let mask: Vec<u8> = (0..3 * 5 * 131).map(|_| u8::from(random() % 10 < 3)).collect();
            let runs = Runs::find(&mask, &region, &neighbours(3, connectivity), &Pool::default()).unwrap();
            let mut got = vec![0u32; mask.len()];
            runs.paint(&runs.roots().iter().map(|r| r + 1).collect::<Vec<u32>>(), &mut got);
            let at = |i: usize| [i / 655, i / 131 % 5, i % 131];
            let mut want = vec![0u32; mask.len()];
            for first in 0..mask.len() {
                if mask[first] == 0 || want[first] != 0 {
                    continue;
                }
                let mut open = vec![first];
                want[first] = got[first];
                while let Some(i) = open.pop() {
                    for j in 0..mask.len() {
                        let far = at(i).iter().zip(at(j)).map(|(a, b)| a.abs_diff(b)).collect::<Vec<_>>();
                        let near = far.iter().all(|&d| d < 2) && far.iter().sum::<usize>() <= connectivity;
                        if near && mask[j] != 0 && want[j] == 0 {
                            want[j] = got[first];
                            open.push(j);
                        }
                    }
                }
            }
            assert_eq!(got, want, "connectivity {connectivity}");
        }
    }
}

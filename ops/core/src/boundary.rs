//! What an op finds beyond the edge of its input array.
//!
//! The engine extends arrays, ops do not: an op asks for a region that may reach outside, and gets a block of just that
//! region. The modes and their names are scipy.ndimage's.

use crate::{Block, Index, Pool, Region};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// How an array is extended beyond its edges.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Boundary {
    /// Mirrored about the edge of the last element: `d c b a | a b c d | d c b a`.
    #[default]
    Reflect,
    /// Mirrored about the centre of the last element: `d c b | a b c d | c b a`.
    Mirror,
    /// The last element repeated: `a a a a | a b c d | d d d d`.
    Nearest,
    /// Continued from the other end: `a b c d | a b c d | a b c d`.
    Wrap,
    /// Filled with zeros.
    Constant,
    /// Not extended: the block is cut at the edge. For ops that look at neighbours only where there are any.
    #[serde(skip)]
    Clip,
}

impl Boundary {
    /// Where index `i` of an axis of extent `n` is read from; `None` for the fill value.
    pub fn source(self, i: i64, n: i64) -> Option<i64> {
        if (0..n).contains(&i) {
            return Some(i);
        }
        if n <= 0 {
            return None;
        }
        match self {
            Boundary::Reflect => {
                let k = i.rem_euclid(2 * n);
                Some(if k < n { k } else { 2 * n - 1 - k })
            }
            Boundary::Mirror if n == 1 => Some(0),
            Boundary::Mirror => {
                let k = i.rem_euclid(2 * n - 2);
                Some(if k < n { k } else { 2 * n - 2 - k })
            }
            Boundary::Nearest => Some(i.clamp(0, n - 1)),
            Boundary::Wrap => Some(i.rem_euclid(n)),
            Boundary::Constant | Boundary::Clip => None,
        }
    }

    /// The region an op is handed when it asks for `want`: all of it, or the part inside for [`Boundary::Clip`].
    pub fn given(self, want: &Region, array: &Region) -> Region {
        if self == Boundary::Clip { want.intersect(array) } else { want.clone() }
    }

    /// The parts of the array that extending it to `want` reads, as disjoint boxes in C order.
    pub fn sources(self, want: &Region, array: &Region) -> Vec<Region> {
        if array.contains(want) {
            return if want.is_empty() { Vec::new() } else { vec![want.clone()] };
        }
        let per_axis: Vec<Vec<(i64, i64)>> =
            (0..want.rank()).map(|a| self.intervals(want.lo[a], want.hi[a], array.hi[a])).collect();
        let mut boxes = vec![Region::new(Index::new(), Index::new())];
        for spans in &per_axis {
            let mut next = Vec::with_capacity(boxes.len() * spans.len());
            for b in &boxes {
                for &(l, h) in spans {
                    let mut b = b.clone();
                    b.lo.push(l);
                    b.hi.push(h);
                    next.push(b);
                }
            }
            boxes = next;
        }
        boxes
    }

    /// The indices of an axis of extent `n` that `lo..hi` reads, as sorted disjoint intervals.
    fn intervals(self, lo: i64, hi: i64, n: i64) -> Vec<(i64, i64)> {
        let (cl, ch) = (lo.max(0), hi.min(n));
        if n <= 0 || hi <= lo {
            return Vec::new();
        }
        if hi - lo >= 4 * n + 4 {
            return if matches!(self, Boundary::Constant | Boundary::Clip) { vec![(cl, ch)] } else { vec![(0, n)] };
        }
        let mut v: Vec<(i64, i64)> = Vec::new();
        let mut add = |l: i64, h: i64| {
            if h > l {
                v.push((l, h));
            }
        };
        add(cl, ch);
        for i in (lo..hi.min(0)).chain(lo.max(n)..hi) {
            if let Some(s) = self.source(i, n) {
                add(s, s + 1);
            }
        }
        v.sort_unstable();
        let mut merged: Vec<(i64, i64)> = Vec::new();
        for (l, h) in v {
            match merged.last_mut() {
                Some(last) if l <= last.1 => last.1 = last.1.max(h),
                _ => merged.push((l, h)),
            }
        }
        merged
    }

    /// Builds the block of region `want` from blocks that together cover [`Boundary::sources`].
    pub fn assemble(self, pool: &Pool, want: &Region, array: &Region, from: &[&Block], dtype: crate::DType) -> Block {
        let given = self.given(want, array);
        let mut out = Block::take(pool, dtype, given.clone());
        if array.contains(&given) {
            from.iter().for_each(|b| out.paste(b));
            return out;
        }
        if self == Boundary::Constant {
            out.bytes_mut().fill(0);
        }
        from.iter().for_each(|b| copy_mapped(self, &mut out, array, b));
        out
    }
}

/// A run of indices along one axis: `len` elements from `dst` on read `src`, and then on by `step`.
struct Run {
    dst: usize,
    src: usize,
    len: usize,
    step: i64,
}

/// For one axis: which indices of the extended block are read from which index of a source block.
fn axis_map(mode: Boundary, want: (i64, i64), n: i64, block: (i64, i64)) -> Vec<(usize, usize)> {
    (want.0..want.1)
        .filter_map(|i| {
            let s = mode.source(i, n)?;
            (block.0 <= s && s < block.1).then_some(((i - want.0) as usize, (s - block.0) as usize))
        })
        .collect()
}

fn runs(map: &[(usize, usize)]) -> Vec<Run> {
    let mut out: Vec<Run> = Vec::new();
    for &(d, s) in map {
        if let Some(r) = out.last_mut()
            && d == r.dst + r.len
        {
            let step = s as i64 - (r.src as i64 + r.step * (r.len as i64 - 1));
            if (-1..=1).contains(&step) && (r.len == 1 || step == r.step) {
                r.step = step;
                r.len += 1;
                continue;
            }
        }
        out.push(Run { dst: d, src: s, len: 1, step: 1 });
    }
    out
}

fn copy_mapped(mode: Boundary, out: &mut Block, array: &Region, src: &Block) {
    let want = out.region().clone();
    // Axes at the end that are whole in both blocks count as one element.
    let mut rank = array.rank();
    let mut size = out.dtype().size();
    let whole = |r: &Region, a: usize| (r.lo[a], r.hi[a]) == (0, array.hi[a]);
    while rank > 0 && whole(&want, rank - 1) && whole(src.region(), rank - 1) {
        rank -= 1;
        size *= array.len(rank) as usize;
    }
    if rank == 0 {
        out.paste(src);
        return;
    }
    let maps: SmallVec<[Vec<(usize, usize)>; 6]> = (0..rank)
        .map(|a| {
            let from = src.region();
            axis_map(mode, (want.lo[a], want.hi[a]), array.hi[a], (from.lo[a], from.hi[a]))
        })
        .collect();
    if maps.iter().any(Vec::is_empty) {
        return;
    }
    let steps = |r: &Region| -> SmallVec<[usize; 6]> {
        let mut s: SmallVec<[usize; 6]> = SmallVec::from_elem(1, rank);
        for a in (0..rank - 1).rev() {
            s[a] = s[a + 1] * r.len(a + 1) as usize;
        }
        s
    };
    let (ds, ss) = (steps(&want), steps(src.region()));
    let row = runs(&maps[rank - 1]);
    let (sb, db) = (src.bytes(), out.bytes_mut());
    let mut at: SmallVec<[usize; 6]> = SmallVec::from_elem(0, rank);
    loop {
        let d0: usize = (0..rank - 1).map(|a| maps[a][at[a]].0 * ds[a]).sum();
        let s0: usize = (0..rank - 1).map(|a| maps[a][at[a]].1 * ss[a]).sum();
        for r in &row {
            let (d, s) = ((d0 + r.dst) * size, (s0 + r.src) * size);
            if r.step == 1 {
                db[d..d + r.len * size].copy_from_slice(&sb[s..s + r.len * size]);
            } else {
                for k in 0..r.len {
                    let from = (s as i64 + r.step * (k * size) as i64) as usize;
                    db[d + k * size..d + (k + 1) * size].copy_from_slice(&sb[from..from + size]);
                }
            }
        }
        let mut a = rank - 1;
        loop {
            if a == 0 {
                return;
            }
            a -= 1;
            at[a] += 1;
            if at[a] < maps[a].len() {
                break;
            }
            at[a] = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;

    fn extended(mode: Boundary, n: i64, lo: i64, hi: i64, pieces: &[(i64, i64)]) -> Vec<u8> {
        let array = Region::whole(&[n as u64]);
        let data: Vec<u8> = (1..=n as u8).collect();
        let whole = Block::from_slice(array.clone(), &data);
        let pool = Pool::default();
        let parts: Vec<Block> = pieces
            .iter()
            .map(|&(l, h)| whole.cut(&pool, &Region::new(Index::from_slice(&[l]), Index::from_slice(&[h]))))
            .collect();
        let want = Region::new(Index::from_slice(&[lo]), Index::from_slice(&[hi]));
        let refs: Vec<&Block> = parts.iter().collect();
        mode.assemble(&pool, &want, &array, &refs, DType::UInt8).as_slice::<u8>().to_vec()
    }

    #[test]
    fn modes_are_those_of_scipy() {
        let whole = [(0, 4)];
        assert_eq!(extended(Boundary::Reflect, 4, -4, 8, &whole), [4, 3, 2, 1, 1, 2, 3, 4, 4, 3, 2, 1]);
        assert_eq!(extended(Boundary::Mirror, 4, -3, 7, &whole), [4, 3, 2, 1, 2, 3, 4, 3, 2, 1]);
        assert_eq!(extended(Boundary::Nearest, 4, -2, 6, &whole), [1, 1, 1, 2, 3, 4, 4, 4]);
        assert_eq!(extended(Boundary::Wrap, 4, -2, 6, &whole), [3, 4, 1, 2, 3, 4, 1, 2]);
        assert_eq!(extended(Boundary::Constant, 4, -2, 6, &whole), [0, 0, 1, 2, 3, 4, 0, 0]);
        assert_eq!(extended(Boundary::Clip, 4, -2, 6, &whole), [1, 2, 3, 4]);
    }

    #[test]
    fn halo_larger_than_the_array_reflects_again_and_again() {
        assert_eq!(extended(Boundary::Reflect, 2, -5, 7, &[(0, 2)]), [1, 1, 2, 2, 1, 1, 2, 2, 1, 1, 2, 2]);
        assert_eq!(extended(Boundary::Mirror, 1, -2, 3, &[(0, 1)]), [1; 5]);
    }

    #[test]
    fn the_declared_sources_suffice() {
        for mode in [Boundary::Reflect, Boundary::Mirror, Boundary::Nearest, Boundary::Wrap, Boundary::Constant] {
            for n in 1..7 {
                for lo in -9..8 {
                    for hi in lo + 1..12 {
                        let want = Region::new(Index::from_slice(&[lo]), Index::from_slice(&[hi]));
                        let array = Region::whole(&[n as u64]);
                        let parts: Vec<(i64, i64)> =
                            mode.sources(&want, &array).iter().map(|r| (r.lo[0], r.hi[0])).collect();
                        assert_eq!(
                            extended(mode, n, lo, hi, &parts),
                            extended(mode, n, lo, hi, &[(0, n)]),
                            "{mode:?} n={n} {lo}:{hi} from {parts:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn wrapping_reads_both_ends_and_not_the_middle() {
        let want = Region::new(Index::from_slice(&[-2]), Index::from_slice(&[3]));
        let boxes = Boundary::Wrap.sources(&want, &Region::whole(&[100]));
        assert_eq!(boxes.iter().map(|r| (r.lo[0], r.hi[0])).collect::<Vec<_>>(), [(0, 3), (98, 100)]);
    }
}

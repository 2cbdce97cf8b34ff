//! `label.join`: which components of which blocks are one.
//!
//! Works on any grid, not only on that of the local labels: every pair of touching voxels is looked at once, by the
//! block that holds the later of the two in C order.

use super::key_set::{KeySet, Ranked};
use super::keys::{Keys, Numbering};
use super::runs::{Neighbour, flags, neighbours};
use ops_core::block::for_rows;
use ops_core::{
    Block, Boundary, DType, Element, Index, Need, Needs, OpError, Ports, Reduce, ReduceCall, Region, Value,
    simd::vectorize,
};
use smallvec::smallvec;
use std::sync::Arc;

/// Pairs that are collected before duplicates and detours are taken out.
const PAIRS: usize = 4096;

/// Collects the components that start in each block and those that touch across blocks.
#[derive(Debug, Clone)]
pub(crate) struct Join {
    pub(crate) connectivity: u64,
    pub(crate) numbering: Numbering,
    pub(crate) dtype: DType,
}

/// The components of the blocks seen so far.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    starts: KeySet,
    /// Keys of components that touch.
    pairs: Vec<(u64, u64)>,
    /// Length of `pairs` after which it is compressed.
    compress_at: usize,
    /// More pairs than the state may hold.
    overflow: bool,
}

/// The joined components of an array: the number of each key.
#[derive(Debug)]
pub(crate) struct Joined {
    /// The smallest key of every component.
    first: Ranked,
    /// Keys that are not the smallest of their component, sorted, and that smallest.
    others: Vec<(u64, u64)>,
}

impl Joined {
    /// The number of the component that a block gave this key, from 1.
    pub(crate) fn number(&self, key: u64) -> Option<u64> {
        let rank = self.first.rank(key).or_else(|| {
            let at = self.others.binary_search_by_key(&key, |p| p.0).ok()?;
            self.first.rank(self.others[at].1)
        });
        rank.map(|r| r + 1)
    }
}

/// Keys that are not the smallest of their component: a sorted list with that smallest of each.
fn forest(pairs: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut keys: Vec<u64> = pairs.iter().flat_map(|p| [p.0, p.1]).collect();
    keys.sort_unstable();
    keys.dedup();
    let at = |k: u64| keys.partition_point(|&x| x < k);
    let mut parent: Vec<usize> = (0..keys.len()).collect();
    let root = |parent: &mut Vec<usize>, mut i: usize| {
        while parent[i] != i {
            parent[i] = parent[parent[i]];
            i = parent[i];
        }
        i
    };
    for &(a, b) in pairs {
        let (a, b) = (root(&mut parent, at(a)), root(&mut parent, at(b)));
        parent[a.max(b)] = a.min(b);
    }
    (0..keys.len())
        .filter_map(|i| {
            let r = root(&mut parent, i);
            (r != i).then(|| (keys[i], keys[r]))
        })
        .collect()
}

impl Seen {
    fn compress(&mut self, limit: usize) {
        if self.pairs.len() > self.compress_at {
            self.pairs = forest(&self.pairs);
            self.compress_at = PAIRS.max(2 * self.pairs.len());
            if self.pairs.len() > limit {
                self.overflow = true;
                self.pairs = Vec::new();
            }
        }
    }
}

/// How many components the state may know to be the same as another: see [`Join::state_bytes`].
fn limit(volume: u64) -> usize {
    (volume / 128 + (1 << 14)) as usize
}

/// The largest number an unsigned dtype holds.
fn largest(dtype: DType) -> u64 {
    u64::MAX >> (64 - 8 * dtype.size() as u32)
}

impl Join {
    fn near(&self, rank: usize) -> Vec<Neighbour> {
        let mut v = neighbours(rank, self.connectivity as usize);
        v.push(Neighbour { step: vec![0; rank.saturating_sub(1)], diagonal: false });
        v
    }
}

impl Reduce for Join {
    type Partial = Seen;

    fn needs(&self, ports: &Ports, block: &Region) -> Needs {
        let rank = ports.meta(0).rank();
        let low: Index = smallvec![1; rank];
        let mut high: Index = smallvec![i64::from(self.connectivity > 1); rank];
        high.iter_mut().take(1).for_each(|h| *h = 0);
        smallvec![Need { input: 0, item: 0, region: block.grow(&low, &high), boundary: Boundary::Clip }]
    }

    fn start(&self, _: &Ports) -> Seen {
        Seen { compress_at: PAIRS, ..Seen::default() }
    }

    fn add(&self, call: &ReduceCall<'_>, seen: &mut Seen) -> Result<(), OpError> {
        let meta = call.ports.meta(0);
        let keys = Keys::new(&meta.shape, &self.numbering);
        let (block, near) = (call.blocks[0], self.near(meta.rank()));
        let limit = limit(meta.volume());
        match block.dtype() {
            DType::UInt32 => scan::<u32>(block, call.region, &keys, &near, seen, limit),
            DType::UInt64 => scan::<u64>(block, call.region, &keys, &near, seen, limit),
            other => return Err(OpError::Internal(format!("local labels of dtype {other}"))),
        }
        Ok(())
    }

    fn merge(&self, into: &mut Seen, other: Seen) {
        into.starts.merge(other.starts);
        into.overflow |= other.overflow;
        into.pairs.extend(other.pairs);
        into.compress(usize::MAX);
    }

    fn finish(&self, mut seen: Seen, _: &[Value], ports: &Ports) -> Result<Value, OpError> {
        seen.compress_at = 0;
        seen.compress(limit(ports.meta(0).volume()));
        if seen.overflow {
            let m = "more labels touch across blocks than the memory set aside for joining them";
            return Err(OpError::Data(format!("{m}: use larger blocks")));
        }
        for (key, _) in &seen.pairs {
            seen.starts.remove(*key);
        }
        let joined = Joined { first: seen.starts.ranked(), others: seen.pairs };
        let (count, most) = (joined.first.count(), largest(self.dtype));
        if count > most {
            let m = format!("expected at most {most} labels for dtype {}, found {count}", self.dtype);
            return Err(OpError::Data(format!("{m}: choose a wider `dtype`")));
        }
        Ok(Value::State(Arc::new(joined)))
    }

    /// A bit and a quarter for each voxel, and the pairs: at most one for every 128 voxels and 16,384 more, each counted
    /// five times for what compressing takes. Blocks of 256 x 256 or of 64 x 64 x 64 of noise stay below that; finer ones
    /// may not, and are refused.
    fn state_bytes(&self, ports: &Ports) -> u64 {
        let volume = ports.meta(0).volume();
        KeySet::bytes_bound(volume).saturating_add(80 * limit(volume) as u64)
    }

    fn partial_bytes(&self, ports: &Ports, block: &Region) -> u64 {
        let most = block.volume().min(limit(ports.meta(0).volume()) as u64);
        block.volume().saturating_mul(12).saturating_add(80 * most).saturating_add(40 * PAIRS as u64)
    }

    fn nanos_per_element(&self) -> f32 {
        1.0
    }
}

fn scan<K: Element>(block: &Block, region: &Region, keys: &Keys, near: &[Neighbour], seen: &mut Seen, limit: usize) {
    if region.is_empty() {
        return;
    }
    let (given, strides, data) = (block.region().clone(), block.region().strides(), block.as_slice::<K>());
    let last = region.rank() - 1;
    let len = region.len(last) as usize;
    let position = |at: &[i64]| -> usize { (0..=last).map(|a| (at[a] - given.lo[a]) as usize * strides[a]).sum() };
    let mut found = Vec::new();
    for_rows(region, |at| {
        let from = position(at);
        let row = &data[from..from + len];
        keys.stretches(at, len, |offset, n, key| starts(&row[offset..offset + n], key, &mut found));
        let mut other = Index::from_slice(at);
        for n in near {
            (0..last).for_each(|a| other[a] = at[a] + n.step[a]);
            if !(0..last).all(|a| given.lo[a] <= other[a] && other[a] < given.hi[a]) {
                continue;
            }
            let same_row = n.step.iter().all(|&s| s == 0);
            let sides: &[i64] = if same_row {
                &[-1]
            } else if n.diagonal {
                &[-1, 0, 1]
            } else {
                &[0]
            };
            for &dx in sides {
                // Columns whose neighbour lies inside the block.
                let lo = (given.lo[last] - dx - at[last]).max(0) as usize;
                let hi = (given.hi[last] - dx - at[last]).clamp(0, len as i64) as usize;
                if lo < hi {
                    other[last] = at[last] + lo as i64 + dx;
                    let p = position(&other);
                    touching(&row[lo..hi], &data[p..p + hi - lo], &mut seen.pairs);
                }
            }
        }
        seen.compress(limit);
    });
    if !found.is_sorted() {
        found.sort_unstable();
    }
    seen.starts.insert_all(&found);
}

/// The keys of components that start in a stretch of voxels: those whose local label is one more than the voxel's key.
fn starts<K: Element>(row: &[K], key: u64, found: &mut Vec<u64>) {
    vectorize(
        #[inline(always)]
        || {
            let (chunks, rest) = row.as_chunks::<64>();
            let mut own = [K::default(); 64];
            for (c, chunk) in chunks.iter().enumerate() {
                let first = key + 64 * c as u64;
                for (i, own) in own.iter_mut().enumerate() {
                    *own = K::from_order_key(first + 1 + i as u64);
                }
                let mut word = flags(chunk, &own, |a, b| a == b);
                while word != 0 {
                    found.push(first + u64::from(word.trailing_zeros()));
                    word &= word - 1;
                }
            }
            let first = key + (row.len() - rest.len()) as u64;
            found.extend((first..).zip(rest).filter(|(k, v)| v.order_key() == k + 1).map(|(k, _)| k));
        },
    );
}

/// The pairs of different local labels of voxels that stand opposite.
fn touching<K: Element>(a: &[K], b: &[K], pairs: &mut Vec<(u64, u64)>) {
    let zero = K::default();
    let mut push = |x: K, y: K| {
        if x != y && x != zero && y != zero {
            let pair = (x.order_key() - 1, y.order_key() - 1);
            if pairs.last() != Some(&pair) {
                pairs.push(pair);
            }
        }
    };
    vectorize(
        #[inline(always)]
        || {
            let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<64>(), b.as_chunks::<64>());
            for (a, b) in a.iter().zip(b) {
                let mut any = false;
                for i in 0..64 {
                    any |= (a[i] != b[i]) & (a[i] != zero) & (b[i] != zero);
                }
                if any {
                    (0..64).for_each(|i| push(a[i], b[i]));
                }
            }
            a_rest.iter().zip(b_rest).for_each(|(x, y)| push(*x, *y));
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forest_points_at_the_smallest() {
        assert_eq!(forest(&[(9, 7), (7, 3), (20, 21), (9, 3)]), [(7, 3), (9, 3), (21, 20)]);
        assert_eq!(forest(&[]), []);
    }
}

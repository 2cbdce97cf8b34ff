//! `label.join`: the runs of every block, and the number of each component of the whole array.

use super::keys::{Keys, Numbering};
use super::part::Part;
use super::placed::Placed;
use super::runs::neighbours;
use ops_core::{Block, DType, Element, FinishCall, OpError, Ports, Reduce, ReduceCall, Region, Value, with_dtype};
use std::sync::Arc;

/// Bytes of parts that any array may take, however small its blocks.
const SLACK: u64 = 1 << 20;

/// Voxels of a row of a block.
const ROW: u64 = 128;

/// Finds the components of each block and joins those that touch across blocks.
#[derive(Debug, Clone)]
pub(crate) struct Join {
    pub(crate) connectivity: u64,
    pub(crate) numbering: Numbering,
    pub(crate) dtype: DType,
}

/// The blocks seen so far.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Seen {
    parts: Vec<Part>,
    bytes: u64,
    /// Bytes that the state may hold; beyond them nothing is kept but their number.
    limit: u64,
}

/// The joined components of an array.
#[derive(Debug)]
pub(crate) struct Joined {
    pub(super) parts: Placed,
    /// The number of each component of each part, one part after the other.
    pub(super) numbers: Vec<u32>,
}

/// The largest number an unsigned dtype holds.
pub(super) fn largest(dtype: DType) -> u64 {
    u64::MAX >> (64 - 8 * dtype.size() as u32)
}

impl Join {
    /// True when the order of components is not that in which their first runs are found.
    fn keyed(&self, ports: &Ports) -> bool {
        !Keys::new(&ports.meta(0).shape, &self.numbering).is_raster()
    }

    fn find<T: Element>(&self, call: &ReduceCall<'_>, block: &Block) -> Result<Part, OpError> {
        let (meta, region) = (call.ports.meta(0), call.region);
        let near = neighbours(meta.rank(), self.connectivity as usize);
        let keys = Keys::new(&meta.shape, &self.numbering);
        let keys = (!keys.is_raster()).then_some(&keys);
        Part::find((block.as_slice::<T>(), block.region()), region, &near, keys, call.pool).ok_or_else(|| {
            let m = format!("expected blocks of at most 2^32 runs of voxels, found {region}");
            OpError::Data(format!("{m}: use smaller blocks"))
        })
    }
}

impl Join {
    /// Accounts for one block; finishing takes `more` bytes for each component, and a bit.
    pub(super) fn see(&self, call: &ReduceCall<'_>, seen: &mut Seen, more: u64) -> Result<(), OpError> {
        if call.region.is_empty() {
            return Ok(());
        }
        let block = call.blocks[0];
        let part = with_dtype!(block.dtype(), T => self.find::<T>(call, block))?;
        let bytes = part.bytes() + part.count() as u64 * more + part.count().div_ceil(8) as u64;
        seen.take([part], bytes);
        Ok(())
    }
}

/// Bytes of the parts of an array of this metadata, when a run and its component take `each`; see
/// [`Reduce::state_bytes`] of [`Join`].
pub(super) fn state_bytes(meta: &ops_core::ArrayMeta, each: u64) -> u64 {
    let len = meta.shape.last().copied().unwrap_or(0);
    let (rows, pieces) = (meta.volume().checked_div(len).unwrap_or(0), len.div_ceil(ROW));
    let (words, runs) = (len.div_ceil(64) + pieces, len.div_ceil(2) + pieces);
    SLACK.saturating_add(rows.saturating_mul(8 * words + each * runs + 16 * pieces))
}

/// The least rows of a block, of which parts are small beside what they hold.
pub(super) fn granule(ports: &Ports) -> Option<Vec<u64>> {
    let mut extents = vec![1; ports.meta(0).rank()];
    *extents.last_mut()? = ROW;
    Some(extents)
}

impl Seen {
    /// No block yet; the state may hold so many bytes.
    pub(super) fn within(limit: u64) -> Seen {
        Seen { parts: Vec::new(), bytes: 0, limit }
    }

    /// The parts by their place.
    pub(super) fn placed(self, shape: &[u64]) -> Result<Placed, OpError> {
        if self.overflows() {
            let (found, limit) = (self.bytes, self.limit);
            let m = format!("expected runs and components of at most {limit} bytes, found {found} in small blocks");
            return Err(OpError::Data(format!("{m}: use larger blocks")));
        }
        Placed::new(shape, self.parts)
    }

    /// Adds the blocks that others have seen.
    pub(super) fn join(&mut self, other: Seen) {
        self.take(other.parts, other.bytes);
    }

    /// Adds parts and the bytes that they and finishing them take.
    fn take(&mut self, parts: impl IntoIterator<Item = Part>, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.overflows() {
            self.parts = Vec::new();
        } else {
            self.parts.extend(parts);
        }
    }

    fn overflows(&self) -> bool {
        self.bytes > self.limit
    }
}

impl Reduce for Join {
    type Partial = Seen;

    fn start(&self, ports: &Ports) -> Seen {
        Seen::within(self.state_bytes(ports))
    }

    fn add(&self, call: &ReduceCall<'_>, seen: &mut Seen) -> Result<(), OpError> {
        // What finishing takes for each component: its number, a bit, and for keys a second copy and their order.
        self.see(call, seen, if self.keyed(call.ports) { 16 } else { 4 })
    }

    fn merge(&self, into: &mut Seen, other: Seen) {
        into.join(other);
    }

    fn finish(&self, seen: Seen, call: &FinishCall<'_>) -> Result<Value, OpError> {
        let ports = call.ports;
        let mut parts = seen.placed(&ports.meta(0).shape)?;
        let mut numbers = parts.forest(self.connectivity as usize)?;
        let count = if self.keyed(ports) { by_key(&mut parts, &mut numbers) } else { by_row(&parts, &mut numbers) };
        let most = largest(self.dtype);
        if count > most {
            let m = format!("expected at most {most} labels for dtype {}, found {count}", self.dtype);
            return Err(OpError::Data(format!("{m}: choose a wider `dtype`")));
        }
        Ok(Value::State(Arc::new(Joined { parts, numbers })))
    }

    /// Rows of 128 voxels: a part takes some bytes however small it is.
    fn granule(&self, ports: &Ports) -> Option<Vec<u64>> {
        granule(ports)
    }

    /// For the worst of inputs, every second voxel a component, 4.8 bytes a voxel, and 15 where components
    /// are numbered by blocks. Rows of blocks of 128 voxels and more stay below that; shorter ones of a large array may
    /// not, and are refused.
    fn state_bytes(&self, ports: &Ports) -> u64 {
        state_bytes(ports.meta(0), if self.keyed(ports) { 4 + 8 + 17 } else { 4 + 5 })
    }

    fn partial_bytes(&self, ports: &Ports, block: &Region) -> u64 {
        Part::bytes_bound(block, self.keyed(ports))
    }

    fn nanos_per_element(&self) -> f32 {
        1.0
    }
}

/// Numbers components in the order of their first voxels; how many there are. Takes a flat forest.
fn by_row(parts: &Placed, numbers: &mut [u32]) -> u64 {
    let (mut count, mut known) = (0u32, vec![0u64; numbers.len().div_ceil(64)]);
    parts.each_row(|part, base, row| {
        for i in part.starting(row) {
            let i = (base + i) as usize;
            let bit = |i: usize| 1u64 << (i % 64);
            if known[i / 64] & bit(i) != 0 {
                continue;
            }
            // The first of its component where it joins none: its own root.
            let root = numbers[i] as usize;
            if known[root / 64] & bit(root) == 0 {
                count += 1;
                numbers[root] = count;
                known[root / 64] |= bit(root);
            }
            numbers[i] = numbers[root];
            known[i / 64] |= bit(i);
        }
    });
    u64::from(count)
}

/// Numbers components in the order of their smallest keys; how many there are. Takes a flat forest.
fn by_key(parts: &mut Placed, numbers: &mut [u32]) -> u64 {
    let mut keys = parts.take_keys();
    for (i, &root) in numbers.iter().enumerate() {
        keys[root as usize] = keys[root as usize].min(keys[i]);
    }
    let mut order: Vec<u32> = (0..).zip(&*numbers).filter(|(i, root)| i == *root).map(|(i, _)| i).collect();
    order.sort_unstable_by_key(|&i| keys[i as usize]);
    for (number, &root) in (1..).zip(&order) {
        keys[root as usize] = number;
    }
    numbers.iter_mut().for_each(|n| *n = keys[*n as usize] as u32);
    order.len() as u64
}

impl Joined {
    /// Writes the numbers of a region's voxels. `false` when a voxel lies in no part.
    pub(crate) fn paint<O: Element>(&self, region: &Region, out: &mut [O]) -> bool {
        let mut painted = 0;
        self.parts.touching(region, |part, base| {
            let numbers = &self.numbers[base as usize..base as usize + part.count()];
            painted += part.paint(region, numbers, out);
        });
        painted == region.volume()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ops_core::{ArrayMeta, Axes, Grid, Index, Pool};

    /// Rows of several words, cut at and beside their ends, and painted from where no block begins.
    #[test]
    fn wide_rows_are_joined_just_where_voxels_touch() {
        let meta = ArrayMeta::new(&[3, 5, 203], DType::UInt8, Axes::parse("zyx").unwrap());
        let (ports, pool, n) = (Ports::plain(std::slice::from_ref(&meta)), Pool::filled(0x81), 3 * 5 * 203);
        let mut state = 1u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) % below
        };
        for round in 0..24 {
            let connectivity = 1 + round % 3;
            let mask: Vec<u8> = (0..n).map(|_| u8::from(random(10) < [5, 3, 2][round % 3])).collect();
            let mask = Block::from_slice(meta.region(), &mask);
            let numbering = match round % 4 {
                3 => Numbering::Block(vec![1 + random(3), 1 + random(5), 1 + random(203)]),
                _ => Numbering::Raster,
            };
            let keys = Keys::new(&meta.shape, &numbering);
            let join = Join { connectivity: connectivity as u64, numbering, dtype: DType::UInt32 };
            let extents = [1 + random(3), 1 + random(5), [203, 64, 128, 63, 65, 1 + random(203)][round % 6]];
            let (grid, mut root) = (Grid::new(&meta.shape, &extents), join.start(&ports));
            for i in (0..grid.count()).rev() {
                let (region, mut seen) = (grid.region(i), join.start(&ports));
                let blocks = [&mask.cut(&pool, &region)];
                let call = ReduceCall { ports: &ports, region: &region, blocks: &blocks, values: &[], pool: &pool };
                join.add(&call, &mut seen).unwrap();
                join.merge(&mut root, seen);
            }
            let joined = join
                .finish(root, &FinishCall { ports: &ports, values: &[], warnings: &ops_core::Warnings::default() })
                .unwrap();
            let joined = joined.as_state::<Joined>().unwrap();
            let want = flooded(mask.as_slice(), connectivity, &keys);
            let mut whole = vec![7u32; n];
            assert!(joined.paint(&meta.region(), &mut whole));
            assert_eq!(whole, want, "connectivity {connectivity}, blocks {extents:?}");
            for _ in 0..20 {
                let lo: Index = meta.shape.iter().map(|&n| random(n) as i64).collect();
                let hi: Index =
                    (0..3).map(|a| lo[a] + 1 + random((meta.shape[a] as i64 - lo[a]) as u64) as i64).collect();
                let region = Region::new(lo, hi);
                let mut got = vec![7u32; region.volume() as usize];
                assert!(joined.paint(&region, &mut got));
                let want = Block::from_slice(meta.region(), &want).cut(&pool, &region);
                assert_eq!(got, want.as_slice::<u32>(), "{region} of blocks {extents:?}");
            }
        }
    }

    /// Blocks of one voxel take more than any state may hold. What is beyond it is dropped while blocks are merged,
    /// and refused at the end.
    #[test]
    fn blocks_too_small_are_refused_and_not_held() {
        let meta = ArrayMeta::new(&[64, 128], DType::UInt8, Axes::parse("yx").unwrap());
        let (ports, pool) = (Ports::plain(std::slice::from_ref(&meta)), Pool::default());
        let mask = Block::from_slice(meta.region(), &[1u8; 64 * 128]);
        let joined = |extents: [u64; 2], numbering: Numbering| {
            let join = Join { connectivity: 1, numbering, dtype: DType::UInt32 };
            let (grid, mut root) = (Grid::new(&meta.shape, &extents), join.start(&ports));
            for i in 0..grid.count() {
                let (region, mut seen) = (grid.region(i), join.start(&ports));
                let blocks = [&mask.cut(&pool, &region)];
                let call = ReduceCall { ports: &ports, region: &region, blocks: &blocks, values: &[], pool: &pool };
                join.add(&call, &mut seen).unwrap();
                join.merge(&mut root, seen);
                let held: u64 = root.parts.iter().map(Part::bytes).sum();
                assert!(held <= join.state_bytes(&ports), "{held} bytes after block {i}");
                assert!(!root.overflows() || root.parts.is_empty());
            }
            join.finish(root, &FinishCall { ports: &ports, values: &[], warnings: &ops_core::Warnings::default() })
        };
        for numbering in [Numbering::Raster, Numbering::Block(vec![3, 5])] {
            assert!(joined([8, 16], numbering.clone()).is_ok());
            let refused = joined([1, 1], numbering).unwrap_err().to_string();
            assert!(refused.contains("use larger blocks"), "{refused}");
        }
    }

    fn flooded(mask: &[u8], connectivity: usize, keys: &Keys) -> Vec<u32> {
        let at = |i: usize| [i / 1015, i / 203 % 5, i % 203];
        let (mut out, mut count) = (vec![0u32; mask.len()], 0);
        let mut order: Vec<usize> = (0..mask.len()).collect();
        order.sort_by_key(|&i| keys.of(&at(i).map(|x| x as i64)));
        for first in order {
            if mask[first] == 0 || out[first] != 0 {
                continue;
            }
            count += 1;
            out[first] = count;
            let mut open = vec![first];
            while let Some(i) = open.pop() {
                for j in (0..mask.len()).filter(|&j| mask[j] != 0) {
                    let far = at(i).iter().zip(at(j)).map(|(a, b)| a.abs_diff(b)).collect::<Vec<_>>();
                    let near = far.iter().all(|&d| d < 2) && far.iter().sum::<usize>() <= connectivity;
                    if near && out[j] == 0 {
                        out[j] = count;
                        open.push(j);
                    }
                }
            }
        }
        out
    }
}

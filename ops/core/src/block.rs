//! A piece of an array in memory.

use crate::pool::{Buf, Pool};
use crate::{DType, Element, Index, Region};
use smallvec::SmallVec;

/// The elements of one region, C order, contiguous.
pub struct Block {
    dtype: DType,
    region: Region,
    buf: Buf,
}

impl Block {
    /// The pool that its storage came from; `None` for what was adopted, or has none.
    pub fn pool(&self) -> Option<&Pool> {
        self.buf.pool()
    }

    /// A block from the pool; its content is unspecified, whoever makes it writes all of it.
    pub fn take(pool: &Pool, dtype: DType, region: Region) -> Block {
        let len = region.volume() as usize * dtype.size();
        Block { dtype, buf: pool.take_bytes(len), region }
    }

    /// A zeroed block outside any pool.
    pub fn zeros(dtype: DType, region: Region) -> Block {
        let len = region.volume() as usize * dtype.size();
        Block { dtype, buf: Buf::heap(len), region }
    }

    /// A block of elements, native order, that a decoder has allocated; they are not copied. `None` when there are not
    /// just as many bytes as the region has elements.
    pub fn adopt(dtype: DType, region: Region, bytes: Vec<u8>) -> Option<Block> {
        let whole = region.volume().checked_mul(dtype.size() as u64)? == bytes.len() as u64;
        whole.then(|| Block { dtype, region, buf: Buf::adopt(bytes) })
    }

    /// A block that holds a copy of `data`.
    ///
    /// # Panics
    /// When `data` has not just as many elements as the region.
    pub fn from_slice<T: Element>(region: Region, data: &[T]) -> Block {
        let mut b = Block::zeros(T::DTYPE, region);
        b.as_mut_slice::<T>().copy_from_slice(data);
        b
    }

    /// Type of the elements.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Where in its array the block lies.
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// The same elements said to be of another dtype of the same size, such as `bool` for `uint8`.
    ///
    /// # Panics
    /// When the sizes differ.
    pub fn relabelled(mut self, dtype: DType) -> Block {
        assert_eq!(dtype.size(), self.dtype.size(), "a block keeps its element size");
        self.dtype = dtype;
        self
    }

    /// The same elements said to lie elsewhere; the extents must be the same.
    pub fn moved(mut self, region: Region) -> Block {
        debug_assert_eq!(region.shape(), self.region.shape());
        self.region = region;
        self
    }

    /// The elements. `bool` is read as `u8`.
    ///
    /// # Panics
    /// When `T` does not store this block's dtype: a bug in an op, caught by the contract battery.
    pub fn as_slice<T: Element>(&self) -> &[T] {
        self.check::<T>();
        bytemuck::cast_slice(self.buf.bytes())
    }

    /// The elements, to be written. `bool` is written as `u8`, 0 or 1.
    ///
    /// # Panics
    /// As [`Block::as_slice`].
    pub fn as_mut_slice<T: Element>(&mut self) -> &mut [T] {
        self.check::<T>();
        bytemuck::cast_slice_mut(self.buf.bytes_mut())
    }

    /// The elements as bytes, native order.
    pub fn bytes(&self) -> &[u8] {
        self.buf.bytes()
    }

    /// The elements as bytes, to be written.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.buf.bytes_mut()
    }

    fn check<T: Element>(&self) {
        let ok = T::DTYPE == self.dtype || (T::DTYPE == DType::UInt8 && self.dtype == DType::Bool);
        assert!(ok, "block is {}, not {}", self.dtype, T::DTYPE);
    }

    /// Sets every element of the part that a region covers to one value, given as its bytes, native order.
    pub fn fill(&mut self, region: &Region, value: &[u8]) {
        let size = self.dtype.size();
        let part = self.region.intersect(region);
        if part.is_empty() || value.len() != size {
            return;
        }
        let same = value.iter().all(|b| *b == value[0]);
        let set = |bytes: &mut [u8]| match same {
            true => bytes.fill(value[0]),
            false => bytes.chunks_exact_mut(size).for_each(|v| v.copy_from_slice(value)),
        };
        let rank = part.rank();
        if part == self.region || rank == 0 {
            return set(self.buf.bytes_mut());
        }
        let (lo, steps) = (self.region.lo.clone(), self.region.strides());
        let row = part.len(rank - 1) as usize * size;
        let bytes = self.buf.bytes_mut();
        for_rows(&part, |at| {
            let start = (0..rank).map(|a| (at[a] - lo[a]) as usize * steps[a]).sum::<usize>() * size;
            set(&mut bytes[start..start + row]);
        });
    }

    /// Copies the part that both blocks cover from `src` into this one, in array coordinates.
    pub fn paste(&mut self, src: &Block) {
        debug_assert_eq!(self.dtype.size(), src.dtype.size());
        let common = self.region.intersect(&src.region);
        if common.is_empty() {
            return;
        }
        // Axes at the end that both blocks cover alike lie contiguous in both: they count as one element.
        let mut rank = common.rank();
        let mut size = self.dtype.size();
        while rank > 0 && self.covers_axis(src, rank - 1) {
            rank -= 1;
            size *= common.len(rank) as usize;
        }
        if rank == 0 {
            self.buf.bytes_mut()[..size].copy_from_slice(&src.buf.bytes()[..size]);
            return;
        }
        let row = common.len(rank - 1) as usize * size;
        let outer = |b: &Block| -> (Index, SmallVec<[usize; 6]>) {
            let mut steps: SmallVec<[usize; 6]> = SmallVec::from_elem(size, rank);
            for a in (0..rank - 1).rev() {
                steps[a] = steps[a + 1] * b.region.len(a + 1) as usize;
            }
            (SmallVec::from_slice(&b.region.lo[..rank]), steps)
        };
        let ((dst_lo, dst_step), (src_lo, src_step)) = (outer(self), outer(src));
        let at = |at: &[i64], lo: &[i64], step: &[usize]| -> usize {
            at.iter().zip(lo).zip(step).map(|((i, l), s)| (i - l) as usize * s).sum()
        };
        let leading =
            Region { lo: SmallVec::from_slice(&common.lo[..rank]), hi: SmallVec::from_slice(&common.hi[..rank]) };
        let (from, to) = (src.buf.bytes(), self.buf.bytes_mut());
        for_rows(&leading, |i| {
            let (d, s) = (at(i, &dst_lo, &dst_step), at(i, &src_lo, &src_step));
            to[d..d + row].copy_from_slice(&from[s..s + row]);
        });
    }

    /// True when both blocks have the same extent along an axis.
    fn covers_axis(&self, other: &Block, axis: usize) -> bool {
        (self.region.lo[axis], self.region.hi[axis]) == (other.region.lo[axis], other.region.hi[axis])
    }

    /// A copy of one part.
    pub fn cut(&self, pool: &Pool, region: &Region) -> Block {
        let mut b = Block::take(pool, self.dtype, region.clone());
        b.paste(self);
        b
    }
}

impl std::fmt::Debug for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Block({} {})", self.dtype, self.region)
    }
}

/// Calls `f` with the first coordinate of every row (a run along the last axis) of a region, in C order.
///
/// Becomes part of its caller, so that a kernel is compiled for the instruction set that the caller runs on.
#[inline(always)]
pub fn for_rows(region: &Region, mut f: impl FnMut(&[i64])) {
    if region.is_empty() {
        return;
    }
    let mut at = region.lo.clone();
    loop {
        f(&at);
        let mut axis = region.rank().saturating_sub(1);
        loop {
            if axis == 0 {
                return;
            }
            axis -= 1;
            at[axis] += 1;
            if at[axis] < region.hi[axis] {
                break;
            }
            at[axis] = region.lo[axis];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paste_moves_only_the_common_part() {
        let whole = Block::from_slice(Region::whole(&[4, 5]), &(0..20u8).collect::<Vec<_>>());
        let r = Region::new(crate::Index::from_slice(&[-1, 3]), crate::Index::from_slice(&[2, 7]));
        let mut b = Block::from_slice(r, &[99u8; 12]);
        b.paste(&whole);
        assert_eq!(b.as_slice::<u8>(), [99, 99, 99, 99, 3, 4, 99, 99, 8, 9, 99, 99]);
    }

    #[test]
    fn filling_sets_only_the_part() {
        let mut b = Block::from_slice(Region::whole(&[3, 4]), &[7u16; 12]);
        b.fill(&Region::new(Index::from_slice(&[1, 2]), Index::from_slice(&[9, 9])), &0x0102u16.to_ne_bytes());
        assert_eq!(b.as_slice::<u16>(), [7, 7, 7, 7, 7, 7, 258, 258, 7, 7, 258, 258]);
        b.fill(&Region::whole(&[5, 5]), &0x0101u16.to_ne_bytes());
        assert_eq!(b.as_slice::<u16>(), [257; 12]);
    }

    #[test]
    fn rows_of_three_axes_come_in_c_order() {
        let mut n = Vec::new();
        for_rows(&Region::whole(&[2, 2, 3]), |at| n.push((at[0], at[1], at[2])));
        assert_eq!(n, [(0, 0, 0), (0, 1, 0), (1, 0, 0), (1, 1, 0)]);
    }

    #[test]
    fn pasting_agrees_with_copying_element_by_element() {
        // Every box of a small array with channels into every other.
        let shape = [4u64, 3, 2];
        let whole = Block::from_slice(Region::whole(&shape), &(0..24u16).collect::<Vec<_>>());
        let pool = Pool::default();
        let spans = |n: i64| (0..n).flat_map(move |l| (l + 1..=n).map(move |h| (l, h)));
        for y in spans(4) {
            for x in spans(3) {
                for c in spans(2) {
                    let r = Region::new(Index::from_slice(&[y.0, x.0, c.0]), Index::from_slice(&[y.1, x.1, c.1]));
                    let part = whole.cut(&pool, &r);
                    let mut want = Vec::new();
                    for i in y.0..y.1 {
                        for j in x.0..x.1 {
                            (c.0..c.1).for_each(|k| want.push((i * 6 + j * 2 + k) as u16));
                        }
                    }
                    assert_eq!(part.as_slice::<u16>(), want);
                    let mut back = Block::from_slice(Region::whole(&shape), &[99u16; 24]);
                    back.paste(&part);
                    let changed = back.as_slice::<u16>().iter().filter(|v| **v != 99).count();
                    assert_eq!(changed as u64, r.volume());
                }
            }
        }
    }
}

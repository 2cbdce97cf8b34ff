//! From the elements of a block to the value of a key: a chunk, or a shard of chunks with its index.
//!
//! A chunk whose elements are contiguous in the block is encoded where it lies. One that is zero everywhere is the
//! fill value and has no value of its own.

use super::compress::ChunkCodec;
use super::layout::Layout;
use ops_core::block::for_rows;
use ops_core::{Block, Buf, Pool, Region};
use std::borrow::Cow;

/// Bytes that are looked at together for one that is not zero.
const LOOKED_AT: usize = 256;

/// Encodes the units of one array. Shared between threads.
pub(super) struct Encoder {
    layout: Layout,
    codec: ChunkCodec,
}

/// What encoding one unit after the other uses again.
#[derive(Default)]
pub(super) struct Scratch {
    chunk: Option<Block>,
    encoded: Option<Buf>,
}

impl Encoder {
    /// An encoder; its values are handed over where `owned`, rather than copied from buffers that are used again.
    pub(super) fn new(layout: Layout, owned: bool) -> Result<Encoder, String> {
        Ok(Encoder { codec: ChunkCodec::new(&layout, owned)?, layout })
    }

    /// The value of a unit that a block covers, but for what lies beyond the array; `None` where it is all fill value.
    pub(super) fn unit<'s>(
        &self,
        unit: &[i64],
        block: &'s Block,
        scratch: &'s mut Scratch,
    ) -> Result<Option<Cow<'s, [u8]>>, String> {
        match self.layout.shard {
            None => self.chunk(&self.layout.chunk_region(unit), block, scratch),
            Some(_) => Ok(self.shard(unit, block, scratch)?.map(Cow::Owned)),
        }
    }

    /// The chunks of a shard one after the other in C order, behind them the index: offset and length of each, 2^64-1
    /// for one that has no value, and the CRC-32C of all that.
    fn shard(&self, unit: &[i64], block: &Block, scratch: &mut Scratch) -> Result<Option<Vec<u8>>, String> {
        let chunks = self.layout.chunks(unit);
        let mut index = Vec::with_capacity(16 * chunks.volume() as usize + 4);
        // Room for chunks that nothing shrinks: what is not written to takes no memory, and what grows leaves gaps behind.
        let inside = self.layout.unit_region(unit).intersect(block.region());
        let most = inside.volume() as usize * block.dtype().size() + index.capacity();
        let mut out = Vec::with_capacity(most);
        let (last, mut number) = (chunks.rank() - 1, chunks.lo.clone());
        let mut failed = None;
        for_rows(&chunks, |row| {
            number.copy_from_slice(row);
            for along in chunks.lo[last]..chunks.hi[last] {
                number[last] = along;
                let value = match failed {
                    None => self.chunk(&self.layout.chunk_region(&number), block, scratch),
                    Some(_) => return,
                };
                let (offset, length) = match value {
                    Ok(None) => (u64::MAX, u64::MAX),
                    Ok(Some(bytes)) => {
                        let offset = out.len() as u64;
                        out.extend_from_slice(&bytes);
                        (offset, bytes.len() as u64)
                    }
                    Err(e) => {
                        failed = Some(e);
                        return;
                    }
                };
                index.extend_from_slice(&offset.to_le_bytes());
                index.extend_from_slice(&length.to_le_bytes());
            }
        });
        if let Some(e) = failed {
            return Err(e);
        }
        if out.is_empty() {
            return Ok(None);
        }
        let sum = crc32c::crc32c(&index);
        out.extend_from_slice(&index);
        out.extend_from_slice(&sum.to_le_bytes());
        Ok(Some(out))
    }

    fn chunk<'s>(
        &self,
        region: &Region,
        block: &'s Block,
        scratch: &'s mut Scratch,
    ) -> Result<Option<Cow<'s, [u8]>>, String> {
        let whole = self.layout.meta.region();
        if whole.intersect(region).is_empty() {
            return Ok(None);
        }
        let Scratch { chunk, encoded } = scratch;
        let elements = match contiguous(block, region) {
            Some(elements) => elements,
            None => {
                let kept = chunk.take().map(|b| b.moved(region.clone()));
                let mut copy = kept.unwrap_or_else(|| Block::take(&Pool::default(), block.dtype(), region.clone()));
                if !whole.contains(region) {
                    // Beyond the end of the array a chunk holds the fill value.
                    copy.bytes_mut().fill(0);
                }
                copy.paste(block);
                chunk.insert(copy).bytes()
            }
        };
        if is_zero(elements) {
            return Ok(None);
        }
        self.codec.encode(elements, block.pool(), encoded).map(Some)
    }
}

/// The elements of a region where a block holds them one after the other.
fn contiguous<'b>(block: &'b Block, region: &Region) -> Option<&'b [u8]> {
    let whole = block.region();
    if !whole.contains(region) {
        return None;
    }
    // In front of the last axis that is cut there may be but one row.
    let cut = (0..region.rank()).rev().find(|a| region.len(*a) != whole.len(*a)).unwrap_or(0);
    if (0..cut).any(|a| region.len(a) != 1) {
        return None;
    }
    let steps = whole.strides();
    let first: usize = (0..region.rank()).map(|a| (region.lo[a] - whole.lo[a]) as usize * steps[a]).sum();
    let size = block.dtype().size();
    block.bytes().get(first * size..(first + region.volume() as usize) * size)
}

/// True when no bit is set: `-0.0` is not the fill value.
fn is_zero(bytes: &[u8]) -> bool {
    bytes.chunks(LOOKED_AT).all(|part| part.iter().fold(0, |all, b| all | b) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ops_core::Index;

    #[test]
    fn contiguous_parts_are_those_that_lie_so() {
        let block = Block::from_slice(Region::whole(&[3, 4, 5]), &(0..60u16).collect::<Vec<_>>());
        let part = |lo: [i64; 3], hi: [i64; 3]| Region::new(Index::from_slice(&lo), Index::from_slice(&hi));
        let copy = |r: &Region| block.cut(&Pool::default(), r).bytes().to_vec();
        for lo in [[0, 0, 0], [1, 0, 0], [1, 2, 0], [1, 2, 3], [0, 2, 0]] {
            for hi in [[3, 4, 5], [2, 4, 5], [2, 3, 5], [2, 3, 4], [3, 3, 5]] {
                let r = part(lo, hi);
                if let Some(found) = contiguous(&block, &r) {
                    assert_eq!(found, copy(&r), "{r}");
                }
            }
        }
        for (r, is) in [
            (part([0, 0, 0], [3, 4, 5]), true),
            (part([1, 0, 0], [3, 4, 5]), true),
            (part([1, 1, 0], [2, 3, 5]), true),
            (part([2, 1, 2], [3, 2, 5]), true),
            (part([0, 1, 0], [2, 3, 5]), false),
            (part([0, 0, 1], [1, 2, 4]), false),
            (part([0, 0, 0], [3, 4, 6]), false),
        ] {
            assert_eq!(contiguous(&block, &r).is_some(), is, "{r}");
        }
    }

    #[test]
    fn only_positive_zero_is_the_fill_value() {
        assert!(is_zero(&[]) && is_zero(&[0; 1000]));
        assert!(!is_zero(&(-0.0f64).to_le_bytes()));
        for at in [0, 255, 256, 999] {
            let mut bytes = [0; 1000];
            bytes[at] = 1;
            assert!(!is_zero(&bytes));
        }
    }
}

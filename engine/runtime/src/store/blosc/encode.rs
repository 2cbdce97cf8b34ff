//! Writing Blosc: LZ4 or Zstandard, bytes or bits shuffled or not.

use super::{BIT_SHUFFLED, BloscError, HEADER, NOT_SPLIT, SHUFFLED, STORED, Shuffle, VERSION, shuffle, streams};
use lz4_flex::block::{compress_into, get_maximum_output_size};

/// Bytes of a block: it stays in a core's cache while it is shuffled and compressed.
const BLOCK: usize = 256 << 10;
/// The version of the format of a stream in the header: the first of LZ4 and of Zstandard.
const FORMAT: u8 = 1;

/// What compresses the streams of a buffer that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compressor {
    /// LZ4, in one way only: a stream for each byte of an element where bytes are shuffled.
    Lz4,
    /// Zstandard at its own level, a stream a block.
    Zstd(i32),
}

impl Compressor {
    /// Zstandard at a level of Blosc, 0 to 9.
    pub fn zstd(level: u8) -> Compressor {
        // As c-blosc has it.
        Compressor::Zstd(if level < 9 { (2 * i32::from(level) - 1).max(1) } else { 22 })
    }

    /// Its number in the upper bits of the flags.
    fn flag(self) -> u8 {
        match self {
            Compressor::Lz4 => 1 << 5,
            Compressor::Zstd(_) => 4 << 5,
        }
    }
}

/// A compressor at work: its tables are used for one stream after the other.
enum Packer {
    Lz4,
    Zstd(zstd::bulk::Compressor<'static>),
}

impl Packer {
    fn new(compressor: Compressor) -> Result<Packer, BloscError> {
        Ok(match compressor {
            Compressor::Lz4 => Packer::Lz4,
            Compressor::Zstd(level) => Packer::Zstd(zstd::bulk::Compressor::new(level).map_err(failed)?),
        })
    }

    /// Bytes that a block may become on the way.
    fn most(&self, block: usize) -> usize {
        match self {
            Packer::Lz4 => get_maximum_output_size(block),
            Packer::Zstd(_) => zstd::zstd_safe::compress_bound(block),
        }
    }

    /// Makes a stream shorter; `None` where it does not get shorter.
    fn pack<'p>(&mut self, stream: &[u8], packed: &'p mut [u8]) -> Result<Option<&'p [u8]>, BloscError> {
        let n = match self {
            Packer::Lz4 => compress_into(stream, packed).map_err(failed)?,
            Packer::Zstd(zstd) => zstd.compress_to_buffer(stream, packed).map_err(failed)?,
        };
        Ok((n < stream.len()).then(|| &packed[..n]))
    }
}

fn failed(e: impl std::fmt::Display) -> BloscError {
    BloscError::Failed(e.to_string())
}

/// Encodes bytes of elements of `element` bytes, shuffled where an element has more than one or by its bits.
///
/// The result depends on the arguments only; it is never longer than `src` and 16 bytes.
///
/// # Errors
/// When `src` has 2 GiB or more, which Blosc can't hold, `element` is 0 or greater than 255, or there is no memory for
/// the compressor.
pub fn encode(src: &[u8], element: usize, compressor: Compressor, shuffle: Shuffle) -> Result<Vec<u8>, BloscError> {
    let unsupported = |text: String| Err(BloscError::Unsupported(text));
    let Some(size) = u8::try_from(element).ok().filter(|e| *e > 0) else {
        return unsupported(format!("elements of {element} bytes, expected 1 to 255"));
    };
    if i32::try_from(src.len() + HEADER).is_err() {
        return unsupported(format!(
            "a chunk of {} bytes, Blosc holds less than 2 GiB; take smaller chunks",
            src.len()
        ));
    }
    // Of whole elements, unless there is less than one.
    let most = BLOCK.min(src.len()).max(1);
    let block = if most > element { most / element * element } else { most };
    let shuffled = match shuffle {
        Shuffle::Bytes if element > 1 => SHUFFLED,
        Shuffle::Bits => BIT_SHUFFLED,
        _ => 0,
    };
    let split = compressor == Compressor::Lz4 && shuffled == SHUFFLED;
    let flags = compressor.flag() | shuffled | if split { 0 } else { NOT_SPLIT };
    let mut out = header(flags, size, src.len(), block);
    let starts = out.len();
    out.resize(starts + 4 * src.len().div_ceil(block), 0);
    let mut scratch = vec![0; if shuffled == 0 { 0 } else { block }];
    let mut packer = Packer::new(compressor)?;
    let mut packed = vec![0; packer.most(block)];
    for (i, bytes) in src.chunks(block).enumerate() {
        let start = out.len();
        put(&mut out, starts + 4 * i, start);
        let bytes = if shuffled == 0 {
            bytes
        } else {
            let scratch = &mut scratch[..bytes.len()];
            match shuffled {
                SHUFFLED => shuffle::split_bytes(element, bytes, scratch),
                _ => shuffle::split_bits(element, bytes, scratch),
            }
            &*scratch
        };
        let n = streams(element, bytes.len(), split && bytes.len() == block);
        for stream in bytes.chunks_exact(bytes.len() / n) {
            // A stream that does not get shorter is stored; its length tells so.
            let packed = packer.pack(stream, &mut packed)?.unwrap_or(stream);
            let at = out.len();
            out.extend_from_slice(&[0; 4]);
            put(&mut out, at, packed.len());
            out.extend_from_slice(packed);
        }
        if out.len() >= src.len() + HEADER {
            return Ok(stored(compressor, src, size, block));
        }
    }
    let length = out.len();
    put(&mut out, 12, length);
    Ok(out)
}

/// The bytes as they are, which is what Blosc makes of those that do not get shorter.
fn stored(compressor: Compressor, src: &[u8], size: u8, block: usize) -> Vec<u8> {
    let mut out = header(compressor.flag() | STORED, size, src.len(), block);
    out.extend_from_slice(src);
    let length = out.len();
    put(&mut out, 12, length);
    out
}

fn header(flags: u8, size: u8, decoded: usize, block: usize) -> Vec<u8> {
    let mut out = vec![VERSION, FORMAT, flags, size];
    out.resize(HEADER, 0);
    put(&mut out, 4, decoded);
    put(&mut out, 8, block);
    out
}

/// Writes a number below 2^31 over the four bytes at `at`; the caller has checked the range.
fn put(out: &mut [u8], at: usize, number: usize) {
    out[at..at + 4].copy_from_slice(&(number as u32).to_le_bytes());
}

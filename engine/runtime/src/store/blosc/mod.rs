//! Blosc, the container in which most Zarr stores keep their chunks, without C++.
//!
//! `zarrs` links c-blosc with Snappy, which is C++. This reads every Blosc 1 buffer: all inner compressors, bytes or
//! bits shuffled, split or not. It writes LZ4 and Zstandard. `codec.rs` makes it the codec `blosc` of Zarr v2 and v3.
//!
//! Source: `README_CHUNK_FORMAT.rst` of c-blosc. A buffer is a header of 16 bytes, the offset of every block, and the
//! blocks; a block is one stream, or one for each byte of an element.

mod codec;
mod encode;
mod lz;
mod shuffle;

pub(crate) use codec::BloscCodec;
pub use encode::{Compressor, encode};

use flate2::{Decompress, FlushDecompress, Status};
use thiserror::Error;

/// Bytes of the header.
const HEADER: usize = 16;
/// The version of the format; later ones are Blosc 2.
const VERSION: u8 = 2;
/// Elements of more bytes are not split into streams.
const MAX_SPLITS: usize = 16;
/// Streams of fewer bytes are not worth splitting.
const MIN_STREAM: usize = 128;

const SHUFFLED: u8 = 0x01;
const STORED: u8 = 0x02;
const BIT_SHUFFLED: u8 = 0x04;
const RESERVED: u8 = 0x08;
const NOT_SPLIT: u8 = 0x10;

/// Why a buffer can't be decoded or encoded.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BloscError {
    /// The buffer contradicts itself or ends early.
    #[error("the Blosc buffer is damaged: {0}")]
    Damaged(String),
    /// It is of a kind that is not read, or asks for what is not written.
    #[error("{0}")]
    Unsupported(String),
    /// The compressor gave up.
    #[error("compressing failed: {0}")]
    Failed(String),
}

/// How elements are rearranged before they are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shuffle {
    /// Not at all.
    None,
    /// First bytes of all elements, then second bytes, and so on.
    Bytes,
    /// The same with bits.
    Bits,
}

/// What compressed the streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inner {
    BloscLz,
    Lz4,
    Snappy,
    Zlib,
    Zstd,
}

/// The header of a buffer, checked.
struct Header {
    inner: Inner,
    shuffle: Shuffle,
    stored: bool,
    split: bool,
    element: usize,
    decoded: usize,
    block: usize,
}

impl Header {
    fn read(src: &[u8]) -> Result<Header, BloscError> {
        let Some(head) = src.get(..HEADER) else {
            return Err(damaged(format!("{} bytes, expected a header of {HEADER}", src.len())));
        };
        if head[0] != VERSION || head[2] & RESERVED != 0 {
            let text = format!("a Blosc buffer of version {}, expected version {VERSION}", head[0]);
            return Err(BloscError::Unsupported(text));
        }
        let inner = match head[2] >> 5 {
            0 => Inner::BloscLz,
            1 => Inner::Lz4,
            2 => Inner::Snappy,
            3 => Inner::Zlib,
            4 => Inner::Zstd,
            n => return Err(BloscError::Unsupported(format!("a Blosc buffer with compressor {n}, expected 0 to 4"))),
        };
        let word = |at| number(src, at).ok_or_else(|| damaged("a size in the header is negative".into()));
        let (decoded, block, encoded) = (word(4)?, word(8)?, word(12)?);
        if encoded > src.len() || encoded < HEADER {
            return Err(damaged(format!("{} bytes, expected {encoded} by its header", src.len())));
        }
        let element = usize::from(head[3]);
        if decoded > 0 && (block == 0 || element == 0) {
            return Err(damaged(format!("blocks of {block} bytes, elements of {element}")));
        }
        let shuffle = match head[2] {
            f if f & SHUFFLED != 0 && element > 1 => Shuffle::Bytes,
            f if f & BIT_SHUFFLED != 0 => Shuffle::Bits,
            _ => Shuffle::None,
        };
        let (stored, split) = (head[2] & STORED != 0, head[2] & NOT_SPLIT == 0);
        Ok(Header { inner, shuffle, stored, split, element, decoded, block })
    }
}

/// How many streams a block is divided into; the last block, when it is a short one, is never divided.
fn streams(element: usize, block: usize, whole: bool) -> usize {
    if whole && element <= MAX_SPLITS && block / element >= MIN_STREAM { element } else { 1 }
}

/// Decodes a buffer that holds at most `limit` bytes.
///
/// # Errors
/// When the buffer is damaged, of Blosc 2, or holds more than `limit`, which is told before memory is taken.
pub fn decode(src: &[u8], limit: usize) -> Result<Vec<u8>, BloscError> {
    let head = Header::read(src)?;
    if head.decoded > limit {
        return Err(damaged(format!("it holds {} bytes, expected at most {limit}", head.decoded)));
    }
    let mut decoded = vec![0; head.decoded];
    fill(&head, src, &mut decoded)?;
    Ok(decoded)
}

/// Decodes a buffer that holds just as many bytes as `out`.
///
/// # Errors
/// As [`decode`], and when it holds another number of bytes.
pub fn decode_into(src: &[u8], out: &mut [u8]) -> Result<(), BloscError> {
    let head = Header::read(src)?;
    if head.decoded != out.len() {
        return Err(damaged(format!("it holds {} bytes, expected {}", head.decoded, out.len())));
    }
    fill(&head, src, out)
}

/// Decodes what follows a header.
fn fill(head: &Header, src: &[u8], decoded: &mut [u8]) -> Result<(), BloscError> {
    if head.decoded == 0 {
        return Ok(());
    }
    if head.stored {
        let bytes = src.get(HEADER..HEADER + head.decoded);
        decoded.copy_from_slice(bytes.ok_or_else(|| damaged("its stored bytes end early".into()))?);
        return Ok(());
    }
    let blocks = head.decoded.div_ceil(head.block);
    if blocks > (src.len() - HEADER) / 4 {
        return Err(damaged(format!("{} bytes are too few for {blocks} blocks", src.len())));
    }
    let mut scratch = vec![0; if head.shuffle == Shuffle::None { 0 } else { head.block.min(head.decoded) }];
    for (i, out) in decoded.chunks_mut(head.block).enumerate() {
        let start = number(src, HEADER + 4 * i).ok_or_else(|| damaged(format!("block {i} has no start")))?;
        let block = |out: &mut [u8]| decode_block(head, src, start, out).map_err(|text| damaged_block(i, &text));
        match head.shuffle {
            Shuffle::None => block(out)?,
            Shuffle::Bytes => {
                let shuffled = &mut scratch[..out.len()];
                block(shuffled)?;
                shuffle::join_bytes(head.element, shuffled, out);
            }
            Shuffle::Bits => {
                let shuffled = &mut scratch[..out.len()];
                block(shuffled)?;
                shuffle::join_bits(head.element, shuffled, out);
            }
        }
    }
    Ok(())
}

/// Decodes the streams of the block that starts at `at`.
fn decode_block(head: &Header, src: &[u8], mut at: usize, out: &mut [u8]) -> Result<(), String> {
    let n = streams(head.element, out.len(), head.split && out.len() == head.block);
    if !out.len().is_multiple_of(n) {
        return Err(format!("{} bytes, expected a multiple of its {n} streams", out.len()));
    }
    let length = out.len() / n;
    for stream in out.chunks_exact_mut(length) {
        let encoded = number(src, at).ok_or("the length of a stream is missing or negative")?;
        let bytes = src.get(at + 4..).and_then(|rest| rest.get(..encoded)).ok_or("a stream ends early")?;
        at += 4 + encoded;
        if encoded == length {
            stream.copy_from_slice(bytes);
            continue;
        }
        let found = inflate(head.inner, bytes, stream)?;
        if found != length {
            return Err(format!("a stream holds {found} bytes, expected {length}"));
        }
    }
    Ok(())
}

/// Decompresses one stream and tells its length.
fn inflate(inner: Inner, src: &[u8], out: &mut [u8]) -> Result<usize, String> {
    match inner {
        Inner::BloscLz => lz::decode(src, out).ok_or_else(|| "a BloscLZ stream is damaged".into()),
        Inner::Lz4 => lz4_flex::block::decompress_into(src, out).map_err(|e| format!("LZ4: {e}")),
        Inner::Snappy => snap::raw::Decoder::new().decompress(src, out).map_err(|e| e.to_string()),
        Inner::Zlib => {
            let mut state = Decompress::new(true);
            match state.decompress(src, out, FlushDecompress::Finish).map_err(|e| format!("zlib: {e}"))? {
                Status::StreamEnd => usize::try_from(state.total_out()).map_err(|e| e.to_string()),
                _ => Err("a zlib stream does not end".into()),
            }
        }
        Inner::Zstd => zstd::bulk::decompress_to_buffer(src, out).map_err(|e| format!("Zstandard: {e}")),
    }
}

/// The little-endian signed number of four bytes at `at`; `None` when it is cut or negative.
fn number(src: &[u8], at: usize) -> Option<usize> {
    let bytes = src.get(at..at.checked_add(4)?)?;
    usize::try_from(i32::from_le_bytes(bytes.try_into().ok()?)).ok()
}

fn damaged(text: String) -> BloscError {
    BloscError::Damaged(text)
}

fn damaged_block(block: usize, text: &str) -> BloscError {
    damaged(format!("block {block}: {text}"))
}

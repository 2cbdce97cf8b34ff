//! Writing Blosc: LZ4, bytes shuffled or not.

use super::{BloscError, HEADER, NOT_SPLIT, SHUFFLED, STORED, VERSION, shuffle, streams};
use lz4_flex::block::{compress_into, get_maximum_output_size};

/// Bytes of a block: it stays in a core's cache while it is shuffled and compressed.
const BLOCK: usize = 256 << 10;
/// The version of the LZ4 block format in the header.
const LZ4_VERSION: u8 = 1;
/// The inner compressor in the upper bits of the flags.
const LZ4: u8 = 1 << 5;

/// Encodes bytes of elements of `element` bytes with LZ4, shuffled by bytes where an element has several.
///
/// The result depends on the arguments only; it is never longer than `src` and 16 bytes.
///
/// # Errors
/// When `src` has 2 GiB or more, which Blosc can't hold, or `element` is 0 or greater than 255.
pub fn encode_lz4(src: &[u8], element: usize) -> Result<Vec<u8>, BloscError> {
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
    let shuffled = element > 1;
    let mut out = header(VERSION, LZ4 | if shuffled { SHUFFLED } else { NOT_SPLIT }, size, src.len(), block);
    let starts = out.len();
    out.resize(starts + 4 * src.len().div_ceil(block), 0);
    let mut scratch = vec![0; if shuffled { block } else { 0 }];
    let mut packed = vec![0; get_maximum_output_size(block)];
    for (i, bytes) in src.chunks(block).enumerate() {
        let start = out.len();
        put(&mut out, starts + 4 * i, start);
        let bytes = if shuffled {
            let scratch = &mut scratch[..bytes.len()];
            shuffle::split_bytes(element, bytes, scratch);
            &*scratch
        } else {
            bytes
        };
        let n = streams(element, bytes.len(), shuffled && bytes.len() == block);
        for stream in bytes.chunks_exact(bytes.len() / n) {
            // A stream that does not get shorter is stored; its length tells so.
            let packed = match compress_into(stream, &mut packed) {
                Ok(n) if n < stream.len() => &packed[..n],
                _ => stream,
            };
            let at = out.len();
            out.extend_from_slice(&[0; 4]);
            put(&mut out, at, packed.len());
            out.extend_from_slice(packed);
        }
        if out.len() >= src.len() + HEADER {
            return Ok(stored(src, size, block));
        }
    }
    let length = out.len();
    put(&mut out, 12, length);
    Ok(out)
}

/// The bytes as they are, which is what Blosc makes of those that do not get shorter.
fn stored(src: &[u8], size: u8, block: usize) -> Vec<u8> {
    let mut out = header(VERSION, LZ4 | STORED, size, src.len(), block);
    out.extend_from_slice(src);
    let length = out.len();
    put(&mut out, 12, length);
    out
}

fn header(version: u8, flags: u8, size: u8, decoded: usize, block: usize) -> Vec<u8> {
    let mut out = vec![version, LZ4_VERSION, flags, size];
    out.resize(HEADER, 0);
    put(&mut out, 4, decoded);
    put(&mut out, 8, block);
    out
}

/// Writes a number below 2^31 over the four bytes at `at`; the caller has checked the range.
fn put(out: &mut [u8], at: usize, number: usize) {
    out[at..at + 4].copy_from_slice(&(number as u32).to_le_bytes());
}

//! From the bytes of a key to elements.
//!
//! `zarrs` runs the codecs, on the thread that asks. The outermost compressor is ours where it is LZ4 in the framing
//! of numcodecs, which `zarrs` has not, or DEFLATE, whose decoder there knows no limit: what a damaged chunk claims to
//! expand to is bounded before memory is taken for it.

use super::direct::Direct;
use ops_core::DType;
use serde_json::{Map, Value as Json};
use std::borrow::Cow;
use std::io::Read;
use std::num::NonZeroU64;
use std::sync::Arc;
use zarrs::array::{ArrayToBytesCodecTraits, CodecChain, CodecOptions, DataType, FillValue};

/// A compressor that is undone here, before the other codecs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outer {
    Lz4,
    Gzip,
    Zlib,
}

/// Decodes chunks of one array.
pub(super) struct Decoder {
    chain: Arc<CodecChain>,
    outer: Option<Outer>,
    shape: Vec<NonZeroU64>,
    types: (DataType, FillValue),
    options: CodecOptions,
    dtype: DType,
    bytes: usize,
    direct: Option<Direct>,
}

impl Outer {
    fn of(codec: &Json) -> Option<Outer> {
        let name = codec.get("id").or_else(|| codec.get("name")).unwrap_or(codec).as_str()?;
        match name {
            "lz4" | "numcodecs.lz4" => Some(Outer::Lz4),
            "gzip" | "numcodecs.gzip" => Some(Outer::Gzip),
            "zlib" | "numcodecs.zlib" => Some(Outer::Zlib),
            _ => None,
        }
    }
}

impl Decoder {
    /// Takes the outermost compressor out of an array's metadata when it is undone here.
    pub(super) fn take_outer(version: u8, json: &mut Map<String, Json>) -> Option<Outer> {
        if version == 2 {
            let outer = Outer::of(json.get("compressor")?)?;
            json.insert("compressor".into(), Json::Null);
            return Some(outer);
        }
        let codecs = json.get_mut("codecs")?.as_array_mut()?;
        // A shard is compressed as a whole by what follows it; then it is one chunk.
        let outer = Outer::of(codecs.last()?)?;
        codecs.pop();
        Some(outer)
    }

    pub(super) fn new(
        chain: Arc<CodecChain>,
        outer: Option<Outer>,
        shape: Vec<NonZeroU64>,
        types: (DataType, FillValue),
        dtype: DType,
        bytes: usize,
    ) -> Decoder {
        let direct = if outer.is_none() { Direct::of(&chain, &types.0, &types.1) } else { None };
        let options = CodecOptions::default().with_concurrent_target(1);
        Decoder { chain, outer, shape, types, options, dtype, bytes, direct }
    }

    /// Bytes of a decoded chunk.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How chunks are decoded right into their place; `None` where that takes more than one step.
    pub(super) fn direct(&self) -> Option<Direct> {
        self.direct
    }

    /// True where a chunk is stored as it is in memory.
    pub(super) fn plain(&self) -> bool {
        self.direct == Some(Direct::Plain)
    }

    /// The most bytes an encoded chunk is read for: more than any codec makes of noise.
    pub(super) fn most_encoded(&self) -> u64 {
        2 * self.bytes as u64 + (1 << 20)
    }

    /// The elements of a chunk, native order; what is wrong with it otherwise.
    pub(super) fn decode(&self, encoded: &[u8]) -> Result<Vec<u8>, String> {
        let encoded = match self.outer {
            None => Cow::Borrowed(encoded),
            Some(outer) => Cow::Owned(self.undo(outer, encoded)?),
        };
        self.check_claim(&encoded)?;
        let (data_type, fill) = &self.types;
        let decoded = self.chain.decode(encoded, &self.shape, data_type, fill, &self.options);
        let decoded = decoded.map_err(|e| e.to_string())?;
        let bytes = decoded.into_fixed().map_err(|e| e.to_string())?.into_owned();
        self.check(bytes)
    }

    /// Refuses elements that are not as many as a chunk has, or no truth values.
    pub(super) fn check(&self, mut bytes: Vec<u8>) -> Result<Vec<u8>, String> {
        if bytes.len() != self.bytes {
            return Err(format!("it holds {} bytes, expected {}", bytes.len(), self.bytes));
        }
        self.check_values(&bytes)?;
        if bytes.capacity() > bytes.len() + bytes.len() / 8 + 64 {
            bytes.shrink_to_fit();
        }
        Ok(bytes)
    }

    /// Refuses a chunk whose header says that it expands to far more than a chunk can have.
    pub(super) fn check_claim(&self, encoded: &[u8]) -> Result<(), String> {
        match claimed(encoded, &self.chain).filter(|c| *c > self.most_encoded()) {
            Some(claimed) => Err(format!("it claims to hold {claimed} bytes, expected {}: damaged", self.bytes)),
            None => Ok(()),
        }
    }

    /// Refuses elements that are no truth values.
    pub(super) fn check_values(&self, bytes: &[u8]) -> Result<(), String> {
        if self.dtype != DType::Bool || bytes.iter().fold(0, |all, v| all | v) < 2 {
            return Ok(());
        }
        let v = bytes.iter().find(|v| **v > 1).copied().unwrap_or_default();
        Err(format!("it holds the byte {v} where a bool is 0 or 1"))
    }

    fn undo(&self, outer: Outer, encoded: &[u8]) -> Result<Vec<u8>, String> {
        // Codecs inside may have made the elements a little larger.
        let most = self.most_encoded();
        if outer == Outer::Lz4 {
            let Some((size, block)) = encoded.split_first_chunk::<4>() else {
                return Err("an LZ4 block of fewer than 4 bytes: truncated".into());
            };
            let size = u64::from(u32::from_le_bytes(*size));
            if size > most {
                return Err(format!("it claims to hold {size} bytes, expected {}: damaged", self.bytes));
            }
            return lz4_flex::block::decompress(block, size as usize).map_err(|e| format!("LZ4: {e}"));
        }
        let mut out = Vec::with_capacity(self.bytes);
        let read = match outer {
            Outer::Zlib => flate2::read::ZlibDecoder::new(encoded).take(most + 1).read_to_end(&mut out),
            _ => flate2::read::MultiGzDecoder::new(encoded).take(most + 1).read_to_end(&mut out),
        };
        match read {
            Err(e) => Err(format!("DEFLATE: {e}")),
            Ok(n) if n as u64 > most => Err(format!("it expands to more than {most} bytes, expected {}", self.bytes)),
            Ok(_) => Ok(out),
        }
    }
}

/// What the header of a compressed chunk says it expands to, for the codecs that allocate as much as that.
fn claimed(encoded: &[u8], chain: &CodecChain) -> Option<u64> {
    use crate::store::blosc::BloscCodec;
    use zarrs::array::codec::ZstdCodec;
    let outermost = chain.bytes_to_bytes_codecs().last()?;
    if outermost.as_any().is::<BloscCodec>() {
        return encoded.get(4..8).map(|n| u64::from(u32::from_le_bytes([n[0], n[1], n[2], n[3]])));
    }
    if outermost.as_any().is::<ZstdCodec>() {
        return zstd_claims(encoded);
    }
    None
}

/// The content size in the header of a Zstandard frame (RFC 8878, section 3.1.1.1).
fn zstd_claims(frame: &[u8]) -> Option<u64> {
    let rest = frame.strip_prefix(&[0x28, 0xb5, 0x2f, 0xfd])?;
    let (descriptor, rest) = rest.split_first()?;
    let single = descriptor & 0x20 != 0;
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let size = match (descriptor >> 6, single) {
        (0, false) => return None,
        (0, true) => 1,
        (1, _) => 2,
        (2, _) => 4,
        _ => 8,
    };
    let at = usize::from(!single) + dictionary;
    let mut bytes = [0; 8];
    bytes[..size].copy_from_slice(rest.get(at..at + size)?);
    let n = u64::from_le_bytes(bytes);
    Some(if size == 2 { n + 256 } else { n })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_in_a_zstd_header() {
        // Headers as `zstd -l` of 1.5 tells them: 100 bytes (single segment), 100 000 and 5 000 000 000 bytes.
        assert_eq!(zstd_claims(&[0x28, 0xb5, 0x2f, 0xfd, 0x20, 100, 0]), Some(100));
        assert_eq!(zstd_claims(&[0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0xa0, 0x86, 0x01, 0x00]), Some(100_000));
        let long = [0x28, 0xb5, 0x2f, 0xfd, 0xc0, 0x88, 0x00, 0xf2, 0x05, 0x2a, 0x01, 0, 0, 0];
        assert_eq!(zstd_claims(&long), Some(5_000_000_000));
        assert_eq!(zstd_claims(&[0x28, 0xb5, 0x2f, 0xfd, 0x60, 0x00, 0x01]), Some(512));
        assert_eq!(zstd_claims(&[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58]), None);
        assert_eq!(zstd_claims(&[0x28, 0xb5]), None);
    }
}

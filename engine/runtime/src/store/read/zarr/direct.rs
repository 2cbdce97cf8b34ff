//! Chunks that are decoded right into their place, without a buffer in between: elements one after another as they lie in
//! memory, and at most one compressor that can fill what it is given.

use crate::store::blosc::{self, BloscCodec};
use std::borrow::Cow;
use std::cell::RefCell;
use std::num::NonZeroU64;
use zarrs::array::codec::{BytesCodec, ZstdCodec};
use zarrs::array::{CodecChain, CodecOptions, DataType, FillValue};

/// What undoes the one compressor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direct {
    Plain,
    Zstd,
    Blosc,
}

thread_local! {
    /// A decompressor has tables that are worth keeping.
    static ZSTD: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
}

impl Direct {
    /// How chunks of a chain of codecs are decoded in place; `None` when the chain asks for more.
    pub(super) fn of(chain: &CodecChain, data_type: &DataType, fill: &FillValue) -> Option<Direct> {
        if !chain.array_to_array_codecs().is_empty() || !native(chain, data_type, fill) {
            return None;
        }
        match chain.bytes_to_bytes_codecs() {
            [] => Some(Direct::Plain),
            [one] if one.as_any().is::<ZstdCodec>() => Some(Direct::Zstd),
            [one] if one.as_any().is::<BloscCodec>() => Some(Direct::Blosc),
            _ => None,
        }
    }

    /// Decodes a chunk; what is wrong with it otherwise.
    pub(super) fn fill(self, encoded: &[u8], out: &mut [u8]) -> Result<(), String> {
        let expected = out.len();
        let holds = |n: usize| format!("it holds {n} bytes, expected {expected}");
        match self {
            Direct::Plain if encoded.len() != expected => Err(holds(encoded.len())),
            Direct::Plain => {
                out.copy_from_slice(encoded);
                Ok(())
            }
            Direct::Blosc => blosc::decode_into(encoded, out).map_err(|e| e.to_string()),
            Direct::Zstd => ZSTD.with_borrow_mut(|kept| {
                let failed = |e: std::io::Error| format!("Zstandard: {e}");
                let decompressor = match kept {
                    Some(d) => d,
                    None => kept.insert(zstd::bulk::Decompressor::new().map_err(failed)?),
                };
                match decompressor.decompress_to_buffer(encoded, out).map_err(failed)? {
                    n if n == expected => Ok(()),
                    n => Err(holds(n)),
                }
            }),
        }
    }
}

/// True where the only codec between elements and bytes leaves them as they lie in memory: told by two elements.
fn native(chain: &CodecChain, data_type: &DataType, fill: &FillValue) -> bool {
    let codec = chain.array_to_bytes_codec();
    let bytes: Vec<u8> = (0..fill.size() as u8).collect();
    let (Some(one), true) = (NonZeroU64::new(1), codec.as_any().is::<BytesCodec>()) else { return false };
    // Any bytes make elements of every dtype that is read here, but for `bool`, whose one byte has no order.
    if bytes.len() == 1 {
        return true;
    }
    let options = CodecOptions::default();
    let decoded = codec.decode(Cow::Borrowed(&bytes), &[one], data_type, fill, &options);
    decoded.ok().and_then(|d| d.into_fixed().ok()).is_some_and(|d| *d == *bytes)
}

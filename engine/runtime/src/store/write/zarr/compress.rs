//! From the elements of a chunk to its bytes in the store.
//!
//! Codecs that most stores have are called directly; the others are run by `zarrs`, as the metadata that we write says.

use super::layout::Layout;
use super::{metadata, zstandard};
use crate::store::blosc;
use engine_model::spec::codec::{Checksum, Compressor, Shuffle, ZarrCodec};
use flate2::{Compression, GzBuilder};
use ops_core::{Buf, Pool};
use std::borrow::Cow;
use std::io::Write;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, PoisonError};
use zarrs::array::{Array, ArrayBytes, ArrayMetadata, ArrayToBytesCodecTraits, CodecOptions};

/// Encodes chunks of one array. Shared between threads.
pub(super) struct ChunkCodec {
    codec: ZarrCodec,
    /// Bytes of an element.
    element: usize,
    /// Values are handed over, rather than copied from buffers that are used again.
    owned: bool,
    /// Compressors that no thread uses at the moment.
    zstd: Mutex<Vec<zstd::bulk::Compressor<'static>>>,
    library: Option<Library>,
}

/// The codecs of an array as `zarrs` runs them.
struct Library {
    array: Array<()>,
    shape: Vec<NonZeroU64>,
    options: CodecOptions,
}

impl ChunkCodec {
    /// The codec of a layout; what is wrong with it otherwise.
    pub(super) fn new(layout: &Layout, owned: bool) -> Result<ChunkCodec, String> {
        let codec = layout.codec;
        let library = match codec.name {
            Compressor::Zlib | Compressor::Bz2 | Compressor::Pcodec => Some(Library::new(layout)?),
            _ => None,
        };
        Ok(ChunkCodec { codec, element: layout.dtype().size(), owned, zstd: Mutex::default(), library })
    }

    /// The bytes of a chunk of elements, native order; in `buffer`, which is kept, where they need not be handed over.
    pub(super) fn encode<'e>(
        &self,
        elements: &'e [u8],
        pool: Option<&Pool>,
        buffer: &'e mut Option<Buf>,
    ) -> Result<Cow<'e, [u8]>, String> {
        if let Some(library) = &self.library {
            // With the checksum, as the metadata has it.
            return library.encode(elements);
        }
        let elements = little(elements, self.element);
        let encoded = match self.codec.name {
            Compressor::BloscLz4 => self.blosc(&elements, blosc::Compressor::Lz4)?,
            Compressor::BloscZstd => self.blosc(&elements, blosc::Compressor::zstd(self.codec.level()))?,
            Compressor::Zstd => self.zstd(&elements, pool, buffer).map_err(|e| e.to_string())?,
            Compressor::Gzip => {
                let out = Vec::with_capacity(elements.len() / 2 + 64);
                let level = Compression::new(self.codec.level().into());
                let mut gzip = GzBuilder::new().mtime(0).write(out, level);
                gzip.write_all(&elements).and_then(|()| gzip.finish()).map(Cow::Owned).map_err(|e| e.to_string())?
            }
            Compressor::None | Compressor::Zlib | Compressor::Bz2 | Compressor::Pcodec => elements,
        };
        Ok(match self.codec.checksum {
            Some(Checksum::Crc32c) => Cow::Owned(sealed(&encoded)),
            None => encoded,
        })
    }

    fn blosc<'e>(&self, elements: &[u8], compressor: blosc::Compressor) -> Result<Cow<'e, [u8]>, String> {
        let shuffle = match self.codec.shuffle.unwrap_or_default() {
            Shuffle::NoShuffle => blosc::Shuffle::None,
            Shuffle::Shuffle => blosc::Shuffle::Bytes,
            Shuffle::BitShuffle => blosc::Shuffle::Bits,
        };
        blosc::encode(elements, self.element, compressor, shuffle).map(Cow::Owned).map_err(|e| e.to_string())
    }

    fn zstd<'e>(
        &self,
        elements: &[u8],
        pool: Option<&Pool>,
        buffer: &'e mut Option<Buf>,
    ) -> std::io::Result<Cow<'e, [u8]>> {
        let idle = self.zstd.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut compressor = match idle {
            Some(compressor) => compressor,
            None => zstandard::compressor(self.element, self.codec.level)?,
        };
        let encoded = match pool.filter(|_| !self.owned) {
            None => Cow::Owned(compressor.compress(elements)?),
            Some(pool) => {
                // A fresh buffer would cost as many page faults as it has pages, chunk by chunk.
                let most = zstd::zstd_safe::compress_bound(elements.len());
                let to = match buffer.take().filter(|b| b.bytes().len() >= most) {
                    Some(kept) => buffer.insert(kept),
                    None => buffer.insert(pool.take_bytes(most)),
                };
                let n = compressor.compress_to_buffer(elements, to.bytes_mut())?;
                Cow::Borrowed(&to.bytes()[..n])
            }
        };
        self.zstd.lock().unwrap_or_else(PoisonError::into_inner).push(compressor);
        Ok(encoded)
    }
}

impl Library {
    fn new(layout: &Layout) -> Result<Library, String> {
        // What is inside a shard is encoded as an array without shards.
        let plain = Layout { shard: None, ..layout.clone() };
        let metadata: ArrayMetadata = serde_json::from_value(metadata::document(&plain)).map_err(|e| e.to_string())?;
        let array = Array::new_with_metadata(Arc::new(()), "/", metadata).map_err(|e| e.to_string())?;
        let shape = layout.chunk.iter().filter_map(|n| NonZeroU64::new(*n)).collect();
        Ok(Library { array, shape, options: CodecOptions::default().with_concurrent_target(1) })
    }

    fn encode<'e>(&self, elements: &'e [u8]) -> Result<Cow<'e, [u8]>, String> {
        let (data_type, fill) = (self.array.data_type(), self.array.fill_value());
        let codecs = self.array.codecs();
        codecs
            .encode(ArrayBytes::new_flen(elements), &self.shape, data_type, fill, &self.options)
            .map_err(|e| e.to_string())
    }
}

/// Elements in the byte order of the store.
fn little(elements: &[u8], size: usize) -> Cow<'_, [u8]> {
    if cfg!(target_endian = "little") || size == 1 {
        return Cow::Borrowed(elements);
    }
    Cow::Owned(elements.chunks_exact(size).flat_map(|v| v.iter().rev().copied()).collect())
}

/// The bytes with their CRC-32C behind them.
fn sealed(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 4);
    out.extend_from_slice(bytes);
    out.extend_from_slice(&crc32c::crc32c(bytes).to_le_bytes());
    out
}

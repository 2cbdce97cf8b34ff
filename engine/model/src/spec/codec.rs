//! How the chunks of a Zarr output are encoded: what compresses them, how hard, and whether damage is noticed.

use ops_core::DType;
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

/// What compresses the chunks of a Zarr array.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Compressor {
    /// Blosc with LZ4: the fastest, and with its bytes shuffled on images as small as plain Zstandard.
    #[default]
    BloscLz4,
    /// Blosc with Zstandard: smaller than either alone where values change slowly.
    BloscZstd,
    /// Zstandard.
    Zstd,
    /// Gzip: what every reader has.
    Gzip,
    /// Zlib: of the codecs of numcodecs.
    Zlib,
    /// Bzip2: small and slow; of the codecs of numcodecs.
    Bz2,
    /// Pcodec: the smallest for smooth numbers of 16 bits and more; of the codecs of numcodecs.
    Pcodec,
    /// Nothing.
    None,
}

impl Compressor {
    /// The name in workflows.
    pub const fn name(self) -> &'static str {
        match self {
            Compressor::BloscLz4 => "blosc-lz4",
            Compressor::BloscZstd => "blosc-zstd",
            Compressor::Zstd => "zstd",
            Compressor::Gzip => "gzip",
            Compressor::Zlib => "zlib",
            Compressor::Bz2 => "bz2",
            Compressor::Pcodec => "pcodec",
            Compressor::None => "none",
        }
    }

    /// The levels that can be asked for, and the one that is taken when nothing is said; none where there is no choice.
    pub const fn levels(self) -> Option<(RangeInclusive<u8>, u8)> {
        match self {
            Compressor::BloscLz4 | Compressor::None => None,
            Compressor::BloscZstd => Some((1..=9, 5)),
            Compressor::Zstd => Some((1..=22, 3)),
            Compressor::Gzip | Compressor::Zlib => Some((1..=9, 5)),
            Compressor::Bz2 => Some((1..=9, 9)),
            Compressor::Pcodec => Some((0..=12, 8)),
        }
    }

    /// True where it compresses numbers of this dtype.
    pub const fn takes(self, dtype: DType) -> bool {
        !matches!(self, Compressor::Pcodec) || dtype.size() > 1
    }

    /// True where elements are shuffled before they are compressed.
    pub const fn shuffles(self) -> bool {
        matches!(self, Compressor::BloscLz4 | Compressor::BloscZstd)
    }
}

/// How Blosc rearranges elements before it compresses them. Names are those of Zarr v3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Shuffle {
    /// Not at all.
    NoShuffle,
    /// First bytes of all elements, then second bytes, and so on.
    #[default]
    Shuffle,
    /// The same with bits.
    BitShuffle,
}

/// What tells a damaged chunk from a whole one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Checksum {
    /// CRC-32C, four bytes behind every chunk.
    Crc32c,
}

/// The codec of a Zarr output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ZarrCodec {
    /// What compresses the chunks.
    pub name: Compressor,
    /// How hard it tries: more is smaller and slower.
    #[schemars(range(min = 0, max = 22))]
    pub level: Option<u8>,
    /// How `blosc-lz4` and `blosc-zstd` rearrange elements first; `shuffle` when left out.
    #[serde(default)]
    pub shuffle: Option<Shuffle>,
    /// What tells a damaged chunk from a whole one; nothing when left out.
    #[serde(default)]
    pub checksum: Option<Checksum>,
}

impl ZarrCodec {
    /// A compressor as it is when nothing more is said.
    pub const fn of(name: Compressor) -> ZarrCodec {
        ZarrCodec { name, level: None, shuffle: None, checksum: None }
    }

    /// The level that is written into the metadata.
    pub fn level(&self) -> u8 {
        self.level.unwrap_or_else(|| self.name.levels().map_or(0, |(_, usual)| usual))
    }

    /// Bytes of the compressor itself, besides what it reads and makes, for chunks of so many bytes.
    pub fn compressor_bytes(&self, chunk: u64) -> u64 {
        const MIB: u64 = 1 << 20;
        match self.name {
            Compressor::None => 0,
            // Two blocks of 256 KiB.
            Compressor::BloscLz4 | Compressor::Gzip | Compressor::Zlib => MIB,
            Compressor::BloscZstd => MIB + zstd_bytes(u8::MAX, chunk.min(256 << 10)),
            Compressor::Zstd => zstd_bytes(self.level(), chunk),
            Compressor::Bz2 => 8 * MIB,
            // Numbers, their parts, and what is sorted to find bins.
            Compressor::Pcodec => chunk.saturating_mul(6).saturating_add(MIB),
        }
    }

    /// Bytes that decompressing takes besides what it reads and makes.
    pub fn decompressor_bytes(&self) -> u64 {
        if self.name == Compressor::Bz2 { 4 << 20 } else { 0 }
    }

    /// True where chunks are decoded right into buffers of the pool.
    pub fn decodes_in_place(&self) -> bool {
        let one_step =
            matches!(self.name, Compressor::BloscLz4 | Compressor::BloscZstd | Compressor::Zstd | Compressor::None);
        one_step && self.checksum.is_none()
    }
}

/// Bytes of a context of Zstandard for inputs of a known length: its tables are no larger than the input asks for, nor than
/// the level does.
fn zstd_bytes(level: u8, input: u64) -> u64 {
    let most = match level {
        ..=3 => 0,
        4..=8 => 4,
        9..=15 => 64,
        16..=19 => 112,
        _ => 704,
    };
    (4 << 20) + (most << 20).min(input.max(1).checked_next_power_of_two().unwrap_or(u64::MAX).saturating_mul(16))
}

/// The codec of an output as a file has it: a name, or a mapping with more.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum CodecFile {
    /// By name, as it is when nothing more is said.
    Name(Compressor),
    /// With a level, a shuffle or a checksum.
    Full(ZarrCodec),
}

impl From<CodecFile> for ZarrCodec {
    fn from(file: CodecFile) -> ZarrCodec {
        match file {
            CodecFile::Name(name) => ZarrCodec::of(name),
            CodecFile::Full(codec) => codec,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_schema() {
        for text in ["blosc-lz4", "blosc-zstd", "zstd", "gzip", "zlib", "bz2", "pcodec", "none"] {
            let file: CodecFile = serde_json::from_value(text.into()).unwrap();
            assert_eq!(ZarrCodec::from(file).name.name(), text);
        }
        let full = serde_json::json!({"name": "blosc-zstd", "level": 9, "shuffle": "bitshuffle", "checksum": "crc32c"});
        let codec = ZarrCodec::from(serde_json::from_value::<CodecFile>(full).unwrap());
        assert_eq!((codec.name, codec.level()), (Compressor::BloscZstd, 9));
        assert_eq!((codec.shuffle, codec.checksum), (Some(Shuffle::BitShuffle), Some(Checksum::Crc32c)));
        assert_eq!(ZarrCodec::of(Compressor::Bz2).level(), 9);
    }
}

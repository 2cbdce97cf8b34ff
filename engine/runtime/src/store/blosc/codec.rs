//! Blosc as the codec `blosc` of Zarr v2 and v3, in the place of the one of `zarrs`.

use super::{Compressor, Shuffle, decode, encode};
use std::any::Any;
use std::borrow::Cow;
use std::sync::Arc;
use zarrs::array::codec::api::{CodecPluginV2, CodecPluginV3, PartialDecoderCapability, PartialEncoderCapability};
use zarrs::array::{
    ArrayBytesRaw, BytesRepresentation, BytesToBytesCodecTraits, Codec, CodecError, CodecMetadataOptions, CodecOptions,
    CodecTraits, CodecTraitsV2, CodecTraitsV3, RecommendedConcurrency,
};
use zarrs::metadata::Configuration;
use zarrs::metadata::v2::MetadataV2;
use zarrs::metadata::v3::MetadataV3;
use zarrs::metadata_ext::codec::blosc::{
    BloscCodecConfiguration, BloscCodecConfigurationV1, BloscCompressor, BloscShuffleMode, BloscShuffleModeNumcodecs,
};
use zarrs::plugin::{PluginCreateError, ZarrVersion};

/// The codec as the metadata of an array has it. A buffer tells by itself how it is decoded.
#[derive(Debug, Clone)]
pub(crate) struct BloscCodec {
    configuration: BloscCodecConfiguration,
}

zarrs::plugin::impl_extension_aliases!(BloscCodec, v3: "blosc", v2: "blosc");

ops_core::inventory::submit! {
    CodecPluginV3::new::<BloscCodec>()
}

ops_core::inventory::submit! {
    CodecPluginV2::new::<BloscCodec>()
}

impl CodecTraitsV3 for BloscCodec {
    fn create(metadata: &MetadataV3) -> Result<Codec, PluginCreateError> {
        let configuration: BloscCodecConfigurationV1 = metadata.to_typed_configuration()?;
        if configuration.shuffle != BloscShuffleMode::NoShuffle && configuration.typesize.is_none_or(|n| n == 0) {
            return Err("the codec blosc shuffles elements of no size, expected a `typesize` of at least 1".into());
        }
        Ok(Codec::BytesToBytes(Arc::new(BloscCodec { configuration: configuration.into() })))
    }
}

impl CodecTraitsV2 for BloscCodec {
    fn create(metadata: &MetadataV2) -> Result<Codec, PluginCreateError> {
        let configuration: BloscCodecConfiguration = metadata.to_typed_configuration()?;
        Ok(Codec::BytesToBytes(Arc::new(BloscCodec { configuration })))
    }
}

impl BloscCodec {
    /// The compressor, how elements are shuffled, and their size where the metadata tells it.
    fn asked(&self) -> (BloscCompressor, Shuffle, Option<usize>) {
        match &self.configuration {
            BloscCodecConfiguration::V1(c) => {
                let shuffle = match c.shuffle {
                    BloscShuffleMode::NoShuffle => Shuffle::None,
                    BloscShuffleMode::Shuffle => Shuffle::Bytes,
                    BloscShuffleMode::BitShuffle => Shuffle::Bits,
                };
                (c.cname, shuffle, c.typesize)
            }
            BloscCodecConfiguration::Numcodecs(c) => {
                let shuffle = match c.shuffle {
                    BloscShuffleModeNumcodecs::NoShuffle => Shuffle::None,
                    BloscShuffleModeNumcodecs::BitShuffle => Shuffle::Bits,
                    _ => Shuffle::Bytes,
                };
                (c.cname, shuffle, None)
            }
            _ => (BloscCompressor::BloscLZ, Shuffle::None, None),
        }
    }

    /// The level of Blosc that the metadata asks for.
    fn level(&self) -> u8 {
        match &self.configuration {
            BloscCodecConfiguration::V1(c) => c.clevel.into(),
            BloscCodecConfiguration::Numcodecs(c) => c.clevel.into(),
            _ => 5,
        }
    }
}

impl CodecTraits for BloscCodec {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn configuration(&self, _version: ZarrVersion, _options: &CodecMetadataOptions) -> Option<Configuration> {
        Some(self.configuration.clone().into())
    }

    fn partial_decoder_capability(&self) -> PartialDecoderCapability {
        PartialDecoderCapability { partial_read: false, partial_decode: false }
    }

    fn partial_encoder_capability(&self) -> PartialEncoderCapability {
        PartialEncoderCapability { partial_encode: false }
    }
}

impl BytesToBytesCodecTraits for BloscCodec {
    fn into_dyn(self: Arc<Self>) -> Arc<dyn BytesToBytesCodecTraits> {
        self
    }

    fn recommended_concurrency(&self, _decoded: &BytesRepresentation) -> Result<RecommendedConcurrency, CodecError> {
        Ok(RecommendedConcurrency::new_maximum(1))
    }

    fn encoded_representation(&self, decoded: &BytesRepresentation) -> BytesRepresentation {
        let bound = |size| BytesRepresentation::BoundedSize(size + super::HEADER as u64);
        decoded.size().map_or(BytesRepresentation::UnboundedSize, bound)
    }

    fn encode<'a>(&self, bytes: ArrayBytesRaw<'a>, _: &CodecOptions) -> Result<ArrayBytesRaw<'a>, CodecError> {
        let (compressor, shuffle, element) = self.asked();
        let compressor = match compressor {
            BloscCompressor::LZ4 => Compressor::Lz4,
            BloscCompressor::Zstd => Compressor::zstd(self.level()),
            other => {
                let text = format!("blosc with {other:?} is read, expected LZ4 or Zstd to write it");
                return Err(CodecError::Other(text));
            }
        };
        let element = match (shuffle, element) {
            (_, Some(element)) => element,
            (Shuffle::None, None) => 1,
            (_, None) => return Err(CodecError::Other("blosc shuffles elements of no size".into())),
        };
        encode(&bytes, element, compressor, shuffle).map(Cow::Owned).map_err(|e| CodecError::Other(e.to_string()))
    }

    fn decode<'a>(
        &self,
        bytes: ArrayBytesRaw<'a>,
        decoded: &BytesRepresentation,
        _: &CodecOptions,
    ) -> Result<ArrayBytesRaw<'a>, CodecError> {
        let limit = decoded.size().and_then(|n| usize::try_from(n).ok()).unwrap_or(i32::MAX as usize);
        decode(&bytes, limit).map(Cow::Owned).map_err(|e| CodecError::Other(e.to_string()))
    }
}

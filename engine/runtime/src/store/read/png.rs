//! Reading PNG (ISO/IEC 15948) with the `png` crate.
//!
//! Grey of 1, 2 and 4 bits is scaled to 8 bits; a palette becomes RGB, or RGBA when it has transparency; 16 bits stay
//! 16 bits. Checksums are verified. Rows are decoded straight into the block, one row buffer aside.

use super::{FileReader, InputOptions, corrupt, image_meta, inside, io, lower, plausible, unchanged, unsupported};
use crate::store::{ArrayReader, StoreError};
use engine_model::catalog::{Access, SourceMeta};
use ops_core::{ArrayMeta, Block, DType, Pool, Region};
use png::{BitDepth, ColorType, DecodeOptions, Decoder, DecodingError, Limits, Reader, Transformations};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// What the decoder itself may allocate for chunks other than pixels.
const DECODER_BYTES: usize = 64 << 20;

/// The most that DEFLATE can expand: 258 bytes from 2 bits.
const EXPANSION: u64 = 1032;

/// Buffers of the decoder: its window and input.
const WINDOW_BYTES: u64 = 192 << 10;

struct PngReader {
    path: PathBuf,
    layout: Layout,
}

/// The layout of the stored rows and what is made of them.
struct Layout {
    meta: ArrayMeta,
    /// Bytes of a stored pixel after widening; palettes have one.
    stored: usize,
    /// Bytes of a pixel that are kept.
    kept: usize,
    palette: Option<Palette>,
    interlaced: bool,
    access: Access,
    read_bytes: u64,
}

/// Colours by index, `channels` bytes each.
struct Palette {
    bits: usize,
    channels: usize,
    colours: Vec<u8>,
}

/// Metadata of a PNG file.
pub(super) fn probe(
    path: &Path,
    file: FileReader,
    bytes: u64,
    options: &InputOptions,
) -> Result<SourceMeta, StoreError> {
    let layout = layout(path, &decoder(path, file, bytes)?, options)?;
    Ok(SourceMeta::new(layout.meta, layout.access, layout.read_bytes))
}

/// A reader of a PNG file.
pub(super) fn open(
    path: &Path,
    file: FileReader,
    bytes: u64,
    options: &InputOptions,
) -> Result<Box<dyn ArrayReader>, StoreError> {
    let layout = layout(path, &decoder(path, file, bytes)?, options)?;
    Ok(Box::new(PngReader { path: path.into(), layout }))
}

/// Reads up to the pixels; a file too small for the image it declares is refused before anything is allocated.
fn decoder(path: &Path, file: FileReader, bytes: u64) -> Result<Reader<FileReader>, StoreError> {
    let mut settings = DecodeOptions::default();
    settings.set_ignore_checksums(false);
    settings.set_ignore_text_chunk(true);
    settings.set_ignore_iccp_chunk(true);
    settings.set_skip_ancillary_crc_failures(true);
    let mut decoder = Decoder::new_with_options(file, settings);
    decoder.set_limits(Limits { bytes: DECODER_BYTES });
    let info = decoder.read_header_info().map_err(|e| refused(path, e))?;
    let indexed = info.color_type == ColorType::Indexed;
    let (w, h) = (u64::from(info.width), u64::from(info.height));
    let row = (w * info.bits_per_pixel() as u64).div_ceil(8) + 1;
    let raw = row.saturating_mul(h);
    plausible(path, (w, h), raw, EXPANSION, bytes)?;
    decoder.set_limits(Limits { bytes: DECODER_BYTES + 8 * row as usize });
    decoder.set_transformations(if indexed { Transformations::IDENTITY } else { Transformations::EXPAND });
    decoder.read_info().map_err(|e| refused(path, e))
}

fn layout(path: &Path, reader: &Reader<FileReader>, options: &InputOptions) -> Result<Layout, StoreError> {
    let info = reader.info();
    let (w, h) = (u64::from(info.width), u64::from(info.height));
    let (colour, depth) = reader.output_color_type();
    let palette = match colour {
        ColorType::Indexed => Some(palette(path, info)?),
        _ => None,
    };
    let channels = palette.as_ref().map_or(colour.samples(), |p| p.channels);
    let dtype = if depth == BitDepth::Sixteen { DType::UInt16 } else { DType::UInt8 };
    let (meta, kept) = image_meta(path, &[h, w], "yx", channels, dtype, options)?;
    let stored = if palette.is_some() { 1 } else { channels * dtype.size() };
    let interlaced = info.interlaced;
    let line = w * (channels * dtype.size()) as u64;
    let frame = if interlaced { line * h } else { 0 };
    let read_bytes = WINDOW_BYTES + super::FILE_BUFFER as u64 + 3 * line + frame;
    Ok(Layout { meta, stored, kept: kept * dtype.size(), palette, interlaced, access: Access::Whole, read_bytes })
}

fn palette(path: &Path, info: &png::Info) -> Result<Palette, StoreError> {
    let Some(rgb) = info.palette.as_deref() else {
        return Err(corrupt(path, "an indexed image without a palette (PLTE chunk)".into()));
    };
    let bits = info.bit_depth as usize;
    let colours = match info.trns.as_deref() {
        None => rgb.to_vec(),
        Some(alpha) => {
            let with = |(i, c): (usize, &[u8])| [c[0], c[1], c[2], alpha.get(i).copied().unwrap_or(255)];
            rgb.chunks_exact(3).enumerate().flat_map(with).collect()
        }
    };
    Ok(Palette { bits, channels: if info.trns.is_some() { 4 } else { 3 }, colours })
}

impl ArrayReader for PngReader {
    fn read(&self, region: &Region, pool: &Pool) -> Result<(Block, u64), StoreError> {
        let l = &self.layout;
        inside(&self.path, region, &l.meta)?;
        let mut block = Block::take(pool, l.meta.dtype, region.clone());
        let file = File::open(&self.path).map_err(|e| io(&self.path, "opening", &e))?;
        let bytes = file.metadata().map_err(|e| io(&self.path, "reading the size of", &e))?.len();
        let mut reader = decoder(&self.path, BufReader::with_capacity(super::FILE_BUFFER, file), bytes)?;
        let info = reader.info();
        unchanged(&self.path, &l.meta, info.height.into(), info.width.into())?;
        if info.interlaced != l.interlaced {
            return Err(corrupt(&self.path, "the image is now interlaced otherwise: it has changed".into()));
        }
        if region.is_empty() {
            return Ok((block, 0));
        }
        let whole = *region == l.meta.region() && l.stored == l.kept && l.palette.is_none();
        if whole && reader.output_buffer_size() == Some(block.bytes().len()) {
            reader.next_frame(block.bytes_mut()).map_err(|e| refused(&self.path, e))?;
        } else if l.interlaced {
            let size = reader.output_buffer_size().ok_or_else(|| unsupported(&self.path, "too large".into()))?;
            let mut frame = pool.take_bytes(size);
            let line = reader.next_frame(frame.bytes_mut()).map_err(|e| refused(&self.path, e))?.line_size;
            for y in region.lo[0]..region.hi[0] {
                let row = &frame.bytes()[y as usize * line..][..line];
                self.keep(row, y, &mut block)?;
            }
        } else {
            for y in 0..region.hi[0] {
                let row = reader.next_row().map_err(|e| refused(&self.path, e))?;
                let row = row.ok_or_else(|| corrupt(&self.path, format!("the image ends at row {y}")))?;
                if y >= region.lo[0] {
                    self.keep(row.data(), y, &mut block)?;
                }
            }
        }
        if region.hi[0] as u64 == l.meta.shape[0] {
            reader.finish().map_err(|e| refused(&self.path, e))?;
        }
        if l.meta.dtype == DType::UInt16 {
            block.as_mut_slice::<u16>().iter_mut().for_each(|v| *v = u16::from_be(*v));
        }
        Ok((block, bytes))
    }
}

impl PngReader {
    /// Puts what the block wants of a decoded row `y` into it.
    fn keep(&self, row: &[u8], y: i64, block: &mut Block) -> Result<(), StoreError> {
        let l = &self.layout;
        let region = block.region().clone();
        let size = l.meta.dtype.size();
        let (x0, x1) = (region.lo[1] as usize, region.hi[1] as usize);
        // Bytes of each kept pixel that the region takes; a region may also cut the channel axis.
        let (c0, c1) = match region.rank() {
            3 => (region.lo[2] as usize * size, region.hi[2] as usize * size),
            _ => (0, l.kept),
        };
        let line = (x1 - x0) * (c1 - c0);
        let at = (y - region.lo[0]) as usize * line;
        let out = &mut block.bytes_mut()[at..at + line];
        if let Some(p) = &l.palette {
            let mask = (1u16 << p.bits) as u8;
            let mask = mask.wrapping_sub(1);
            for (x, pixel) in (x0..x1).zip(out.chunks_exact_mut(c1 - c0)) {
                let bit = x * p.bits;
                let index = usize::from((row[bit / 8] >> (8 - p.bits - bit % 8)) & mask);
                let Some(colour) = p.colours.get(index * p.channels..(index + 1) * p.channels) else {
                    let n = p.colours.len() / p.channels;
                    let text = format!("pixel (y {y}, x {x}) has palette index {index}, the palette has {n} colours");
                    return Err(corrupt(&self.path, text));
                };
                pixel.copy_from_slice(&colour[c0..c1]);
            }
        } else if c1 - c0 == l.stored {
            out.copy_from_slice(&row[x0 * l.stored..x1 * l.stored]);
        } else {
            let pixels = row[x0 * l.stored..x1 * l.stored].chunks_exact(l.stored);
            for (pixel, stored) in out.chunks_exact_mut(c1 - c0).zip(pixels) {
                pixel.copy_from_slice(&stored[c0..c1]);
            }
        }
        Ok(())
    }
}

fn refused(path: &Path, e: DecodingError) -> StoreError {
    match e {
        DecodingError::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
            corrupt(path, "the file ends before the image does: truncated".into())
        }
        DecodingError::IoError(e) => io(path, "reading", &e),
        DecodingError::LimitsExceeded => corrupt(path, format!("a chunk needs more than {DECODER_BYTES} bytes")),
        other => {
            let text = other.to_string();
            // The library names a chunk by the debug form of its type.
            let chunk = text.split("ChunkType { type: ").nth(1).and_then(|rest| rest.split(',').next());
            match chunk {
                Some(name) if text.starts_with("CRC error") => {
                    corrupt(path, format!("damaged PNG: the checksum (CRC) of chunk {name} is wrong"))
                }
                _ => corrupt(path, format!("damaged PNG: {}", lower(&text))),
            }
        }
    }
}

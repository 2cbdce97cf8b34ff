//! Reading TIFF 6.0 and BigTIFF with the `tiff` crate: strips and tiles, integers of 8 to 64 bits, floats of 32 and 64.
//!
//! Pages of equal size and type make a volume; where they differ, as the levels and labels of a whole-slide image
//! (SVS), the first page is the image. Only the tiles that a region meets are decoded, and the latest are kept.

use super::tile_cache::TileCache;
use super::{FileReader, InputOptions, corrupt, image_meta, inside, io, lower, plausible, unsupported};
use crate::store::{ArrayReader, StoreError};
use engine_model::catalog::{Access, SourceMeta};
use engine_model::formats::tiff_strip_rows;
use ops_core::{ArrayMeta, Block, DType, Index, Pool, Region};
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use tiff::decoder::{ChunkType, Decoder, DecodingResult, DecodingSampleType, Limits};
use tiff::tags::{ByteOrder, CompressionMethod, PlanarConfiguration, Tag};
use tiff::{ColorType, TiffError};

/// The largest strip or tile that is decoded, in bytes.
const LARGEST_CHUNK: u64 = 1 << 30;

/// Decoded tiles are kept up to two rows of tiles and at least this many bytes, which does for rows of blocks that are
/// higher than strips.
const CACHE: u64 = 32 << 20;

/// The most that is kept, except for one tile that is larger.
const LARGEST_CACHE: u64 = 256 << 20;

/// Open decoders that are kept for later reads.
const IDLE: usize = 16;

type TiffDecoder = Decoder<FileReader>;

struct TiffReader {
    path: PathBuf,
    bytes: u64,
    layout: Layout,
    /// Decoders not in use, and the page each is at.
    idle: Mutex<Vec<(u64, TiffDecoder)>>,
    cache: TileCache<Block>,
}

/// What the first page says, and how many are like it.
#[derive(Debug, Clone)]
struct Layout {
    meta: ArrayMeta,
    page: Page,
    /// Number of pages that make the array.
    pages: u64,
    /// Width and height of what is decoded at once: a tile, a strip, or a part of a large strip that is not compressed.
    chunk: (u32, u32),
    /// Rows are read as they are in the file.
    plain: bool,
    /// Bytes of a decoded strip or tile.
    chunk_bytes: u64,
    access: Access,
    cache: u64,
    read_bytes: u64,
}

/// What has to be equal for pages to make a volume.
#[derive(Debug, Clone, PartialEq)]
struct Page {
    width: u32,
    height: u32,
    colour: ColorType,
    dtype: DType,
    channels: usize,
    chunk: (u32, u32),
    tiled: bool,
}

/// Metadata of a TIFF file.
pub(super) fn probe(
    path: &Path,
    file: FileReader,
    bytes: u64,
    options: &InputOptions,
) -> Result<SourceMeta, StoreError> {
    let layout = layout(path, &mut decoder(path, file, bytes)?, bytes, options)?;
    Ok(SourceMeta { cache_bytes: layout.cache, ..SourceMeta::new(layout.meta, layout.access, layout.read_bytes) })
}

/// A reader of a TIFF file.
pub(super) fn open(
    path: &Path,
    file: FileReader,
    bytes: u64,
    options: &InputOptions,
    cache: u64,
) -> Result<Box<dyn ArrayReader>, StoreError> {
    let mut decoder = decoder(path, file, bytes)?;
    let layout = layout(path, &mut decoder, bytes, options)?;
    let cache = TileCache::new(cache.min(layout.cache));
    let idle = Mutex::new(vec![(u64::MAX, decoder)]);
    Ok(Box::new(TiffReader { path: path.into(), bytes, layout, idle, cache }))
}

fn decoder(path: &Path, file: FileReader, bytes: u64) -> Result<TiffDecoder, StoreError> {
    let mut limits = Limits::default();
    limits.decoding_buffer_size = LARGEST_CHUNK as usize;
    limits.intermediate_buffer_size = LARGEST_CHUNK as usize;
    // A list of tiles can't be larger than the file it is in.
    limits.ifd_value_size = usize::try_from(bytes).unwrap_or(usize::MAX);
    Ok(Decoder::new(file).map_err(|e| refused(path, e))?.with_limits(limits))
}

fn layout(path: &Path, d: &mut TiffDecoder, bytes: u64, options: &InputOptions) -> Result<Layout, StoreError> {
    let page = page(path, d)?;
    let plain = plain_rows(path, d, &page)?;
    let chunk = plain.map_or(page.chunk, |rows| (page.width, rows));
    let chunk_bytes = check_size(path, d, &page, chunk, bytes)?;
    let mut pages = 1;
    while d.more_images() {
        d.next_image().map_err(|e| refused(path, e))?;
        // What is not like the first page is no part of the volume, whatever it is.
        match self::page(path, d) {
            Ok(other) if other == page => pages += 1,
            _ => {
                pages = 1;
                break;
            }
        }
    }
    let (h, w) = (u64::from(page.height), u64::from(page.width));
    let spatial = if pages > 1 { vec![pages, h, w] } else { vec![h, w] };
    let letters = if pages > 1 { "zyx" } else { "yx" };
    let (meta, _) = image_meta(path, &spatial, letters, page.channels, page.dtype, options)?;
    let mut tile = vec![u64::from(chunk.1).min(h), u64::from(chunk.0).min(w)];
    if pages > 1 {
        tile.insert(0, 1);
    }
    if meta.rank() > tile.len() {
        tile.push(meta.shape[meta.rank() - 1]);
    }
    let across = w.div_ceil(chunk.0.into());
    // Two rows, and as tasks are not quite in order, some more.
    let rows = ((2 * across + 8) * chunk_bytes).clamp(CACHE, LARGEST_CACHE);
    let cache = rows.min(meta.bytes()).max(chunk_bytes);
    // A tile being decoded and its encoded bytes, which are no more unless it does not compress.
    let read_bytes = 3 * chunk_bytes + super::FILE_BUFFER as u64;
    let access = Access::Tiles(tile);
    Ok(Layout { meta, page, pages, chunk, plain: plain.is_some(), chunk_bytes, access, cache, read_bytes })
}

fn page(path: &Path, d: &mut TiffDecoder) -> Result<Page, StoreError> {
    let bad = |e| refused(path, e);
    let (width, height) = d.dimensions().map_err(bad)?;
    let colour = d.colortype().map_err(bad)?;
    let channels = match colour {
        ColorType::Gray(_) => 1,
        ColorType::RGB(_) | ColorType::YCbCr(_) => 3,
        ColorType::GrayA(_) => 2,
        ColorType::RGBA(_) => 4,
        ColorType::Multiband { num_samples, .. } => num_samples.into(),
        other => {
            let text = format!("a TIFF of colour type {other:?}, supported are grey, RGB, RGBA, YCbCr and bands");
            return Err(unsupported(path, text));
        }
    };
    if colour.bit_depth() < 8 {
        return Err(unsupported(path, format!("a TIFF of {} bits, supported are 8 to 64", colour.bit_depth())));
    }
    let planar = d.find_tag_unsigned::<u16>(Tag::PlanarConfiguration).map_err(bad)?;
    if channels > 1 && planar == Some(PlanarConfiguration::Planar.to_u16()) {
        let text = "channels in separate planes (PlanarConfiguration 2), supported are interleaved ones";
        return Err(unsupported(path, text.into()));
    }
    let (tiled, chunk) = (d.get_chunk_type() == ChunkType::Tile, d.chunk_dimensions());
    if chunk.0 == 0 || chunk.1 == 0 {
        return Err(corrupt(path, format!("tiles of {} x {} pixels, expected at least one", chunk.0, chunk.1)));
    }
    let chunk = if tiled { chunk } else { (chunk.0, chunk.1.min(height)) };
    let (across, down) = (width.div_ceil(chunk.0), height.div_ceil(chunk.1));
    let tag = if tiled { Tag::TileOffsets } else { Tag::StripOffsets };
    let listed = d.find_tag_unsigned_vec::<u64>(tag).map_err(bad)?.map_or(0, |v| v.len() as u64);
    let expected = u64::from(across) * u64::from(down);
    if listed < expected {
        let what = if tiled { "tiles" } else { "strips" };
        return Err(corrupt(path, format!("{listed} {what} listed, expected {expected}")));
    }
    let sample = d.image_chunk_buffer_layout(0).map_err(bad)?.sample_type;
    let dtype = match sample {
        Some(DecodingSampleType::U8) => DType::UInt8,
        Some(DecodingSampleType::U16) => DType::UInt16,
        Some(DecodingSampleType::U32) => DType::UInt32,
        Some(DecodingSampleType::U64) => DType::UInt64,
        Some(DecodingSampleType::I8) => DType::Int8,
        Some(DecodingSampleType::I16) => DType::Int16,
        Some(DecodingSampleType::I32) => DType::Int32,
        Some(DecodingSampleType::I64) => DType::Int64,
        Some(DecodingSampleType::F32) => DType::Float32,
        Some(DecodingSampleType::F64) => DType::Float64,
        other => {
            let text = format!("a TIFF of samples {other:?}, supported are integers and floats of 32 and 64 bits");
            return Err(unsupported(path, text));
        }
    };
    if dtype.size() * 8 != usize::from(colour.bit_depth()) {
        return Err(unsupported(path, format!("a TIFF of {} bits, supported are 8, 16, 32, 64", colour.bit_depth())));
    }
    Ok(Page { width, height, colour, dtype, channels, chunk, tiled })
}

/// Rows that are read at once where large strips hold pixels as they are in memory, so that a region does not take the
/// whole strip; `None` elsewhere.
fn plain_rows(path: &Path, d: &mut TiffDecoder, page: &Page) -> Result<Option<u32>, StoreError> {
    let mut tag = |tag| d.find_tag_unsigned::<u16>(tag).map_err(|e| refused(path, e));
    let compression = tag(Tag::Compression)?.unwrap_or(1);
    let predictor = tag(Tag::Predictor)?.unwrap_or(1);
    // Zero is white in 0: the decoder inverts it.
    let colours = tag(Tag::PhotometricInterpretation)?.unwrap_or(0);
    let native = if cfg!(target_endian = "big") { ByteOrder::BigEndian } else { ByteOrder::LittleEndian };
    let native = d.byte_order() == native || page.dtype.size() == 1;
    let row = u64::from(page.width) * (page.channels * page.dtype.size()) as u64;
    let rows = u32::try_from(tiff_strip_rows(row)).unwrap_or(u32::MAX);
    let (strip, one) = (page.chunk.1, page.chunk.1 == page.height);
    let plain = compression == 1 && predictor == 1 && matches!(colours, 1 | 2) && native && !page.tiled;
    Ok((plain && rows < strip && (one || strip % rows == 0)).then_some(rows))
}

/// Bytes of a decoded chunk; refuses pixels that the file is too small for.
fn check_size(path: &Path, d: &mut TiffDecoder, page: &Page, part: (u32, u32), bytes: u64) -> Result<u64, StoreError> {
    let pixel = (page.channels * page.dtype.size()) as u64;
    let raw = u64::from(page.width).saturating_mul(page.height.into()).saturating_mul(pixel);
    let method = d.find_tag_unsigned::<u16>(Tag::Compression).map_err(|e| refused(path, e))?.unwrap_or(1);
    // How much the codecs can expand: the longest LZW string is 4 KiB from 9 bits, a PackBits run 128 from 2 bytes, a
    // JPEG block of 64 pixels from a bit, a zstd block of 128 KiB from 4 bytes.
    let expansion = match CompressionMethod::from_u16_exhaustive(method) {
        CompressionMethod::None => 1,
        CompressionMethod::PackBits => 64,
        CompressionMethod::LZW => 4096,
        CompressionMethod::Deflate | CompressionMethod::OldDeflate => 1032,
        CompressionMethod::ModernJPEG => 1024 * pixel,
        CompressionMethod::ZSTD => 1 << 15,
        other => {
            let text =
                format!("a TIFF compressed by {other:?}, supported are none, LZW, Deflate, JPEG, PackBits, zstd");
            return Err(unsupported(path, text));
        }
    };
    plausible(path, (page.width.into(), page.height.into()), raw, expansion, bytes)?;
    let chunk = u64::from(part.0).saturating_mul(part.1.into()).saturating_mul(pixel);
    if chunk > LARGEST_CHUNK || chunk / expansion > bytes {
        let (w, h) = part;
        let text = format!("tiles or strips of {w} x {h} pixels are {chunk} bytes, the most that is decoded is 1 GiB");
        return Err(unsupported(path, text));
    }
    Ok(chunk)
}

impl ArrayReader for TiffReader {
    fn read(&self, region: &Region, pool: &Pool) -> Result<(Block, u64), StoreError> {
        let l = &self.layout;
        inside(&self.path, region, &l.meta)?;
        let mut block = Block::take(pool, l.meta.dtype, region.clone());
        if region.is_empty() {
            return Ok((block, 0));
        }
        let read = AtomicU64::new(0);
        let at = usize::from(l.pages > 1);
        let pages = if l.pages > 1 { region.lo[0] as u64..region.hi[0] as u64 } else { 0..1 };
        let (cw, ch) = (u64::from(l.chunk.0), u64::from(l.chunk.1));
        let across = u64::from(l.page.width).div_ceil(cw);
        let rows = region.lo[at] as u64 / ch..=(region.hi[at] as u64 - 1) / ch;
        let columns = region.lo[at + 1] as u64 / cw..=(region.hi[at + 1] as u64 - 1) / cw;
        for page in pages {
            for row in rows.clone() {
                for column in columns.clone() {
                    let chunk = (row * across + column) as u32;
                    let decode = || {
                        let tile = self.decode(page, chunk, row * ch, column * cw, &read)?;
                        Ok((tile, l.chunk_bytes))
                    };
                    let tile = self.cache.get((page, chunk.into()), l.chunk_bytes, decode)?;
                    block.paste(&tile);
                }
            }
        }
        Ok((block, read.into_inner()))
    }
}

impl TiffReader {
    /// Decodes one strip or tile, whose first pixel is at (`y`, `x`) of the page.
    fn decode(&self, page: u64, chunk: u32, y: u64, x: u64, read: &AtomicU64) -> Result<Block, StoreError> {
        let l = &self.layout;
        let mut d = self.at(page)?;
        let h = l.chunk.1.min(l.page.height - y as u32);
        let w = l.chunk.0.min(l.page.width - x as u32);
        let mut lo = Index::from_slice(&[y as i64, x as i64]);
        let mut hi = Index::from_slice(&[y as i64 + i64::from(h), x as i64 + i64::from(w)]);
        if l.pages > 1 {
            lo.insert(0, page as i64);
            hi.insert(0, page as i64 + 1);
        }
        if l.page.channels > 1 {
            lo.push(0);
            hi.push(l.page.channels as i64);
        }
        let mut tile = Block::zeros(l.meta.dtype, Region::new(lo, hi));
        if l.plain {
            self.read_rows(&mut d, y, &mut tile)?;
            read.fetch_add(tile.bytes().len() as u64, Ordering::Relaxed);
            self.keep(page, d);
            return Ok(tile);
        }
        let expected = d.image_chunk_buffer_layout(chunk).map_err(|e| refused(&self.path, e))?.len;
        if expected != tile.bytes().len() {
            let (n, m) = (tile.bytes().len(), expected);
            return Err(corrupt(&self.path, format!("tile {chunk} of page {page} has {m} bytes, expected {n}")));
        }
        let bad = |e: TiffError| match refused(&self.path, e) {
            StoreError::Corrupt { path, message } => {
                StoreError::Corrupt { path, message: format!("{message} (tile {chunk} of page {page})") }
            }
            other => other,
        };
        if w < l.chunk.0 && d.find_tag_unsigned::<u16>(Tag::Compression).map_err(bad)? == Some(5) {
            self.read_padded(&mut d, chunk, &mut tile).map_err(bad)?;
        } else {
            d.read_chunk_bytes(chunk, tile.bytes_mut()).map_err(bad)?;
        }
        let tag = if l.page.tiled { Tag::TileByteCounts } else { Tag::StripByteCounts };
        if let Ok(Some(sizes)) = d.find_tag_unsigned_vec::<u64>(tag) {
            read.fetch_add(sizes.get(chunk as usize).copied().unwrap_or(0), Ordering::Relaxed);
        }
        if let ColorType::YCbCr(_) = l.page.colour {
            tile.bytes_mut().chunks_exact_mut(3).for_each(rgb_of_ycbcr);
        }
        self.keep(page, d);
        Ok(tile)
    }

    /// Decodes an LZW tile that the right edge cuts with its padding, in one piece: in pieces of a row the decoder of
    /// `tiff` 0.11 takes the end of the data for a truncation.
    fn read_padded(&self, d: &mut TiffDecoder, chunk: u32, tile: &mut Block) -> Result<(), TiffError> {
        let page = &self.layout.page;
        let pixel = page.channels * page.dtype.size();
        let row = self.layout.chunk.0 as usize * pixel;
        let mut padded = DecodingResult::U8(Vec::new());
        d.read_chunk_to_buffer(&mut padded, chunk, row)?;
        let rows = padded.as_buffer(0);
        let kept = tile.bytes().len() / (rows.as_bytes().len() / row).max(1);
        for (to, from) in tile.bytes_mut().chunks_mut(kept.max(1)).zip(rows.as_bytes().chunks(row)) {
            to.copy_from_slice(&from[..to.len()]);
        }
        Ok(())
    }

    /// Keeps a decoder for later.
    fn keep(&self, page: u64, decoder: TiffDecoder) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE {
            idle.push((page, decoder));
        }
    }

    /// Reads the rows of a tile, from row `y` of its page, as they are in the file.
    fn read_rows(&self, d: &mut TiffDecoder, y: u64, tile: &mut Block) -> Result<(), StoreError> {
        let page = &self.layout.page;
        let row = u64::from(page.width) * (page.channels * page.dtype.size()) as u64;
        let (strip, below) = (y / u64::from(page.chunk.1), y % u64::from(page.chunk.1));
        let offsets = d.find_tag_unsigned_vec::<u64>(Tag::StripOffsets).map_err(|e| refused(&self.path, e))?;
        let start = offsets.and_then(|o| o.get(strip as usize).copied());
        let Some(start) = start.and_then(|o| o.checked_add(below * row)) else {
            return Err(corrupt(&self.path, format!("strip {strip} has no place in the file")));
        };
        let file = d.inner();
        let done = file.seek(SeekFrom::Start(start)).and_then(|_| file.read_exact(tile.bytes_mut()));
        done.map_err(|e| refused(&self.path, TiffError::IoError(e)))
    }

    /// A decoder at a page: one that is there, or any idle one, or a new one.
    fn at(&self, page: u64) -> Result<TiffDecoder, StoreError> {
        let found = {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            let at = idle.iter().position(|(p, _)| *p == page).or(idle.len().checked_sub(1));
            at.map(|i| idle.swap_remove(i))
        };
        let (now, mut d) = match found {
            Some(found) => found,
            None => {
                let file = File::open(&self.path).map_err(|e| io(&self.path, "opening", &e))?;
                let file = BufReader::with_capacity(super::FILE_BUFFER, file);
                (u64::MAX, decoder(&self.path, file, self.bytes)?)
            }
        };
        if now != page {
            d.seek_to_image(page as usize).map_err(|e| refused(&self.path, e))?;
            if self::page(&self.path, &mut d)? != self.layout.page {
                return Err(corrupt(&self.path, format!("page {page} is now different: the file has changed")));
            }
        }
        Ok(d)
    }
}

/// JFIF's YCbCr (ITU-R BT.601, full range) to RGB, in 16-bit fixed point.
fn rgb_of_ycbcr(p: &mut [u8]) {
    let (y, cb, cr) = (i32::from(p[0]) << 16, i32::from(p[1]) - 128, i32::from(p[2]) - 128);
    let to = |v: i32| ((v + (1 << 15)) >> 16).clamp(0, 255) as u8;
    p[0] = to(y + 91_881 * cr);
    p[1] = to(y - 22_554 * cb - 46_802 * cr);
    p[2] = to(y + 116_130 * cb);
}

fn refused(path: &Path, e: TiffError) -> StoreError {
    match e {
        TiffError::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
            corrupt(path, "the file ends before the image does: truncated".into())
        }
        // A place beyond the largest a file can have, as BigTIFF can name, is refused by the system itself.
        TiffError::IoError(e) if e.kind() == std::io::ErrorKind::InvalidInput => {
            corrupt(path, "damaged TIFF: an offset outside the file".into())
        }
        // Decoders of compressed data report damage this way.
        TiffError::IoError(e) if e.raw_os_error().is_none() => {
            corrupt(path, format!("damaged TIFF: {}", lower(&e.to_string())))
        }
        TiffError::IoError(e) => io(path, "reading", &e),
        TiffError::UnsupportedError(e) => unsupported(path, format!("unsupported TIFF: {}", lower(&e.to_string()))),
        other => corrupt(path, format!("damaged TIFF: {}", lower(&other.to_string()))),
    }
}

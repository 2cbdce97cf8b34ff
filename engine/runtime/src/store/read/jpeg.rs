//! Reading JPEG (ITU-T T.81), baseline and progressive, 8 bits, grey or colour, with the `image` crate.
//!
//! The header is read here, so that listing many files does not read them whole.

use super::{FileReader, InputOptions, corrupt, image_meta, inside, io, lower, plausible, unchanged, unsupported};
use crate::store::{ArrayReader, StoreError};
use engine_model::catalog::{Access, SourceMeta};
use image::codecs::jpeg::JpegDecoder;
use image::{ColorType, ImageDecoder};
use ops_core::{ArrayMeta, Block, DType, Pool, Region};
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

/// More pixels than this from one byte no JPEG can give: a block of 64 takes at least a bit.
const PIXELS_A_BYTE: u64 = 1024;

struct JpegReader {
    path: PathBuf,
    meta: ArrayMeta,
    /// Channels in the file.
    stored: usize,
    /// Channels that are kept.
    kept: usize,
}

/// What the frame header says.
struct Frame {
    height: u64,
    width: u64,
    channels: usize,
    progressive: bool,
}

/// Metadata of a JPEG file.
pub(super) fn probe(
    path: &Path,
    mut file: FileReader,
    bytes: u64,
    options: &InputOptions,
) -> Result<SourceMeta, StoreError> {
    let frame = frame(path, &mut file, bytes)?;
    let (array, _) = image_meta(path, &[frame.height, frame.width], "yx", frame.channels, DType::UInt8, options)?;
    let pixels = frame.height * frame.width * frame.channels as u64;
    // The file, the decoded image, and 16-bit coefficients of a progressive one.
    let read_bytes = bytes + pixels * if frame.progressive { 3 } else { 1 } + (1 << 20);
    Ok(SourceMeta::new(array, Access::Whole, read_bytes))
}

/// A reader of a JPEG file.
pub(super) fn open(
    path: &Path,
    mut file: FileReader,
    bytes: u64,
    options: &InputOptions,
) -> Result<Box<dyn ArrayReader>, StoreError> {
    let frame = frame(path, &mut file, bytes)?;
    let (meta, kept) = image_meta(path, &[frame.height, frame.width], "yx", frame.channels, DType::UInt8, options)?;
    Ok(Box::new(JpegReader { path: path.into(), meta, stored: frame.channels, kept }))
}

/// Finds the frame header (SOF) among the segments before the first scan.
fn frame(path: &Path, file: &mut FileReader, bytes: u64) -> Result<Frame, StoreError> {
    let mut take = |n: usize| -> Result<Vec<u8>, StoreError> {
        let mut v = vec![0; n];
        match file.read_exact(&mut v) {
            Ok(()) => Ok(v),
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
                Err(corrupt(path, "the file ends before the frame header (SOF): truncated".into()))
            }
            Err(e) => Err(io(path, "reading", &e)),
        }
    };
    take(2)?;
    loop {
        let mut marker = take(2)?;
        while marker == [0xff, 0xff] {
            marker[1] = take(1)?[0];
        }
        if marker[0] != 0xff {
            let text = format!("expected a marker (ff), found {:02x}: damaged JPEG header", marker[0]);
            return Err(corrupt(path, text));
        }
        let length = take(2)?;
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        let Some(body) = length.checked_sub(2) else {
            return Err(corrupt(path, format!("a segment of length {length}, expected at least 2")));
        };
        let body = take(body)?;
        match marker[1] {
            0xc0..=0xc2 => return sof(path, marker[1], &body, bytes),
            0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                let text = "a lossless, arithmetic or hierarchical JPEG, supported are baseline and progressive";
                return Err(unsupported(path, text.into()));
            }
            0xda | 0xd9 => return Err(corrupt(path, "no frame header (SOF) before the first scan".into())),
            _ => {}
        }
    }
}

fn sof(path: &Path, marker: u8, body: &[u8], bytes: u64) -> Result<Frame, StoreError> {
    let [depth, h1, h0, w1, w0, channels, ..] = *body else {
        return Err(corrupt(path, format!("a frame header of {} bytes, expected at least 6", body.len())));
    };
    let (height, width) = (u64::from(u16::from_be_bytes([h1, h0])), u64::from(u16::from_be_bytes([w1, w0])));
    if depth != 8 {
        return Err(unsupported(path, format!("a JPEG of {depth} bits, supported are 8")));
    }
    if !matches!(channels, 1 | 3) {
        return Err(unsupported(path, format!("a JPEG of {channels} channels, supported are 1 (grey) and 3 (colour)")));
    }
    let pixel = u64::from(channels);
    plausible(path, (width, height), height * width * pixel, PIXELS_A_BYTE * pixel, bytes)?;
    Ok(Frame { height, width, channels: channels.into(), progressive: marker == 0xc2 })
}

impl ArrayReader for JpegReader {
    fn read(&self, region: &Region, pool: &Pool) -> Result<(Block, u64), StoreError> {
        inside(&self.path, region, &self.meta)?;
        let mut block = Block::take(pool, DType::UInt8, region.clone());
        let file = std::fs::read(&self.path).map_err(|e| io(&self.path, "reading", &e))?;
        let bytes = file.len() as u64;
        // The decoder fills what is missing with grey; the end of image says that nothing is.
        let last = |marker| file.windows(2).rposition(|w| w == [0xff, marker]);
        if last(0xd9).is_none_or(|end| last(0xda).is_none_or(|scan| scan > end)) {
            return Err(corrupt(&self.path, "no end of image (EOI) after the last scan: truncated".into()));
        }
        let bad = |e: image::ImageError| corrupt(&self.path, format!("damaged JPEG: {}", lower(&e.to_string())));
        let decoder = JpegDecoder::new(Cursor::new(file)).map_err(bad)?;
        let expected = if self.stored == 1 { ColorType::L8 } else { ColorType::Rgb8 };
        let (w, h) = decoder.dimensions();
        unchanged(&self.path, &self.meta, h.into(), w.into())?;
        if decoder.color_type() != expected {
            let text = format!("decoded as {:?}, expected {expected:?} by its header", decoder.color_type());
            return Err(corrupt(&self.path, text));
        }
        if *region == self.meta.region() && self.stored == self.kept {
            decoder.read_image(block.bytes_mut()).map_err(bad)?;
            return Ok((block, bytes));
        }
        let line = w as usize * self.stored;
        let mut whole = pool.take_bytes(line * h as usize);
        decoder.read_image(whole.bytes_mut()).map_err(bad)?;
        let (c0, c1) = if region.rank() == 3 { (region.lo[2] as usize, region.hi[2] as usize) } else { (0, 1) };
        let pixels = (region.lo[0]..region.hi[0]).flat_map(|y| {
            let row = &whole.bytes()[y as usize * line..][..line];
            row[region.lo[1] as usize * self.stored..region.hi[1] as usize * self.stored].chunks_exact(self.stored)
        });
        for (pixel, stored) in block.bytes_mut().chunks_exact_mut((c1 - c0).max(1)).zip(pixels) {
            pixel.copy_from_slice(&stored[c0..c1]);
        }
        Ok((block, bytes))
    }
}

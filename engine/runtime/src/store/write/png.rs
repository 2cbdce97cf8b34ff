//! Writing PNG (ISO/IEC 15948), band by band.
//!
//! Every band of rows is filtered and compressed on its own: the first row of a band uses no row above, and its
//! DEFLATE blocks end at a byte. So bands can be encoded by whoever completes them, in any order, and the file
//! depends on the pixels alone.

use super::bands::{BandLayout, Bands, Complete};
use super::sink::Sink;
use super::{WriteOptions, deflate};
use crate::store::read::unsupported;
use crate::store::{ArrayWriter, StoreError};
use engine_model::formats::png_band_rows;
use ops_core::{ArrayMeta, Block, DType};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Pieces of rows of a band that are tried with every filter, and their length.
const SAMPLES: usize = 8;
const SAMPLE_BYTES: usize = 640;

/// Filters of PNG in order of their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Filter {
    None,
    Sub,
    Up,
    Average,
    Paeth,
}

const FILTERS: [Filter; 5] = [Filter::None, Filter::Sub, Filter::Up, Filter::Average, Filter::Paeth];

struct PngWriter {
    path: PathBuf,
    dtype: DType,
    /// Bytes of a pixel.
    pixel: usize,
    layout: BandLayout,
    bands: Bands,
    sink: Sink,
    sync: bool,
    /// Checksum and length of each band's filtered rows.
    sums: Mutex<BTreeMap<u64, (u32, u64)>>,
}

/// A writer for an array that [`can_hold`](engine_model::formats::can_hold) accepts.
pub(super) fn create(
    path: &Path,
    meta: &ArrayMeta,
    options: &WriteOptions,
) -> Result<Box<dyn ArrayWriter>, StoreError> {
    let channels = if meta.rank() == 3 { meta.shape[2] as usize } else { 1 };
    let depth = 8 * meta.dtype.size() as u8;
    let colour = match channels {
        1 => 0,
        2 => 4,
        3 => 2,
        _ => 6,
    };
    let mut head = vec![0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n'];
    let mut ihdr = Vec::with_capacity(13);
    ihdr.extend_from_slice(&(meta.shape[1] as u32).to_be_bytes());
    ihdr.extend_from_slice(&(meta.shape[0] as u32).to_be_bytes());
    ihdr.extend_from_slice(&[depth, colour, 0, 0, 0]);
    chunk(b"IHDR", &ihdr, &mut head);
    let row_bytes = meta.bytes() / meta.shape[0];
    let layout = BandLayout::new(meta, png_band_rows(row_bytes));
    Ok(Box::new(PngWriter {
        path: path.into(),
        dtype: meta.dtype,
        pixel: channels * meta.dtype.size(),
        bands: Bands::new(layout.clone()),
        layout,
        sink: Sink::create(path, &head)?,
        sync: options.sync,
        sums: Mutex::default(),
    }))
}

impl ArrayWriter for PngWriter {
    fn write(&self, block: &Block) -> Result<u64, StoreError> {
        if block.dtype() != self.dtype {
            return Err(unsupported(&self.path, format!("a block of {}, expected {}", block.dtype(), self.dtype)));
        }
        let complete = self.bands.add(block).map_err(|m| unsupported(&self.path, m))?;
        let mut bytes = 0;
        for band in complete {
            let (index, piece) = (band.index, self.encode(band));
            bytes += self.sink.push(index, piece)?;
        }
        Ok(bytes)
    }

    fn finish(&self) -> Result<u64, StoreError> {
        let sums = std::mem::take(&mut *self.sums.lock().unwrap_or_else(PoisonError::into_inner));
        let (done, all) = (sums.len() as u64, self.layout.count());
        if done != all {
            self.sink.abandon();
            return Err(unsupported(&self.path, format!("{} of {all} bands of rows were not written", all - done)));
        }
        let sum = sums.into_values().reduce(|a, b| (join_adler(a.0, b.0, b.1), a.1 + b.1)).map_or(1, |s| s.0);
        let mut last = deflate::LAST.to_vec();
        last.extend_from_slice(&sum.to_be_bytes());
        let mut tail = Vec::new();
        chunk(b"IDAT", &last, &mut tail);
        chunk(b"IEND", &[], &mut tail);
        self.sink.finish(&tail, None, self.sync)
    }

    fn abandon(&self) {
        self.sink.abandon();
    }
}

impl PngWriter {
    /// The IDAT chunk of a band.
    fn encode(&self, band: Complete) -> Vec<u8> {
        let mut rows = band.bytes;
        match self.dtype {
            DType::Bool => rows.to_mut().iter_mut().for_each(|v| *v = if *v == 0 { 0 } else { 255 }),
            DType::UInt16 => rows.to_mut().chunks_exact_mut(2).for_each(|v| {
                let big = u16::from_ne_bytes([v[0], v[1]]).to_be_bytes();
                v.copy_from_slice(&big);
            }),
            _ => {}
        }
        let row = self.layout.row_bytes;
        let choice = choose(&rows, row, self.pixel);
        // Photographs take about half, other images less.
        let mut out = Vec::with_capacity(rows.len() / 4 * 3 + 1024);
        out.extend_from_slice(&[0; 8]);
        out[4..].copy_from_slice(b"IDAT");
        if band.index == 0 {
            // Window of 32 KiB, fastest compression.
            out.extend_from_slice(&[0x78, 0x01]);
        }
        let mut sum = simd_adler32::Adler32::new();
        let lines = rows.len() / row;
        let step = (deflate::BLOCK / (row + 1)).max(1);
        let mut filtered = vec![0; step.min(lines) * (row + 1)];
        for first in (0..lines).step_by(step) {
            let n = step.min(lines - first);
            for (i, line) in filtered.chunks_exact_mut(row + 1).take(n).enumerate() {
                filter_row(&rows, first + i, row, self.pixel, choice, line);
            }
            let part = &filtered[..n * (row + 1)];
            sum.write(part);
            deflate::encode(part, &mut out);
        }
        let length = ((out.len() - 8) as u32).to_be_bytes();
        out[..4].copy_from_slice(&length);
        let crc = crc32fast::hash(&out[4..]);
        out.extend_from_slice(&crc.to_be_bytes());
        let sum = (sum.finish(), (lines * (row + 1)) as u64);
        self.sums.lock().unwrap_or_else(PoisonError::into_inner).insert(band.index, sum);
        out
    }
}

/// The filter that makes a sample of the rows smallest.
fn choose(rows: &[u8], row: usize, pixel: usize) -> Filter {
    let lines = rows.len() / row;
    if lines < 2 || row <= pixel {
        return Filter::Sub;
    }
    let n = SAMPLE_BYTES.min(row - pixel);
    let mut filtered = [0; SAMPLES * SAMPLE_BYTES];
    let mut best = (u64::MAX, Filter::Sub);
    for f in FILTERS {
        for (i, out) in filtered.chunks_exact_mut(n).take(SAMPLES).enumerate() {
            let y = 1 + i * (lines - 1) / SAMPLES;
            // Pieces lie along the diagonal, so that nothing that repeats along rows hides.
            let at = y * row + pixel + i * (row - pixel - n) / SAMPLES;
            let piece = |at: usize| &rows[at..at + n];
            filter_piece(f, piece(at), piece(at - pixel), piece(at - row), piece(at - row - pixel), out);
        }
        let mut cost = deflate::cost(&filtered[..SAMPLES * n]);
        if f == Filter::Paeth {
            // The slowest to undo: it has to be worth it.
            cost += cost / 32;
        }
        if cost < best.0 {
            best = (cost, f);
        }
    }
    best.1
}

/// Filters row `y` of a band into `out`, behind the number of the filter.
fn filter_row(rows: &[u8], y: usize, row: usize, pixel: usize, filter: Filter, out: &mut [u8]) {
    let current = &rows[y * row..(y + 1) * row];
    // No row above the first of a band may be used.
    let filter = if y > 0 || filter == Filter::None { filter } else { Filter::Sub };
    let above = if y > 0 { &rows[(y - 1) * row..y * row] } else { current };
    // Left of the first pixel there is black.
    let black = &[0; 8][..pixel];
    out[0] = filter as u8;
    let (head, rest) = out[1..].split_at_mut(pixel);
    let left = row - pixel;
    filter_piece(filter, &current[..pixel], black, &above[..pixel], black, head);
    filter_piece(filter, &current[pixel..], &current[..left], &above[pixel..], &above[..left], rest);
}

/// Filters bytes, given those one pixel to the left, one row above, and both.
fn filter_piece(filter: Filter, current: &[u8], left: &[u8], above: &[u8], corner: &[u8], out: &mut [u8]) {
    let all = out.iter_mut().zip(current).zip(left).zip(above).zip(corner);
    match filter {
        Filter::None => out.copy_from_slice(current),
        Filter::Sub => all.for_each(|((((o, v), a), _), _)| *o = v.wrapping_sub(*a)),
        Filter::Up => all.for_each(|((((o, v), _), b), _)| *o = v.wrapping_sub(*b)),
        // The mean rounded down, without a wider type.
        Filter::Average => all.for_each(|((((o, v), a), b), _)| *o = v.wrapping_sub((a & b) + ((a ^ b) >> 1))),
        Filter::Paeth => all.for_each(|((((o, v), a), b), c)| *o = v.wrapping_sub(paeth(*a, *b, *c))),
    }
}

/// The neighbour closest to left + above - corner, preferring them in this order (PNG, 9.4).
#[inline(always)]
fn paeth(left: u8, above: u8, corner: u8) -> u8 {
    let (a, b, c) = (i16::from(left), i16::from(above), i16::from(corner));
    let (pa, pb, pc) = ((b - c).abs(), (a - c).abs(), (a + b - 2 * c).abs());
    let near = if pb <= pc { b } else { c };
    (if pa <= pb && pa <= pc { a } else { near }) as u8
}

/// The Adler-32 of two byte strings from that of each, the second of `len` bytes (as zlib's `adler32_combine`).
fn join_adler(first: u32, second: u32, len: u64) -> u32 {
    const BASE: u64 = 65521;
    let (a1, b1) = (u64::from(first & 0xffff), u64::from(first >> 16));
    let (a2, b2) = (u64::from(second & 0xffff), u64::from(second >> 16));
    let a = (a1 + a2 + BASE - 1) % BASE;
    let b = (b1 + b2 + (len % BASE) * (a1 + BASE - 1)) % BASE;
    (a | b << 16) as u32
}

fn chunk(kind: &[u8; 4], data: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(data.len() as u32).to_be_bytes());
    let start = out.len();
    out.extend_from_slice(kind);
    out.extend_from_slice(data);
    let crc = crc32fast::hash(&out[start..]);
    out.extend_from_slice(&crc.to_be_bytes());
}

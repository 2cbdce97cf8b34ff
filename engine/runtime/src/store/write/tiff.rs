//! Writing TIFF 6.0, or BigTIFF where 4 GiB may not do: strips, one page for each plane, little endian.
//!
//! A strip is a band of rows, compressed apart. With [`Compression::Deflate`] integers are first differenced along x
//! (Predictor 2), as all readers undo. The directories come last, so that strips go out as they are completed.

use super::bands::{BandLayout, Bands, Complete};
use super::sink::Sink;
use super::{Compression, WriteOptions, deflate};
use crate::store::read::unsupported;
use crate::store::{ArrayWriter, StoreError};
use engine_model::formats::tiff_strip_rows;
use ops_core::{ArrayMeta, Block, DType};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Arrays of more bytes than this become BigTIFF: what is left of 4 GiB is for directories and incompressible strips.
const CLASSIC: u64 = 0xf000_0000;

struct TiffWriter {
    path: PathBuf,
    meta: ArrayMeta,
    /// Samples of a pixel.
    samples: u64,
    width: u64,
    layout: BandLayout,
    bands: Bands,
    sink: Sink,
    sync: bool,
    compression: Compression,
    big: bool,
    done: AtomicU64,
}

/// A writer for an array that [`can_hold`](engine_model::formats::can_hold) accepts.
pub(super) fn create(
    path: &Path,
    meta: &ArrayMeta,
    options: &WriteOptions,
) -> Result<Box<dyn ArrayWriter>, StoreError> {
    let probe = BandLayout::new(meta, 1);
    let layout = BandLayout::new(meta, tiff_strip_rows(probe.row_bytes as u64).min(probe.rows));
    let interleaved = meta.axes.position(ops_core::Axis::C).is_some_and(|c| c + 1 == meta.rank() && meta.rank() > 2);
    let samples = if interleaved { meta.shape[meta.rank() - 1] } else { 1 };
    // Each strip has two numbers of at most 8 bytes, each page a directory.
    let overhead = layout.count().saturating_mul(16 + 256) + layout.pages.saturating_mul(512);
    let big = meta.bytes().saturating_add(overhead) > CLASSIC;
    let mut head = b"II".to_vec();
    if big {
        head.extend_from_slice(&[43, 0, 8, 0, 0, 0]);
        head.extend_from_slice(&[0; 8]);
    } else {
        head.extend_from_slice(&[42, 0, 0, 0, 0, 0]);
    }
    Ok(Box::new(TiffWriter {
        path: path.into(),
        width: layout.row_bytes as u64 / samples / meta.dtype.size() as u64,
        meta: meta.clone(),
        samples,
        bands: Bands::new(layout.clone()),
        layout,
        sink: Sink::create(path, &head)?,
        sync: options.sync,
        compression: options.compression,
        big,
        done: AtomicU64::new(0),
    }))
}

impl ArrayWriter for TiffWriter {
    fn write(&self, block: &Block) -> Result<u64, StoreError> {
        if block.dtype() != self.meta.dtype {
            let text = format!("a block of {}, expected {}", block.dtype(), self.meta.dtype);
            return Err(unsupported(&self.path, text));
        }
        let mut bytes = 0;
        for band in self.bands.add(block).map_err(|m| unsupported(&self.path, m))? {
            self.done.fetch_add(1, Ordering::Relaxed);
            bytes += self.sink.push(band.index, self.encode(band))?;
        }
        Ok(bytes)
    }

    fn finish(&self) -> Result<u64, StoreError> {
        let (done, all) = (self.done.load(Ordering::Relaxed), self.layout.count());
        if done != all {
            self.sink.abandon();
            return Err(unsupported(&self.path, format!("{} of {all} strips were not written", all - done)));
        }
        let head = if self.big { 16 } else { 8 };
        let lengths = self.sink.lengths();
        let end: u64 = head + lengths.iter().sum::<u64>();
        // Directories begin at a word.
        let first = end + end % 2;
        let mut tail = vec![0; (first - end) as usize];
        let mut offset = head;
        for (page, strips) in lengths.chunks(self.layout.per_page as usize).enumerate() {
            let last = page as u64 + 1 == self.layout.pages;
            self.directory(strips, &mut offset, last, end, &mut tail);
        }
        let place = first.to_le_bytes();
        let patch: (u64, &[u8]) = if self.big { (8, &place) } else { (4, &place[..4]) };
        self.sink.finish(&tail, Some(patch), self.sync)
    }

    fn abandon(&self) {
        self.sink.abandon();
    }
}

impl TiffWriter {
    fn predicted(&self) -> bool {
        self.compression == Compression::Deflate && !self.meta.dtype.is_float() && self.meta.dtype.size() < 8
    }

    /// The bytes of a strip.
    fn encode(&self, band: Complete) -> Vec<u8> {
        let mut rows = band.bytes.into_owned();
        let size = self.meta.dtype.size();
        if self.meta.dtype == DType::Bool {
            rows.iter_mut().for_each(|v| *v = if *v == 0 { 0 } else { 255 });
        }
        if cfg!(target_endian = "big") {
            rows.chunks_exact_mut(size).for_each(<[u8]>::reverse);
        }
        if self.predicted() {
            let samples = self.samples as usize;
            for row in rows.chunks_exact_mut(self.layout.row_bytes) {
                match size {
                    1 => (samples..row.len()).rev().for_each(|i| row[i] = row[i].wrapping_sub(row[i - samples])),
                    2 => difference::<2>(row, samples, |a, b| {
                        u16::from_le_bytes(a).wrapping_sub(u16::from_le_bytes(b)).to_le_bytes()
                    }),
                    _ => difference::<4>(row, samples, |a, b| {
                        u32::from_le_bytes(a).wrapping_sub(u32::from_le_bytes(b)).to_le_bytes()
                    }),
                }
            }
        }
        if self.compression == Compression::None {
            return rows;
        }
        let mut sum = simd_adler32::Adler32::new();
        sum.write(&rows);
        let mut out = vec![0x78, 0x01];
        deflate::encode(&rows, &mut out);
        out.extend_from_slice(&deflate::LAST);
        out.extend_from_slice(&sum.finish().to_be_bytes());
        out
    }

    /// Appends the directory of a page to what follows the strips, which end at `end`.
    fn directory(&self, strips: &[u64], offset: &mut u64, last: bool, end: u64, tail: &mut Vec<u8>) {
        let offsets: Vec<u64> = strips
            .iter()
            .map(|n| {
                *offset += n;
                *offset - n
            })
            .collect();
        let n = self.samples;
        let bits = 8 * self.meta.dtype.size() as u64;
        let format = match self.meta.dtype {
            DType::Float32 | DType::Float64 => 3,
            DType::Int8 | DType::Int16 | DType::Int32 | DType::Int64 => 2,
            _ => 1,
        };
        let colour = matches!(n, 3 | 4);
        let mut tags: Vec<(u16, Kind, Vec<u64>)> = vec![
            (254, Kind::Long, vec![if self.layout.pages > 1 { 2 } else { 0 }]),
            (256, Kind::Long, vec![self.width]),
            (257, Kind::Long, vec![self.layout.rows]),
            (258, Kind::Short, vec![bits; n as usize]),
            (259, Kind::Short, vec![if self.compression == Compression::None { 1 } else { 8 }]),
            (262, Kind::Short, vec![if colour { 2 } else { 1 }]),
            (273, if self.big { Kind::Long8 } else { Kind::Long }, offsets),
            (277, Kind::Short, vec![n]),
            (278, Kind::Long, vec![self.layout.band_rows]),
            (279, if self.big { Kind::Long8 } else { Kind::Long }, strips.to_vec()),
            (284, Kind::Short, vec![1]),
        ];
        if self.predicted() {
            tags.push((317, Kind::Short, vec![2]));
        }
        match (colour, n) {
            (true, 4) => tags.push((338, Kind::Short, vec![2])),
            (false, 2..) => tags.push((338, Kind::Short, vec![0; n as usize - 1])),
            _ => {}
        }
        tags.push((339, Kind::Short, vec![format; n as usize]));
        let (count, entry, word) = if self.big { (8, 20, 8) } else { (2, 12, 4) };
        let start = end + tail.len() as u64;
        let mut beside = Vec::new();
        let beside_at = start + count + entry * tags.len() as u64 + word;
        let number = |v: u64, bytes: u64, out: &mut Vec<u8>| out.extend_from_slice(&v.to_le_bytes()[..bytes as usize]);
        number(tags.len() as u64, count, tail);
        for (tag, kind, values) in &tags {
            number(u64::from(*tag), 2, tail);
            number(*kind as u64, 2, tail);
            number(values.len() as u64, word, tail);
            let size = kind.bytes();
            let mut bytes = Vec::new();
            values.iter().for_each(|v| number(*v, size, &mut bytes));
            if bytes.len() as u64 <= word {
                bytes.resize(word as usize, 0);
                tail.extend_from_slice(&bytes);
            } else {
                number(beside_at + beside.len() as u64, word, tail);
                beside.extend_from_slice(&bytes);
                beside.resize(beside.len().next_multiple_of(8), 0);
            }
        }
        let mut next = beside_at + beside.len() as u64;
        // The next directory begins at a word too.
        if next % 2 == 1 {
            beside.push(0);
            next += 1;
        }
        number(if last { 0 } else { next }, word, tail);
        tail.extend_from_slice(&beside);
    }
}

/// Types of values in a directory, by their TIFF numbers.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Short = 3,
    Long = 4,
    Long8 = 16,
}

impl Kind {
    fn bytes(self) -> u64 {
        match self {
            Kind::Short => 2,
            Kind::Long => 4,
            Kind::Long8 => 8,
        }
    }
}

/// Replaces every sample by its difference from that of the pixel before.
fn difference<const N: usize>(row: &mut [u8], samples: usize, minus: impl Fn([u8; N], [u8; N]) -> [u8; N]) {
    let (values, _) = row.as_chunks_mut::<N>();
    for i in (samples..values.len()).rev() {
        values[i] = minus(values[i], values[i - samples]);
    }
}

//! What each file format can hold, and what writing it takes: pure facts that the planner and the writers share.

use crate::spec::codec::{Compressor, ZarrCodec};
use crate::spec::workflow::Format;
use ops_core::{ArrayMeta, Axis, DType, Pool};

/// Why a format can't hold an array, and what to do instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}; {help}")]
pub struct FormatProblem {
    /// What was found and what the format holds.
    pub what: String,
    /// What to write instead.
    pub help: String,
}

fn problem(what: String, help: &str) -> Result<(), FormatProblem> {
    Err(FormatProblem { what, help: help.into() })
}

/// Checks that a format can hold an array.
///
/// # Errors
/// With what stands against it and what to use instead.
pub fn can_hold(format: Format, meta: &ArrayMeta) -> Result<(), FormatProblem> {
    let name = format.name();
    if format.is_table() {
        return problem(
            format!("{name} holds tables, this is an array: {meta}"),
            "use `format: zarr`, `tiff` or `png`, or measure it first",
        );
    }
    if let Some(a) = meta.shape.iter().position(|n| *n == 0) {
        return problem(format!("axis {a} of {meta} has no element"), "an empty array can't be written");
    }
    match format {
        Format::Png => png(meta),
        Format::Tiff => tiff(meta),
        Format::OmeZarr => ome(meta),
        _ => Ok(()),
    }
}

fn png(meta: &ArrayMeta) -> Result<(), FormatProblem> {
    if !matches!(meta.dtype, DType::Bool | DType::UInt8 | DType::UInt16) {
        return problem(
            format!("png holds bool, uint8 and uint16, this is {}", meta.dtype),
            "use `format: tiff` or `zarr`, or convert it first",
        );
    }
    let channel = meta.axes.position(Axis::C);
    match (meta.rank(), channel) {
        (2, None) => {}
        (3, Some(2)) if meta.shape[2] <= 4 => {}
        (3, Some(2)) => {
            let n = meta.shape[2];
            return problem(format!("png holds 1 to 4 channels, this has {n}"), "use `format: tiff` or `zarr`");
        }
        _ => {
            return problem(
                format!("png holds `yx` and `yxc`, this is `{}`", meta.axes),
                "use `format: zarr` or `tiff`, or project or transpose it first",
            );
        }
    }
    // The limit of the format; that of one chunk is kept by the height of bands.
    let limit = (1u64 << 31) - 1;
    let row = meta.bytes() / meta.shape[0];
    if meta.shape[..2].iter().any(|n| *n > limit) || row > 1 << 26 {
        return problem(
            format!("png holds up to {limit} rows of 64 MiB each, this is {meta}"),
            "use `format: zarr` or `tiff`",
        );
    }
    Ok(())
}

fn tiff(meta: &ArrayMeta) -> Result<(), FormatProblem> {
    let rank = meta.rank();
    match meta.axes.position(Axis::C) {
        Some(c) if c + 1 == rank && rank == 3 && meta.shape[2] <= 0xffff => {}
        Some(c) if c + 1 == rank => {
            return problem(
                format!("tiff holds `yxc` with up to 65535 channels, or pages of `yx`, this is {meta}"),
                "use `format: zarr`",
            );
        }
        _ if rank >= 2 => {}
        _ => return problem(format!("tiff holds at least two axes, this is {meta}"), "use `format: zarr`"),
    }
    let limit = u64::from(u32::MAX);
    let pages: u64 = if meta.axes.position(Axis::C) == Some(rank - 1) {
        1
    } else {
        meta.shape[..rank - 2].iter().fold(1, |p, n| p.saturating_mul(*n))
    };
    let row = meta.bytes() / pages.max(1) / meta.shape[rank - 2].max(1);
    if meta.shape.iter().any(|n| *n > limit) || pages > 1 << 20 || row > 1 << 30 {
        return problem(
            format!("tiff holds pages of fewer than 2^32 pixels a side, this is {meta}"),
            "use `format: zarr`",
        );
    }
    Ok(())
}

fn ome(meta: &ArrayMeta) -> Result<(), FormatProblem> {
    let rank = |a: Axis| "tczyx".find(a.name());
    let ordered = meta.axes.iter().map(rank).is_sorted();
    if ordered && meta.axes.position(Axis::Y).is_some() && meta.axes.position(Axis::X).is_some() {
        return Ok(());
    }
    let mut sorted: Vec<char> = meta.axes.iter().map(|a| a.name()).collect();
    sorted.sort_by_key(|c| "tczyx".find(*c));
    let sorted: String = sorted.into_iter().collect();
    let what = format!("ome-zarr holds axes in the order `tczyx`, y and x among them, this is `{}`", meta.axes);
    match ordered {
        true => problem(what, "use `format: zarr`"),
        false => problem(what, &format!("transpose it first: `{{op: transpose, with: {{axes: {sorted}}}}}`")),
    }
}

/// Chunk extents of a Zarr output that does not say: about a megabyte of 8 to 16-bit elements, never more than the
/// array. They depend on nothing but the array, so that the same workflow writes the same store.
pub fn default_chunks(meta: &ArrayMeta) -> Vec<u64> {
    let spatial = meta.axes.spatial().len();
    meta.axes
        .iter()
        .zip(&meta.shape)
        .map(|(a, &n)| match (a, spatial) {
            (Axis::T, _) => 1,
            (Axis::C, _) => n,
            (_, 3) => n.min(128),
            _ => n.min(512),
        })
        .map(|n| n.max(1))
        .collect()
}

/// Layers of chunks that a sweep with a halo needs twice are kept, within these bytes.
const CACHE: u64 = 32 << 20;
const LARGEST_CACHE: u64 = 512 << 20;

/// Bytes of decoded chunks, of `own` bytes each, that are best kept of an array: what a sweep with a halo goes through
/// between the first and the last use of a chunk, two along every axis. With a little less each is dropped just before
/// its last use.
pub fn cache_bytes(shape: &[u64], chunk: &[u64], own: u64) -> u64 {
    let counts: Vec<u64> = shape.iter().zip(chunk).map(|(n, c)| n.div_ceil((*c).max(1))).collect();
    let (mut behind, mut sweep) = (own, 0u64);
    for &n in counts.iter().rev() {
        sweep = sweep.saturating_add(if n > 1 { behind.saturating_mul(2) } else { 0 });
        behind = behind.saturating_mul(n);
    }
    // Tasks of several threads are not quite in order.
    sweep.saturating_add(own.saturating_mul(8)).clamp(CACHE, LARGEST_CACHE).min(behind).max(own)
}

/// Indices of shards are kept decoded within these bytes, or two of them.
const INDICES: u64 = 8 << 20;

/// Bytes of the decoded index of a shard: an offset and a length for each chunk.
pub fn index_bytes(shard: &[u64], chunk: &[u64]) -> u64 {
    shard.iter().zip(chunk).fold(16, |n, (s, c)| n.saturating_mul(s.div_ceil((*c).max(1))))
}

/// Bytes of the indices of shards that a reader keeps: where a block touches many shards all of them are asked for again and
/// again.
pub fn index_cache_bytes(shape: &[u64], shard: &[u64], chunk: &[u64]) -> u64 {
    let one = index_bytes(shard, chunk);
    let all = shape.iter().zip(shard).fold(one, |n, (len, s)| n.saturating_mul(len.div_ceil((*s).max(1))));
    all.min(INDICES).max(one.saturating_mul(2))
}

/// Bytes of a band of rows that PNG compresses at once.
const PNG_BAND: u64 = 256 << 10;

/// Rows of a band that PNG compresses at once, for rows of this many bytes.
///
/// At least 16: the first row of a band can't use the one above.
pub fn png_band_rows(row_bytes: u64) -> u64 {
    (PNG_BAND / row_bytes.max(1)).max(16)
}

/// Bytes of a strip of TIFF.
const TIFF_STRIP: u64 = 256 << 10;

/// Rows of a strip of TIFF, for rows of this many bytes.
pub fn tiff_strip_rows(row_bytes: u64) -> u64 {
    (TIFF_STRIP / row_bytes.max(1)).max(1)
}

/// Threads that may compress at once in the estimate of [`write_bytes`].
const ENCODERS: u64 = 16;

/// Bytes that the writer of one array holds at most, for blocks of this extent.
///
/// PNG and TIFF hold two rows of blocks that are incomplete at once (blocks arrive roughly in C order), rounded to
/// whole bands, and what compresses them. Zarr holds nothing between blocks: see [`writing_bytes`].
pub fn write_bytes(format: Format, meta: &ArrayMeta, block_extent: &[u64]) -> u64 {
    let rank = meta.rank();
    let interleaved = rank > 2 && meta.axes.position(Axis::C) == Some(rank - 1);
    match format {
        Format::Png | Format::Tiff => {
            let row_axis = rank.saturating_sub(if interleaved { 3 } else { 2 });
            let rows = meta.shape.get(row_axis).copied().unwrap_or(1).max(1);
            let pages: u64 = meta.shape[..row_axis.min(rank)].iter().product::<u64>().max(1);
            let row = meta.bytes() / rows / pages;
            let band = if format == Format::Png { png_band_rows(row) } else { tiff_strip_rows(row) }.min(rows);
            let extent =
                |a: usize| block_extent.get(a).copied().unwrap_or(meta.shape[a]).clamp(1, meta.shape[a].max(1));
            let block_rows = if rank == 0 { 1 } else { extent(row_axis) };
            let block_pages = (0..row_axis).map(extent).product::<u64>().max(1);
            let held = (2 * (block_rows + band)).min(rows + band).saturating_mul(block_pages);
            let encoding = held.min(ENCODERS * band);
            // Tables of the codes, and where each band stands in the file.
            let lists = pages.saturating_mul(rows.div_ceil(band)).saturating_mul(64);
            row.saturating_mul(held + encoding).saturating_add(lists).saturating_add(256 << 10)
        }
        Format::Zarr | Format::OmeZarr => 64 << 10,
        Format::Csv | Format::Parquet => 0,
    }
}

/// Bytes of the buffer that a chunk of so many is compressed into: at most a 256th more than it has, and 64 bytes.
fn compressed(chunk_bytes: u64) -> u64 {
    Pool::rounded(chunk_bytes.saturating_add(chunk_bytes / 256).saturating_add(64))
}

/// Of [`writing_bytes`] what lies in buffers of the pool.
pub fn writing_pooled(meta: &ArrayMeta, chunk: &[u64], codec: ZarrCodec) -> u64 {
    let bytes = chunk.iter().fold(meta.dtype.size() as u64, |n, e| n.saturating_mul(*e));
    if codec.name == Compressor::Zstd { compressed(bytes) } else { 0 }
}

/// Bytes that a task holds while it writes a block of a Zarr array: a chunk cut out of the block, its encoded form and
/// the compressor, and where there are shards the one that is put together, with its index.
pub fn writing_bytes(meta: &ArrayMeta, chunk: &[u64], shard: Option<&[u64]>, codec: ZarrCodec) -> u64 {
    let bytes = |extent: &[u64]| extent.iter().fold(meta.dtype.size() as u64, |n, e| n.saturating_mul(*e));
    let chunk_bytes = bytes(chunk);
    // A checksum is put behind a copy.
    let sealed = if codec.checksum.is_some() { compressed(chunk_bytes) } else { 0 };
    let compressor = codec.compressor_bytes(chunk_bytes).saturating_add(sealed);
    let shard_bytes = shard.map_or(0, |shard| {
        let chunks = shard.iter().zip(chunk).fold(1u64, |n, (s, c)| n.saturating_mul(s.div_ceil((*c).max(1))));
        // While it grows the old and the new buffer are there; chunks beyond the array take no room.
        bytes(shard).min(meta.bytes()).saturating_mul(2).saturating_add(chunks.saturating_mul(48))
    });
    chunk_bytes.saturating_add(compressed(chunk_bytes)).saturating_add(compressor).saturating_add(shard_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ops_core::Axes;

    fn meta(shape: &[u64], axes: &str, dtype: DType) -> ArrayMeta {
        ArrayMeta::new(shape, dtype, Axes::parse(axes).unwrap())
    }

    #[test]
    fn what_a_format_can_not_hold_is_named_with_a_way_out() {
        let says = |f, m: ArrayMeta, what: &str, help: &str| {
            let p = can_hold(f, &m).unwrap_err();
            assert!(p.what.contains(what) && p.help.contains(help), "{p}");
        };
        says(Format::Png, meta(&[4, 4], "yx", DType::Float32), "this is float32", "`format: tiff`");
        says(Format::Png, meta(&[4, 4, 5], "yxc", DType::UInt8), "this has 5", "tiff");
        says(Format::Png, meta(&[4, 4, 4], "zyx", DType::UInt8), "this is `zyx`", "zarr");
        says(Format::Png, meta(&[3, 4, 4], "cyx", DType::UInt8), "this is `cyx`", "transpose");
        says(Format::Png, meta(&[1 << 31, 1], "yx", DType::UInt8), "up to 2147483647 rows", "zarr");
        says(Format::Tiff, meta(&[7], "x", DType::UInt8), "at least two axes", "zarr");
        says(Format::Tiff, meta(&[2, 4, 4, 3], "zyxc", DType::UInt8), "pages of `yx`", "zarr");
        says(Format::Tiff, meta(&[1 << 21, 4, 4], "zyx", DType::UInt8), "2^32", "zarr");
        says(Format::Csv, meta(&[4], "x", DType::UInt8), "csv holds tables", "zarr");
        says(Format::Zarr, meta(&[4, 0], "yx", DType::UInt8), "axis 1", "empty");
        for (f, m) in [
            (Format::Png, meta(&[9, 9], "zx", DType::Bool)),
            (Format::Png, meta(&[9, 9, 1], "yxc", DType::UInt16)),
            (Format::Tiff, meta(&[2, 3, 9, 9], "tzyx", DType::Int64)),
            (Format::Tiff, meta(&[9, 9, 30], "yxc", DType::Float64)),
            (Format::Zarr, meta(&[9], "x", DType::Float64)),
        ] {
            assert_eq!(can_hold(f, &m), Ok(()));
        }
    }

    #[test]
    fn the_writer_of_a_large_image_holds_two_rows_of_blocks() {
        let m = meta(&[100_000, 100_000, 3], "yxc", DType::UInt8);
        let row = 300_000;
        let b = write_bytes(Format::Png, &m, &[512, 512, 3]);
        // 2 x (512 + 16) rows of blocks, 16 bands of 16 rows being compressed.
        assert!((row * (2 * 528 + 256)..row * (2 * 528 + 256) + (1 << 20)).contains(&b), "{b}");
        let small = meta(&[100, 100], "yx", DType::UInt8);
        assert!(write_bytes(Format::Png, &small, &[100, 100]) < 400_000);
        let zyx = meta(&[64, 512, 512], "zyx", DType::UInt16);
        assert!(write_bytes(Format::Tiff, &zyx, &[16, 64, 64]) < zyx.bytes());
    }
}

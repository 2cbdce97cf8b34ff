//! Bands: whole rows put together from blocks that arrive in any order.

use ops_core::{ArrayMeta, Axis, Block, Region};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Collects blocks into bands of rows and gives a band away once its last element is there.
///
/// An array of more than one page (`zyx`) has its bands page after page; the last band of a page may be lower.
pub(super) struct Bands {
    layout: BandLayout,
    open: Mutex<BTreeMap<u64, Arc<Mutex<Band>>>>,
}

/// How an array is cut into bands.
#[derive(Debug, Clone)]
pub(super) struct BandLayout {
    /// Number of leading axes that count pages.
    page_axes: usize,
    shape: Vec<u64>,
    /// Bytes of a row.
    pub(super) row_bytes: usize,
    /// Rows of a page.
    pub(super) rows: u64,
    /// Rows of every band but the last of a page.
    pub(super) band_rows: u64,
    /// Bands of a page.
    pub(super) per_page: u64,
    /// Number of pages.
    pub(super) pages: u64,
}

struct Band {
    bytes: Vec<u8>,
    missing: usize,
}

/// A band that is complete.
#[derive(Debug)]
pub(super) struct Complete<'a> {
    /// Its number, page after page and from the top.
    pub(super) index: u64,
    /// Its rows, C order, native byte order.
    pub(super) bytes: Cow<'a, [u8]>,
}

impl BandLayout {
    /// Bands of `band_rows` rows of an array whose last axes are y, x, and c if it has one there.
    pub(super) fn new(meta: &ArrayMeta, band_rows: u64) -> BandLayout {
        let inner = if meta.rank() > 2 && meta.axes.position(Axis::C) == Some(meta.rank() - 1) { 2 } else { 1 };
        let page_axes = meta.rank().saturating_sub(inner + 1);
        let rows = meta.shape[page_axes];
        let row: u64 = meta.shape[page_axes + 1..].iter().product();
        BandLayout {
            page_axes,
            shape: meta.shape.to_vec(),
            row_bytes: row as usize * meta.dtype.size(),
            rows,
            band_rows,
            per_page: rows.div_ceil(band_rows),
            pages: meta.shape[..page_axes].iter().product(),
        }
    }

    /// Number of bands of all pages.
    pub(super) fn count(&self) -> u64 {
        self.per_page * self.pages
    }

    /// Rows of band `index`.
    pub(super) fn rows_of(&self, index: u64) -> u64 {
        self.band_rows.min(self.rows - index % self.per_page * self.band_rows)
    }
}

impl Bands {
    pub(super) fn new(layout: BandLayout) -> Bands {
        Bands { layout, open: Mutex::default() }
    }

    /// Copies a block in and gives the bands that it completed, in order.
    ///
    /// Only those who write to the same band wait for each other, for the time of a copy.
    pub(super) fn add<'a>(&self, block: &'a Block) -> Result<Vec<Complete<'a>>, String> {
        let (l, region) = (&self.layout, block.region());
        let whole = Region::whole(&l.shape);
        if region.rank() != whole.rank() || !whole.contains(region) {
            return Err(format!("the block {region} is not inside the array {whole}"));
        }
        let mut done = Vec::new();
        if region.is_empty() {
            return Ok(done);
        }
        let p = l.page_axes;
        let page_block = block.bytes().len() / (0..p).map(|a| region.len(a) as usize).product::<usize>();
        let lines = region.len(p) as usize;
        for (page, bytes) in self.pages(region).into_iter().zip(block.bytes().chunks_exact(page_block)) {
            let (first, last) = (region.lo[p] as u64 / l.band_rows, (region.hi[p] as u64 - 1) / l.band_rows);
            for band in first..=last {
                let index = page * l.per_page + band;
                let rows = l.rows_of(index);
                let top = (band * l.band_rows) as i64;
                let (lo, hi) = (region.lo[p].max(top), region.hi[p].min(top + rows as i64));
                let line = page_block / lines;
                let from = &bytes[(lo - region.lo[p]) as usize * line..(hi - region.lo[p]) as usize * line];
                if from.len() == rows as usize * l.row_bytes {
                    // The block has all of the band.
                    done.push(Complete { index, bytes: Cow::Borrowed(from) });
                    continue;
                }
                let slot = {
                    let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
                    let new =
                        || Band { bytes: vec![0; rows as usize * l.row_bytes], missing: rows as usize * l.row_bytes };
                    open.entry(index).or_insert_with(|| Arc::new(Mutex::new(new()))).clone()
                };
                let mut into = slot.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(missing) = into.missing.checked_sub(from.len()) else {
                    return Err(format!("the block {region} was written before"));
                };
                into.missing = missing;
                self.paste(region, from, &mut into.bytes[(lo - top) as usize * l.row_bytes..]);
                if missing == 0 {
                    let bytes = std::mem::take(&mut into.bytes);
                    self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&index);
                    done.push(Complete { index, bytes: Cow::Owned(bytes) });
                }
            }
        }
        Ok(done)
    }

    /// Copies whole lines of a block into rows of a band.
    fn paste(&self, region: &Region, from: &[u8], rows: &mut [u8]) {
        let l = &self.layout;
        let first = l.page_axes + 1;
        let lines = rows.chunks_exact_mut(l.row_bytes);
        // Runs that are contiguous in both: along x, or along c when the block has only some of the channels.
        let inner: u64 = l.shape[first + 1..].iter().product();
        let size = l.row_bytes / (l.shape[first] * inner) as usize;
        let all_channels = (first + 1..l.shape.len()).all(|a| region.len(a) as u64 == l.shape[a]);
        let x = region.len(first) as usize;
        let pixel = inner as usize * size;
        let taken = (first + 1..l.shape.len()).map(|a| region.len(a) as usize).product::<usize>() * size;
        let skip = (first + 1..l.shape.len()).map(|a| region.lo[a] as usize).sum::<usize>() * size;
        let start = region.lo[first] as usize * pixel;
        for (line, row) in from.chunks_exact(x * taken).zip(lines) {
            if all_channels {
                row[start..start + line.len()].copy_from_slice(line);
                continue;
            }
            for (some, all) in line.chunks_exact(taken).zip(row[start..].chunks_exact_mut(pixel)) {
                all[skip..skip + taken].copy_from_slice(some);
            }
        }
    }

    /// Numbers of the pages that a region covers, in C order.
    fn pages(&self, region: &Region) -> Vec<u64> {
        let mut pages = vec![0u64];
        for a in 0..self.layout.page_axes {
            let n = self.layout.shape[a];
            pages =
                pages.iter().flat_map(|p| (region.lo[a] as u64..region.hi[a] as u64).map(move |i| p * n + i)).collect();
        }
        pages
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ops_core::{Axes, DType, Index};

    fn blocks_of(shape: &[u64], axes: &str, extent: &[i64], band_rows: u64) -> Vec<u8> {
        let meta = ArrayMeta::new(shape, DType::UInt16, Axes::parse(axes).unwrap());
        let n = meta.volume() as u16;
        let whole = Block::from_slice(meta.region(), &(0..n).collect::<Vec<u16>>());
        let pool = ops_core::Pool::default();
        let bands = Bands::new(BandLayout::new(&meta, band_rows));
        let mut regions = vec![Region::new(Index::new(), Index::new())];
        for (a, &step) in extent.iter().enumerate() {
            let cut = (0..shape[a] as i64).step_by(step as usize);
            regions = cut
                .flat_map(|lo| {
                    regions.iter().map(move |r| {
                        let (mut l, mut h) = (r.lo.clone(), r.hi.clone());
                        l.push(lo);
                        h.push((lo + step).min(shape[a] as i64));
                        Region::new(l, h)
                    })
                })
                .collect();
        }
        regions.reverse();
        let mut done = BTreeMap::new();
        for r in regions {
            for c in bands.add(&whole.cut(&pool, &r)).unwrap() {
                assert!(done.insert(c.index, c.bytes.into_owned()).is_none());
            }
        }
        assert_eq!(done.len() as u64, bands.layout.count());
        done.into_values().flatten().collect()
    }

    #[test]
    fn any_blocks_in_any_order_give_the_rows() {
        let expect = |n: u16| (0..n).flat_map(u16::to_ne_bytes).collect::<Vec<u8>>();
        assert_eq!(blocks_of(&[7, 5], "yx", &[3, 2], 2), expect(35));
        assert_eq!(blocks_of(&[7, 5, 3], "yxc", &[2, 4, 3], 4), expect(105));
        assert_eq!(blocks_of(&[7, 5, 4], "yxc", &[2, 4, 3], 4), expect(140));
        assert_eq!(blocks_of(&[3, 7, 5], "zyx", &[2, 3, 3], 4), expect(105));
        assert_eq!(blocks_of(&[2, 3, 4, 5], "tzyx", &[2, 2, 3, 3], 3), expect(120));
    }

    #[test]
    fn an_element_too_many_is_refused() {
        let meta = ArrayMeta::new(&[4, 4], DType::UInt8, Axes::parse("yx").unwrap());
        let bands = Bands::new(BandLayout::new(&meta, 4));
        let upper = Block::zeros(DType::UInt8, Region::whole(&[3, 4]));
        assert!(bands.add(&upper).unwrap().is_empty());
        assert!(bands.add(&upper).unwrap_err().contains("written before"));
        let outside = Block::zeros(DType::UInt8, Region::whole(&[5, 4]));
        assert!(bands.add(&outside).unwrap_err().contains("not inside"));
    }
}

//! What is in a file: an image read back through the engine's own decoders, or a table.

use engine_model::spec::workflow::Format;
use engine_runtime::store::read::{InputOptions, open, probe, table};
use ops_core::exact::{ExactSum, mean};
use ops_core::{Block, DType, Element, Pool, with_dtype};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Bytes of an image that are decoded at once.
const BAND: u64 = 64 << 20;

/// What was found in one file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    /// True for a table: then there are rows and a digest only.
    pub is_table: bool,
    /// Number of different values besides zero.
    pub labels: Option<u64>,
    /// Number of elements that are not zero.
    pub count_nonzero: Option<u64>,
    /// Rows of a table.
    pub rows: Option<u64>,
    /// Sum of the elements, exact and rounded once.
    pub sum: Option<f64>,
    /// Smallest element; NaN when one is.
    pub min: Option<f64>,
    /// Largest element; NaN when one is.
    pub max: Option<f64>,
    /// Mean of the elements.
    pub mean: Option<f64>,
    /// Extents; rows and columns of a table.
    pub shape: Option<Vec<u64>>,
    /// Dtype of an array.
    pub dtype: Option<DType>,
    /// Digest of the elements in C order, or of the file for a table.
    pub sha256: String,
}

impl Found {
    /// Reads a file that a run wrote.
    ///
    /// # Errors
    /// Why that is not possible, in words.
    pub fn read(path: &Path, format: &str) -> Result<Found, String> {
        if format == Format::Csv.name() {
            csv(path)
        } else if format == Format::Parquet.name() {
            parquet(path)
        } else if format == Format::OmeZarr.name() {
            image(labels(path).as_deref().unwrap_or(path))
        } else {
            image(path)
        }
    }
}

/// The label image in a group that holds just that, as an output with `labels: true` does.
fn labels(group: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(group.join("labels")).into_iter().flatten().flatten().map(|e| e.path());
    entries.into_iter().find(|p| p.is_dir())
}

fn csv(path: &Path) -> Result<Found, String> {
    let told = |e: &dyn std::fmt::Display| format!("can't read {}: {e}", path.display());
    let mut reader = csv::Reader::from_path(path).map_err(|e| told(&e))?;
    let columns = reader.headers().map_err(|e| told(&e))?.len() as u64;
    let (mut rows, mut row) = (0, csv::ByteRecord::new());
    while reader.read_byte_record(&mut row).map_err(|e| told(&e))? {
        rows += 1;
    }
    let (shape, sha256) = (Some(vec![rows, columns]), digest(path)?);
    Ok(Found { is_table: true, rows: Some(rows), shape, sha256, ..Found::default() })
}

fn parquet(path: &Path) -> Result<Found, String> {
    let (rows, columns) = table::extent(path).map_err(|e| e.to_string())?;
    let (shape, sha256) = (Some(vec![rows, columns]), digest(path)?);
    Ok(Found { is_table: true, rows: Some(rows), shape, sha256, ..Found::default() })
}

/// Digest of the bytes of a file.
fn digest(path: &Path) -> Result<String, String> {
    let told = |e: &dyn std::fmt::Display| format!("can't read {}: {e}", path.display());
    let mut file = File::open(path).map_err(|e| told(&e))?;
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 64 << 10]);
    loop {
        let n = file.read(&mut buffer).map_err(|e| told(&e))?;
        if n == 0 {
            return Ok(hex(&hash.finalize()));
        }
        hash.update(&buffer[..n]);
    }
}

/// What is known of the elements so far.
#[derive(Default)]
struct Tally {
    count: u64,
    nonzero: u64,
    sum: ExactSum,
    least: Option<f64>,
    most: Option<f64>,
    labels: BTreeSet<u64>,
    hash: Sha256,
}

fn image(path: &Path) -> Result<Found, String> {
    let options = InputOptions::default();
    let meta = probe(path, &options).map_err(|e| e.to_string())?.array;
    let reader = open(path, &options).map_err(|e| e.to_string())?;
    let (whole, pool) = (meta.region(), Pool::keeping(0));
    let rows = meta.shape.first().copied().unwrap_or(1);
    let step = (BAND * rows / meta.bytes().max(1)).clamp(1, rows.max(1));
    let mut tally = Tally::default();
    for from in (0..rows).step_by(step as usize) {
        let mut band = whole.clone();
        if let (Some(lo), Some(hi)) = (band.lo.first_mut(), band.hi.first_mut()) {
            (*lo, *hi) = (from as i64, (from + step).min(rows) as i64);
        }
        let (block, _) = reader.read(&band, &pool).map_err(|e| e.to_string())?;
        with_dtype!(block.dtype(), T => tally.add::<T>(&block));
    }
    Ok(Found {
        labels: Some(tally.labels.len() as u64),
        count_nonzero: Some(tally.nonzero),
        sum: Some(tally.sum.round()),
        min: tally.least,
        max: tally.most,
        mean: Some(mean(tally.count, &tally.sum)),
        shape: Some(meta.shape.to_vec()),
        dtype: Some(meta.dtype),
        sha256: hex(&tally.hash.finalize()),
        ..Found::default()
    })
}

impl Tally {
    fn add<T: Element>(&mut self, block: &Block) {
        let values = block.as_slice::<T>();
        self.count += values.len() as u64;
        let mut last = None;
        for v in values {
            let (x, key) = (v.to_f64(), v.order_key());
            self.sum.add(x);
            let pick = |old: Option<f64>, less: bool| match old {
                Some(old) if old.is_nan() || (!x.is_nan() && (x < old) != less) => Some(old),
                _ => Some(x),
            };
            (self.least, self.most) = (pick(self.least, true), pick(self.most, false));
            if x != 0.0 {
                self.nonzero += 1;
                if last != Some(key) {
                    self.labels.insert(key);
                    last = Some(key);
                }
            }
        }
        // Elements lie as the machine has them; every machine the engine is built for is little-endian.
        const { assert!(cfg!(target_endian = "little"), "the digest is of little-endian elements") };
        self.hash.update(block.bytes());
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

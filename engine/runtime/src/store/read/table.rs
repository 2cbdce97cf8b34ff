//! Tables that a run wrote, read back to be checked.

use super::{corrupt, io};
use crate::store::StoreError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use std::fs::File;
use std::path::Path;

/// Rows and columns of a Parquet file. Every page is read and decompressed, so that a damaged file has none.
///
/// # Errors
/// When the file can't be opened or is no Parquet, or holds other than its footer says.
pub fn extent(path: &Path) -> Result<(u64, u64), StoreError> {
    let file = File::open(path).map_err(|e| io(path, "opening", &e))?;
    let told = |e: parquet::errors::ParquetError| corrupt(path, format!("not a Parquet file that can be read: {e}"));
    let reader = SerializedFileReader::new(file).map_err(told)?;
    let meta = reader.metadata().file_metadata();
    let (said, columns) = (u64::try_from(meta.num_rows()).unwrap_or(0), meta.schema_descr().num_columns() as u64);
    let mut rows = 0;
    for row in reader.get_row_iter(None).map_err(told)? {
        row.map_err(told)?;
        rows += 1;
    }
    if rows != said {
        return Err(corrupt(path, format!("{rows} rows, expected {said} by its footer")));
    }
    Ok((rows, columns))
}

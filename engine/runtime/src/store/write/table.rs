//! Writing tables: CSV and Apache Parquet.

use super::names::partial_name;
use super::replace::give_name;
use crate::store::StoreError;
use crate::store::read::{io, lower, unsupported};
use engine_model::spec::workflow::Format;
use ops_core::{ColumnData, Table};
use parquet::basic::{LogicalType, Repetition, Type as Physical};
use parquet::data_type::{DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

/// Rows of a Parquet row group.
const ROW_GROUP: usize = 1 << 20;

/// Writes a table; gives the bytes of the file. With `sync` it has reached the disk when this returns.
///
/// CSV has a header line, floats in the shortest form that reads back as the same value, and nothing for NaN. Parquet
/// has required columns of `UINT_64`, `INT_64` and `DOUBLE`, uncompressed, a million rows to a group.
///
/// # Errors
/// When the format is none for tables, or storage says no.
pub fn write_table(format: Format, path: &Path, table: &Table, sync: bool) -> Result<u64, StoreError> {
    let partial = partial_name(path);
    let file = File::create(&partial).map_err(|e| io(&partial, "creating", &e))?;
    let written = match format {
        Format::Csv => csv(&file, table),
        Format::Parquet => parquet(&file, table),
        other => {
            let name = other.name();
            Err(std::io::Error::other(format!("{name} holds arrays, this is a table; use `format: csv` or `parquet`")))
        }
    };
    let written = written.and_then(|()| {
        if sync {
            file.sync_all()?;
        }
        Ok(file.metadata()?.len())
    });
    let written = written.map_err(|e| match format.is_table() {
        true => io(path, "writing", &e),
        false => unsupported(path, lower(&e.to_string())),
    });
    let done = written.and_then(|bytes| give_name(path, sync).map(|()| bytes));
    done.inspect_err(|_| {
        // The partial file is of no use; what matters is the error that made it so.
        let _ = fs::remove_file(&partial);
    })
}

fn csv(file: &File, table: &Table) -> std::io::Result<()> {
    let mut out = csv::WriterBuilder::new().from_writer(BufWriter::new(file));
    out.write_record(table.columns().iter().map(|c| &c.name))?;
    let mut text = String::new();
    for row in 0..table.rows() {
        for column in table.columns() {
            text.clear();
            match &column.data {
                ColumnData::UInt64(v) => push(&mut text, v[row]),
                ColumnData::Int64(v) => push(&mut text, v[row]),
                ColumnData::Float64(v) if v[row].is_nan() => {}
                ColumnData::Float64(v) => float(&mut text, v[row]),
            }
            out.write_field(&text)?;
        }
        out.write_record(None::<&[u8]>)?;
    }
    out.flush()
}

fn push(text: &mut String, value: impl std::fmt::Display) {
    use std::fmt::Write;
    // Writing to a string can't fail.
    let _ = write!(text, "{value}");
}

/// Shortest digits that read back as the same value; an exponent where plain digits would be long.
fn float(text: &mut String, v: f64) {
    use std::fmt::Write;
    let plain = v == 0.0 || v.is_infinite() || (1e-5..1e16).contains(&v.abs());
    // Writing to a string can't fail.
    let _ = if plain { write!(text, "{v:?}") } else { write!(text, "{v:e}") };
}

fn parquet(file: &File, table: &Table) -> std::io::Result<()> {
    let wrong = |e: ParquetError| std::io::Error::other(e.to_string());
    let mut fields = Vec::new();
    for c in table.columns() {
        let builder = match &c.data {
            ColumnData::UInt64(_) => Type::primitive_type_builder(&c.name, Physical::INT64)
                .with_logical_type(Some(LogicalType::integer(64, false))),
            ColumnData::Int64(_) => Type::primitive_type_builder(&c.name, Physical::INT64)
                .with_logical_type(Some(LogicalType::integer(64, true))),
            ColumnData::Float64(_) => Type::primitive_type_builder(&c.name, Physical::DOUBLE),
        };
        fields.push(Arc::new(builder.with_repetition(Repetition::REQUIRED).build().map_err(wrong)?));
    }
    let schema = Type::group_type_builder("table").with_fields(fields).build().map_err(wrong)?;
    let properties = WriterProperties::builder()
        .set_created_by("engine".into())
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .build();
    let out = BufWriter::new(file);
    let mut writer = SerializedFileWriter::new(out, Arc::new(schema), Arc::new(properties)).map_err(wrong)?;
    let mut first = 0;
    while first < table.rows() {
        let end = (first + ROW_GROUP).min(table.rows());
        let mut group = writer.next_row_group().map_err(wrong)?;
        for c in table.columns() {
            let Some(mut column) = group.next_column().map_err(wrong)? else { break };
            match &c.data {
                ColumnData::UInt64(v) => {
                    let v: Vec<i64> = v[first..end].iter().map(|v| *v as i64).collect();
                    column.typed::<Int64Type>().write_batch(&v, None, None).map_err(wrong)?;
                }
                ColumnData::Int64(v) => {
                    column.typed::<Int64Type>().write_batch(&v[first..end], None, None).map_err(wrong)?;
                }
                ColumnData::Float64(v) => {
                    column.typed::<DoubleType>().write_batch(&v[first..end], None, None).map_err(wrong)?;
                }
            }
            column.close().map_err(wrong)?;
        }
        group.close().map_err(wrong)?;
        first = end;
    }
    writer.into_inner().map_err(wrong)?.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ops_core::Column;
    use parquet::file::reader::{FileReader, SerializedFileReader};

    fn table() -> Table {
        let values = vec![0.1, -2.0, 1e300, f64::NAN, 5e-324];
        Table::new(vec![
            Column { name: "label".into(), data: ColumnData::UInt64(vec![1, 2, 3, u64::MAX, 5]) },
            Column { name: "mean, \"raw\"".into(), data: ColumnData::Float64(values) },
        ])
        .unwrap()
    }

    #[test]
    fn csv_is_quoted_and_shortest() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.csv");
        let bytes = write_table(Format::Csv, &path, &table(), false).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, "label,\"mean, \"\"raw\"\"\"\n1,0.1\n2,-2.0\n3,1e300\n18446744073709551615,\n5,5e-324\n");
        assert_eq!(bytes, text.len() as u64);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn parquet_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.parquet");
        write_table(Format::Parquet, &path, &table(), true).unwrap();
        let reader = SerializedFileReader::new(File::open(&path).unwrap()).unwrap();
        let rows: Vec<String> = reader.get_row_iter(None).unwrap().map(|r| r.unwrap().to_string()).collect();
        assert_eq!(rows.len(), 5);
        assert_eq!(rows[0], "{label: 1, mean, \"raw\": 0.1}");
        assert!(rows[3].starts_with("{label: 18446744073709551615, "), "{}", rows[3]);
        let none = Table::new(vec![]).unwrap();
        let e = write_table(Format::Png, &path, &none, false).unwrap_err().to_string();
        assert!(e.contains("png holds arrays"), "{e}");
    }
}

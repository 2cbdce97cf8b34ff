use super::*;
use serde_json::json;

/// A 2 x 3 image of `values` as PNG, and a table of two rows.
fn outputs(dir: &Path, values: [u8; 6]) -> Vec<Written> {
    let masks = dir.join("Mask");
    std::fs::create_dir(&masks).unwrap();
    for stem in ["a", "mask-7"] {
        let image = image::GrayImage::from_raw(3, 2, values.to_vec()).unwrap();
        image.save(masks.join(format!("{stem}.png"))).unwrap();
    }
    std::fs::write(dir.join("Table.csv"), "label,mean\n1,0.5\n2,NaN\n").unwrap();
    let written = |name: &str, format: &str, path: PathBuf| Written {
        name: name.into(),
        format: format.into(),
        path,
        entries: 1,
        bytes: 1,
    };
    vec![written("Mask", "png", masks), written("Table", "csv", dir.join("Table.csv"))]
}

fn told(expect: serde_json::Value) -> (u64, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let expect = serde_json::from_value(expect).unwrap();
    let (count, wrong) = check(&expect, &outputs(dir.path(), [0, 1, 1, 3, 0, 3]));
    let told = wrong.into_iter().map(|m| format!("{} {}: {} / {} @{}", m.of, m.what, m.expected, m.found, m.at));
    (count, told.collect())
}

#[test]
fn every_statistic_is_that_of_the_decoded_elements() {
    // SHA-256 of the six bytes 00 01 01 03 00 03.
    let sha = "b184a22b780bd13c403db4577d00bff99ca080410a402e3ee9c80e75a35a2dee";
    let right = json!({"labels": 2, "count_nonzero": 4, "sum": 8.0, "min": 0, "max": 3, "mean": 1.3333333333333333,
        "shape": [2, 3], "dtype": "uint8", "sha256": sha});
    let (count, wrong) = told(json!({"outputs": {"Mask": {"a": right.clone(), "7": right.clone(), "*": right}}}));
    assert_eq!((count, wrong), (36, vec![]));
}

#[test]
fn what_differs_is_told_with_both_sides() {
    let wrong = json!({"labels": 3, "sum": 8.1, "shape": [3, 2], "dtype": "uint16", "rows": 2});
    let (count, told) = told(json!({"outputs": {"Mask": {"a": wrong}}}));
    let at = "@/outputs/Mask/a";
    let expected = [
        format!("Mask/a labels: 3 / 2 {at}/labels"),
        format!("Mask/a rows: 2 / an array, which has none {at}/rows"),
        format!("Mask/a sum: 8.1 / 8 {at}/sum"),
        format!("Mask/a shape: [3, 2] / [2, 3] {at}/shape"),
        format!("Mask/a dtype: uint16 / uint8 {at}/dtype"),
    ];
    assert_eq!((count, told), (5, expected.to_vec()));
}

#[test]
fn a_tolerance_is_relative() {
    let within = |sum: f64, tolerance: f64| {
        let (_, told) = told(json!({"outputs": {"Mask": {"a": {"sum": sum, "tolerance": tolerance}}}}));
        told.is_empty()
    };
    assert!(within(8.0, 0.0) && within(8.001, 1e-3) && !within(8.001, 1e-5));
}

#[test]
fn tables_have_rows_and_what_is_missing_is_named() {
    assert_eq!(told(json!({"outputs": {"Table": {"Table": {"rows": 2, "shape": [2, 2]}}}})), (2, vec![]));
    let (_, wrong) = told(json!({"outputs": {"Table": {"*": {"rows": 3, "labels": 1}}}}));
    assert_eq!(wrong[0], "Table labels: 1 / a table, which has none @/outputs/Table/*/labels");
    assert_eq!(wrong[1], "Table rows: 3 / 2 @/outputs/Table/*/rows");
    let (_, wrong) = told(json!({"outputs": {"Mask": {"b": {"rows": 3}}, "None": {"*": {"rows": 1}}}}));
    assert_eq!(wrong[0], "Mask/b item: a file / only a, mask-7 @/outputs/Mask/b");
    assert_eq!(wrong[1], "None/* item: a file / none @/outputs/None/*");
}

#[test]
fn a_damaged_file_is_a_mismatch() {
    let dir = tempfile::tempdir().unwrap();
    let written = outputs(dir.path(), [0; 6]);
    std::fs::write(dir.path().join("Mask/a.png"), "no image").unwrap();
    let expect = serde_json::from_value(json!({"outputs": {"Mask": {"a": {"labels": 0}}}})).unwrap();
    let (_, wrong) = check(&expect, &written);
    assert_eq!((wrong.len(), wrong[0].what.as_str()), (1, "content"));
}

#[test]
fn a_parquet_table_is_read_back_and_a_damaged_one_refused() {
    use engine_runtime::store::write::write_table;
    use ops_core::{Column, ColumnData, Table};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("Table.parquet");
    let columns = vec![
        Column { name: "label".into(), data: ColumnData::UInt64(vec![1, 2, u64::MAX]) },
        Column { name: "mean".into(), data: ColumnData::Float64(vec![0.5, f64::NAN, -1.0]) },
    ];
    write_table(Format::Parquet, &path, &Table::new(columns).unwrap(), false).unwrap();
    let found = Found::read(&path, "parquet").unwrap();
    assert_eq!((found.is_table, found.rows, found.shape), (true, Some(3), Some(vec![3, 2])));
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 9]).unwrap();
    assert!(Found::read(&path, "parquet").unwrap_err().contains("not a Parquet file"));
}

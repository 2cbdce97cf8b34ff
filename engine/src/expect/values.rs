//! The numbers that reductions found, as `Reports/values.yaml` records them.

use super::{Mismatch, TOLERANCE, escape};
use engine_model::spec::file::ExpectFile;
use serde::Deserialize;
use std::path::Path;

/// One entry of the record.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Value {
    node: String,
    item: Option<String>,
    numbers: Vec<f64>,
}

/// The numbers that a run recorded; none where it found none.
///
/// # Errors
/// Why the file can't be read, in words.
pub fn read(run: &Path) -> Result<Vec<Value>, String> {
    let path = run.join("Reports").join("values.yaml");
    let told = |e: &dyn std::fmt::Display| format!("can't read {}: {e}", path.display());
    match std::fs::read_to_string(&path) {
        Ok(text) => serde_yaml::from_str(&text).map_err(|e| told(&e)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(told(&e)),
    }
}

/// Compares recorded numbers with those expected; gives the number of comparisons and those that do not hold.
pub fn check(expect: &ExpectFile, recorded: &[Value]) -> (u64, Vec<Mismatch>) {
    let (mut count, mut wrong) = (0, Vec::new());
    for (node, items) in &expect.values {
        let of_node: Vec<&Value> = recorded.iter().filter(|v| v.node == *node).collect();
        for (key, expected) in items {
            let at = format!("/values/{}/{}", escape(node), escape(key));
            let names = |v: &&&Value| key == "*" || v.item.as_deref().unwrap_or(node) == key;
            let met: Vec<&&Value> = of_node.iter().filter(names).collect();
            let tolerance = expected.tolerance.unwrap_or(TOLERANCE);
            let mut tell = |of: String, found: String| {
                let (what, expected) = ("numbers".to_owned(), list(&expected.numbers));
                wrong.push(Mismatch { of, what, expected, found, at: at.clone() });
            };
            if met.is_empty() {
                count += 1;
                let known: Vec<&str> = match of_node.is_empty() {
                    true => recorded.iter().map(|v| v.node.as_str()).collect(),
                    false => of_node.iter().map(|v| v.item.as_deref().unwrap_or(node)).collect(),
                };
                let mut known: Vec<&str> = known;
                known.sort_unstable();
                known.dedup();
                known.truncate(5);
                let only = if known.is_empty() { "none".to_owned() } else { format!("only {}", known.join(", ")) };
                tell(format!("{node}/{key}"), only);
            }
            for value in met {
                count += 1;
                let close = |(x, y): (&f64, &f64)| x == y || (x - y).abs() <= tolerance * y.abs();
                let same = value.numbers.len() == expected.numbers.len();
                if !same || !value.numbers.iter().zip(&expected.numbers).all(close) {
                    tell(format!("{node}/{}", value.item.as_deref().unwrap_or(node)), list(&value.numbers));
                }
            }
        }
    }
    (count, wrong)
}

fn list(numbers: &[f64]) -> String {
    format!("[{}]", numbers.iter().map(f64::to_string).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const RECORD: &str = "# values 1\n- {node: mask.otsu, item: a, numbers: [12.5]}\n\
        - {node: mask.otsu, item: b, numbers: [13.0]}\n- {node: even.min_max, item: null, numbers: [0.0, 255.0]}\n";

    fn told(expect: serde_json::Value) -> (u64, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("Reports")).unwrap();
        std::fs::write(dir.path().join("Reports/values.yaml"), RECORD).unwrap();
        let expect = serde_json::from_value(json!({"values": expect})).unwrap();
        let (count, wrong) = check(&expect, &read(dir.path()).unwrap());
        let told = wrong.into_iter().map(|m| format!("{} {} / {} @{}", m.of, m.expected, m.found, m.at));
        (count, told.collect())
    }

    #[test]
    fn numbers_are_compared_by_node_and_item() {
        let right = json!({"mask.otsu": {"a": {"numbers": [12.5]}, "*": {"numbers": [12.75], "tolerance": 0.02}},
            "even.min_max": {"even.min_max": {"numbers": [0, 255]}}});
        assert_eq!(told(right), (4, vec![]));
        let wrong = json!({"mask.otsu": {"b": {"numbers": [12.5]}}, "even.min_max": {"*": {"numbers": [0]}}});
        let expected = [
            "even.min_max/even.min_max [0] / [0, 255] @/values/even.min_max/*",
            "mask.otsu/b [12.5] / [13] @/values/mask.otsu/b",
        ];
        assert_eq!(told(wrong), (2, expected.map(str::to_owned).to_vec()));
    }

    #[test]
    fn what_was_not_recorded_is_named() {
        let (_, node) = told(json!({"mask": {"a": {"numbers": [1]}}}));
        assert_eq!(node, ["mask/a [1] / only even.min_max, mask.otsu @/values/mask/a"]);
        let (_, item) = told(json!({"mask.otsu": {"c": {"numbers": [1]}}}));
        assert_eq!(item, ["mask.otsu/c [1] / only a, b @/values/mask.otsu/c"]);
        let nothing = tempfile::tempdir().unwrap();
        assert_eq!(read(nothing.path()), Ok(vec![]));
    }
}

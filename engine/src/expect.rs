//! What `engine test` compares: the decoded elements of an output, or the rows of a table, with what a workflow expects.

mod content;
pub mod values;

pub use content::Found;

use engine_model::spec::file::{ContentFile, ExpectFile};
use engine_model::spec::workflow::Format;
use engine_runtime::exec::outputs::Written;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// How far floats may be off, relative to what is expected.
const TOLERANCE: f64 = 1e-9;

/// An expectation that does not hold.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Mismatch {
    /// The output and the item, such as `Labeled/tile-1`.
    pub of: String,
    /// What was compared, such as `labels`.
    pub what: String,
    /// What was expected.
    pub expected: String,
    /// What was found.
    pub found: String,
    /// JSON pointer of the expectation below `expect`.
    #[serde(skip)]
    pub at: String,
}

/// Compares all that was written; gives the number of comparisons and those that do not hold.
pub fn check(expect: &ExpectFile, written: &[Written]) -> (u64, Vec<Mismatch>) {
    let (mut count, mut wrong) = (0, Vec::new());
    for (name, items) in &expect.outputs {
        let at = |key: &str| format!("/outputs/{}/{}", escape(name), escape(key));
        let output = written.iter().find(|w| w.name == *name);
        let files = output.map(files).unwrap_or_default();
        // Each file is decoded once, whatever is said of it.
        let mut wanted: BTreeMap<&str, Vec<(&str, &ContentFile)>> = BTreeMap::new();
        for (key, content) in items {
            let mut met = false;
            for stem in files.keys().filter(|stem| names(key, stem, name)) {
                wanted.entry(stem).or_default().push((key, content));
                met = true;
            }
            if !met {
                count += 1;
                let known: Vec<&str> = files.keys().take(5).map(String::as_str).collect();
                let found = if known.is_empty() { "none".into() } else { format!("only {}", known.join(", ")) };
                let (of, expected) = (format!("{name}/{key}"), "a file".to_owned());
                wrong.push(Mismatch { of, what: "item".into(), expected, found, at: at(key) });
            }
        }
        for (stem, expected) in wanted {
            let of = if files.len() == 1 && stem == name { name.clone() } else { format!("{name}/{stem}") };
            let found = files.get(stem).map(|path| Found::read(path, output.map_or("", |o| o.format.as_str())));
            match found {
                Some(Ok(found)) => {
                    for (key, content) in expected {
                        compare(content, &found, &mut count, &mut |what, expected, found| {
                            let at = format!("{}/{what}", at(key));
                            wrong.push(Mismatch { of: of.clone(), what: what.into(), expected, found, at });
                        });
                    }
                }
                Some(Err(why)) => {
                    count += 1;
                    let key = expected.first().map_or("", |e| e.0);
                    let expected = "a file that can be read".to_owned();
                    wrong.push(Mismatch { of, what: "content".into(), expected, found: why, at: at(key) });
                }
                None => {}
            }
        }
    }
    (count, wrong)
}

/// The files of an output by stem; the one file of an output that is not a family goes by the output's name.
fn files(output: &Written) -> BTreeMap<String, PathBuf> {
    let single = Format::ALL.iter().any(|f| output.path.to_string_lossy().ends_with(&format!(".{}", f.extension())));
    if single {
        return BTreeMap::from([(output.name.clone(), output.path.clone())]);
    }
    let format = Format::ALL.into_iter().find(|f| f.name() == output.format);
    let end = format!(".{}", format.map_or("", Format::extension));
    let stem = |p: &Path| p.file_name()?.to_str()?.strip_suffix(&end).map(str::to_owned);
    let entries = std::fs::read_dir(&output.path).into_iter().flatten().flatten().map(|e| e.path());
    entries.filter_map(|p| Some((stem(&p)?, p))).collect()
}

/// True when a key of `expect` names the file of that stem: `*`, the stem, or the number behind the output's name.
fn names(key: &str, stem: &str, output: &str) -> bool {
    let number = stem.strip_prefix(&output.to_lowercase()).and_then(|rest| rest.strip_prefix('-'));
    key == "*" || key == stem || (number == Some(key) && key.bytes().all(|b| b.is_ascii_digit()))
}

fn compare(content: &ContentFile, found: &Found, count: &mut u64, wrong: &mut dyn FnMut(&'static str, String, String)) {
    let kind = if found.is_table { "a table, which has none" } else { "an array, which has none" };
    let mut tell = |what, expected: String, found: Option<String>, equal: bool| {
        *count += 1;
        if !equal {
            wrong(what, expected, found.unwrap_or_else(|| kind.to_owned()));
        }
    };
    let whole = [
        ("labels", content.labels, found.labels),
        ("count_nonzero", content.count_nonzero, found.count_nonzero),
        ("rows", content.rows, found.rows),
    ];
    for (what, expected, found) in whole {
        if let Some(expected) = expected {
            tell(what, expected.to_string(), found.map(|n| n.to_string()), found == Some(expected));
        }
    }
    let tolerance = content.tolerance.unwrap_or(TOLERANCE);
    let real = [
        ("sum", content.sum, found.sum),
        ("min", content.min, found.min),
        ("max", content.max, found.max),
        ("mean", content.mean, found.mean),
    ];
    for (what, expected, found) in real {
        if let Some(expected) = expected {
            let close = |x: f64| x == expected || (x - expected).abs() <= tolerance * expected.abs();
            tell(what, expected.to_string(), found.map(|x| x.to_string()), found.is_some_and(close));
        }
    }
    if let Some(expected) = &content.shape {
        let text = |s: &[u64]| format!("[{}]", s.iter().map(u64::to_string).collect::<Vec<_>>().join(", "));
        tell("shape", text(expected), found.shape.as_deref().map(text), found.shape.as_ref() == Some(expected));
    }
    if let Some(expected) = content.dtype {
        tell("dtype", expected.to_string(), found.dtype.map(|d| d.to_string()), found.dtype == Some(expected));
    }
    if let Some(expected) = &content.sha256 {
        tell("sha256", expected.clone(), Some(found.sha256.clone()), found.sha256 == *expected);
    }
}

/// A key as part of a JSON pointer.
fn escape(key: &str) -> String {
    engine_model::spec::tree::escape(key)
}

#[cfg(test)]
mod tests;

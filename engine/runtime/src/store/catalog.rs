//! The files that a workflow names.

use super::natural;
use super::read::{InputOptions, generate, probe};
use engine_model::catalog::{Catalog, Items, SourceError, SourceMeta, SourceProblem};
use engine_model::place;
use engine_model::spec::workflow::{InputDecl, InputSource};
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// Names offered for one that does not exist.
const SIMILAR: usize = 3;

/// Entries of a directory that are looked at for similar names.
const LOOKED_AT: usize = 10_000;

/// A [`Catalog`] of the file system.
///
/// Names come in natural order: `img2` before `img10`, capitals before small letters.
/// Headers are read in parallel on the rayon pool that the caller is in.
#[derive(Debug, Clone, Copy, Default)]
pub struct FileCatalog;

impl Catalog for FileCatalog {
    fn items(&self, input: &InputDecl) -> (Items, Vec<SourceError>) {
        let single = |path: &str, problem| vec![SourceError { path: path.into(), problem, similar: vec![] }];
        let Some(options) = InputOptions::of(input) else {
            let text = input.axes.as_ref().map(|a| a.value.clone()).unwrap_or_default();
            let problem =
                SourceProblem::Unsupported(format!("`axes: {text}` has a letter that is repeated or none of tczyx"));
            return (Items::default(), single(&input.name.value, problem));
        };
        match &input.source {
            InputSource::Generate(g) => match generate::meta(&g.value) {
                Ok(meta) => (Items::generated(g.value.items.unwrap_or(1), meta), vec![]),
                Err(text) => (Items::default(), single(&input.name.value, SourceProblem::Unsupported(text))),
            },
            InputSource::Path(p) => {
                let path = place::join(&input.base, &p.value);
                collect(vec![path], &options)
            }
            InputSource::Foreach(pattern) => match matches(&input.base, &pattern.value) {
                Ok((paths, mut errors)) if paths.is_empty() => {
                    if errors.is_empty() {
                        let similar = similar(&input.base.join(&pattern.value));
                        let path = pattern.value.clone();
                        errors.push(SourceError { path, problem: SourceProblem::NoMatch, similar });
                    }
                    (Items::default(), errors)
                }
                Ok((paths, mut errors)) => {
                    let (items, more) = collect(paths, &options);
                    errors.extend(more);
                    (items, errors)
                }
                Err(text) => (Items::default(), single(&pattern.value, SourceProblem::Pattern(text))),
            },
        }
    }
}

/// The files that a pattern matches, in natural order, and the directories that could not be read.
fn matches(base: &Path, pattern: &str) -> Result<(Vec<PathBuf>, Vec<SourceError>), String> {
    // The directory itself is no pattern, whatever characters it has.
    let from = if Path::new(pattern).is_absolute() {
        pattern.to_string()
    } else {
        let base = base.to_str().ok_or_else(|| format!("the directory {} is not UTF-8", base.display()))?;
        let base = glob::Pattern::escape(base);
        if base.is_empty() { pattern.to_string() } else { format!("{}/{pattern}", base.trim_end_matches('/')) }
    };
    let options =
        glob::MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };
    let found = glob::glob_with(&from, options).map_err(|e| {
        let at = e.pos.saturating_sub(from.chars().count() - pattern.chars().count());
        format!("{} at character {}", e.msg.to_lowercase(), at + 1)
    })?;
    let (mut paths, mut errors) = (Vec::new(), Vec::new());
    for entry in found {
        match entry {
            Ok(path) => match path.to_str() {
                Some(name) => paths.push((name.to_string(), path)),
                None => errors.push(unreadable(&path, "the name is not UTF-8".into())),
            },
            Err(e) => errors.push(unreadable(e.path(), format!("listing failed: {}", e.error()))),
        }
    }
    paths.sort_by(|a, b| natural::compare(&a.0, &b.0));
    Ok((paths.into_iter().map(|(_, p)| p).collect(), errors))
}

fn unreadable(path: &Path, text: String) -> SourceError {
    SourceError { path: path.display().to_string(), problem: SourceProblem::Unreadable(text), similar: vec![] }
}

/// Reads every header, many at a time; the order stays.
fn collect(paths: Vec<PathBuf>, options: &InputOptions) -> (Items, Vec<SourceError>) {
    let one = |path: &PathBuf| {
        probe(path, options).map_err(|e| SourceError {
            path: path.display().to_string(),
            problem: e.problem(),
            similar: if place::is_remote(path) || path.exists() { vec![] } else { similar(path) },
        })
    };
    let probed: Vec<Result<SourceMeta, SourceError>> = match &paths[..] {
        // Threads are not started for a single one.
        [path] => vec![one(path)],
        _ => paths.par_iter().map(one).collect(),
    };
    let (mut items, mut errors) = (Items::default(), Vec::new());
    for (path, result) in paths.iter().zip(probed) {
        match result {
            Ok(meta) => items.push(path, meta),
            Err(e) => errors.push(e),
        }
    }
    (items, errors)
}

/// Paths that exist and look like this one: its deepest existing directory is listed.
fn similar(path: &Path) -> Vec<String> {
    let mut dir = path;
    let mut missing = None;
    while let Some(parent) = dir.parent() {
        missing = dir.file_name();
        dir = parent;
        if dir.as_os_str().is_empty() || dir.is_dir() {
            break;
        }
    }
    let Some(missing) = missing.and_then(|m| m.to_str()) else { return vec![] };
    let listed = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    let Ok(entries) = std::fs::read_dir(listed) else { return vec![] };
    let mut names: Vec<(usize, String)> = entries
        .take(LOOKED_AT)
        .filter_map(|e| e.ok()?.file_name().into_string().ok())
        .filter(|n| !n.starts_with('.'))
        .map(|n| (distance(missing, &n), n))
        .filter(|(d, n)| *d <= missing.len().max(n.len()).div_ceil(3))
        .collect();
    names.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| natural::compare(&a.1, &b.1)));
    names.into_iter().take(SIMILAR).map(|(_, n)| dir.join(n).display().to_string()).collect()
}

/// Edit distance (Levenshtein), capitals counting as small letters; bytes beyond 256 count as they are.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().flat_map(char::to_lowercase).take(256).collect();
    let b: Vec<char> = b.chars().flat_map(char::to_lowercase).take(256).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut corner = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = corner + usize::from(x != y);
            corner = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine_model::diag::Span;
    use engine_model::spec::workflow::{Channels, OnError, Spanned};

    fn decl(base: &Path, source: InputSource) -> InputDecl {
        InputDecl {
            name: Spanned::new("image".into(), Span::default()),
            source,
            base: base.into(),
            channels: Channels::All,
            axes: None,
            level: None,
            on_error: OnError::Stop,
            batch: None,
        }
    }

    fn foreach(pattern: &str) -> InputSource {
        InputSource::Foreach(Spanned::new(pattern.into(), Span::default()))
    }

    fn png(path: &Path, w: u32, h: u32) {
        let mut e = png::Encoder::new(std::fs::File::create(path).unwrap(), w, h);
        e.set_color(png::ColorType::Grayscale);
        e.write_header().unwrap().write_image_data(&vec![0; (w * h) as usize]).unwrap();
    }

    #[test]
    fn a_family_keeps_natural_order_and_tells_of_every_bad_file() {
        // Brackets in the directory's own name are no pattern.
        let dir = tempfile::Builder::new().prefix("cat[1]").tempdir().unwrap();
        for (i, n) in [10u32, 9, 1, 100, 2].iter().enumerate() {
            png(&dir.path().join(format!("img{n}.png")), 4 + (i as u32 % 2), 3);
        }
        std::fs::write(dir.path().join("img3.png"), b"not an image").unwrap();
        std::fs::write(dir.path().join("img4.png"), b"").unwrap();
        let (items, errors) = FileCatalog.items(&decl(dir.path(), foreach("img*.png")));
        let stems: Vec<String> = (0..items.len()).map(|i| items.stem(i)).collect();
        assert_eq!(stems, ["img1", "img2", "img9", "img10", "img100"]);
        assert_eq!(items.distinct().len(), 2);
        assert_eq!(items.meta(4).array.shape.as_slice(), [3, 5]);
        assert_eq!(errors.len(), 2);
        assert!(matches!(&errors[0].problem, SourceProblem::Unsupported(m) if m.contains("6e 6f 74 20")), "{errors:?}");
        assert_eq!(errors[1].problem, SourceProblem::Corrupt("the file is empty".into()));
    }

    #[test]
    fn what_does_not_exist_is_named_with_what_does() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("images")).unwrap();
        png(&dir.path().join("images/nuclei.png"), 2, 2);
        png(&dir.path().join("images/other-thing.png"), 2, 2);
        let (items, errors) = FileCatalog.items(&decl(dir.path(), foreach("image/*.png")));
        assert!(items.is_empty());
        assert_eq!(errors[0].problem, SourceProblem::NoMatch);
        assert_eq!(errors[0].similar, [dir.path().join("images").display().to_string()]);
        let one = InputSource::Path(Spanned::new("images/Nucleii.png".into(), Span::default()));
        let (_, errors) = FileCatalog.items(&decl(dir.path(), one));
        assert!(matches!(errors[0].problem, SourceProblem::Unreadable(_)));
        assert_eq!(errors[0].similar, [dir.path().join("images/nuclei.png").display().to_string()]);
        let (_, errors) = FileCatalog.items(&decl(dir.path(), foreach("images/a**b.png")));
        assert!(matches!(&errors[0].problem, SourceProblem::Pattern(m) if m.contains("character 8")), "{errors:?}");
    }

    #[test]
    fn edit_distance_by_hand() {
        assert_eq!(distance("kitten", "Sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }
}

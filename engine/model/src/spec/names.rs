//! Names: what is allowed, and what was probably meant.

use crate::diag::{Sources, Span};

/// True for a name of a step, input or parameter: a letter or `_`, then letters, digits, `_` and `-`.
pub fn is_identifier(s: &str) -> bool {
    s.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && s.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

/// A name made of the allowed characters of this one, as a proposal.
pub fn to_identifier(s: &str) -> String {
    let mut out: String =
        s.trim().chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' }).collect();
    if !out.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        out.insert(0, '_');
    }
    out
}

/// The candidate that is nearest to a misspelt name; `None` when none is near.
///
/// Case and the difference between `_`, `-` and space count for nothing; else at most a third of the letters, and never
/// more than three, may differ (Damerau-Levenshtein distance).
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |s: &str| s.to_lowercase().replace(['-', ' '], "_");
    let wanted = plain(name);
    let limit = (wanted.chars().count().max(3) / 3).min(3);
    candidates
        .into_iter()
        .filter(|c| *c != name)
        .map(|c| (strsim::damerau_levenshtein(&wanted, &plain(c)), c))
        .filter(|(distance, c)| *distance <= limit && *distance < c.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, c)| c)
}

/// Names in quotes, for messages: at most twelve, then how many more.
pub fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    if names.is_empty() {
        return "none".into();
    }
    let mut out = names.iter().take(12).map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
    if names.len() > 12 {
        out.push_str(&format!(" and {} more", names.len() - 12));
    }
    out
}

/// A position in words, `file:line`.
pub fn place(sources: &Sources, span: Span) -> String {
    let (line, _) = sources.line_column(span);
    match sources.get(span.file) {
        Some(f) => format!("{}:{line}", f.path.display()),
        None => format!("line {line}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_takes_typos_and_not_strangers() {
        let names = ["gaussian", "grayscale", "label", "threshold"];
        assert_eq!(nearest("gausian", names), Some("gaussian"));
        assert_eq!(nearest("Gray-Scale", names), Some("grayscale"));
        assert_eq!(nearest("lable", names), Some("label"));
        assert_eq!(nearest("GAUSSIAN", names), Some("gaussian"));
        assert_eq!(nearest("median", names), None);
        assert_eq!(nearest("ab", ["xy", "ac"]), Some("ac"));
    }

    #[test]
    fn identifiers() {
        assert!(is_identifier("_a-1") && !is_identifier("1a") && !is_identifier("a b") && !is_identifier(""));
        assert_eq!(to_identifier("1 a/b"), "_1_a_b");
    }
}

//! Places that a workflow names: paths of the file system, and URLs of stores elsewhere.
//!
//! A URL travels as the text of a [`Path`], so that a name below it is joined as below any other place. Only what names
//! a store by its whole text is a URL here: one that carries a password or a signature is refused, since places are
//! written to records, spans and messages.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

/// How the store behind a URL is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scheme {
    /// `s3://bucket/key`: S3 and what speaks as it does.
    S3,
    /// `http://host/path`: read only.
    Http,
    /// `https://host/path`: read only.
    Https,
    /// `memory://name/key`: inside this process.
    Memory,
}

impl Scheme {
    const ALL: [Scheme; 4] = [Scheme::S3, Scheme::Http, Scheme::Https, Scheme::Memory];

    /// As it is written in front of `://`.
    pub fn name(self) -> &'static str {
        match self {
            Scheme::S3 => "s3",
            Scheme::Http => "http",
            Scheme::Https => "https",
            Scheme::Memory => "memory",
        }
    }

    /// True where stores can be written.
    pub fn is_writable(self) -> bool {
        matches!(self, Scheme::S3 | Scheme::Memory)
    }
}

/// A URL in its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Url<'a> {
    /// How it is reached.
    pub scheme: Scheme,
    /// The bucket, the host with its port, or the name in memory.
    pub authority: &'a str,
    /// What follows, without a slash at either end.
    pub path: &'a str,
}

/// True for a text that is meant as a URL, whether it can be used or not.
pub fn is_url(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, _)| {
        let letter = |c: char| c.is_ascii_alphanumeric() || "+.-".contains(c);
        scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(letter)
    })
}

/// True for a path whose text is a URL.
pub fn is_remote(path: &Path) -> bool {
    path.to_str().is_some_and(is_url)
}

/// The parts of a URL.
///
/// # Errors
/// What is wrong with it, in words that repeat no secret.
pub fn url(text: &str) -> Result<Url<'_>, String> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let Some(scheme) = Scheme::ALL.into_iter().find(|s| s.name() == scheme) else {
        let known: Vec<String> = Scheme::ALL.iter().map(|s| format!("`{}://`", s.name())).collect();
        return Err(format!("expected a path, or a URL that starts with {}, found `{scheme}://`", known.join(", ")));
    };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    if authority.contains('@') {
        return Err("a URL with a user name or password in it, which would be written to records".into());
    }
    if let Some(c) = text.chars().find(|c| matches!(c, '?' | '#')) {
        let what = if c == '?' { "a query, such as a signature" } else { "a fragment" };
        return Err(format!("a URL with {what} behind `{c}`; keys of the store are added to its end"));
    }
    if authority.is_empty() {
        return Err(format!("`{text}` names no {}", if scheme == Scheme::S3 { "bucket" } else { "host" }));
    }
    if text.chars().any(|c| c.is_control() || c == '\\' || c.is_whitespace()) {
        return Err(format!("{text:?} has a space, a backslash or a control character"));
    }
    let path = path.trim_end_matches('/');
    if !path.is_empty() && path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(format!("`{text}` has a part that is empty, `.` or `..`"));
    }
    Ok(Url { scheme, authority, path })
}

/// What to do about a URL that can't be used.
pub const HELP: &str = "write `s3://BUCKET/KEY`, `http://HOST/PATH` or `https://HOST/PATH`; credentials come from the \
                        environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)";

/// The place that a text means which was written where relative paths start at `base`.
pub fn join(base: &Path, text: &str) -> PathBuf {
    match is_url(text) {
        true => PathBuf::from(text.trim_end_matches('/')),
        false => base.join(text),
    }
}

/// A path that may be a URL, from a directory.
pub fn join_path(base: &Path, path: &Path) -> PathBuf {
    if is_remote(path) { path.into() } else { base.join(path) }
}

/// A text in which the passwords and queries of URLs are covered by `*`, byte by byte, so that places in it stay.
pub fn covered(text: &str) -> Cow<'_, str> {
    let ends = |c: char| c.is_whitespace() || "\"'`<>{}".contains(c);
    let mut out: Option<String> = None;
    let mut from = 0;
    while let Some(at) = text.get(from..).and_then(|rest| rest.find("://")) {
        let start = from + at + 3;
        let rest = &text[start..];
        let len = rest.find(ends).unwrap_or(rest.len());
        let (url, end) = (&rest[..len], start + len);
        let host = url.find(['/', '?', '#']).unwrap_or(len);
        let secret = url[..host].rfind('@').map(|n| (start, start + n));
        let query = url.find('?').map(|n| (start + n + 1, end));
        for (lo, hi) in [secret, query].into_iter().flatten() {
            let whole = out.get_or_insert_with(|| text.to_owned());
            whole.replace_range(lo..hi, &"*".repeat(hi - lo));
        }
        from = end;
    }
    out.map_or(Cow::Borrowed(text), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_come_apart() {
        let s3 = url("s3://bucket/a/b.zarr/").unwrap();
        assert_eq!((s3.scheme, s3.authority, s3.path), (Scheme::S3, "bucket", "a/b.zarr"));
        let http = url("http://127.0.0.1:8080/x").unwrap();
        assert_eq!((http.scheme, http.authority, http.path), (Scheme::Http, "127.0.0.1:8080", "x"));
        assert_eq!(url("memory://only").unwrap().path, "");
        assert!(!Scheme::Https.is_writable() && Scheme::Memory.is_writable());
    }

    #[test]
    fn what_is_no_place_is_refused_without_its_secret() {
        let all = ["s3://k:hunter2@b/x", "https://h/x?X-Amz-Signature=hunter2", "ftp://h/x", "s3:///x", "s3://b/a//b"];
        for text in all.into_iter().chain(["s3://b/../c", "https://h/x#hunter2", "s3://b/a b", "S3://b/x"]) {
            let refused = url(text).unwrap_err();
            assert!(!refused.contains("hunter2"), "{refused}");
        }
    }

    #[test]
    fn urls_are_not_joined_to_a_directory() {
        let base = Path::new("/data/here");
        assert_eq!(join(base, "s3://b/k.zarr/"), Path::new("s3://b/k.zarr"));
        assert_eq!(join(base, "s3://b/k.zarr").to_str(), Some("s3://b/k.zarr"));
        assert_eq!(join(base, "k.zarr"), Path::new("/data/here/k.zarr"));
        // A drive, and a name with a colon, are paths.
        assert!(!is_url("C:/x") && !is_url("a:b") && !is_url("./a://b") && is_url("ftp://x"));
        let below = join(base, "s3://b/k.zarr").join("0");
        assert_eq!((below.to_str(), is_remote(&below)), (Some("s3://b/k.zarr/0"), true));
        assert_eq!(below.with_file_name("0.lock").to_str(), Some("s3://b/k.zarr/0.lock"));
    }

    #[test]
    fn secrets_are_covered_in_their_place() {
        assert!(matches!(covered("path: \"https://h/x\" and a@b?c"), Cow::Borrowed(_)));
        let text = "a: \"s3://me:pass@bücket/k\"\nb: {path: 'https://h/x?sig=abc'} # http://u@h";
        let clean = covered(text);
        assert_eq!(clean, "a: \"s3://*******@bücket/k\"\nb: {path: 'https://h/x?*******'} # http://*@h");
        assert_eq!(clean.len(), text.len());
    }
}

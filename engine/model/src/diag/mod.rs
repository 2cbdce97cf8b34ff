//! Diagnostics: what is wrong with a workflow, where, and what to write instead.
//!
//! Checks never stop at the first error: each pushes to a [`Report`], which sorts by position.

pub mod codes;
mod github;
mod json;
mod render;
mod sarif;

pub use github::github;
pub use json::json;
pub use render::{Style, text};
pub use sarif::sarif;

use crate::place::covered;
use std::borrow::Cow;
use std::path::{Path, PathBuf};

/// A number of things in words: `1 task`, `2 tasks`.
pub fn count(n: u64, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// A stretch of bytes in one of the [`Sources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span {
    /// Number of the file in [`Sources`].
    pub file: u32,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// A file that took part: the workflow, an include, a params file, or the command line itself.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// How it is shown to the user.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

/// Every text that spans refer to.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    files: Vec<SourceFile>,
}

impl Sources {
    /// Adds a text and returns its number.
    pub fn add(&mut self, path: &Path, text: String) -> u32 {
        self.files.push(SourceFile { path: path.to_path_buf(), text });
        self.files.len() as u32 - 1
    }

    /// The file of that number.
    pub fn get(&self, file: u32) -> Option<&SourceFile> {
        self.files.get(file as usize)
    }

    /// Line and column of a span's start, both from 1; columns count characters.
    pub fn line_column(&self, span: Span) -> (usize, usize) {
        let Some(f) = self.get(span.file) else { return (1, 1) };
        let upto = f.text.get(..span.start as usize).unwrap_or(&f.text);
        let line = upto.matches('\n').count() + 1;
        let column = upto.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
        (line, column)
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The workflow can't run.
    Error,
    /// It runs, but probably not as meant.
    Warning,
}

/// A replacement that makes the error go away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fix {
    /// What is replaced.
    pub span: Span,
    /// The text to put there.
    pub text: String,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Its code, such as `E0203`: what `engine explain` takes.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Where.
    pub span: Span,
    /// What was expected and what was found, in one line.
    pub message: String,
    /// A word or two beside the caret; empty for none.
    pub label: String,
    /// What to do about it.
    pub help: Option<String>,
    /// More lines: other places, causes, the printed cycle.
    pub notes: Vec<String>,
    /// A replacement, where one is known to be right.
    pub fix: Option<Fix>,
}

impl Diagnostic {
    /// An error; codes of warnings start with `W`.
    pub fn new(code: &'static str, span: Span, message: impl Into<String>) -> Diagnostic {
        let severity = if code.starts_with('W') { Severity::Warning } else { Severity::Error };
        Diagnostic {
            code,
            severity,
            span,
            message: message.into(),
            label: String::new(),
            help: None,
            notes: Vec::new(),
            fix: None,
        }
    }

    /// With a word or two beside the caret.
    pub fn label(mut self, label: impl Into<String>) -> Diagnostic {
        self.label = label.into();
        self
    }

    /// With what to do about it.
    pub fn help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help = Some(help.into());
        self
    }

    /// With one more line.
    pub fn note(mut self, note: impl Into<String>) -> Diagnostic {
        self.notes.push(note.into());
        self
    }

    /// With a replacement that is known to be right.
    pub fn fix(mut self, span: Span, text: impl Into<String>) -> Diagnostic {
        self.fix = Some(Fix { span, text: text.into() });
        self
    }
}

impl Diagnostic {
    fn covered(mut self) -> Diagnostic {
        let fix = self.fix.as_mut().map(|f| &mut f.text);
        let texts = [Some(&mut self.message), Some(&mut self.label), self.help.as_mut(), fix];
        for text in texts.into_iter().flatten().chain(&mut self.notes) {
            if let Cow::Owned(clean) = covered(text) {
                *text = clean;
            }
        }
        self
    }
}

/// Diagnostics as they are collected.
#[derive(Debug, Clone, Default)]
pub struct Report {
    diagnostics: Vec<Diagnostic>,
}

impl Report {
    /// Adds one; passwords and signatures of URLs that it repeats are covered.
    pub fn push(&mut self, d: Diagnostic) {
        self.diagnostics.push(d.covered());
    }

    /// Changes what is already there with this code at this place.
    pub(crate) fn amend(&mut self, code: &str, span: Span, change: impl Fn(&mut Diagnostic)) {
        self.diagnostics.iter_mut().filter(|d| d.code == code && d.span == span).for_each(change);
    }

    /// True when there is an error; warnings do not count.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|d| d.severity == Severity::Error)
    }

    /// All of them, sorted by position, then code; the same one twice counts once.
    pub fn sorted(&self) -> Vec<Diagnostic> {
        let mut v = self.diagnostics.clone();
        v.sort_by(|a, b| (a.span, a.code, &a.message).cmp(&(b.span, b.code, &b.message)));
        v.dedup();
        v
    }

    /// Moves all of another report into this one.
    pub fn extend(&mut self, other: Report) {
        self.diagnostics.extend(other.diagnostics);
    }

    /// Number of errors and of warnings, each counted once.
    pub fn counts(&self) -> (usize, usize) {
        let all = self.sorted();
        let errors = all.iter().filter(|d| d.severity == Severity::Error).count();
        (errors, all.len() - errors)
    }

    /// True without any.
    pub fn is_empty(&self) -> bool {
        self.diagnostics.is_empty()
    }
}

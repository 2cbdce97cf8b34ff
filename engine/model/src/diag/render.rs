//! Diagnostics as text, the way rustc shows them.

use super::{Diagnostic, Report, Severity, Sources, count};
use crate::place::covered;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Patch, Renderer, Snippet};

/// How text is shown. Colour repeats what the words say and never adds to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Without escape sequences.
    Plain,
    /// With colours, for a terminal.
    Colour,
}

/// All diagnostics as text, sorted by position, with a count at the end; empty without any.
pub fn text(sources: &Sources, report: &Report, style: Style) -> String {
    let renderer = match style {
        Style::Plain => Renderer::plain(),
        Style::Colour => Renderer::styled(),
    };
    let mut out = String::new();
    for d in report.sorted() {
        out.push_str(&one(sources, &d, &renderer));
        out.push_str("\n\n");
    }
    match report.counts() {
        (0, 0) => {}
        (0, w) => out.push_str(&format!("{}\n", count(w as u64, "warning"))),
        (e, 0) => out.push_str(&format!("{}\n", count(e as u64, "error"))),
        (e, w) => out.push_str(&format!("{}, {}\n", count(e as u64, "error"), count(w as u64, "warning"))),
    }
    out
}

fn one(sources: &Sources, d: &Diagnostic, renderer: &Renderer) -> String {
    let level = match d.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = level.primary_title(d.message.as_str()).id(d.code).elements(Vec::<Origin<'_>>::new());
    let file = sources.get(d.span.file);
    let path = file.map(|f| f.path.display().to_string()).unwrap_or_default();
    let quoted = file.map(|f| Quoted::new(&f.text, d.span.start as usize, d.span.end as usize));
    match &quoted {
        Some(q) if !q.text.trim().is_empty() => {
            let label = (!d.label.is_empty()).then_some(d.label.as_str());
            group = group.element(
                Snippet::source(q.text.as_str())
                    .line_start(q.line)
                    .path(path.as_str())
                    .annotation(AnnotationKind::Primary.span(q.start..q.end).label(label)),
            );
        }
        _ if !path.is_empty() => {
            let (line, column) = sources.line_column(d.span);
            group = group.element(Origin::path(path.as_str()).line(line).char_column(column));
        }
        _ => {}
    }
    for note in &d.notes {
        group = group.element(Level::NOTE.message(note.as_str()));
    }
    let mut groups: Vec<Group<'_>> = vec![];
    // Where the replacement is shown as a changed line, the advice is its title.
    let patch = d.fix.as_ref().and_then(|fix| {
        let f = sources.get(fix.span.file)?;
        Some((Quoted::new(&f.text, fix.span.start as usize, fix.span.end as usize), fix))
    });
    if let (Some(help), None) = (&d.help, &patch) {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    groups.push(group);
    if let Some((q, fix)) = &patch {
        let title = d.help.as_deref().unwrap_or("write");
        groups.push(
            Level::HELP.secondary_title(title).element(
                Snippet::source(q.text.as_str())
                    .line_start(q.line)
                    .path(path.as_str())
                    .patch(Patch::new(q.start..q.end, fix.text.as_str())),
            ),
        );
    }
    renderer.render(&groups)
}

/// The one line that is shown of a file: at most 240 characters of it, and where in it the caret goes.
struct Quoted {
    text: String,
    line: usize,
    start: usize,
    end: usize,
}

impl Quoted {
    const LONGEST: usize = 240;

    fn new(text: &str, start: usize, end: usize) -> Quoted {
        let start = floor(text, start.min(text.len()));
        let end = floor(text, end.clamp(start, text.len()));
        let line_start = text[..start].rfind('\n').map_or(0, |i| i + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |i| start + i);
        let line = text[..line_start].matches('\n').count() + 1;
        let end = end.min(line_end);
        let from = if start - line_start > Self::LONGEST { floor(text, start - Self::LONGEST / 2) } else { line_start };
        let to = floor(text, line_end.min(from + 2 * Self::LONGEST)).max(start);
        // The whole line: a secret may begin before what is shown of it.
        let clean = covered(&text[line_start..line_end.max(to)]);
        let shown = clean[from - line_start..to - line_start].trim_end_matches(['\r', ' ']);
        let end = (end.min(to).max(start) - from).min(shown.len());
        Quoted { text: shown.to_owned(), line, start: (start - from).min(end), end }
    }
}

/// The nearest character boundary at or before an offset.
fn floor(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

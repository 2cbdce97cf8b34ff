//! Diagnostics as GitHub workflow commands, which show up beside the lines of a pull request.

use super::{Report, Severity, Sources, Span};

/// One command a line.
pub fn github(sources: &Sources, report: &Report) -> String {
    let mut out = String::new();
    for d in report.sorted() {
        let command = match d.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let (line, column) = sources.line_column(d.span);
        let (end_line, end_column) = sources.line_column(Span { start: d.span.end, ..d.span });
        let file = sources.get(d.span.file).map(|f| f.path.display().to_string()).unwrap_or_default();
        let mut message = d.message.clone();
        for more in d.notes.iter().chain(&d.help) {
            message.push('\n');
            message.push_str(more);
        }
        out.push_str(&format!(
            "::{command} file={},line={line},endLine={end_line},col={column},endColumn={end_column},title={}::{}\n",
            property(&file),
            d.code,
            data(&message),
        ));
    }
    out
}

fn data(s: &str) -> String {
    s.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(s: &str) -> String {
    data(s).replace(':', "%3A").replace(',', "%2C")
}

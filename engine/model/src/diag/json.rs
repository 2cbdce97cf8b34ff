//! Diagnostics as JSON, for programs.

use super::{Report, Sources, Span};
use serde_json::{Value as Json, json};

/// All diagnostics, sorted by position, with lines and columns from 1.
pub fn json(sources: &Sources, report: &Report) -> Json {
    let list: Vec<Json> = report
        .sorted()
        .iter()
        .map(|d| {
            let mut o = json!({
                "code": d.code,
                "severity": d.severity,
                "message": d.message,
                "at": position(sources, d.span),
                "label": d.label,
                "help": d.help,
                "notes": d.notes,
            });
            if let Some(fix) = &d.fix {
                o["fix"] = json!({"at": position(sources, fix.span), "text": fix.text});
            }
            o
        })
        .collect();
    let (errors, warnings) = report.counts();
    json!({"valid": errors == 0, "errors": errors, "warnings": warnings, "diagnostics": list})
}

fn position(sources: &Sources, span: Span) -> Json {
    let (line, column) = sources.line_column(span);
    let (end_line, end_column) = sources.line_column(Span { start: span.end, ..span });
    let file = sources.get(span.file).map(|f| f.path.display().to_string());
    json!({
        "file": file, "line": line, "column": column, "end_line": end_line, "end_column": end_column,
        "start_byte": span.start, "end_byte": span.end,
    })
}

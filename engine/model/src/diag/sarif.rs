//! Diagnostics as SARIF 2.1.0, the interchange format of static analysis tools.

use super::{Report, Severity, Sources, Span, codes};
use serde_json::{Value as Json, json};

/// One SARIF log with one run; rules are the codes that occur.
pub fn sarif(sources: &Sources, report: &Report) -> Json {
    let all = report.sorted();
    let mut used: Vec<&str> = all.iter().map(|d| d.code).collect();
    used.sort_unstable();
    used.dedup();
    let rules: Vec<Json> = used
        .iter()
        .map(|code| {
            let doc = codes::find(code);
            json!({
                "id": code,
                "shortDescription": {"text": doc.map_or(*code, |d| d.title)},
                "fullDescription": {"text": doc.map_or(*code, |d| d.explanation)},
            })
        })
        .collect();
    let results: Vec<Json> = all
        .iter()
        .map(|d| {
            let mut text = d.message.clone();
            for more in d.notes.iter().chain(&d.help) {
                text.push('\n');
                text.push_str(more);
            }
            let mut o = json!({
                "ruleId": d.code,
                "ruleIndex": used.iter().position(|c| *c == d.code),
                "level": match d.severity { Severity::Error => "error", Severity::Warning => "warning" },
                "message": {"text": text},
                "locations": [{"physicalLocation": {
                    "artifactLocation": {"uri": uri(sources, d.span)}, "region": region(sources, d.span),
                }}],
            });
            if let Some(fix) = &d.fix {
                o["fixes"] = json!([{"artifactChanges": [{
                    "artifactLocation": {"uri": uri(sources, fix.span)},
                    "replacements": [{
                        "deletedRegion": region(sources, fix.span), "insertedContent": {"text": fix.text},
                    }],
                }]}]);
            }
            o
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "engine", "version": env!("CARGO_PKG_VERSION"), "rules": rules}},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

/// A path as a relative or absolute URI reference.
fn uri(sources: &Sources, span: Span) -> String {
    let path = sources.get(span.file).map(|f| f.path.display().to_string()).unwrap_or_default();
    let mut out = String::new();
    for b in path.bytes() {
        match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' => out.push(b as char),
            _ => out.push_str(&format!("%{b:02X}")),
        }
    }
    if path.starts_with('/') { format!("file://{out}") } else { out }
}

fn region(sources: &Sources, span: Span) -> Json {
    let (line, column) = sources.line_column(span);
    let (end_line, end_column) = sources.line_column(Span { start: span.end, ..span });
    json!({"startLine": line, "startColumn": column, "endLine": end_line, "endColumn": end_column})
}

//! Checks of the parameters: strict, documented, round-tripping.

use super::{Case, Check, Report};
use crate::OpEntry;
use serde_json::{Value as Json, json};
use std::panic::catch_unwind;

/// The schema describes the op and each parameter; the example is there and names the op.
pub(super) fn documented(entry: &OpEntry, report: &mut Report) {
    let schema = (entry.schema)().to_value();
    let text = |v: &Json| v.get("description").and_then(Json::as_str).is_some_and(|s| !s.trim().is_empty());
    let described = if text(&schema) { Ok(()) } else { Err("the parameters have no doc comment".to_owned()) };
    report.check(Check::Documented, 0, described);
    if let Some(Json::Object(properties)) = schema.get("properties") {
        for (name, property) in properties {
            let ok = text(property).then_some(()).ok_or_else(|| format!("parameter `{name}` has no doc comment"));
            report.check(Check::Documented, 0, ok);
        }
    }
    let names_op = entry.example.contains(&format!("op: {}", entry.name));
    report.check(Check::Documented, 0, names_op.then_some(()).ok_or_else(|| "the example does not name it".to_owned()));
}

/// Unknown keys and wrong types are refused, without a panic; the canonical parameters are a fixed point.
pub(super) fn strict(entry: &OpEntry, case: &Case, number: usize, report: &mut Report) {
    let mut unknown = case.with.clone();
    if let Json::Object(m) = &mut unknown {
        m.insert("no_such_parameter".to_owned(), json!(1));
    } else {
        unknown = json!({"no_such_parameter": 1});
    }
    for wrong in [unknown, json!("text"), json!([1, 2]), json!(7)] {
        let outcome = match catch_unwind(|| (entry.parse)(wrong.clone()).is_err()) {
            Ok(true) => Ok(()),
            Ok(false) => Err(format!("accepts {wrong}")),
            Err(p) => Err(format!("panics on {wrong}: {}", super::interpret::panic_text(p.as_ref()))),
        };
        report.check(Check::StrictParams, number, outcome);
    }
    report.check(Check::RoundTrip, number, round_trip(entry, &case.with));
}

fn round_trip(entry: &OpEntry, with: &Json) -> Result<(), String> {
    let once = (entry.canonical)(with.clone())?;
    let twice = (entry.canonical)(once.clone())?;
    if once != twice {
        return Err(format!("{once} becomes {twice}"));
    }
    let (a, b) = ((entry.parse)(with.clone())?, (entry.parse)(once.clone())?);
    if format!("{a:?}") == format!("{b:?}") { Ok(()) } else { Err(format!("{a:?} becomes {b:?} by way of {once}")) }
}

/// The names of a parameter that holds a boundary mode.
const BOUNDARY: [&str; 2] = ["boundary", "mode"];

/// The case's `with:`, and where the op has a boundary mode one for each mode.
pub(super) fn variants(entry: &OpEntry, case: &Case) -> Vec<Json> {
    let schema = (entry.schema)().to_value();
    let mut out = vec![case.with.clone()];
    for name in BOUNDARY {
        let Some(property) = schema.get("properties").and_then(|p| p.get(name)) else { continue };
        let mut modes = Vec::new();
        constants(property, &mut modes);
        if modes.iter().any(|m| m == "reflect") {
            out = modes
                .into_iter()
                .map(|mode| {
                    let mut with = if case.with.is_object() { case.with.clone() } else { json!({}) };
                    with[name] = Json::String(mode);
                    with
                })
                .collect();
        }
    }
    out
}

/// Every string a schema allows as a constant or in an enumeration.
fn constants(schema: &Json, out: &mut Vec<String>) {
    match schema {
        Json::Object(m) => {
            for (key, v) in m {
                match (key.as_str(), v) {
                    ("const", Json::String(s)) => out.push(s.clone()),
                    ("enum", Json::Array(a)) => out.extend(a.iter().filter_map(Json::as_str).map(str::to_owned)),
                    _ => constants(v, out),
                }
            }
        }
        Json::Array(a) => a.iter().for_each(|v| constants(v, out)),
        _ => (),
    }
}

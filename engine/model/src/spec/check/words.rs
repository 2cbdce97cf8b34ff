//! Schemas and values in words: what a bound asks for, what a form looks like, how a value would be of another type.

use super::super::names::list;
use super::super::scalar::{self, Plain};
use super::super::tree::{Kind, describe};
use jsonschema::error::ValidationErrorKind as Violation;
use serde_json::Value as Json;

/// What a bound asks for, and what was found.
pub(super) fn bound(kind: &Violation, value: &Json) -> Option<String> {
    let found = describe(value);
    let length = value.as_array().map(Vec::len).or_else(|| value.as_str().map(|s| s.chars().count()));
    let length = length.or_else(|| value.as_object().map(serde_json::Map::len)).unwrap_or_default();
    let count = |n: &u64, one: &str, many: &str| format!("{n} {}", if *n == 1 { one } else { many });
    let elements = |n: &u64| count(n, "element", "elements");
    let characters = |n: &u64| count(n, "character", "characters");
    let entries = |n: &u64| count(n, "entry", "entries");
    Some(match kind {
        Violation::Minimum { limit } => format!("expected at least {}, found {found}", plain(limit)),
        Violation::Maximum { limit } => format!("expected at most {}, found {found}", plain(limit)),
        Violation::ExclusiveMinimum { limit } => format!("expected more than {}, found {found}", plain(limit)),
        Violation::ExclusiveMaximum { limit } => format!("expected less than {}, found {found}", plain(limit)),
        Violation::MinItems { limit } => format!("expected at least {}, found {length}", elements(limit)),
        Violation::MaxItems { limit } => format!("expected at most {}, found {length}", elements(limit)),
        Violation::AdditionalItems { limit } => format!("expected {limit} elements, found {length}"),
        Violation::MinLength { limit } => format!("expected at least {}, found {length}", characters(limit)),
        Violation::MaxLength { limit } => format!("expected at most {}, found {length}", characters(limit)),
        Violation::MinProperties { limit } => format!("expected at least {}, found {length}", entries(limit)),
        Violation::MaxProperties { limit } => format!("expected at most {}, found {length}", entries(limit)),
        Violation::MultipleOf { multiple_of } => format!("expected a multiple of {multiple_of}, found {found}"),
        Violation::UniqueItems => "expected every element once, found one twice".into(),
        Violation::Pattern { pattern } => format!("expected text that matches `{pattern}`, found {found}"),
        _ => return None,
    })
}

/// A limit as a user would write it.
pub(super) fn plain(limit: &Json) -> String {
    limit.as_f64().map_or_else(|| limit.to_string(), |v| v.to_string())
}

/// The text that a value becomes when its type is mended, and the advice.
pub(super) fn retyped(value: &Json, kinds: &[&str]) -> Option<(String, String)> {
    let wants = |k: &str| kinds.contains(&k);
    match value {
        Json::Number(_) | Json::Bool(_) if wants("string") => {
            Some((format!("\"{value}\""), format!("quote it to make it text: `\"{value}\"`")))
        }
        Json::String(s) if wants("number") || wants("integer") || wants("boolean") => {
            let parsed = match scalar::resolve(s) {
                Plain::Clear(Kind::Number(n)) if wants("number") || !n.is_f64() && wants("integer") => n.to_string(),
                Plain::Clear(Kind::Bool(b)) if wants("boolean") => b.to_string(),
                _ => return None,
            };
            let help = format!("write it without quotes: `{parsed}`");
            Some((parsed, help))
        }
        Json::Number(_) | Json::Bool(_) if wants("array") => {
            Some((format!("[{value}]"), format!("write a list: `[{value}]`")))
        }
        _ => None,
    }
}

/// The types a schema accepts.
pub(super) fn kinds(schema: &Json) -> Vec<&str> {
    match schema.get("type") {
        Some(Json::String(s)) => vec![s],
        Some(Json::Array(v)) => v.iter().filter_map(Json::as_str).collect(),
        _ if schema.get("const").is_some_and(Json::is_string) || schema.get("enum").is_some() => vec!["string"],
        _ if literals(schema).first().is_some_and(Json::is_string) => vec!["string"],
        _ => Vec::new(),
    }
}

/// The only values a schema accepts; empty when it accepts more than a list of them.
pub(super) fn literals(schema: &Json) -> Vec<Json> {
    match (schema.get("const"), schema.get("enum"), schema.get("oneOf")) {
        (Some(c), ..) => vec![c.clone()],
        (None, Some(Json::Array(v)), _) => v.clone(),
        // As schemars has a Rust enum whose variants have words of their own.
        (None, None, Some(Json::Array(v))) if v.iter().all(|b| b.get("const").is_some()) => {
            v.iter().filter_map(|b| b.get("const")).cloned().collect()
        }
        _ => Vec::new(),
    }
}

pub(super) fn kind_words(kind: &str) -> &'static str {
    match kind {
        "string" => "text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "`true` or `false`",
        "array" => "a list",
        "object" => "a mapping",
        _ => "nothing",
    }
}

/// True when a value is of the type of a form, so that the form is what was meant.
pub(super) fn meant(schema: &Json, value: &Json) -> bool {
    let kind = match value {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(_) => "number",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    };
    let of_kind = kinds(schema).iter().any(|k| *k == kind || (*k == "integer" && kind == "number"));
    let required = schema.get("required").and_then(Json::as_array);
    let has_keys = match (value.as_object(), required) {
        (Some(o), Some(required)) => required.iter().filter_map(Json::as_str).any(|k| o.contains_key(k)),
        _ => true,
    };
    of_kind && has_keys && (literals(schema).is_empty() || !value.is_string())
}

/// The keys of forms that are told apart by one required key each and nothing else.
pub(super) fn exclusive<'a>(branches: &[&'a Json]) -> Option<Vec<&'a str>> {
    branches
        .iter()
        .map(|b| match (b.as_object()?.len(), b.get("required")?.as_array()?.as_slice()) {
            (1, [one]) => one.as_str(),
            _ => None,
        })
        .collect()
}

/// A form in words.
pub(super) fn form(schema: &Json) -> String {
    let choices = literals(schema);
    if !choices.is_empty() {
        let words = choices.iter().map(|c| c.as_str().map_or_else(|| c.to_string(), |s| format!("`{s}`")));
        let words = words.collect::<Vec<_>>();
        return if words.len() > 3 { format!("one of {}", words.join(", ")) } else { words.join(" or ") };
    }
    if let Some(required) = schema.get("required").and_then(Json::as_array) {
        let keys = required.iter().filter_map(Json::as_str);
        return format!("a mapping with {}", list(keys));
    }
    kinds(schema).iter().map(|k| kind_words(k)).collect::<Vec<_>>().join(" or ")
}

pub(super) fn documentation(owner: &Json, key: &str) -> Option<String> {
    let doc = owner.get("properties")?.get(key)?.get("description")?.as_str()?;
    Some(doc.replace('\n', " "))
}

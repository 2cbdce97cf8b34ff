//! Whether a value fits a schema, told from the schema as it stands.
//!
//! A schema takes longer to compile than a small workflow takes to run, and nearly every workflow that is read is right. So this
//! is asked first, and jsonschema only where a value does not fit, to say what is wrong, or where something is not understood here.

use serde_json::{Map, Number, Value as Json};
use std::cmp::Ordering;

/// Integers up to this are the same number as float64.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Whether a value fits a schema; `None` where a keyword, pattern or number is of a kind that is not understood here.
pub fn fits(schema: &Json, value: &Json) -> Option<bool> {
    Fits { root: schema }.schema(schema, value)
}

struct Fits<'a> {
    root: &'a Json,
}

impl Fits<'_> {
    fn schema(&self, schema: &Json, value: &Json) -> Option<bool> {
        let rules = match schema {
            Json::Bool(all) => return Some(*all),
            Json::Object(rules) => rules,
            _ => return None,
        };
        all(rules, |(keyword, rule)| self.keyword(rules, keyword, rule, value))
    }

    fn keyword(&self, rules: &Map<String, Json>, keyword: &str, rule: &Json, value: &Json) -> Option<bool> {
        match keyword {
            "$schema" | "$defs" | "title" | "description" | "default" | "format" => Some(true),
            "$ref" => self.schema(self.root.pointer(rule.as_str()?.strip_prefix('#')?)?, value),
            "type" => match rule {
                Json::Array(kinds) => any(kinds, |k| is(k.as_str()?, value)),
                kind => is(kind.as_str()?, value),
            },
            "const" => same(rule, value),
            "enum" => any(rule.as_array()?, |option| same(option, value)),
            "anyOf" => any(rule.as_array()?, |s| self.schema(s, value)),
            "allOf" => all(rule.as_array()?, |s| self.schema(s, value)),
            "oneOf" => {
                let fit: Option<Vec<bool>> = rule.as_array()?.iter().map(|s| self.schema(s, value)).collect();
                Some(fit?.into_iter().filter(|fits| *fits).count() == 1)
            }
            "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => {
                let (Json::Number(v), Json::Number(limit)) = (value, rule) else { return Some(!value.is_number()) };
                let order = compare(v, limit)?;
                Some(match keyword {
                    "minimum" => order.is_ge(),
                    "maximum" => order.is_le(),
                    "exclusiveMinimum" => order.is_gt(),
                    _ => order.is_lt(),
                })
            }
            "pattern" => value.as_str().map_or(Some(true), |text| matches(rule.as_str()?, text)),
            _ => match value {
                Json::String(text) => size(keyword, ["minLength", "maxLength"], rule, || text.chars().count()),
                Json::Array(v) if keyword == "items" && !rules.contains_key("prefixItems") => {
                    all(v, |v| self.schema(rule, v))
                }
                Json::Array(v) => size(keyword, ["minItems", "maxItems"], rule, || v.len()),
                Json::Object(o) => self.of_object(rules, keyword, rule, o),
                _ => None,
            }
            .or_else(|| of_others(keyword, value)),
        }
    }

    fn of_object(
        &self,
        rules: &Map<String, Json>,
        keyword: &str,
        rule: &Json,
        value: &Map<String, Json>,
    ) -> Option<bool> {
        let object = |name: &str| rules.get(name).and_then(Json::as_object);
        match keyword {
            "required" => all(rule.as_array()?, |key| Some(value.contains_key(key.as_str()?))),
            "properties" => all(rule.as_object()?, |(key, s)| value.get(key).map_or(Some(true), |v| self.schema(s, v))),
            "patternProperties" => all(rule.as_object()?, |(pattern, s)| {
                all(value, |(key, v)| if matches(pattern, key)? { self.schema(s, v) } else { Some(true) })
            }),
            "additionalProperties" => all(value, |(key, v)| {
                let named = object("properties").is_some_and(|o| o.contains_key(key));
                let known = named || any(object("patternProperties").into_iter().flatten(), |(p, _)| matches(p, key))?;
                if known { Some(true) } else { self.schema(rule, v) }
            }),
            _ => size(keyword, ["minProperties", "maxProperties"], rule, || value.len()),
        }
    }
}

/// Keywords that say nothing of values of another kind.
fn of_others(keyword: &str, value: &Json) -> Option<bool> {
    let of = match keyword {
        "minLength" | "maxLength" => value.is_string(),
        "items" | "minItems" | "maxItems" => value.is_array(),
        "required"
        | "properties"
        | "patternProperties"
        | "additionalProperties"
        | "minProperties"
        | "maxProperties" => value.is_object(),
        _ => return None,
    };
    (!of).then_some(true)
}

/// True when all are; `None` when that rests on one that is not known.
fn all<T>(of: impl IntoIterator<Item = T>, mut holds: impl FnMut(T) -> Option<bool>) -> Option<bool> {
    for one in of {
        if !holds(one)? {
            return Some(false);
        }
    }
    Some(true)
}

fn any<T>(of: impl IntoIterator<Item = T>, mut holds: impl FnMut(T) -> Option<bool>) -> Option<bool> {
    all(of, |one| holds(one).map(|holds| !holds)).map(|none| !none)
}

fn is(kind: &str, value: &Json) -> Option<bool> {
    Some(match (kind, value) {
        ("null", v) => v.is_null(),
        ("boolean", v) => v.is_boolean(),
        ("string", v) => v.is_string(),
        ("array", v) => v.is_array(),
        ("object", v) => v.is_object(),
        ("number", v) => v.is_number(),
        // 2.0 is a whole number to JSON Schema; where it is written so is left to that.
        ("integer", Json::Number(n)) if n.is_f64() => return None,
        ("integer", v) => v.is_number(),
        _ => return None,
    })
}

fn same(a: &Json, b: &Json) -> Option<bool> {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => Some(compare(a, b)?.is_eq()),
        (Json::Array(_) | Json::Object(_), _) => None,
        _ => Some(a == b),
    }
}

/// The order of two numbers, unless rounding them to float64 hides it.
fn compare(a: &Number, b: &Number) -> Option<Ordering> {
    if a == b {
        return Some(Ordering::Equal);
    }
    let (a, b) = (a.as_f64()?, b.as_f64()?);
    a.partial_cmp(&b).filter(|order| order.is_ne() || a.abs() < EXACT)
}

fn size(keyword: &str, [least, most]: [&str; 2], rule: &Json, size: impl Fn() -> usize) -> Option<bool> {
    let limit = || rule.as_u64();
    match keyword {
        k if k == least => Some(size() as u64 >= limit()?),
        k if k == most => Some(size() as u64 <= limit()?),
        _ => None,
    }
}

/// Whether a text matches one of a few forms of patterns: `^text`, `^text$`, `^[set]+$`, `^[set]{2,5}$`.
fn matches(pattern: &str, text: &str) -> Option<bool> {
    let pattern = pattern.strip_prefix('^')?;
    let plain = |s: &str| s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if plain(pattern) {
        return Some(text.starts_with(pattern));
    }
    let pattern = pattern.strip_suffix('$')?;
    if plain(pattern) {
        return Some(text == pattern);
    }
    let (set, times) = pattern.strip_prefix('[')?.split_once(']')?;
    let (least, most) = match times.strip_prefix('{').and_then(|t| t.strip_suffix('}')) {
        None if times == "+" => (1, usize::MAX),
        None => return None,
        Some(t) => {
            let (least, most) = t.split_once(',').unwrap_or((t, t));
            (least.parse().ok()?, most.parse().ok()?)
        }
    };
    let listed = members(set)?;
    let n = text.chars().count();
    Some((least..=most).contains(&n) && text.chars().all(|c| listed.iter().any(|(a, b)| (*a..=*b).contains(&c))))
}

/// The characters between the brackets of a pattern, as ranges; `None` where others than letters and digits stand there.
fn members(set: &str) -> Option<Vec<(char, char)>> {
    let mut rest = set.chars().peekable();
    let mut out = Vec::new();
    while let Some(from) = rest.next() {
        let to = if rest.next_if_eq(&'-').is_some() { rest.next()? } else { from };
        if !from.is_ascii_alphanumeric() || !to.is_ascii_alphanumeric() {
            return None;
        }
        out.push((from, to));
    }
    Some(out)
}

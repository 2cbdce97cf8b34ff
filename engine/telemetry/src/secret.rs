//! Keeps secrets out of what is written.

use serde_yaml::Value;

/// What stands for a secret.
const HIDDEN: &str = "(hidden)";

/// Parts of names whose values are never written.
const NAMES: [&str; 13] = [
    "token",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "credential",
    "api_key",
    "apikey",
    "authorization",
    "headers",
    "private_key",
    "access_key",
    "cookie",
];

/// Parts of the names of query parameters whose values are never written: signed URLs.
const QUERY: [&str; 3] = ["sig", "signature", "key"];

/// True when a name says that its value is a secret.
#[must_use]
pub fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    NAMES.iter().any(|part| name.contains(part))
}

/// True for what stands in a record where a secret would.
#[must_use]
pub fn is_hidden(value: &Value) -> bool {
    value.as_str() == Some(HIDDEN)
}

/// Replaces secrets within a value; `name` is what the value is called.
pub(crate) fn redact(name: Option<&str>, value: &mut Value) {
    match value {
        Value::Null | Value::Bool(_) => {}
        Value::Number(_) | Value::String(_) if name.is_some_and(is_secret) => *value = HIDDEN.into(),
        Value::Number(_) => {}
        Value::String(text) => {
            if let Some(clean) = redact_url(text) {
                *text = clean;
            }
        }
        Value::Sequence(values) => values.iter_mut().for_each(|value| redact(name, value)),
        Value::Mapping(map) => {
            for (key, value) in map.iter_mut() {
                // A secret's parts are secret too.
                let key = key.as_str().filter(|_| !name.is_some_and(is_secret)).or(name);
                redact(key, value);
            }
        }
        Value::Tagged(tagged) => redact(name, &mut tagged.value),
    }
}

/// A URL without its password and signatures; nothing when there are none.
#[must_use]
pub fn redact_url(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at_checked(end)?;
    let host = match authority.rsplit_once('@') {
        Some((_, host)) => format!("{HIDDEN}@{host}"),
        None => authority.to_owned(),
    };
    let tail = match tail.split_once('?') {
        None => tail.to_owned(),
        Some((path, query)) => {
            let clean = |pair: &str| match pair.split_once('=') {
                Some((name, _)) if is_secret_query(name) => format!("{name}={HIDDEN}"),
                _ => pair.to_owned(),
            };
            format!("{path}?{}", query.split('&').map(clean).collect::<Vec<_>>().join("&"))
        }
    };
    let clean = format!("{scheme}://{host}{tail}");
    (clean != text).then_some(clean)
}

fn is_secret_query(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    is_secret(&lower) || QUERY.iter().any(|part| lower == *part || lower.ends_with(&format!("-{part}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_lose_passwords_and_signatures_only() {
        assert_eq!(redact_url("http://127.0.0.1:4318/v1?x=1"), None);
        assert_eq!(redact_url("a plain text with @ and ?sig=1"), None);
        assert_eq!(redact_url("s3://k:v@bucket").as_deref(), Some("s3://(hidden)@bucket"));
        let signed = "https://b.host/k?X-Amz-Signature=abc&X-Amz-Date=1&X-Amz-Security-Token=t";
        let clean = "https://b.host/k?X-Amz-Signature=(hidden)&X-Amz-Date=1&X-Amz-Security-Token=(hidden)";
        assert_eq!(redact_url(signed).as_deref(), Some(clean));
    }

    #[test]
    fn names_hide_values_at_any_depth() {
        let text = "{a: {api-key: 5, deep: [{Password: x}]}, OTEL_EXPORTER_OTLP_HEADERS: {h: {i: y}}, sigma: 2, t: !x http://u@h}";
        let mut value: Value = serde_yaml::from_str(text).unwrap();
        redact(None, &mut value);
        let text = serde_yaml::to_string(&value).unwrap();
        assert_eq!(value["a"]["api-key"].as_str(), Some(HIDDEN), "{text}");
        assert_eq!(value["a"]["deep"][0]["Password"].as_str(), Some(HIDDEN), "{text}");
        assert_eq!(value["OTEL_EXPORTER_OTLP_HEADERS"]["h"]["i"].as_str(), Some(HIDDEN), "{text}");
        assert_eq!(value["sigma"].as_i64(), Some(2));
        assert!(text.contains("(hidden)@h"), "{text}");
    }
}

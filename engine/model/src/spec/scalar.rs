//! What a plain (unquoted) scalar means: the JSON literals, and a refusal of everything YAML versions disagree on.

use super::tree::Kind;
use serde_json::Number;

/// A plain scalar, resolved.
pub enum Plain {
    /// It has one meaning in every YAML version.
    Clear(Kind),
    /// YAML versions or users read it in different ways.
    Ambiguous {
        /// The best guess, so that checking can go on.
        guess: Kind,
        /// Why it is refused.
        why: String,
        /// What to write instead, where there is one right thing.
        instead: Option<String>,
    },
    /// A number that can't be represented.
    OutOfRange(String),
}

/// Resolves a plain scalar.
pub fn resolve(s: &str) -> Plain {
    let boolean = |b: bool, why: &str| Plain::Ambiguous {
        guess: Kind::Bool(b),
        why: format!("`{s}` {why}"),
        instead: Some(b.to_string()),
    };
    match s {
        "" | "null" => return Plain::Clear(Kind::Null),
        "true" => return Plain::Clear(Kind::Bool(true)),
        "false" => return Plain::Clear(Kind::Bool(false)),
        "~" | "Null" | "NULL" => {
            return Plain::Ambiguous {
                guess: Kind::Null,
                why: format!("`{s}` is text to some readers and nothing to others"),
                instead: Some("null".into()),
            };
        }
        _ => {}
    }
    match s.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => return boolean(true, "is text to some YAML readers and `true` to others"),
        "false" | "no" | "off" => return boolean(false, "is text to some YAML readers and `false` to others"),
        ".inf" | "+.inf" | "-.inf" | ".nan" => return Plain::OutOfRange(format!("`{s}` is not a finite number")),
        _ => {}
    }
    number(s).unwrap_or_else(|| Plain::Clear(Kind::Text(s.to_owned())))
}

/// The number that a plain scalar is, or almost is; `None` for text.
fn number(s: &str) -> Option<Plain> {
    let digits = s.strip_prefix(['-', '+']).unwrap_or(s);
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    if digits.bytes().all(|b| b.is_ascii_digit() || b == b'_') && digits.contains('_') {
        let plain = s.replace('_', "");
        return Some(Plain::Ambiguous {
            guess: parse(&plain).unwrap_or(Kind::Null),
            why: format!("`{s}` is text to some YAML readers and a number to others"),
            instead: Some(plain),
        });
    }
    let all_digits = digits.bytes().all(|b| b.is_ascii_digit());
    if all_digits && digits.len() > 1 && digits.starts_with('0') {
        let plain = s.trim_start_matches('+');
        return Some(Plain::Ambiguous {
            guess: parse(plain.trim_start_matches('0')).unwrap_or(Kind::Null),
            why: format!("`{s}` is octal to some YAML readers and decimal to others"),
            instead: None,
        });
    }
    let radix = |prefix: &str, radix: u32| {
        let body = digits.strip_prefix(prefix)?;
        u64::from_str_radix(body, radix).ok()
    };
    if let Some(v) = radix("0x", 16).or_else(|| radix("0o", 8)).or_else(|| radix("0b", 2)) {
        let plain = if s.starts_with('-') { format!("-{v}") } else { v.to_string() };
        return Some(Plain::Ambiguous {
            guess: parse(&plain).unwrap_or(Kind::Null),
            why: format!("`{s}` is text to some YAML readers and {plain} to others"),
            instead: Some(plain),
        });
    }
    let sexagesimal = digits.split(':').count() > 1
        && digits.split(':').all(|p| !p.is_empty() && p.len() <= 2 && p.bytes().all(|b| b.is_ascii_digit()));
    if sexagesimal {
        return Some(Plain::Ambiguous {
            guess: Kind::Text(s.to_owned()),
            why: format!("`{s}` is text to some YAML readers and a number in base 60 to others"),
            instead: Some(format!("{s:?}")),
        });
    }
    if !looks_like_decimal(digits) {
        return None;
    }
    Some(match parse(s) {
        Some(kind) => Plain::Clear(kind),
        None => Plain::OutOfRange(format!("`{s}` is too large for a number")),
    })
}

/// Digits with at most one point and one exponent.
fn looks_like_decimal(s: &str) -> bool {
    let (mantissa, exponent) = match s.find(['e', 'E']) {
        Some(i) => (&s[..i], Some(&s[i + 1..])),
        None => (s, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |p: &str| p.bytes().all(|b| b.is_ascii_digit());
    let exponent_ok = exponent.is_none_or(|e| {
        let e = e.strip_prefix(['-', '+']).unwrap_or(e);
        !e.is_empty() && digits(e)
    });
    digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty()) && exponent_ok
}

/// A number: an integer when it is whole and small enough to be exact, so that `2.0` is accepted where 2 is.
fn parse(s: &str) -> Option<Kind> {
    let s = s.strip_prefix('+').unwrap_or(s);
    if let Ok(v) = s.parse::<i64>() {
        return Some(Kind::Number(v.into()));
    }
    if let Ok(v) = s.parse::<u64>() {
        return Some(Kind::Number(v.into()));
    }
    if s.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
        return None;
    }
    let v = s.parse::<f64>().ok().filter(|v| v.is_finite())?;
    let whole = v.fract() == 0.0 && v.abs() < 9e15 && !(v == 0.0 && v.is_sign_negative());
    if whole { Some(Kind::Number((v as i64).into())) } else { Number::from_f64(v).map(Kind::Number) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clear(s: &str) -> Option<serde_json::Value> {
        match resolve(s) {
            Plain::Clear(k) => Some(super::super::tree::Node::new(k, Default::default()).to_json()),
            _ => None,
        }
    }

    #[test]
    fn literals_numbers_and_text() {
        use serde_json::json;
        assert_eq!(clear("12"), Some(json!(12)));
        assert_eq!(clear("-1.5e3"), Some(json!(-1500)));
        assert_eq!(clear(".5"), Some(json!(0.5)));
        assert_eq!(clear("18446744073709551615"), Some(json!(18446744073709551615u64)));
        assert_eq!(clear("4GiB"), Some(json!("4GiB")));
        assert_eq!(clear("1.2.3"), Some(json!("1.2.3")));
        assert_eq!(clear("../a/*.png"), Some(json!("../a/*.png")));
        assert_eq!(clear("y"), Some(json!("y")));
    }

    #[test]
    fn what_readers_disagree_on_is_refused() {
        for s in ["no", "On", "YES", "off", "True", "~", "0777", "1_000", "0x1F", "0o17", "12:30", "-007"] {
            assert!(matches!(resolve(s), Plain::Ambiguous { .. }), "{s}");
        }
        for s in [".inf", "-.Inf", ".NaN", "1e999", "99999999999999999999"] {
            assert!(matches!(resolve(s), Plain::OutOfRange(_)), "{s}");
        }
    }
}

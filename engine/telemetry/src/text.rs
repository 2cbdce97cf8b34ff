//! Numbers and strings as YAML text, written into a reused buffer.
//!
//! The task stream formats a dozen numbers for each task of a run of millions; going through `std::fmt` costs several
//! times as much as everything else in a record.

use engine_runtime::event::{Nanos, RunHeader};

/// Appends a number in decimal.
pub(crate) fn push_u64(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        if let Some(digit) = digits.get_mut(at) {
            *digit = b'0' + (value % 10) as u8;
        }
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(at..).unwrap_or_default());
}

/// Appends nanoseconds as seconds with nine decimals, which loses nothing.
pub(crate) fn push_seconds(out: &mut Vec<u8>, nanos: Nanos) {
    push_u64(out, nanos / 1_000_000_000);
    let mut rest = (nanos % 1_000_000_000) as u32;
    let mut decimals = *b".000000000";
    for digit in decimals.iter_mut().skip(1).rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&decimals);
}

/// Appends a float as the shortest decimal that reads back as the same bits, and as a float in every YAML.
pub(crate) fn push_f64(out: &mut Vec<u8>, value: f64) {
    let text = if value.is_nan() {
        ".nan".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { ".inf".to_owned() } else { "-.inf".to_owned() }
    } else {
        // `1e16` and `1.5e-7`, where YAML 1.1 wants a point and the sign of the exponent.
        match format!("{value:?}").split_once('e') {
            None => format!("{value:?}"),
            Some((mantissa, exponent)) => {
                let point = if mantissa.contains('.') { "" } else { ".0" };
                let sign = if exponent.starts_with('-') { "" } else { "+" };
                format!("{mantissa}{point}e{sign}{exponent}")
            }
        }
    };
    out.extend_from_slice(text.as_bytes());
}

/// Appends text as a YAML scalar: plain where every reader takes it for a string, otherwise in double quotes.
///
/// Quoted scalars stay on one line and hold printable ASCII or characters above it as they are; control characters
/// are escaped.
pub(crate) fn push_scalar(out: &mut Vec<u8>, text: &str) {
    if is_plain(text) {
        out.extend_from_slice(text.as_bytes());
    } else {
        push_quoted(out, text);
    }
}

/// Appends a name as a scalar; null where there is none.
pub(crate) fn push_name(out: &mut Vec<u8>, name: &str) {
    if name.is_empty() {
        out.extend_from_slice(b"null");
    } else {
        push_scalar(out, name);
    }
}

/// Appends what plans call a node: its step, and what it does within it.
pub(crate) fn push_label(out: &mut Vec<u8>, header: Option<&RunHeader>, node: u32) {
    let info = usize::try_from(node).ok().and_then(|node| header?.nodes.get(node));
    match info {
        Some(info) if info.name.is_empty() || info.name == info.op => push_scalar(out, &info.step),
        Some(info) => push_scalar(out, &format!("{}.{}", info.step, info.name)),
        None => push_scalar(out, &format!("node {node}")),
    }
}

/// Appends text in double quotes.
pub(crate) fn push_quoted(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for c in text.chars() {
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\t' => out.extend_from_slice(b"\\t"),
            '\r' => out.extend_from_slice(b"\\r"),
            // What YAML counts as a line break or leaves out of its printable characters.
            '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                out.extend_from_slice(format!("\\u{:04x}", u32::from(c)).as_bytes());
            }
            c => {
                let mut bytes = [0; 4];
                out.extend_from_slice(c.encode_utf8(&mut bytes).as_bytes());
            }
        }
    }
    out.push(b'"');
}

/// True for words that no reader takes for anything but a string: a letter, then letters, digits and `_ . / + -`.
fn is_plain(text: &str) -> bool {
    let word = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '/' | '+' | '-'));
    // Words of YAML 1.1 that mean something else.
    const TAKEN: [&str; 9] = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    word && !TAKEN.iter().any(|taken| text.eq_ignore_ascii_case(taken))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_are_those_of_std() {
        for value in [0, 7, 10, 99, 100, 1_234_567_890, u64::MAX] {
            assert_eq!(text(|out| push_u64(out, value)), value.to_string());
        }
    }

    #[test]
    fn seconds_keep_every_nanosecond() {
        assert_eq!(text(|out| push_seconds(out, 1_706_035_210_130_710_600)), "1706035210.130710600");
        assert_eq!(text(|out| push_seconds(out, 5)), "0.000000005");
        assert_eq!(text(|out| push_seconds(out, 3_000_000_000)), "3.000000000");
    }

    #[test]
    fn any_string_reads_back_as_itself() {
        let words = [
            "smooth",
            "a+b",
            "no",
            "Off",
            "null",
            "~",
            "",
            " a",
            "a: b",
            "a #b",
            "- a",
            "'",
            "\"\\",
            "1e3",
            "0x1f",
            "a\nb",
            "\u{85}\u{2028}\u{0}\u{7f}",
            "é ü 漢字 😀",
            "{x}",
            "[1]",
            "!tag",
            "&a",
            "*a",
            "%",
            "@",
            "`",
            "true",
            "2020-01-01",
            "tcp://host:1",
            "a\tb\r",
            "?",
            ".inf",
            "=",
        ];
        for word in words {
            let yaml = text(|out| push_scalar(out, word));
            assert_eq!(serde_yaml::from_str::<serde_yaml::Value>(&yaml).unwrap().as_str(), Some(word), "{yaml}");
            let flow = format!("{{a: [{yaml}, {yaml}]}}");
            let value: serde_yaml::Value = serde_yaml::from_str(&flow).unwrap();
            assert_eq!(value["a"][1].as_str(), Some(word), "{flow}");
            assert!(!yaml.contains('\n'));
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_reads_back_as_itself(word in proptest::prelude::any::<String>()) {
            for yaml in [text(|out| push_scalar(out, &word)), text(|out| push_quoted(out, &word))] {
                let flow = format!("{{a: {yaml}, b: 1}}");
                let value: serde_yaml::Value = serde_yaml::from_str(&flow).unwrap();
                proptest::prop_assert_eq!(value["a"].as_str(), Some(word.as_str()));
            }
        }

        #[test]
        fn any_number_is_that_of_std(value in proptest::prelude::any::<u64>()) {
            proptest::prop_assert_eq!(text(|out| push_u64(out, value)), value.to_string());
            let seconds = format!("{}.{:09}", value / 1_000_000_000, value % 1_000_000_000);
            proptest::prop_assert_eq!(text(|out| push_seconds(out, value)), seconds);
        }
    }
}

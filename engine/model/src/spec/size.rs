//! Sizes in bytes, as written: `4GiB`, `512 MB`, `1073741824`.

/// Parses a size.
///
/// # Errors
/// In words: what was expected and what was found.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let s = text.trim();
    let digits = s.len() - s.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
    let (number, unit) = s.split_at(digits);
    let factor: u64 = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kib" | "k" => 1 << 10,
        "mib" | "m" => 1 << 20,
        "gib" | "g" => 1 << 30,
        "tib" | "t" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        other => {
            let message = format!("expected one of the units KiB, MiB, GiB, TiB, kB, MB, GB, TB, found `{other}`");
            return Err(message);
        }
    };
    let value: f64 = number.parse().map_err(|_| format!("expected a size such as `4GiB`, found {text:?}"))?;
    let bytes = value * factor as f64;
    if !(1.0..9e18).contains(&bytes) {
        return Err(format!("expected at least one byte and less than 8 EiB, found {text:?}"));
    }
    Ok(number.parse::<u64>().ok().and_then(|v| v.checked_mul(factor)).unwrap_or(bytes as u64))
}

#[cfg(test)]
mod tests {
    use super::parse_bytes;

    #[test]
    fn units() {
        assert_eq!(parse_bytes("4GiB"), Ok(4 << 30));
        assert_eq!(parse_bytes("1.5 kB"), Ok(1500));
        assert_eq!(parse_bytes("77"), Ok(77));
        for bad in ["", "GiB", "4XB", "-1", "0", "1e400GiB", "9999999999999TiB"] {
            assert!(parse_bytes(bad).is_err(), "{bad}");
        }
    }
}

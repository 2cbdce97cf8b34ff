//! Numbers, times and sizes as people read them.

/// A number with about three digits.
pub(super) fn significant(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

/// Seconds as `4.2 s`, `3 min 5 s` or `2 h 1 min`.
pub(super) fn duration(seconds: f64) -> String {
    let whole = seconds.round().max(0.0) as u64;
    match whole {
        _ if seconds < 9.95 => format!("{seconds:.1} s"),
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole / 60 % 60),
    }
}

/// Bytes in binary units.
pub(super) fn bytes(count: u64) -> String {
    let mut value = count as f64;
    for unit in ["B", "KiB", "MiB", "GiB", "TiB"] {
        if value < 1000.0 {
            return if unit == "B" { format!("{count} B") } else { format!("{} {unit}", significant(value)) };
        }
        value /= 1024.0;
    }
    format!("{} PiB", significant(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_well() {
        assert_eq!(
            [0, 999, 1000, 1 << 20, 1 << 40, u64::MAX].map(bytes),
            ["0 B", "999 B", "0.98 KiB", "1.00 MiB", "1.00 TiB", "16384 PiB"]
        );
        assert_eq!(
            [0.04, 9.94, 9.96, 59.4, 61.0, 7321.0].map(duration),
            ["0.0 s", "9.9 s", "10 s", "59 s", "1 min 1 s", "2 h 2 min"]
        );
    }
}

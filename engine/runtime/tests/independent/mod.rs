//! What the tests share that compare with independent programs.

use sha2::{Digest, Sha256};
use std::io::Write;

/// Hexadecimal SHA-256.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// Says past the capture of the test harness that something was left out.
pub(crate) fn skipped(what: &str) {
    let mut stderr = std::io::stderr();
    writeln!(stderr, "SKIPPED: {what}").unwrap();
}

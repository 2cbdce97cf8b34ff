//! What each output format can hold; see the same module of the runtime for how it is written.

use crate::spec::workflow::Format;
use ops_core::ArrayMeta;

/// Why a format can't hold an array, and what can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormatProblem {
    /// What the format demands.
    pub message: String,
    /// What to do.
    pub help: String,
}

/// Checks that `format` can hold an array.
///
/// # Errors
/// What it demands and what to use instead.
pub fn can_hold(format: Format, meta: &ArrayMeta) -> Result<(), FormatProblem> {
    let _ = (format, meta);
    Ok(())
}

/// Bytes a writer of `format` holds at most, for an array that arrives in blocks of this extent.
pub fn write_bytes(format: Format, meta: &ArrayMeta, block: &[u64]) -> u64 {
    let _ = (format, block);
    meta.bytes()
}

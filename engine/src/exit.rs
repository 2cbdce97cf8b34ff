//! Exit codes: public, documented, tested.

/// Everything went well.
pub const OK: u8 = 0;
/// A bug of the engine.
pub const INTERNAL: u8 = 1;
/// The command line was not understood.
pub const USAGE: u8 = 2;
/// The workflow is invalid.
pub const INVALID: u8 = 3;
/// The plan is impossible: memory or disk.
pub const IMPOSSIBLE: u8 = 4;
/// Tasks failed; the partial output is named.
pub const FAILED: u8 = 5;
/// Interrupted; can be resumed.
pub const INTERRUPTED: u8 = 6;
/// A verification found a difference.
pub const MISMATCH: u8 = 7;

//! Acceptance: what a user is promised, tested on the built binary from outside.
//!
//! `ENGINE_LONG=1` asks for the long forms; `ENGINE_TEST_PYTHON` names a Python with `tests/requirements.txt`, and
//! `ENGINE_TEST_BINARY` another binary than the one just built, such as that of a release.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests may")]

mod bytes;
mod chunks;
mod cli;
mod crates;
mod faults;
mod fuzz;
mod gather;
mod images;
mod interop;
mod memory;
mod moto;
mod oracles;
mod overhead;
mod places;
mod plans;
mod pyramid;
mod random;
mod receiver;
mod remote;
mod remote_write;
mod resume;
mod support;
mod targets;
mod volume;
mod warnings;
mod zarr;

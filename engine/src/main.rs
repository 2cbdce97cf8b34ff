//! The `engine` binary: parses the command line, calls one subcommand, turns its result into an exit code.

mod allocator;
mod cli;
mod exit;
mod expect;
mod header;
mod loading;
mod output;
mod prepare;
mod recorded;
mod run_dir;
mod running;
mod signals;
mod summary;
mod targets;

use std::process::ExitCode;

// The registry of ops is filled at link time; naming the crate keeps the linker from dropping it.
use ops as _;

fn main() -> ExitCode {
    allocator::return_large_buffers();
    if std::env::var_os("ENGINE_SIMD").is_some_and(|v| v == "scalar") {
        ops_core::simd::set_path(ops_core::simd::Path::Scalar);
    }
    ExitCode::from(cli::main())
}

//! `engine completions`: a completion script for a shell.

use crate::exit;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

/// Arguments of `engine completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

/// Prints the script.
pub fn run(args: &CompletionsArgs) -> u8 {
    clap_complete::generate(args.shell, &mut super::Cli::command(), "engine", &mut std::io::stdout());
    exit::OK
}

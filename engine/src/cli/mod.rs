//! The command line: one file for one subcommand.

mod completions;
mod explain;
mod init;
mod ops;
mod plan;
pub mod run;
mod schema;
mod status;
mod test;
mod validate;

use clap::{Parser, Subcommand};

/// Runs declarative YAML pipelines of chunked ops over images and arrays larger than memory.
#[derive(Debug, Parser)]
#[command(name = "engine", version, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 ok, 1 internal error, 2 usage, 3 invalid workflow, 4 plan impossible, \
    5 tasks failed, 6 interrupted, 7 verification mismatch.\n\nStart with `engine init`, then `engine validate`, \
    `engine plan` and `engine run`.")]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a workflow.
    Run(run::RunArgs),
    /// Show how a workflow would be executed, and how much memory that takes.
    Plan(plan::PlanArgs),
    /// Check workflows without running them.
    Validate(validate::ValidateArgs),
    /// Run the checks that workflows carry under `tests:`.
    Test(test::TestArgs),
    /// Show what of a run is done, stale or missing.
    Status(status::StatusArgs),
    /// Explain a diagnostic code.
    Explain(explain::ExplainArgs),
    /// List the ops, or print the manual of one.
    Ops(ops::OpsArgs),
    /// Print or write the JSON Schemas of the workflow language.
    Schema(schema::SchemaArgs),
    /// Write a workflow to start from.
    Init(init::InitArgs),
    /// Print a shell completion script.
    Completions(completions::CompletionsArgs),
}

/// Parses the command line and runs the subcommand.
pub fn main() -> u8 {
    match Cli::parse().command {
        Command::Run(a) => run::run(&a),
        Command::Plan(a) => plan::run(&a),
        Command::Validate(a) => validate::run(&a),
        Command::Test(a) => test::run(&a),
        Command::Status(a) => status::run(&a),
        Command::Explain(a) => explain::run(&a),
        Command::Ops(a) => ops::run(&a),
        Command::Schema(a) => schema::run(&a),
        Command::Init(a) => init::run(&a),
        Command::Completions(a) => completions::run(&a),
    }
}

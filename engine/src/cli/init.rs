//! `engine init`: a workflow to start from.

use crate::exit;
use crate::output;
use clap::Args;
use std::io::Write;
use std::path::PathBuf;

/// Arguments of `engine init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The file to write, or a directory to write `workflow.yaml` into.
    #[arg(default_value = ".")]
    target: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What is written; a test validates it.
pub const STARTER: &str = include_str!("starter.yaml");

/// Writes the workflow, unless there is a file already.
pub fn run(args: &InitArgs) -> u8 {
    let is_file = args.target.extension().is_some_and(|e| e == "yaml" || e == "yml");
    let path = if is_file { args.target.clone() } else { args.target.join("workflow.yaml") };
    let create = || -> std::io::Result<()> {
        if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::OpenOptions::new().write(true).create_new(true).open(&path)?.write_all(STARTER.as_bytes())
    };
    let shown = path.display();
    match create() {
        Ok(()) if args.json => output::line(serde_json::json!({"written": shown.to_string()})),
        Ok(()) => output::line(format!(
            "wrote {shown}\n\nnext:\n  engine validate {shown}\n  engine plan {shown}\n  engine run {shown}"
        )),
        Err(e) => {
            let taken = e.kind() == std::io::ErrorKind::AlreadyExists;
            eprintln!("error: can't write {shown}: {}", if taken { "it exists already".into() } else { e.to_string() });
            if taken {
                eprintln!("help: name another file, such as `engine init other.yaml`");
            }
            return exit::USAGE;
        }
    }
    exit::OK
}

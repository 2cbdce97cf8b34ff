//! `engine schema`: the JSON Schemas of the workflow language, for editors.

use crate::exit;
use crate::output;
use clap::Args;
use engine_model::spec::names::nearest;
use engine_model::spec::schema;
use ops_core::registry;
use std::path::{Path, PathBuf};

/// Arguments of `engine schema`.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// Print the schema of one op's parameters instead of that of workflows.
    #[arg(long, value_name = "NAME", conflicts_with = "write")]
    op: Option<String>,
    /// Write every schema below this directory instead of printing one.
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
    /// Accepted for symmetry: a schema is JSON anyway; with `--write` the list of files is printed as JSON.
    #[arg(long)]
    json: bool,
}

/// Prints a schema, or writes them all.
pub fn run(args: &SchemaArgs) -> u8 {
    let ops = registry::all();
    if let Some(dir) = &args.write {
        return write(dir, &schema::files(&ops), args.json);
    }
    let Some(name) = &args.op else {
        output::line(format!("{:#}", schema::published(&ops)));
        return exit::OK;
    };
    match registry::find(name) {
        Some(op) => {
            output::line(format!("{:#}", schema::of_op(op)));
            exit::OK
        }
        None => {
            eprintln!("error: there is no op `{name}`");
            if let Some(near) = nearest(name, ops.iter().map(|o| o.name)) {
                eprintln!("help: did you mean `{near}`?");
            }
            exit::USAGE
        }
    }
}

fn write(dir: &Path, files: &[(String, String)], json: bool) -> u8 {
    let mut written = Vec::new();
    for (name, text) in files {
        let path = dir.join(name);
        let parent = path.parent().unwrap_or(dir);
        if let Err(e) = std::fs::create_dir_all(parent).and_then(|()| std::fs::write(&path, text)) {
            eprintln!("error: can't write {}: {e}", path.display());
            return exit::USAGE;
        }
        written.push(path.display().to_string());
    }
    if json {
        output::line(serde_json::json!({"written": written}));
    } else {
        written.iter().for_each(output::line);
    }
    exit::OK
}

//! What a run directory says of how its run was started: enough to look at the same workflow again.

use crate::prepare::{ProfileArgs, WorkflowArgs};
use engine_telemetry::secret::is_hidden;
use serde::Deserialize;
use serde_yaml::Value;
use std::path::{Path, PathBuf};

/// How a run was started.
pub struct Recorded {
    /// The workflow and its parameters.
    pub workflow: WorkflowArgs,
    /// Its profile.
    pub profile: ProfileArgs,
    /// The working directory that relative paths started from.
    pub directory: PathBuf,
}

/// A setting as it is recorded, without its origin.
#[derive(Debug, Deserialize)]
struct Setting {
    name: String,
    value: Value,
}

/// Reads the record of a run.
///
/// # Errors
/// In words, with the file: it is not there, or not what a run writes.
pub fn read(run: &Path) -> Result<Recorded, String> {
    let path = config(run);
    let failed = |e: String| format!("can't tell from `{}` how the run was started: {e}", path.display());
    let text = std::fs::read_to_string(&path).map_err(|e| failed(e.to_string()))?;
    let settings: Vec<Setting> = serde_yaml::from_str(&text).map_err(|e| failed(e.to_string()))?;
    let find = |name: &str| settings.iter().find(|s| s.name == name).map(|s| &s.value);
    let text = |name: &str| find(name).and_then(Value::as_str).ok_or_else(|| failed(format!("it has no `{name}`")));
    let number = |name: &str| find(name).and_then(Value::as_u64);
    let mut set = Vec::new();
    for s in &settings {
        let Some(name) = s.name.strip_prefix("params.") else { continue };
        if is_hidden(&s.value) {
            return Err(failed(format!(
                "the value of `{name}` is not recorded; name the workflow, and --set {name}=…"
            )));
        }
        // YAML in one line is what `--set` takes.
        let value = serde_json::to_string(&s.value).map_err(|e| failed(e.to_string()))?;
        set.push(format!("{name}={value}"));
    }
    let block = find("block").and_then(Value::as_sequence).map(|b| b.iter().filter_map(Value::as_u64).collect());
    Ok(Recorded {
        workflow: WorkflowArgs { workflow: text("workflow")?.into(), set, params: Vec::new(), test: None },
        profile: ProfileArgs {
            memory: number("memory"),
            threads: number("threads"),
            block: block.unwrap_or_default(),
            no_fuse: find("fuse") == Some(&Value::Bool(false)),
        },
        directory: text("directory")?.into(),
    })
}

/// The newest `config.yaml`: that of a run that is about to go on is put aside already.
fn config(run: &Path) -> PathBuf {
    let reports = run.join("Reports");
    let aside = (1u32..).map(|n| reports.join(n.to_string())).take_while(|p| p.is_dir()).last();
    let newest = reports.join("config.yaml");
    match aside {
        Some(aside) if !newest.is_file() => aside.join("config.yaml"),
        _ => newest,
    }
}

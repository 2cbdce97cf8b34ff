//! Where the repository and what is built are, and how a command is run there.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The repository and its target directory, both absolute.
pub struct Place {
    /// The repository.
    pub root: PathBuf,
    /// Where cargo builds.
    pub target: PathBuf,
    cargo: OsString,
}

impl Place {
    /// Finds them from the environment that cargo gives.
    ///
    /// # Errors
    /// When the target directory has no absolute path.
    pub fn find() -> Result<Place, String> {
        let manifest = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let root = Path::new(&manifest).parent().ok_or("the manifest of xtask is in no directory")?.to_path_buf();
        let target = match std::env::var_os("CARGO_TARGET_DIR") {
            Some(dir) => std::path::absolute(dir).map_err(|e| format!("CARGO_TARGET_DIR: {e}"))?,
            None => root.join("target"),
        };
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        Ok(Place { root, target, cargo })
    }

    /// A command that runs in the repository.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target);
        command
    }

    /// `cargo` with these arguments.
    pub fn cargo(&self, args: &[&str]) -> Command {
        let mut command = self.command(&self.cargo);
        command.args(args);
        command
    }

    /// True when `cargo NAME` is there, which a component of the toolchain may not be.
    pub fn has(&self, name: &str) -> bool {
        let asked = self.cargo(&[name, "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        asked.is_ok_and(|status| status.success())
    }
}

/// Shows a command and runs it to its end.
///
/// # Errors
/// When it can't be started or fails.
pub fn run(command: &mut Command) -> Result<(), String> {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let args: Vec<_> = command.get_args().map(OsStr::to_string_lossy).collect();
    // Long lists of files say nothing.
    let more = if args.len() > 12 { " ..." } else { "" };
    println!("{program} {}{more}", args[..args.len().min(12)].join(" "));
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{program} failed: {status}")),
        Err(e) => Err(format!("{program} can't be run: {e}")),
    }
}

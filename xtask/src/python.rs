//! The Python that tests ask: an environment of its own below the target directory, made from `tests/requirements.txt`.

use crate::Done;
use crate::place::{Place, run};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Makes the environment.
pub fn step(place: &Place) -> Result<Done, String> {
    made(place)?;
    Ok(Done::Checked)
}

/// The interpreter of the environment, which is made unless it is there and newer than what it has to hold.
///
/// # Errors
/// When there is no Python (`PYTHON` names another than `python3`) or a package can't be installed.
pub fn made(place: &Place) -> Result<PathBuf, String> {
    let requirements = place.root.join("tests/requirements.txt");
    let venv = place.target.join("venv");
    let python = venv.join("bin/python");
    let complete = venv.join("complete");
    if python.exists() && changed(&complete) > changed(&requirements) {
        return Ok(python);
    }
    let base = std::env::var_os("PYTHON").unwrap_or_else(|| "python3".into());
    run(place.command(base).args(["-m", "venv", "--clear"]).arg(&venv))?;
    let mut pip = place.command(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]).arg(&requirements);
    run(&mut pip)?;
    std::fs::write(&complete, "").map_err(|e| format!("{}: {e}", complete.display()))?;
    Ok(python)
}

/// When a file was last written; `None`, which is earlier than any time, when it can't be told.
fn changed(path: &Path) -> Option<SystemTime> {
    path.metadata().and_then(|file| file.modified()).ok()
}

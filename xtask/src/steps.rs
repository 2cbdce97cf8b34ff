//! The steps of `check`.

use crate::Done;
use crate::place::{Place, run};
use crate::python;
use std::path::{Path, PathBuf};

/// Every source is formatted.
pub fn fmt(place: &Place) -> Result<Done, String> {
    if !place.has("fmt") {
        return Ok(Done::Skipped("no rustfmt; `rustup component add rustfmt` installs it".into()));
    }
    // The ops come into their crate through ops/build.rs, where `cargo fmt` does not find them.
    let mut ops = Vec::new();
    for domain in listed(&place.root.join("ops/src"), |p| p.is_dir())? {
        ops.extend(listed(&domain, |p| p.extension().is_some_and(|e| e == "rs"))?);
    }
    run(place.cargo(&["fmt", "--all", "--check", "--"]).args(ops))?;
    // A workspace of its own.
    run(&mut place.cargo(&["fmt", "--check", "--manifest-path", "fuzz/Cargo.toml"]))?;
    Ok(Done::Checked)
}

/// What ships first; then tests and examples too, which may unwrap and panic.
pub fn lint(place: &Place) -> Result<Done, String> {
    if !place.has("clippy") {
        return Ok(Done::Skipped("no clippy; `rustup component add clippy` installs it".into()));
    }
    let clippy = ["clippy", "--locked", "--workspace"];
    run(place.cargo(&clippy).args(["--", "-D", "warnings"]))?;
    let mut all = place.cargo(&clippy);
    all.args(["--all-targets", "--", "-D", "warnings"]);
    all.args(["-A", "clippy::unwrap_used", "-A", "clippy::expect_used", "-A", "clippy::panic"]);
    run(&mut all)?;
    Ok(Done::Checked)
}

/// All tests. One that finds no Python says SKIPPED and passes; `python` alone fails when there is none.
pub fn test(place: &Place) -> Result<Done, String> {
    let mut command = place.cargo(&["test", "--locked", "--workspace"]);
    if std::env::var_os("ENGINE_TEST_PYTHON").is_none() {
        match python::made(place) {
            Ok(python) => {
                command.env("ENGINE_TEST_PYTHON", python);
            }
            Err(text) => eprintln!("xtask: no Python environment, the tests that need one are skipped: {text}"),
        }
    }
    run(&mut command)?;
    Ok(Done::Checked)
}

/// The documentation builds without a warning.
pub fn doc(place: &Place) -> Result<Done, String> {
    let mut command = place.cargo(&["doc", "--locked", "--workspace", "--no-deps"]);
    run(command.env("RUSTDOCFLAGS", "-D warnings"))?;
    Ok(Done::Checked)
}

/// The workflows that ship are valid and run on the images that ship, with the program the tests were built with.
pub fn workflows(place: &Place) -> Result<Done, String> {
    let engine = || place.cargo(&["run", "--locked", "--quiet", "-p", "engine", "--"]);
    let all = listed(&place.root.join("workflows"), |p| p.extension().is_some_and(|e| e == "yaml"))?;
    run(engine().args(["validate", "--deny-warnings"]).args(&all))?;
    run(engine().arg("test").args(&all))?;
    let out = place.target.join("check");
    if out.exists() {
        std::fs::remove_dir_all(&out).map_err(|e| format!("{}: {e}", out.display()))?;
    }
    std::fs::create_dir_all(&out).map_err(|e| format!("{}: {e}", out.display()))?;
    for workflow in &all {
        let name = workflow.file_stem().unwrap_or_default();
        run(engine().arg("run").arg(workflow).args(["--progress", "none", "--out"]).arg(out.join(name)))?;
    }
    Ok(Done::Checked)
}

/// What a directory holds and `keep` keeps, by name.
fn listed(dir: &Path, keep: impl Fn(&Path) -> bool) -> Result<Vec<PathBuf>, String> {
    let failed = |e: std::io::Error| format!("{}: {e}", dir.display());
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        all.push(entry.map_err(failed)?.path());
    }
    all.retain(|p| keep(p));
    all.sort();
    Ok(all)
}

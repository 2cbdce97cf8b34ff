//! Writes the list of modules from the directory, so that a new op is one new file and no other edit.
//!
//! Every folder of `src` is a domain, every file in it a module: `src/filter/gaussian.rs` becomes `filter::gaussian`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn sorted(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut v = fs::read_dir(dir)?.map(|e| e.map(|e| e.path())).collect::<io::Result<Vec<_>>>()?;
    v.sort();
    Ok(v)
}

fn name(path: &Path) -> Option<&str> {
    path.file_stem()?.to_str()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let src = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("src");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src");
    let mut text = String::new();
    for dir in sorted(&src)?.into_iter().filter(|p| p.is_dir()) {
        let Some(domain) = name(&dir) else { continue };
        writeln!(text, "/// Ops of the domain `{domain}`, a module each.\npub mod {domain} {{")?;
        for file in sorted(&dir)?.into_iter().filter(|p| p.extension().is_some_and(|e| e == "rs")) {
            if let Some(op) = name(&file) {
                if op == domain {
                    let reason = "an op may have the name of its domain";
                    writeln!(text, "    #[expect(clippy::module_inception, reason = \"{reason}\")]")?;
                }
                writeln!(text, "    #[path = {file:?}]\n    pub mod {op};")?;
            }
        }
        writeln!(text, "}}")?;
    }
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("domains.rs"), text)?;
    Ok(())
}

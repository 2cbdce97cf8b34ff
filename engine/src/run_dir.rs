//! The run directory: made fresh, never shared.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where a run writes.
#[derive(Debug, Clone)]
pub struct RunDir {
    /// The directory itself.
    pub root: PathBuf,
}

impl RunDir {
    /// `YYYYmmdd-HHMMSS-RUN` in the working directory, with `-2`, `-3`, … when taken; or just `out`, which must be
    /// absent or empty.
    ///
    /// # Errors
    /// In words, with the path: it can't be made, or `out` is not empty.
    pub fn create(out: Option<&Path>) -> Result<RunDir, String> {
        let root = match out {
            Some(out) => {
                fs::create_dir_all(out).map_err(|e| named(out, &e))?;
                if fs::read_dir(out).map_err(|e| named(out, &e))?.next().is_some() {
                    return Err(format!("`{}` is not empty; name a fresh directory with --out", out.display()));
                }
                out.to_path_buf()
            }
            None => fresh()?,
        };
        for part in ["Reports", "Results"] {
            let path = root.join(part);
            fs::create_dir(&path).map_err(|e| named(&path, &e))?;
        }
        Ok(RunDir { root })
    }

    /// Where the record goes.
    pub fn reports(&self) -> PathBuf {
        self.root.join("Reports")
    }

    /// Where outputs go.
    pub fn results(&self) -> PathBuf {
        self.root.join("Results")
    }
}

fn named(path: &Path, e: &io::Error) -> String {
    format!("can't make the run directory `{}`: {e}; name another with --out", path.display())
}

fn fresh() -> Result<PathBuf, String> {
    let base = jiff::Zoned::now().strftime("%Y%m%d-%H%M%S-RUN").to_string();
    for n in 1u32.. {
        let name = if n == 1 { base.clone() } else { format!("{base}-{n}") };
        match fs::create_dir(&name) {
            Ok(()) => return Ok(PathBuf::from(name)),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => {
                let here = std::env::current_dir().unwrap_or_default();
                return Err(named(&here.join(name), &e));
            }
        }
    }
    Err(format!("no free name for a run directory such as `{base}`; name one with --out"))
}

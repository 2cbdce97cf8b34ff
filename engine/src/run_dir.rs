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
    /// When it can't be made, or `out` is not empty.
    pub fn create(out: Option<&Path>) -> io::Result<RunDir> {
        let root = match out {
            Some(out) => {
                fs::create_dir_all(out)?;
                if fs::read_dir(out)?.next().is_some() {
                    let message = format!("`{}` is not empty; name a fresh directory with --out", out.display());
                    return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
                }
                out.to_path_buf()
            }
            None => fresh()?,
        };
        fs::create_dir(root.join("Reports"))?;
        fs::create_dir(root.join("Results"))?;
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

fn fresh() -> io::Result<PathBuf> {
    let base = jiff::Zoned::now().strftime("%Y%m%d-%H%M%S-RUN").to_string();
    for n in 1u32.. {
        let name = if n == 1 { base.clone() } else { format!("{base}-{n}") };
        match fs::create_dir(&name) {
            Ok(()) => return Ok(PathBuf::from(name)),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e),
        }
    }
    Err(io::Error::other("no free name for a run directory"))
}

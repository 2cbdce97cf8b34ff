//! The run directory: made fresh, never shared.

use engine_runtime::exec::run::Durability;
use engine_runtime::journal::Journal;
use engine_runtime::lock::Lock;
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
    pub fn create(out: Option<&Path>) -> Result<(RunDir, Lock), String> {
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
        let dir = RunDir { root };
        let lock = dir.lock()?;
        Ok((dir, lock))
    }

    /// The directory of an earlier run, to go on with. Its record is put aside into `Reports/1`, `Reports/2`, …
    ///
    /// # Errors
    /// In words, with the path: it is no run directory, can't be written, or its run has not ended.
    pub fn resume(root: &Path) -> Result<(RunDir, Lock), String> {
        let dir = RunDir { root: root.to_path_buf() };
        if !dir.journal_path().is_file() {
            let text = "is no directory of a run that can be resumed (it has no Reports/journal)";
            return Err(format!("`{}` {text}; name one with --resume, or start afresh without", root.display()));
        }
        let lock = dir.lock()?;
        let failed = |e: io::Error| format!("can't go on in the run directory `{}`: {e}", root.display());
        fs::create_dir_all(dir.results()).map_err(failed)?;
        let free = (1u32..).map(|n| dir.reports().join(n.to_string())).find(|p| !p.exists());
        let aside = free.ok_or_else(|| failed(io::Error::other("no free number for its record")))?;
        fs::create_dir(&aside).map_err(failed)?;
        for entry in fs::read_dir(dir.reports()).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.is_file() && path != dir.journal_path() && path != lock.path() {
                fs::rename(&path, aside.join(path.file_name().unwrap_or_default())).map_err(failed)?;
            }
        }
        Ok((dir, lock))
    }

    /// Keeps other runs out of the directory until it is dropped.
    fn lock(&self) -> Result<Lock, String> {
        let taken = Lock::acquire(&self.reports().join("lock"));
        // What a run that was killed has left is just what `--resume` is for: no word about it.
        taken.map(|t| t.lock).map_err(|e| format!("the run directory `{}` is in use: {e}", self.root.display()))
    }

    /// The journal: a new one, or that of the run that is resumed.
    ///
    /// # Errors
    /// In words: it can't be made or read.
    pub fn journal(&self, resume: bool, durability: Durability) -> Result<Journal, String> {
        let path = self.journal_path();
        let sync = durability == Durability::Machine;
        let journal = if resume { Journal::open(&path, sync) } else { Journal::create(&path, sync) };
        journal.map_err(|e| format!("can't use the journal `{}`: {e}", path.display()))
    }

    fn journal_path(&self) -> PathBuf {
        self.reports().join("journal")
    }

    /// Where the record goes.
    pub fn reports(&self) -> PathBuf {
        self.root.join("Reports")
    }

    /// Where arrays go that are written only to be read again.
    pub fn scratch(&self) -> PathBuf {
        self.root.join(engine_runtime::exec::outputs::SCRATCH)
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

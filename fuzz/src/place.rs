//! A directory for the files of one thread, removed with it; in memory where the system has such a place.

use std::path::{Path, PathBuf};

pub(crate) struct Place(PathBuf);

impl Place {
    /// A directory with these files, by name.
    pub(crate) fn new(kind: &str, files: &[(&str, &[u8])]) -> Place {
        let memory = Path::new("/dev/shm");
        let above = if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() };
        let thread = format!("{:?}", std::thread::current().id()).replace(|c: char| !c.is_ascii_digit(), "");
        let dir = above.join(format!("engine-fuzz-{}-{thread}-{kind}", std::process::id()));
        for (name, bytes) in files {
            let path = dir.join(name);
            std::fs::create_dir_all(path.parent().unwrap_or(&dir)).expect("a place for temporary files");
            std::fs::write(path, bytes).expect("a place for temporary files");
        }
        Place(dir)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

//! A control group that bounds the memory of a child, page cache included, where one can be made.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A group, removed with it.
pub struct Cgroup(PathBuf);

impl Cgroup {
    /// A group whose processes may have so many bytes; `None` without the rights, or a memory controller.
    pub fn new(bytes: u64) -> Option<Cgroup> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("engine-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let roots = [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")];
        roots.iter().find_map(|(root, limit)| {
            let path = Path::new(root).join(&name);
            std::fs::create_dir(&path).ok()?;
            let group = Cgroup(path);
            std::fs::write(group.0.join(limit), bytes.to_string()).ok()?;
            Some(group)
        })
    }

    /// Where a process writes its number to enter.
    pub fn procs(&self) -> PathBuf {
        self.0.join("cgroup.procs")
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // One that can't be removed is empty and bounds nobody.
        let _ = std::fs::remove_dir(&self.0);
    }
}

//! Facts about the machine: memory, processor, name.

use std::fs;
use std::path::Path;

fn number(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// A line such as `MemAvailable:  123 kB` of a file in `/proc`, in bytes.
fn kib_line(path: &str, key: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|l| l.starts_with(key))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|k| k << 10)
}

/// The limit of the control group this process is in, in bytes; `None` without one.
pub fn cgroup_limit() -> Option<u64> {
    limit_of(&fs::read_to_string("/proc/self/cgroup").ok()?, Path::new("/sys/fs/cgroup"))
}

/// The least limit of the groups that a file such as `/proc/self/cgroup` names, and of those above them. A group that is not
/// seen from here, as in a container, leaves those that are.
fn limit_of(groups: &str, root: &Path) -> Option<u64> {
    let limits = groups.lines().filter_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let (below, file) = match controllers {
            "" => (root.to_path_buf(), "memory.max"),
            some if some.split(',').any(|c| c == "memory") => (root.join("memory"), "memory.limit_in_bytes"),
            _ => return None,
        };
        let group = below.join(path.trim_start_matches('/'));
        let above = group.ancestors().take_while(|dir| dir.starts_with(&below));
        above.filter_map(|dir| number(&dir.join(file).to_string_lossy())).min()
    });
    // Version 1 writes a number that no machine has for no limit.
    limits.min().filter(|&n| n < 1 << 60)
}

/// The default memory limit: the control group's, and at most four fifths of what is available now.
pub fn default_memory() -> u64 {
    let free = kib_line("/proc/meminfo", "MemAvailable").map_or(2 << 30, |n| n / 5 * 4);
    cgroup_limit().map_or(free, |c| c.min(free))
}

/// The most memory this process ever had resident, in bytes.
pub fn peak_rss() -> u64 {
    kib_line("/proc/self/status", "VmHWM").unwrap_or(0)
}

/// Processors this process may use.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get())
}

/// Bytes that may still be written to the disk of a directory; `None` where that can't be told.
pub fn free_disk(dir: &std::path::Path) -> Option<u64> {
    let found = rustix::fs::statvfs(dir).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

/// The name of this host.
pub fn name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Where numbers of processes mean the same: this boot of this host, in the name space of this process. Empty where
/// that can't be told.
pub fn process_space() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id");
    let names = fs::read_link("/proc/self/ns/pid");
    match (boot, names) {
        (Ok(boot), Ok(names)) => format!("{} {}", boot.trim(), names.display()),
        _ => String::new(),
    }
}

/// When a process was started, in clock ticks since the host was; `None` when it is gone.
pub fn process_start(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program, in brackets, may hold anything.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    fields.nth(18)?.parse().ok().filter(|_| !matches!(state, "Z" | "X"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_limit_of_a_group_and_those_above_counts() {
        let dir = tempfile::tempdir().unwrap();
        let set = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let limit = |groups: &str| limit_of(groups, dir.path());
        let (first, second) = ("5:cpu:/\n4:memory,x:/job/step\n0::/\n", "0::/user/session\n");
        assert_eq!((limit(first), limit(second)), (None, None));
        set("memory/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(limit(first), None);
        set("memory/job/memory.limit_in_bytes", "4000\n");
        assert_eq!(limit(first), Some(4000));
        set("memory/job/step/memory.limit_in_bytes", "5000\n");
        assert_eq!(limit(first), Some(4000));
        set("memory/job/step/memory.limit_in_bytes", "3000\n");
        assert_eq!((limit(first), limit(second)), (Some(3000), None));
        set("user/session/memory.max", "max\n");
        assert_eq!(limit(second), None);
        set("user/memory.max", "2000\n");
        assert_eq!(limit(second), Some(2000));
        // A group of the host, which a container does not see.
        assert_eq!(limit("4:memory:/docker/abc\n"), None);
        set("memory/memory.limit_in_bytes", "7000\n");
        assert_eq!(limit("4:memory:/docker/abc\n"), Some(7000));
        assert_eq!(limit("nonsense\n\n:::\n"), None);
    }
}

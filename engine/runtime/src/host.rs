//! Facts about the machine: memory, processor, name.

use std::fs;

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
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = groups.lines().find_map(|l| l.strip_prefix("0::"))?;
    let mut dir = format!("/sys/fs/cgroup{path}");
    let mut least = number("/sys/fs/cgroup/memory/memory.limit_in_bytes").filter(|&n| n < 1 << 60);
    while dir.len() >= "/sys/fs/cgroup".len() {
        if let Some(n) = number(&format!("{dir}/memory.max")) {
            least = Some(least.map_or(n, |l| l.min(n)));
        }
        dir.truncate(dir.rfind('/').unwrap_or(0));
    }
    least
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

//! What `Reports/cluster.yaml` says of the machine and the job: hosts, processor, memory, scheduler, versions.
//!
//! Of the environment only the variables named here are read, so that no secret of a job script gets into the record.

use serde::Serialize;
use std::fs;
use std::io::{BufRead, BufReader};

/// Looks up a variable of the environment; a function, so that tests need not change their process.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The machine and the job of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cluster {
    /// The batch job, inside one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<Job>,
    /// The hosts of the job; this one without a job.
    pub hosts: Vec<String>,
    /// Processes that compute.
    pub workers: usize,
    /// Threads that compute, in each.
    pub threads: usize,
    /// Memory the run may use in each, in bytes.
    pub memory_limit_bytes: u64,
    /// This host.
    pub host: Host,
    /// Versions, sorted by name.
    pub versions: std::collections::BTreeMap<String, String>,
}

/// A batch job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Job {
    /// `slurm` or `pbs`.
    pub scheduler: &'static str,
    /// Its id.
    pub id: String,
    /// What else the scheduler says of it, under the names of its variables, sorted.
    pub settings: std::collections::BTreeMap<String, String>,
}

/// A host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// Its operating system and release.
    pub system: String,
    /// Its instruction set.
    pub arch: &'static str,
    /// Its processor, where the system tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_model: Option<String>,
    /// Processors this process may use.
    pub cpus: usize,
    /// Its memory, in bytes, where the system tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// The control group's memory limit, in bytes, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_cgroup_bytes: Option<u64>,
}

/// Variables of Slurm that describe a job.
const SLURM: [&str; 12] = [
    "SLURM_ARRAY_JOB_ID",
    "SLURM_ARRAY_TASK_ID",
    "SLURM_CLUSTER_NAME",
    "SLURM_CPUS_PER_TASK",
    "SLURM_JOB_ACCOUNT",
    "SLURM_JOB_NAME",
    "SLURM_JOB_NODELIST",
    "SLURM_JOB_NUM_NODES",
    "SLURM_JOB_PARTITION",
    "SLURM_MEM_PER_CPU",
    "SLURM_MEM_PER_NODE",
    "SLURM_NTASKS",
];

/// Variables of PBS that describe a job.
const PBS: [&str; 6] = ["NCPUS", "PBS_ARRAY_INDEX", "PBS_JOBNAME", "PBS_NODEFILE", "PBS_NUM_NODES", "PBS_QUEUE"];

impl Cluster {
    /// Finds out where this process runs.
    ///
    /// `versions` are those of the engine and of what it should name beside itself.
    #[must_use]
    pub fn detect(threads: usize, memory_limit_bytes: u64, versions: &[(&str, &str)], env: Env<'_>) -> Self {
        let host = Host::detect();
        let job = Job::detect(env);
        let listed = job.as_ref().map(|job| job.hosts()).unwrap_or_default();
        let hosts = if listed.is_empty() { vec![host.name.clone()] } else { listed };
        let versions = versions.iter().map(|(name, version)| ((*name).to_owned(), (*version).to_owned())).collect();
        Self { job, hosts, workers: 1, threads, memory_limit_bytes, host, versions }
    }
}

impl Job {
    fn detect(env: Env<'_>) -> Option<Self> {
        let found = |scheduler, id: &str, names: &[&str]| {
            let id = env(id)?;
            let settings = names.iter().filter_map(|name| Some(((*name).to_owned(), env(name)?))).collect();
            Some(Self { scheduler, id, settings })
        };
        found("slurm", "SLURM_JOB_ID", &SLURM).or_else(|| found("pbs", "PBS_JOBID", &PBS))
    }

    /// The job's hosts as far as its variables tell, each once, in the order given.
    fn hosts(&self) -> Vec<String> {
        if let Some(list) = self.settings.get("SLURM_JOB_NODELIST") {
            return expand_hosts(list);
        }
        let file = self.settings.get("PBS_NODEFILE").and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
        let mut hosts: Vec<String> = Vec::new();
        for line in file.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if !hosts.iter().any(|host| host == line) {
                hosts.push(line.to_owned());
            }
        }
        hosts
    }
}

/// Most hosts a list is expanded to; a longer one is kept as it is written.
const HOSTS: usize = 65_536;

/// Expands Slurm's short form of host names: `n[01-03,7],login` is `n01 n02 n03 n7 login`.
///
/// What does not follow the form is kept as one entry.
fn expand_hosts(list: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut depth = 0usize;
    let mut start = 0;
    for (at, c) in list.char_indices().chain([(list.len(), ',')]) {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            ',' if depth == 0 || at == list.len() => {
                let part = list.get(start..at).unwrap_or_default();
                let expanded = expand_brackets(part).filter(|expanded| names.len() + expanded.len() <= HOSTS);
                names.extend(expanded.unwrap_or_else(|| vec![part.to_owned()]));
                start = at + 1;
            }
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn expand_brackets(name: &str) -> Option<Vec<String>> {
    let Some((head, rest)) = name.split_once('[') else { return Some(vec![name.to_owned()]) };
    let (ranges, tail) = rest.split_once(']')?;
    let tails = expand_brackets(tail)?;
    let mut names = Vec::new();
    for range in ranges.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (from, to) = (first.parse::<u64>().ok()?, last.parse::<u64>().ok()?);
        if to.checked_sub(from)? >= HOSTS as u64 {
            return None;
        }
        for number in from..=to {
            for tail in &tails {
                names.push(format!("{head}{number:0width$}{tail}", width = first.len()));
            }
        }
        if names.len() > HOSTS {
            return None;
        }
    }
    Some(names)
}

impl Host {
    fn detect() -> Self {
        let system = rustix::system::uname();
        let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
        let read = |path: &str| fs::read_to_string(path).ok();
        Self {
            name: text(system.nodename()),
            system: format!("{} {}", text(system.sysname()), text(system.release())),
            arch: std::env::consts::ARCH,
            cpu_model: fs::File::open("/proc/cpuinfo").ok().and_then(|file| cpu_model(BufReader::new(file))),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: read("/proc/meminfo").and_then(|text| {
                let kib: u64 = field(&text, "MemTotal")?.strip_suffix("kB")?.trim().parse().ok()?;
                kib.checked_mul(1024)
            }),
            memory_cgroup_bytes: read("/sys/fs/cgroup/memory.max").and_then(|text| text.trim().parse().ok()),
        }
    }
}

/// The name of the first processor. The system makes the text as it is read, and takes long over that of a hundred processors.
fn cpu_model(text: impl BufRead) -> Option<String> {
    text.lines().map_while(Result::ok).find_map(|line| field(&line, "model name").map(str::to_owned))
}

/// The value of the first `name : value` line.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let line = text.lines().find(|line| line.split(':').next().is_some_and(|key| key.trim() == name))?;
    line.split_once(':').map(|(_, value)| value.trim())
}

/// The address of this process in the manner of Dask's in-process workers: `inproc://host/pid/0`.
#[must_use]
pub fn local_address() -> String {
    format!("inproc://{}/{}/0", rustix::system::uname().nodename().to_string_lossy(), std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_lists_expand_as_scontrol_shows_them() {
        assert_eq!(expand_hosts("n[08-11,2],login"), ["n08", "n09", "n10", "n11", "n2", "login"]);
        assert_eq!(expand_hosts("r[1-2]c[0-1]"), ["r1c0", "r1c1", "r2c0", "r2c1"]);
        assert_eq!(expand_hosts("a,b"), ["a", "b"]);
        assert_eq!(expand_hosts("n[1-"), ["n[1-"]);
        assert_eq!(expand_hosts("n[2-1]"), ["n[2-1]"]);
        assert_eq!(expand_hosts("n[0-99999999]"), ["n[0-99999999]"]);
        assert!(expand_hosts("").is_empty());
    }

    #[test]
    fn a_slurm_job_is_told_and_nothing_else_of_the_environment() {
        let env = |name: &str| match name {
            "SLURM_JOB_ID" => Some("42".to_owned()),
            "SLURM_JOB_NODELIST" => Some("n[1-2]".to_owned()),
            "SLURM_JOB_PARTITION" => Some("main".to_owned()),
            name if name.contains("SECRET") || name.contains("TOKEN") => Some("s3cret".to_owned()),
            _ => None,
        };
        let cluster = Cluster::detect(2, 1 << 30, &[("engine", "0.1.0")], &env);
        assert_eq!(cluster.hosts, ["n1", "n2"]);
        let text = serde_yaml::to_string(&cluster).unwrap();
        assert!(
            text.starts_with("job:\n  scheduler: slurm\n  id: '42'\n  settings:\n    SLURM_JOB_NODELIST: n[1-2]\n"),
            "{text}"
        );
        assert!(!text.contains("s3cret"));
    }

    #[test]
    fn a_pbs_job_takes_its_hosts_from_the_node_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "n2\nn2\nn1\n\n").unwrap();
        let env = |name: &str| match name {
            "PBS_JOBID" => Some("7.server".to_owned()),
            "PBS_NODEFILE" => Some(file.path().to_string_lossy().into_owned()),
            _ => None,
        };
        let cluster = Cluster::detect(1, 1, &[], &env);
        assert_eq!(cluster.hosts, ["n2", "n1"]);
        assert_eq!(cluster.job.unwrap().scheduler, "pbs");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_host_is_known() {
        let cluster = Cluster::detect(1, 1, &[], &|_| None);
        assert_eq!((cluster.job, cluster.hosts), (None, vec![cluster.host.name.clone()]));
        assert!(cluster.host.memory_bytes.unwrap() > 1 << 20 && cluster.host.system.starts_with("Linux "));
        let text = "processor : 0\nmodel name\t: A: B\nmodel : 3\n";
        assert_eq!(field(text, "model name"), Some("A: B"));
        assert_eq!(cpu_model(text.as_bytes()).as_deref(), Some("A: B"));
    }
}

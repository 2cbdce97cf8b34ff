//! `kill -9` at random moments: what a killed run leaves is whole.
//!
//! Twelve kills, or two hundred with `ENGINE_LONG=1`. `ENGINE_TEST_PYTHON` names a Python with PyYAML, the independent
//! reader.

use crate::{cli, support};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Loads every file whose name it is given on a line, and answers each with a line: `ok`, or what is wrong.
const READER: &str = "
import sys, yaml
for line in sys.stdin:
    try:
        with open(line.rstrip('\\n'), 'rb') as file:
            yaml.safe_load(file)
        print('ok', flush=True)
    except Exception as error:
        print(' '.join(str(error).split()), flush=True)
";

/// PyYAML in a process that stays, since starting one for each file takes longer than reading it.
struct PyYaml {
    child: Child,
    input: ChildStdin,
    output: std::io::Lines<std::io::BufReader<std::process::ChildStdout>>,
}

impl PyYaml {
    fn start() -> Option<PyYaml> {
        use std::io::BufRead;
        let Some(python) = support::python() else {
            support::skipped("PyYAML as the second reader of killed records: set ENGINE_TEST_PYTHON");
            return None;
        };
        let mut command = Command::new(python);
        let mut child = command.args(["-c", READER]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let input = child.stdin.take().unwrap();
        let output = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
        Some(PyYaml { child, input, output })
    }

    fn load(&mut self, path: &Path) {
        writeln!(self.input, "{}", path.display()).unwrap();
        let answer = self.output.next().unwrap().unwrap();
        assert_eq!(answer, "ok", "PyYAML: {}", path.display());
    }
}

impl Drop for PyYaml {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Evenly spread numbers that differ from run to run, printed so that a failure can be repeated.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        // SplitMix64 (Steele, Lea, Flood 2014).
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// What was found after one kill.
#[derive(Debug, Default)]
struct Left {
    yaml: usize,
    images: usize,
    records: usize,
    /// Finished files whose last task is not in the stream.
    missing: usize,
    /// The longest time between the end of such a file and the kill.
    oldest: Duration,
}

/// Time between two writes of the stream, with room for a busy machine.
const UNFLUSHED: Duration = Duration::from_millis(2_000);

fn inspect(run: &Path, killed: SystemTime, python: &mut Option<PyYaml>) -> Left {
    let mut left = Left::default();
    let reports = run.join("Reports");
    if !reports.is_dir() {
        return left;
    }
    left.yaml = cli::loadable(run);
    if let Some(python) = python {
        for file in support::tree::files(&reports).iter().filter(|f| f.extension().is_some_and(|e| e == "yaml")) {
            python.load(&reports.join(file));
        }
    }
    if run.join("Results").is_dir() {
        left.images = cli::whole(run);
    }
    let stream = reports.join("task_stream.yaml");
    // A file without a record holds a comment only.
    let records = if stream.exists() { support::yaml(&stream) } else { serde_yaml::Value::Null };
    let records = records.as_sequence().cloned().unwrap_or_default();
    left.records = records.len();
    let mut labelled: BTreeMap<u64, usize> = BTreeMap::new();
    for record in &records {
        assert_eq!(record["status"].as_str(), Some("OK"), "{record:?}");
        let steps = record["metadata"]["steps"].as_sequence().unwrap();
        if steps.iter().any(|s| s.as_str() == Some("labels")) {
            *labelled.entry(record["metadata"]["item"].as_u64().unwrap()).or_default() += 1;
        }
    }
    // Items are numbered in natural order, which for these tiles is that of their bytes.
    for (item, stem) in support::stems().iter().enumerate() {
        let file = run.join("Results/Labeled").join(format!("{stem}.png"));
        if file.exists() && !labelled.contains_key(&(item as u64)) {
            left.missing += 1;
            let ended = std::fs::metadata(&file).unwrap().modified().unwrap();
            left.oldest = left.oldest.max(killed.duration_since(ended).unwrap_or_default());
        }
    }
    left
}

#[test]
fn a_run_killed_at_any_moment_leaves_whole_files() {
    let kills = if support::long() { 200 } else { 12 };
    let seed = std::env::var("ENGINE_TEST_SEED").ok().map_or_else(
        || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64,
        |seed| seed.parse().unwrap(),
    );
    println!("ENGINE_TEST_SEED={seed}");
    let mut random = Random(seed);
    let mut python = PyYaml::start();
    let start = |out: &Path| {
        let mut command = support::engine();
        command.arg("run").arg(support::workflow("bcss.yaml")).arg("--out").arg(out);
        command.args(["--progress", "none", "--block", "96", "--threads", "2"]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    // The shortest of three, or a moment of waiting on others would put most kills after the end.
    let once = || {
        let dir = support::temp();
        let at = Instant::now();
        assert!(start(&dir.path().join("run")).wait().unwrap().success());
        at.elapsed()
    };
    let whole = (0..3).map(|_| once()).min().unwrap();
    let (mut all, mut finished) = (Left::default(), 0);
    let mut most = 0;
    for _ in 0..kills {
        let dir = support::temp();
        let run = dir.path().join("run");
        let mut child = start(&run);
        // From the first instruction almost to the end.
        std::thread::sleep(whole.mul_f64((random.next() >> 11) as f64 / (1u64 << 53) as f64 * 0.95));
        finished += usize::from(child.try_wait().unwrap().is_some());
        // SIGKILL.
        child.kill().unwrap();
        let killed = SystemTime::now();
        child.wait().unwrap();
        let left = inspect(&run, killed, &mut python);
        assert!(left.oldest < UNFLUSHED, "a task that ended {:?} before the kill is not recorded", left.oldest);
        most = most.max(left.missing);
        all.yaml += left.yaml;
        all.images += left.images;
        all.records += left.records;
        all.missing += left.missing;
        all.oldest = all.oldest.max(left.oldest);
    }
    println!(
        "{kills} kills within {whole:?}, {finished} after the end: {} YAML files loaded, {} images decoded, {} tasks \
         recorded; {} finished label images without their task (at most {most} a kill, at most {:?} old)",
        all.yaml, all.images, all.records, all.missing, all.oldest
    );
    assert!(all.yaml > kills, "the kills came before the runs began");
}

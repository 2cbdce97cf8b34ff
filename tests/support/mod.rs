//! What the acceptance tests share: the binary, run directories of their own, decoded results.

pub mod cgroup;
pub mod pixels;
pub mod server;
pub mod tree;

use serde_json::Value as Json;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// A workflow that ships.
pub fn workflow(name: &str) -> PathBuf {
    root().join("workflows").join(name)
}

/// Images that ship.
pub fn data(name: &str) -> PathBuf {
    root().join("examples/data").join(name)
}

/// True where the long forms of tests are asked for: `ENGINE_LONG=1`.
pub fn long() -> bool {
    std::env::var_os("ENGINE_LONG").is_some_and(|v| v == "1")
}

/// The binary under test, or another that `ENGINE_TEST_BINARY` names, with an environment that says nothing to it.
pub fn engine() -> Command {
    let binary = std::env::var_os("ENGINE_TEST_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_engine").into());
    let mut command = Command::new(binary);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if ["OTEL_", "ENGINE_", "AWS_", "TRACEPARENT"].iter().any(|part| text.starts_with(part)) {
            command.env_remove(&name);
        }
    }
    command.env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

/// Runs the binary to its end.
pub fn call<S: AsRef<std::ffi::OsStr>>(args: &[S]) -> Output {
    engine().args(args).output().unwrap()
}

/// Standard output as text.
pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Standard error as text.
pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A directory for one test, removed with it.
pub fn temp() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// A run to its end, in a directory of its own.
pub struct Run {
    dir: tempfile::TempDir,
    /// What it printed and how it ended.
    pub output: Output,
}

impl Run {
    /// `engine run WORKFLOW --out … --progress none --json` with more arguments and variables.
    pub fn with(workflow: &Path, args: &[&str], vars: &[(&str, &str)]) -> Run {
        let dir = temp();
        let mut command = engine();
        command.arg("run").arg(workflow).arg("--out").arg(dir.path().join("run"));
        command.args(["--progress", "none", "--json"]).args(args).envs(vars.iter().copied());
        Run { output: command.output().unwrap(), dir }
    }

    /// The same in a child to which the system gives no more memory for data than `bytes`, nor for data and page cache
    /// together where a control group can be made.
    pub fn limited(workflow: &Path, args: &[&str], bytes: u64) -> Run {
        let (dir, engine) = (temp(), engine());
        let group = cgroup::Cgroup::new(bytes);
        let mut command = Command::new("sh");
        for (name, value) in engine.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let enter = group.as_ref().map_or_else(|| "/dev/null".into(), cgroup::Cgroup::procs);
        command.args(["-c", "echo $$ > \"$0\" && ulimit -d \"$1\" && shift && exec \"$@\""]).arg(enter);
        command.arg((bytes / 1024).to_string());
        command.arg(engine.get_program()).arg("run").arg(workflow).arg("--out").arg(dir.path().join("run"));
        command.args(["--progress", "none", "--json"]).args(args).stdin(Stdio::null());
        println!("limited to {bytes} bytes{}", if group.is_some() { ", in a control group" } else { "" });
        Run { output: command.output().unwrap(), dir }
    }

    /// A run that has to end well.
    pub fn ok(workflow: &Path, args: &[&str]) -> Run {
        Run::with(workflow, args, &[]).expect_code(0)
    }

    /// Fails with everything printed unless the run ended with this code.
    pub fn expect_code(self, code: i32) -> Run {
        assert_eq!(self.output.status.code(), Some(code), "{}\n{}", stdout(&self.output), stderr(&self.output));
        self
    }

    /// The run directory.
    pub fn dir(&self) -> PathBuf {
        self.dir.path().join("run")
    }

    /// Below `Results`.
    pub fn results(&self, name: &str) -> PathBuf {
        self.dir().join("Results").join(name)
    }

    /// A file of the record.
    pub fn report(&self, name: &str) -> serde_yaml::Value {
        yaml(&self.dir().join("Reports").join(name))
    }

    /// The summary: the only line on standard output.
    pub fn summary(&self) -> Json {
        let text = stdout(&self.output);
        assert_eq!(text.lines().count(), 1, "one line on standard output: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// A number of the summary.
    pub fn number(&self, name: &str) -> f64 {
        self.summary()[name].as_f64().unwrap_or_else(|| panic!("{name} in {}", self.summary()))
    }
}

/// Reads a YAML file.
pub fn yaml(path: &Path) -> serde_yaml::Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_yaml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Writes a file of a test, with the directories above it.
pub fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// A workflow that ships with parts of its text replaced, each of which has to be there, for use elsewhere.
pub fn edited(name: &str, dir: &Path, edits: &[(&str, &str)]) -> PathBuf {
    let mut text = std::fs::read_to_string(workflow(name)).unwrap();
    let examples = format!("{}/", root().join("examples").display());
    for (from, to) in [&[("../examples/", examples.as_str())], edits].concat() {
        assert!(text.contains(from), "{name} has no `{from}`");
        text = text.replace(from, to);
    }
    let path = dir.join(name);
    write(&path, &text);
    path
}

/// Copies images that ship into a directory; gives the glob of them.
pub fn copies(dir: &Path, stems: &[&str]) -> String {
    std::fs::create_dir_all(dir).unwrap();
    for stem in stems {
        let name = format!("{stem}.png");
        std::fs::copy(data("histology").join(&name), dir.join(&name)).unwrap();
    }
    format!("{}/*.png", dir.display())
}

/// Stems of the histology tiles, sorted.
pub fn stems() -> Vec<String> {
    let mut stems: Vec<String> = std::fs::read_dir(data("histology"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|x| x == "png"))
        .map(|p| p.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    stems.sort();
    stems
}

/// A Python with the packages that some tests ask for, as `ENGINE_TEST_PYTHON` names it.
pub fn python() -> Option<PathBuf> {
    std::env::var_os("ENGINE_TEST_PYTHON").map(PathBuf::from)
}

/// Says past the capture of the test harness that something was left out.
pub fn skipped(what: &str) {
    use std::io::Write;
    let mut stderr = std::io::stderr();
    writeln!(stderr, "SKIPPED: {what}").unwrap();
}

//! A real receiver of spans, rotel's OTLP agent, and what it shows of them. The acceptance tests use it too.
//!
//! The agent is the binary that `ENGINE_TEST_ROTEL` names, or the one in the package `rotel` of the Python that
//! `ENGINE_TEST_PYTHON` names (`pip install rotel`).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Ports that nothing listens at.
#[derive(Clone, Copy)]
pub struct Ports {
    pub grpc: u16,
    pub http: u16,
}

impl Ports {
    pub fn free() -> Ports {
        // Both at once, so that they differ.
        let [grpc, http] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let number = |listener: &TcpListener| listener.local_addr().unwrap().port();
        Ports { grpc: number(&grpc), http: number(&http) }
    }

    /// The one for a protocol by the name that OpenTelemetry gives it.
    pub fn of(self, protocol: &str) -> u16 {
        if protocol == "grpc" { self.grpc } else { self.http }
    }
}

/// The agent's binary; `None`, said past the capture of the test harness, when nothing names one.
pub fn binary() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("ENGINE_TEST_ROTEL") {
        return Some(path.into());
    }
    let Some(python) = std::env::var_os("ENGINE_TEST_PYTHON") else {
        let mut stderr = std::io::stderr();
        writeln!(stderr, "SKIPPED: no receiver: set ENGINE_TEST_ROTEL, or ENGINE_TEST_PYTHON with rotel").unwrap();
        return None;
    };
    let script = "import os, rotel; print(os.path.join(os.path.dirname(rotel.__file__), 'rotel-agent'))";
    let output = Command::new(python).args(["-c", script]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ENGINE_TEST_PYTHON has no rotel: {text}");
    Some(String::from_utf8(output.stdout).unwrap().trim().into())
}

/// A running agent with a log of its own.
pub struct Receiver {
    child: Child,
    log: PathBuf,
}

impl Receiver {
    /// Starts the agent and waits until it listens; `verbosity` is `basic` or, to show every span, `detailed`.
    pub fn start(agent: &Path, ports: Ports, dir: &Path, verbosity: &str) -> Receiver {
        let log = dir.join("rotel.log");
        let child = Command::new(agent)
            .args(["start", "--exporter", "blackhole", "--debug-log", "traces", "--debug-log-verbosity", verbosity])
            .args(["--otlp-grpc-endpoint", &format!("127.0.0.1:{}", ports.grpc)])
            .args(["--otlp-http-endpoint", &format!("127.0.0.1:{}", ports.http)])
            .env("NO_COLOR", "1")
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(File::create(&log).unwrap())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let receiver = Receiver { child, log };
        let deadline = Instant::now() + Duration::from_secs(20);
        for port in [ports.grpc, ports.http] {
            while TcpStream::connect(("127.0.0.1", port)).is_err() {
                assert!(Instant::now() < deadline, "the receiver does not listen");
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        receiver
    }

    /// What it has shown so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap()).into_owned()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A span as the agent's log shows it.
#[derive(Debug, Default, Clone)]
pub struct Shown {
    pub trace: String,
    pub parent: String,
    pub name: String,
    pub attributes: BTreeMap<String, String>,
}

/// The spans of a detailed log by id; panics when an id comes twice.
pub fn spans(log: &str) -> BTreeMap<String, Shown> {
    let mut spans = BTreeMap::new();
    let mut current = (String::new(), Shown::default());
    let mut keep = |(id, span): (String, Shown)| {
        assert!(id.is_empty() || spans.insert(id.clone(), span).is_none(), "span {id} came twice");
    };
    for line in log.lines() {
        if line.starts_with("Span #") || line.starts_with("ResourceSpans #") {
            keep(std::mem::take(&mut current));
        } else if let Some(attribute) = line.trim_start().strip_prefix("-> ") {
            let (name, value) = attribute.split_once(": ").unwrap();
            current.1.attributes.insert(name.to_owned(), value.to_owned());
        } else if let Some((field, value)) = line.split_once(':') {
            let value = value.trim().to_owned();
            match field.trim() {
                "Trace ID" => current.1.trace = value,
                "Parent ID" => current.1.parent = value,
                "ID" => current.0 = value,
                "Name" => current.1.name = value,
                _ => {}
            }
        }
    }
    keep(current);
    spans
}

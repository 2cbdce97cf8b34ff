//! Spans of a whole run at a real receiver: rotel's OTLP agent gets each of them over both protocols.
//!
//! The agent is the binary that `ENGINE_TEST_ROTEL` names, or the one in the package `rotel` of the Python that
//! `ENGINE_TEST_PYTHON` names (`pip install rotel`). Without either the test says that it was skipped.

use crate::support::{self, Run, stderr};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn agent() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("ENGINE_TEST_ROTEL") {
        return Some(path.into());
    }
    let script = "import os, rotel; print(os.path.join(os.path.dirname(rotel.__file__), 'rotel-agent'))";
    let output = Command::new(support::python()?).args(["-c", script]).output().unwrap();
    assert!(output.status.success(), "ENGINE_TEST_PYTHON has no rotel: {}", stderr(&output));
    Some(String::from_utf8(output.stdout).unwrap().trim().into())
}

/// A running agent with ports and a log of its own.
struct Receiver {
    child: Child,
    grpc: u16,
    http: u16,
    log: PathBuf,
}

impl Receiver {
    fn start(agent: &Path, dir: &Path) -> Receiver {
        // Both at once, so that they differ.
        let ports = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [grpc, http] = ports.map(|p| p.local_addr().unwrap().port());
        let log = dir.join("rotel.log");
        let child = Command::new(agent)
            .args(["start", "--exporter", "blackhole", "--debug-log", "traces", "--debug-log-verbosity", "detailed"])
            .args(["--otlp-grpc-endpoint", &format!("127.0.0.1:{grpc}")])
            .args(["--otlp-http-endpoint", &format!("127.0.0.1:{http}")])
            .env("NO_COLOR", "1")
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(File::create(&log).unwrap())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let receiver = Receiver { child, grpc, http, log };
        let deadline = Instant::now() + Duration::from_secs(20);
        for port in [grpc, http] {
            while TcpStream::connect(("127.0.0.1", port)).is_err() {
                assert!(Instant::now() < deadline, "the receiver does not listen");
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        receiver
    }

    /// The spans so far; waits until nothing has come for a while.
    fn spans(&self) -> BTreeMap<String, Span> {
        let (mut length, mut since) = (0, Instant::now());
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            std::thread::sleep(Duration::from_millis(100));
            let now = std::fs::metadata(&self.log).unwrap().len();
            if now != length {
                (length, since) = (now, Instant::now());
            } else if since.elapsed() > Duration::from_millis(1_500) || Instant::now() > deadline {
                return spans(&String::from_utf8_lossy(&std::fs::read(&self.log).unwrap()));
            }
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A span as the agent's log shows it.
#[derive(Debug, Default)]
struct Span {
    trace: String,
    parent: String,
    name: String,
}

/// The spans of a log by id; panics when an id comes twice.
fn spans(log: &str) -> BTreeMap<String, Span> {
    let mut spans = BTreeMap::new();
    let mut current = (String::new(), Span::default());
    let mut keep = |(id, span): (String, Span)| {
        assert!(id.is_empty() || spans.insert(id.clone(), span).is_none(), "span {id} came twice");
    };
    for line in log.lines() {
        if line.starts_with("Span #") || line.starts_with("ResourceSpans #") {
            keep(std::mem::take(&mut current));
        } else if let Some((field, value)) = line.split_once(':').filter(|_| !line.trim_start().starts_with("->")) {
            match field.trim() {
                "Trace ID" => current.1.trace = value.trim().to_owned(),
                "Parent ID" => current.1.parent = value.trim().to_owned(),
                "ID" => current.0 = value.trim().to_owned(),
                "Name" => current.1.name = value.trim().to_owned(),
                _ => {}
            }
        }
    }
    keep(current);
    spans
}

fn kind(span: &Span) -> &str {
    match span.name.split(' ').next().unwrap() {
        kind @ ("run" | "stage" | "task") => kind,
        _ => "op",
    }
}

fn every_span_arrives(protocol: &str) {
    let Some(agent) = agent() else {
        support::skipped("no receiver: set ENGINE_TEST_ROTEL, or ENGINE_TEST_PYTHON with rotel");
        return;
    };
    let dir = support::temp();
    let receiver = Receiver::start(&agent, dir.path());
    let port = if protocol == "grpc" { receiver.grpc } else { receiver.http };
    let endpoint = format!("http://127.0.0.1:{port}");
    let vars = [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
        ("TRACEPARENT", "00-11111111111111111111111111111111-2222222222222222-01"),
    ];
    let args = ["--otlp", &endpoint, "--block", "128"];
    let run = Run::with(&support::workflow("bcss.yaml"), &args, &vars).expect_code(0);
    assert_eq!(stderr(&run.output), "", "a run that loses nothing says nothing");

    let found = receiver.spans();
    let outside: BTreeSet<&str> =
        found.values().map(|s| s.parent.as_str()).filter(|parent| !found.contains_key(*parent)).collect();
    assert_eq!(outside, BTreeSet::from(["2222222222222222"]), "only the run's parent is elsewhere");
    assert!(found.values().all(|s| s.trace == "1".repeat(32)), "one trace, the one given");
    let above = BTreeMap::from([("stage", "run"), ("task", "stage"), ("op", "task")]);
    for span in found.values().filter(|s| kind(s) != "run") {
        assert_eq!(kind(&found[&span.parent]), above[kind(span)], "{span:?}");
    }
    let count = |wanted: &str| found.values().filter(|s| kind(s) == wanted).count() as u64;
    let records = run.report("task_stream.yaml");
    let records = records.as_sequence().unwrap();
    assert_eq!(count("task"), records.len() as u64, "task spans and records of the task stream");
    assert_eq!(count("task") as f64, run.number("tasks"));
    let plan = run.report("plan.yaml");
    assert_eq!((count("run"), count("stage")), (1, plan["stages"].as_sequence().unwrap().len() as u64));
    // The profile counts each call of an op once; each is a span.
    let calls: u64 = calls(&run.report("profile.yaml"));
    assert_eq!(count("op"), calls, "spans of ops and calls in the profile");
    println!("{protocol}: {} spans, {} tasks, {} ops", found.len(), count("task"), count("op"));
}

/// The sum of every `calls` in the profile's list of ops.
fn calls(profile: &serde_yaml::Value) -> u64 {
    let ops = profile["ops"].as_sequence().unwrap_or_else(|| panic!("no ops in {profile:?}"));
    ops.iter().map(|op| op["calls"].as_u64().unwrap()).sum()
}

#[test]
fn every_span_of_a_run_arrives_over_grpc() {
    every_span_arrives("grpc");
}

#[test]
fn every_span_of_a_run_arrives_over_http() {
    every_span_arrives("http/protobuf");
}

#[test]
fn an_unreachable_receiver_costs_one_warning_and_no_result() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let at = Instant::now();
    let run = Run::ok(&support::workflow("astronaut.yaml"), &["--otlp", &format!("http://127.0.0.1:{port}")]);
    assert!(at.elapsed() < Duration::from_secs(20), "{:?}", at.elapsed());
    let text = stderr(&run.output);
    assert!(text.lines().count() == 1 && text.starts_with("warning: ") && text.contains("spans"), "{text}");
    assert_eq!(run.summary()["status"], "ok");
}

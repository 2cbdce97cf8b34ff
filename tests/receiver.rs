//! Spans of a whole run at a real receiver: rotel's OTLP agent gets each of them over both protocols.
//!
//! Without an agent (see [`agent`]) the tests say that they were skipped.

#[path = "../engine/telemetry/tests/agent/mod.rs"]
mod agent;

use crate::support::{self, Run, stderr};
use agent::{Ports, Receiver, Shown, spans};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// The spans so far; waits until nothing has come for a while.
fn settled(receiver: &Receiver) -> BTreeMap<String, Shown> {
    let (mut length, mut since) = (0, Instant::now());
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        std::thread::sleep(Duration::from_millis(100));
        let log = receiver.log();
        if log.len() != length {
            (length, since) = (log.len(), Instant::now());
        } else if since.elapsed() > Duration::from_millis(1_500) || Instant::now() > deadline {
            return spans(&log);
        }
    }
}

fn kind(span: &Shown) -> &str {
    match span.name.split(' ').next().unwrap() {
        kind @ ("run" | "stage" | "task") => kind,
        _ => "op",
    }
}

fn every_span_arrives(protocol: &str) {
    let Some(agent) = agent::binary() else { return };
    let dir = support::temp();
    let ports = Ports::free();
    let receiver = Receiver::start(&agent, ports, dir.path(), "detailed");
    let endpoint = format!("http://127.0.0.1:{}", ports.of(protocol));
    let vars = [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
        ("TRACEPARENT", "00-11111111111111111111111111111111-2222222222222222-01"),
    ];
    let args = ["--otlp", &endpoint, "--block", "128"];
    let run = Run::with(&support::workflow("bcss.yaml"), &args, &vars).expect_code(0);
    assert_eq!(stderr(&run.output), "", "a run that loses nothing says nothing");

    let found = settled(&receiver);
    assert!(found.values().all(|s| !s.attributes.is_empty()), "every span says more than its name");
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
    let port = Ports::free().http;
    let at = Instant::now();
    let run = Run::ok(&support::workflow("astronaut.yaml"), &["--otlp", &format!("http://127.0.0.1:{port}")]);
    assert!(at.elapsed() < Duration::from_secs(20), "{:?}", at.elapsed());
    let text = stderr(&run.output);
    assert!(text.lines().count() == 1 && text.starts_with("warning: ") && text.contains("spans"), "{text}");
    assert_eq!(run.summary()["status"], "ok");
}

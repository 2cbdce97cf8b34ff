//! Spans at a real receiver: rotel's OTLP agent gets every span over both protocols, and every parent is there.
//!
//! Without an agent (see [`agent`]) these tests say that they were skipped.

#![expect(clippy::unwrap_used, reason = "tests may")]

mod agent;
mod fake;

use agent::{Ports, Receiver, Shown, spans};
use engine_runtime::bus::Bus;
use engine_runtime::event::{Event, TaskRecord};
use engine_telemetry::otel::{Otel, OtlpConfig, Stats};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

/// Spans of a fake run of `tasks` tasks: run, stages, tasks, ops.
fn span_count(tasks: u64) -> u64 {
    let half = tasks.div_ceil(2);
    1 + 2 + tasks + 2 * half + (tasks - half)
}

fn config(endpoint: &str, vars: &[(&str, &str)]) -> OtlpConfig {
    let env = |name: &str| vars.iter().find(|(var, _)| *var == name).map(|(_, value)| (*value).to_owned());
    OtlpConfig::read(Some(endpoint), &env).unwrap().unwrap()
}

/// Runs a fake run whose first task fails; returns warnings, what became of the spans, and how long the end took.
fn run(config: OtlpConfig, tasks: u64) -> (Vec<String>, Arc<Stats>, Duration) {
    let otel = Otel::new(config);
    let stats = otel.stats();
    let bus = Bus::start(vec![Box::new(otel)]);
    bus.emit_all(fake::run(Path::new("/x"), tasks).map(|event| match event {
        Event::TaskEnded(record) if record.stage == 0 && record.item == 0 && record.block == 0 => {
            Event::TaskEnded(Arc::new(TaskRecord { status: fake::failure(), ..(*record).clone() }))
        }
        event => event,
    }));
    let start = Instant::now();
    let warnings = bus.finish();
    (warnings, stats, start.elapsed())
}

/// Waits until the log holds so many spans, or as long as it may take.
fn received(receiver: &Receiver, expected: u64) -> BTreeMap<String, Shown> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let found = spans(&receiver.log());
        if found.len() as u64 >= expected || Instant::now() > deadline {
            return found;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn every_span_arrives(protocol: &str) {
    let dir = tempfile::tempdir().unwrap();
    let Some(agent) = agent::binary() else { return };
    let ports = Ports::free();
    let receiver = Receiver::start(&agent, ports, dir.path(), "detailed");
    let port = ports.of(protocol);
    let parent = ("TRACEPARENT", "00-11111111111111111111111111111111-2222222222222222-01");
    let vars = [("OTEL_EXPORTER_OTLP_PROTOCOL", protocol), ("OTEL_SERVICE_NAME", "tested"), parent];
    let tasks = 3_001;
    let (warnings, stats, _) = run(config(&format!("127.0.0.1:{port}"), &vars), tasks);
    assert_eq!(warnings, Vec::<String>::new());
    let expected = span_count(tasks);
    assert_eq!((stats.emitted(), stats.exported(), stats.failed(), stats.dropped()), (expected, expected, 0, 0));

    let found = received(&receiver, expected);
    assert_eq!(found.len() as u64, expected);
    let outside: BTreeSet<&str> =
        found.values().map(|span| span.parent.as_str()).filter(|parent| !found.contains_key(*parent)).collect();
    assert_eq!(outside, BTreeSet::from(["2222222222222222"]), "only the run's parent is elsewhere");
    assert!(found.values().all(|span| span.trace == "1".repeat(32)));
    let count = |prefix: &str| found.values().filter(|span| span.name.starts_with(prefix)).count() as u64;
    assert_eq!((count("run "), count("stage "), count("task ")), (1, 2, tasks));
    assert_eq!((count("gaussian filter"), count("threshold compare"), count("label number")), (1_501, 1_501, 1_500));
    for span in found.values() {
        let parent = found.get(&span.parent).map_or("elsewhere", |parent| parent.name.as_str());
        let expected = match span.name.split(' ').next().unwrap() {
            "run" => "elsewhere",
            "stage" => "run",
            "task" => "stage",
            _ => "task",
        };
        assert!(parent.starts_with(expected), "{} is a child of {parent}", span.name);
        let attributes = if expected == "stage" { 6 } else { 2 };
        assert!(span.attributes.len() >= attributes, "{span:?}");
    }
    let log = receiver.log();
    assert!(log.contains("service.name: Str(tested)"));
    assert!(log.contains("Status message : smooth (gaussian): expected 4 bytes, found 3: {é}"));
    assert_eq!(log.matches("STATUS_CODE_ERROR").count(), 2, "the task and its stage");
}

#[test]
fn every_span_arrives_over_http_and_every_parent_is_there() {
    every_span_arrives("http/protobuf");
}

#[test]
fn every_span_arrives_over_grpc_and_every_parent_is_there() {
    every_span_arrives("grpc");
}

/// Prints spans per second, the end included; run with `--nocapture` to see them.
#[test]
fn a_hundred_thousand_spans_lose_none() {
    let dir = tempfile::tempdir().unwrap();
    let Some(agent) = agent::binary() else { return };
    let ports = Ports::free();
    let _receiver = Receiver::start(&agent, ports, dir.path(), "basic");
    for protocol in ["http/protobuf", "grpc"] {
        let config = config(&format!("127.0.0.1:{}", ports.of(protocol)), &[("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)]);
        let start = Instant::now();
        let tasks = 28_000;
        let (warnings, stats, end) = run(config, tasks);
        let seconds = start.elapsed().as_secs_f64();
        assert_eq!(warnings, Vec::<String>::new());
        assert_eq!(stats.exported(), span_count(tasks));
        let rate = stats.exported() as f64 / seconds;
        println!("{protocol}: {} spans, {rate:.0} a second, end {:.2} s", stats.exported(), end.as_secs_f64());
    }
}

fn assert_lost(config: OtlpConfig, what: &str) {
    let (warnings, stats, took) = run(config, 1_000);
    assert!(took < Duration::from_secs(6), "{what}: the end took {took:?}");
    assert_eq!(warnings.len(), 1, "{what}: {warnings:?}");
    let expected = span_count(1_000);
    assert!(warnings[0].starts_with(&format!("{expected} of {expected} spans did not reach http://127.0.0.1:")));
    assert_eq!((stats.emitted(), stats.exported()), (expected, 0));
}

#[test]
fn a_receiver_that_refuses_costs_one_warning() {
    for protocol in ["http/protobuf", "grpc"] {
        let config = config(&format!("127.0.0.1:{}", Ports::free().http), &[("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)]);
        assert_lost(config, protocol);
    }
}

#[test]
fn a_receiver_that_never_answers_costs_one_warning_and_five_seconds() {
    for protocol in ["http/protobuf", "grpc"] {
        // Connections wait in the listener's queue for ever.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_lost(config(&format!("127.0.0.1:{port}"), &[("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)]), protocol);
    }
}

/// What was refused at first arrives once the receiver is there, and nothing twice.
#[test]
fn a_receiver_that_starts_late_gets_everything() {
    let dir = tempfile::tempdir().unwrap();
    let Some(agent) = agent::binary() else { return };
    let ports = Ports::free();
    let otel = Otel::new(config(&format!("127.0.0.1:{}", ports.http), &[]));
    let stats = otel.stats();
    let bus = Bus::start(vec![Box::new(otel)]);
    bus.emit_all(fake::run(Path::new("/x"), 2_000));
    std::thread::sleep(Duration::from_millis(800));
    assert!(stats.error().is_some(), "the first attempt found no receiver");
    let receiver = Receiver::start(&agent, ports, dir.path(), "detailed");
    let deadline = Instant::now() + Duration::from_secs(15);
    while stats.exported() < span_count(2_000) - 1 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(bus.finish(), Vec::<String>::new());
    assert_eq!(received(&receiver, span_count(2_000)).len() as u64, span_count(2_000));
}

/// A receiver that says 503 to the first `refusals` requests and 200 to all others; and the headers it gets.
fn refusing(refusals: u32) -> (u16, mpsc::Receiver<String>) {
    let (tell, headers) = mpsc::channel();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut left = refusals;
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let (mut length, mut head) = (0, String::new());
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).unwrap();
                if let Some((name, value)) = line.split_once(':')
                    && name.eq_ignore_ascii_case("content-length")
                {
                    length = value.trim().parse().unwrap();
                }
                head.push_str(&line.to_ascii_lowercase());
                if line.trim().is_empty() {
                    break;
                }
            }
            stream.read_exact(&mut vec![0; length]).unwrap();
            // Not every test looks at them.
            let _ = tell.send(head);
            let status = if left > 0 { "503 Busy" } else { "200 OK" };
            left = left.saturating_sub(1);
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
        }
    });
    (port, headers)
}

/// Six refusals cost the tasks of one request; their stages go with the last one.
#[test]
fn stages_and_the_run_arrive_though_tasks_were_refused() {
    let (warnings, stats, _) = run(config(&format!("127.0.0.1:{}", refusing(6).0), &[]), 100);
    assert_eq!((stats.emitted(), stats.exported(), stats.failed()), (span_count(100), 3, span_count(100) - 3));
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("503"), "{warnings:?}");
}

#[test]
fn a_receiver_that_is_busy_for_a_moment_gets_everything() {
    let (warnings, stats, _) = run(config(&format!("127.0.0.1:{}", refusing(3).0), &[]), 100);
    assert_eq!((stats.exported(), warnings.len()), (span_count(100), 0));
}

/// The process whose environment the exporter reads; does nothing in an ordinary run of the tests.
#[test]
fn child() {
    let Ok(port) = std::env::var("ENGINE_TEST_OTLP_PORT") else { return };
    let (warnings, stats, _) = run(config(&format!("127.0.0.1:{port}"), &[]), 10);
    assert_eq!((stats.exported(), warnings), (span_count(10), Vec::new()));
}

#[test]
fn headers_and_compression_come_from_the_environment() {
    let (port, headers) = refusing(0);
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["child", "--exact"])
        .env("ENGINE_TEST_OTLP_PORT", port.to_string())
        .env("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20abc")
        .env("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let head = headers.recv().unwrap();
    assert!(head.starts_with("post /v1/traces "), "{head}");
    assert!(head.contains("authorization: bearer abc"), "{head}");
    assert!(head.contains("content-encoding: gzip"), "{head}");
    assert!(head.contains("content-type: application/x-protobuf"), "{head}");
}

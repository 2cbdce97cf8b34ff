//! The layout, read back by two YAML readers; kills; what a record costs.

use super::*;
use crate::fake;
use engine_runtime::bus::Bus;
use engine_runtime::event::Subscriber;
use serde_yaml::Value;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

fn write(events: impl Iterator<Item = Event>) -> Vec<String> {
    let mut stream = TaskStream::new("inproc://host/4711/0");
    for event in events {
        stream.on_event(&event);
    }
    stream.finish(0)
}

fn file(dir: &Path) -> PathBuf {
    dir.join("Reports/task_stream.yaml")
}

#[test]
fn a_record_has_exactly_the_layout_of_the_original() {
    let dir = tempfile::tempdir().unwrap();
    assert!(write(fake::run(dir.path(), 2)).is_empty());
    let text = std::fs::read_to_string(file(dir.path())).unwrap();
    let expected = "\
# task stream 1 of run 0af7651916cd43dd8448eb211c80319c, engine 0.1.0
- key: ('smooth+mask', 0, 0)
  metadata: {block: 0, cpu_s: 0.000000850, item: 0, stage: 0, steps: [smooth, mask]}
  nbytes: 4096
  startstops:
  - action: disk-read
    start: 1706035210.130710600
    stop: 1706035210.130710900
  - action: compute
    start: 1706035210.130710900
    stop: 1706035210.130711500
  status: OK
  thread: 0
  type: !!binary gAWVFQAAAAAAAACMBW51bXB5lIwHbmRhcnJheZSTlC4=
  typename: numpy.ndarray
  worker: inproc://host/4711/0
- key: ('labels', 1, 0)
";
    assert!(text.starts_with(expected), "{text}");
}

#[test]
fn failed_and_cancelled_tasks_tell_why_and_any_name_is_quoted() {
    let dir = tempfile::tempdir().unwrap();
    let mut header = fake::header(dir.path(), 2);
    header.stages[0].name = "it's: a \\ \"name\" # é".into();
    header.nodes[0].step = "no".into();
    let mut failed = fake::task(0, 2);
    failed.status = fake::failure();
    failed.actions.clear();
    let mut cancelled = fake::task(1, 2);
    cancelled.status = TaskStatus::Cancelled;
    cancelled.stage = 9;
    cancelled.cpu = 0;
    let records = [failed, cancelled].map(|record| Event::TaskEnded(Arc::new(record)));
    let mut stream = TaskStream::new("a: strange\naddress");
    stream.on_event(&Event::RunStarted(Arc::new(header)));
    records.iter().for_each(|event| stream.on_event(event));
    assert!(stream.finish(0).is_empty());
    let records: Vec<Value> = serde_yaml::from_str(&std::fs::read_to_string(file(dir.path())).unwrap()).unwrap();
    assert_eq!(records[0]["key"].as_str(), Some("('it\\'s: a \\\\ \"name\" # é', 0, 0)"));
    assert_eq!(records[0]["status"].as_str(), Some("error"));
    let error = &records[0]["metadata"]["error"];
    assert_eq!(error["message"].as_str(), Some("expected 4 bytes, found 3: {é}"));
    assert_eq!(error["path"].as_str(), Some("/data/no such\n'file'.png"));
    assert_eq!(error["item"].as_str(), Some("a: \"b\" #c"));
    assert_eq!(error["cause"].as_str(), Some("bad-data"));
    assert_eq!(records[0]["metadata"]["steps"][0].as_str(), Some("no"));
    assert_eq!(records[0]["startstops"].as_sequence().map(Vec::len), Some(0));
    assert_eq!(records[0]["worker"].as_str(), Some("a: strange\naddress"));
    assert_eq!(records[1]["status"].as_str(), Some("cancelled"));
    assert_eq!(records[1]["key"].as_str(), Some("('stage 9', 1, 0)"));
    assert!(records[1]["typename"].is_null() && records[1]["metadata"].get("cpu_s").is_none());
}

#[test]
fn keys_are_in_alphabetical_order_in_every_record() {
    let dir = tempfile::tempdir().unwrap();
    write(fake::run(dir.path(), 300));
    let records: Vec<Value> = serde_yaml::from_str(&std::fs::read_to_string(file(dir.path())).unwrap()).unwrap();
    assert_eq!(records.len(), 300);
    for record in &records {
        let keys: Vec<&str> = record.as_mapping().unwrap().keys().map(|key| key.as_str().unwrap()).collect();
        let expected = ["key", "metadata", "nbytes", "startstops", "status", "thread", "type", "typename", "worker"];
        assert_eq!(keys, expected);
        assert!(record["startstops"][0]["stop"].as_f64() > record["startstops"][0]["start"].as_f64());
    }
}

/// Whatever prefix of pages a kill leaves, it is a whole sequence.
#[test]
fn every_prefix_of_pages_and_of_records_is_valid() {
    let dir = tempfile::tempdir().unwrap();
    write(fake::run(dir.path(), 200));
    let text = std::fs::read(file(dir.path())).unwrap();
    let pages = (1..text.len() / 4096).map(|page| page * 4096);
    let records = (1..text.len() - 1).filter(|&at| text[at - 1] == b'\n' && text[at..].starts_with(b"- "));
    let mut prefixes = 0;
    for end in pages.chain(records) {
        let prefix: Option<Vec<Value>> = serde_yaml::from_slice(&text[..end]).unwrap();
        for record in prefix.unwrap_or_default() {
            assert_eq!(record.as_mapping().map(|map| map.len()), Some(9), "torn at {end}");
        }
        prefixes += 1;
    }
    assert!(prefixes > 200);
}

#[test]
fn an_independent_reader_agrees() {
    let Ok(python) = std::env::var("ENGINE_TEST_PYTHON") else {
        // Past the capture of the test harness, so that it is seen.
        let mut stderr = io::stderr();
        writeln!(stderr, "SKIPPED: ENGINE_TEST_PYTHON does not name a python with PyYAML").unwrap();
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    write(fake::run(dir.path(), 50));
    let script = "import sys, yaml
records = yaml.safe_load(open(sys.argv[1]))
assert [sorted(r) == list(r) for r in records] == [True] * 50
assert isinstance(records[0]['type'], bytes), records[0]
assert records[0]['startstops'][0]['start'] == 1706035210.1307106, records[0]
print(len(records), records[0]['key'], records[49]['metadata'])";
    let output = std::process::Command::new(python).args(["-c", script]).arg(file(dir.path())).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let expected =
        "50 ('smooth+mask', 0, 0) {'block': 12, 'cpu_s': 8.5e-07, 'item': 1, 'stage': 1, 'steps': ['labels']}\n";
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
}

#[test]
fn a_resumed_run_appends() {
    let dir = tempfile::tempdir().unwrap();
    write(fake::run(dir.path(), 3));
    write(fake::run(dir.path(), 4));
    let records: Vec<Value> = serde_yaml::from_str(&std::fs::read_to_string(file(dir.path())).unwrap()).unwrap();
    assert_eq!(records.len(), 7);
}

#[test]
fn records_reach_the_disk_within_half_a_second() {
    let dir = tempfile::tempdir().unwrap();
    let bus = Bus::start(vec![Box::new(TaskStream::new("w"))]);
    bus.emit_all(fake::run(dir.path(), 10).take(5));
    std::thread::sleep(Duration::from_millis(750));
    let records: Vec<Value> = serde_yaml::from_str(&std::fs::read_to_string(file(dir.path())).unwrap()).unwrap();
    assert_eq!(records.len(), 3);
    assert!(bus.finish().is_empty());
}

#[test]
fn a_directory_that_cannot_be_written_is_one_warning() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("Reports"), "a file").unwrap();
    let warnings = write(fake::run(dir.path(), 10));
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("10 of 10 records are missing"), "{warnings:?}");
}

/// Prints what a record costs; run with `--nocapture` to see it.
#[test]
fn a_record_costs_less_than_two_microseconds() {
    let dir = tempfile::tempdir().unwrap();
    let tasks = 200_000;
    let events: Vec<Event> = fake::run(dir.path(), tasks).collect();
    let mut stream = TaskStream::new("inproc://host/4711/0");
    let cpu = || {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
    };
    let before = cpu();
    for event in &events {
        stream.on_event(event);
    }
    assert!(stream.finish(0).is_empty());
    let each = (cpu() - before) / tasks as f64 * 1e6;
    let size = std::fs::metadata(file(dir.path())).unwrap().len();
    println!("recording: {each:.3} us CPU and {} bytes each", size / tasks);
    assert!(each < 2.0, "{each} us each");
}

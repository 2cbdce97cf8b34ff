//! A killed run leaves whole records: the process is killed (`SIGKILL`) while it writes as fast as it can.
#![cfg(unix)]

mod fake;

use engine_runtime::bus::Bus;
use engine_runtime::event::Event;
use engine_telemetry::profile::{Clock, Profile};
use engine_telemetry::task_stream::TaskStream;
use engine_telemetry::values::Values;
use serde_yaml::Value;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

const DIR: &str = "ENGINE_TEST_KILL_DIR";

/// The process that is killed; does nothing in an ordinary run of the tests.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let bus =
        Bus::start(vec![Box::new(TaskStream::new("w")), Box::new(Values::new()), Box::new(Profile::new(Clock::Wall))]);
    bus.emit_all(fake::run(Path::new(&dir), 2).take(2));
    let failed = || engine_runtime::event::TaskRecord { status: fake::failure(), ..fake::task(0, u64::MAX) };
    let numbers: Arc<[f64]> = [0.1, f64::NAN, -1e300].into();
    for i in 0.. {
        bus.emit(Event::Value { node: 1, item: i, name: "a: b".into(), numbers: numbers.clone() });
        let record = if i % 7 == 0 { failed() } else { fake::task(i, u64::MAX) };
        bus.emit(Event::TaskEnded(Arc::new(record)));
    }
}

#[test]
fn every_record_is_whole_after_a_kill_at_any_moment() {
    // Moments that differ from run to run, in steps smaller than a write takes.
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().subsec_nanos();
    let mut largest = 0;
    for kill in 0..30u64 {
        let dir = tempfile::tempdir().unwrap();
        let stream = dir.path().join("Reports/task_stream.yaml");
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["child", "--exact", "--nocapture"])
            .env(DIR, dir.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        let values = dir.path().join("Reports/values.yaml");
        let short = |file: &Path| std::fs::metadata(file).map_or(0, |file| file.len()) < 65_536;
        while (short(&stream) || short(&values)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        let moment = (u64::from(nanos) + kill * 7_919_333) % 40_000_000;
        std::thread::sleep(Duration::from_nanos(moment));
        child.kill().unwrap();
        child.wait().unwrap();
        let text = std::fs::read_to_string(&stream).unwrap();
        largest = largest.max(text.len());
        // The tail is what a kill can tear; reading all of it takes longer than writing it did.
        let from = text.len().saturating_sub(300_000);
        let tail =
            text.get(from..).and_then(|tail| tail.split_once("\n- ")).map(|(_, tail)| format!("- {tail}")).unwrap();
        let records: Vec<Value> = serde_yaml::from_str(&tail).unwrap();
        let whole = records.iter().all(|record| record.as_mapping().is_some_and(|map| map.len() == 9));
        assert!(whole && text.ends_with('\n'), "torn after {} bytes", text.len());
        assert!(records.iter().all(|record| record["worker"].as_str() == Some("w")));
        let values = std::fs::read_to_string(&values).unwrap();
        let from = values.len().saturating_sub(100_000);
        let tail = values.get(from..).and_then(|tail| tail.split_once("\n- ")).map(|(_, tail)| format!("- {tail}"));
        let records: Vec<Value> = serde_yaml::from_str(&tail.unwrap()).unwrap();
        let whole = |r: &Value| r["node"].as_str() == Some("mask.compare") && r["numbers"][2].as_f64() == Some(-1e300);
        assert!(records.iter().all(whole) && values.ends_with('\n'), "torn after {} bytes", values.len());
    }
    println!("largest file: {largest} bytes");
}

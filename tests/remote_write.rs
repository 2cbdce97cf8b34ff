//! Zarr written to S3: the bytes of the disk, whole or not there, one writer at a time, and gone on with after a kill.

use crate::remote::READS;
use crate::remote::{
    KEY, SECRET, STORES, TOKEN, WRITES, call, command, expect, keys, number, same, stores, vars, write,
};
use crate::support::server::{Fault, Server, WRITE};
use crate::support::{self, tree};
use std::process::Stdio;
use std::time::{Duration, Instant};

#[test]
fn what_is_written_to_s3_is_what_is_written_to_disk() {
    let dir = support::temp();
    let local = stores(dir.path());
    let server = Server::start().signed(KEY);
    let path = write(dir.path(), WRITES, &[("TO", "s3://bucket/some/where")]);
    // Now and then something goes wrong.
    server.fail(Fault::Status(503, "SlowDown"), WRITE, "/c/1/1", 2);
    server.fail(Fault::Status(500, ""), WRITE, "/2/2", 2);
    server.fail(Fault::Reset, WRITE, "/c/0/", 1);
    server.fail(Fault::Silence, WRITE, "/c/2/0", 1);
    server.fail(Fault::Status(409, "OperationAborted"), WRITE, "/c/3/0", 2);
    expect(&call(&path, &vars(&server), &["--out", "s3"]), 0, &[]);
    let all_same = |label: &str| {
        for name in STORES {
            same(
                &server.below(&format!("/bucket/some/where/{name}/")),
                &keys(&local.join(name)),
                &format!("{name} {label}"),
            );
        }
        let all = server.below("/bucket/");
        let strange: Vec<_> =
            all.keys().filter(|k| !STORES.iter().any(|s| k.starts_with(&format!("some/where/{s}/")))).collect();
        assert!(strange.is_empty(), "{label}: {strange:?}");
    };
    all_same("written");
    // What is there is replaced only when that is asked for.
    server.put("/bucket/some/where/new.zarr/c/9/9", vec![1]);
    server.put("/bucket/some/where/levels.ome.zarr/7/c/0/0", vec![1]);
    let refused = call(&path, &vars(&server), &["--out", "again"]);
    expect(&refused, 4, &["E0710", "s3://bucket/some/where/new.zarr` exists already"]);
    assert!(!dir.path().join("again").exists());
    expect(&call(&path, &vars(&server), &["--out", "again", "--overwrite"]), 0, &[]);
    all_same("replaced");
    expect(&call(&path, &vars(&server), &["--resume", "again"]), 0, &[]);
    all_same("nothing to do");
    // Everything of the record was written while the secrets were there.
    let mut looked = 0;
    for run in ["s3", "again"] {
        for file in tree::files(&dir.path().join(run)) {
            let bytes = std::fs::read(dir.path().join(run).join(&file)).unwrap();
            for secret in [SECRET, TOKEN, KEY] {
                assert!(!bytes.windows(secret.len()).any(|w| w == secret.as_bytes()), "{secret} in {}", file.display());
            }
            looked += 1;
        }
    }
    assert!(looked > 10, "{looked} files");
}

#[test]
fn a_write_that_fails_leaves_no_whole_store_and_goes_on_when_the_server_is_well() {
    let dir = support::temp();
    let local = stores(dir.path());
    let server = Server::start().signed(KEY);
    let path = write(dir.path(), WRITES, &[("TO", "s3://bucket/to")]);
    let faults = [
        (Fault::Status(503, "SlowDown"), "new.zarr/c/2/2", "503 SlowDown"),
        (Fault::Status(500, "InternalError"), "levels.ome.zarr/1/c/1/0", "500 InternalError"),
        (Fault::Reset, "shards.zarr/c/2/1", "connection was lost"),
        (Fault::Silence, "old.zarr/3/3", "within 6 s"),
        (Fault::Status(403, "AccessDenied"), "plain.zarr/c/2/1", "403 AccessDenied"),
        (Fault::Status(500, ""), "levels.ome.zarr/zarr.json", "500"),
        (Fault::Status(500, ""), "new.zarr/zarr.json", "500"),
    ];
    for (n, (fault, part, says)) in faults.into_iter().enumerate() {
        server.heal();
        server.remove("/bucket/");
        server.fail(fault, WRITE, part, u64::MAX);
        let out = format!("run{n}");
        expect(&call(&path, &vars(&server), &["--out", &out]), 5, &[says, "writing `", "s3://bucket/to/"]);
        let store = part.split('/').next().unwrap();
        let left = server.below(&format!("/bucket/to/{store}/"));
        assert!(left.contains_key(".partial"), "{part}: {:?}", left.keys());
        assert!(
            !["zarr.json", ".zarray", ".zgroup"].iter().any(|k| left.contains_key(*k)),
            "{part}: {:?}",
            left.keys()
        );
        assert!(!server.below("/bucket/").keys().any(|k| k.ends_with(".lock")), "the locks were given back");
        // It is no store to anyone, and no new run is kept from the place.
        let reader = dir.path().join("reader");
        let read = write(&reader, READS, &[("FROM", &format!("s3://bucket/to/{store}"))]);
        expect(&call(&read, &vars(&server), &["--out", &out]), 3, &["no Zarr metadata"]);
        server.heal();
        let output = call(&path, &vars(&server), &["--resume", &out]);
        expect(&output, 0, &[]);
        assert!(number(&output, "tasks_resumed") > 0, "{part}");
        for name in STORES {
            same(
                &server.below(&format!("/bucket/to/{name}/")),
                &keys(&local.join(name)),
                &format!("{name} after {part}"),
            );
        }
    }
}

#[test]
fn a_run_to_s3_that_is_killed_goes_on_and_its_lock_is_taken_over() {
    let dir = support::temp();
    let server = Server::start().signed(KEY);
    // Many tasks, so that some are done at any moment.
    let text = WRITES.replace("[300, 200]", "[2000, 1500]") + "run: {block: 64, threads: 2}\n";
    let path = write(dir.path(), &text, &[("TO", "s3://bucket/to")]);
    let whole = call(&path, &vars(&server), &["--out", "whole"]);
    expect(&whole, 0, &[]);
    let (want, total) = (server.below("/bucket/to/"), number(&whole, "tasks"));
    assert!(want.len() > 500, "{}", want.len());
    for (n, part) in [2usize, 3, 5].into_iter().enumerate() {
        server.remove("/bucket/");
        let out = format!("run{n}");
        let mut child = command(&path, &vars(&server), &["--out", &out])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let since = Instant::now();
        while server.below("/bucket/to/").len() < want.len() / part {
            assert!(
                since.elapsed() < Duration::from_secs(120) && child.try_wait().unwrap().is_none(),
                "it ended early"
            );
            std::thread::sleep(Duration::from_millis(2));
        }
        // Another is kept out while it runs.
        if n == 0 {
            let second = call(&path, &vars(&server), &["--out", "second", "--overwrite"]);
            let id = format!("process {} on host {}", child.id(), engine_runtime::host::name());
            expect(&second, 4, &["E0711", &id, "s3://bucket/to/", ".lock", "s ago"]);
            assert!(!dir.path().join("second").exists());
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(server.below("/bucket/to/").keys().any(|k| k.ends_with(".lock")), "it was killed before its end");
        let resumed = call(&path, &vars(&server), &["--resume", &out]);
        expect(&resumed, 0, &["W0912", &format!("process {}", child.id())]);
        let (ran, before) = (number(&resumed, "tasks"), number(&resumed, "tasks_resumed"));
        assert_eq!(ran + before, total);
        assert!(before > 0, "kill {n}: {ran} of {total} were done again");
        same(&server.below("/bucket/to/"), &want, &format!("kill {n}"));
        let again = call(&path, &vars(&server), &["--resume", &out]);
        assert_eq!((number(&again, "tasks"), number(&again, "tasks_resumed")), (0, total));
    }
}

#[test]
fn a_run_whose_lock_was_taken_over_writes_no_more() {
    let dir = support::temp();
    let server = Server::start().signed(KEY);
    let text = |to: &str| {
        format!(
            "version: 1\ninputs: {{noise: {{generate: {{shape: [9000, 9000], dtype: uint8, pattern: noise}}}}}}\n\
             steps: {{slow: {{op: median, input: noise, with: {{size: 11}}}}}}\n\
             outputs: {{Out: {{from: slow, chunks: [64, 64], to: \"{to}\"}}}}\nrun: {{threads: 1, block: 64}}\n"
        )
    };
    let other =
        "{\"host\": \"far\", \"pid\": 7, \"born\": 1, \"space\": \"there\", \"token\": \"t\", \"heartbeat\": 1}";
    let start = |folder: &str, to: &str| {
        let path = write(&dir.path().join(folder), &text(to), &[]);
        let mut command = command(&path, &vars(&server), &["--out", "run"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let (there, here) = (start("there", "s3://bucket/out.zarr"), start("here", "out.zarr"));
    let (since, lock) = (Instant::now(), dir.path().join("here/out.zarr.lock"));
    while !(server.below("/bucket/").contains_key("out.zarr.lock") && lock.is_file()) {
        assert!(since.elapsed() < Duration::from_secs(60), "no locks");
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(100));
    server.put("/bucket/out.zarr.lock", other.into());
    std::fs::remove_file(&lock).unwrap();
    std::fs::write(&lock, other).unwrap();
    for (child, path) in [(there, "s3://bucket/out.zarr.lock"), (here, "out.zarr.lock")] {
        expect(&child.wait_with_output().unwrap(), 6, &["another run has taken over the lock", path]);
    }
    // It is the other's.
    assert_eq!(server.below("/bucket/")["out.zarr.lock"], other.as_bytes());
    assert_eq!(std::fs::read(&lock).unwrap(), other.as_bytes());
}

#[test]
fn the_lock_of_another_host_is_kept_until_it_is_silent_for_long() {
    let dir = support::temp();
    let server = Server::start().signed(KEY);
    let path = write(dir.path(), WRITES, &[("TO", "s3://bucket/to")]);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let leave = |heartbeat: u64| {
        let holder = format!(
            "{{\"host\": \"far\", \"pid\": 7, \"born\": 1, \"space\": \"there\", \"token\": \"t\", \"heartbeat\": {heartbeat}}}"
        );
        server.put("/bucket/to/old.zarr.lock", holder.into_bytes());
    };
    leave(now - 20);
    expect(&call(&path, &vars(&server), &["--out", "one"]), 4, &["E0711", "process 7 on host far", "old.zarr.lock"]);
    let left = server.below("/bucket/");
    assert_eq!(left.keys().collect::<Vec<_>>(), ["to/old.zarr.lock"], "the others were given back");
    leave(now - 90);
    expect(&call(&path, &vars(&server), &["--out", "one"]), 0, &["W0912", "process 7 on host far"]);
    assert!(!server.below("/bucket/to/").contains_key("old.zarr.lock"));
}

//! Stores behind HTTP and S3: the same bytes as on disk, and what happens when the server is not well.

use crate::support::server::{Fault, READ, Server, WRITE};
use crate::support::{self, stderr, tree};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const KEY: &str = "AKIATESTKEYOFOURS";
const SECRET: &str = "hunter2-do-not-tell";
const TOKEN: &str = "session-token-do-not-tell";

/// Outputs of every kind of Zarr; `TO` is where they go.
pub const WRITES: &str = "version: 1
params: {seed: {type: integer, default: 1}}
inputs:
  noise: {generate: {shape: [300, 200], dtype: uint16, pattern: noise, seed: \"${params.seed}\"}}
steps:
  smooth: {op: gaussian, input: noise, with: {sigma: 1, dtype: input}}
  mask: {op: threshold, input: smooth, with: {relative_to: max, factor: 0.5}}
outputs:
  New: {from: smooth, chunks: [64, 50], to: TO/new.zarr}
  Old: {from: smooth, chunks: [64, 50], version: 2, codec: gzip, to: TO/old.zarr}
  Shards: {from: smooth, chunks: [16, 20], shards: [64, 100], codec: zstd, to: TO/shards.zarr}
  Plain: {from: mask, chunks: [100, 100], codec: none, to: TO/plain.zarr}
  Levels: {from: smooth, format: ome-zarr, chunks: [64, 64], pyramid: {levels: 3}, to: TO/levels.ome.zarr}
  Objects: {from: smooth, format: ome-zarr, version: 0.4, labels: true, chunks: [64, 64], pyramid: {levels: 2}, to: TO/objects.ome.zarr}
";

pub const STORES: [&str; 6] =
    ["new.zarr", "old.zarr", "shards.zarr", "plain.zarr", "levels.ome.zarr", "objects.ome.zarr"];

/// One array through one op, in chunks of its own.
const READS: &str = "version: 1
inputs: {image: {path: \"FROM\"}}
steps: {out: {op: invert, input: image}}
outputs: {Out: {from: out, chunks: [32, 32]}}
";

pub fn write(dir: &Path, text: &str, edits: &[(&str, &str)]) -> PathBuf {
    let mut text = text.to_owned();
    for (from, to) in edits {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    let path = dir.join("workflow.yaml");
    support::write(&path, &text);
    path
}

/// Variables for a server that takes signed requests; short of patience.
fn vars(server: &Server) -> Vec<(&'static str, String)> {
    let mut vars: Vec<(&str, String)> = vec![
        ("AWS_ACCESS_KEY_ID", KEY.into()),
        ("AWS_SECRET_ACCESS_KEY", SECRET.into()),
        ("AWS_SESSION_TOKEN", TOKEN.into()),
        ("AWS_ENDPOINT_URL", server.url()),
        ("AWS_REGION", "eu-west-1".into()),
    ];
    vars.extend(HASTE.map(|(name, value)| (name, value.to_owned())));
    vars
}

/// A loaded machine may take seconds for what is done at once elsewhere.
const HASTE: [(&str, &str); 2] = [("ENGINE_STORE_TIMEOUT", "6"), ("ENGINE_STORE_ATTEMPTS", "3")];

pub fn command(workflow: &Path, vars: &[(&'static str, String)], args: &[&str]) -> Command {
    let mut command = support::engine();
    command.arg("run").arg(workflow).args(["--progress", "none", "--json"]).args(args);
    command.envs(vars.iter().map(|(n, v)| (n, v))).current_dir(workflow.parent().unwrap());
    command
}

fn call(workflow: &Path, vars: &[(&'static str, String)], args: &[&str]) -> Output {
    command(workflow, vars, args).output().unwrap()
}

#[track_caller]
pub fn expect(output: &Output, code: i32, parts: &[&str]) {
    let told = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{}\n{told}", support::stdout(output));
    for part in parts {
        assert!(told.contains(part), "`{part}` in {told}");
    }
    assert!(!told.contains(SECRET) && !told.contains(TOKEN), "{told}");
}

pub fn number(output: &Output, name: &str) -> u64 {
    let summary: serde_json::Value = serde_json::from_str(support::stdout(output).trim()).unwrap();
    summary[name].as_u64().unwrap()
}

/// Files of a store on disk by their keys.
pub fn keys(store: &Path) -> BTreeMap<String, Vec<u8>> {
    let read = |f: PathBuf| (f.to_str().unwrap().to_owned(), std::fs::read(store.join(&f)).unwrap());
    tree::files(store).into_iter().map(read).collect()
}

/// Fails with the names of what differs.
#[track_caller]
pub fn same(found: &BTreeMap<String, Vec<u8>>, want: &BTreeMap<String, Vec<u8>>, label: &str) {
    let names = |a: &BTreeMap<String, Vec<u8>>, b: &BTreeMap<String, Vec<u8>>| -> Vec<String> {
        a.iter().filter(|(k, v)| b.get(*k) != Some(v)).map(|(k, v)| format!("{k} ({} bytes)", v.len())).collect()
    };
    let (more, less) = (names(found, want), names(want, found));
    assert!(more.is_empty() && less.is_empty(), "{label}: found {more:?}, expected {less:?}");
}

/// The stores that every test reads, or compares with, on disk.
pub fn stores(dir: &Path) -> PathBuf {
    let local = dir.join("local");
    let path = write(dir, WRITES, &[("TO", local.to_str().unwrap())]);
    expect(&call(&path, &[], &["--out", "first"]), 0, &[]);
    local
}

#[test]
fn what_is_read_over_http_and_s3_is_what_lies_on_disk() {
    let dir = support::temp();
    let local = stores(dir.path());
    let server = Server::start();
    server.load(&local, "/data/a b");
    for (name, more) in [
        ("new.zarr", ""),
        ("old.zarr", ""),
        ("shards.zarr", ""),
        ("plain.zarr", ""),
        ("levels.ome.zarr", ", level: 1"),
        ("objects.ome.zarr/labels/Objects", ""),
    ] {
        let run = |from: &str, out: &str| {
            let path = write(dir.path(), READS, &[("\"FROM\"", &format!("\"{from}\"{more}"))]);
            let out = format!("{}-{out}", name.replace('/', "-"));
            expect(&call(&path, &vars(&server), &["--out", &out]), 0, &[]);
            keys(&dir.path().join(out).join("Results/Out.zarr"))
        };
        let want = run(local.join(name).to_str().unwrap(), "local");
        assert!(want.len() > 10, "{name}");
        same(&run(&format!("{}/data/a%20b/{name}", server.url()), "http"), &want, name);
        server.load(&local, "/data/a-b");
        same(&run(&format!("s3://data/a-b/{name}/"), "s3"), &want, name);
        server.remove("/data/a-b");
    }
}

/// What a run that reads has to go through, and how it ends.
struct Case {
    fault: Fault,
    part: &'static str,
    times: u64,
    code: i32,
    says: &'static [&'static str],
}

#[test]
fn a_server_that_is_not_well_is_asked_again_and_named_when_that_does_not_help() {
    let dir = support::temp();
    let local = stores(dir.path());
    let server = Server::start();
    server.load(&local, "/data");
    let from = |name: &str| write(dir.path(), READS, &[("FROM", &format!("{}/data/{name}", server.url()))]);
    let path = from("new.zarr");
    expect(&call(&path, &[], &["--out", "want"]), 0, &[]);
    let want = keys(&dir.path().join("want/Results/Out.zarr"));
    let case = |fault, part, times, code, says| Case { fault, part, times, code, says };
    let cases = [
        case(Fault::Status(500, "InternalError"), "/c/", 2, 0, &[][..]),
        case(Fault::Status(503, "SlowDown"), "/c/", 2, 0, &[]),
        case(Fault::Status(429, ""), "zarr.json", 2, 0, &[]),
        case(Fault::Reset, "/c/1/", 2, 0, &[]),
        case(Fault::Truncated, "/c/2/", 2, 0, &[]),
        case(Fault::Silence, "/c/2/1", 1, 0, &[]),
        case(Fault::Redirects, "/c/0/0", 3, 0, &[]),
        case(Fault::Unmeasured, "new.zarr", u64::MAX, 0, &[]),
        case(Fault::Status(409, "OperationAborted"), "/c/0/1", 1, 0, &[]),
        case(
            Fault::Status(500, "InternalError"),
            "/c/",
            u64::MAX,
            5,
            &["500 InternalError", "3 attempts", "/data/new.zarr", "`c/", "chunk ["],
        ),
        case(
            Fault::Status(503, "SlowDown"),
            "/c/3/2",
            u64::MAX,
            5,
            &["503 SlowDown", "3 attempts", "`c/3/2`", "chunk [3, 2]"],
        ),
        case(Fault::Reset, "/c/1/1", u64::MAX, 5, &["connection was lost", "`c/1/1`", "3 attempts"]),
        case(Fault::Truncated, "/c/1/1", u64::MAX, 5, &["`c/1/1`", "3 attempts"]),
        case(Fault::Silence, "/c/1/1", u64::MAX, 5, &["within 1 s", "`c/1/1`", "3 attempts"]),
        case(Fault::Drip, "/c/1/1", u64::MAX, 5, &["within 1 s", "`c/1/1`", "3 attempts"]),
        case(Fault::Half, "/c/1/1", u64::MAX, 5, &["c/1/1", "can't be decoded"]),
        case(Fault::Endless, "/c/1/1", u64::MAX, 5, &["`c/1/1`", "10737418240 bytes", "expected at most"]),
        case(Fault::Redirects, "/c/1/1", u64::MAX, 5, &["`c/1/1`", "redirects more than 5 times"]),
        case(
            Fault::Status(403, "AccessDenied"),
            "/c/1/1",
            u64::MAX,
            5,
            &["`c/1/1`", "403 AccessDenied", "credentials"],
        ),
        // A key that is not there has the fill value, unless the array itself went away.
        case(Fault::Status(403, ""), "zarr.json", u64::MAX, 3, &["E0602", "403 Forbidden", "new.zarr"]),
        case(Fault::Status(503, ""), "zarr.json", u64::MAX, 3, &["E0602", "503 Service Unavailable", "3 attempts"]),
    ];
    for (n, case) in cases.iter().enumerate() {
        let label = format!("{:?} {} {}", case.fault, case.part, case.times);
        server.heal();
        server.fail(case.fault, READ, case.part, case.times);
        let (out, since) = (format!("run{n}"), Instant::now());
        let mut vars = vars(&server);
        if matches!(case.fault, Fault::Silence | Fault::Drip) {
            vars.push(("ENGINE_STORE_TIMEOUT", "1".into()));
        }
        let output = call(&path, &vars, &["--out", &out]);
        println!("{label}: {:?}, {}", since.elapsed(), stderr(&output).lines().last().unwrap_or_default());
        expect(&output, case.code, case.says);
        assert!(since.elapsed() < Duration::from_secs(60), "{label}: {:?}", since.elapsed());
        let result = dir.path().join(&out).join("Results/Out.zarr");
        if case.code == 5 {
            // Once the server is well the run goes on.
            server.heal();
            expect(&call(&path, &vars, &["--resume", &out]), 0, &[]);
        }
        if case.code != 3 {
            same(&keys(&result), &want, &label);
        }
    }
    // Twice 500, and then it is well: three requests for that key.
    server.heal();
    server.fail(Fault::Status(500, ""), READ, "/c/4/3", 2);
    expect(&call(&path, &vars(&server), &["--out", "counted"]), 0, &[]);
    assert_eq!(server.log().iter().filter(|l| l.ends_with("/c/4/3")).count(), 3, "{:?}", server.log());
    // Shards need parts.
    server.heal();
    server.fail(Fault::NoRanges, READ, "/c/", u64::MAX);
    expect(&call(&from("shards.zarr"), &vars(&server), &["--out", "parts"]), 5, &["ranges", "`c/"]);
    // A missing key is the fill value while the metadata is there.
    let path = from("new.zarr");
    server.heal();
    server.remove("/data/new.zarr/c/0");
    expect(&call(&path, &vars(&server), &["--out", "sparse"]), 0, &[]);
    server.remove("/data/new.zarr");
    expect(&call(&path, &vars(&server), &["--out", "none"]), 3, &["no Zarr metadata", "/data/new.zarr"]);
}

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
fn an_input_behind_s3_that_changes_makes_what_rests_on_it_stale() {
    let dir = support::temp();
    let local = stores(dir.path());
    let server = Server::start();
    server.load(&local.join("new.zarr"), "/bucket/in.zarr");
    let path = write(dir.path(), READS, &[("FROM", "s3://bucket/in.zarr")]);
    expect(&call(&path, &vars(&server), &["--out", "run"]), 0, &[]);
    let again = call(&path, &vars(&server), &["--resume", "run"]);
    expect(&again, 0, &[]);
    assert_eq!(number(&again, "tasks"), 0);
    // The same bytes, put again: the server calls it another version.
    let chunk = std::fs::read(local.join("new.zarr/c/0/1")).unwrap();
    server.put("/bucket/in.zarr/c/0/0", chunk);
    let changed = call(&path, &vars(&server), &["--resume", "run"]);
    expect(&changed, 0, &[]);
    assert!(number(&changed, "tasks") > 0);
}

#[test]
fn places_that_can_not_be_used_are_refused_before_anything_is_done() {
    let dir = support::temp();
    let server = Server::start().signed(KEY);
    let out = |to: &str| WRITES.replace("TO/new.zarr", to).replace("TO/", "./");
    let try_with = |text: String, vars: &[(&'static str, String)], code: i32, says: &[&str]| {
        let path = write(dir.path(), &text, &[]);
        let output = call(&path, vars, &["--out", "never"]);
        expect(&output, code, says);
        assert!(!dir.path().join("never").exists());
        let all = stderr(&output) + &support::stdout(&output);
        assert!(!all.contains("hunter2"), "{all}");
        // Where machines read it too.
        let mut validate = support::engine();
        validate.arg("validate").arg(&path).args(["--format", "json"]).envs(vars.iter().map(|(n, v)| (n, v)));
        let json = validate.output().unwrap();
        assert!(!(stderr(&json) + &support::stdout(&json)).contains("hunter2"));
    };
    let with = vars(&server);
    try_with(
        out(&format!("{}/x.zarr", server.url())),
        &with,
        3,
        &["E0712", "HTTP is for reading only", "workflow.yaml:9"],
    );
    try_with(out("s3://me:hunter2@bucket/x.zarr"), &with, 3, &["E0607", "password", "AWS_ACCESS_KEY_ID"]);
    try_with(out("s3://bucket"), &with, 3, &["E0712", "key behind the bucket"]);
    try_with(out("gs://bucket/x.zarr"), &with, 3, &["E0607", "`s3://`", "`gs://`"]);
    try_with(
        out("s3://bucket/x.zarr, format: tiff").replace("chunks: [64, 50], to: s3", "to: s3"),
        &with,
        3,
        &["E0712", "format `tiff`"],
    );
    let read = |from: &str| READS.replace("FROM", from);
    try_with(read("https://h/x.zarr?X-Amz-Signature=hunter2"), &with, 3, &["E0607", "a query"]);
    try_with(read("http://me:hunter2@h/x.zarr"), &with, 3, &["E0607", "password"]);
    let foreach = READS.replace("path: \"FROM\"", "foreach: \"s3://bucket/*.zarr\"");
    try_with(foreach, &with, 3, &["E0607", "`foreach` matches files"]);
    let without: Vec<_> =
        with.iter().filter(|(n, _)| !n.starts_with("AWS_") || *n == "AWS_ENDPOINT_URL").cloned().collect();
    try_with(read("s3://bucket/x.zarr"), &without, 3, &["no credentials", "AWS_SKIP_SIGNATURE"]);
    try_with(out("s3://bucket/x.zarr"), &without, 4, &["E0711", "no credentials"]);
    let mut odd = without.clone();
    odd.retain(|(n, _)| *n != "AWS_ENDPOINT_URL");
    odd.push(("AWS_ENDPOINT_URL", "http://me:hunter2@127.0.0.1:1".into()));
    odd.push(("AWS_SKIP_SIGNATURE", "true".into()));
    try_with(read("s3://bucket/x.zarr"), &odd, 3, &["AWS_ENDPOINT_URL", "without a password"]);
    // What is there does not speak TLS.
    let https = read(&format!("{}/x.zarr", server.url().replace("http:", "https:")));
    try_with(https, &with, 3, &["E0602", "https://127.0.0.1", "3 attempts"]);
    // Nobody listens, and nobody is let in.
    let mut nobody = with.clone();
    nobody.retain(|(n, _)| *n != "AWS_ENDPOINT_URL");
    nobody.push(("AWS_ENDPOINT_URL", "http://127.0.0.1:1".into()));
    try_with(out("s3://bucket/x.zarr"), &nobody, 4, &["E0711", "can't connect", "3 attempts"]);
    let mut denied = with;
    denied.retain(|(n, _)| *n != "AWS_ACCESS_KEY_ID");
    denied.push(("AWS_ACCESS_KEY_ID", "someone".into()));
    try_with(out("s3://bucket/x.zarr"), &denied, 4, &["E0711", "403", "credentials"]);
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

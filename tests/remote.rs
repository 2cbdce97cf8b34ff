//! Stores behind HTTP and S3: the same bytes as on disk, and what happens when the server is not well.

use crate::support::server::{Fault, READ, Server};
use crate::support::{self, stderr, tree};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

pub const KEY: &str = "AKIATESTKEYOFOURS";
pub const SECRET: &str = "hunter2-do-not-tell";
pub const TOKEN: &str = "session-token-do-not-tell";

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
pub const READS: &str = "version: 1
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
pub fn vars(server: &Server) -> Vec<(&'static str, String)> {
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

pub fn call(workflow: &Path, vars: &[(&'static str, String)], args: &[&str]) -> Output {
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

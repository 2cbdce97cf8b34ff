//! Stores behind an S3 server that is not ours: moto, of Python, with independent readers of what we wrote.
//!
//! `ENGINE_TEST_PYTHON` names a Python with the packages of `tests/requirements.txt`; without it the tests say that they
//! were skipped.

use crate::remote::{STORES, WRITES, command, expect, keys, number, same, stores, write};
use crate::support::{self, stderr, stdout};
use engine_runtime::store::read::{InputOptions, open, probe};
use ops_core::Pool;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The server, and how it is reached.
struct Moto {
    child: Child,
    url: String,
    python: std::path::PathBuf,
}

impl Moto {
    fn start() -> Option<Moto> {
        let Some(python) = support::python() else {
            support::skipped("an S3 server that is not ours: set ENGINE_TEST_PYTHON");
            return None;
        };
        let there = Command::new(&python).args(["-c", "import moto.server, s3fs, zarr, tensorstore"]).output().unwrap();
        if !there.status.success() {
            support::skipped("an S3 server that is not ours: the Python has no moto[server] and s3fs");
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(&python);
        command.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let moto = Moto { child, url: format!("http://127.0.0.1:{port}"), python };
        let since = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(since.elapsed() < Duration::from_secs(60), "moto does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
        let bucket = "import boto3, sys; boto3.client('s3', endpoint_url=sys.argv[1]).create_bucket(Bucket='bucket')";
        moto.python(&["-c", bucket, &moto.url]);
        Some(moto)
    }

    fn vars(&self) -> Vec<(&'static str, String)> {
        let vars =
            [("AWS_ACCESS_KEY_ID", "testing"), ("AWS_SECRET_ACCESS_KEY", "testing"), ("AWS_REGION", "us-east-1")];
        let mut vars: Vec<_> = vars.map(|(n, v)| (n, v.to_owned())).into();
        vars.push(("AWS_ENDPOINT_URL_S3", self.url.clone()));
        vars.push(("AWS_DEFAULT_REGION", "us-east-1".into()));
        vars
    }

    fn python(&self, args: &[&str]) -> String {
        let mut command = Command::new(&self.python);
        let output = command.args(args).envs(self.vars().iter().map(|(n, v)| (n, v))).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output)
    }

    /// Every key of the bucket below a prefix and its bytes, as boto3 gets them.
    fn below(&self, prefix: &str) -> BTreeMap<String, Vec<u8>> {
        let script = "
import boto3, sys
s3 = boto3.client('s3', endpoint_url=sys.argv[1])
pages = s3.get_paginator('list_objects_v2').paginate(Bucket='bucket', Prefix=sys.argv[2])
for key in [o['Key'] for page in pages for o in page.get('Contents', [])]:
    print(key.removeprefix(sys.argv[2]), s3.get_object(Bucket='bucket', Key=key)['Body'].read().hex(), sep='\\t')
";
        let byte = |hex: &[u8]| u8::from_str_radix(std::str::from_utf8(hex).unwrap(), 16).unwrap();
        let line = |l: &str| {
            let (key, hex) = l.split_once('\t').unwrap();
            (key.to_owned(), hex.as_bytes().chunks(2).map(byte).collect())
        };
        self.python(&["-c", script, &self.url, prefix]).lines().map(line).collect()
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Shape, dtype and digest of an array by the engine's own reader.
fn own(path: &Path) -> Json {
    let options = InputOptions::default();
    let meta = probe(path, &options).unwrap().array;
    let (block, _) = open(path, &options).unwrap().read(&meta.region(), &Pool::default()).unwrap();
    let digest = support::pixels::sha256(block.bytes());
    json!({"shape": meta.shape.as_slice(), "dtype": meta.dtype.name(), "sha256": digest})
}

#[test]
fn stores_behind_another_server_are_those_on_disk_to_every_reader() {
    let Some(moto) = Moto::start() else { return };
    let dir = support::temp();
    let local = stores(dir.path());
    let run = |args: &[&str]| {
        let path = write(dir.path(), WRITES, &[("TO", "s3://bucket/to")]);
        command(&path, &moto.vars(), args).output().unwrap()
    };
    expect(&run(&["--out", "s3"]), 0, &[]);
    for name in STORES {
        same(&moto.below(&format!("to/{name}/")), &keys(&local.join(name)), name);
    }
    // What other software finds.
    let arrays =
        ["new.zarr", "old.zarr", "shards.zarr", "plain.zarr", "levels.ome.zarr/1", "objects.ome.zarr/labels/Objects/0"];
    let urls: Vec<String> = arrays.iter().map(|a| format!("s3://bucket/to/{a}")).collect();
    let script = support::root().join("tests/interop/s3.py");
    let mut args = vec![script.to_str().unwrap(), &moto.url];
    args.extend(urls.iter().map(String::as_str));
    let found: Json = serde_json::from_str(&moto.python(&args)).unwrap();
    for (array, url) in arrays.iter().zip(&urls) {
        assert_eq!(found[url], own(&local.join(array)), "{array}");
    }
    // What we read back, through a pipeline.
    let copy = |from: &str, out: &str| {
        let text = format!(
            "version: 1\ninputs: {{a: {{path: \"{from}\"}}}}\nsteps: {{b: {{op: invert, input: a}}}}\noutputs: {{B: {{from: b}}}}\n"
        );
        let path = write(&dir.path().join("copy"), &text, &[]);
        expect(&command(&path, &moto.vars(), &["--out", out]).output().unwrap(), 0, &[]);
        keys(&dir.path().join("copy").join(out).join("Results/B.zarr"))
    };
    for (n, name) in ["shards.zarr", "levels.ome.zarr"].iter().enumerate() {
        let want = copy(local.join(name).to_str().unwrap(), &format!("local{n}"));
        same(&copy(&format!("s3://bucket/to/{name}"), &format!("remote{n}")), &want, name);
    }
    // Refused, replaced, gone on with.
    expect(&run(&["--out", "no"]), 4, &["E0710"]);
    expect(&run(&["--out", "again", "--overwrite", "--set", "seed=2"]), 0, &[]);
    assert_ne!(moto.below("to/new.zarr/"), keys(&local.join("new.zarr")));
    assert!(!moto.below("to/").keys().any(|k| k.ends_with(".lock") || k.ends_with(".partial")));
    let nothing = run(&["--resume", "again", "--set", "seed=2"]);
    expect(&nothing, 0, &[]);
    assert_eq!(number(&nothing, "tasks"), 0);
}

#[test]
fn another_server_keeps_two_runs_apart_and_lets_one_that_was_killed_go_on() {
    let Some(moto) = Moto::start() else { return };
    let dir = support::temp();
    // Many tasks, so that some are done at any moment.
    let text = WRITES.replace("[300, 200]", "[1000, 800]") + "run: {block: 64, threads: 2}\n";
    let text = text.as_str();
    let local = dir.path().join("whole");
    let whole = write(dir.path(), text, &[("TO", local.to_str().unwrap())]);
    expect(&command(&whole, &[], &["--out", "local"]).output().unwrap(), 0, &[]);
    let path = write(dir.path(), text, &[("TO", "s3://bucket/to")]);
    let start =
        || command(&path, &moto.vars(), &["--out", "run"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut child = start();
    let since = Instant::now();
    // A task is done when all that it writes is there, and the journal tells so.
    let done = || {
        let status =
            support::engine().arg("status").arg(dir.path().join("run")).arg("--json").envs(moto.vars()).output();
        let outputs: Json = serde_json::from_slice(&status.unwrap().stdout).unwrap_or_default();
        let blocks = |o: &Json| o["blocks_done"].as_u64().unwrap_or(0);
        outputs.as_array().into_iter().flatten().map(blocks).sum::<u64>()
    };
    while done() < 12 {
        assert!(since.elapsed() < Duration::from_secs(60) && child.try_wait().unwrap().is_none(), "it ended early");
    }
    let second = command(&path, &moto.vars(), &["--out", "second"]).output().unwrap();
    expect(&second, 4, &["E0711", &format!("process {}", child.id())]);
    child.kill().unwrap();
    child.wait().unwrap();
    let resumed = command(&path, &moto.vars(), &["--resume", "run"]).output().unwrap();
    expect(&resumed, 0, &["W0912"]);
    assert!(number(&resumed, "tasks_resumed") > 0);
    for name in STORES {
        same(&moto.below(&format!("to/{name}/")), &keys(&local.join(name)), name);
    }
}

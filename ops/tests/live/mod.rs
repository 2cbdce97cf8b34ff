//! What the tests share that hold results against a script of `oracle/`, stored or answering.

use ops_core::contract::Rng;
use serde_json::Value as Json;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The FNV-1a hash of some bytes.
pub(crate) fn fnv1a(data: &[u8]) -> String {
    let hash = data.iter().fold(0xCBF2_9CE4_8422_2325u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01B3));
    format!("{hash:016x}")
}

/// A number from the environment.
pub(crate) fn number(name: &str, or: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(or)
}

/// One of several, at random.
pub(crate) fn pick<T: Copy>(rng: &mut Rng, of: &[T]) -> T {
    of[rng.below(of.len() as u64) as usize]
}

/// A script, answering each case by a line.
pub(crate) struct Script(Child, BufReader<ChildStdout>);

impl Script {
    /// `None`, and a word about it, where there is no python with scipy and scikit-image.
    pub(crate) fn start(name: &str) -> Option<Script> {
        let started = Script::started(name);
        if started.is_none() {
            eprintln!("SKIPPED: set ENGINE_TEST_PYTHON to a python with scipy and scikit-image");
        }
        started
    }

    fn started(name: &str) -> Option<Script> {
        let python = std::env::var_os("ENGINE_TEST_PYTHON")?;
        let usable = Command::new(&python).args(["-c", "import scipy, skimage"]).stderr(Stdio::null()).status();
        usable.ok()?.success().then_some(())?;
        let script = format!("{}/tests/oracle/{name}", env!("CARGO_MANIFEST_DIR"));
        let mut command = Command::new(python);
        command.args([script.as_str(), "--serve"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Some(Script(child, answers))
    }

    pub(crate) fn answer(&mut self, case: &Json) -> Json {
        let mut line = case.to_string();
        line.push('\n');
        self.0.stdin.as_mut().unwrap().write_all(line.as_bytes()).unwrap();
        line.clear();
        self.1.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: no answer to {} {}", case["op"], case["with"]))
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

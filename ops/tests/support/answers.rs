//! Results of a python script, stored or asked for, and ops held against them.

use crate::support::{array, bytes, run};
use ops_core::contract::interpret::Blocks;
use ops_core::contract::{Held, Rng};
use serde_json::Value as Json;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

/// The digits of bytes.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn fnv1a(data: &[u8]) -> String {
    let hash = data.iter().fold(0xCBF2_9CE4_8422_2325u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01B3));
    format!("{hash:016x}")
}

/// Holds an op in random blocks against a result of a script: bit by bit, or where it gives the elements within
/// 1e-12 of its `bound`, or of each element where it gives none.
pub(crate) fn agrees(case: &Json, output: &Json, seed: u64) {
    let op = case["op"].as_str().unwrap();
    let what =
        format!("{op} {} on {} {} {}, seed {seed}", case["with"], case["input"]["dtype"], case["axes"], case["shape"]);
    let inputs = [Held::Arrays(vec![array(case, "input")])];
    let outcome = run(op, &case["with"], &inputs, Blocks::Random, seed);
    let got = outcome.at(&inputs, outcome.result).unwrap().array(0).unwrap();
    assert_eq!(got.meta.dtype.name(), output["dtype"], "{what}");
    let Some(want) = output["hex"].as_str() else {
        return assert_eq!(fnv1a(got.block.bytes()), output["hash"], "{what}: {:?}", &got.to_f64());
    };
    let (want, got) = (bytes(want), got.to_f64());
    assert_eq!(want.len(), 8 * got.len(), "{what}");
    let want = want.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap()));
    for (i, (g, w)) in got.into_iter().zip(want).enumerate() {
        let bound = output["bound"].as_f64().unwrap_or(w.abs());
        assert!((g - w).abs() <= 1e-12 * bound, "{what}: element {i} is {g:e}, not {w:e}");
    }
}

/// A script of `oracle`, answering.
pub(crate) struct Script(Child, BufReader<std::process::ChildStdout>);

impl Script {
    /// `None` where there is no python with scipy and scikit-image.
    pub(crate) fn start(name: &str) -> Option<Script> {
        let python = std::env::var_os("ENGINE_TEST_PYTHON")?;
        let usable = Command::new(&python).args(["-c", "import scipy, skimage"]).stderr(Stdio::null()).status();
        usable.ok()?.success().then_some(())?;
        let script = format!("{}/tests/oracle/{name}", env!("CARGO_MANIFEST_DIR"));
        let piped =
            Command::new(python).args([&script, "--serve"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = piped.unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Some(Script(child, answers))
    }

    /// What the script makes of a case.
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

/// One of several.
pub(crate) fn pick<T: Copy>(rng: &mut Rng, of: &[T]) -> T {
    of[rng.below(of.len() as u64) as usize]
}

/// A number from the environment.
pub(crate) fn number(name: &str, or: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(or)
}

//! Coverage-guided fuzzing: the long form of the test that runs the same targets on the seeds and on mutations of them.
//!
//! Needs a nightly compiler and cargo-fuzz, so `check` does not run it. What is found lies in `fuzz/artifacts`.

use crate::Done;
use crate::place::{Place, run};
use std::process::Command;

/// Each target, and the dictionary of its words.
const TARGETS: [(&str, &str); 8] = [
    ("workflow", "workflow"),
    ("params", "workflow"),
    ("terms", "workflow"),
    ("png", "png"),
    ("jpeg", "jpeg"),
    ("tiff", "tiff"),
    ("zarr", "zarr"),
    ("journal", "journal"),
];

/// Fuzzes the targets that `FUZZ` names, all of them by default, for `FUZZ_SECONDS` seconds each, ten minutes by default.
pub fn step(place: &Place) -> Result<Done, String> {
    let seconds = match std::env::var("FUZZ_SECONDS") {
        Ok(text) => text.parse().map_err(|e| format!("FUZZ_SECONDS is `{text}`: {e}"))?,
        Err(_) => 600u32,
    };
    let asked = std::env::var("FUZZ").unwrap_or_default();
    let known = |name: &&str| TARGETS.iter().any(|(target, _)| target == name);
    if let Some(other) = asked.split_whitespace().find(|name| !known(name)) {
        let names = TARGETS.map(|(target, _)| target).join(", ");
        return Err(format!("FUZZ names `{other}`, expected some of {names}"));
    }
    for (target, words) in TARGETS {
        if !asked.trim().is_empty() && !asked.split_whitespace().any(|name| name == target) {
            continue;
        }
        let corpus = place.root.join("fuzz/corpus").join(target);
        std::fs::create_dir_all(&corpus).map_err(|e| format!("{}: {e}", corpus.display()))?;
        // Through rustup's own cargo: the one that runs this step has a toolchain of its own in its environment.
        let mut command = Command::new("rustup");
        command.args(["run", "nightly", "cargo", "fuzz", "run", target]).arg(&corpus);
        command.arg(place.root.join("fuzz/seeds").join(target)).arg("--");
        command.args([&format!("-max_total_time={seconds}"), "-timeout=10", "-rss_limit_mb=512", "-max_len=16384"]);
        command.arg(format!("-dict={}", place.root.join(format!("fuzz/dictionaries/{words}.dict")).display()));
        command.arg("-print_final_stats=1").current_dir(&place.root).env("ASAN_OPTIONS", "quarantine_size_mb=16");
        run(&mut command)?;
    }
    Ok(Done::Checked)
}

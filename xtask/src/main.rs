//! `cargo xtask check` is everything a change has to pass, and all that continuous integration runs.
//!
//! It needs Rust and a C compiler. What else it can use it uses, and says SKIPPED where it is missing: rustfmt, clippy,
//! and a Python for the tests that ask an independent program.

mod fuzz;
mod place;
mod python;
mod steps;

use place::Place;
use std::process::ExitCode;

/// How a step ended that did not fail.
enum Done {
    /// Everything was checked.
    Checked,
    /// Nothing was; the reason.
    Skipped(String),
}

/// A step: its name, what it does, how it is done.
type Step = (&'static str, &'static str, fn(&Place) -> Result<Done, String>);

/// The steps of `check`, in its order.
const CHECK: [Step; 5] = [
    ("fmt", "the sources are formatted", steps::fmt),
    ("lint", "clippy finds nothing", steps::lint),
    ("test", "all tests pass", steps::test),
    ("doc", "the documentation builds without a warning", steps::doc),
    ("workflows", "the workflows that ship are valid and run", steps::workflows),
];

/// Steps that `check` does not run by themselves.
const OTHERS: [Step; 2] = [
    ("python", "makes the Python that tests ask, below the target directory", python::step),
    (
        "fuzz",
        "fuzzes FUZZ=\"png tiff\", all by default, for FUZZ_SECONDS each; needs nightly and cargo-fuzz",
        fuzz::step,
    ),
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("xtask: {text}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Result<(), String> {
    let place = Place::find()?;
    let steps = chosen(args)?;
    for (name, _, step) in steps {
        match step(&place).map_err(|text| format!("{name}: {text}"))? {
            Done::Checked => {}
            Done::Skipped(why) => eprintln!("SKIPPED: {name}: {why}"),
        }
    }
    Ok(())
}

/// The steps that the arguments name.
fn chosen(args: &[String]) -> Result<Vec<&'static Step>, String> {
    let mut steps = Vec::new();
    for arg in args {
        match CHECK.iter().chain(&OTHERS).find(|(name, ..)| name == arg) {
            Some(step) => steps.push(step),
            None if arg == "check" => steps.extend(&CHECK),
            None => return Err(format!("there is no step `{arg}`\n{}", usage())),
        }
    }
    if steps.is_empty() { Err(format!("expected a step\n{}", usage())) } else { Ok(steps) }
}

fn usage() -> String {
    let mut text = "usage: cargo xtask STEP...\n  check      all of the first five, in this order".to_owned();
    for (name, what, _) in CHECK.iter().chain(&OTHERS) {
        text.push_str(&format!("\n  {name:9}  {what}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{CHECK, chosen};

    #[test]
    fn steps_are_chosen_by_name() {
        let names = |args: &[&str]| {
            let args: Vec<String> = args.iter().map(|a| (*a).to_owned()).collect();
            chosen(&args).map(|steps| steps.iter().map(|(name, ..)| *name).collect::<Vec<_>>())
        };
        assert_eq!(names(&["check"]).unwrap(), CHECK.map(|(name, ..)| name));
        assert_eq!(names(&["doc", "python"]).unwrap(), ["doc", "python"]);
        assert!(names(&["tests"]).unwrap_err().starts_with("there is no step `tests`\nusage"));
        assert!(names(&[]).unwrap_err().contains("check"));
    }
}

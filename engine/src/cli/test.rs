//! `engine test`: runs the checks that workflows carry under `tests:`.

use crate::expect::{self, Mismatch};
use crate::loading::show;
use crate::output;
use crate::prepare::{ProfileArgs, WorkflowArgs};
use crate::running::{self, Request};
use crate::{exit, loading, signals, summary};
use clap::Args;
use engine_model::diag::{Sources, count};
use engine_model::spec::Overrides;
use engine_model::spec::file::ExpectFile;
use engine_model::spec::workflow::TestDecl;
use engine_runtime::exec::run::Durability;
use engine_telemetry::Settings;
use engine_telemetry::progress::ProgressMode;
use serde_json::{Value as Json, json};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Arguments of `engine test`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Each entry of `tests:` runs the workflow with its params into a temporary directory and compares \
    what was written with what it expects.\nExit codes: 0 all hold, 7 an expectation does not, 3 a workflow is invalid, \
    otherwise that of the first run that failed.\n\nExamples:\n  engine test workflows/*.yaml\n  engine test \
    workflows/bcss.yaml --block 97 --threads 1"
)]
pub struct TestArgs {
    /// The workflow files.
    #[arg(required = true)]
    workflows: Vec<PathBuf>,
    #[command(flatten)]
    profile: ProfileArgs,
    /// Print the result as one line of JSON, the only one on standard output.
    #[arg(long)]
    json: bool,
}

/// One test, run.
struct Tested {
    workflow: PathBuf,
    name: String,
    /// What is left to tell of why it failed; none when it passed.
    failure: Option<String>,
    mismatches: Vec<(Mismatch, String)>,
    /// Comparisons made.
    checks: u64,
    /// How the run ended, or what kept it from starting.
    code: u8,
    seconds: f64,
}

impl Tested {
    fn passed(&self) -> bool {
        self.failure.is_none() && self.mismatches.is_empty()
    }

    /// What the command's exit code owes to this test.
    fn verdict(&self) -> u8 {
        match (self.passed(), self.failure.is_some() && self.code != exit::OK) {
            (true, _) => exit::OK,
            (false, true) => self.code,
            (false, false) => exit::MISMATCH,
        }
    }
}

/// Runs the command.
pub fn run(args: &TestArgs) -> u8 {
    let stop = match signals::stop_flag() {
        Ok(stop) => stop,
        Err(e) => return running::internal(format!("can't catch signals: {e}")),
    };
    let (mut done, mut invalid, mut worst) = (Vec::new(), Vec::new(), exit::OK);
    for path in &args.workflows {
        let overrides = Overrides::default();
        let loaded = loading::load(path, &overrides).map_err(|refused| (refused.sources, refused.report));
        let (sources, tests) = match loaded {
            Ok((sources, Some(workflow), _)) => (sources, workflow.tests),
            Ok((sources, None, report)) | Err((sources, report)) => {
                show(&sources, &report);
                invalid.push(path);
                continue;
            }
        };
        if !args.json {
            output::line(format!("{}{}", path.display(), if tests.is_empty() { ": no tests" } else { "" }));
        }
        for (number, test) in tests.iter().enumerate() {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let tested = one(args, path, &sources, number, test, &stop);
            if !args.json {
                output::text(&text(&tested));
            }
            if worst == exit::OK {
                worst = tested.verdict();
            }
            done.push(tested);
        }
    }
    let failed = done.iter().filter(|t| !t.passed()).count();
    let code = match (stop.load(Ordering::Relaxed), invalid.is_empty()) {
        (true, _) => exit::INTERRUPTED,
        (false, false) => exit::INVALID,
        (false, true) => worst,
    };
    if args.json {
        let tests: Vec<Json> = done.iter().map(document).collect();
        output::line(json!({"passed": code == exit::OK, "tests": tests, "invalid": invalid}));
    } else {
        let refused = match invalid.len() as u64 {
            0 => String::new(),
            n => format!(", {} invalid", count(n, "workflow")),
        };
        output::line(format!("{}, {failed} failed{refused}", count(done.len() as u64, "test")));
    }
    code
}

/// Runs one test into a directory that goes when it is done.
fn one(args: &TestArgs, path: &Path, sources: &Sources, number: usize, test: &TestDecl, stop: &AtomicBool) -> Tested {
    let started = Instant::now();
    let mut tested = Tested {
        workflow: path.to_owned(),
        name: test.name.value.clone(),
        failure: None,
        mismatches: Vec::new(),
        checks: 0,
        code: exit::OK,
        seconds: 0.0,
    };
    let prepared = serde_json::from_value::<ExpectFile>(test.expect.value.clone())
        .map_err(|e| format!("what is expected can't be read: {e}"))
        .and_then(|expect| {
            let dir = tempfile::tempdir().map_err(|e| format!("can't make a temporary directory: {e}"))?;
            Ok((expect, dir))
        });
    let (expect, dir) = match prepared {
        Ok(both) => both,
        Err(why) => {
            tested.failure = Some(why);
            tested.code = exit::INTERNAL;
            return tested;
        }
    };
    let workflow = WorkflowArgs { workflow: path.to_owned(), set: Vec::new(), params: Vec::new(), test: Some(number) };
    let ran = running::execute(Request {
        resume: None,
        durability: Durability::default(),
        workflow: &workflow,
        profile: &args.profile,
        out: Some(&dir.path().join("run")),
        overwrite: false,
        keep_going: false,
        settings: Settings { progress: ProgressMode::None, ..Settings::default() },
        stop,
    });
    tested.code = ran.as_ref().map_or_else(|code| *code, running::Ran::code);
    let expected = expect.exit.unwrap_or(exit::OK);
    if tested.code != expected {
        if let Ok(ran) = &ran {
            summary::failures(ran);
        }
        tested.failure = Some(format!("expected the run to end with exit code {expected}, found {}", tested.code));
    } else if let Ok(ran) = &ran {
        let (mut checks, mut wrong) = expect::check(&expect, &ran.outcome.outputs);
        // A run without such expectations owes nothing to the record.
        if !expect.values.is_empty() {
            match expect::values::read(&ran.dir.root) {
                Ok(recorded) => {
                    let (more, others) = expect::values::check(&expect, &recorded);
                    checks += more;
                    wrong.extend(others);
                }
                Err(why) => tested.failure = Some(why),
            }
        }
        tested.checks = checks;
        let line = |at: &str| sources.line_column(test.expect.span_at(at)).0;
        let placed = |m: Mismatch| {
            let place = format!("{}:{}", path.display(), line(&m.at));
            (m, place)
        };
        tested.mismatches = wrong.into_iter().map(placed).collect();
    }
    tested.checks += 1;
    tested.seconds = started.elapsed().as_secs_f64();
    tested
}

fn text(t: &Tested) -> String {
    let how = if t.passed() { "pass" } else { "fail" };
    let mut text = format!("  {how}  {} ({} checks, {:.2} s)\n", t.name, t.checks, t.seconds);
    if let Some(why) = &t.failure {
        text.push_str(&format!("        {why}\n"));
    }
    for (m, place) in &t.mismatches {
        let Mismatch { of, what, expected, found, .. } = m;
        text.push_str(&format!("        {of}: {what}: expected {expected}, found {found}  ({place})\n"));
    }
    text
}

fn document(t: &Tested) -> Json {
    let mismatches: Vec<Json> = t
        .mismatches
        .iter()
        .map(|(m, place)| json!({"of": m.of, "what": m.what, "expected": m.expected, "found": m.found, "place": place}))
        .collect();
    json!({
        "workflow": t.workflow,
        "name": t.name,
        "passed": t.passed(),
        "exit": t.code,
        "failure": t.failure,
        "checks": t.checks,
        "mismatches": mismatches,
        "wall_s": t.seconds,
    })
}

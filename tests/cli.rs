//! The command line as a user meets it: exit codes, summaries, run directories, failures, signals.

use crate::support::{self, Run, call, stderr, stdout};
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

/// A small workflow that ends well.
fn small(dir: &Path) -> PathBuf {
    let path = dir.join("small.yaml");
    support::write(
        &path,
        "version: 1\nname: small\n\
         inputs:\n  image: {generate: {items: 2, shape: [40, 50], dtype: uint8, pattern: noise}}\n\
         steps:\n  smooth: {op: gaussian, input: image, with: {sigma: 1.0}}\n\
         outputs:\n  Smooth: {from: smooth, format: tiff}\n",
    );
    path
}

/// A workflow that takes minutes: it has to be stopped.
pub fn endless(dir: &Path) -> PathBuf {
    let path = dir.join("endless.yaml");
    support::write(
        &path,
        "version: 1\nname: endless\n\
         inputs:\n  image: {generate: {items: 100000, shape: [256, 256], dtype: uint8, pattern: noise}}\n\
         steps:\n  smooth: {op: gaussian, input: image, with: {sigma: 2.0}}\n  \
         mask: {op: threshold, input: smooth, with: {relative_to: max, factor: 0.5}}\n\
         outputs:\n  Mask: {from: mask, format: png}\n",
    );
    path
}

#[test]
fn from_nothing_to_a_result() {
    let dir = support::temp();
    let project = dir.path().join("project");
    let out = call(&["init", project.to_str().unwrap()]);
    assert_eq!(code(&out), Some(0), "{}", stderr(&out));
    let file = project.join("workflow.yaml");
    let file = file.to_str().unwrap();
    // What `init` says to do next, in that order.
    for next in ["validate", "plan", "run"] {
        assert!(stdout(&out).contains(&format!("engine {next} {file}")), "{}", stdout(&out));
        let mut command = support::engine();
        command.args([next, file]).current_dir(dir.path());
        let o = command.output().unwrap();
        assert_eq!(code(&o), Some(0), "{next}: {}", stderr(&o));
    }
    let dirs: Vec<PathBuf> = runs(dir.path());
    assert_eq!(dirs.len(), 1);
    for name in ["Results/Smooth/0.tiff", "Results/Mask/2.png", "Reports/workflow.yaml"] {
        assert!(dirs[0].join(name).is_file(), "{name} in {:?}", support::tree::files(&dirs[0]));
    }
    for name in ["graph", "plan", "config", "cluster", "task_stream", "profile"] {
        support::yaml(&dirs[0].join(format!("Reports/{name}.yaml")));
    }
}

/// Run directories with a name of their own, sorted.
fn runs(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    found.retain(|p| p.file_name().unwrap().to_string_lossy().contains("-RUN"));
    found.sort();
    found
}

#[test]
fn a_run_without_out_names_its_directory_by_the_time_and_never_shares_it() {
    let dir = support::temp();
    let file = small(dir.path());
    for _ in 0..3 {
        let o = support::engine().arg("run").arg(&file).args(["--progress", "none"]).current_dir(dir.path()).output();
        assert_eq!(code(&o.unwrap()), Some(0));
    }
    let found = runs(dir.path());
    assert_eq!(found.len(), 3);
    for path in found {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let (time, rest) = name.split_at(15);
        let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        assert!(digits(&time[..8]) && &time[8..9] == "-" && digits(&time[9..]), "{name}");
        let count = rest.strip_prefix("-RUN").unwrap_or_else(|| panic!("{name}"));
        assert!(count.is_empty() || count.strip_prefix('-').is_some_and(digits), "{name}");
        assert!(path.join("Results/Smooth/1.tiff").is_file());
    }
}

#[test]
fn out_is_used_when_absent_or_empty_and_refused_otherwise() {
    let dir = support::temp();
    let file = small(dir.path());
    let run = |out: &Path| support::engine().arg("run").arg(&file).arg("--out").arg(out).output().unwrap();
    let absent = dir.path().join("a/b/c");
    assert_eq!(code(&run(&absent)), Some(0));
    let empty = dir.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    assert_eq!(code(&run(&empty)), Some(0));
    let before = support::tree::digests(&empty);
    let again = run(&empty);
    assert_eq!(code(&again), Some(2));
    assert!(stderr(&again).contains("is not empty") && stderr(&again).contains("--out"), "{}", stderr(&again));
    assert_eq!(support::tree::digests(&empty), before, "nothing in it was touched");
    assert_eq!(code(&run(&file)), Some(2), "a file");
}

#[test]
fn the_summary_is_the_only_line_on_standard_output() {
    let dir = support::temp();
    let run = Run::ok(&small(dir.path()), &[]);
    let summary = run.summary();
    let keys = ["run_dir", "status", "wall_s", "cpu_s", "peak_rss_bytes", "projected_peak_bytes", "tasks"];
    for key in keys.into_iter().chain(["bytes_read", "bytes_written", "outputs"]) {
        assert!(!summary[key].is_null(), "`{key}` in {summary}");
    }
    assert_eq!(summary["run_dir"], run.dir().to_str().unwrap());
    let written: u64 = support::tree::files(&run.dir().join("Results"))
        .iter()
        .map(|f| std::fs::metadata(run.dir().join("Results").join(f)).unwrap().len())
        .sum();
    assert_eq!(summary["bytes_written"], written);
    let output = &summary["outputs"][0];
    assert_eq!((&output["name"], &output["entries"]), (&"Smooth".into(), &2.into()));
    let records = run.report("task_stream.yaml");
    assert_eq!(records.as_sequence().unwrap().len() as u64, summary["tasks"]);
    assert!(run.number("wall_s") > 0.0 && run.number("peak_rss_bytes") > 1e6);
    // A failed and a refused run keep standard output to the same rule.
    let refused = Run::with(&dir.path().join("absent.yaml"), &[], &[]).expect_code(3);
    assert_eq!(stdout(&refused.output), "");
}

#[test]
fn usage_errors_are_2_and_invalid_workflows_3() {
    let dir = support::temp();
    let file = small(dir.path());
    let file = file.to_str().unwrap();
    for args in [
        &["run"][..],
        &["frobnicate"],
        &["run", file, "--threads", "0"],
        &["run", file, "--block", "0"],
        &["run", file, "--memory", "lots"],
        &["run", file, "--no-such-option"],
        &["explain", "E9999"],
        &["ops", "show", "gausian"],
        &["completions", "csh"],
    ] {
        let o = call(args);
        assert_eq!(code(&o), Some(2), "{args:?}: {}", stderr(&o));
        assert!(stdout(&o).is_empty() && stderr(&o).contains("error: "), "{args:?}: {}", stderr(&o));
    }
    let bad = dir.path().join("bad.yaml");
    support::write(&bad, &std::fs::read_to_string(file).unwrap().replace("gaussian", "gausian"));
    for command in ["validate", "plan", "run"] {
        let o = support::engine().arg(command).arg(&bad).current_dir(dir.path()).output().unwrap();
        assert_eq!(code(&o), Some(3), "{command}");
        let text = stderr(&o);
        assert!(text.contains("bad.yaml:6:16") && text.contains("gaussian"), "{text}");
    }
    let o = support::engine().args(["run", file, "--set", "nothing=1"]).current_dir(dir.path()).output().unwrap();
    assert_eq!(code(&o), Some(3), "{}", stderr(&o));
    assert_eq!(runs(dir.path()), Vec::<PathBuf>::new(), "nothing is written before a workflow is valid");
}

#[test]
fn a_plan_that_does_not_fit_is_refused_with_the_knob_that_makes_it_fit() {
    let dir = support::temp();
    let path = dir.path().join("large.yaml");
    support::write(
        &path,
        "version: 1\nname: large\n\
         inputs:\n  image: {generate: {shape: [4000, 4000], dtype: uint8, pattern: noise}}\n\
         steps:\n  smooth: {op: gaussian, input: image, with: {sigma: 1.0}}\n  \
         mask: {op: threshold, input: smooth, with: {relative_to: max, factor: 0.5}}\n\
         outputs:\n  Mask: {from: mask, format: png}\n",
    );
    let out = dir.path().join("out");
    let mut command = support::engine();
    command.arg("run").arg(&path).arg("--out").arg(&out).args(["--memory", "32MiB", "--block", "4000", "--json"]);
    let o = command.output().unwrap();
    let text = stderr(&o);
    assert_eq!(code(&o), Some(4), "{text}");
    assert!(text.contains("E0801") && stdout(&o).is_empty(), "{text}");
    assert!(["--block", "--threads", "--memory"].iter().any(|knob| text.contains(knob)), "{text}");
    assert!(!out.exists(), "nothing is made for a run that never starts");
    let plan =
        support::engine().arg("plan").arg(&path).args(["--memory", "32MiB", "--block", "4000"]).output().unwrap();
    assert_eq!(code(&plan), Some(4));
    assert!(!stdout(&plan).is_empty(), "the refused plan is shown");
}

/// Three good tiles and one whose pixels end early, which its header doesn't tell.
fn with_corrupt(dir: &Path) -> (String, PathBuf) {
    let glob = support::copies(dir, &["almost-white-2", "low-nuclei-score-level0", "no-tissue"]);
    let bytes = std::fs::read(support::data("histology/high-nuclei-score-level2.png")).unwrap();
    let corrupt = dir.join("corrupt.png");
    std::fs::write(&corrupt, &bytes[..bytes.len() / 2]).unwrap();
    (format!("images={glob}"), corrupt)
}

#[test]
fn a_corrupt_image_stops_the_run_in_order() {
    let dir = support::temp();
    let (images, corrupt) = with_corrupt(&dir.path().join("in"));
    let run = Run::with(&support::workflow("bcss.yaml"), &["--set", &images], &[]).expect_code(5);
    let text = stderr(&run.output);
    for part in [corrupt.to_str().unwrap(), "item:", "corrupt", "cause:  bad data", "next:", "--keep-going"] {
        assert!(text.contains(part), "`{part}` in {text}");
    }
    assert_eq!(run.summary()["status"], "failed");
    loadable(&run.dir());
    whole(&run.dir());
    assert!(!run.results("Labeled/corrupt.png").exists());
}

#[test]
fn with_keep_going_the_corrupt_image_alone_is_missing() {
    let dir = support::temp();
    let (images, _) = with_corrupt(&dir.path().join("in"));
    let args = ["--set", &images, "--keep-going"];
    let run = Run::with(&support::workflow("bcss.yaml"), &args, &[]).expect_code(5);
    let summary = run.summary();
    assert_eq!((&summary["status"], &summary["items_failed"]), (&"failed".into(), &1.into()), "{summary}");
    for output in ["Normalized", "Threshold", "Labeled"] {
        let names: Vec<String> =
            support::tree::files(&run.results(output)).iter().map(|p| p.display().to_string()).collect();
        assert_eq!(names, ["almost-white-2.png", "low-nuclei-score-level0.png", "no-tissue.png"], "{output}");
    }
    for output in summary["outputs"].as_array().unwrap() {
        assert_eq!(output["entries"], 3, "{summary}");
    }
    let text = stderr(&run.output);
    assert!(text.contains("item:   corrupt") && text.contains("corrupt.png"), "{text}");
    assert!(text.contains("the run goes on without it") && !text.contains("--keep-going"), "{text}");
    loadable(&run.dir());
    // The others are what they would be without it: the collection's extrema come from them alone.
    std::fs::remove_file(dir.path().join("in/corrupt.png")).unwrap();
    let without = Run::ok(&support::workflow("bcss.yaml"), &["--set", &images]);
    let results = |run: &Run| support::tree::digests(&run.dir().join("Results"));
    assert_eq!(results(&run), results(&without));
}

#[test]
fn an_output_that_joins_a_failed_item_is_named_as_missing() {
    let dir = support::temp();
    with_corrupt(&dir.path().join("in"));
    let path = dir.path().join("join.yaml");
    std::fs::write(
        &path,
        "version: 1\ninputs:\n  image: {foreach: \"in/*.png\", channels: rgb}\nsteps:\n  \
         all: {op: stack, input: image, with: {axis: z}}\n  gray: {op: grayscale, input: image}\noutputs:\n  \
         All: {from: all, format: zarr}\n  Gray: {from: gray, format: tiff}\n",
    )
    .unwrap();
    let run = Run::with(&path, &["--keep-going"], &[]).expect_code(5);
    let text = stderr(&run.output);
    for part in ["error: output `All` is not written", "every item of `image` is needed for it", "item:   corrupt"] {
        assert!(text.contains(part), "`{part}` in {text}");
    }
    assert_eq!(run.summary()["missing"], serde_json::json!(["All"]));
    assert!(run.results("Gray/no-tissue.tiff").exists() && !run.results("All.zarr").exists());
    let mut again = support::engine();
    let plain = again.arg("run").arg(&path).args(["--keep-going", "--progress", "none"]).arg("--out");
    let plain = plain.arg(dir.path().join("again")).output().unwrap();
    assert!(stdout(&plain).contains("1 task failed, 1 item left out"), "{}", stdout(&plain));
}

#[test]
fn a_run_directory_that_can_not_be_made_is_named() {
    let dir = support::temp();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    for out in [file.clone(), file.join("below")] {
        let mut command = support::engine();
        let o = command.arg("run").arg(support::workflow("astronaut.yaml")).arg("--out").arg(&out).output().unwrap();
        assert_eq!(code(&o), Some(2));
        let text = stderr(&o);
        assert!(text.contains(&format!("can't make the run directory `{}`: ", out.display())), "{text}");
    }
}

/// Every YAML file of the record can be read.
pub fn loadable(run: &Path) -> usize {
    let reports = run.join("Reports");
    let files = support::tree::files(&reports);
    let yaml: Vec<_> = files.iter().filter(|f| f.extension().is_some_and(|e| e == "yaml")).collect();
    for file in &yaml {
        support::yaml(&reports.join(file));
    }
    yaml.len()
}

/// Every PNG under its final name can be decoded.
pub fn whole(run: &Path) -> usize {
    let results = run.join("Results");
    let files = support::tree::files(&results);
    let png: Vec<_> = files.iter().filter(|f| f.extension().is_some_and(|e| e == "png")).collect();
    for file in &png {
        support::pixels::png(&results.join(file));
    }
    png.len()
}

/// Starts a run and waits until it has written something.
pub fn started(workflow: &Path, out: &Path, args: &[&str]) -> Child {
    let mut command = support::engine();
    command.arg("run").arg(workflow).arg("--out").arg(out).args(["--progress", "none", "--json"]).args(args);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let some = || std::fs::read_dir(out.join("Results/Mask")).is_ok_and(|entries| entries.count() > 3);
    while !some() {
        assert!(Instant::now() < deadline, "the run writes nothing");
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}

pub fn signal(child: &Child, name: &str) {
    let pid = rustix::process::Pid::from_child(child);
    let signal = match name {
        "INT" => rustix::process::Signal::INT,
        _ => rustix::process::Signal::TERM,
    };
    rustix::process::kill_process(pid, signal).unwrap();
}

#[test]
fn a_signal_ends_the_run_with_its_record_complete() {
    for name in ["INT", "TERM"] {
        let dir = support::temp();
        let out = dir.path().join("out");
        let child = started(&endless(dir.path()), &out, &[]);
        signal(&child, name);
        let at = Instant::now();
        let output = child.wait_with_output().unwrap();
        let took = at.elapsed();
        assert_eq!(code(&output), Some(6), "{name}: {}", stderr(&output));
        assert!(took < Duration::from_secs(10), "SIG{name} took {took:?}");
        let summary: serde_json::Value = serde_json::from_str(stdout(&output).trim_end()).unwrap();
        assert_eq!(summary["status"], "interrupted");
        // Complete: every task that the summary counts is in the stream, each finished file is counted and whole.
        let stream = support::yaml(&out.join("Reports/task_stream.yaml"));
        let ended = stream.as_sequence().unwrap().iter().filter(|r| r["status"].as_str() == Some("OK")).count();
        assert_eq!(ended as u64, summary["tasks"], "{summary}");
        loadable(&out);
        let names: Vec<String> =
            support::tree::files(&out.join("Reports")).iter().map(|f| f.display().to_string()).collect();
        for name in ["cluster", "config", "graph", "plan", "profile", "task_stream", "values", "workflow"] {
            assert!(names.contains(&format!("{name}.yaml")), "{name} in {names:?}");
        }
        assert_eq!(whole(&out) as u64, summary["outputs"][0]["entries"]);
        let partial = |f: &PathBuf| f.to_string_lossy().contains("partial");
        assert!(!support::tree::files(&out.join("Results")).iter().any(partial), "partial files are removed");
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let dir = support::temp();
    let out = dir.path().join("out");
    // One task takes very long, so that the first signal has to wait for it.
    let path = dir.path().join("slow.yaml");
    let text = std::fs::read_to_string(endless(dir.path())).unwrap();
    support::write(&path, &text.replace("[256, 256]", "[6000, 6000]").replace("sigma: 2.0", "sigma: 150.0"));
    let mut command = support::engine();
    command.arg("run").arg(&path).arg("--out").arg(&out).args(["--progress", "none", "--block", "100000"]);
    command.args(["--memory", "64GiB", "--threads", "1"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while !out.join("Reports/task_stream.yaml").exists() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(700));
    signal(&child, "INT");
    std::thread::sleep(Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none(), "the first signal lets the running task end");
    signal(&child, "INT");
    let at = Instant::now();
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), Some(6), "{}", stderr(&output));
    assert!(at.elapsed() < Duration::from_secs(2), "{:?}", at.elapsed());
    loadable(&out);
    whole(&out);
}

#[test]
fn completions_ops_and_explanations() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let o = call(&["completions", shell]);
        assert_eq!(code(&o), Some(0));
        assert!(stdout(&o).contains("keep-going") && stdout(&o).contains("mermaid"), "{shell}");
    }
    let listed = stdout(&call(&["ops", "list"]));
    for op in ["gaussian", "threshold", "label", "measure", "normalize", "grayscale", "cast", "crop", "stack", "tile"] {
        assert!(listed.lines().any(|l| l.split_whitespace().next() == Some(op)), "`{op}` in {listed}");
        let shown = call(&["ops", "show", op]);
        assert!(code(&shown) == Some(0) && stdout(&shown).contains(op));
    }
    let all = stdout(&call(&["explain"]));
    assert!(all.lines().count() > 40, "{all}");
    for line in all.lines() {
        let name = line.split_whitespace().next().unwrap();
        let o = call(&["explain", name]);
        assert!(code(&o) == Some(0) && stdout(&o).starts_with(name) && stdout(&o).contains("wrong:"), "{name}");
    }
}

#[test]
fn a_plan_is_shown_to_people_programs_and_drawing_tools() {
    let file = support::workflow("bcss.yaml");
    let file = file.to_str().unwrap();
    let text = stdout(&call(&["plan", file]));
    assert!(text.contains("memory") && text.contains("smooth"), "{text}");
    let json: serde_json::Value = serde_json::from_str(&stdout(&call(&["plan", file, "--json"]))).unwrap();
    assert!(json.is_object());
    let dot = stdout(&call(&["plan", file, "--dot"]));
    assert!(dot.starts_with("digraph") && dot.trim_end().ends_with('}') && dot.contains("->"), "{dot}");
    let mermaid = stdout(&call(&["plan", file, "--mermaid"]));
    assert!(mermaid.starts_with("flowchart") || mermaid.starts_with("graph"), "{mermaid}");
    assert_eq!(code(&call(&["plan", file, "--dot", "--json"])), Some(2), "one form at a time");
    // The canonical form: the same twice, whatever the machine is doing; only the limit that is not given rests on what is free.
    let limited = || stdout(&call(&["plan", file, "--memory", "2GiB"]));
    assert_eq!(limited(), limited());
}

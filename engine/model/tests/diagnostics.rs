//! Golden diagnostics: every broken workflow in `tests/golden/diagnostics` gives exactly its `.txt`.
//!
//! `UPDATE=1 cargo test -p engine-model --test diagnostics` rewrites them. A case `NAME.yaml` may begin with comment
//! lines `# set: k=v` and `# params: FILE` for the command line; names starting with `_` are read by other cases.

use engine_model::diag::{Report, Sources, Style, text};
use engine_model::spec::workflow::Workflow;
use engine_model::spec::{Overrides, TextSource, load};
use std::path::{Path, PathBuf};

// The registry is filled by the crate `ops`, which the linker drops unless something refers to it.
use ops as _;

struct Folder(PathBuf);

impl TextSource for Folder {
    fn read(&self, path: &Path) -> Result<String, String> {
        std::fs::read_to_string(self.0.join(path)).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => "no such file".into(),
            other => other.to_string(),
        })
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/diagnostics")
}

fn cases() -> Vec<(String, String)> {
    let mut v: Vec<(String, String)> = std::fs::read_dir(folder())
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "yaml"))
        .map(|p| (p.file_stem().unwrap().to_str().unwrap().to_owned(), std::fs::read_to_string(&p).unwrap()))
        .filter(|(name, _)| !name.starts_with('_'))
        .collect();
    v.sort();
    v
}

fn overrides(text: &str) -> Overrides {
    let after = |prefix: &str| -> Vec<String> {
        text.lines().filter_map(|l| l.strip_prefix(prefix)).map(|s| s.trim().to_owned()).collect()
    };
    let params_files = after("# params: ").into_iter().map(PathBuf::from).collect();
    Overrides { set: after("# set: "), params_files }
}

fn run(name: &str, text: &str) -> (Sources, Option<Workflow>, Report) {
    let path = PathBuf::from(format!("{name}.yaml"));
    load(&path, text.to_owned(), &overrides(text), &Folder(folder()))
}

#[test]
fn every_case_gives_its_golden_text() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut wrong = Vec::new();
    for (name, yaml) in cases() {
        let (sources, workflow, report) = run(&name, &yaml);
        assert_eq!(workflow.is_some(), !report.has_errors(), "{name}");
        let found = text(&sources, &report, Style::Plain);
        let golden = folder().join(format!("{name}.txt"));
        if update {
            std::fs::write(&golden, &found).unwrap();
        } else if std::fs::read_to_string(&golden).unwrap_or_default() != found {
            wrong.push(format!("--- {name}\n{found}"));
        }
    }
    assert!(wrong.is_empty(), "differ from their golden text (UPDATE=1 rewrites):\n{}", wrong.join("\n"));
}

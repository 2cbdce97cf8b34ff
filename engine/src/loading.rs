//! Reads workflows from files and shows what is wrong with them.

use crate::exit;
use crate::prepare::Refused;
use engine_model::diag::{Diagnostic, Report, Sources, Span, Style, text};
use engine_model::spec::workflow::Workflow;
use engine_model::spec::{self, Overrides, TextSource};
use std::io::IsTerminal;
use std::path::Path;

/// The most bytes a workflow, include or params file may have: a text that is edited by people.
const MAX_TEXT: u64 = 1 << 20;

/// Texts from the file system.
pub struct Files;

impl TextSource for Files {
    fn read(&self, path: &Path) -> Result<String, String> {
        let size = std::fs::metadata(path).map_err(|e| e.to_string())?.len();
        if size > MAX_TEXT {
            return Err(format!("it has {size} bytes, a workflow has at most {MAX_TEXT}"));
        }
        std::fs::read_to_string(path).map_err(|e| e.to_string())
    }
}

/// Texts, workflow (unless the report has errors), report.
pub type Loaded = (Sources, Option<Workflow>, Report);

/// Reads a workflow and checks all that can be told from its text.
///
/// # Errors
/// When the file can't be read.
pub fn load(path: &Path, overrides: &Overrides) -> Result<Loaded, Box<Refused>> {
    match Files.read(path) {
        Ok(text) => Ok(spec::load(path, text, overrides, &Files)),
        Err(e) => {
            let mut sources = Sources::default();
            let file = sources.add(path, String::new());
            let mut report = Report::default();
            let span = Span { file, start: 0, end: 0 };
            report.push(Diagnostic::new("E0602", span, format!("can't read the workflow `{}`: {e}", path.display())));
            Err(Box::new(Refused { sources, report, code: exit::INVALID }))
        }
    }
}

/// Prints diagnostics to standard error.
pub fn show(sources: &Sources, report: &Report) {
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    eprint!("{}", text(sources, report, if colour { Style::Colour } else { Style::Plain }));
}

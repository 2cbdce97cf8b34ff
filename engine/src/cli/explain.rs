//! `engine explain`: what a diagnostic code means.

use crate::exit;
use crate::output;
use clap::Args;
use engine_model::diag::codes::{self, Code};
use engine_model::spec::names::nearest;
use serde_json::json;

/// Arguments of `engine explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The code, such as `E0302`; all are listed when it is left out.
    code: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Prints the page of a code, or the list of codes.
pub fn run(args: &ExplainArgs) -> u8 {
    let Some(wanted) = &args.code else {
        if args.json {
            output::line(json!(codes::all().collect::<Vec<_>>()));
        } else {
            for c in codes::all() {
                output::line(format!("{}  {}", c.code, c.title));
            }
        }
        return exit::OK;
    };
    match codes::find(wanted) {
        Some(c) if args.json => output::line(json!(c)),
        Some(c) => output::text(&page(c)),
        None => {
            eprintln!("error: there is no code `{wanted}`");
            match nearest(wanted, codes::all().map(|c| c.code)) {
                Some(near) => eprintln!("help: did you mean `{near}`? `engine explain` lists all"),
                None => eprintln!("help: `engine explain` lists all codes"),
            }
            return exit::USAGE;
        }
    }
    exit::OK
}

fn page(c: &Code) -> String {
    let indent = |s: &str| s.lines().map(|l| format!("    {l}\n")).collect::<String>();
    let explanation = wrap(c.explanation, 100);
    format!("{}: {}\n\n{explanation}\n\nwrong:\n\n{}\nright:\n\n{}", c.code, c.title, indent(c.wrong), indent(c.right))
}

/// Breaks text at spaces into lines of at most `width` characters where words allow.
pub fn wrap(text: &str, width: usize) -> String {
    let mut out = String::new();
    let mut column = 0;
    for word in text.split(' ') {
        let n = word.chars().count();
        if column > 0 && column + 1 + n > width {
            out.push('\n');
            column = 0;
        } else if column > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += n;
    }
    out
}

//! `engine ops`: the list of ops, and the manual of each from its schema.

use super::explain::wrap;
use crate::exit;
use crate::output;
use clap::{Args, Subcommand};
use engine_model::spec::names::nearest;
use engine_model::spec::schema;
use ops_core::registry::{self, InputKind, OpEntry};
use serde_json::{Value as Json, json};

/// Arguments of `engine ops`.
#[derive(Debug, Args)]
pub struct OpsArgs {
    #[command(subcommand)]
    command: Option<OpsCommand>,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum OpsCommand {
    /// List every op.
    List,
    /// Print the manual of an op.
    Show {
        /// The op.
        name: String,
    },
}

/// Prints the list or a manual.
pub fn run(args: &OpsArgs) -> u8 {
    let ops = registry::all();
    match &args.command {
        None | Some(OpsCommand::List) if args.json => {
            output::line(json!(ops.iter().map(|op| summary(op)).collect::<Vec<_>>()));
        }
        None | Some(OpsCommand::List) => output::text(&listing(&ops)),
        Some(OpsCommand::Show { name }) => match registry::find(name) {
            Some(op) if args.json => {
                let mut o = summary(op);
                o["schema"] = schema::of_op(op);
                output::line(o);
            }
            Some(op) => output::text(&manual(op)),
            None => {
                eprintln!("error: there is no op `{name}`");
                match nearest(name, ops.iter().map(|o| o.name)) {
                    Some(near) => eprintln!("help: did you mean `{near}`?"),
                    None => eprintln!("help: `engine ops list` shows all of them"),
                }
                return exit::USAGE;
            }
        },
    }
    exit::OK
}

fn description(op: &OpEntry) -> String {
    schema::of_op(op)["description"].as_str().unwrap_or_default().to_owned()
}

fn summary(op: &OpEntry) -> Json {
    let inputs: Vec<Json> =
        op.inputs.iter().map(|i| json!({"name": i.name, "kind": kind(i.kind), "description": i.doc})).collect();
    json!({
        "name": op.name, "domain": op.domain, "description": schema::first_sentence(&description(op)),
        "inputs": inputs, "result": if op.makes_table { "table" } else { "array" }, "example": op.example,
    })
}

fn kind(kind: InputKind) -> &'static str {
    match kind {
        InputKind::Array => "array",
        InputKind::Family => "all items of a foreach",
        InputKind::Table => "table",
    }
}

/// Ops by domain, one line each.
fn listing(ops: &[&OpEntry]) -> String {
    let mut domains: Vec<&str> = ops.iter().map(|o| o.domain).collect();
    domains.sort_unstable();
    domains.dedup();
    let width = ops.iter().map(|o| o.name.len()).max().unwrap_or(0);
    let mut out = String::new();
    for domain in domains {
        out.push_str(&format!("{domain}\n"));
        for op in ops.iter().filter(|o| o.domain == domain) {
            let first = schema::first_sentence(&description(op));
            out.push_str(&format!("  {:width$}  {first}\n", op.name));
        }
    }
    out
}

/// The manual of an op.
pub fn manual(op: &OpEntry) -> String {
    let schema = schema::of_op(op);
    let mut out = format!("{} ({})\n\n", op.name, op.domain);
    out.push_str(&prose(schema["description"].as_str().unwrap_or_default()));
    let free = op.free_inputs().is_some();
    out.push_str(if op.inputs.len() == 1 && !free { "input\n" } else { "inputs\n" });
    for i in op.inputs {
        let name = if free { "one or more, named as you like" } else { i.name };
        out.push_str(&format!("  {name}: {}\n{}", kind(i.kind), indented(i.doc)));
    }
    let required: Vec<&str> =
        schema["required"].as_array().map(|r| r.iter().filter_map(Json::as_str).collect()).unwrap_or_default();
    let parameters = schema["properties"].as_object().filter(|p| !p.is_empty());
    if let Some(parameters) = parameters {
        out.push_str("\nparameters (`with:`)\n");
        for (name, p) in parameters {
            let rest = match p.get("default") {
                Some(d) => format!("; default {}", plain(d)),
                None if required.contains(&name.as_str()) => "; required".to_owned(),
                None => String::new(),
            };
            let doc = p["description"].as_str().unwrap_or_default().replace('\n', " ");
            out.push_str(&format!("  {name}: {}{rest}\n{}", type_words(p), indented(&doc)));
            for branch in p["oneOf"].as_array().into_iter().flatten() {
                if let (Some(choice), Some(doc)) = (branch["const"].as_str(), branch["description"].as_str()) {
                    out.push_str(&indented(&format!("- `{choice}`: {}", doc.replace('\n', " "))));
                }
            }
        }
    }
    out.push_str(&format!("\nresult\n  {}\n", if op.makes_table { "a table" } else { "an array" }));
    let example: String = op.example.trim_end().lines().map(|l| format!("  {l}\n")).collect();
    out.push_str(&format!("\nexample\n{example}"));
    out
}

/// Paragraphs with their lines filled; the entries of a list stay on lines of their own.
fn prose(markdown: &str) -> String {
    let mut out = String::new();
    for paragraph in markdown.split("\n\n") {
        let entries = paragraph.replace("\n- ", "\u{0}- ");
        for entry in entries.split('\u{0}') {
            out.push_str(&format!("{}\n", wrap(&entry.replace('\n', " "), 100)));
        }
        out.push('\n');
    }
    out
}

fn indented(text: &str) -> String {
    wrap(text, 94).lines().map(|l| format!("      {l}\n")).collect()
}

fn plain(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What a parameter accepts, in words.
fn type_words(schema: &Json) -> String {
    let branches = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array());
    if let Some(branches) = branches {
        return branches.iter().map(type_words).collect::<Vec<_>>().join(" | ");
    }
    if let Some(c) = schema.get("const") {
        return plain(c);
    }
    if let Some(choices) = schema["enum"].as_array() {
        return choices.iter().map(plain).collect::<Vec<_>>().join(" | ");
    }
    let mut words = match schema["type"].as_str() {
        Some("array") => match schema.get("items") {
            Some(items) => format!("list of {}", type_words(items)),
            None => "list".to_owned(),
        },
        Some("object") => {
            let keys = schema["properties"].as_object();
            let fields = keys.map(|k| k.iter().map(|(n, s)| format!("{n}: {}", type_words(s))).collect::<Vec<_>>());
            format!("{{{}}}", fields.unwrap_or_default().join(", "))
        }
        Some("string") => "text".to_owned(),
        Some(other) => other.to_owned(),
        None => "any value".to_owned(),
    };
    for (key, sign) in [("minimum", ">="), ("exclusiveMinimum", ">"), ("maximum", "<="), ("exclusiveMaximum", "<")] {
        if let Some(limit) = schema[key].as_f64() {
            words.push_str(&format!(" {sign} {limit}"));
        }
    }
    match (schema["minItems"].as_u64(), schema["maxItems"].as_u64()) {
        (Some(a), Some(b)) if a == b => words.push_str(&format!(" ({a} of them)")),
        _ => {}
    }
    words
}

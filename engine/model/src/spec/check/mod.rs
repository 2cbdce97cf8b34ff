//! JSON Schema violations as diagnostics: every one of them, at its own position, with what to write instead.

mod compiled;
mod fits;
mod forms;
mod pointers;
mod words;

pub use compiled::Schema;
pub use fits::fits;
pub use pointers::node_at;

use super::names::{list, nearest, place};
use super::tree::{Node, describe};
use super::workflow::SpannedJson;
use crate::diag::{Diagnostic, Report, Sources, Span};
use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind as Violation;
use pointers::{lookup, parent, unescape};
use serde_json::Value as Json;
use std::collections::BTreeSet;
use words::{bound, documentation, exclusive, kinds};

/// The codes that violations get.
#[derive(Debug, Clone, Copy)]
pub struct Codes {
    unknown: &'static str,
    missing: &'static str,
    kind: &'static str,
    choice: &'static str,
    bound: &'static str,
    form: &'static str,
    /// What a key is called.
    word: &'static str,
}

/// Codes for the structure of the file.
pub const STRUCTURE: Codes = Codes {
    unknown: "E0201",
    missing: "E0202",
    kind: "E0203",
    choice: "E0204",
    bound: "E0205",
    form: "E0206",
    word: "key",
};

/// Codes for an op's parameters.
pub const PARAMETERS: Codes = Codes {
    unknown: "E0503",
    missing: "E0504",
    kind: "E0505",
    choice: "E0507",
    bound: "E0506",
    form: "E0508",
    word: "parameter",
};

/// What is checked.
pub struct Subject<'a> {
    /// The tree.
    pub node: &'a Node,
    /// The same as JSON.
    pub json: &'a SpannedJson,
    /// What the whole is called, such as "op `gaussian`".
    pub name: &'a str,
    /// Where a missing key of the whole is reported.
    pub at: Span,
    /// The texts, to say where a substituted value comes from.
    pub sources: &'a Sources,
    /// The key that would hold the whole, where it is not written at all.
    pub absent: Option<&'a str>,
    /// The codes.
    pub codes: Codes,
}

/// What was found wrong, by JSON pointer.
#[derive(Debug, Default)]
pub struct Broken {
    /// Values that are not what the schema asks for.
    pub values: BTreeSet<String>,
    /// Values under keys that the schema doesn't know: to be left out of what is read.
    pub unknown: BTreeSet<String>,
}

impl Broken {
    /// True when a value or anything in it is not what the schema asks for.
    pub fn holds(&self, pointer: &str) -> bool {
        let below = format!("{pointer}/");
        self.values.iter().any(|p| p == pointer || p.starts_with(&below))
    }
}

/// Checks a tree against a schema, reporting every violation; values refused before are passed over.
///
/// # Errors
/// When it is not a valid JSON Schema.
pub fn check(schema: &Schema, subject: &Subject<'_>, report: &mut Report) -> Result<Broken, String> {
    let mut refused = BTreeSet::new();
    subject.node.each_refused("", &mut |p| {
        refused.insert(p.to_owned());
    });
    if fits(&schema.brief, &subject.json.value) == Some(true) {
        return Ok(Broken { values: refused, ..Broken::default() });
    }
    let schema = schema.compiled()?;
    let mut c = Checker { schema: &schema.json, subject, refused: &refused, broken: Broken::default(), report };
    for e in schema.validator.iter_errors(&subject.json.value) {
        c.violation(&e);
    }
    let mut broken = c.broken;
    broken.values.extend(refused);
    Ok(broken)
}

struct Checker<'a> {
    schema: &'a Json,
    subject: &'a Subject<'a>,
    refused: &'a BTreeSet<String>,
    broken: Broken,
    report: &'a mut Report,
}

impl Checker<'_> {
    fn violation(&mut self, e: &ValidationError<'_>) {
        let pointer = e.instance_path().as_str().to_owned();
        let value = e.instance();
        if self.refused.contains(&pointer) {
            return self.refused_before(&pointer, e);
        }
        let rule = lookup(self.schema, e.evaluation_path().as_str());
        let owner = parent(e.evaluation_path().as_str()).and_then(|p| lookup(self.schema, p));
        let codes = self.subject.codes;
        let span = self.subject.json.span_at(&pointer);
        match e.kind() {
            Violation::AdditionalProperties { unexpected } | Violation::UnevaluatedProperties { unexpected } => {
                for key in unexpected {
                    self.unknown_key(&pointer, key, owner);
                }
            }
            Violation::Required { property } => {
                let key = property.as_str().unwrap_or_default();
                if self.misspelt(&pointer, key, owner) {
                    self.broken.values.insert(pointer);
                    return;
                }
                let at = self.subject.json.keys.get(&pointer).copied();
                let at = at.unwrap_or(if pointer.is_empty() { self.subject.at } else { span });
                let mut d = Diagnostic::new(codes.missing, at, format!("{} needs `{key}`", self.place(&pointer)));
                if let Some(doc) = owner.and_then(|o| documentation(o, key)) {
                    d = d.note(format!("`{key}`: {doc}"));
                }
                let help = match self.subject.absent.filter(|_| pointer.is_empty()) {
                    Some(whole) => format!("add `{whole}: {{{key}: …}}`"),
                    None => format!("add `{key}:`"),
                };
                self.push(&pointer, d.help(help));
            }
            Violation::Type { .. } => self.wrong_kind(&pointer, value, owner, span),
            Violation::Enum { options } => {
                let options = options.as_array().cloned().unwrap_or_default();
                self.wrong_choice(&pointer, value, &options, span);
            }
            Violation::Constant { expected_value } => {
                self.wrong_choice(&pointer, value, &[Json::clone(expected_value)], span);
            }
            Violation::OneOfNotValid { context } | Violation::AnyOf { context } => {
                self.no_branch(&pointer, value, (rule, owner), context, span);
            }
            Violation::OneOfMultipleValid { .. } => {
                let branches: Vec<&Json> =
                    rule.and_then(Json::as_array).map(|v| v.iter().collect()).unwrap_or_default();
                let message = match exclusive(&branches) {
                    Some(keys) => {
                        let found = keys.iter().copied().filter(|k| value.get(k).is_some());
                        let (keys, found) = (list(keys.iter().copied()), list(found));
                        format!("{}: expected exactly one of {keys}, found {found}", self.place(&pointer))
                    }
                    None => format!("{}: expected one form, found {}", self.place(&pointer), describe(value)),
                };
                self.push(&pointer, Diagnostic::new(codes.form, span, message).help("keep one of them"));
            }
            other => {
                let expected = bound(other, value).unwrap_or_else(|| e.to_string());
                let d = Diagnostic::new(codes.bound, span, format!("{}: {expected}", self.place(&pointer)));
                self.push(&pointer, self.with_doc(d, &pointer, owner));
            }
        }
    }

    /// An ambiguous scalar where text is expected: the advice for it is to quote it.
    fn refused_before(&mut self, pointer: &str, e: &ValidationError<'_>) {
        let owner = parent(e.evaluation_path().as_str()).and_then(|p| lookup(self.schema, p));
        let node = node_at(self.subject.node, pointer);
        if let (Some(owner), Some(node)) = (owner, node)
            && let Some(text) = &node.written
            && kinds(owner) == ["string"]
        {
            super::yaml::quote_instead(text, node.span, self.report);
        }
    }

    fn push(&mut self, pointer: &str, mut d: Diagnostic) {
        match node_at(self.subject.node, pointer) {
            Some(n) if n.pasted.is_some() => {
                d.notes.push("references inside the text are replaced first".to_owned());
            }
            Some(n) if !n.is_verbatim() => {
                d.notes.push(format!("the value comes from {}", place(self.subject.sources, n.origin)));
            }
            _ => {}
        }
        self.broken.values.insert(pointer.to_owned());
        self.report.push(d);
    }

    /// The last key of a pointer, or the whole.
    fn place(&self, pointer: &str) -> String {
        let mut names: Vec<String> = pointer.split('/').skip(1).map(unescape).collect();
        let index = names.last().is_some_and(|n| n.parse::<u64>().is_ok()) && names.len() > 1;
        match (index, names.pop()) {
            (_, None) => self.subject.name.to_owned(),
            (true, Some(i)) => format!("`{}[{i}]`", names.pop().unwrap_or_default()),
            (false, Some(name)) => format!("`{name}`"),
        }
    }

    /// True when the mapping holds an unknown key that is near to this one: it is reported as that.
    fn misspelt(&self, pointer: &str, key: &str, owner: Option<&Json>) -> bool {
        let known = owner.and_then(|o| o.get("properties")).and_then(Json::as_object);
        let node = node_at(self.subject.node, pointer);
        node.map(Node::entries).unwrap_or_default().iter().any(|e| {
            known.is_some_and(|k| !k.contains_key(&e.key))
                && known.and_then(|k| nearest(&e.key, k.keys().map(String::as_str))) == Some(key)
        })
    }

    fn with_doc(&self, d: Diagnostic, pointer: &str, schema: Option<&Json>) -> Diagnostic {
        let doc = schema.and_then(|s| s.get("description")).and_then(Json::as_str);
        match doc {
            Some(doc) => d.note(format!("{}: {}", self.place(pointer), doc.replace('\n', " "))),
            None => d,
        }
    }
}

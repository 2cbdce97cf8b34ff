//! JSON Schema violations as diagnostics: every one of them, at its own position, with what to write instead.

use super::names::{list, nearest, place};
use super::scalar::Plain;
use super::tree::{Kind, Node, describe};
use super::workflow::SpannedJson;
use crate::diag::{Diagnostic, Report, Sources, Span};
use jsonschema::error::ValidationErrorKind as Violation;
use jsonschema::{ValidationError, Validator};
use serde_json::Value as Json;
use std::collections::BTreeSet;

/// A schema that is ready to be checked against.
#[derive(Debug)]
pub struct Compiled {
    validator: Validator,
    json: Json,
}

impl Compiled {
    /// Compiles a schema.
    ///
    /// # Errors
    /// When it is not a valid JSON Schema.
    pub fn new(json: Json) -> Result<Compiled, String> {
        let validator = jsonschema::validator_for(&json).map_err(|e| e.to_string())?;
        Ok(Compiled { validator, json })
    }
}

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
pub fn check(schema: &Compiled, subject: &Subject<'_>, report: &mut Report) -> Broken {
    let mut refused = BTreeSet::new();
    subject.node.each_refused("", &mut |p| {
        refused.insert(p.to_owned());
    });
    let mut c = Checker { schema: &schema.json, subject, refused: &refused, broken: Broken::default(), report };
    for e in schema.validator.iter_errors(&subject.json.value) {
        c.violation(&e);
    }
    let mut broken = c.broken;
    broken.values.extend(refused);
    broken
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

    fn unknown_key(&mut self, pointer: &str, key: &str, owner: Option<&Json>) {
        let at = format!("{pointer}/{}", super::tree::escape(key));
        let span = self.subject.json.keys.get(&at).copied().unwrap_or_default();
        let known: Vec<&str> = owner
            .and_then(|o| o.get("properties"))
            .and_then(Json::as_object)
            .map(|o| o.keys().map(String::as_str).collect())
            .unwrap_or_default();
        let message = format!("{} has no {} `{key}`", self.place(pointer), self.subject.codes.word);
        let d = Diagnostic::new(self.subject.codes.unknown, span, message).label("unknown");
        let taken = |name: &str| self.subject.json.keys.contains_key(&format!("{pointer}/{name}"));
        let d = match nearest(key, known.iter().copied()) {
            Some(name) if !taken(name) => d.help(format!("did you mean `{name}`?")).fix(span, name),
            _ if known.contains(&"with") && known.contains(&"op") => {
                d.help(format!("parameters of the op go under `with:`; the keys of a step are {}", list(known)))
            }
            _ if known.is_empty() => d.help("remove it: nothing is accepted here"),
            _ => d.help(format!("the {}s are {}", self.subject.codes.word, list(known))),
        };
        self.broken.unknown.insert(at);
        self.report.push(d);
    }

    fn wrong_kind(&mut self, pointer: &str, value: &Json, schema: Option<&Json>, span: Span) {
        let kinds = schema.map(kinds).unwrap_or_default();
        let words: Vec<&str> = kinds.iter().map(|k| kind_words(k)).collect();
        let message = format!("{}: expected {}, found {}", self.place(pointer), words.join(" or "), describe(value));
        let mut d = Diagnostic::new(self.subject.codes.kind, span, message);
        let own = node_at(self.subject.node, pointer).is_some_and(Node::is_verbatim);
        if let (true, Some((text, help))) = (own && span.end > span.start, retyped(value, &kinds)) {
            d = d.help(help).fix(span, text);
        } else if value.is_null() {
            d = d.help("write a value, or remove the key");
        }
        self.push(pointer, self.with_doc(d, pointer, schema));
    }

    fn wrong_choice(&mut self, pointer: &str, value: &Json, options: &[Json], span: Span) {
        let (code, place) = (self.subject.codes.choice, self.place(pointer));
        if pointer == "/version" && code == STRUCTURE.choice {
            let message = format!("expected version 1 of the workflow language, found {}", describe(value));
            let d = Diagnostic::new("E0207", span, message).help("write `version: 1`").fix(span, "1");
            return self.push(pointer, d);
        }
        let names: Vec<String> =
            options.iter().map(|o| o.as_str().map_or_else(|| o.to_string(), str::to_owned)).collect();
        let listed = list(names.iter().map(String::as_str));
        let found = value.as_str().map_or_else(|| describe(value), |s| format!("`{s}`"));
        let message = match options.len() {
            1 => format!("{place}: expected {listed}, found {found}"),
            _ => format!("{place}: expected one of {listed}, found {found}"),
        };
        let d = Diagnostic::new(code, span, message);
        let own = node_at(self.subject.node, pointer).is_some_and(Node::is_verbatim);
        let near = value.as_str().and_then(|s| nearest(s, names.iter().map(String::as_str)));
        self.push(
            pointer,
            match near {
                Some(name) if own => d.help(format!("did you mean `{name}`?")).fix(span, name),
                Some(name) => d.help(format!("did you mean `{name}`?")),
                None if value.is_null() => d.help("write a value, or remove the key"),
                None => d,
            },
        );
    }

    /// No form of a value fits: the violations of the one form that was meant, or all forms in words.
    fn no_branch(
        &mut self,
        pointer: &str,
        value: &Json,
        (rule, owner): (Option<&Json>, Option<&Json>),
        context: &[Vec<ValidationError<'static>>],
        span: Span,
    ) {
        let branches: Vec<&Json> = rule.and_then(Json::as_array).map(|v| v.iter().collect()).unwrap_or_default();
        let choices: Vec<Json> = branches.iter().flat_map(|b| literals(b)).collect();
        if choices.len() >= branches.len() && branches.iter().all(|b| !literals(b).is_empty()) {
            return self.wrong_choice(pointer, value, &choices, span);
        }
        let fits: Vec<usize> = (0..branches.len().min(context.len())).filter(|&i| meant(branches[i], value)).collect();
        if let [one] = fits[..] {
            let whole_refused = context[one].iter().all(|e| e.instance_path().as_str() == pointer);
            if !(whole_refused && context[one].iter().any(|e| matches!(e.kind(), Violation::Type { .. }))) {
                return context[one].iter().for_each(|e| self.violation(e));
            }
        }
        if value.is_string()
            && !choices.is_empty()
            && branches.iter().all(|b| !kinds(b).contains(&"string") || !literals(b).is_empty())
        {
            return self.wrong_choice(pointer, value, &choices, span);
        }
        if let (Some(keys), true) = (exclusive(&branches), value.is_object()) {
            let keys = list(keys.iter().copied());
            let message = format!("{}: expected exactly one of {keys}, found none", self.place(pointer));
            return self.push(pointer, Diagnostic::new(self.subject.codes.form, span, message).help("add one of them"));
        }
        let forms: Vec<String> = branches.iter().map(|b| form(b)).collect();
        let message = format!("{}: expected {}, found {}", self.place(pointer), forms.join(" or "), describe(value));
        let d = Diagnostic::new(self.subject.codes.form, span, message);
        let all: Vec<&str> = branches.iter().flat_map(|b| kinds(b)).collect();
        let own = node_at(self.subject.node, pointer).is_some_and(Node::is_verbatim);
        let d = match retyped(value, &all).filter(|_| own) {
            Some((text, help)) => d.help(help).fix(span, text),
            None => d,
        };
        let d = if pointer.is_empty() { d } else { self.with_doc(d, pointer, owner) };
        self.push(pointer, d);
    }
}

/// What a bound asks for, and what was found.
fn bound(kind: &Violation, value: &Json) -> Option<String> {
    let found = describe(value);
    let length = value.as_array().map(Vec::len).or_else(|| value.as_str().map(|s| s.chars().count()));
    let length = length.or_else(|| value.as_object().map(serde_json::Map::len)).unwrap_or_default();
    let count = |n: &u64, one: &str, many: &str| format!("{n} {}", if *n == 1 { one } else { many });
    let elements = |n: &u64| count(n, "element", "elements");
    let characters = |n: &u64| count(n, "character", "characters");
    let entries = |n: &u64| count(n, "entry", "entries");
    Some(match kind {
        Violation::Minimum { limit } => format!("expected at least {}, found {found}", plain(limit)),
        Violation::Maximum { limit } => format!("expected at most {}, found {found}", plain(limit)),
        Violation::ExclusiveMinimum { limit } => format!("expected more than {}, found {found}", plain(limit)),
        Violation::ExclusiveMaximum { limit } => format!("expected less than {}, found {found}", plain(limit)),
        Violation::MinItems { limit } => format!("expected at least {}, found {length}", elements(limit)),
        Violation::MaxItems { limit } => format!("expected at most {}, found {length}", elements(limit)),
        Violation::AdditionalItems { limit } => format!("expected {limit} elements, found {length}"),
        Violation::MinLength { limit } => format!("expected at least {}, found {length}", characters(limit)),
        Violation::MaxLength { limit } => format!("expected at most {}, found {length}", characters(limit)),
        Violation::MinProperties { limit } => format!("expected at least {}, found {length}", entries(limit)),
        Violation::MaxProperties { limit } => format!("expected at most {}, found {length}", entries(limit)),
        Violation::MultipleOf { multiple_of } => format!("expected a multiple of {multiple_of}, found {found}"),
        Violation::UniqueItems => "expected every element once, found one twice".into(),
        Violation::Pattern { pattern } => format!("expected text that matches `{pattern}`, found {found}"),
        _ => return None,
    })
}

/// A limit as a user would write it.
fn plain(limit: &Json) -> String {
    limit.as_f64().map_or_else(|| limit.to_string(), |v| v.to_string())
}

/// The text that a value becomes when its type is mended, and the advice.
fn retyped(value: &Json, kinds: &[&str]) -> Option<(String, String)> {
    let wants = |k: &str| kinds.contains(&k);
    match value {
        Json::Number(_) | Json::Bool(_) if wants("string") => {
            Some((format!("\"{value}\""), format!("quote it to make it text: `\"{value}\"`")))
        }
        Json::String(s) if wants("number") || wants("integer") || wants("boolean") => {
            let parsed = match super::scalar::resolve(s) {
                Plain::Clear(Kind::Number(n)) if wants("number") || !n.is_f64() && wants("integer") => n.to_string(),
                Plain::Clear(Kind::Bool(b)) if wants("boolean") => b.to_string(),
                _ => return None,
            };
            let help = format!("write it without quotes: `{parsed}`");
            Some((parsed, help))
        }
        Json::Number(_) | Json::Bool(_) if wants("array") => {
            Some((format!("[{value}]"), format!("write a list: `[{value}]`")))
        }
        _ => None,
    }
}

/// The types a schema accepts.
fn kinds(schema: &Json) -> Vec<&str> {
    match schema.get("type") {
        Some(Json::String(s)) => vec![s],
        Some(Json::Array(v)) => v.iter().filter_map(Json::as_str).collect(),
        _ if schema.get("const").is_some_and(Json::is_string) || schema.get("enum").is_some() => vec!["string"],
        _ => Vec::new(),
    }
}

/// The only values a schema accepts; empty when it accepts more than a list of them.
fn literals(schema: &Json) -> Vec<Json> {
    match (schema.get("const"), schema.get("enum")) {
        (Some(c), _) => vec![c.clone()],
        (None, Some(Json::Array(v))) => v.clone(),
        _ => Vec::new(),
    }
}

fn kind_words(kind: &str) -> &'static str {
    match kind {
        "string" => "text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "`true` or `false`",
        "array" => "a list",
        "object" => "a mapping",
        _ => "nothing",
    }
}

/// True when a value is of the type of a form, so that the form is what was meant.
fn meant(schema: &Json, value: &Json) -> bool {
    let kind = match value {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(_) => "number",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    };
    let of_kind = kinds(schema).iter().any(|k| *k == kind || (*k == "integer" && kind == "number"));
    let required = schema.get("required").and_then(Json::as_array);
    let has_keys = match (value.as_object(), required) {
        (Some(o), Some(required)) => required.iter().filter_map(Json::as_str).any(|k| o.contains_key(k)),
        _ => true,
    };
    of_kind && has_keys && (literals(schema).is_empty() || !value.is_string())
}

/// The keys of forms that are told apart by one required key each and nothing else.
fn exclusive<'a>(branches: &[&'a Json]) -> Option<Vec<&'a str>> {
    branches
        .iter()
        .map(|b| match (b.as_object()?.len(), b.get("required")?.as_array()?.as_slice()) {
            (1, [one]) => one.as_str(),
            _ => None,
        })
        .collect()
}

/// A form in words.
fn form(schema: &Json) -> String {
    let choices = literals(schema);
    if !choices.is_empty() {
        return choices
            .iter()
            .map(|c| c.as_str().map_or_else(|| c.to_string(), |s| format!("`{s}`")))
            .collect::<Vec<_>>()
            .join(" or ");
    }
    if let Some(required) = schema.get("required").and_then(Json::as_array) {
        let keys = required.iter().filter_map(Json::as_str);
        return format!("a mapping with {}", list(keys));
    }
    kinds(schema).iter().map(|k| kind_words(k)).collect::<Vec<_>>().join(" or ")
}

fn documentation(owner: &Json, key: &str) -> Option<String> {
    let doc = owner.get("properties")?.get(key)?.get("description")?.as_str()?;
    Some(doc.replace('\n', " "))
}

fn parent(pointer: &str) -> Option<&str> {
    pointer.rfind('/').map(|i| &pointer[..i])
}

/// What stands at a path of keywords, through `$ref`.
fn lookup<'a>(root: &'a Json, path: &str) -> Option<&'a Json> {
    let mut at = root;
    for part in path.split('/').skip(1).map(unescape) {
        if part != "$ref" && at.get(&part).is_none() && at.get(part.parse::<usize>().unwrap_or(usize::MAX)).is_none() {
            at = follow(root, at)?;
        }
        at = if part == "$ref" {
            follow(root, at)?
        } else if let Json::Array(v) = at {
            v.get(part.parse::<usize>().ok()?)?
        } else {
            at.get(&part)?
        };
    }
    Some(if at.get("type").is_none() { follow(root, at).unwrap_or(at) } else { at })
}

fn follow<'a>(root: &'a Json, at: &Json) -> Option<&'a Json> {
    root.pointer(at.get("$ref")?.as_str()?.strip_prefix('#')?)
}

fn unescape(part: &str) -> String {
    part.replace("~1", "/").replace("~0", "~")
}

/// The node at a pointer.
pub fn node_at<'a>(root: &'a Node, pointer: &str) -> Option<&'a Node> {
    let mut at = root;
    for part in pointer.split('/').skip(1).map(unescape) {
        at = match &*at.kind {
            Kind::Map(_) => at.get(&part)?,
            Kind::List(v) => v.get(part.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    Some(at)
}

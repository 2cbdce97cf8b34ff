//! Parameters: declarations, and the values they take from defaults, files, `--set` and a using workflow.

use super::file::{ParamFile, ParamType};
use super::names::{list, nearest};
use super::tree::{Entry, Kind, Node};
use super::workflow::{Origin, Param, Spanned};
use crate::diag::{Diagnostic, Report, Span};
use std::collections::{BTreeMap, BTreeSet};

/// A value given for a parameter, before its type is known to fit.
#[derive(Debug, Clone)]
pub struct Given {
    /// The name as given.
    pub name: Spanned<String>,
    /// The value.
    pub value: Raw,
    /// Where it comes from.
    pub origin: Origin,
}

/// A value as given.
#[derive(Debug, Clone)]
pub enum Raw {
    /// Text of `--set`, read by the parameter's type.
    Typed(Spanned<String>),
    /// A YAML value.
    Node(Node),
}

/// A declared parameter; without a value when declaration or value is wrong.
#[derive(Debug, Clone)]
pub struct Declared {
    /// Where its name stands.
    pub span: Span,
    /// The effective value and where it came from.
    pub value: Option<(Node, Origin)>,
    /// The declaration, where it could be read.
    pub file: Option<ParamFile>,
}

/// The parameters of one workflow.
#[derive(Debug, Clone, Default)]
pub struct Params {
    /// By name.
    pub declared: BTreeMap<String, Declared>,
    /// Names that were referred to.
    pub used: BTreeSet<String>,
    /// Bytes of text that references were replaced in.
    pub(super) pasted: usize,
}

impl Params {
    /// Reads the declarations and chooses each value: the last one given, else the default.
    ///
    /// `whole` is where a missing value is reported besides the declaration; `place` prints a position.
    pub fn read(node: Option<&Node>, given: &[Given], place: &dyn Fn(Span) -> String, report: &mut Report) -> Params {
        let mut params = Params::default();
        for e in node.map(Node::entries).unwrap_or_default() {
            let file: Option<ParamFile> = serde_json::from_value(e.value.to_json()).ok();
            let mut declared = Declared { span: e.key_span, value: None, file };
            if let Some(file) = &declared.file {
                declared.value = choose(e, file, given, place, report);
            }
            params.declared.insert(e.key.clone(), declared);
        }
        for g in given {
            if !params.declared.contains_key(&g.name.value) {
                let known = params.declared.keys().map(String::as_str);
                let message = format!("the workflow has no parameter `{}`", g.name.value);
                let d = Diagnostic::new("E0406", g.name.span, message);
                let free = |name: &&str| !given.iter().any(|other| other.name.value == *name);
                report.push(match nearest(&g.name.value, known.clone()) {
                    Some(name) if free(&name) => d.help(format!("did you mean `{name}`?")).fix(g.name.span, name),
                    _ => d.help(format!("the parameters are {}", list(known))),
                });
            }
        }
        params
    }

    /// The effective values.
    pub fn values(&self) -> BTreeMap<String, Param> {
        let value = |d: &Declared| d.value.as_ref().map(|(n, o)| Param { value: n.to_json(), origin: o.clone() });
        self.declared.iter().filter_map(|(name, d)| Some((name.clone(), value(d)?))).collect()
    }

    /// The value of a parameter by name, marking it used.
    pub fn value(&mut self, name: &str) -> Option<Node> {
        self.used.insert(name.to_owned());
        self.declared.get(name)?.value.as_ref().map(|(n, _)| n.clone())
    }
}

/// The effective value of one parameter: the last one given, else the default. Each candidate is checked.
fn choose(
    e: &Entry,
    file: &ParamFile,
    given: &[Given],
    place: &dyn Fn(Span) -> String,
    report: &mut Report,
) -> Option<(Node, Origin)> {
    if let (Some(low), Some(high)) = (file.minimum, file.maximum)
        && low > high
    {
        let span = e.value.get("minimum").map_or(e.key_span, |n| n.span);
        report.push(
            Diagnostic::new("E0408", span, format!("expected `minimum` at most `maximum`, found {low} > {high}"))
                .help("exchange the two"),
        );
        return None;
    }
    let mut value = None;
    let mut tried = false;
    for g in given.iter().filter(|g| g.name.value == e.key) {
        tried = true;
        value = typed(&g.value, file, &e.key, report).map(|n| (n, g.origin.clone()));
    }
    let default = e.value.get("default");
    if let Some(n) = default.filter(|n| n.refused) {
        if let (ParamType::String, Some(text)) = (file.kind, &n.written) {
            super::yaml::quote_instead(text, n.span, report);
        }
        return if tried { value } else { None };
    }
    let default = default.map(|n| (checked(n, file, &e.key, report), n));
    if tried {
        return value;
    }
    match default {
        Some((ok, n)) => ok.map(|v| (v, Origin::Workflow(place(n.span)))),
        None => {
            report.push(
                Diagnostic::new(
                    "E0405",
                    e.key_span,
                    format!("parameter `{}` has no default and no value is given", e.key),
                )
                .help(format!("give one with `--set {}=…`, or write a `default:`", e.key)),
            );
            None
        }
    }
}

/// Reads a given value as the parameter's type.
fn typed(raw: &Raw, file: &ParamFile, name: &str, report: &mut Report) -> Option<Node> {
    let text = match raw {
        Raw::Node(n) if n.refused => return None,
        Raw::Node(n) => return checked(n, file, name, report),
        Raw::Typed(text) => text,
    };
    if file.kind == ParamType::String {
        return checked(&Node::new(Kind::Text(text.value.clone()), text.span), file, name, report);
    }
    let node = super::yaml::parse(&text.value, text.span.file, text.span.start as usize, report)?;
    if node.refused { None } else { checked(&node, file, name, report) }
}

/// The value, when it is of the parameter's type and within its bounds.
pub fn checked(node: &Node, file: &ParamFile, name: &str, report: &mut Report) -> Option<Node> {
    let fits = match (file.kind, &*node.kind) {
        (ParamType::String, Kind::Text(_))
        | (ParamType::Boolean, Kind::Bool(_))
        | (ParamType::Number, Kind::Number(_)) => true,
        (ParamType::Integer, Kind::Number(n)) => !n.is_f64(),
        (ParamType::List, Kind::List(v)) => v.iter().all(|n| !n.is_map()),
        _ => false,
    };
    if !fits {
        let expected = match file.kind {
            ParamType::String => "text",
            ParamType::Number => "a number",
            ParamType::Integer => "a whole number",
            ParamType::Boolean => "`true` or `false`",
            ParamType::List => "a list of numbers, texts or booleans",
        };
        let message = format!("parameter `{name}`: expected {expected}, found {}", node.describe());
        let mut d = Diagnostic::new("E0401", node.span, message);
        if let (ParamType::String, Kind::Number(_) | Kind::Bool(_)) = (file.kind, &*node.kind) {
            let quoted = format!("\"{}\"", node.to_json());
            d = d.help(format!("quote it to make it text: `{quoted}`")).fix(node.span, quoted);
        } else {
            d = d.help(format!("its type is `{}`", file.kind.name()));
        }
        report.push(d);
        return None;
    }
    let numbers: Vec<&Node> = if node.elements().is_empty() { vec![node] } else { node.elements().iter().collect() };
    for n in numbers {
        let Kind::Number(v) = &*n.kind else { continue };
        let v = v.as_f64().unwrap_or_default();
        let limit = match (file.minimum, file.maximum) {
            (Some(low), _) if v < low => format!("at least {low}"),
            (_, Some(high)) if v > high => format!("at most {high}"),
            _ => continue,
        };
        let message = format!("parameter `{name}`: expected {limit}, found {v}");
        report.push(Diagnostic::new("E0402", n.span, message));
        return None;
    }
    if let Some(choices) = &file.choices
        && !choices.contains(&node.to_json())
    {
        let names: Vec<String> =
            choices.iter().map(|c| c.as_str().map_or_else(|| c.to_string(), str::to_owned)).collect();
        let listed = list(names.iter().map(String::as_str));
        let message = format!("parameter `{name}`: expected one of {listed}, found {}", node.describe());
        let d = Diagnostic::new("E0402", node.span, message);
        report.push(match node.text().and_then(|t| nearest(t, names.iter().map(String::as_str))) {
            Some(near) => d.help(format!("did you mean `{near}`?")).fix(node.span, near),
            None => d,
        });
        return None;
    }
    Some(node.clone())
}

//! Steps that apply an op: the op's name, its inputs, its parameters.

use super::Loader;
use super::check::{PARAMETERS, Schema, Subject, check};
use super::names::{list, nearest};
use super::schema;
use super::tree::{Kind, Node};
use super::workflow::{Spanned, SpannedJson, StepDecl};
use crate::diag::{Diagnostic, Span};
use ops_core::{InputKind, InputSpec, OpEntry, registry};
use std::collections::{BTreeMap, BTreeSet};

/// What a step connects: `input: a`, or `inputs: {port: a}`.
#[derive(Debug, Clone)]
pub(super) enum Connected {
    /// Nothing.
    None,
    /// `input:`.
    One(Spanned<String>),
    /// `inputs:`, in file order; the first of each is the port.
    Named(Vec<(Spanned<String>, Spanned<String>)>),
}

impl Connected {
    /// What is connected, without the ports.
    pub(super) fn sources(&self) -> Vec<&Spanned<String>> {
        match self {
            Connected::None => Vec::new(),
            Connected::One(s) => vec![s],
            Connected::Named(v) => v.iter().map(|(_, s)| s).collect(),
        }
    }
}

/// A connection with its port, in the op's order.
pub(super) type Connection = (Option<Spanned<String>>, Spanned<String>);

impl Loader<'_> {
    /// Checks the op, the inputs and the parameters of a step; the connections in the op's order and the parameters.
    pub(super) fn op_step(
        &mut self,
        step: &Node,
        step_key: Span,
        op: &Spanned<String>,
        connected: &Connected,
    ) -> Option<(Vec<Connection>, SpannedJson)> {
        let Some(entry) = registry::find(&op.value) else {
            let all = registry::all();
            let names = all.iter().map(|e| e.name);
            let d = Diagnostic::new("E0501", op.span, format!("there is no op `{}`", op.value)).label("unknown op");
            self.report.push(match nearest(&op.value, names) {
                Some(near) => d.help(format!("did you mean `{near}`?")).fix(op.span, near),
                None => d.help("`engine ops list` shows all of them"),
            });
            return None;
        };
        let connections = self.connections(entry, op, connected);
        let with = self.parameters(entry, step, step_key, op);
        Some((connections?, with?))
    }

    fn connections(&mut self, entry: &OpEntry, op: &Spanned<String>, connected: &Connected) -> Option<Vec<Connection>> {
        if entry.free_inputs().is_some() {
            return self.free_connections(entry, op, connected);
        }
        let ports: Vec<&str> = entry.inputs.iter().map(|i| i.name).collect();
        let example = match ports.as_slice() {
            [] => "remove `input:`".to_owned(),
            [_] => "write `input: NAME`".to_owned(),
            many => format!(
                "write `inputs: {{{}}}`",
                many.iter().map(|p| format!("{p}: NAME")).collect::<Vec<_>>().join(", ")
            ),
        };
        let wants = match ports.len() {
            0 => "no input".to_owned(),
            1 => "one input".to_owned(),
            n => format!("{n} inputs ({})", list(ports.iter().copied())),
        };
        match connected {
            Connected::None if ports.is_empty() => Some(Vec::new()),
            Connected::One(from) if ports.len() == 1 => Some(vec![(None, from.clone())]),
            Connected::None | Connected::One(_) => {
                let span = connected.sources().first().map_or(op.span, |s| s.span);
                let found = if matches!(connected, Connected::None) { "none" } else { "one" };
                let message = format!("op `{}`: expected {wants}, found {found}", entry.name);
                self.report.push(Diagnostic::new("E0502", span, message).help(example));
                None
            }
            Connected::Named(given) => {
                let mut good = true;
                for (port, _) in given {
                    if !ports.contains(&port.value.as_str()) {
                        good = false;
                        let free = ports.iter().copied().filter(|p| !given.iter().any(|(g, _)| g.value == **p));
                        let message = format!("op `{}` has no input `{}`", entry.name, port.value);
                        let d = Diagnostic::new("E0502", port.span, message);
                        self.report.push(match nearest(&port.value, free) {
                            Some(near) => d.help(format!("did you mean `{near}`?")).fix(port.span, near),
                            None => d.help(format!("its inputs are {}", list(ports.iter().copied()))),
                        });
                    }
                }
                let mut out = Vec::new();
                for port in &ports {
                    match given.iter().find(|(g, _)| g.value == **port) {
                        Some((p, from)) => out.push((Some(p.clone()), from.clone())),
                        None if good => {
                            good = false;
                            let message = format!("op `{}`: input `{port}` is not connected", entry.name);
                            self.report.push(Diagnostic::new("E0502", op.span, message).help(example.clone()));
                        }
                        None => {}
                    }
                }
                good.then_some(out)
            }
        }
    }

    /// The connections of an op whose inputs the workflow names.
    fn free_connections(
        &mut self,
        entry: &OpEntry,
        op: &Spanned<String>,
        connected: &Connected,
    ) -> Option<Vec<Connection>> {
        let given = match connected {
            Connected::One(from) => return Some(vec![(None, from.clone())]),
            Connected::Named(given) if !given.is_empty() => given,
            Connected::Named(_) | Connected::None => {
                let message = format!("op `{}`: expected one or more inputs, found none", entry.name);
                let d = Diagnostic::new("E0502", op.span, message);
                self.report.push(d.help("write `inputs: {a: NAME, b: NAME}` with names of your choice"));
                return None;
            }
        };
        let wrong: Vec<_> = given.iter().filter(|(port, _)| !is_word(&port.value)).collect();
        for (port, _) in &wrong {
            let message = format!("op `{}`: `{}` can't be the name of an input", entry.name, port.value);
            let d = Diagnostic::new("E0502", port.span, message);
            self.report
                .push(d.help("such a name starts with a letter or `_` and goes on with letters, digits and `_`"));
        }
        wrong.is_empty().then(|| given.iter().map(|(port, from)| (Some(port.clone()), from.clone())).collect())
    }

    fn parameters(
        &mut self,
        entry: &OpEntry,
        step: &Node,
        step_key: Span,
        op: &Spanned<String>,
    ) -> Option<SpannedJson> {
        let written = step.entry("with");
        let node = match written {
            Some(e) if e.value.is_map() => e.value.clone(),
            Some(_) => return None,
            None => Node::new(Kind::Map(Vec::new()), op.span),
        };
        let json = node.to_spanned();
        let at = written.map_or(op.span, |e| e.key_span);
        let absent = written.is_none().then_some("with");
        let schema = self.schemas.entry(entry.name).or_insert_with(|| Schema::new(schema::of_op(entry)));
        let (name, sources) = (format!("op `{}`", entry.name), &self.sources);
        let subject = Subject { node: &node, json: &json, name: &name, at, sources, absent, codes: PARAMETERS };
        let broken = match check(schema, &subject, &mut self.report) {
            Ok(broken) => broken,
            Err(e) => {
                let message = format!("internal error, please report it: schema of op `{}`: {e}", entry.name);
                self.report.push(Diagnostic::new("E0509", step_key, message));
                return None;
            }
        };
        if !broken.values.is_empty() || !broken.unknown.is_empty() {
            return None;
        }
        if let Err(e) = (entry.parse)(json.value.clone()) {
            let d = Diagnostic::new("E0509", at, format!("op `{}` refuses its parameters: {e}", entry.name));
            self.report.push(d.help(format!("`engine ops show {}` explains each of them", entry.name)));
            return None;
        }
        Some(json)
    }
}

/// True for what can be the name of a value in an expression.
fn is_word(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b == b'_' || b.is_ascii_alphabetic())
        && bytes.all(|b| b == b'_' || b.is_ascii_alphanumeric())
}

/// Refuses a table where an op takes an array, and the reverse, as far as the ops alone tell.
pub(super) fn tables(l: &mut Loader<'_>, steps: &[StepDecl]) {
    let made: BTreeMap<&str, bool> =
        steps.iter().filter_map(|s| Some((s.name.value.as_str(), registry::find(&s.op.value)?.makes_table))).collect();
    let known: BTreeSet<&str> = steps.iter().map(|s| s.name.value.as_str()).collect();
    for step in steps {
        // With an input that is unknown, ports and inputs no longer pair up.
        let entry = registry::find(&step.op.value);
        let entry = entry.filter(|e| e.free_inputs().is_some() || e.inputs.len() == step.inputs.len());
        let Some(entry) = entry else { continue };
        let specs: Vec<&InputSpec> = match entry.free_inputs() {
            Some(spec) => vec![spec; step.inputs.len()],
            None => entry.inputs.iter().collect(),
        };
        for (spec, input) in specs.into_iter().zip(&step.inputs) {
            let from = input.from.value.as_str();
            let table = match made.get(from) {
                Some(table) => *table,
                None if known.contains(from) => continue,
                None => false,
            };
            let wanted = spec.kind == InputKind::Table;
            if wanted != table {
                let words = |table: bool| if table { "a table" } else { "an array" };
                let (takes, found) = (words(wanted), words(table));
                let message = format!("op `{}` takes {takes}, found {found}: `{from}`", entry.name);
                let d = Diagnostic::new("E0512", input.from.span, message);
                l.report.push(d.help(format!("connect a step that makes {takes}")));
            }
        }
    }
}

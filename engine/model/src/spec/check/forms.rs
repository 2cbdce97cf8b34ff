//! The violations with advice of their own: unknown keys, wrong types, wrong choices, values in no accepted form.

use super::super::names::{list, nearest};
use super::super::tree::{Node, describe, escape};
use super::pointers::node_at;
use super::words::{exclusive, form, kind_words, kinds, literals, meant, retyped};
use super::{Checker, STRUCTURE};
use crate::diag::{Diagnostic, Span};
use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind as Violation;
use serde_json::Value as Json;

impl Checker<'_> {
    pub(super) fn unknown_key(&mut self, pointer: &str, key: &str, owner: Option<&Json>) {
        let at = format!("{pointer}/{}", escape(key));
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

    pub(super) fn wrong_kind(&mut self, pointer: &str, value: &Json, schema: Option<&Json>, span: Span) {
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

    pub(super) fn wrong_choice(&mut self, pointer: &str, value: &Json, options: &[Json], span: Span) {
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
    pub(super) fn no_branch(
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
        let all: Vec<&str> = branches.iter().filter(|b| literals(b).is_empty()).flat_map(|b| kinds(b)).collect();
        let own = node_at(self.subject.node, pointer).is_some_and(Node::is_verbatim);
        let d = match retyped(value, &all).filter(|_| own) {
            Some((text, help)) => d.help(help).fix(span, text),
            None => d,
        };
        let d = if pointer.is_empty() { d } else { self.with_doc(d, pointer, owner) };
        self.push(pointer, d);
    }
}

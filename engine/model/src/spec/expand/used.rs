//! `use`: the steps of another workflow in place of one step.

use super::super::names::{list, nearest, place};
use super::super::ops::Connected;
use super::super::params::{Given, Raw};
use super::super::resolve::{Ref, Symbol};
use super::super::tree::{Entry, Node};
use super::super::unit::{Unit, normal};
use super::super::workflow::{Origin, Spanned};
use super::{Expansion, Place};
use crate::diag::Diagnostic;
use std::collections::BTreeMap;

impl Expansion<'_, '_> {
    pub(super) fn used(&mut self, e: &Entry, connected: &Connected, at: &Place<'_>) -> Symbol {
        let Some(uses) = e.value.get("use") else { return Symbol::Broken };
        let written = uses.text().unwrap_or_default();
        let path = self.l.base_of(uses.origin).join(written);
        if self.trail.contains(&normal(&path)) {
            let message = format!("`{written}` uses itself");
            let d = Diagnostic::new("E0308", uses.span, message);
            self.l.report.push(d.help("a workflow can't contain itself; `repeat:` does something several times"));
            return Symbol::Broken;
        }
        let text = match self.l.fs.read(&path) {
            Ok(text) => text,
            Err(why) => {
                let d = Diagnostic::new("E0307", uses.span, format!("can't read the workflow `{written}`: {why}"));
                self.l.report.push(d.note(format!("looked for {}", path.display())));
                return Symbol::Broken;
            }
        };
        let given: Vec<Given> = e
            .value
            .get("with")
            .map(Node::entries)
            .unwrap_or_default()
            .iter()
            .map(|p| Given {
                name: Spanned::new(p.key.clone(), p.key_span),
                value: Raw::Node(p.value.clone()),
                origin: Origin::Workflow(place(&self.l.sources, p.value.span)),
            })
            .collect();
        let Some(mut unit) = self.l.unit(&path, text, &given) else { return Symbol::Broken };
        let Some(bound) = self.bind(&unit, e, connected, at.scope) else { return Symbol::Broken };
        self.trail.push(normal(&path));
        let scope = self.unit_scope(&mut unit, &format!("{}{}/", at.prefix, e.key), &bound);
        self.trail.pop();
        let mut results = BTreeMap::new();
        for o in unit.entries("outputs") {
            if let Some(from) = o.value.get("from")
                && let Some(name) = from.text()
            {
                let name = Spanned::new(name.to_owned(), from.span);
                results.insert(o.key.clone(), Ref { scope, name });
            }
        }
        if results.is_empty() { Symbol::Broken } else { Symbol::Results(results) }
    }

    /// What the inputs of a used workflow stand for.
    fn bind(&mut self, unit: &Unit, e: &Entry, connected: &Connected, scope: usize) -> Option<BTreeMap<String, Ref>> {
        let inner: Vec<String> = unit.entries("inputs").iter().map(|i| i.key.clone()).collect();
        let names = || inner.iter().map(String::as_str);
        match connected {
            Connected::None => Some(BTreeMap::new()),
            Connected::One(from) => match inner.as_slice() {
                [one] => Some(BTreeMap::from([(one.clone(), Ref { scope, name: from.clone() })])),
                _ => {
                    let message = format!("the workflow used by `{}` has {} inputs, found `input`", e.key, inner.len());
                    let d = Diagnostic::new("E0309", from.span, message);
                    self.l
                        .report
                        .push(d.help(format!("write `inputs: {{NAME: …}}`; its inputs are {}", list(names()))));
                    None
                }
            },
            Connected::Named(given) => {
                let mut bound = BTreeMap::new();
                for (port, from) in given {
                    if inner.contains(&port.value) {
                        bound.insert(port.value.clone(), Ref { scope, name: from.clone() });
                        continue;
                    }
                    let message = format!("the workflow used by `{}` has no input `{}`", e.key, port.value);
                    let d = Diagnostic::new("E0309", port.span, message);
                    let free = names().filter(|n| !given.iter().any(|(p, _)| p.value == *n));
                    self.l.report.push(match nearest(&port.value, free) {
                        Some(near) => d.help(format!("did you mean `{near}`?")).fix(port.span, near),
                        None => d.help(format!("its inputs are {}", list(names()))),
                    });
                }
                (bound.len() == given.len()).then_some(bound)
            }
        }
    }
}

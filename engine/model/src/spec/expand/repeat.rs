//! `repeat`: the steps of its body, unrolled.

use super::super::names::{list, nearest};
use super::super::ops::Connected;
use super::super::resolve::{Ref, Symbol};
use super::super::tree::{Entry, Kind};
use super::super::unit::Unit;
use super::super::workflow::Spanned;
use super::{Expansion, Place};
use crate::diag::{Diagnostic, Span};
use std::collections::BTreeMap;

impl Expansion<'_, '_> {
    pub(super) fn repeat(
        &mut self,
        unit: &mut Unit,
        e: &Entry,
        connected: &Connected,
        at: &Place<'_>,
        pointer: &str,
    ) -> Symbol {
        let Some(repeat) = e.value.get("repeat") else { return Symbol::Broken };
        if let Some(until) = repeat.entry("until") {
            self.l.report.push(
                Diagnostic::new(
                    "E0310",
                    until.key_span,
                    "`until` can't be decided before the run: the steps are unrolled while planning",
                )
                .help("remove it; `times:` alone says how often, and a `when:` at a step of the body can leave it out"),
            );
            return Symbol::Broken;
        }
        let times = match repeat.get("times").map(|n| &*n.kind) {
            Some(Kind::Number(n)) => n.as_u64().unwrap_or_default(),
            _ => return Symbol::Broken,
        };
        let Some(body) = repeat.get("steps").map(|n| n.entries().to_vec()) else { return Symbol::Broken };
        let carry = repeat.get("carry").map(|n| n.entries().to_vec()).unwrap_or_default();
        let Some(outside) = self.carried(e, connected, at.scope, &carry, &body) else { return Symbol::Broken };
        let inner = format!("{pointer}/repeat/steps");
        let mut last = at.scope;
        for i in 0..times {
            let scope = self.scopes.add(Some(at.scope));
            for (name, (span, first)) in &outside {
                let step = carry.iter().find(|c| &c.key == name).and_then(|c| Some((c.value.text()?, c.value.span)));
                let symbol = match step {
                    Some((step, span)) if i > 0 => {
                        Symbol::Bound(Ref { scope: last, name: Spanned::new(step.to_owned(), span) })
                    }
                    _ => Symbol::Bound(first.clone()),
                };
                if let Some(s) = self.scopes.0.get_mut(scope) {
                    s.symbols.insert(name.clone(), (*span, symbol));
                }
            }
            let prefix = format!("{}{}/{i}/", at.prefix, e.key);
            self.body(unit, &body, &Place { scope, prefix: &prefix, pointer: &inner });
            last = scope;
            if self.full {
                break;
            }
        }
        let result = |c: &Entry| {
            Some((c.key.clone(), Ref { scope: last, name: Spanned::new(c.value.text()?.to_owned(), c.value.span) }))
        };
        Symbol::Results(carry.iter().filter_map(result).collect())
    }

    /// What the body's names from outside stand for at first: one for each carry, and the other inputs.
    fn carried(
        &mut self,
        e: &Entry,
        connected: &Connected,
        scope: usize,
        carry: &[Entry],
        body: &[Entry],
    ) -> Option<BTreeMap<String, (Span, Ref)>> {
        let mut good = true;
        for c in carry {
            let step = c.value.text().unwrap_or_default();
            if !body.iter().any(|b| b.key == step) {
                good = false;
                let names = body.iter().map(|b| b.key.as_str());
                let d = Diagnostic::new("E0311", c.value.span, format!("the body of `{}` has no step `{step}`", e.key));
                self.l.report.push(match nearest(step, names.clone()) {
                    Some(near) => d.help(format!("did you mean `{near}`?")).fix(c.value.span, near),
                    None => d.help(format!("its steps are {}", list(names))),
                });
            }
        }
        let at = |from: &Spanned<String>| Ref { scope, name: from.clone() };
        let mut outside = BTreeMap::new();
        match (connected, carry) {
            (Connected::One(from), [one]) => {
                outside.insert(one.key.clone(), (one.key_span, at(from)));
            }
            (Connected::Named(given), _) => {
                outside.extend(given.iter().map(|(p, from)| (p.value.clone(), (p.span, at(from)))));
            }
            _ => {}
        }
        for c in carry.iter().filter(|c| !outside.contains_key(&c.key)) {
            good = false;
            let message = format!("`{}` has no first value: connect it as an input of `{}`", c.key, e.key);
            let d = Diagnostic::new("E0311", c.key_span, message);
            self.l.report.push(d.help(format!("write `inputs: {{{}: NAME}}` beside `repeat:`", c.key)));
        }
        good.then_some(outside)
    }
}

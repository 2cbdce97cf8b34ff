//! Warnings of what no output needs.

use super::super::resolve::{self, Links, Symbol};
use super::super::unit::Unit;
use super::Expansion;
use crate::diag::Diagnostic;

impl Expansion<'_, '_> {
    /// Warns of steps, inputs and parameters that no output needs.
    pub(super) fn unused(&mut self, unit: &Unit, scope: usize, links: &Links, written: &[&str]) {
        for (name, d) in &unit.params.declared {
            if !unit.params.used.contains(name) {
                let w = Diagnostic::new("W0903", d.span, format!("parameter `{name}` is not used"));
                self.l.report.push(w.help(format!("refer to it as `\"${{params.{name}}}\"`, or remove it")));
            }
        }
        if written.is_empty() {
            return;
        }
        for e in unit.entries("inputs") {
            if !self.mentioned.contains(&e.key) {
                let w = Diagnostic::new("W0902", e.key_span, format!("input `{}` is not used", e.key));
                self.l.report.push(w.help("connect it to a step or an output, or remove it"));
            }
        }
        let needed = resolve::reachable(links, written.iter().copied());
        let symbols = self.scopes.0.get(scope).map(|s| &s.symbols);
        for e in unit.entries("steps") {
            let Some((_, symbol)) = symbols.and_then(|s| s.get(&e.key)) else { continue };
            let below = format!("{}/", e.key);
            let used = needed.iter().any(|n| *n == e.key || n.starts_with(&below));
            if !used && matches!(symbol, Symbol::Flat(_) | Symbol::Results(_)) {
                let w = Diagnostic::new("W0901", e.key_span, format!("no output needs step `{}`", e.key));
                self.l.report.push(w.help("write its result under `outputs:`, connect it, or remove it"));
            }
        }
    }
}

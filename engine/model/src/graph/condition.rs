//! `when:` on an array: decided by metadata, once for all items.

use super::Decided;
use super::build::Builder;
use crate::diag::Diagnostic;
use crate::spec::workflow::{Condition, StepDecl};

impl Builder<'_> {
    /// Whether a step takes part; `None` when that can't be told, which is reported.
    ///
    /// A step is in the graph or not, for all items of a family: where they differ in the answer there is none.
    pub(super) fn decide(&mut self, step: &StepDecl, when: &Condition) -> Option<bool> {
        let id = self.made(&when.of)?;
        let node = self.graph.node(id);
        let Some(first) = node.metas.first() else {
            let message =
                format!("`when` of step `{}` looks at an array, found a table: `{}`", step.name.value, when.of.value);
            let d = Diagnostic::new("E0414", when.of.span, message);
            self.fail(d.help("name an input or a step that makes an array"));
            return None;
        };
        let holds = |meta| when.tests.iter().all(|t| t.holds(meta));
        let on = holds(first);
        let odd = node.metas.iter().position(|m| holds(m) != on);
        if let (Some(odd), Some(family)) = (odd, node.family) {
            let items = &self.graph.input(family).items;
            let named = |class: usize| (0..items.len()).find(|&i| items.meta_id(i) == class).map(|i| items.stem(i));
            let word = |on: bool| if on { "on" } else { "off" };
            let message = format!(
                "the items of `{}` disagree whether step `{}` is on: `{}` ({first}) says {}, `{}` ({}) says {}",
                when.of.value,
                step.name.value,
                named(0).unwrap_or_default(),
                word(on),
                named(odd).unwrap_or_default(),
                node.metas.get(odd).unwrap_or(first),
                word(!on),
            );
            let d = Diagnostic::new("E0515", when.of.span, message);
            self.fail(d.help("a step is on for all items or for none: divide them by `foreach`, one for each kind"));
            return None;
        }
        let why = format!("`{}` is {first}", when.of.value);
        self.graph.decided.push(Decided { step: step.name.value.clone(), on, why });
        Some(on)
    }
}

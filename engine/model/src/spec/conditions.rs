//! `when:`: conditions on parameters are decided here; those on an array wait for the graph, which knows its metadata.

use super::expand::Expansion;
use super::names::{list, nearest};
use super::resolve::Ref;
use super::tree::{Kind, Node};
use super::unit::Unit;
use super::workflow::{Bounds, Spanned, Test};
use crate::diag::Diagnostic;
use ops_core::Axes;

/// What a `when:` comes to.
pub(super) enum Verdict {
    /// On or off, whatever the inputs are.
    Known(bool),
    /// Known with the metadata of an array: all of the tests have to hold.
    OfArray(Ref, Vec<Test>),
}

impl Expansion<'_, '_> {
    /// Reads the `when:` of a step in a scope; `None` when it is wrong, which is reported.
    pub(super) fn condition(&mut self, unit: &mut Unit, when: &Node, scope: usize) -> Option<Verdict> {
        if when.refused {
            return None;
        }
        match &*when.kind {
            Kind::Bool(b) => Some(Verdict::Known(*b)),
            Kind::Map(_) if when.get("param").is_some() => self.of_param(unit, when).map(Verdict::Known),
            Kind::Map(_) => {
                let input = when.get("input")?;
                let name = Spanned::new(input.text()?.to_owned(), input.span);
                self.mention(&name.value);
                Some(Verdict::OfArray(Ref { scope, name }, tests(when)?))
            }
            _ => None,
        }
    }

    fn of_param(&mut self, unit: &mut Unit, when: &Node) -> Option<bool> {
        let (param, equals) = (when.get("param")?, when.get("equals")?);
        let name = param.text()?;
        if !unit.params.declared.contains_key(name) {
            let known = unit.params.declared.keys().map(String::as_str);
            let d = Diagnostic::new("E0404", param.span, format!("the workflow has no parameter `{name}`"));
            self.l.report.push(match nearest(name, known.clone()) {
                Some(near) => d.help(format!("did you mean `{near}`?")).fix(param.span, near),
                None => d.help(format!("the parameters are {}", list(known))),
            });
            return None;
        }
        let value = unit.params.value(name)?;
        let declared = unit.params.declared.get(name)?.file.as_ref()?;
        let mut wrong = crate::diag::Report::default();
        if super::params::checked(equals, declared, name, &mut wrong).is_none() {
            let message = format!("parameter `{name}` can never be {}", equals.describe());
            let d = Diagnostic::new("E0412", equals.span, message);
            let why = wrong.sorted().first().map(|d| d.message.clone()).unwrap_or_default();
            self.l.report.push(d.note(why).help("compare with a value that the parameter accepts"));
            return None;
        }
        Some(value.to_json() == equals.to_json())
    }
}

/// The tests of a condition on an array. Their form was checked against the schema.
fn tests(when: &Node) -> Option<Vec<Test>> {
    let mut out = Vec::new();
    for e in when.entries() {
        match e.key.as_str() {
            "dtype" => {
                let dtype = |t: &str| serde_json::from_value(serde_json::Value::String(t.to_owned())).ok();
                out.push(Test::DType(texts(&e.value).into_iter().map(dtype).collect::<Option<_>>()?));
            }
            "axes" => out.push(Test::Axes(texts(&e.value).into_iter().map(str::to_owned).collect())),
            "rank" => out.push(Test::Rank(bounds(&e.value)?)),
            "extent" => {
                for along in e.value.entries() {
                    let axis = Axes::parse(&along.key)?.iter().next()?;
                    out.push(Test::Extent(axis, bounds(&along.value)?));
                }
            }
            _ => {}
        }
    }
    Some(out)
}

/// A text, or each of a list.
fn texts(node: &Node) -> Vec<&str> {
    match node.text() {
        Some(one) => vec![one],
        None => node.elements().iter().filter_map(Node::text).collect(),
    }
}

/// A number, or `{minimum, maximum}`.
fn bounds(node: &Node) -> Option<Bounds> {
    let number = |n: &Node| n.to_json().as_u64();
    match &*node.kind {
        Kind::Number(_) => number(node).map(|n| Bounds { minimum: n, maximum: n }),
        _ => {
            let bound = |key: &str, otherwise: u64| node.get(key).map_or(Some(otherwise), number);
            Some(Bounds { minimum: bound("minimum", 0)?, maximum: bound("maximum", u64::MAX)? })
        }
    }
}

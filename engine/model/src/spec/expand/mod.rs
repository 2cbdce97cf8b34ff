//! From a unit to a flat workflow: used workflows and repeats become their steps, conditions are decided.

mod repeat;
mod unused;
mod used;

use super::conditions::Verdict;
use super::names::{is_identifier, list, place, to_identifier};
use super::ops::{Connected, Connection};
use super::resolve::{Links, Ref, Scopes, Symbol};
use super::tree::{Entry, Node, escape};
use super::unit::{Unit, normal};
use super::workflow::{Condition, InputDecl, Spanned, SpannedJson, StepDecl, StepInput, Test, Workflow};
use super::{Loader, ops, outputs, resolve};
use crate::diag::Diagnostic;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Most steps after unrolling.
const MAX_STEPS: usize = 20_000;

/// A step whose references are not resolved yet.
struct Pending {
    name: Spanned<String>,
    op: Spanned<String>,
    connections: Vec<(Option<Spanned<String>>, Ref)>,
    with: SpannedJson,
    /// A condition on the metadata of an array.
    when: Option<(Ref, Vec<Test>)>,
}

/// Where a list of steps stands.
struct Place<'a> {
    scope: usize,
    /// Of flat names: empty, or ending in `/`.
    prefix: &'a str,
    /// JSON pointer of the mapping of steps.
    pointer: &'a str,
}

pub(super) struct Expansion<'l, 'a> {
    pub(super) l: &'l mut Loader<'a>,
    pub(super) scopes: Scopes,
    steps: Vec<Pending>,
    inputs: Vec<InputDecl>,
    /// Workflows being expanded, outermost first.
    trail: Vec<PathBuf>,
    /// Names of the outermost workflow that something refers to.
    pub(super) mentioned: BTreeSet<String>,
    full: bool,
}

/// Flattens a unit and checks all that depends on more than one part.
pub(super) fn workflow(l: &mut Loader<'_>, mut unit: Unit, path: &Path) -> Option<Workflow> {
    let mut e = Expansion {
        l,
        scopes: Scopes::default(),
        steps: Vec::new(),
        inputs: Vec::new(),
        trail: vec![normal(path)],
        mentioned: BTreeSet::new(),
        full: false,
    };
    let scope = e.unit_scope(&mut unit, "", &BTreeMap::new());
    let outputs = outputs::outputs(&mut e, &unit, scope);
    let tests = outputs::tests(e.l, &unit);
    let profile = e.l.profile(&unit);
    let (steps, links) = e.resolve_steps();
    resolve::cycles(&links, &mut e.l.report);
    let written: Vec<&str> = outputs.iter().map(|o| o.from.value.as_str()).collect();
    ops::tables(e.l, &steps);
    outputs::formats(e.l, &outputs, &steps);
    // What is wrong elsewhere makes things look unused, so these warnings wait until nothing is.
    if !e.l.report.has_errors() {
        e.unused(&unit, scope, &links, &written);
    }
    let name = unit.root.get("name").and_then(Node::text).map(str::to_owned);
    let stem = || path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    Some(Workflow {
        name: name.unwrap_or_else(stem),
        description: unit.root.get("description").and_then(Node::text).map(str::to_owned),
        params: unit.params.values(),
        inputs: std::mem::take(&mut e.inputs),
        steps,
        outputs,
        profile,
        tests,
    })
}

impl Expansion<'_, '_> {
    /// Declares the inputs and steps of a workflow; inputs in `bound` stand for something outside.
    fn unit_scope(&mut self, unit: &mut Unit, prefix: &str, bound: &BTreeMap<String, Ref>) -> usize {
        let scope = self.scopes.add(None);
        for e in unit.entries("inputs").to_vec() {
            if !self.declarable(scope, &e, "input") {
                continue;
            }
            let symbol = match bound.get(&e.key) {
                Some(outside) => Symbol::Bound(outside.clone()),
                None => match self.l.input(unit, &e.key, format!("{prefix}{}", e.key)) {
                    Some(decl) => {
                        let flat = decl.name.value.clone();
                        self.inputs.push(decl);
                        Symbol::Flat(flat)
                    }
                    None => Symbol::Broken,
                },
            };
            self.declare(scope, &e, symbol);
        }
        let entries = unit.entries("steps").to_vec();
        self.body(unit, &entries, &Place { scope, prefix, pointer: "/steps" });
        scope
    }

    fn declare(&mut self, scope: usize, e: &Entry, symbol: Symbol) {
        if let Some(s) = self.scopes.0.get_mut(scope) {
            s.symbols.insert(e.key.clone(), (e.key_span, symbol));
        }
    }

    /// True when the name is allowed and free.
    fn declarable(&mut self, scope: usize, e: &Entry, what: &str) -> bool {
        if !is_identifier(&e.key) {
            let right = to_identifier(&e.key);
            let message = format!("expected letters, digits, `_` and `-` in the name of the {what}, found `{}`", e.key);
            let d = Diagnostic::new("E0301", e.key_span, message).help(format!("rename it, for example to `{right}`"));
            self.l.report.push(d);
        }
        let first = self.scopes.0.get(scope).and_then(|s| s.symbols.get(&e.key)).map(|(span, _)| *span);
        if let Some(first) = first {
            let message = format!("expected inputs and steps to have different names, found `{}` again", e.key);
            let d = Diagnostic::new("E0303", e.key_span, message).label("second");
            let at = place(&self.l.sources, first);
            self.l.report.push(d.note(format!("first at {at}")).help("rename one of the two"));
        }
        first.is_none()
    }

    fn body(&mut self, unit: &mut Unit, entries: &[Entry], at: &Place<'_>) {
        for e in entries {
            if self.declarable(at.scope, e, "step") {
                let symbol = self.step(unit, e, at);
                self.declare(at.scope, e, symbol);
            }
        }
    }

    fn step(&mut self, unit: &mut Unit, e: &Entry, at: &Place<'_>) -> Symbol {
        let pointer = format!("{}/{}", at.pointer, escape(&e.key));
        let parts = ["", "/op", "/use", "/input", "/when", "/repeat/times", "/repeat/until"];
        let whole = ["/inputs", "/with", "/repeat/carry"];
        let broken = parts.iter().any(|p| unit.broken.values.contains(&format!("{pointer}{p}")))
            || unit.broken.values.contains(&format!("{pointer}/repeat"))
            || whole
                .iter()
                .any(|p| unit.broken.holds(&format!("{pointer}{p}")) && !(*p == "/with" && is_op_with(unit, &pointer)));
        if broken || !e.value.is_map() {
            return Symbol::Broken;
        }
        let connected = self.connected(&e.value);
        let kinds: Vec<&str> = ["op", "use", "repeat"].into_iter().filter(|k| e.value.get(k).is_some()).collect();
        let [kind] = kinds[..] else {
            let found = if kinds.is_empty() { "none".to_owned() } else { list(kinds.iter().copied()) };
            // An unknown key that is a misspelt `op` says it already.
            let misspelt = unit.broken.unknown.iter().any(|p| p.starts_with(&format!("{pointer}/")));
            if !(kinds.is_empty() && misspelt) {
                let message =
                    format!("step `{}`: expected exactly one of `op`, `use` and `repeat`, found {found}", e.key);
                self.l.report.push(Diagnostic::new("E0305", e.key_span, message).help(if kinds.is_empty() {
                    "write `op: NAME`"
                } else {
                    "keep one of them"
                }));
            }
            return Symbol::Broken;
        };
        let Some(connected) = connected else { return Symbol::Broken };
        let (on, when) = match e.value.entry("when") {
            Some(when) => match self.condition(unit, &when.value, at.scope) {
                Some(Verdict::Known(on)) => (on, None),
                Some(Verdict::OfArray(..)) if kind != "op" => {
                    let message = format!("`{}`: a condition on an array decides over one op, found `{kind}`", e.key);
                    let d = Diagnostic::new("E0413", when.key_span, message);
                    self.l.report.push(d.help("put it at the steps inside, or decide by a parameter"));
                    return Symbol::Broken;
                }
                Some(Verdict::OfArray(of, tests)) => (true, Some((of, tests))),
                None => return Symbol::Broken,
            },
            None => (true, None),
        };
        let sources = connected.sources();
        let off = match sources[..] {
            [one] => Symbol::Bound(Ref { scope: at.scope, name: one.clone() }),
            _ => Symbol::Off,
        };
        if self.steps.len() >= MAX_STEPS {
            if !std::mem::replace(&mut self.full, true) {
                let message = format!("expected at most {MAX_STEPS} steps after unrolling, found more");
                self.l.report.push(Diagnostic::new("E0312", e.key_span, message).help("repeat fewer times"));
            }
            return Symbol::Broken;
        }
        match kind {
            "op" => self.op(e, &connected, at, on, when).unwrap_or(off),
            _ if !on => off,
            "use" => self.used(e, &connected, at),
            _ => self.repeat(unit, e, &connected, at, &pointer),
        }
    }

    /// `input:` or `inputs:`, each with the names of the outermost workflow noted as mentioned.
    fn connected(&mut self, step: &Node) -> Option<Connected> {
        let name = |n: &Node| Spanned::new(n.text().unwrap_or_default().to_owned(), n.span);
        let connected = match (step.entry("input"), step.entry("inputs")) {
            (Some(_), Some(both)) => {
                let message = "expected `input` or `inputs`, found both";
                let d = Diagnostic::new("E0306", both.key_span, message);
                self.l.report.push(d.help("`input: NAME` is for one input, `inputs: {PORT: NAME}` for several"));
                return None;
            }
            (Some(one), None) => Connected::One(name(&one.value)),
            (None, Some(many)) => Connected::Named(
                many.value
                    .entries()
                    .iter()
                    .map(|e| (Spanned::new(e.key.clone(), e.key_span), name(&e.value)))
                    .collect(),
            ),
            (None, None) => Connected::None,
        };
        for source in connected.sources() {
            self.mention(&source.value);
        }
        Some(connected)
    }

    /// Notes that something refers to a name.
    pub(super) fn mention(&mut self, name: &str) {
        self.mentioned.insert(name.split('.').next().unwrap_or(name).to_owned());
    }

    /// `None` when the step is off.
    fn op(
        &mut self,
        e: &Entry,
        connected: &Connected,
        at: &Place<'_>,
        on: bool,
        when: Option<(Ref, Vec<Test>)>,
    ) -> Option<Symbol> {
        let op = e.value.get("op")?;
        let op = Spanned::new(op.text().unwrap_or_default().to_owned(), op.span);
        let checked = self.l.op_step(&e.value, e.key_span, &op, connected);
        if !on {
            return None;
        }
        // A step whose op is wrong stays in the graph, so that names and cycles are still checked.
        let (connections, with): (Vec<Connection>, SpannedJson) = checked.unwrap_or_else(|| {
            (connected.sources().into_iter().map(|s| (None, s.clone())).collect(), SpannedJson::default())
        });
        let flat = format!("{}{}", at.prefix, e.key);
        self.steps.push(Pending {
            name: Spanned::new(flat.clone(), e.key_span),
            op,
            connections: connections.into_iter().map(|(p, name)| (p, Ref { scope: at.scope, name })).collect(),
            with,
            when,
        });
        Some(Symbol::Flat(flat))
    }

    fn resolve_steps(&mut self) -> (Vec<StepDecl>, Links) {
        let mut steps = Vec::new();
        let mut links = Links::new();
        for p in std::mem::take(&mut self.steps) {
            let mut inputs = Vec::new();
            for (port, from) in p.connections {
                if let Some(flat) = self.scopes.resolve(&from, &mut self.l.report) {
                    inputs.push(StepInput { port, from: Spanned::new(flat, from.name.span) });
                }
            }
            let when = p.when.and_then(|(of, tests)| {
                let flat = self.scopes.resolve(&of, &mut self.l.report)?;
                Some(Condition { of: Spanned::new(flat, of.name.span), tests })
            });
            let sources = inputs.iter().map(|i| &i.from).chain(when.as_ref().map(|w| &w.of));
            let sources = sources.map(|from| (from.value.clone(), from.span)).collect();
            links.push((p.name.value.clone(), sources));
            steps.push(StepDecl { name: p.name, op: p.op, inputs, with: p.with, when });
        }
        (steps, links)
    }
}

/// True when the `with` at a step is that of an op, which `op_step` looks into by itself.
fn is_op_with(unit: &Unit, pointer: &str) -> bool {
    unit.json.value.pointer(&format!("{pointer}/with")).is_some_and(serde_json::Value::is_object)
}

//! From a unit to a flat workflow: used workflows and repeats become their steps, conditions are decided.

use super::names::{is_identifier, list, nearest, place, to_identifier};
use super::ops::{Connected, Connection};
use super::params::{Given, Raw};
use super::resolve::{Links, Ref, Scopes, Symbol};
use super::tree::{Entry, Kind, Node, escape};
use super::unit::{Unit, normal};
use super::conditions::Verdict;
use super::workflow::{Condition, InputDecl, Origin, Spanned, SpannedJson, StepDecl, StepInput, Test, Workflow};
use super::{Loader, ops, outputs, resolve};
use crate::diag::{Diagnostic, Span};
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

    fn used(&mut self, e: &Entry, connected: &Connected, at: &Place<'_>) -> Symbol {
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

    fn repeat(&mut self, unit: &mut Unit, e: &Entry, connected: &Connected, at: &Place<'_>, pointer: &str) -> Symbol {
        let Some(repeat) = e.value.get("repeat") else { return Symbol::Broken };
        if let Some(until) = repeat.entry("until") {
            self.l.report.push(
                Diagnostic::new("E0310", until.key_span, "`until` can't be decided before the run: the steps are unrolled while planning")
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

    /// Warns of steps, inputs and parameters that no output needs.
    fn unused(&mut self, unit: &Unit, scope: usize, links: &Links, written: &[&str]) {
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

/// True when the `with` at a step is that of an op, which `op_step` looks into by itself.
fn is_op_with(unit: &Unit, pointer: &str) -> bool {
    unit.json.value.pointer(&format!("{pointer}/with")).is_some_and(serde_json::Value::is_object)
}

//! References to flat names: scopes, cycles, what nothing uses.

use super::names::{list, nearest};
use super::workflow::Spanned;
use crate::diag::{Diagnostic, Report, Span};
use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A name as written in some scope.
#[derive(Debug, Clone)]
pub(super) struct Ref {
    /// Number of the scope.
    pub scope: usize,
    /// The name.
    pub name: Spanned<String>,
}

/// What a name stands for.
#[derive(Debug, Clone)]
pub(super) enum Symbol {
    /// An input or a step, by flat name.
    Flat(String),
    /// Whatever another reference stands for.
    Bound(Ref),
    /// A used workflow or a repeat: results by name.
    Results(BTreeMap<String, Ref>),
    /// A step that is off and has not exactly one input to pass on.
    Off,
    /// Something that was reported already.
    Broken,
}

/// The names of one workflow or of one time of a repeat.
#[derive(Debug, Default)]
pub(super) struct Scope {
    /// Where names are looked up that are not here.
    pub parent: Option<usize>,
    /// By name, with the place of the declaration.
    pub symbols: BTreeMap<String, (Span, Symbol)>,
}

/// Every scope of a workflow.
#[derive(Debug, Default)]
pub(super) struct Scopes(pub Vec<Scope>);

impl Scopes {
    /// Adds a scope and returns its number.
    pub(super) fn add(&mut self, parent: Option<usize>) -> usize {
        self.0.push(Scope { parent, ..Scope::default() });
        self.0.len() - 1
    }

    fn find(&self, mut scope: usize, name: &str) -> Option<(usize, &Symbol)> {
        loop {
            let s = self.0.get(scope)?;
            if let Some((_, symbol)) = s.symbols.get(name) {
                return Some((scope, symbol));
            }
            scope = s.parent?;
        }
    }

    fn visible(&self, scope: usize) -> Vec<&str> {
        let mut names = Vec::new();
        let mut at = Some(scope);
        while let Some(s) = at.and_then(|i| self.0.get(i)) {
            names.extend(s.symbols.keys().map(String::as_str));
            at = s.parent;
        }
        names
    }

    /// The flat name behind a reference; what is wrong goes to the report.
    pub(super) fn resolve(&self, reference: &Ref, report: &mut Report) -> Option<String> {
        let written = &reference.name;
        let mut at = reference.clone();
        let mut seen = BTreeSet::new();
        loop {
            let (head, result) = match at.name.value.split_once('.') {
                Some((head, result)) => (head, Some(result)),
                None => (at.name.value.as_str(), None),
            };
            let Some((scope, symbol)) = self.find(at.scope, head) else {
                report.push(self.unknown(&at, head, result));
                return None;
            };
            if !seen.insert((scope, at.name.value.clone())) {
                let message =
                    format!("`{}` stands for itself, through steps that only pass their input on", written.value);
                report.push(Diagnostic::new("E0314", written.span, message).help("connect one of them to an input"));
                return None;
            }
            at = match (symbol, result) {
                (Symbol::Broken, _) => return None,
                (Symbol::Flat(flat), None) => return Some(flat.clone()),
                (Symbol::Bound(next), None) => next.clone(),
                (Symbol::Off, _) => {
                    let message = format!("`{head}` is off, and has not exactly one input that could be passed on");
                    let d = Diagnostic::new("E0313", at.name.span, message);
                    report.push(d.help("give this step a `when:` of its own, or let it use something else"));
                    return None;
                }
                (Symbol::Flat(_) | Symbol::Bound(_), Some(result)) => {
                    let d =
                        Diagnostic::new("E0304", at.name.span, format!("`{head}` has no result `{result}` to choose"));
                    let d = d.help("only used workflows and repeats have named results");
                    report.push(d.fix(at.name.span, head));
                    return None;
                }
                (Symbol::Results(results), None) if results.len() == 1 => match results.values().next() {
                    Some(next) => next.clone(),
                    None => return None,
                },
                (Symbol::Results(results), chosen) => match chosen.and_then(|c| results.get(c)) {
                    Some(next) => next.clone(),
                    None => {
                        report.push(wrong_result(&at, head, chosen, results));
                        return None;
                    }
                },
            };
        }
    }

    fn unknown(&self, at: &Ref, head: &str, result: Option<&str>) -> Diagnostic {
        let span = at.name.span;
        let d = Diagnostic::new("E0302", span, format!("there is no input or step `{head}`")).label("unknown name");
        let names = self.visible(at.scope);
        match nearest(head, names.iter().copied()) {
            Some(near) => {
                let right = result.map_or_else(|| near.to_owned(), |r| format!("{near}.{r}"));
                d.help(format!("did you mean `{near}`?")).fix(span, right)
            }
            None => d.help(format!("the names here are {}", list(names))),
        }
    }
}

fn wrong_result(at: &Ref, head: &str, chosen: Option<&str>, results: &BTreeMap<String, Ref>) -> Diagnostic {
    let names = results.keys().map(String::as_str);
    let span = at.name.span;
    match chosen {
        Some(chosen) => {
            let d = Diagnostic::new("E0304", span, format!("`{head}` has no result `{chosen}`"));
            match nearest(chosen, names.clone()) {
                Some(near) => d.help(format!("did you mean `{head}.{near}`?")).fix(span, format!("{head}.{near}")),
                None => d.help(format!("its results are {}", list(names))),
            }
        }
        None => {
            let d = Diagnostic::new("E0304", span, format!("`{head}` has {} results: choose one", results.len()));
            d.help(format!("write `{head}.NAME`; its results are {}", list(names)))
        }
    }
}

/// A step with the flat names it takes, each with where that is written.
pub(super) type Links = Vec<(String, Vec<(String, Span)>)>;

/// Reports each cycle once, printed, at the first step of the file that is in it.
pub(super) fn cycles(links: &Links, report: &mut Report) {
    let mut graph = DiGraph::<usize, Span>::with_capacity(links.len(), links.len());
    let nodes: BTreeMap<&str, NodeIndex> =
        links.iter().enumerate().map(|(i, (name, _))| (name.as_str(), graph.add_node(i))).collect();
    for (name, sources) in links {
        for (source, span) in sources {
            if let (Some(&to), Some(&from)) = (nodes.get(name.as_str()), nodes.get(source.as_str())) {
                graph.add_edge(to, from, *span);
            }
        }
    }
    // Kosaraju's algorithm keeps its own stack, unlike Tarjan's in this library.
    for component in kosaraju_scc(&graph) {
        let Some(&first) = component.iter().min() else { continue };
        if component.len() == 1 && graph.find_edge(first, first).is_none() {
            continue;
        }
        let path = shortest_cycle(&graph, first, &component.iter().copied().collect());
        let names: Vec<&str> = path
            .iter()
            .filter_map(|n| graph.node_weight(*n))
            .filter_map(|i| links.get(*i))
            .map(|l| l.0.as_str())
            .collect();
        let edge = path.get(1).and_then(|second| graph.find_edge(first, *second));
        let span = edge.and_then(|e| graph.edge_weight(e)).copied().unwrap_or_default();
        report.push(
            Diagnostic::new(
                "E0314",
                span,
                format!("expected no step to need its own result, found a cycle of {}", names.len() - 1),
            )
            .note(names.join(" -> "))
            .note("each step needs the next one's result")
            .help("let one of them use an input or another step; `repeat:` carries a result to the next time"),
        );
    }
}

/// The shortest way from a node back to itself, both ends included.
fn shortest_cycle(graph: &DiGraph<usize, Span>, start: NodeIndex, inside: &BTreeSet<NodeIndex>) -> Vec<NodeIndex> {
    let mut before: BTreeMap<NodeIndex, NodeIndex> = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(at) = queue.pop_front() {
        let mut next: Vec<NodeIndex> = graph.neighbors(at).filter(|n| inside.contains(n)).collect();
        next.sort();
        for n in next {
            if n == start {
                let mut path = vec![start, at];
                let mut back = at;
                while let Some(&b) = before.get(&back) {
                    path.push(b);
                    back = b;
                }
                if at == start {
                    path.truncate(1);
                    path.push(start);
                }
                path.reverse();
                return path;
            }
            if let Entry::Vacant(free) = before.entry(n) {
                free.insert(at);
                queue.push_back(n);
            }
        }
    }
    vec![start, start]
}

/// The flat names that outputs need, directly or through steps.
pub(super) fn reachable<'a>(links: &'a Links, outputs: impl IntoIterator<Item = &'a str>) -> BTreeSet<&'a str> {
    let by_name: BTreeMap<&str, &Vec<(String, Span)>> = links.iter().map(|(n, s)| (n.as_str(), s)).collect();
    let mut seen = BTreeSet::new();
    let mut stack: Vec<&str> = outputs.into_iter().collect();
    while let Some(name) = stack.pop() {
        if seen.insert(name)
            && let Some(sources) = by_name.get(name)
        {
            stack.extend(sources.iter().map(|(s, _)| s.as_str()));
        }
    }
    seen
}

//! One workflow file as a checked tree: includes joined, parameters substituted, structure checked.

use super::check::{Broken, STRUCTURE, Schema, Subject, check};
use super::names::place;
use super::params::{Given, Params, Raw};
use super::tree::{Entry, Kind, Node};
use super::workflow::{Origin, Spanned, SpannedJson};
use super::{Loader, schema, yaml};
use crate::diag::{Diagnostic, Report, Span};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Parts of a file that an include may hold.
const INCLUDED: [&str; 3] = ["params", "inputs", "steps"];
/// Parts in which references are replaced.
const SUBSTITUTED: [&str; 4] = ["inputs", "steps", "outputs", "run"];

/// One workflow file.
#[derive(Debug)]
pub(super) struct Unit {
    /// The tree after includes and substitution.
    pub(super) root: Node,
    /// The same as JSON with positions.
    pub(super) json: SpannedJson,
    /// What the structural schema found wrong.
    pub(super) broken: Broken,
    /// Its parameters.
    pub(super) params: Params,
}

impl Unit {
    /// Reads an entry of `inputs`, `steps`, `outputs` or `tests` as its type, leaving out unknown and `x-` keys.
    ///
    /// `None` when the value is absent, or when something in it was found wrong: that has been reported.
    pub(super) fn read<T: serde::de::DeserializeOwned>(&self, pointer: &str, report: &mut Report) -> Option<T> {
        if self.broken.holds(pointer) {
            return None;
        }
        let mut value = self.json.value.pointer(pointer)?.clone();
        let below = format!("{pointer}/");
        for unknown in &self.broken.unknown {
            if let Some((owner, key)) =
                unknown.strip_prefix(&below).map(|rest| rest.rsplit_once('/').unwrap_or(("", rest)))
            {
                let owner = if owner.is_empty() { String::new() } else { format!("/{owner}") };
                if let Some(o) = value.pointer_mut(&owner).and_then(serde_json::Value::as_object_mut) {
                    o.shift_remove(&key.replace("~1", "/").replace("~0", "~"));
                }
            }
        }
        if let Some(o) = value.as_object_mut() {
            o.retain(|k, _| !k.starts_with("x-"));
        }
        // The schema is generated from these types, so what it lets through can be read; where it can't, that is told.
        serde_json::from_value(value)
            .map_err(|e| {
                let message = format!("the schema accepts this, but it can't be read: {e}");
                let d = Diagnostic::new("E0206", self.json.span_at(pointer), message);
                report.push(d.help("this is an error of the engine, please report it"));
            })
            .ok()
    }

    /// The entries of a top-level mapping in file order.
    pub(super) fn entries(&self, part: &str) -> &[Entry] {
        self.root.get(part).map(Node::entries).unwrap_or_default()
    }
}

impl Loader<'_> {
    /// Loads a workflow file, with the values given for its parameters.
    pub(super) fn unit(&mut self, path: &Path, text: String, given: &[Given]) -> Option<Unit> {
        let file = self.add_source(path, text);
        let text = self.sources.get(file)?.text.clone();
        let root = yaml::parse(&text, file, 0, &mut self.report)?;
        let mut trail = vec![normal(path)];
        let root = self.join_includes(root, &mut trail);
        let mut given = given.to_vec();
        if let Some(test) = self.test.take() {
            given.extend(self.test_params(&root, test));
        }
        let sources = &self.sources;
        let mut params = Params::read(root.get("params"), &given, &|s| place(sources, s), &mut self.report);
        let root = self.substitute(&root, &mut params);
        let json = root.to_spanned();
        let broken = self.structure(&root, &json);
        Some(Unit { root, json, broken, params })
    }

    /// The params of one entry of `tests:`, at their place in the file, where relative paths start too.
    fn test_params(&self, root: &Node, test: usize) -> Vec<Given> {
        let entry = root.get("tests").and_then(|t| t.elements().get(test)).and_then(|t| t.get("params"));
        let given = |e: &Entry| Given {
            name: Spanned::new(e.key.clone(), e.key_span),
            value: Raw::Node(e.value.clone()),
            origin: Origin::Workflow(place(&self.sources, e.value.span)),
        };
        entry.map(Node::entries).unwrap_or_default().iter().map(given).collect()
    }

    fn structure(&mut self, root: &Node, json: &SpannedJson) -> Broken {
        static SCHEMA: OnceLock<Schema> = OnceLock::new();
        let at = Span { end: root.span.start, ..root.span };
        let schema = SCHEMA.get_or_init(|| Schema::with_brief(schema::brief_structural(), schema::structural));
        let (name, sources) = ("the workflow", &self.sources);
        let subject = Subject { node: root, json, name, at, sources, absent: None, codes: STRUCTURE };
        check(schema, &subject, &mut self.report).unwrap_or_else(|e| {
            self.report.push(Diagnostic::new("E0206", at, format!("internal error, please report it: {e}")));
            Broken::default()
        })
    }

    fn substitute(&mut self, root: &Node, params: &mut Params) -> Node {
        let entries = root
            .entries()
            .iter()
            .map(|e| {
                let value = match e.key.as_str() {
                    k if SUBSTITUTED.contains(&k) => params.substitute(&e.value, &self.sources, &mut self.report),
                    "params" | "tests" | "include" | "name" => {
                        self.refuse_references(&e.value, &e.key);
                        e.value.clone()
                    }
                    _ => e.value.clone(),
                };
                Entry { value, ..e.clone() }
            })
            .collect();
        if root.is_map() { root.with_entries(entries) } else { root.clone() }
    }

    fn refuse_references(&mut self, node: &Node, part: &str) {
        if node.text().is_some_and(|s| s.contains("${params.")) {
            let message = format!("references are not replaced under `{part}:`");
            self.report.push(Diagnostic::new("E0411", node.span, message).help("write the value itself"));
        }
        node.entries().iter().for_each(|e| self.refuse_references(&e.value, part));
        node.elements().iter().for_each(|n| self.refuse_references(n, part));
    }

    /// Joins the `params`, `inputs` and `steps` of included files into the tree, depth first, includes before own.
    fn join_includes(&mut self, root: Node, trail: &mut Vec<PathBuf>) -> Node {
        let includes: Vec<Node> = root.get("include").map(|n| n.elements().to_vec()).unwrap_or_default();
        let mut joined = root;
        for include in includes {
            let Some(written) = include.text() else { continue };
            let path = self.base_of(include.origin).join(written);
            if trail.contains(&normal(&path)) {
                let message = format!("`{written}` includes itself");
                self.report.push(Diagnostic::new("E0209", include.span, message).help("remove one of the includes"));
                continue;
            }
            let text = match self.fs.read(&path) {
                Ok(text) => text,
                Err(e) => {
                    let d = Diagnostic::new("E0208", include.span, format!("can't read the include `{written}`: {e}"));
                    self.report.push(d.note(format!("looked for {}", path.display())));
                    continue;
                }
            };
            let file = self.add_source(&path, text);
            let text = self.sources.get(file).map(|f| f.text.clone()).unwrap_or_default();
            let Some(tree) = yaml::parse(&text, file, 0, &mut self.report) else { continue };
            trail.push(normal(&path));
            let tree = self.join_includes(tree, trail);
            trail.pop();
            joined = self.join(joined, &tree);
        }
        joined
    }

    fn join(&mut self, root: Node, other: &Node) -> Node {
        if !other.is_map() {
            let d = Diagnostic::new("E0210", other.span, "expected an include to be a mapping");
            self.report.push(d.help("write `params:`, `inputs:` or `steps:` with entries"));
            return root;
        }
        let mut entries = root.entries().to_vec();
        for part in other.entries() {
            let key = part.key.as_str();
            if ["version", "description", "include"].contains(&key) || key.starts_with("x-") {
                continue;
            }
            if !INCLUDED.contains(&key) {
                self.report.push(
                    Diagnostic::new("E0210", part.key_span, format!("an include can't hold `{key}:`"))
                        .help("an include holds `params`, `inputs` and `steps`; move this to the workflow itself"),
                );
                continue;
            }
            match entries.iter_mut().find(|e| e.key == key) {
                None => entries.push(part.clone()),
                Some(own) => own.value = self.join_part(&own.value, &part.value, key),
            }
        }
        root.with_entries(entries)
    }

    fn join_part(&mut self, own: &Node, other: &Node, part: &str) -> Node {
        if !own.is_map() || !other.is_map() {
            return if own.is_map() { own.clone() } else { other.clone() };
        }
        let mut entries = other.entries().to_vec();
        for e in own.entries() {
            match other.entry(&e.key) {
                Some(first) => {
                    let (here, there) = (place(&self.sources, e.key_span), place(&self.sources, first.key_span));
                    let message = format!("expected each name once under `{part}:`, found `{}` in two files", e.key);
                    let d = Diagnostic::new("E0303", e.key_span, message.clone()).note(format!("also at {there}"));
                    self.report.push(d.help("rename one of the two"));
                    self.report.push(Diagnostic::new("E0303", first.key_span, message).note(format!("also at {here}")));
                }
                None => entries.push(e.clone()),
            }
        }
        Node { kind: std::rc::Rc::new(Kind::Map(entries)), ..own.clone() }
    }

    /// Where relative paths written at a position start: the directory of that file, or the working directory.
    pub(super) fn base_of(&self, origin: Span) -> PathBuf {
        if self.command_line == Some(origin.file) {
            return PathBuf::new();
        }
        self.sources.get(origin.file).and_then(|f| f.path.parent()).map(Path::to_path_buf).unwrap_or_default()
    }
}

/// A path without `.` and without `..` where that can be told from the text alone.
pub(super) fn normal(path: &Path) -> PathBuf {
    use std::path::Component;
    let mut out = PathBuf::new();
    for c in path.components() {
        match c {
            Component::CurDir => {}
            Component::ParentDir if matches!(out.components().next_back(), Some(Component::Normal(_))) => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}

//! The graph as Graphviz and Mermaid text.

use super::{Graph, Kind};
use std::fmt::Write;

fn shape(kind: &Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Source(_) => ("([", "])"),
        Kind::Map(_) | Kind::Join(_) => ("[", "]"),
        Kind::Reduce(..) => ("{{", "}}"),
    }
}

/// The graph for `dot`.
pub fn dot(g: &Graph) -> String {
    let mut s = String::from("digraph workflow {\n  rankdir=LR;\n  node [fontname=\"sans-serif\"];\n");
    for id in g.ids() {
        let n = g.node(id);
        let shape = match n.kind {
            Kind::Source(_) => "ellipse",
            Kind::Map(_) | Kind::Join(_) => "box",
            Kind::Reduce(..) => "hexagon",
        };
        let meta = n.metas.first().map(|m| format!("\\n{m}")).unwrap_or_default();
        let _ = writeln!(s, "  n{} [shape={shape}, label=\"{}{meta}\"];", id.0, n.label());
        for a in &n.arrays {
            let _ = writeln!(s, "  n{} -> n{};", a.0, id.0);
        }
        for v in &n.values {
            let _ = writeln!(s, "  n{} -> n{} [style=dashed];", v.0, id.0);
        }
    }
    for (i, o) in g.outputs.iter().enumerate() {
        let _ = writeln!(s, "  o{i} [shape=note, label=\"{}\"];", o.label());
        let _ = writeln!(s, "  n{} -> o{i};", o.node.0);
    }
    s.push_str("}\n");
    s
}

/// The graph for Mermaid.
pub fn mermaid(g: &Graph) -> String {
    let mut s = String::from("flowchart LR\n");
    for id in g.ids() {
        let n = g.node(id);
        let (open, close) = shape(&n.kind);
        let _ = writeln!(s, "  n{}{open}\"{}\"{close}", id.0, n.label());
        for a in &n.arrays {
            let _ = writeln!(s, "  n{} --> n{}", a.0, id.0);
        }
        for v in &n.values {
            let _ = writeln!(s, "  n{} -.-> n{}", v.0, id.0);
        }
    }
    for (i, o) in g.outputs.iter().enumerate() {
        let _ = writeln!(s, "  o{i}[/\"{}\"/]", o.label());
        let _ = writeln!(s, "  n{} --> o{i}", o.node.0);
    }
    s
}

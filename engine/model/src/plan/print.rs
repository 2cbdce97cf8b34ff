//! The one canonical text of a plan: what golden tests and reviews read.

use super::{Plan, Root};
use crate::diag::count;
use crate::graph::Kind;
use std::fmt::Write;

/// Bytes with a binary unit, to three digits.
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut v = n as f64;
    let mut u = 0;
    while v >= 1024.0 && u + 1 < UNITS.len() {
        v /= 1024.0;
        u += 1;
    }
    match u {
        0 => format!("{n} B"),
        _ if v >= 100.0 => format!("{v:.0} {}", UNITS[u]),
        _ if v >= 10.0 => format!("{v:.1} {}", UNITS[u]),
        _ => format!("{v:.2} {}", UNITS[u]),
    }
}

/// Bytes rounded up to whole MiB, as `--memory` takes them.
pub fn bytes_up(n: u64) -> String {
    format!("{}MiB", n.div_ceil(1 << 20))
}

/// The plan as text.
pub fn text(plan: &Plan) -> String {
    let mut s = String::new();
    let g = &plan.graph;
    for input in &g.inputs {
        let items = input.items.len();
        let meta = input.items.distinct().first().map(|m| m.array.to_string()).unwrap_or_default();
        let more = match input.items.distinct().len() {
            0 | 1 => String::new(),
            n => format!(" and {} other shapes", n - 1),
        };
        let _ = match input.decl.is_family() {
            true => writeln!(s, "input {}: {items} items of {meta}{more}", input.decl.name.value),
            false => writeln!(s, "input {}: {meta}", input.decl.name.value),
        };
    }
    for (i, group) in plan.groups.iter().enumerate() {
        let over = match group.family {
            Some(f) => format!("each item of {}", g.input(f).decl.name.value),
            None => "what is single".into(),
        };
        let only = match plan.item_count(group) {
            n if group.items.is_some() => format!(", {n} of {}", g.items(group.family)),
            _ => String::new(),
        };
        let _ = writeln!(s, "\npass {}: {over}{only}", i + 1);
        let stages = group.variants.iter().enumerate().flat_map(|(n, v)| v.stages.iter().map(move |id| (n, v, *id)));
        for (n, variant, id) in stages {
            if group.variants.len() > 1 && variant.stages.first() == Some(&id) {
                let (count, why) = (variant.items, &variant.reason);
                let _ = writeln!(s, "  variant {}: {count} item{} ({why})", n + 1, if count == 1 { "" } else { "s" });
            }
            let stage = plan.stage(id);
            let grid = plan.grid(stage, variant.class);
            let block = stage.block.iter().map(|(a, n)| format!("{}={n}", a.name())).collect::<Vec<_>>().join(" ");
            let tasks = grid.count();
            let many = if g.classes(group.family) > 1 { " (first item)" } else { "" };
            let _ = writeln!(s, "  stage {}: {}{many}, block {block}", id.0, count(tasks, "task"));
            for &n in &stage.reads {
                let _ = writeln!(s, "    from    {}", g.node(n).label());
            }
            for &n in &stage.values {
                let _ = writeln!(s, "    value   {}", g.node(n).label());
            }
            for &n in &stage.nodes {
                let node = g.node(n);
                let verb = match node.kind {
                    Kind::Source(_) => "read",
                    Kind::Map(_) => "map",
                    Kind::Join(_) => "join",
                    Kind::Reduce(..) => "reduce",
                };
                let meta = (!node.is_reduce())
                    .then(|| node.meta(variant.class))
                    .map(|m| format!(" -> {m}"))
                    .unwrap_or_default();
                let _ = writeln!(s, "    {verb:7} {}{meta}", node.label());
            }
            for &r in &stage.roots {
                let _ = match r {
                    Root::Keep(n) => writeln!(s, "    keep    {}", g.node(n).label()),
                    Root::Write(o) => {
                        let out = &g.outputs[o];
                        let name = if out.scratch { g.node(out.node).label() } else { out.decl.name.value.clone() };
                        let to = if out.scratch { " in scratch" } else { "" };
                        writeln!(s, "    write   {name} as {}{to}", out.format.name())
                    }
                    Root::Reduce(_) => Ok(()),
                };
            }
        }
    }
    for o in g.outputs.iter().filter(|o| o.format.is_table()) {
        let _ = writeln!(s, "\ntable {} as {} from {}", o.decl.name.value, o.format.name(), g.node(o.node).label());
    }
    let _ = writeln!(s, "\ndecisions");
    for d in &plan.decisions {
        let _ = writeln!(s, "  {:8} {}: {} ({})", d.rule, d.about, d.choice, d.reason);
    }
    let m = &plan.memory;
    let _ = writeln!(s, "\nmemory {} of {}", bytes(m.projected), bytes(plan.settings.memory));
    for t in &m.terms {
        let _ = writeln!(
            s,
            "  {:>10}  {} x {} {}",
            bytes(t.count.saturating_mul(t.bytes)),
            t.count,
            bytes(t.bytes),
            t.what
        );
    }
    if plan.scratch_bytes() > 0 {
        let _ = writeln!(s, "scratch at most {} on disk", bytes(plan.scratch_bytes()));
    }
    let _ = writeln!(s, "tasks {}", plan.tasks());
    s
}

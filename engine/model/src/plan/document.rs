//! The plan as data: what `engine plan --json` prints and `Reports/plan.yaml` holds.

use super::{Plan, Root};
use crate::graph::{Graph, Kind};
use serde_json::{Value as Json, json};

/// Version of the document.
pub const VERSION: u32 = 1;

/// The graph before planning: nodes, inputs and outputs.
pub fn graph(g: &Graph) -> Json {
    let inputs: Vec<Json> = g
        .inputs
        .iter()
        .map(|i| {
            json!({
                "name": i.decl.name.value,
                "items": i.items.len(),
                "arrays": i.items.distinct().iter().map(|d| d.array.to_string()).collect::<Vec<_>>(),
            })
        })
        .collect();
    let nodes: Vec<Json> = g
        .ids()
        .map(|id| {
            let n = g.node(id);
            let kind = match &n.kind {
                Kind::Source(_) => "source",
                Kind::Map(_) => "map",
                Kind::Join(_) => "join",
                Kind::Reduce(..) => "reduce",
            };
            json!({
                "id": id.0,
                "label": n.label(),
                "step": n.step,
                "op": n.op,
                "kind": kind,
                "params": n.params,
                "arrays": n.arrays.iter().map(|a| a.0).collect::<Vec<_>>(),
                "values": n.values.iter().map(|v| v.0).collect::<Vec<_>>(),
                "foreach": n.family.map(|f| g.input(f).decl.name.value.clone()),
                "array": n.metas.first().map(ToString::to_string),
            })
        })
        .collect();
    let outputs: Vec<Json> = g
        .outputs
        .iter()
        .map(|o| json!({"name": o.decl.name.value, "node": o.node.0, "format": o.format.name()}))
        .collect();
    json!({"version": VERSION, "inputs": inputs, "nodes": nodes, "outputs": outputs})
}

/// The plan.
pub fn of(plan: &Plan) -> Json {
    let root = |r: &Root| match r {
        Root::Keep(n) => json!({"keep": n.0}),
        Root::Reduce(n) => json!({"reduce": n.0}),
        Root::Write(o) => json!({"write": plan.graph.outputs[*o].decl.name.value}),
    };
    let stages: Vec<Json> = plan
        .stages
        .iter()
        .enumerate()
        .map(|(i, s)| {
            json!({
                "id": i,
                "name": plan.stage_name(s),
                "nodes": s.nodes.iter().map(|n| n.0).collect::<Vec<_>>(),
                "reads": s.reads.iter().map(|n| n.0).collect::<Vec<_>>(),
                "values": s.values.iter().map(|n| n.0).collect::<Vec<_>>(),
                "roots": s.roots.iter().map(root).collect::<Vec<_>>(),
                "block": s.block.iter().map(|(a, n)| (a.name().to_string(), json!(n))).collect::<serde_json::Map<_, _>>(),
                "after": s.after.iter().map(|a| a.0).collect::<Vec<_>>(),
            })
        })
        .collect();
    let variant = |v: &super::Variant| {
        json!({
            "items": v.items,
            "reason": v.reason,
            "stages": v.stages.iter().map(|s| s.0).collect::<Vec<_>>(),
        })
    };
    let passes: Vec<Json> = plan
        .groups
        .iter()
        .map(|g| {
            json!({
                "foreach": g.family.map(|f| plan.graph.input(f).decl.name.value.clone()),
                "phase": g.phase,
                "items": g.items.as_ref().map(|all| all.iter().map(|r| [r.start, r.end]).collect::<Vec<_>>()),
                "stages": g.stages.iter().map(|s| s.0).collect::<Vec<_>>(),
                "variants": g.variants.iter().map(variant).collect::<Vec<_>>(),
                "exports": g.exports.iter().map(|n| n.0).collect::<Vec<_>>(),
                "releases": g.releases.iter().map(|n| n.0).collect::<Vec<_>>(),
            })
        })
        .collect();
    let handed = |h: &super::HandedOn| json!({"node": h.node.0, "items": h.items, "before": h.before, "bytes": h.bytes, "from": h.from, "to": h.to});
    json!({
        "version": VERSION,
        "graph": graph(&plan.graph),
        "passes": passes,
        "stages": stages,
        "handed_on": plan.handed_on.iter().map(handed).collect::<Vec<_>>(),
        "decisions": plan.decisions,
        "memory": plan.memory,
        "scratch_bytes": plan.scratch_bytes(),
        "tasks": plan.tasks(),
    })
}

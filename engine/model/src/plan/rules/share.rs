//! Makes nodes that compute the same from the same one node.

use super::{decide, prune};
use crate::graph::{Graph, Kind, NodeId};
use crate::plan::Decision;
use std::collections::BTreeMap;

/// Merges nodes of equal kind, parameters and inputs.
pub(super) fn apply(graph: Graph, decisions: &mut Vec<Decision>) -> Graph {
    let mut first: BTreeMap<String, NodeId> = BTreeMap::new();
    let mut stands_for: Vec<NodeId> = graph.ids().collect();
    for id in graph.ids() {
        let n = graph.node(id);
        let kind = match &n.kind {
            Kind::Source(i) => format!("source {}", i.0),
            Kind::Map(_) => "map".into(),
            Kind::Join(_) => "join".into(),
            Kind::Reduce(_, scope) => format!("reduce {scope:?}"),
        };
        let map = |v: &[NodeId]| v.iter().map(|i| stands_for[i.0 as usize].0).collect::<Vec<_>>();
        let key = format!("{kind} {} {} {:?} {:?}", n.name, n.params, map(&n.arrays), map(&n.values));
        let of = *first.entry(key).or_insert(id);
        if of != id {
            stands_for[id.0 as usize] = of;
            decisions.push(decide(
                "share",
                n.label(),
                format!("is `{}`", graph.node(of).label()),
                "same operation on the same inputs",
            ));
        }
    }
    let marked: Vec<bool> = graph.ids().map(|id| stands_for[id.0 as usize] == id).collect();
    prune::keep_only(graph, &marked, |id| stands_for[id.0 as usize])
}

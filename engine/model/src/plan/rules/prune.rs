//! Removes nodes that no output depends on.

use super::decide;
use crate::graph::{Graph, Node, NodeId};
use crate::plan::Decision;

/// Keeps what outputs reach, in order.
pub(super) fn apply(graph: Graph, decisions: &mut Vec<Decision>) -> Graph {
    let mut used = vec![false; graph.nodes.len()];
    for o in &graph.outputs {
        used[o.node.0 as usize] = true;
    }
    for id in graph.ids().rev() {
        if used[id.0 as usize] {
            for &i in graph.node(id).arrays.iter().chain(&graph.node(id).values) {
                used[i.0 as usize] = true;
            }
        }
    }
    for id in graph.ids().filter(|id| !used[id.0 as usize]) {
        decisions.push(decide("prune", graph.node(id).label(), "left out", "no output depends on it"));
    }
    keep_only(graph, &used, |id| id)
}

/// The graph with only the nodes marked, every reference first sent through `stands_for`.
pub(super) fn keep_only(graph: Graph, marked: &[bool], stands_for: impl Fn(NodeId) -> NodeId) -> Graph {
    let mut new_id = vec![NodeId(0); graph.nodes.len()];
    let mut nodes: Vec<Node> = Vec::new();
    for (i, mut node) in graph.nodes.into_iter().enumerate() {
        if marked[i] {
            for r in node.arrays.iter_mut().chain(&mut node.values) {
                *r = new_id[stands_for(*r).0 as usize];
            }
            new_id[i] = NodeId(nodes.len() as u32);
            nodes.push(node);
        }
    }
    let mut outputs = graph.outputs;
    for o in &mut outputs {
        o.node = new_id[stands_for(o.node).0 as usize];
    }
    Graph { inputs: graph.inputs, nodes, outputs, decided: graph.decided }
}

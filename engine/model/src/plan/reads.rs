//! Which parts of the inputs some elements of an array rest on, followed back through the graph.

use crate::graph::{Graph, InputId, Kind, NodeId};
use ops_core::{Needs, Ports, Region};
use std::collections::BTreeMap;

/// Regions of nodes that are asked for: one hull each.
pub type Wanted = BTreeMap<NodeId, Region>;

/// Adds what a node needs of its arrays.
pub(super) fn want(graph: &Graph, node: NodeId, needs: &Needs, ports: &Ports, wanted: &mut Wanted) {
    for need in needs {
        for region in need.boundary.sources(&need.region, &ports.meta(need.input).region()) {
            add(wanted, graph.node(node).arrays[need.input], region);
        }
    }
}

/// One hull a node: it asks for no less than its parts together.
pub(super) fn add(wanted: &mut Wanted, node: NodeId, region: Region) {
    wanted.entry(node).and_modify(|r| *r = r.hull(&region)).or_insert(region);
}

/// The regions of the inputs of an item that a region of a node rests on; of a reduction its domain's. What is joined from
/// all items of a collection is left out.
pub fn reads(graph: &Graph, node: NodeId, region: Region, class: usize) -> BTreeMap<InputId, Region> {
    let mut found = BTreeMap::new();
    let mut wanted = Wanted::from([(node, region)]);
    // Consumers have larger numbers than what they consume.
    while let Some((id, region)) = wanted.pop_last() {
        let node = graph.node(id);
        let joined = |of: NodeId| node.family.is_none() && graph.node(of).family.is_some();
        match &node.kind {
            Kind::Source(input) => {
                found.insert(*input, region);
            }
            Kind::Map(op) => {
                let ports = graph.ports(id, class);
                want(graph, id, &op.needs(&ports, &region), &ports, &mut wanted);
            }
            Kind::Reduce(op, _) if !node.arrays.iter().any(|of| joined(*of)) => {
                let ports = graph.ports(id, class);
                want(graph, id, &op.needs(&ports, &region), &ports, &mut wanted);
            }
            Kind::Reduce(..) | Kind::Join(_) => {}
        }
        // A value rests on every element.
        for &value in node.values.iter().filter(|v| !joined(**v)) {
            let domain = graph.node(graph.node(value).arrays[0]).meta(class).region();
            add(&mut wanted, value, domain);
        }
    }
    found
}

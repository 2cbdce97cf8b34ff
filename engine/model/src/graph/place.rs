//! Where the elements of an array lie in space and time: what the file of a source says, as far as it holds of what was
//! computed from it.

use super::{Graph, Kind, NodeId};
use crate::catalog::AxisScale;
use ops_core::{Index, Region};

/// Scale, translation and unit of each axis of a node's array that is known, for items of a class.
///
/// They are those of the source that the array was computed from, where every op on the way leaves each element in its
/// place: filters and comparisons do, a crop or a projection does not.
pub(super) fn of(graph: &Graph, node: NodeId, class: usize) -> Vec<AxisScale> {
    let mut at = node;
    loop {
        let n = graph.node(at);
        match &n.kind {
            Kind::Source(input) => return graph.source(*input, class).scales.clone(),
            Kind::Map(_) => {}
            Kind::Join(_) | Kind::Reduce(..) => return Vec::new(),
        }
        let stays = |input: usize| leaves_in_place(graph, at, class, input);
        match (0..n.arrays.len()).find(|i| stays(*i)) {
            Some(input) => at = n.arrays[input],
            None => return Vec::new(),
        }
    }
}

/// True where a map computes each element from a part of an input around the same place: looked at are the first and the
/// last element.
fn leaves_in_place(graph: &Graph, node: NodeId, class: usize, input: usize) -> bool {
    let n = graph.node(node);
    let Kind::Map(op) = &n.kind else { return false };
    let (own, from) = (n.meta(class), graph.node(n.arrays[input]).meta(class));
    if (&own.shape, &own.axes) != (&from.shape, &from.axes) || own.shape.contains(&0) {
        return false;
    }
    let ports = graph.ports(node, class);
    let one = |lo: Index| {
        let hi: Index = lo.iter().map(|l| l + 1).collect();
        Region::new(lo, hi)
    };
    let first = one(own.shape.iter().map(|_| 0).collect());
    let last = one(own.shape.iter().map(|n| *n as i64 - 1).collect());
    [first, last].iter().all(|at| {
        let needs = op.needs(&ports, at);
        let mut of = needs.iter().filter(|need| need.input == input);
        of.any(|need| need.region.contains(at) && is_around(&need.region, at))
    })
}

/// True where a region reaches as far on either side of an element, but for one more for an even window.
fn is_around(region: &Region, at: &Region) -> bool {
    (0..at.rank()).all(|a| ((at.lo[a] - region.lo[a]) - (region.hi[a] - at.hi[a])).abs() <= 1)
}

//! How one task is evaluated: which regions of which nodes, in which order, each freed after its last use.
//!
//! The planner walks it to sum the bytes a task holds; the runtime walks it to run the kernels. It is a pure function
//! of plan, stage, item and block, so both see the same.

use super::{Plan, Root, Stage};
use crate::graph::{Kind, NodeId};
use ops_core::{Boundary, Needs, Ports, Region};
use smallvec::SmallVec;

/// One region of one node that a task needs.
#[derive(Debug, Clone)]
pub struct Piece {
    /// The node.
    pub node: NodeId,
    /// The item its array belongs to.
    pub item: u64,
    /// The region, inside the array.
    pub region: Region,
    /// True when it is read (from a source or a kept array), false when it is computed.
    pub read: bool,
    /// For a computed one: what its op needs, and the pieces that serve each need.
    pub needs: Needs,
    /// Positions of the serving pieces in [`TaskPlan::pieces`], one list a need.
    pub from: SmallVec<[SmallVec<[u32; 1]>; 2]>,
    /// How often it is used: by other pieces and by roots.
    pub uses: u32,
}

/// What a task computes for one root.
#[derive(Debug, Clone)]
pub struct RootPiece {
    /// The root.
    pub root: Root,
    /// The block, in the coordinates of the root's array.
    pub region: Region,
    /// For a reduction: what it needs.
    pub needs: Needs,
    /// The pieces that serve each need (for a kept or written array: the one piece).
    pub from: SmallVec<[SmallVec<[u32; 1]>; 2]>,
}

/// The evaluation of one task: pieces in order, then roots.
#[derive(Debug, Clone, Default)]
pub struct TaskPlan {
    /// Pieces, each after those it needs.
    pub pieces: Vec<Piece>,
    /// What the task leaves.
    pub roots: Vec<RootPiece>,
}

/// Boxes of one node that are wanted, disjoint.
struct Want {
    node: NodeId,
    item: u64,
    boxes: SmallVec<[Region; 1]>,
}

/// Wanted boxes, sorted by node so that the largest, whose consumers are all known, is taken first.
#[derive(Default)]
struct Wants(Vec<Want>);

impl Wants {
    fn add(&mut self, node: NodeId, item: u64, region: Region) {
        if region.is_empty() {
            return;
        }
        match self.0.binary_search_by(|w| (w.node, w.item).cmp(&(node, item))) {
            Ok(at) => merge(&mut self.0[at].boxes, region),
            Err(at) => self.0.insert(at, Want { node, item, boxes: SmallVec::from_elem(region, 1) }),
        }
    }
}

/// Adds a box to a disjoint list; those it overlaps become one hull.
fn merge(boxes: &mut SmallVec<[Region; 1]>, mut region: Region) {
    while let Some(at) = boxes.iter().position(|b| !b.intersect(&region).is_empty()) {
        region = region.hull(&boxes.swap_remove(at));
    }
    boxes.push(region);
}

/// The evaluation of one block of a stage, for one item.
pub fn task(plan: &Plan, stage: &Stage, item: u64, class: usize, block: &Region) -> TaskPlan {
    rest(plan, stage, item, class, block, |_| false, |_| false)
}

/// What is left of a task when some of its roots are done, and some arrays are stored, from where they can be read.
pub fn rest(
    plan: &Plan,
    stage: &Stage,
    item: u64,
    class: usize,
    block: &Region,
    done: impl Fn(Root) -> bool,
    stored: impl Fn(NodeId) -> bool,
) -> TaskPlan {
    let graph = &plan.graph;
    let mut wants = Wants::default();
    let mut roots: Vec<RootPiece> = Vec::with_capacity(stage.roots.len());
    for &root in stage.roots.iter().filter(|r| !done(**r)) {
        let array = plan.root_array(root);
        let region = plan.region(stage, array, class, block);
        let mut needs = Needs::new();
        if let Root::Reduce(r) = root {
            if let Kind::Reduce(op, _) = &graph.node(r).kind {
                let ports = graph.ports(r, class);
                needs = op.needs(&ports, &region);
                want_all(&mut wants, plan, r, item, &needs, &ports);
            }
        } else {
            wants.add(array, item, region.clone());
        }
        roots.push(RootPiece { root, region, needs, from: SmallVec::new() });
    }
    // From the last node to the first: all consumers of a node come before it.
    let mut pieces: Vec<Piece> = Vec::new();
    while let Some(want) = wants.0.pop() {
        let node = graph.node(want.node);
        let read = stage.reads.contains(&want.node) || matches!(node.kind, Kind::Source(_)) || stored(want.node);
        for region in want.boxes {
            let mut needs = Needs::new();
            if let (false, Kind::Map(op) | Kind::Join(op)) = (read, &node.kind) {
                let ports = graph.ports(want.node, class);
                needs = op.needs(&ports, &region);
                want_all(&mut wants, plan, want.node, want.item, &needs, &ports);
            }
            pieces.push(Piece {
                node: want.node,
                item: want.item,
                region,
                read,
                needs,
                from: SmallVec::new(),
                uses: 0,
            });
        }
    }
    pieces.reverse();
    connect(plan, class, &mut pieces, &mut roots, item);
    widen(plan, class, &mut pieces);
    TaskPlan { pieces, roots }
}

/// Lets an elementwise piece cover all of what its inputs were computed on anyway, where that is little more: a block
/// handed over as it is saves the copy that cutting it would take.
fn widen(plan: &Plan, class: usize, pieces: &mut [Piece]) {
    for i in 0..pieces.len() {
        let p = &pieces[i];
        let node = plan.graph.node(p.node);
        let (false, Kind::Map(op)) = (p.read, &node.kind) else { continue };
        let as_it_is =
            |needs: &Needs, region: &Region| needs.iter().all(|n| n.boundary == Boundary::Clip && n.region == *region);
        let Some(&[first]) = p.from.first().map(SmallVec::as_slice) else { continue };
        let wide = pieces[first as usize].region.clone();
        let alike = |f: &SmallVec<[u32; 1]>| matches!(f.as_slice(), [one] if pieces[*one as usize].region == wide);
        let shape = &node.meta(class).shape;
        let same_shape = node.arrays.iter().all(|&a| plan.graph.node(a).meta(class).shape == *shape);
        let little = wide != p.region && wide.volume() <= p.region.volume() + p.region.volume() / 4;
        if little && same_shape && as_it_is(&p.needs, &p.region) && p.from.iter().all(alike) {
            // What needs no more than this region may need more than a wider one: whole cells of it, say.
            let needs = op.needs(&plan.graph.ports(p.node, class), &wide);
            if as_it_is(&needs, &wide) && needs.len() == p.needs.len() {
                (pieces[i].needs, pieces[i].region) = (needs, wide);
            }
        }
    }
}

fn want_all(wants: &mut Wants, plan: &Plan, node: NodeId, item: u64, needs: &Needs, ports: &Ports) {
    let n = plan.graph.node(node);
    for need in needs {
        let producer = n.arrays[need.input];
        let of = producer_item(plan, node, producer, item, need.item);
        for b in need.boundary.sources(&need.region, &ports.meta(need.input).region()) {
            wants.add(producer, of, b);
        }
    }
}

/// The item of a producer's array that a consumer's need refers to.
fn producer_item(plan: &Plan, consumer: NodeId, producer: NodeId, item: u64, need_item: u32) -> u64 {
    if matches!(plan.graph.node(consumer).kind, Kind::Join(_)) {
        need_item as u64
    } else if plan.graph.node(producer).family.is_some() {
        item
    } else {
        0
    }
}

/// Finds the pieces that serve each need.
fn connect(plan: &Plan, class: usize, pieces: &mut [Piece], roots: &mut [RootPiece], item: u64) {
    let find = |pieces: &[Piece], node: NodeId, of: u64, want: &Region| -> SmallVec<[u32; 1]> {
        let start = pieces.partition_point(|p| (p.node, p.item) < (node, of));
        (start..pieces.len())
            .take_while(|&i| (pieces[i].node, pieces[i].item) == (node, of))
            .filter(|&i| !pieces[i].region.intersect(want).is_empty())
            .map(|i| i as u32)
            .collect()
    };
    let serve = |pieces: &[Piece], consumer: NodeId, of: u64, needs: &Needs| {
        let ports = plan.graph.ports(consumer, class);
        needs
            .iter()
            .map(|need| {
                let producer = plan.graph.node(consumer).arrays[need.input];
                let of = producer_item(plan, consumer, producer, of, need.item);
                let array = ports.meta(need.input).region();
                let mut found: SmallVec<[u32; 1]> = SmallVec::new();
                for b in need.boundary.sources(&need.region, &array) {
                    for i in find(pieces, producer, of, &b) {
                        if !found.contains(&i) {
                            found.push(i);
                        }
                    }
                }
                found
            })
            .collect::<SmallVec<[SmallVec<[u32; 1]>; 2]>>()
    };
    // Pieces came out grouped by (node, item) ascending; that order is what `find` relies on.
    pieces.sort_by_key(|p| (p.node, p.item));
    for i in 0..pieces.len() {
        if !pieces[i].read {
            let from = serve(pieces, pieces[i].node, pieces[i].item, &pieces[i].needs);
            from.iter().flatten().for_each(|&p| pieces[p as usize].uses += 1);
            pieces[i].from = from;
        }
    }
    for r in roots.iter_mut() {
        r.from = match r.root {
            Root::Reduce(n) => serve(pieces, n, item, &r.needs),
            _ => SmallVec::from_elem(find(pieces, plan.root_array(r.root), item, &r.region), 1),
        };
        r.from.iter().flatten().for_each(|&p| pieces[p as usize].uses += 1);
    }
}

//! What results are called in the journal: digests of all that they are made from.

use super::changes::{Look, Stale};
use super::files;
use super::resume::Resume;
use crate::journal::Key;
use crate::store::read;
use crate::store::write::WriteOptions;
use engine_model::graph::{Graph, InputId, Kind, NodeId};
use engine_model::place;
use engine_model::plan::fingerprint::Fingerprint;
use engine_model::plan::{Plan, Root, Stage};
use engine_model::spec::workflow::Format;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Elements of a block below which computing it takes a microsecond or two: as long as an entry in the journal.
const TRIVIAL: u64 = 512;

/// What tells a root of an item from all others.
#[derive(Debug, Clone)]
pub struct Keys {
    /// The result as a whole.
    pub whole: Key,
    /// Its blocks in this plan's grid.
    pub blocks: Key,
    /// What of it was made from chunks that have changed since.
    pub(super) stale: Option<Arc<Stale>>,
}

impl Keys {
    /// True where something that is there was made from what has changed since.
    pub fn are_stale(&self) -> bool {
        self.stale.as_ref().is_some_and(|s| s.complete || !s.blocks.is_empty())
    }

    /// True where an output is complete, and some of it was made from what has changed since.
    pub fn were_complete(&self) -> bool {
        self.stale.as_ref().is_some_and(|s| s.complete)
    }

    /// True for a block that was made from what has changed since.
    pub(super) fn is_stale(&self, block: u64) -> bool {
        self.stale.as_ref().is_some_and(|s| s.blocks.contains(&block))
    }
}

impl Resume<'_> {
    /// The keys of a root; `None` for an array that is kept in memory, of which nothing is left.
    pub fn keys(&self, plan: &Plan, stage: &Stage, root: Root, item: u64, class: usize) -> Option<Keys> {
        let graph = &plan.graph;
        let mut looks = Vec::new();
        let whole = match root {
            Root::Keep(_) => return None,
            // Sooner done again than told.
            Root::Reduce(_) if trivial(plan, stage, class) => return None,
            Root::Write(o) => {
                let node = graph.outputs[o].node;
                let print = self.prints.stored(graph, node, item, &form(plan, o, class));
                self.stamped(graph, &[node], item, print, &mut looks)
            }
            // A reduction over a collection has partials of single items: each rests on its own item alone.
            Root::Reduce(node) => {
                let n = graph.node(node);
                let of: Vec<NodeId> = n.arrays.iter().chain(&n.values).copied().collect();
                self.stamped(graph, &of, item, self.prints.partial(graph, node, item), &mut looks)
            }
        };
        let grid = plan.grid(stage, class);
        let blocks = format!("{:?} {:?}", grid.shape(), stage.block);
        let mut digest = blake3::Hasher::new();
        digest.update(&whole).update(blocks.as_bytes());
        let mut keys = Keys { whole, blocks: short(&digest), stale: None };
        if looks.iter().any(|(_, l)| l.has_changed()) {
            keys.stale = Some(self.changes.stale(plan, (stage, root), class, self.journal.known(), &keys, &looks));
        }
        Some(keys)
    }

    /// Adds the state of the files that a result of these nodes rests on to its fingerprint; of Zarr arrays on disk only that of
    /// what is no chunk, with what has changed of the chunks in `looks`.
    fn stamped(
        &self,
        graph: &Graph,
        nodes: &[NodeId],
        item: u64,
        print: Fingerprint,
        looks: &mut Vec<(InputId, Arc<Look>)>,
    ) -> Key {
        let mut digest = blake3::Hasher::new();
        digest.update(&print.0);
        let rests_on = nodes.iter().flat_map(|n| self.rests_on[n.0 as usize].iter().map(|(i, all)| (*i, *all)));
        for (input, all) in rests_on {
            let items = &graph.input(input).items;
            let range = match (all, items.len()) {
                (true, n) => 0..n,
                // What is single has one item, whatever the number of the item that uses it.
                (false, 1) => 0..1,
                (false, _) => item..item + 1,
            };
            for i in range {
                let Some(path) = items.path(i) else { continue };
                if place::is_remote(&path) {
                    digest.update(&self.asked(&path));
                    continue;
                }
                let look = if all { None } else { self.changes.look(self.journal, graph, input, &path) };
                match look {
                    Some(look) => {
                        digest.update(&look.rest);
                        looks.push((input, look));
                    }
                    None => {
                        digest.update(&files::identity(self.journal, &path));
                    }
                }
            }
        }
        short(&digest)
    }

    /// The state of a store behind a URL.
    fn asked(&self, path: &Path) -> [u8; 32] {
        let mut asked = super::item::lock(&self.asked);
        // Whoever comes while it is asked for waits for the same answer.
        *asked.entry(path.to_path_buf()).or_insert_with(|| read::state(path))
    }
}

pub(super) fn short(digest: &blake3::Hasher) -> Key {
    let mut key = [0; 16];
    key.copy_from_slice(&digest.finalize().as_bytes()[..16]);
    key
}

/// True for a stage whose blocks take less time than telling of them.
fn trivial(plan: &Plan, stage: &Stage, class: usize) -> bool {
    let meta = plan.graph.node(stage.domain).meta(class);
    let extent = |axis| meta.axes.position(axis).map_or(1, |p| meta.shape[p]);
    let others = meta.axes.iter().filter(|a| stage.block.iter().all(|(b, _)| b != a)).map(extent);
    let elements: u64 = stage.block.iter().map(|(axis, n)| extent(*axis).min(*n)).chain(others).product();
    elements < TRIVIAL
}

/// How an output is stored, and where: what makes two files of the same array different.
fn form(plan: &Plan, o: usize, class: usize) -> String {
    let out = &plan.graph.outputs[o];
    let to = out.decl.to.as_ref().map(|to| place::join(&out.decl.base, &to.value));
    let place = format!("{:?} {to:?} {:?} {}", out.decl.name.value, out.decl.naming, out.scratch);
    format!("{} at {place}", stored_as(plan, o, class))
}

fn stored_as(plan: &Plan, o: usize, class: usize) -> String {
    let out = &plan.graph.outputs[o];
    match out.format {
        Format::Zarr | Format::OmeZarr => {
            let meta = plan.graph.node(out.node).meta(class);
            let form = format!("zarr {}", WriteOptions::of(out, meta).form());
            // The arrays of an image are replaced together.
            match &out.part {
                Some(part) => {
                    let (image, level) = (&part.image, part.level);
                    let scales = image.scales.get(class);
                    format!("{form} {level} of {:?} {:?} {} {scales:?}", image.paths, image.method, image.labels)
                }
                None => form,
            }
        }
        other => other.name().to_owned(),
    }
}

/// The inputs that each node rests on.
pub(super) fn rests_on(graph: &Graph) -> Vec<BTreeMap<InputId, bool>> {
    let mut all: Vec<BTreeMap<InputId, bool>> = Vec::with_capacity(graph.nodes.len());
    for id in graph.ids() {
        let node = graph.node(id);
        let mut own = BTreeMap::new();
        if let Kind::Source(input) = node.kind {
            own.insert(input, false);
        }
        for of in node.arrays.iter().chain(&node.values) {
            let joined = node.family.is_none() && graph.node(*of).family.is_some();
            for (&input, &every) in &all[of.0 as usize] {
                *own.entry(input).or_insert(false) |= every || joined;
            }
        }
        all.push(own);
    }
    all
}

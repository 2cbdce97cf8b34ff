//! What an earlier run left of this one, root by root.
//!
//! A root of an item has two keys: of the whole result, whatever blocks it was computed in, and of its blocks in the grid of
//! this plan. A complete output counts by the first; single blocks and partials count by the second, so a run with
//! other blocks begins what was not complete anew.

use super::changes::{Changes, Look, Stale};
use super::files;
use super::item::ItemData;
use crate::journal::{Entry, Journal, Key, Stored};
use crate::store::read;
use crate::store::write::WriteOptions;
use engine_model::graph::{Graph, InputId, Kind, NodeId};
use engine_model::place;
use engine_model::plan::fingerprint::{Fingerprint, Fingerprints};
use engine_model::plan::{Plan, Root, Stage, StageId};
use engine_model::spec::workflow::Format;
use ops_core::OpError;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

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
    stale: Option<Arc<Stale>>,
}

impl Keys {
    /// True where something that is there was made from what has changed since.
    pub fn are_stale(&self) -> bool {
        self.stale.as_ref().is_some_and(|s| s.complete || !s.blocks.is_empty())
    }

    /// True for a block that was made from what has changed since.
    fn is_stale(&self, block: u64) -> bool {
        self.stale.as_ref().is_some_and(|s| s.blocks.contains(&block))
    }
}

/// How much of a root is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing.
    Open,
    /// Some blocks.
    Some,
    /// All blocks, but an output is not complete under its name.
    Blocks,
    /// The complete output.
    Complete,
}

impl State {
    /// True when no task has to be run for it.
    pub fn is_done(self) -> bool {
        matches!(self, State::Blocks | State::Complete)
    }
}

/// A journal beside the plan that it is about.
pub struct Resume<'a> {
    journal: &'a Journal,
    prints: Fingerprints,
    /// The inputs that each node's result rests on; true where it rests on all items of it.
    rests_on: Vec<BTreeMap<InputId, bool>>,
    /// The states of stores behind URLs, each asked for once.
    asked: Mutex<BTreeMap<PathBuf, [u8; 32]>>,
    changes: Changes,
}

impl<'a> Resume<'a> {
    /// Looks at a plan; no file is touched yet.
    pub fn new(plan: &Plan, journal: &'a Journal) -> Resume<'a> {
        let (prints, rests_on) = (Fingerprints::new(&plan.graph), rests_on(&plan.graph));
        Resume { journal, prints, rests_on, asked: Mutex::default(), changes: Changes::default() }
    }

    /// The journal.
    pub fn journal(&self) -> &'a Journal {
        self.journal
    }

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

    /// Tells the journal what an input file holds that a task of pass number `at` has opened, once a run.
    ///
    /// # Errors
    /// When the journal can't be written.
    pub fn opened(&self, plan: &Plan, at: usize, node: NodeId, path: &Path) -> io::Result<()> {
        let reads = |s: &StageId| plan.stage(*s).nodes.contains(&node);
        match plan.groups[..at].iter().any(|g| g.stages.iter().any(reads)) {
            true => Ok(()),
            false => files::tell(self.journal, path),
        }
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

    /// How much of a root is there.
    pub fn state(&self, plan: &Plan, stage: &Stage, root: Root, keys: &Keys, class: usize) -> State {
        let stale = keys.stale.as_ref().is_some_and(|s| s.complete);
        if matches!(root, Root::Write(_)) && !stale && self.journal.known().complete(&keys.whole).is_some() {
            return State::Complete;
        }
        let count = plan.grid(stage, class).count();
        match self.done(root, keys, count) {
            0 => State::Open,
            n if n == count => State::Blocks,
            _ => State::Some,
        }
    }

    /// How many of the first `count` blocks of a root are there.
    pub fn done(&self, root: Root, keys: &Keys, count: u64) -> u64 {
        let known = self.journal.known();
        let there = match root {
            Root::Keep(_) => 0,
            Root::Reduce(_) => known.partials(&keys.blocks).filter(|(b, _)| *b < count).count() as u64,
            Root::Write(_) => known.stored(&keys.blocks).map_or(0, |s| s.count_below(count)),
        };
        // Those are among them.
        there.saturating_sub(keys.stale.as_ref().map_or(0, |s| s.blocks.range(..count).count() as u64))
    }

    /// True where a block of a root is there.
    pub fn has(&self, root: Root, keys: &Keys, state: State, block: u64) -> bool {
        let known = self.journal.known();
        match (root, state) {
            (_, State::Open) => false,
            (_, State::Complete | State::Blocks) => true,
            _ if keys.is_stale(block) => false,
            (Root::Write(_), _) => known.stored(&keys.blocks).is_some_and(|s| s.contains(block)),
            (Root::Reduce(_), _) => known.has_partial(&keys.blocks, block),
            (Root::Keep(_), _) => false,
        }
    }

    /// The blocks of an output, of so many, that are in its store.
    pub fn stored(&self, keys: &Keys, count: u64) -> impl Iterator<Item = u64> {
        let stored = self.journal.known().stored(&keys.blocks);
        stored.into_iter().flat_map(Stored::iter).take_while(move |b| *b < count).filter(|b| !keys.is_stale(*b))
    }

    /// True when no task of a stage has to be run for an item.
    fn satisfied(&self, plan: &Plan, at: usize, stage: StageId, item: u64, class: usize) -> bool {
        let s = plan.stage(stage);
        s.roots.iter().all(|&root| match root {
            Root::Keep(n) => !self.needed(plan, at, n, item, class),
            _ => {
                let keys = self.keys(plan, s, root, item, class);
                let done = keys.is_some_and(|k| self.state(plan, s, root, &k, class).is_done());
                done || plan.scratch(root).is_some_and(|n| !self.needed(plan, at, n, item, class))
            }
        })
    }

    /// True when a stage of group number `at` or a later one still has to read a kept or spilled array of the item.
    pub fn needed(&self, plan: &Plan, at: usize, node: NodeId, item: u64, class: usize) -> bool {
        let family = plan.groups[at].family;
        (at..plan.groups.len()).any(|g| {
            let group = &plan.groups[g];
            let (stages, item, class) = match group.family == family {
                true => (group.stages_of(class), item, class),
                false => (group.stages.as_slice(), 0, 0),
            };
            stages.iter().any(|&s| {
                let stage = plan.stage(s);
                let uses = stage.reads.contains(&node) || (g > at && stage.roots.contains(&Root::Keep(node)));
                uses && !self.satisfied(plan, g, s, item, class)
            })
        })
    }

    /// Adds the partials that are there to those of an item.
    ///
    /// # Errors
    /// When the journal can't be read, or holds what is no partial of the reduction.
    pub fn restore(&self, plan: &Plan, data: &ItemData) -> io::Result<()> {
        let wrong = |e: OpError| io::Error::new(io::ErrorKind::InvalidData, e.to_string());
        for (&root, entry) in &data.roots {
            let (Root::Reduce(n), true) = (root, entry.state != State::Open) else { continue };
            let Kind::Reduce(op, _) = &plan.graph.node(n).kind else { continue };
            let Some(slot) = data.partials.get(&n) else { continue };
            let fresh = |block| !entry.keys.is_stale(block);
            self.journal.known().each_partial(&entry.keys.blocks, fresh, |bytes| {
                let partial = op.unpack(bytes).map_err(wrong)?;
                let mut slot = super::item::lock(slot);
                match slot.as_mut() {
                    Some(into) => op.merge(into, partial).map_err(wrong)?,
                    None => *slot = Some(partial),
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Tells the journal that an output is complete.
    ///
    /// # Errors
    /// When the journal can't be written.
    pub fn complete(&self, keys: &Keys, path: &Path, bytes: u64) -> io::Result<()> {
        self.journal.append(&[Entry::Complete { key: keys.whole, path: self.journal.named(path), bytes }])
    }

    /// Bytes of an output that an earlier run completed.
    pub fn completed(&self, keys: &Keys) -> Option<u64> {
        self.journal.known().complete(&keys.whole).map(|c| c.bytes)
    }

    /// Tells the journal that an output is begun afresh.
    ///
    /// # Errors
    /// When the journal can't be written.
    pub fn begun(&self, keys: &Keys, path: &Path) -> io::Result<()> {
        self.journal.append(&[Entry::Begun { key: keys.blocks, path: self.journal.named(path) }])
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

/// How an output is stored: what makes two files of the same array different.
fn form(plan: &Plan, o: usize, class: usize) -> String {
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
fn rests_on(graph: &Graph) -> Vec<BTreeMap<InputId, bool>> {
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

//! What an earlier run left of this one, root by root.
//!
//! A root of an item has two keys: of the whole result, whatever blocks it was computed in, and of its blocks in the grid of
//! this plan. A complete output counts by the first; single blocks and partials count by the second, so a run with
//! other blocks begins what was not complete anew.

use super::changes::Changes;
use super::files;
use super::item::ItemData;
use super::keys::{Keys, rests_on};
use crate::journal::{Entry, Journal, Stored};
use engine_model::graph::{InputId, Kind, NodeId};
use engine_model::plan::fingerprint::Fingerprints;
use engine_model::plan::{Plan, Root, Stage, StageId};
use ops_core::OpError;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

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
    pub(super) journal: &'a Journal,
    pub(super) prints: Fingerprints,
    /// The inputs that each node's result rests on; true where it rests on all items of it.
    pub(super) rests_on: Vec<BTreeMap<InputId, bool>>,
    /// The states of stores behind URLs, each asked for once.
    pub(super) asked: Mutex<BTreeMap<PathBuf, [u8; 32]>>,
    pub(super) changes: Changes,
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

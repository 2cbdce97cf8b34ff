//! What an item in flight owns.

use super::kept::Kept;
use super::keys::Keys;
use super::outputs::Outputs;
use super::resume::{Resume, State};
use crate::store::{ArrayReader, ArrayWriter, StoreError};
use engine_model::graph::{Kind, NodeId};
use engine_model::plan::{Plan, Root, StageId};
use ops_core::Value;
use ops_core::op::AnyPartial;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Locks, going on after a panic elsewhere: what the lock guards is replaced whole, never half.
pub(crate) fn lock<T>(m: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

/// True for a kept array that group number `at` leaves to later ones: exported, or handed on for this item.
pub fn outlives(plan: &Plan, at: usize, item: u64, node: NodeId) -> bool {
    plan.groups[at].exports.contains(&node) || plan.hands_on(node, item, at).is_some_and(|h| at < h.to)
}

/// An output of one item, opened at its first block.
#[derive(Default)]
pub struct OpenOutput {
    pub(crate) writer: Mutex<Option<Arc<dyn ArrayWriter>>>,
}

/// A source of one item, opened by the first task that reads it.
#[derive(Default)]
pub struct OpenSource {
    pub(crate) reader: OnceLock<Arc<dyn ArrayReader>>,
    /// Bytes of decoded tiles that it keeps.
    pub(crate) cache: u64,
}

/// A root of an item in the journal.
pub struct Journaled {
    /// What it is called there.
    pub keys: Keys,
    /// How much of it an earlier run left.
    pub state: State,
}

/// What an item in flight owns.
pub struct ItemData {
    /// Number of the item.
    pub item: u64,
    /// Its class.
    pub class: usize,
    /// Arrays kept for later stages or, exported, for later groups.
    pub kept: BTreeMap<NodeId, Arc<Kept>>,
    /// Partials of reductions that run over it.
    pub partials: BTreeMap<NodeId, Mutex<Option<AnyPartial>>>,
    /// Values of its reductions.
    pub values: BTreeMap<NodeId, OnceLock<Value>>,
    /// Outputs being written, by number.
    pub outputs: BTreeMap<usize, OpenOutput>,
    /// Open sources that are read region by region.
    pub readers: BTreeMap<NodeId, OpenSource>,
    /// Roots that the journal tells of; none without a journal.
    pub roots: BTreeMap<Root, Journaled>,
    /// Kept arrays that nothing which is still to be done reads.
    pub unneeded: BTreeSet<NodeId>,
    /// Kept arrays of which an earlier run left blocks in the store of this output.
    pub backed: BTreeMap<NodeId, Root>,
    /// Arrays of which an earlier run left all blocks in the store of an output: they are read, not computed again.
    pub stored: BTreeMap<NodeId, Arc<dyn ArrayReader>>,
    /// The pass it is in, by number.
    pub group: usize,
    /// Readers of outputs that this run has completed and reads again, by number.
    written: Mutex<BTreeMap<usize, Arc<dyn ArrayReader>>>,
}

impl ItemData {
    /// Containers for all that the stages of group number `at` will make of the item: empty, but for the arrays that
    /// an earlier group handed on.
    pub fn new(
        plan: &Plan,
        at: usize,
        item: u64,
        class: usize,
        handed: impl Fn(NodeId) -> Option<Arc<Kept>>,
    ) -> ItemData {
        let group = &plan.groups[at];
        let mut data = ItemData {
            item,
            class,
            kept: BTreeMap::new(),
            partials: BTreeMap::new(),
            values: BTreeMap::new(),
            outputs: BTreeMap::new(),
            readers: BTreeMap::new(),
            roots: BTreeMap::new(),
            unneeded: BTreeSet::new(),
            backed: BTreeMap::new(),
            stored: BTreeMap::new(),
            group: at,
            written: Mutex::default(),
        };
        for &id in group.stages_of(class) {
            let stage = plan.stage(id);
            for &root in &stage.roots {
                match root {
                    Root::Keep(n) => {
                        let reads = |s: &&StageId| plan.stage(**s).reads.contains(&n);
                        let readers = group.stages_of(class).iter().filter(reads).count() as u32;
                        let readers = if outlives(plan, at, item, n) { u32::MAX } else { readers.max(1) };
                        let kept = match handed(n) {
                            Some(kept) => {
                                kept.expect_readers(readers);
                                kept
                            }
                            None => Arc::new(Kept::new(plan, stage, n, class, readers)),
                        };
                        data.kept.insert(n, kept);
                    }
                    Root::Reduce(n) => {
                        data.partials.insert(n, Mutex::new(None));
                        data.values.insert(n, OnceLock::new());
                    }
                    Root::Write(o) => {
                        data.outputs.insert(o, OpenOutput::default());
                    }
                }
            }
            for &n in &stage.nodes {
                if matches!(plan.graph.node(n).kind, Kind::Source(_)) {
                    let cache = group.cache(n, false);
                    data.readers.entry(n).or_insert_with(|| OpenSource { cache, ..OpenSource::default() });
                }
            }
        }
        data
    }

    /// Looks up what an earlier run left of it.
    ///
    /// # Errors
    /// When a store that is to be read again can't be opened.
    pub fn look_up(
        &mut self,
        plan: &Plan,
        at: usize,
        resume: &Resume<'_>,
        outputs: &Outputs,
    ) -> Result<(), StoreError> {
        for &id in plan.groups[at].stages_of(self.class) {
            let stage = plan.stage(id);
            for &root in &stage.roots {
                if let Some(keys) = resume.keys(plan, stage, root, self.item, self.class) {
                    let state = resume.state(plan, stage, root, &keys, self.class);
                    self.roots.insert(root, Journaled { keys, state });
                }
            }
        }
        if resume.journal().known().is_empty() {
            return Ok(());
        }
        self.read_again(plan, at, resume, outputs)?;
        // Without anything done, all is needed.
        if self.roots.values().any(|r| r.state != State::Open) {
            let unneeded = |n: &&NodeId| !resume.needed(plan, at, **n, self.item, self.class);
            let spilled = self.outputs.keys().filter_map(|&o| plan.scratch(Root::Write(o)));
            let all: BTreeSet<NodeId> = self.kept.keys().copied().chain(spilled).collect();
            self.unneeded = all.iter().filter(unneeded).copied().collect();
        }
        Ok(())
    }

    /// Opens what an earlier run left of outputs, this pass's and others', for those who need their arrays.
    fn read_again(&mut self, plan: &Plan, at: usize, resume: &Resume<'_>, outputs: &Outputs) -> Result<(), StoreError> {
        let family = plan.groups[at].family;
        let groups = plan.groups.iter().filter(|g| g.family == family);
        for &id in groups.flat_map(|g| g.stages_of(self.class)) {
            let stage = plan.stage(id);
            for &root in &stage.roots {
                let Root::Write(o) = root else { continue };
                let node = plan.graph.outputs[o].node;
                let Some(keys) = resume.keys(plan, stage, root, self.item, self.class) else { continue };
                let state = resume.state(plan, stage, root, &keys, self.class);
                let kept = self.kept.get(&node).filter(|_| self.roots.contains_key(&root));
                if state == State::Open || (kept.is_none() && !state.is_done()) {
                    continue;
                }
                // Of what is still being written nothing is kept: a chunk that is absent may come.
                let cache = if state.is_done() { plan.groups[at].cache(node, true) } else { 0 };
                let Some(reader) = outputs.reread(plan, o, self.item, self.class, cache)? else { continue };
                if let Some(kept) = kept {
                    kept.behind.get_or_init(|| reader.clone());
                    self.backed.insert(node, root);
                }
                if state.is_done() {
                    self.stored.insert(node, reader);
                }
            }
        }
        Ok(())
    }

    /// A reader of an output that is complete.
    ///
    /// # Errors
    /// When it can't be opened.
    pub fn written(
        &self,
        plan: &Plan,
        outputs: &Outputs,
        o: usize,
        cache: u64,
    ) -> Result<Arc<dyn ArrayReader>, StoreError> {
        let mut open = lock(&self.written);
        if let Some(reader) = open.get(&o) {
            return Ok(reader.clone());
        }
        let gone = || StoreError::Io {
            path: outputs.path(plan, o, self.item),
            message: "an array that was written to be read again is gone".into(),
            kind: std::io::ErrorKind::NotFound,
        };
        let reader = outputs.reread(plan, o, self.item, self.class, cache)?.ok_or_else(gone)?;
        open.insert(o, reader.clone());
        Ok(reader)
    }

    /// True for a spilled array that nobody reads any more.
    pub fn needs_not(&self, plan: &Plan, root: Root) -> bool {
        plan.scratch(root).is_some_and(|n| self.unneeded.contains(&n))
    }

    /// Gives up every output that is not complete: leaves it for a run that resumes, or drops it.
    pub fn give_up(&self, resumable: bool) {
        for out in self.outputs.values() {
            if let Some(w) = lock(&out.writer).take() {
                if resumable { w.suspend() } else { w.abandon() }
            }
        }
    }
}

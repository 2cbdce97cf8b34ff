//! Which blocks were made from chunks that have changed since.
//!
//! A run tells the journal what every Zarr array on disk looks like before it reads it. When it goes on, that is compared with
//! what it looks like now: a block is stale that rests on a chunk which was written again after the block was made, and no
//! other is.

use super::item::lock;
use super::keys::{Keys, short};
use crate::journal::{Entry, Journal, Key, Known, Place};
use crate::store::read::{self, Chunks, InputOptions};
use engine_model::graph::{Graph, Input, InputId};
use engine_model::plan::reads::reads;
use engine_model::plan::{Plan, Root, Stage};
use ops_core::Region;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// An input now, and what of it has changed since it was looked at before.
#[derive(Debug)]
pub(super) struct Look {
    /// A digest of all that is no chunk.
    pub(super) rest: Key,
    /// When it was looked at, and the regions that have changed since.
    before: Vec<(Place, Vec<Region>)>,
}

impl Look {
    /// True where anything made of it may be stale.
    pub(super) fn has_changed(&self) -> bool {
        self.before.iter().any(|(_, changed)| !changed.is_empty())
    }

    /// What has changed since something was told.
    fn since(&self, at: Place) -> &[Region] {
        self.before.iter().rev().find(|(look, _)| *look <= at).map_or(&[], |(_, changed)| changed)
    }
}

/// What of a root was made from what has changed since.
#[derive(Debug, Default)]
pub(super) struct Stale {
    /// Blocks that are there and stale.
    pub(super) blocks: BTreeSet<u64>,
    /// Something of the complete output is.
    pub(super) complete: bool,
}

/// The most that is remembered of each kind: of more items the first are forgotten, and found out again if need be.
const KNOWN: usize = 4096;

/// What is known of inputs and of what rests on them.
#[derive(Debug, Default)]
pub(super) struct Changes {
    looks: Mutex<BTreeMap<(PathBuf, InputId), Arc<Look>>>,
    stale: Mutex<BTreeMap<Key, Arc<Stale>>>,
}

impl Changes {
    /// Looks at an input, and tells the journal; `None` for one that is no Zarr array on disk, or whose journal can't be asked.
    pub(super) fn look(&self, journal: &Journal, graph: &Graph, id: InputId, path: &Path) -> Option<Arc<Look>> {
        let key = (path.to_path_buf(), id);
        if let Some(known) = lock(&self.looks).get(&key) {
            return Some(known.clone());
        }
        let found = Arc::new(look(journal, graph.input(id), path)?);
        remember(&mut lock(&self.looks), key, found.clone());
        Some(found)
    }

    /// What of a root is stale.
    pub(super) fn stale(
        &self,
        plan: &Plan,
        (stage, root): (&Stage, Root),
        class: usize,
        known: &Known,
        keys: &Keys,
        looks: &[(InputId, Arc<Look>)],
    ) -> Arc<Stale> {
        if let Some(found) = lock(&self.stale).get(&keys.blocks) {
            return found.clone();
        }
        let grid = plan.grid(stage, class);
        let (array, node) = match root {
            Root::Reduce(n) => (plan.root_array(root), n),
            _ => (plan.root_array(root), plan.root_array(root)),
        };
        let rests = |region: Region| reads(&plan.graph, node, region, class);
        let changed = |reads: &BTreeMap<InputId, Region>, at: Place| {
            looks.iter().any(|(input, look)| {
                let read = reads.get(input);
                read.is_some_and(|r| look.since(at).iter().any(|changed| !changed.intersect(r).is_empty()))
            })
        };
        let mut stale = Stale::default();
        let mut fresh = BTreeSet::new();
        let mut look_at = |block: u64, at: Place| {
            if looks.iter().all(|(_, l)| l.since(at).is_empty()) {
                fresh.insert(block);
            } else if block < grid.count() {
                let region = plan.region(stage, array, class, &grid.region(block));
                match changed(&rests(region), at) {
                    true => stale.blocks.insert(block),
                    false => fresh.insert(block),
                };
            }
        };
        match root {
            Root::Reduce(_) => known.partials(&keys.blocks).for_each(|(block, at)| look_at(block, at)),
            _ => {
                let stored = known.stored(&keys.blocks).into_iter().flat_map(|s| &s.blocks);
                stored.for_each(|(at, blocks)| blocks.iter().for_each(|block| look_at(block, *at)));
            }
        }
        // Of what was made twice the later counts.
        stale.blocks.retain(|b| !fresh.contains(b));
        if let Some(complete) = known.complete(&keys.whole) {
            let whole = plan.graph.node(array).meta(class).region();
            stale.complete = changed(&rests(whole), complete.at);
        }
        let stale = Arc::new(stale);
        remember(&mut lock(&self.stale), keys.blocks, stale.clone());
        stale
    }
}

fn remember<K: Ord, V>(known: &mut BTreeMap<K, V>, key: K, value: V) {
    if known.len() >= KNOWN {
        known.clear();
    }
    known.insert(key, value);
}

fn look(journal: &Journal, input: &Input, path: &Path) -> Option<Look> {
    let now = read::chunks(path, &InputOptions::of(&input.decl)?)?;
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.into());
    let mut digest = blake3::Hasher::new();
    digest.update(absolute.as_os_str().as_encoded_bytes()).update(format!("{:?}", input.decl.level).as_bytes());
    let key = short(&digest);
    let mut before = Vec::new();
    let mut last: Option<Chunks> = None;
    for &at in journal.known().looks(&key) {
        let then = journal.known().source(at).ok()?;
        // With other metadata all that rests on it has another key.
        before.push((at, if then.rest == now.rest { now.changed_since(&then) } else { Vec::new() }));
        last = Some(then);
    }
    if !journal.is_looked_at() && last.as_ref() != Some(&now) {
        journal.append(&[Entry::Source { key, chunks: now.clone() }]).ok()?;
    }
    Some(Look { rest: now.rest, before })
}

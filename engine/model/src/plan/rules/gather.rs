//! Outputs whose chunks lie across the tiles of what they are made from: a series of images that is to be read pixel by
//! pixel.
//!
//! Block by block each tile would be decoded once for every block that it touches, and each halo computed again. There are
//! three ways, and the cheapest is taken: blocks as the output asks for them; larger ones, into which more of a tile goes;
//! or two steps, as in the algorithm of rechunker (<https://rechunker.readthedocs.io/en/latest/algorithm.html>). The
//! first step writes the array to scratch in blocks that suit the tiles, each of them one shard, so that there are few
//! files; the chunks of a shard are what such a block and one of the second step have in common.

use super::{Effort, Extents, Pass, decide, granule, keep, spill, sweep};
use crate::graph::{Kind, NodeId};
use crate::plan::{Plan, Root, Stage, read_by};
use ops_core::{ArrayMeta, Axis};
use std::collections::{BTreeMap, BTreeSet};

/// What another way has to cost at most, of what blocks as they are asked for cost: estimates are not exact, and it takes
/// memory or room on the disk.
const WORTH: f64 = 0.75;
/// The share of the memory limit, with all threads, that a block which was made larger may take: with it a task holds what
/// it reads, chunks and a shard that is put together.
const SHARE: u64 = 16;
/// Bounds of the bytes of such a block.
const BYTES: (u64, u64) = (1 << 20, 64 << 20);
/// Tasks that are left for each thread.
const TASKS: u64 = 4;

/// How an output is written whose chunks lie across tiles.
pub(super) struct Gathered {
    /// The block, at least, along each axis that blocks cut.
    pub(super) block: Extents,
    /// True where it is read from scratch.
    pub(super) staged: bool,
}

/// Decides for every Zarr output of a pass; arrays that go through scratch are put among what is `stored`, and their
/// outputs among `scratch`.
pub(super) fn apply(
    plan: &mut Plan,
    pass: &Pass,
    classes: &[usize],
    effort: &Effort,
    must: &BTreeMap<NodeId, &'static str>,
    stored: &mut BTreeMap<NodeId, usize>,
    scratch: &mut Vec<usize>,
) -> BTreeMap<usize, Gathered> {
    let mut found = BTreeMap::new();
    let mut staged: BTreeSet<NodeId> = BTreeSet::new();
    for &o in &pass.outputs {
        let out = &plan.graph.outputs[o];
        let n = out.node;
        // What is best for the largest is taken for all.
        let volume = |c: &&usize| plan.graph.node(n).metas.get(**c).map_or(0, ArrayMeta::volume);
        let Some(&class) = classes.iter().max_by_key(volume) else { return found };
        let elsewhere = |id: NodeId| must.contains_key(&id) || pass.imports.contains(&id);
        // A block that is asked for stays what it is.
        let asked_for = !plan.settings.block.is_empty() && !plan.settings.spill;
        if !effort.spill || asked_for || !out.format.is_zarr() || elsewhere(n) {
            continue;
        }
        // Who needs a source that goes through scratch reads it where it is.
        let written = |id: NodeId| stored.contains_key(&id) && !matches!(plan.graph.node(id).kind, Kind::Source(_));
        let from = |id: NodeId| elsewhere(id) || (id != n && written(id));
        let look = Look { plan, classes, class, effort, stored };
        let direct = stage(plan, n, vec![Root::Write(o)], from);
        let tiles = Stage { roots: vec![Root::Keep(n)], ..direct.clone() };
        let asked = granule::choose(plan, &direct, classes, effort.elements).block;
        if !plan.settings.spill && asked == granule::choose(plan, &tiles, classes, effort.elements).block {
            continue;
        }
        let again = stage(plan, n, vec![Root::Write(o)], |id| id == n);
        let Some((way, costs)) = look.cheapest(&direct, &tiles, &again, &asked) else { continue };
        let label = plan.graph.outputs[o].label();
        let choice = match &way {
            Way::Larger(_) => "larger blocks".to_owned(),
            Way::Staged { chunks, .. } => format!("through scratch, in chunks of {}", extents(chunks)),
        };
        match way {
            Way::Larger(block) => {
                found.insert(o, Gathered { block, staged: false });
            }
            Way::Staged { block, chunks, shards } => {
                // Two outputs of one array go through the same scratch.
                if staged.insert(n) {
                    let through = spill::make(plan, n, chunks, Some(shards));
                    stored.insert(n, through);
                    scratch.push(through);
                }
                found.insert(o, Gathered { block, staged: true });
            }
        }
        plan.decisions.push(decide("gather", label, choice, costs));
    }
    found
}

fn extents(of: &[u64]) -> String {
    of.iter().map(u64::to_string).collect::<Vec<_>>().join("x")
}

/// The stage that would make an array, reading what is `from` elsewhere.
pub(super) fn stage(plan: &Plan, domain: NodeId, roots: Vec<Root>, from: impl Fn(NodeId) -> bool) -> Stage {
    let (mut nodes, mut reads) = (BTreeSet::new(), BTreeSet::new());
    let mut todo = BTreeSet::from([domain]);
    while let Some(id) = todo.pop_last() {
        if from(id) {
            reads.insert(id);
        } else {
            nodes.insert(id);
            todo.extend(read_by(&plan.graph, id));
        }
    }
    let (nodes, reads) = (nodes.into_iter().collect(), reads.into_iter().collect());
    Stage { level: 0, roots, nodes, reads, values: Vec::new(), domain, block: Vec::new(), after: Vec::new() }
}

/// Another way to write an output than block by block as it asks for.
enum Way {
    /// In larger blocks.
    Larger(Extents),
    /// Through scratch, from where it is read in these blocks.
    Staged { block: Extents, chunks: Vec<u64>, shards: Vec<u64> },
}

/// What the choice is made from.
struct Look<'a> {
    plan: &'a Plan,
    classes: &'a [usize],
    class: usize,
    effort: &'a Effort,
    stored: &'a BTreeMap<NodeId, usize>,
}

impl Look<'_> {
    /// The cheapest way, with what is printed of the costs; `None` where it is to take blocks as they are `asked` for. In one
    /// step the stage is `direct`; in two it is `tiles`, and what is read `again`.
    fn cheapest(&self, direct: &Stage, tiles: &Stage, again: &Stage, asked: &Extents) -> Option<(Way, String)> {
        let meta = self.plan.graph.node(direct.domain).meta(self.class);
        let volume = meta.volume().max(1) as f64;
        let each = |stage: &Stage, block: &[(Axis, u64)]| {
            let stage = Stage { block: block.to_vec(), ..stage.clone() };
            sweep::nanos(self.plan, self.stored, &stage, self.class, self.effort.cache_share) / volume
        };
        let now = each(direct, asked);
        let (wide, _) = self.blocks(direct, tiles, asked);
        let larger = each(direct, &wide);
        let second = granule::choose(self.plan, again, self.classes, self.effort.elements).block;
        let (second, first) = self.blocks(again, tiles, &second);
        let spilling = meta.dtype.size() as f64 * f64::from(spill::NANOS_PER_BYTE);
        let staged = each(tiles, &first) + spilling;
        let cost = format!("{now:.1} ns an element block by block");
        let cheaper = staged < larger && staged < now * WORTH;
        // Blocks of whole lines and whole chunks at once may be more than memory holds for every thread.
        let (whole, part) = (self.bytes(direct, asked), self.bytes(again, &second).max(self.bytes(tiles, &first)));
        let tight = part <= whole / 2 && whole.saturating_mul(2 * self.threads()) > self.plan.settings.memory / 2;
        if self.plan.settings.spill || cheaper || tight {
            let (chunks, shards) = spill::common(meta, &first, &second);
            let why = match tight {
                true => format!("a block would have {} for each thread; {staged:.1} ns an element", keep::human(whole)),
                false => format!("{cost}, {larger:.1} in larger ones, {staged:.1} in two steps"),
            };
            return Some((Way::Staged { block: second, chunks, shards }, why));
        }
        (larger < now * WORTH).then(|| (Way::Larger(wide), format!("{cost}, {larger:.1} in larger ones")))
    }

    fn threads(&self) -> u64 {
        self.plan.settings.threads.max(1) as u64
    }

    /// Bytes of a block of what a stage writes.
    fn bytes(&self, stage: &Stage, block: &[(Axis, u64)]) -> u64 {
        let meta = self.plan.graph.node(stage.domain).meta(self.class);
        let channels = meta.axes.position(Axis::C).map_or(1, |p| meta.shape[p]);
        let inside = |(axis, n): &(Axis, u64)| (*n).min(self.extent(stage, *axis)).max(1);
        block.iter().map(inside).fold(channels * meta.dtype.size() as u64, u64::saturating_mul)
    }

    /// Extent of the array that is written along an axis.
    fn extent(&self, stage: &Stage, axis: Axis) -> u64 {
        let meta = self.plan.graph.node(stage.domain).meta(self.class);
        meta.axes.position(axis).map_or(1, |p| meta.shape[p]).max(1)
    }

    /// Larger blocks of the output, and blocks that suit the tiles: each reaches towards the other.
    fn blocks(&self, direct: &Stage, tiles: &Stage, asked: &[(Axis, u64)]) -> (Extents, Extents) {
        let meta = self.plan.graph.node(direct.domain).meta(self.class);
        let threads = self.threads();
        let bytes = (self.plan.settings.memory / (SHARE * threads)).clamp(BYTES.0, BYTES.1);
        let most = (bytes / meta.dtype.size() as u64).min(meta.volume() / (TASKS * threads)).max(1);
        let mut first = granule::choose(self.plan, tiles, self.classes, most).block;
        let mut wide = asked.to_vec();
        // Neighbours along the last axis lie close in a tile; what is read first is first along the first.
        let along: Vec<usize> = (0..wide.len()).collect();
        self.grow(direct, &mut wide, &first, along.iter().rev(), most);
        self.grow(direct, &mut first, &wide, along.iter(), most);
        (wide, first)
    }

    /// Makes a block so much larger that it is still whole multiples of what it was and has at most `most` elements, along
    /// the axes along which the other reaches further.
    fn grow<'i>(
        &self,
        stage: &Stage,
        block: &mut [(Axis, u64)],
        other: &[(Axis, u64)],
        along: impl Iterator<Item = &'i usize>,
        most: u64,
    ) {
        let size = self.plan.graph.node(stage.domain).meta(self.class).dtype.size() as u64;
        for &i in along {
            let volume = (self.bytes(stage, block) / size).max(1);
            let (axis, own) = block[i];
            let (want, room) = (other[i].1.min(self.extent(stage, axis)), most / volume);
            if room > 1 && own < want {
                block[i].1 = own.saturating_mul(room.min(want.div_ceil(own.max(1))));
            }
        }
    }
}

//! The projected peak of a run, term by term. It is a bound: what is measured stays below it.

use super::eval::{self, TaskPlan};
use super::{Cache, Group, Plan, Root, Stage};
use crate::formats;
use crate::graph::{Kind, NodeId};
use ops_core::{Pool, Region};
use serde::Serialize;
use smallvec::SmallVec;

/// What the process takes before any task: code, libraries, the op registry, the plan.
const PROCESS: u64 = 20 << 20;
/// What each worker thread takes: stack and the allocator's own caches.
const THREAD: u64 = 1 << 20;
/// What a kept block takes besides its elements: its region, counts and the allocator's share.
const KEPT_BLOCK: u64 = 320;
/// What a kept array takes besides its blocks: its grid and its place in the lists of what is kept.
const KEPT_ARRAY: u64 = 640;
/// Unused buffers are kept for reuse up to what the tasks take, and up to this.
const REUSE: u64 = 32 << 20;
/// A buffer that is given up leaves a gap in the heap that the allocator has for each thread. The pool has so much less.
const GAPS: u64 = 6 << 20;
/// What the record and its subscribers take: queues and buffers of bounded length.
const RECORD: u64 = 8 << 20;

/// What a term depends on, and so what would make it smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Share {
    /// Nothing: the process and its record.
    Program,
    /// The number of threads.
    Threads,
    /// Threads and the size of blocks.
    Tasks,
    /// Items in flight.
    Items,
    /// What passes leave for later ones.
    Passes,
}

/// One term of the sum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Term {
    /// What it depends on.
    #[serde(skip)]
    pub share: Share,
    /// What takes the memory.
    pub what: String,
    /// How many of it there are at once.
    pub count: u64,
    /// Bytes of one.
    pub bytes: u64,
}

/// The projected peak and what it is made of.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Memory {
    /// The sum of all terms.
    pub projected: u64,
    /// The terms of the group that needs most.
    pub terms: Vec<Term>,
    /// Items of a family in flight at once.
    pub window: u64,
    /// Bytes that items in flight may take together; what admission counts against.
    pub item_budget: u64,
    /// Bytes that pooled buffers (blocks, scratch, kept arrays) may take together, in use or not.
    pub pool: u64,
}

impl Memory {
    /// Bytes of all terms of a share.
    pub fn share(&self, share: Share) -> u64 {
        let bytes = self.terms.iter().filter(|t| t.share == share).map(|t| t.count.saturating_mul(t.bytes));
        bytes.fold(0, u64::saturating_add)
    }
}

/// The projected peak of a plan when at most `window` items are in flight.
pub fn project(plan: &Plan, window: u64) -> Memory {
    let threads = plan.settings.threads as u64;
    let mut best = Memory::default();
    for (at, group) in plan.groups.iter().enumerate() {
        let mut terms = vec![
            Term { share: Share::Program, what: "process".into(), count: 1, bytes: PROCESS },
            Term { share: Share::Program, what: "record".into(), count: 1, bytes: RECORD },
            Term { share: Share::Threads, what: "worker thread".into(), count: threads, bytes: THREAD },
        ];
        if plan.settings.waiting > 0 {
            terms.push(Term {
                share: Share::Program,
                what: "spans that wait to be sent".into(),
                count: 1,
                bytes: plan.settings.waiting,
            });
        }
        let (stage, task) = largest_task(plan, group);
        terms.push(Term { share: Share::Tasks, what: format!("task of {stage}"), count: threads, bytes: task });
        terms.push(Term {
            share: Share::Tasks,
            what: "buffers kept for reuse".into(),
            count: 1,
            bytes: REUSE.min(task.saturating_mul(threads)),
        });
        let footprints = item_footprints(plan, group);
        let in_flight = window.min(plan.item_count(group)).max(1);
        let mut left = in_flight;
        let mut item_budget = 0u64;
        for (bytes, count) in &footprints {
            let n = left.min(*count);
            if n > 0 && *bytes > 0 {
                let what = match (group.family, group.caches.is_empty()) {
                    (Some(_), _) => "item in flight",
                    (None, true) => "kept arrays, outputs, reductions",
                    (None, false) => "kept arrays, decoded tiles, outputs, reductions",
                };
                terms.push(Term { share: Share::Items, what: what.into(), count: n, bytes: *bytes });
                item_budget = item_budget.saturating_add(bytes.saturating_mul(n));
            }
            left -= n;
        }
        let carried = carried(plan, at);
        if carried > 0 {
            terms.push(Term {
                share: Share::Passes,
                what: "arrays kept for later passes".into(),
                count: 1,
                bytes: carried,
            });
        }
        let projected = terms.iter().fold(0u64, |s, t| s.saturating_add(t.count.saturating_mul(t.bytes)));
        if projected > best.projected {
            best = Memory { projected, terms, window: in_flight, item_budget, pool: 0 };
        }
    }
    // The same buffers serve all passes, so they are bounded by what the largest leaves them.
    let fixed = PROCESS + RECORD + threads * THREAD + plan.settings.waiting;
    let unpooled = writers(plan, best.window)
        .saturating_add(readers(plan, best.window, threads))
        .saturating_add(writing(plan).saturating_mul(threads));
    let pooled = best.projected.saturating_sub(fixed.saturating_add(unpooled));
    best.pool = pooled - (pooled / 8).min(GAPS.saturating_mul(threads));
    best
}

/// Bytes that open outputs and reductions take, which are not pooled.
fn writers(plan: &Plan, window: u64) -> u64 {
    let per_item = |g: &Group| {
        (0..plan.graph.classes(g.family))
            .map(|c| item_terms(plan, g, c, |r| !matches!(r, Root::Keep(_))))
            .max()
            .unwrap_or(0)
    };
    plan.groups.iter().map(per_item).max().unwrap_or(0).saturating_mul(window)
}

/// The most bytes a task holds while it writes, which are not pooled.
fn writing(plan: &Plan) -> u64 {
    let of = |out: &crate::graph::Output| {
        let metas = &plan.graph.node(out.node).metas;
        metas.iter().map(|m| out.writing_bytes(m).saturating_sub(out.writing_pooled(m))).max().unwrap_or(0)
    };
    plan.graph.outputs.iter().map(of).max().unwrap_or(0)
}

/// Bytes that open sources keep and that reading takes while it lasts, which are not pooled.
fn readers(plan: &Plan, window: u64, threads: u64) -> u64 {
    let of = |g: &Group| {
        let classes = 0..plan.graph.classes(g.family);
        let unpooled = |c: usize| {
            sum(g.caches.iter().filter(|of| !pooled(plan, of.node, of.stored, c)).map(|of| cache(plan, of, c)))
        };
        let kept = classes.clone().map(unpooled).max().unwrap_or(0).saturating_mul(window);
        let stages = || g.stages.iter().map(|&s| plan.stage(s));
        let own = stages().flat_map(|s| s.nodes.iter().map(|n| (*n, false)));
        let all = own.chain(stages().flat_map(|s| s.reads.iter().map(|n| (*n, true))));
        let each = |(n, stored), c| if pooled(plan, n, stored, c) { 0 } else { source_bytes(plan, n, stored, c) };
        let reading = all.flat_map(|n| classes.clone().map(move |c| each(n, c))).max();
        kept.saturating_add(reading.unwrap_or(0).saturating_mul(threads))
    };
    plan.groups.iter().map(of).max().unwrap_or(0)
}

/// Bytes of decoded tiles kept for an item of a class.
fn cached(plan: &Plan, group: &Group, class: usize) -> u64 {
    sum(group.caches.iter().map(|of| cache(plan, of, class)))
}

fn sum(bytes: impl Iterator<Item = u64>) -> u64 {
    bytes.fold(0, u64::saturating_add)
}

/// Bytes of decoded tiles kept of one source.
fn cache(plan: &Plan, of: &Cache, class: usize) -> u64 {
    match plan.graph.node(of.node).kind {
        Kind::Source(input) if !of.stored => of.bytes.min(plan.graph.source(input, class).cache_bytes),
        _ => of.bytes,
    }
}

/// True where what is read of a node, or of where it was `stored`, lies in buffers of the pool, and what is kept of that.
fn pooled(plan: &Plan, node: NodeId, stored: bool, class: usize) -> bool {
    match plan.graph.node(node).kind {
        Kind::Source(input) if !stored => plan.graph.source(input, class).pooled,
        _ => plan.stored.get(&node).is_some_and(|&o| plan.graph.outputs[o].reads_pooled()),
    }
}

/// Bytes one item of a class takes in a group while it is in flight: kept arrays, decoded tiles, open outputs,
/// reductions.
pub fn item_bytes(plan: &Plan, group: &Group, class: usize) -> u64 {
    item_terms(plan, group, class, |_| true).saturating_add(cached(plan, group, class))
}

fn item_terms(plan: &Plan, group: &Group, class: usize, counted: impl Fn(Root) -> bool) -> u64 {
    let mut sum = 0u64;
    for &s in group.stages_of(class) {
        let stage = plan.stage(s);
        let grid = plan.grid(stage, class);
        for &root in stage.roots.iter().filter(|r| counted(**r)) {
            sum = sum.saturating_add(match root {
                Root::Keep(n) if group.exports.contains(&n) => 0,
                Root::Keep(n) => kept_bytes(plan, n, class) + source_bytes(plan, n, false, class),
                Root::Reduce(n) => reduce_bytes(plan, n, class),
                Root::Write(o) => {
                    let out = &plan.graph.outputs[o];
                    let meta = plan.graph.node(out.node).meta(class);
                    let block = plan.region(stage, out.node, class, &grid.region(0));
                    let extent: Vec<u64> = (0..block.rank()).map(|a| block.len(a) as u64).collect();
                    if out.format.is_table() { 0 } else { formats::write_bytes(out.format, meta, &extent) }
                }
            });
        }
    }
    sum
}

/// A kept array: its blocks, rounded up by the pool by at most a sixteenth, and what stands around each.
pub(super) fn kept_bytes(plan: &Plan, n: NodeId, class: usize) -> u64 {
    let (bytes, family) = (plan.graph.node(n).meta(class).bytes(), plan.graph.node(n).family);
    let stages = plan.groups.iter().filter(|g| g.family == family).flat_map(|g| g.stages_of(class));
    let mut stages = stages.map(|s| plan.stage(*s));
    let stage = stages.find(|s| s.roots.contains(&Root::Keep(n)));
    let blocks = stage.map_or(1, |s| plan.grid(s, class).count());
    bytes.saturating_add(bytes / 16).saturating_add(KEPT_ARRAY).saturating_add(blocks.saturating_mul(KEPT_BLOCK))
}

/// What decoding a source, or an array read from where it was `stored`, takes besides the block it fills.
fn source_bytes(plan: &Plan, n: NodeId, stored: bool, class: usize) -> u64 {
    match plan.graph.node(n).kind {
        Kind::Source(input) if !stored => plan.graph.source(input, class).read_bytes,
        _ if plan.stored.contains_key(&n) => {
            let (out, meta) = (&plan.graph.outputs[plan.stored[&n]], plan.graph.node(n).meta(class));
            out.reading_bytes(meta)
        }
        _ => 0,
    }
}

fn reduce_bytes(plan: &Plan, n: NodeId, class: usize) -> u64 {
    match &plan.graph.node(n).kind {
        Kind::Reduce(op, _) => op.state_bytes(&plan.graph.ports(n, class)),
        _ => 0,
    }
}

/// Footprints of a group's items, largest first, with how many items have each.
fn item_footprints(plan: &Plan, group: &Group) -> Vec<(u64, u64)> {
    let counts = plan.class_counts(group);
    let mut v: Vec<(u64, u64)> =
        counts.iter().enumerate().filter(|(_, n)| **n > 0).map(|(c, n)| (item_bytes(plan, group, c), *n)).collect();
    v.sort_by_key(|b| std::cmp::Reverse(b.0));
    v
}

/// Bytes of exported arrays that are alive while group number `at` runs.
fn carried(plan: &Plan, at: usize) -> u64 {
    let mut sum = 0u64;
    for (made, group) in plan.groups.iter().enumerate().take(at + 1) {
        for &n in &group.exports {
            let released = plan.groups.iter().position(|g| g.releases.contains(&n)).unwrap_or(usize::MAX);
            if made <= at && at <= released {
                let counts = plan.class_counts(group);
                sum = counts
                    .iter()
                    .enumerate()
                    .filter(|(_, items)| **items > 0)
                    .fold(sum, |s, (c, items)| s.saturating_add(kept_bytes(plan, n, c).saturating_mul(*items)));
            }
        }
    }
    for handed in plan.handed_on.iter().filter(|h| h.from <= at && at <= h.to) {
        sum = sum.saturating_add(handed.bytes);
    }
    sum
}

/// The stage whose tasks hold most bytes, and how many.
fn largest_task(plan: &Plan, group: &Group) -> (String, u64) {
    let mut best = (String::new(), 0);
    let counts = plan.class_counts(group);
    for class in (0..counts.len()).filter(|c| counts[*c] > 0) {
        for &s in group.stages_of(class) {
            let stage = plan.stage(s);
            let bytes = stage_task_bytes(plan, stage, class);
            if bytes > best.1 {
                best = (plan.stage_name(stage), bytes);
            }
        }
    }
    best
}

/// The most a task of a stage holds: the first, middle and last block along each axis are evaluated.
fn stage_task_bytes(plan: &Plan, stage: &Stage, class: usize) -> u64 {
    let grid = plan.grid(stage, class);
    let counts = grid.counts();
    if grid.count() == 0 {
        return 0;
    }
    let mut samples = vec![0u64];
    for &n in &counts {
        let picks = [0, (n / 2).min(n - 1), 1.min(n - 1), n.saturating_sub(2), n - 1];
        let mut next = Vec::new();
        for s in &samples {
            for (i, p) in picks.iter().enumerate() {
                if !picks[..i].contains(p) {
                    next.push(s * n + p);
                }
            }
        }
        samples = next;
    }
    samples
        .into_iter()
        .map(|b| task_bytes(plan, stage, &eval::task(plan, stage, 0, class, &grid.region(b)), class))
        .max()
        .unwrap_or(0)
}

fn block_bytes(plan: &Plan, n: NodeId, class: usize, region: &Region) -> u64 {
    Pool::rounded(region.volume().saturating_mul(plan.graph.node(n).meta(class).dtype.size() as u64))
}

/// The most a task holds at any moment of its evaluation.
pub fn task_bytes(plan: &Plan, stage: &Stage, task: &TaskPlan, class: usize) -> u64 {
    let mut live: Vec<u64> = vec![0; task.pieces.len()];
    let mut uses: Vec<u32> = task.pieces.iter().map(|p| p.uses).collect();
    let (mut now, mut peak) = (0u64, 0u64);
    let assembled = |node: NodeId, needs: &ops_core::Needs, from: &[SmallVec<[u32; 1]>]| -> u64 {
        let one_each = |(need, from): (&ops_core::Need, &SmallVec<[u32; 1]>)| {
            let producer = plan.graph.node(node).arrays[need.input];
            let given = need.boundary.given(&need.region, &plan.graph.node(producer).meta(class).region());
            match from.as_slice() {
                [one] if task.pieces[*one as usize].region == given => 0,
                _ => block_bytes(plan, producer, class, &given),
            }
        };
        needs.iter().zip(from).map(one_each).sum()
    };
    for (i, piece) in task.pieces.iter().enumerate() {
        let mut extra = 0;
        if piece.read {
            extra += source_bytes(plan, piece.node, stage.reads.contains(&piece.node), class);
        } else if let Kind::Map(op) | Kind::Join(op) = &plan.graph.node(piece.node).kind {
            let ports = plan.graph.ports(piece.node, class);
            extra += assembled(piece.node, &piece.needs, &piece.from) + op.scratch_bytes(&ports, &piece.region);
        }
        live[i] = block_bytes(plan, piece.node, class, &piece.region);
        now += live[i];
        peak = peak.max(now + extra);
        for &p in piece.from.iter().flatten() {
            uses[p as usize] -= 1;
            if uses[p as usize] == 0 {
                now -= live[p as usize];
            }
        }
    }
    let writing = |root: Root| match root {
        Root::Write(o) => {
            let out = &plan.graph.outputs[o];
            out.writing_bytes(plan.graph.node(out.node).meta(class))
        }
        _ => 0,
    };
    // What the journal is told of partials, until the task ends, and then once more in the form of its file.
    let mut packed = 0;
    for root in &task.roots {
        if let Root::Reduce(n) = root.root
            && let Kind::Reduce(op, _) = &plan.graph.node(n).kind
        {
            let ports = plan.graph.ports(n, class);
            let partial = op.partial_bytes(&ports, &root.region);
            // Numbers of variable length take a quarter more at most.
            packed += partial + partial / 4;
            peak = peak.max(now + assembled(n, &root.needs, &root.from) + partial + packed);
        } else if let Some(&at) = root.from.first().and_then(|f| f.first()) {
            let piece = &task.pieces[at as usize];
            // Cut to the block before it is kept or written.
            let cut = if piece.region == root.region { 0 } else { block_bytes(plan, piece.node, class, &root.region) };
            peak = peak.max(now + packed + cut + writing(root.root));
        }
    }
    peak.max(2 * packed)
}

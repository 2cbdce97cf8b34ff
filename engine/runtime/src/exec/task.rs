//! Evaluates one task: a block of a stage through its whole chain of ops.

use super::clock::{Clock, thread_cpu};
use super::item::{ItemData, lock};
use super::outputs::Outputs;
use super::resume::Resume;
use super::sources;
use crate::event::{Action, ActionKind, Cause, Failure, OpTime};
use crate::journal::Entry;
use crate::schedule::Task;
use crate::store::{ArrayWriter, StoreError};
use engine_model::graph::{Kind, NodeId};
use engine_model::plan::eval::{self, Piece, RootPiece};
use engine_model::plan::{Plan, Root, Stage};
use engine_model::spec::workflow::OnError;
use ops_core::{Block, MapCall, Needs, OpError, Pool, ReduceCall, Value, Warning, Warnings};
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, RwLock};

/// What the tasks of a run share.
pub struct Context<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// Names and opens outputs.
    pub outputs: &'a Outputs,
    /// Buffers.
    pub pool: &'a Pool,
    /// Time.
    pub clock: Clock,
    /// True to take the CPU time of every op.
    pub cpu_profile: bool,
    /// Values of collections and of what is single.
    pub values: RwLock<BTreeMap<NodeId, Value>>,
    /// What an earlier run left, and where this one tells what is done; `None` keeps no journal.
    pub resume: Option<Resume<'a>>,
    /// Arrays that earlier groups left, exported or handed on, by node and item.
    pub exports: RwLock<BTreeMap<(NodeId, u64), Arc<super::item::Kept>>>,
}

/// What a task that went well reports.
#[derive(Debug, Default)]
pub struct Done {
    /// Bytes it made: kept, written or reduced.
    pub nbytes: u64,
    /// Bytes read from storage.
    pub bytes_read: u64,
    /// Bytes that reached storage.
    pub bytes_written: u64,
    /// What its time went to.
    pub actions: SmallVec<[Action; 3]>,
    /// Its ops.
    pub ops: SmallVec<[OpTime; 4]>,
    /// What nodes warned of.
    pub warnings: Vec<(u32, Warning)>,
    /// What the journal is to tell of it.
    entries: Vec<Entry>,
}

/// Why a task failed, before it is dressed with names.
pub struct Failed {
    /// The node.
    pub node: NodeId,
    /// The region.
    pub region: String,
    /// The file.
    pub path: Option<PathBuf>,
    /// The kind.
    pub cause: Cause,
    /// The message.
    pub message: String,
}

impl Failed {
    /// The failure with the names a user knows.
    pub fn named(self, plan: &Plan, item: u64, keep_going: bool) -> Failure {
        let n = plan.graph.node(self.node);
        let family = n.family.or_else(|| n.arrays.iter().find_map(|&a| plan.graph.node(a).family));
        let left_out = n.family.is_some_and(|f| keep_going || plan.graph.input(f).decl.on_error == OnError::Skip);
        Failure {
            step: n.label(),
            op: n.op.clone(),
            item: family.map(|f| plan.graph.input(f).items.stem(item)),
            region: self.region,
            path: self.path.or_else(|| family.and_then(|f| plan.graph.input(f).items.path(item))),
            cause: self.cause,
            message: self.message,
            left_out,
        }
    }
}

/// The failure of a store.
pub fn store_failed(node: NodeId, region: String, e: StoreError) -> Failed {
    let (path, cause) = match &e {
        StoreError::Corrupt { path, .. } | StoreError::Unsupported { path, .. } | StoreError::NotOne { path, .. } => {
            (path.clone(), Cause::BadData)
        }
        StoreError::Io { path, kind, .. } => {
            (path.clone(), if *kind == std::io::ErrorKind::StorageFull { Cause::DiskFull } else { Cause::Io })
        }
    };
    Failed { node, region, path: Some(path), cause, message: e.to_string() }
}

/// The failure of an op.
pub fn op_failed(node: NodeId, region: String, e: OpError) -> Failed {
    let cause = if matches!(e, OpError::Internal(_)) { Cause::Bug } else { Cause::BadData };
    Failed { node, region, path: None, cause, message: e.to_string() }
}

/// A block that a piece made: its own, or a kept one.
enum Made {
    Own(Block),
    Shared(Arc<Block>),
    Freed,
}

impl Made {
    fn block(&self) -> Option<&Block> {
        match self {
            Made::Own(b) => Some(b),
            Made::Shared(b) => Some(b),
            Made::Freed => None,
        }
    }
}

/// One task being evaluated.
struct Evaluation<'a> {
    cx: &'a Context<'a>,
    stage: &'a Stage,
    data: &'a ItemData,
    pieces: Vec<Piece>,
    made: Vec<Made>,
    done: Done,
}

/// Runs one task.
///
/// # Errors
/// What its first op, source or output that failed says.
pub fn run(cx: &Context<'_>, data: &ItemData, task: &Task) -> Result<Done, Failed> {
    let stage = cx.plan.stage(task.stage);
    if handed_on(stage, data, task.block) {
        return Ok(Done::default());
    }
    let block = cx.plan.grid(stage, task.class).region(task.block);
    let done = |root| cx.resume.as_ref().is_some_and(|r| root_done(r, cx.plan, data, root, task.block));
    let stored = |node| data.stored.contains_key(&node);
    let eval::TaskPlan { pieces, roots } = eval::rest(cx.plan, stage, task.item, task.class, &block, done, stored);
    let mut e = Evaluation { cx, stage, data, made: Vec::with_capacity(pieces.len()), pieces, done: Done::default() };
    for i in 0..e.pieces.len() {
        e.piece(i)?;
    }
    // Kept blocks last: the last user of a block takes it, others copy.
    for root in roots.iter().rev() {
        e.root(root, task)?;
    }
    if let (Some(resume), false) = (&cx.resume, e.done.entries.is_empty()) {
        let entries = std::mem::take(&mut e.done.entries);
        let node = cx.plan.root_node(stage.roots[0]);
        resume.journal().append(&entries).map_err(|e| journal_failed(resume, node, &e))?;
    }
    Ok(e.done)
}

/// The failure of the journal.
pub fn journal_failed(resume: &Resume<'_>, node: NodeId, e: &std::io::Error) -> Failed {
    let path = resume.journal().path();
    store_failed(node, String::new(), crate::store::read::io(path, "writing the journal", e))
}

/// True when an earlier run left all that a task would make.
pub fn is_done(cx: &Context<'_>, data: &ItemData, task: &Task) -> bool {
    let Some(resume) = &cx.resume else { return false };
    cx.plan.stage(task.stage).roots.iter().all(|root| root_done(resume, cx.plan, data, *root, task.block))
}

/// True when an earlier run left a block of a root, or nobody needs it any more.
fn root_done(resume: &Resume<'_>, plan: &Plan, data: &ItemData, root: Root, block: u64) -> bool {
    let has = |root| data.roots.get(&root).is_some_and(|r| resume.has(root, &r.keys, r.state, block));
    match root {
        Root::Keep(n) => data.unneeded.contains(&n) || data.backed.get(&n).is_some_and(|by| has(*by)),
        _ => has(root) || data.needs_not(plan, root),
    }
}

/// True when an earlier group left all that the task would keep.
fn handed_on(stage: &Stage, data: &ItemData, block: u64) -> bool {
    stage.roots.iter().all(|r| matches!(r, Root::Keep(n) if data.kept.get(n).is_some_and(|k| k.has(block))))
}

impl Evaluation<'_> {
    fn timed<T>(
        &mut self,
        node: NodeId,
        kind: ActionKind,
        work: impl FnOnce(&mut Self) -> Result<(T, u64), Failed>,
    ) -> Result<T, Failed> {
        let cpu = if self.cx.cpu_profile { thread_cpu() } else { 0 };
        let start = self.cx.clock.now();
        let (value, bytes) = work(self)?;
        let stop = self.cx.clock.now();
        let cpu = if self.cx.cpu_profile { thread_cpu().saturating_sub(cpu) } else { 0 };
        self.done.ops.push(OpTime { node: node.0, start, stop, cpu, bytes });
        match self.done.actions.last_mut() {
            Some(last) if last.kind == kind => last.stop = stop,
            _ => self.done.actions.push(Action { kind, start, stop }),
        }
        Ok(value)
    }

    fn piece(&mut self, i: usize) -> Result<(), Failed> {
        let node = self.pieces[i].node;
        let in_memory = self.data.kept.contains_key(&node) || !self.cx.plan.stored.contains_key(&node);
        let kept = self.pieces[i].read && self.stage.reads.contains(&node) && in_memory;
        let made = if kept {
            Made::Shared(self.kept(i)?)
        } else if self.pieces[i].read {
            self.timed(node, ActionKind::DiskRead, |e| {
                let b = e.source(i)?;
                let bytes = b.bytes().len() as u64;
                Ok((Made::Own(b), bytes))
            })?
        } else {
            self.timed(node, ActionKind::Compute, |e| {
                let b = e.compute(i)?;
                let bytes = b.bytes().len() as u64;
                Ok((Made::Own(b), bytes))
            })?
        };
        self.made.push(made);
        let from = std::mem::take(&mut self.pieces[i].from);
        self.free(from.iter().flatten().copied());
        Ok(())
    }

    fn free(&mut self, used: impl Iterator<Item = u32>) {
        for p in used {
            let piece = &mut self.pieces[p as usize];
            piece.uses -= 1;
            if piece.uses == 0 {
                self.made[p as usize] = Made::Freed;
            }
        }
    }

    fn kept(&self, i: usize) -> Result<Arc<Block>, Failed> {
        let p = &self.pieces[i];
        let kept = self.data.kept.get(&p.node).cloned().or_else(|| {
            let exports = self.cx.exports.read().unwrap_or_else(std::sync::PoisonError::into_inner);
            exports.get(&(p.node, p.item)).cloned()
        });
        let block = match kept {
            Some(k) => k.get(&p.region, self.cx.pool),
            None => Ok(None),
        };
        block.map_err(|e| store_failed(p.node, p.region.to_string(), e))?.ok_or_else(|| {
            let e = OpError::Internal("a kept array was gone before its last use".into());
            op_failed(p.node, p.region.to_string(), e)
        })
    }

    fn source(&mut self, i: usize) -> Result<Block, Failed> {
        let p = &self.pieces[i];
        if let Some(reader) = self.data.stored.get(&p.node) {
            let read = reader.read(&p.region, self.cx.pool);
            let (block, bytes) = read.map_err(|e| store_failed(p.node, p.region.to_string(), e))?;
            self.done.bytes_read += bytes;
            return Ok(block);
        }
        if let Some(&o) = self.cx.plan.stored.get(&p.node).filter(|_| self.stage.reads.contains(&p.node)) {
            let cache = self.cx.plan.groups[self.data.group].cache(p.node, true);
            let reader = self.data.written(self.cx.plan, self.cx.outputs, o, cache);
            let read = reader.and_then(|r| r.read(&p.region, self.cx.pool));
            let (block, bytes) = read.map_err(|e| store_failed(p.node, p.region.to_string(), e))?;
            self.done.bytes_read += bytes;
            return Ok(block);
        }
        let Kind::Source(input) = self.cx.plan.graph.node(p.node).kind else {
            return Err(op_failed(p.node, String::new(), OpError::Internal("reads what is no source".into())));
        };
        let failed = |e| store_failed(p.node, p.region.to_string(), e);
        let input = self.cx.plan.graph.input(input);
        let (cx, group, path) = (self.cx, self.data.group, input.items.path(p.item));
        let open = |cache| {
            if let (Some(resume), Some(path)) = (&cx.resume, &path) {
                let told = resume.opened(cx.plan, group, p.node, path);
                told.map_err(|e| journal_failed(resume, p.node, &e))?;
            }
            sources::open(input, p.item, cache).map(Arc::from).map_err(failed)
        };
        let reader = match self.data.readers.get(&p.node) {
            // Two threads may open it at once; one of them wins, both are right.
            Some(slot) => match slot.reader.get() {
                Some(r) => r.clone(),
                None => {
                    let opened = open(slot.cache)?;
                    slot.reader.get_or_init(|| opened).clone()
                }
            },
            None => open(0)?,
        };
        let (block, bytes) = reader.read(&p.region, self.cx.pool).map_err(failed)?;
        self.done.bytes_read += bytes;
        Ok(block)
    }

    /// The values a node consumes: its item's own, else those of collections and of what is single.
    fn values(&self, node: NodeId) -> Result<SmallVec<[Value; 2]>, Failed> {
        let n = self.cx.plan.graph.node(node);
        n.values
            .iter()
            .map(|v| {
                let own = self.data.values.get(v).and_then(|s| s.get()).cloned();
                own.or_else(|| self.cx.values.read().unwrap_or_else(std::sync::PoisonError::into_inner).get(v).cloned())
                    .ok_or_else(|| {
                        let e = OpError::Internal("a value was used before it was there".into());
                        op_failed(node, String::new(), e)
                    })
            })
            .collect()
    }

    fn compute(&mut self, i: usize) -> Result<Block, Failed> {
        let p = &self.pieces[i];
        let n = self.cx.plan.graph.node(p.node);
        let (Kind::Map(op) | Kind::Join(op)) = &n.kind else {
            return Err(op_failed(p.node, String::new(), OpError::Internal("computes what is no map".into())));
        };
        let class = self.data.class;
        let ports = self.cx.plan.graph.ports(p.node, class);
        let values = self.values(p.node)?;
        let mut own: SmallVec<[Option<Block>; 2]> = SmallVec::new();
        self.assemble(p.node, &p.needs, &p.from, &mut own)?;
        let blocks = self.blocks(&p.from, &own);
        let meta = n.meta(class);
        let mut out = Block::take(self.cx.pool, meta.dtype, p.region.clone());
        let warnings = Warnings::default();
        let call =
            MapCall { ports: &ports, meta, blocks: &blocks, values: &values, pool: self.cx.pool, warnings: &warnings };
        op.apply(&call, &mut out).map_err(|e| op_failed(p.node, p.region.to_string(), e))?;
        let node = p.node.0;
        drop(blocks);
        for warning in warnings.take() {
            if !self.done.warnings.contains(&(node, warning)) {
                self.done.warnings.push((node, warning));
            }
        }
        Ok(out)
    }

    /// Builds the blocks of those needs that no single piece serves as it is.
    fn assemble(
        &self,
        node: NodeId,
        needs: &Needs,
        from: &[SmallVec<[u32; 1]>],
        own: &mut SmallVec<[Option<Block>; 2]>,
    ) -> Result<(), Failed> {
        let graph = &self.cx.plan.graph;
        for (need, from) in needs.iter().zip(from) {
            let producer = graph.node(graph.node(node).arrays[need.input]);
            let meta = producer.meta(self.data.class);
            let array = meta.region();
            let given = need.boundary.given(&need.region, &array);
            let as_it_is = matches!(from.as_slice(), [one] if self.made[*one as usize].block().is_some_and(|b| *b.region() == given));
            own.push(if as_it_is {
                None
            } else {
                let parts: SmallVec<[&Block; 4]> = from.iter().filter_map(|&f| self.made[f as usize].block()).collect();
                if parts.len() != from.len() {
                    let e = OpError::Internal("a block was freed before its last use".into());
                    return Err(op_failed(node, given.to_string(), e));
                }
                Some(need.boundary.assemble(self.cx.pool, &need.region, &array, &parts, meta.dtype))
            });
        }
        Ok(())
    }

    fn blocks<'b>(&'b self, from: &[SmallVec<[u32; 1]>], own: &'b [Option<Block>]) -> SmallVec<[&'b Block; 4]> {
        from.iter()
            .zip(own)
            .filter_map(|(from, own)| match own {
                Some(b) => Some(b),
                None => from.first().and_then(|&f| self.made[f as usize].block()),
            })
            .collect()
    }

    fn root(&mut self, root: &RootPiece, task: &Task) -> Result<(), Failed> {
        match root.root {
            Root::Reduce(n) => {
                let bytes = self.timed(n, ActionKind::Compute, |e| {
                    e.reduce(n, root, task.block)?;
                    Ok((0, 0))
                })?;
                self.done.nbytes += bytes;
            }
            Root::Write(o) => {
                let n = self.cx.plan.graph.outputs[o].node;
                self.timed(n, ActionKind::DiskWrite, |e| {
                    let written = e.write(o, root, task.block)?;
                    e.done.bytes_written += written;
                    e.cx.outputs.wrote(o, written);
                    Ok(((), written))
                })?;
                self.done.nbytes +=
                    root.region.volume() * self.cx.plan.graph.node(n).meta(task.class).dtype.size() as u64;
            }
            Root::Keep(n) => {
                let at = root.from.first().and_then(|f| f.first()).copied();
                let block = at.and_then(|at| self.take(at, root));
                if let (Some(block), Some(kept)) = (block, self.data.kept.get(&n)) {
                    self.done.nbytes += block.bytes().len() as u64;
                    kept.put(task.block, block);
                }
            }
        }
        self.free(root.from.iter().flatten().copied());
        Ok(())
    }

    /// The root's block: the piece itself when nothing else uses it and it is just that region, else a copy.
    fn take(&mut self, at: u32, root: &RootPiece) -> Option<Block> {
        let last = self.pieces[at as usize].uses == 1;
        let slot = &mut self.made[at as usize];
        match slot {
            Made::Own(b) if last && *b.region() == root.region => match std::mem::replace(slot, Made::Freed) {
                Made::Own(b) => Some(b),
                _ => None,
            },
            other => other.block().map(|b| b.cut(self.cx.pool, &root.region)),
        }
    }

    fn reduce(&mut self, n: NodeId, root: &RootPiece, block: u64) -> Result<(), Failed> {
        let Kind::Reduce(op, _) = &self.cx.plan.graph.node(n).kind else {
            return Err(op_failed(n, String::new(), OpError::Internal("reduces what is no reduction".into())));
        };
        let ports = self.cx.plan.graph.ports(n, self.data.class);
        let values = self.values(n)?;
        let mut own: SmallVec<[Option<Block>; 2]> = SmallVec::new();
        self.assemble(n, &root.needs, &root.from, &mut own)?;
        let blocks = self.blocks(&root.from, &own);
        let failed = |e| op_failed(n, root.region.to_string(), e);
        let mut partial = op.start(&ports);
        let call =
            ReduceCall { ports: &ports, region: &root.region, blocks: &blocks, values: &values, pool: self.cx.pool };
        op.add(&call, &mut partial).map_err(failed)?;
        let packed = match self.data.roots.get(&root.root) {
            Some(r) => Some(Entry::Partial { key: r.keys.blocks, block, bytes: op.pack(&partial).map_err(failed)? }),
            None => None,
        };
        if let Some(slot) = self.data.partials.get(&n) {
            let mut slot = lock(slot);
            match slot.as_mut() {
                Some(into) => op.merge(into, partial).map_err(failed)?,
                None => *slot = Some(partial),
            }
        }
        drop(blocks);
        self.done.entries.extend(packed);
        Ok(())
    }

    fn write(&mut self, o: usize, root: &RootPiece, number: u64) -> Result<u64, Failed> {
        let n = self.cx.plan.graph.outputs[o].node;
        let failed = |e| store_failed(n, root.region.to_string(), e);
        let Some(open) = self.data.outputs.get(&o) else { return Ok(0) };
        let writer = {
            let mut slot = lock(&open.writer);
            match slot.as_ref() {
                Some(w) => w.clone(),
                None => {
                    let w = open_output(self.cx, self.data, self.stage, o)?;
                    slot.insert(w).clone()
                }
            }
        };
        let Some(at) = root.from.first().and_then(|f| f.first()).copied() else { return Ok(0) };
        let Some(block) = self.made[at as usize].block() else { return Ok(0) };
        let written = if *block.region() == root.region {
            writer.write(block).map_err(failed)?
        } else {
            writer.write(&block.cut(self.cx.pool, &root.region)).map_err(failed)?
        };
        if let Some(r) = self.data.roots.get(&root.root)
            && writer.resumable()
        {
            self.done.entries.push(Entry::Written { key: r.keys.blocks, block: number });
        }
        Ok(written)
    }
}

/// Opens an output of an item: taken up where an earlier run left it, or begun.
///
/// # Errors
/// When its directory or file can't be made, or the journal can't be told of it.
pub fn open_output(cx: &Context<'_>, data: &ItemData, stage: &Stage, o: usize) -> Result<Arc<dyn ArrayWriter>, Failed> {
    let (plan, node) = (cx.plan, cx.plan.graph.outputs[o].node);
    let journaled = cx.resume.as_ref().zip(data.roots.get(&Root::Write(o)));
    let elements = journaled.as_ref().map_or(0, |(resume, root)| {
        let grid = plan.grid(stage, data.class);
        let volume = |b| plan.region(stage, node, data.class, &grid.region(b)).volume();
        resume.stored(&root.keys, grid.count()).map(volume).sum()
    });
    if let (Some((resume, root)), 0) = (journaled, elements) {
        let path = cx.outputs.path(plan, o, data.item);
        resume.begun(&root.keys, &path).map_err(|e| journal_failed(resume, node, &e))?;
    }
    let writer = cx.outputs.open(plan, o, data.item, data.class, elements > 0);
    let writer = writer.map_err(|e| store_failed(node, String::new(), e))?;
    writer.resumed(elements);
    Ok(writer)
}

//! Evaluates one task: a block of a stage through its whole chain of ops.

use super::clock::{Clock, thread_cpu};
use super::failed::{Failed, journal_failed, op_failed};
use super::item::ItemData;
use super::outputs::Outputs;
use super::resume::Resume;
use crate::event::{Action, ActionKind, OpTime};
use crate::journal::Entry;
use crate::schedule::Task;
use engine_model::graph::{Kind, NodeId};
use engine_model::plan::eval::{self, Piece};
use engine_model::plan::{Plan, Root, Stage};
use ops_core::{Block, MapCall, Needs, OpError, Pool, Value, Warning, Warnings};
use smallvec::SmallVec;
use std::collections::BTreeMap;
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
    pub exports: RwLock<BTreeMap<(NodeId, u64), Arc<super::kept::Kept>>>,
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
    pub(super) entries: Vec<Entry>,
}

/// A block that a piece made: its own, or a kept one.
pub(super) enum Made {
    Own(Block),
    Shared(Arc<Block>),
    Freed,
}

impl Made {
    pub(super) fn block(&self) -> Option<&Block> {
        match self {
            Made::Own(b) => Some(b),
            Made::Shared(b) => Some(b),
            Made::Freed => None,
        }
    }
}

/// One task being evaluated.
pub(super) struct Evaluation<'a> {
    pub(super) cx: &'a Context<'a>,
    pub(super) stage: &'a Stage,
    pub(super) data: &'a ItemData,
    pub(super) pieces: Vec<Piece>,
    pub(super) made: Vec<Made>,
    pub(super) done: Done,
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
    pub(super) fn timed<T>(
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

    pub(super) fn free(&mut self, used: impl Iterator<Item = u32>) {
        for p in used {
            let piece = &mut self.pieces[p as usize];
            piece.uses -= 1;
            if piece.uses == 0 {
                self.made[p as usize] = Made::Freed;
            }
        }
    }

    /// The values a node consumes: its item's own, else those of collections and of what is single.
    pub(super) fn values(&self, node: NodeId) -> Result<SmallVec<[Value; 2]>, Failed> {
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
    pub(super) fn assemble(
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

    pub(super) fn blocks<'b>(
        &'b self,
        from: &[SmallVec<[u32; 1]>],
        own: &'b [Option<Block>],
    ) -> SmallVec<[&'b Block; 4]> {
        from.iter()
            .zip(own)
            .filter_map(|(from, own)| match own {
                Some(b) => Some(b),
                None => from.first().and_then(|&f| self.made[f as usize].block()),
            })
            .collect()
    }
}

//! What a task leaves: a kept block, a part of a reduction, a block of an output.

use super::failed::{Failed, journal_failed, op_failed, store_failed};
use super::item::{ItemData, lock};
use super::task::{Context, Evaluation, Made};
use crate::event::ActionKind;
use crate::journal::Entry;
use crate::schedule::Task;
use crate::store::ArrayWriter;
use engine_model::graph::{Kind, NodeId};
use engine_model::plan::eval::RootPiece;
use engine_model::plan::{Root, Stage};
use ops_core::{Block, OpError, ReduceCall};
use smallvec::SmallVec;
use std::sync::Arc;

impl Evaluation<'_> {
    pub(super) fn root(&mut self, root: &RootPiece, task: &Task) -> Result<(), Failed> {
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

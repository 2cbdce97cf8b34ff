//! How a task gets what it does not compute: from memory, from an input, or from where the run wrote it.

use super::failed::{Failed, journal_failed, op_failed, store_failed};
use super::sources;
use super::task::Evaluation;
use engine_model::graph::Kind;
use ops_core::{Block, OpError};
use std::sync::Arc;

impl Evaluation<'_> {
    pub(super) fn kept(&self, i: usize) -> Result<Arc<Block>, Failed> {
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

    pub(super) fn source(&mut self, i: usize) -> Result<Block, Failed> {
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
}

//! The reference interpreter: evaluates a lowered op in memory, block by block.
//!
//! It is the plainest reading of what a lowering means, and no engine: every intermediate is a whole array, nothing is
//! fused, each node has a block grid of its own. The battery runs it whole and cut up; the runtime can be held
//! against it.

use super::nodes::{MapNode, Reducing, at, blocks_of, broken};
use super::{Array, Held, Rng};
use crate::lower::Kind;
use crate::{Block, Lowering, Op, OpError, Port, PortMeta, Region, Scope, Warning};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How arrays are cut into blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blocks {
    /// One block covers everything.
    Whole,
    /// Every element is a block.
    Ones,
    /// Extents 5, 3 and 7 in turn.
    Prime,
    /// Extents beyond those of the array.
    Larger,
    /// Random extents, another for each node.
    Random,
}

/// How an op is evaluated.
#[derive(Debug, Clone, Copy)]
pub struct How {
    /// Decides random extents, orders and partitions.
    pub seed: u64,
    /// The blocks.
    pub blocks: Blocks,
    /// Threads that compute blocks at once.
    pub threads: usize,
    /// The byte that output blocks and pool buffers are filled with beforehand.
    pub garbage: u8,
}

/// Why an evaluation has no result.
#[derive(Debug, Clone)]
pub enum Failure {
    /// The parameters were refused.
    Parse(String),
    /// The op refused its inputs or their data.
    Op(OpError),
    /// The op panicked.
    Panic(String),
}

impl From<OpError> for Failure {
    fn from(e: OpError) -> Failure {
        Failure::Op(e)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Parse(e) => write!(f, "parameters refused: {e}"),
            Failure::Op(e) => write!(f, "{e}"),
            Failure::Panic(e) => write!(f, "panic: {e}"),
        }
    }
}

/// An evaluated op.
#[derive(Debug)]
pub struct Outcome {
    /// What the op lowered to.
    pub lowering: Lowering,
    /// What each node made; `None` for the inputs.
    pub held: Vec<Option<Held>>,
    /// The node that is the result.
    pub result: usize,
    /// Where more memory was used than declared.
    pub over: Vec<String>,
    /// The warnings of each node for each item.
    pub warnings: BTreeSet<(usize, usize, Warning)>,
}

impl Outcome {
    /// What a node made, or the input it stands for.
    pub fn at<'a>(&'a self, inputs: &'a [Held], node: usize) -> Option<&'a Held> {
        at(self.lowering.nodes(), &self.held, inputs, node)
    }
}

/// Runs `f` on every region, on several threads at once when `threads` is more than 1.
fn each<R: Send>(threads: usize, regions: &[Region], f: impl Fn(&Region) -> R + Sync) -> Vec<R> {
    if threads <= 1 || regions.len() < 2 {
        return regions.iter().map(f).collect();
    }
    let share = regions.len().div_ceil(threads);
    std::thread::scope(|s| {
        let f = &f;
        let running: Vec<_> =
            regions.chunks(share).map(|c| s.spawn(move || c.iter().map(f).collect::<Vec<R>>())).collect();
        running.into_iter().flat_map(|t| t.join().unwrap_or_else(|p| std::panic::resume_unwind(p))).collect()
    })
}

fn lower(op: &dyn Op, inputs: &[Held]) -> Result<(Lowering, usize), OpError> {
    let metas: Vec<Option<PortMeta>> = inputs
        .iter()
        .map(|h| match h {
            Held::Arrays(v) => v.first().map(|a| PortMeta { meta: a.meta.clone(), items: v.len() as u32 }),
            Held::Values(_) => None,
        })
        .collect();
    let (mut g, ports) = Lowering::new(&metas);
    g.name_inputs(('a'..='z').take(ports.len()).map(String::from));
    let result = match op.lower(&mut g, &ports)? {
        Port::Array(a) => a.0,
        Port::Value(v) => v.0,
    };
    Ok((g, result))
}

fn run(op: &dyn Op, inputs: &[Held], how: &How) -> Result<Outcome, OpError> {
    let (lowering, result) = lower(op, inputs)?;
    let (nodes, mut rng) = (lowering.nodes(), Rng::new(how.seed));
    let (mut held, mut over): (Vec<Option<Held>>, Vec<String>) = (Vec::new(), Vec::new());
    let mut warnings = BTreeSet::new();
    for (n, node) in nodes.iter().enumerate() {
        let found = |p: usize| at(nodes, &held, inputs, p).ok_or_else(|| broken("a node consumes what comes after it"));
        let arrays: Vec<&Held> = node.arrays.iter().map(|a| found(a.0)).collect::<Result<_, _>>()?;
        let items = arrays.iter().map(|h| h.items()).max().unwrap_or(0);
        let made = match &node.kind {
            Kind::Input(_) => None,
            Kind::Map(_) | Kind::Join(_) => {
                let items = if matches!(node.kind, Kind::Join(_)) { 1 } else { items };
                let mut out = Vec::new();
                for item in 0..items {
                    let node = MapNode::new(nodes, &held, inputs, n, item)?.ok_or_else(|| broken("no map"))?;
                    let regions = blocks_of(how, &node.meta.shape, &mut rng);
                    let mut whole = Block::zeros(node.meta.dtype, node.meta.region());
                    for done in each(how.threads, &regions, |r| node.compute(r, how.garbage)) {
                        let done = done?;
                        whole.paste(&done.block);
                        over.extend(done.over);
                        warnings.extend(done.warnings.into_iter().map(|w| (n, item, w)));
                    }
                    out.push(Array { meta: node.meta.clone(), block: whole });
                }
                Some(Held::Arrays(out))
            }
            Kind::Reduce(reduce, scope) => {
                let values = node.values.iter().map(|v| found(v.0)).collect::<Result<_, _>>()?;
                let r = Reducing { reduce: reduce.as_ref(), arrays, values };
                let all: Vec<usize> = (0..items).collect();
                let parts: Vec<&[usize]> =
                    if *scope == Scope::Collection { vec![&all[..]] } else { all.chunks(1).collect() };
                let mut made = Vec::new();
                for part in parts {
                    let (value, told) = r.run(part, how, &mut rng, &mut over)?;
                    warnings.extend(told.into_iter().map(|w| (n, made.len(), w)));
                    made.push(value);
                }
                Some(Held::Values(made))
            }
        };
        held.push(made);
    }
    Ok(Outcome { lowering, held, result, over, warnings })
}

/// Evaluates an op on whole inputs. A panic of the op is caught.
///
/// # Errors
/// When the op refuses its parameters, its inputs or their data, or panics.
pub fn evaluate(op: &dyn Op, inputs: &[Held], how: &How) -> Result<Outcome, Failure> {
    match catch_unwind(AssertUnwindSafe(|| run(op, inputs, how))) {
        Ok(done) => Ok(done?),
        Err(payload) => Err(Failure::Panic(panic_text(payload.as_ref()))),
    }
}

pub(super) fn panic_text(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str).or(payload.downcast_ref::<&str>().copied());
    text.unwrap_or("without a message").to_owned()
}

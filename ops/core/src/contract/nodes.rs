//! Nodes of a lowering at work on one item: what the interpreter and the halo checks share.

use super::interpret::{Blocks, How};
use super::{Array, Held, Rng};
use crate::lower::{Kind, Lowered};
use crate::op::{AnyPartial, DynReduce};
use crate::{
    ArrayMeta, Block, FinishCall, Grid, Map, MapCall, Need, OpError, Pool, PortMeta, Ports, ReduceCall, Region, Value,
    Warning, Warnings,
};

/// What a node made, or the input it stands for.
pub(super) fn at<'a>(nodes: &[Lowered], held: &'a [Option<Held>], inputs: &'a [Held], node: usize) -> Option<&'a Held> {
    match nodes.get(node)?.kind {
        Kind::Input(i) => inputs.get(i),
        _ => held.get(node)?.as_ref(),
    }
}

/// A bug in a lowering.
pub(super) fn broken(what: &str) -> OpError {
    OpError::Internal(what.to_owned())
}

/// A map node at one item: all that computing a block of it takes.
pub(super) struct MapNode<'a> {
    pub(super) map: &'a dyn Map,
    pub(super) ports: Ports,
    pub(super) meta: ArrayMeta,
    pub(super) arrays: Vec<&'a Held>,
    pub(super) values: Vec<Value>,
    item: usize,
    joins: bool,
}

impl<'a> MapNode<'a> {
    /// Puts together what node number `n` works on for one item; `None` for a node that is no map.
    pub(super) fn new(
        nodes: &'a [Lowered],
        held: &'a [Option<Held>],
        inputs: &'a [Held],
        n: usize,
        item: usize,
    ) -> Result<Option<MapNode<'a>>, OpError> {
        let (map, joins) = match &nodes[n].kind {
            Kind::Map(m) => (m.as_ref(), false),
            Kind::Join(m) => (m.as_ref(), true),
            _ => return Ok(None),
        };
        let find = |p: usize| at(nodes, held, inputs, p).ok_or_else(|| broken("a node consumes what comes after it"));
        let arrays: Vec<&Held> = nodes[n].arrays.iter().map(|a| find(a.0)).collect::<Result<_, _>>()?;
        let values =
            nodes[n].values.iter().map(|v| find(v.0).and_then(|h| value_of(h, item))).collect::<Result<_, _>>()?;
        let ports = ports_of(&arrays, item, joins)?;
        let meta = map.infer(&ports)?;
        Ok(Some(MapNode { map, ports, meta, arrays, values, item, joins }))
    }

    /// The array a need reads from.
    pub(super) fn source(&self, need: &Need) -> Result<&'a Array, OpError> {
        let item = if self.joins { need.item as usize } else { self.item };
        let found = self.arrays.get(need.input).and_then(|&h| if self.joins { exact(h, item) } else { h.array(item) });
        found.ok_or_else(|| broken("a need of an input or item that is not there"))
    }

    /// Computes one region from the blocks its needs asked for.
    pub(super) fn apply(&self, region: &Region, blocks: &[Block], garbage: u8) -> Result<Computed, OpError> {
        let (pool, warnings) = (Pool::filled(garbage), Warnings::default());
        let mut out = Block::zeros(self.meta.dtype, region.clone());
        out.bytes_mut().fill(garbage);
        let blocks: Vec<&Block> = blocks.iter().collect();
        let call = MapCall {
            ports: &self.ports,
            meta: &self.meta,
            blocks: &blocks,
            values: &self.values,
            pool: &pool,
            warnings: &warnings,
        };
        self.map.apply(&call, &mut out)?;
        let (peak, declared) = (pool.peak(), self.map.scratch_bytes(&self.ports, region));
        let over = (peak > declared)
            .then(|| format!("{:?} took {peak} bytes of scratch for {region}, declared {declared}", self.map));
        Ok(Computed { block: out, over, warnings: warnings.take() })
    }

    /// Gathers what a region needs and computes it.
    pub(super) fn compute(&self, region: &Region, garbage: u8) -> Result<Computed, OpError> {
        let needs = self.map.needs(&self.ports, region);
        let blocks = needs.iter().map(|n| Ok(gather(n, self.source(n)?))).collect::<Result<Vec<_>, OpError>>()?;
        self.apply(region, &blocks, garbage)
    }
}

/// A computed region.
pub(super) struct Computed {
    pub(super) block: Block,
    /// Says when more scratch was taken than declared.
    pub(super) over: Option<String>,
    pub(super) warnings: Vec<Warning>,
}

fn exact(h: &Held, item: usize) -> Option<&Array> {
    match h {
        Held::Arrays(v) => v.get(item),
        Held::Values(_) => None,
    }
}

fn value_of(h: &Held, item: usize) -> Result<Value, OpError> {
    h.value(item).cloned().ok_or_else(|| broken("a value port that holds an array"))
}

fn ports_of(arrays: &[&Held], item: usize, joins: bool) -> Result<Ports, OpError> {
    let port = |h: &&Held| {
        let a = h.array(item).ok_or_else(|| broken("an array port that holds a value"))?;
        Ok(PortMeta { meta: a.meta.clone(), items: if joins { h.items() as u32 } else { 1 } })
    };
    Ok(Ports(arrays.iter().map(port).collect::<Result<_, OpError>>()?))
}

/// The block a need is handed.
pub(super) fn gather(need: &Need, from: &Array) -> Block {
    let (pool, array) = (Pool::default(), from.meta.region());
    let sources = need.boundary.sources(&need.region, &array);
    let pieces: Vec<Block> = sources.iter().map(|r| from.block.cut(&pool, r)).collect();
    need.boundary.assemble(&pool, &need.region, &array, &pieces.iter().collect::<Vec<_>>(), from.meta.dtype)
}

/// The blocks of an array of this shape, in the order they are computed in.
pub(super) fn blocks_of(how: &How, shape: &[u64], rng: &mut Rng) -> Vec<Region> {
    let extents: Vec<u64> = shape
        .iter()
        .enumerate()
        .map(|(a, &n)| match how.blocks {
            Blocks::Whole => n,
            Blocks::Ones => 1,
            Blocks::Prime => [5, 3, 7][a % 3],
            Blocks::Larger => n + 3,
            Blocks::Random => 1 + rng.below(n),
        })
        .collect();
    let grid = Grid::new(shape, &extents);
    let mut v: Vec<Region> = (0..grid.count()).map(|i| grid.region(i)).collect();
    rng.shuffle(&mut v);
    v
}

/// A reduce node.
pub(super) struct Reducing<'a> {
    pub(super) reduce: &'a dyn DynReduce,
    pub(super) arrays: Vec<&'a Held>,
    pub(super) values: Vec<&'a Held>,
}

impl Reducing<'_> {
    fn add(
        &self,
        item: usize,
        region: &Region,
        partial: &mut AnyPartial,
        garbage: u8,
    ) -> Result<Option<String>, OpError> {
        let ports = ports_of(&self.arrays, item, false)?;
        let values: Vec<Value> = self.values.iter().map(|h| value_of(h, item)).collect::<Result<_, _>>()?;
        let blocks = (self.reduce.needs(&ports, region).iter())
            .map(|n| match self.arrays.get(n.input).and_then(|h| h.array(item)) {
                Some(a) => Ok(gather(n, a)),
                None => Err(broken("a need of an input that is not there")),
            })
            .collect::<Result<Vec<_>, _>>()?;
        let pool = Pool::filled(garbage);
        let blocks: Vec<&Block> = blocks.iter().collect();
        self.reduce
            .add(&ReduceCall { ports: &ports, region, blocks: &blocks, values: &values, pool: &pool }, partial)?;
        let (peak, declared) = (pool.peak(), self.reduce.partial_bytes(&ports, region));
        Ok((peak > declared).then(|| format!("{:?} took {peak} bytes for {region}, declared {declared}", self.reduce)))
    }

    /// Accounts for all blocks of some items, in random groups merged in random order. Half of the partials are written
    /// down and read again, as by a run that resumes.
    pub(super) fn run(
        &self,
        items: &[usize],
        how: &How,
        rng: &mut Rng,
        over: &mut Vec<String>,
    ) -> Result<(Value, Vec<Warning>), OpError> {
        let representative = ports_of(&self.arrays, items.first().copied().unwrap_or(0), false)?;
        let mut work = Vec::new();
        for &item in items {
            let ports = ports_of(&self.arrays, item, false)?;
            self.reduce.check(&ports)?;
            work.extend(blocks_of(how, &ports.meta(0).shape, rng).into_iter().map(|r| (item, r)));
        }
        rng.shuffle(&mut work);
        let groups = if how.blocks == Blocks::Whole { 1 } else { 1 + rng.below(7) as usize };
        let share = work.len().div_ceil(groups).max(1);
        let mut partials = vec![self.reduce.start(&representative)];
        for group in work.chunks(share) {
            let mut partial = self.reduce.start(&representative);
            for (item, region) in group {
                over.extend(self.add(*item, region, &mut partial, how.garbage)?);
            }
            if rng.below(2) == 0 {
                partial = self.reduce.unpack(&self.reduce.pack(&partial)?)?;
            }
            partials.push(partial);
        }
        while partials.len() > 1 {
            let other = partials.swap_remove(rng.below(partials.len() as u64) as usize);
            let into = rng.below(partials.len() as u64) as usize;
            self.reduce.merge(&mut partials[into], other)?;
        }
        let root = partials.pop().ok_or_else(|| broken("no partial"))?;
        let root = if rng.below(2) == 0 { self.reduce.unpack(&self.reduce.pack(&root)?)? } else { root };
        let values = self.values.iter().map(|h| value_of(h, items.first().copied().unwrap_or(0)));
        let (values, warnings) = (values.collect::<Result<Vec<_>, _>>()?, Warnings::default());
        let call = FinishCall { ports: &representative, values: &values, warnings: &warnings };
        let value = self.reduce.finish(root, &call)?;
        let (bytes, declared) = (bytes_of(&value), self.reduce.state_bytes(&representative));
        if bytes > declared {
            over.push(format!("{:?} left {bytes} bytes, declared {declared}", self.reduce));
        }
        Ok((value, warnings.take()))
    }
}

fn bytes_of(value: &Value) -> u64 {
    match value {
        Value::Numbers(v) => 8 * v.len() as u64,
        Value::Table(t) => t.bytes(),
        Value::State(_) => 0,
    }
}

//! Checks of declared needs: nothing outside them matters, and their outermost layer does.

use super::interpret::{Outcome, panic_text};
use super::nodes::{MapNode, gather};
use super::{Array, Check, Held, Rng};
use crate::lower::Kind;
use crate::{Block, DType, Element, Index, Need, OpError, Region, with_dtype};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Regions tried for each map.
const TRIES: usize = 3;
/// Regions tried to see an outermost layer matter.
const WITNESSES: usize = 8;

/// Checks every map of an evaluated op. Whether the outermost layer matters is only asked of a `witness`: an array of one
/// voxel may not show it.
pub(super) fn all(
    outcome: &Outcome,
    inputs: &[Held],
    witness: bool,
    rng: &mut Rng,
) -> Vec<(Check, Result<(), String>)> {
    let nodes = outcome.lowering.nodes();
    let mut found = Vec::new();
    for (n, node) in nodes.iter().enumerate() {
        if !matches!(node.kind, Kind::Map(_) | Kind::Join(_)) {
            continue;
        }
        let run = catch_unwind(AssertUnwindSafe(|| match MapNode::new(nodes, &outcome.held, inputs, n, 0)? {
            Some(map) if !map.meta.region().is_empty() => {
                Ok((sufficient(&map, rng)?, if witness { minimal(&map, rng)? } else { Vec::new() }))
            }
            _ => Ok((Ok(()), Vec::new())),
        }));
        match run {
            Ok(Ok((outside, layers))) => {
                found.push((Check::HaloSufficient, outside));
                found.extend(layers.into_iter().map(|l| (Check::HaloMinimal, l)));
            }
            Ok(Err::<_, OpError>(e)) => found.push((Check::HaloSufficient, Err(e.to_string()))),
            Err(p) => found.push((Check::HaloSufficient, Err(format!("panic: {}", panic_text(p.as_ref()))))),
        }
    }
    found
}

fn part(region: &Region, rng: &mut Rng) -> Region {
    let (mut lo, mut hi) = (Index::new(), Index::new());
    for a in 0..region.rank() {
        let n = region.len(a) as u64;
        let first = rng.below(n);
        lo.push(region.lo[a] + first as i64);
        hi.push(region.lo[a] + (first + 1 + rng.below((n - first).min(6))).min(n) as i64);
    }
    Region::new(lo, hi)
}

/// Everything but the sources of the needs is poisoned, in two ways; the output must stay the same.
fn sufficient(map: &MapNode<'_>, rng: &mut Rng) -> Result<Result<(), String>, OpError> {
    for _ in 0..TRIES {
        let out = part(&map.meta.region(), rng);
        let needs = map.map.needs(&map.ports, &out);
        let clean = gathered(map, &needs)?;
        let want = map.apply(&out, &clean, 0)?.block;
        for poison in [0x7Fu8, 0x81] {
            let blocks = needs.iter().map(|n| poisoned(map, n, &needs, poison)).collect::<Result<Vec<_>, _>>()?;
            if map.apply(&out, &blocks, 0)?.block.bytes() != want.bytes() {
                return Ok(Err(format!("{:?}: {out} depends on what lies outside its needs", map.map)));
            }
        }
    }
    Ok(Ok(()))
}

fn gathered(map: &MapNode<'_>, needs: &[Need]) -> Result<Vec<Block>, OpError> {
    needs.iter().map(|n| Ok(gather(n, map.source(n)?))).collect()
}

/// The block of a need, from an array that is poisoned wherever no need of the same array reads.
fn poisoned(map: &MapNode<'_>, need: &Need, needs: &[Need], poison: u8) -> Result<Block, OpError> {
    let from = map.source(need)?;
    let mut block = Block::zeros(from.meta.dtype, from.meta.region());
    block.bytes_mut().fill(poison);
    for other in needs.iter().filter(|o| o.input == need.input && o.item == need.item) {
        for source in other.boundary.sources(&other.region, &from.meta.region()) {
            block.paste(&from.block.cut(&crate::Pool::default(), &source));
        }
    }
    Ok(gather(need, &Array { meta: from.meta.clone(), block }))
}

/// Each outermost layer that a need has beyond the output region must matter somewhere.
fn minimal(map: &MapNode<'_>, rng: &mut Rng) -> Result<Vec<Result<(), String>>, OpError> {
    let whole = map.meta.region();
    let mut found = Vec::new();
    if let Some(granule) = map.map.granule(&map.ports) {
        return Ok(vec![within_granule(map, &granule, rng)]);
    }
    for n in 0..map.map.needs(&map.ports, &whole).len() {
        for axis in 0..whole.rank() {
            for high in [false, true] {
                found.extend(layer_matters(map, n, axis, high, rng)?);
            }
        }
    }
    Ok(found)
}

/// What is computed in whole cells needs the cells that share a voxel with the output, and nothing beyond.
fn within_granule(map: &MapNode<'_>, granule: &[u64], rng: &mut Rng) -> Result<(), String> {
    for _ in 0..WITNESSES {
        let out = part(&map.meta.region(), rng);
        let lo: Index = out.lo.iter().zip(granule).map(|(&l, &g)| l / g as i64 * g as i64).collect();
        let hi: Index = out.hi.iter().zip(granule).map(|(&h, &g)| (h as u64).next_multiple_of(g) as i64).collect();
        let cells = Region::new(lo, hi);
        if let Some(need) = map.map.needs(&map.ports, &out).iter().find(|n| !cells.contains(&n.region)) {
            return Err(format!("{:?}: {out} lies in cells of {granule:?} and needs {}", map.map, need.region));
        }
    }
    Ok(())
}

/// How far a need reaches beyond the output on one side of an axis; `None` when it is no grown box of it.
fn reach(need: &Need, out: &Region, axis: usize, high: bool) -> Option<i64> {
    if need.region.rank() != out.rank() || !need.region.contains(out) {
        return None;
    }
    Some(if high { need.region.hi[axis] - out.hi[axis] } else { out.lo[axis] - need.region.lo[axis] })
}

fn layer_matters(
    map: &MapNode<'_>,
    n: usize,
    axis: usize,
    high: bool,
    rng: &mut Rng,
) -> Result<Option<Result<(), String>>, OpError> {
    let whole = map.meta.region();
    let mut tried = None;
    for _ in 0..WITNESSES {
        let out = part(&whole, rng);
        let needs = map.map.needs(&map.ports, &out);
        let Some(need) = needs.get(n) else { continue };
        if reach(need, &out, axis, high).is_none_or(|r| r <= 0) {
            continue;
        }
        let blocks = finite(gathered(map, &needs)?);
        let at = if high { need.region.hi[axis] - 1 } else { need.region.lo[axis] };
        let given = blocks[n].region();
        if given.is_empty() || at < given.lo[axis] || given.hi[axis] <= at {
            continue;
        }
        let want = map.apply(&out, &blocks, 0)?.block;
        let values = if blocks[n].dtype() == DType::Bool { [0.0, 1.0, 1.0] } else { [-1e9, 1e9, 0.0] };
        for value in values {
            let mut changed = finite(gathered(map, &needs)?);
            fill_layer(&mut changed[n], axis, at, value);
            if map.apply(&out, &changed, 0)?.block.bytes() != want.bytes() {
                return Ok(Some(Ok(())));
            }
        }
        let side = if high { "high" } else { "low" };
        tried = Some(format!("{:?}: the outermost layer on the {side} side of axis {axis} does not matter", map.map));
    }
    Ok(tried.map(Err))
}

/// NaN and infinities replaced by 1: beside them no other element matters.
fn finite(mut blocks: Vec<Block>) -> Vec<Block> {
    for block in blocks.iter_mut().filter(|b| b.dtype().is_float()) {
        with_dtype!(block.dtype(), T => {
            for v in block.as_mut_slice::<T>().iter_mut().filter(|v| !v.to_f64().is_finite()) {
                *v = T::from_f64(1.0);
            }
        });
    }
    blocks
}

fn fill_layer(block: &mut Block, axis: usize, at: i64, value: f64) {
    let (region, dtype) = (block.region().clone(), block.dtype());
    let (strides, k) = (region.strides(), (at - region.lo[axis]) as usize);
    let extent = region.len(axis) as usize;
    with_dtype!(dtype, T => {
        for (i, v) in block.as_mut_slice::<T>().iter_mut().enumerate() {
            if (i / strides[axis]) % extent == k {
                *v = T::from_f64(value);
            }
        }
    });
}

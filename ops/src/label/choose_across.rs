//! Components that are chosen by what they are in the whole array, of an array that is seen in cells; what `choose` does for
//! one that is seen at once.
//!
//! Of components that touch others across cells it is told what they are together; all others are told from their own cell.

use super::choose::{CHOSEN, OTHER, Rule, mark};
use super::faces::{Node, node};
use super::meet::{self, Meet, find, forest};
use super::part::Part;
use ops_core::block::for_rows;
use ops_core::{
    ArrayMeta, Block, DType, FinishCall, Map, MapCall, Need, Needs, OpError, Ports, Reduce, ReduceCall, Region, Value,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Bytes for each voxel of a face: a component there, and what it weighs.
const NOTED: u64 = 8;

/// Joins the components of cells and chooses among those that lie in several.
#[derive(Debug, Clone)]
pub(crate) struct ChooseAcross {
    pub(crate) meet: Meet,
    /// Which are chosen.
    pub(crate) rule: Rule,
}

/// What the components at the faces of a cell weigh: their names and weights.
type Weights = Box<[(u32, u32)]>;

/// The cells seen so far.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Seen {
    met: meet::Seen,
    /// For each cell.
    weights: Vec<(u32, Weights)>,
}

/// Components that lie in several cells, ascending, and whether they are chosen.
#[derive(Debug)]
pub(crate) struct Choice(Vec<(Node, bool)>);

/// What each component of a cell weighs: its voxels, or one where it lies at the edge of the array.
fn weigh(part: &Part, rule: Rule, array: &Region) -> Vec<u32> {
    let mut weights = vec![0u32; part.count()];
    match rule {
        Rule::Size(_) => part.each_run(|component, length| {
            let weight = &mut weights[component as usize];
            *weight = weight.saturating_add(u32::try_from(length).unwrap_or(u32::MAX));
        }),
        Rule::Edge => part.at_edge(array, |component| weights[component as usize] = 1),
    }
    weights
}

/// The weight from which on a component is chosen.
fn least(rule: Rule) -> u32 {
    match rule {
        Rule::Size(least) => least,
        Rule::Edge => 1,
    }
}

/// The components of a part at the faces of its cell, ascending.
fn at_faces(part: &Part) -> Vec<u32> {
    let region = &part.region;
    let (last, mut row, mut found) = (region.rank() - 1, 0, Vec::new());
    for_rows(region, |at| {
        if (0..last).any(|a| at[a] == region.lo[a] || at[a] + 1 == region.hi[a]) {
            found.extend_from_slice(part.components(row));
        } else {
            found.extend(part.leftmost(row).into_iter().chain(part.rightmost(row)));
        }
        row += 1;
    });
    found.sort_unstable();
    found.dedup();
    found
}

impl Reduce for ChooseAcross {
    type Partial = Seen;

    /// The cells whose first voxel lies in the block.
    fn needs(&self, ports: &Ports, block: &Region) -> Needs {
        self.meet.needs(ports, block)
    }

    fn granule(&self, _: &Ports) -> Option<Vec<u64>> {
        Some(self.meet.extents.clone())
    }

    fn start(&self, ports: &Ports) -> Seen {
        Seen { met: self.meet.start(ports), weights: Vec::new() }
    }

    fn add(&self, call: &ReduceCall<'_>, seen: &mut Seen) -> Result<(), OpError> {
        let (all, array) = (&mut seen.weights, call.ports.meta(0).region());
        self.meet.see(call, &mut seen.met, |cell, part, names, met| {
            if met.overflows(&self.meet) {
                return all.clear();
            }
            let weights = weigh(part, self.rule, &array);
            let at = |c: u32| (names[c as usize], weights[c as usize]);
            let noted: Weights = at_faces(part).into_iter().map(at).collect();
            met.note(NOTED * noted.len() as u64);
            all.push((cell, noted));
        })
    }

    fn merge(&self, into: &mut Seen, other: Seen) {
        into.weights.extend(other.weights);
        self.meet.join(&mut into.met, other.met);
        if into.met.overflows(&self.meet) {
            into.weights = Vec::new();
        }
    }

    fn finish(&self, seen: Seen, _: &FinishCall<'_>) -> Result<Value, OpError> {
        let pairs = self.meet.pairs(seen.met)?;
        let (nodes, stands_for) = forest(&pairs, |node| node);
        let mut together = vec![0u32; nodes.len()];
        for (cell, noted) in &seen.weights {
            for &(id, weight) in noted {
                if let Ok(at) = nodes.binary_search(&node(*cell, id)) {
                    let sum = &mut together[stands_for[at] as usize];
                    *sum = sum.saturating_add(weight);
                }
            }
        }
        let chosen = |i: u32| together[i as usize] >= least(self.rule);
        let list = nodes.iter().zip(&stands_for).map(|(&node, &root)| (node, chosen(root)));
        Ok(Value::State(Arc::new(Choice(list.collect()))))
    }

    /// Faces, pairs and what components at faces weigh: at most `faces_bytes`.
    fn state_bytes(&self, ports: &Ports) -> u64 {
        let cells = self.meet.cells(ports);
        self.meet.bytes_bound(&cells, cells.count(), NOTED) + 48 * cells.count() + (1 << 12)
    }

    fn partial_bytes(&self, ports: &Ports, block: &Region) -> u64 {
        let cells = self.meet.cells(ports);
        let number = self.meet.number(&cells, block);
        let weights = 4 * Region::whole(cells.extents()).volume();
        self.meet.find_bytes(&cells) + weights + self.meet.bytes_bound(&cells, number, NOTED) + 48 * number
    }

    fn nanos_per_element(&self) -> f32 {
        1.0
    }
}

/// The voxels of chosen components as a mask, cell by cell; or all others.
#[derive(Debug, Clone)]
pub(crate) struct ChosenAcross {
    pub(crate) meet: Meet,
    pub(crate) rule: Rule,
    /// All others instead.
    pub(crate) others: bool,
}

impl Map for ChosenAcross {
    fn infer(&self, ports: &Ports) -> Result<ArrayMeta, OpError> {
        Ok(ports.meta(0).with_dtype(DType::Bool))
    }

    /// Whole cells.
    fn needs(&self, ports: &Ports, out: &Region) -> Needs {
        Needs::from_iter([Need::inside(0, self.meet.cells(ports).touching(out))])
    }

    fn granule(&self, _: &Ports) -> Option<Vec<u64>> {
        Some(self.meet.extents.clone())
    }

    fn apply(&self, call: &MapCall<'_>, out: &mut Block) -> Result<(), OpError> {
        let internal = |m: &str| OpError::Internal(format!("a choice without its {m}"));
        let state = call.values.first().ok_or_else(|| internal("state"))?;
        let (Choice(chosen), region) = (state.as_state::<Choice>()?, out.region().clone());
        if region.is_empty() {
            return Ok(());
        }
        let block = call.blocks.first().ok_or_else(|| internal("input"))?;
        let (cells, array) = (self.meet.cells(call.ports), call.ports.meta(0).region());
        let ids = super::faces::Ids::new(cells.extents());
        let mask = out.as_mut_slice::<u8>();
        cells.each(&cells.touching(&region), |cell, own| -> Result<(), OpError> {
            let part = find(block, own, self.meet.connectivity, call.pool)?;
            let number = |chosen: bool| if chosen { CHOSEN } else { OTHER };
            let mut numbers = weigh(&part, self.rule, &array);
            numbers.iter_mut().for_each(|n| *n = number(*n >= least(self.rule)));
            let names = ids.of(&part);
            let first = chosen.partition_point(|(node, _)| (node >> 32) < u64::from(cell));
            for (node, chosen) in chosen[first..].iter().take_while(|(node, _)| node >> 32 == u64::from(cell)) {
                let at = names.binary_search(&(*node as u32));
                let at = at.map_err(|_| OpError::Internal(format!("other components in {own} than before")))?;
                numbers[at] = number(*chosen);
            }
            part.paint::<u8>(&region, &numbers, mask);
            Ok(())
        })?;
        mark(mask, self.others);
        Ok(())
    }

    fn scratch_bytes(&self, ports: &Ports, _: &Region) -> u64 {
        let cells = self.meet.cells(ports);
        self.meet.find_bytes(&cells) + 4 * Region::whole(cells.extents()).volume()
    }

    fn nanos_per_element(&self) -> f32 {
        1.5
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label::choose::flooded;
    use ops_core::{Axes, Grid, Pool, ReduceCall, Warnings};

    /// Masks in small cells, seen and painted in other blocks, against a flood fill of the whole.
    #[test]
    fn components_are_chosen_by_what_they_are_in_the_whole_array() {
        let mut state = 7u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) % below
        };
        for round in 0..48 {
            let axes = ["zyx", "yx", "x"][round % 3];
            let rank = axes.len();
            let shape: Vec<u64> = (0..rank).map(|_| 1 + random([13, 40, 200][round % 3])).collect();
            let meta = ArrayMeta::new(&shape, DType::Bool, Axes::parse(axes).unwrap());
            let (ports, pool, n) = (Ports::plain(std::slice::from_ref(&meta)), Pool::filled(0x81), meta.volume());
            let mask: Vec<u8> = (0..n).map(|_| u8::from(random(10) < [3, 5, 8][round % 3])).collect();
            let whole = Block::from_slice(meta.region(), &mask);
            let connectivity = 1 + random(rank as u64) as usize;
            let extents: Vec<u64> = (0..rank).map(|_| 1 + random(7)).collect();
            let rule = if random(2) == 0 { Rule::Edge } else { Rule::Size(1 + random(9) as u32) };
            let meet = Meet { connectivity, extents, faces_bytes: 1 << 20 };
            let choose = ChooseAcross { meet: meet.clone(), rule };
            let extents: Vec<u64> = (0..rank).map(|_| 1 + random(9)).collect();
            let (grid, mut root) = (Grid::new(&shape, &extents), choose.start(&ports));
            for i in (0..grid.count()).rev() {
                let (region, mut seen) = (grid.region(i), choose.start(&ports));
                let blocks: Vec<Block> =
                    choose.needs(&ports, &region).iter().map(|n| whole.cut(&pool, &n.region)).collect();
                let blocks: Vec<&Block> = blocks.iter().collect();
                let call = ReduceCall { ports: &ports, region: &region, blocks: &blocks, values: &[], pool: &pool };
                choose.add(&call, &mut seen).unwrap();
                choose.merge(&mut root, seen);
            }
            let warnings = Warnings::default();
            let value = choose.finish(root, &FinishCall { ports: &ports, values: &[], warnings: &warnings }).unwrap();
            let mut want = vec![0u8; n as usize];
            let foreground: Vec<bool> = mask.iter().map(|v| *v != 0).collect();
            let at_edge = |i: usize| {
                let mut axes = meta.region().strides().into_iter().zip(&shape);
                axes.any(|(s, &n)| [0, n - 1].contains(&((i / s) as u64 % n)))
            };
            for component in flooded(&foreground, &meta, connectivity as u64) {
                let chosen = match rule {
                    Rule::Size(least) => component.len() >= least as usize,
                    Rule::Edge => component.iter().any(|&i| at_edge(i)),
                };
                component.iter().for_each(|&i| want[i] = u8::from(chosen));
            }
            let want = Block::from_slice(meta.region(), &want);
            let map = ChosenAcross { meet, rule, others: false };
            for i in 0..grid.count() {
                let mut out = Block::take(&pool, DType::Bool, grid.region(i));
                let needed = whole.cut(&pool, &map.needs(&ports, out.region())[0].region);
                let (blocks, values) = ([&needed], [value.clone()]);
                let call = MapCall {
                    ports: &ports,
                    meta: &meta,
                    blocks: &blocks,
                    values: &values,
                    pool: &pool,
                    warnings: &warnings,
                };
                map.apply(&call, &mut out).unwrap();
                let want = want.cut(&pool, out.region());
                assert_eq!(out.as_slice::<u8>(), want.as_slice::<u8>(), "{rule:?} {shape:?} {:?}", out.region());
            }
        }
    }
}

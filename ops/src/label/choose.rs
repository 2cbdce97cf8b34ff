//! Components that are chosen by what they are in the whole array: those large enough, those that touch its edge.
//!
//! `Choose` is the reduction: it joins components as `label.join` does, and numbers those that are chosen 2 and the others
//! 1. `Chosen` is the map that writes them.

use super::cells::{AT_ONCE, Cells, FACES_BYTES};
use super::choose_across::{ChooseAcross, ChosenAcross};
use super::join::{Join, Joined, Seen, granule, state_bytes};
use super::keys::Numbering;
use super::meet::Meet;
use super::part::Part;
use super::placed::Placed;
use ops_core::{
    ArrayMeta, ArrayPort, Block, DType, FinishCall, Lowering, Map, MapCall, Needs, OpError, Ports, Reduce, ReduceCall,
    Region, Scope, Value,
};
use std::sync::Arc;

/// What a component has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Of at least so many voxels.
    Size(u32),
    /// At the edge of the array.
    Edge,
}

/// Joins the components of all blocks and chooses among them.
#[derive(Debug, Clone)]
pub(crate) struct Choose {
    /// Along how many axes touching voxels may differ.
    pub(crate) connectivity: u64,
    /// Which are chosen.
    pub(crate) rule: Rule,
}

/// The numbers of components: 0 is what belongs to none.
pub(super) const OTHER: u32 = 1;
pub(super) const CHOSEN: u32 = 2;

/// Makes a mask of painted numbers: what is chosen, or all others.
pub(super) fn mark(mask: &mut [u8], others: bool) {
    ops_core::simd::vectorize(
        #[inline(always)]
        || mask.iter_mut().for_each(|v| *v = u8::from((u32::from(*v) == CHOSEN) != others)),
    );
}

/// What finishing takes for each component: its number, its size, a bit that is counted apart.
const EACH: u64 = 4 + 4;

/// Checks what is asked of an array whose components are found.
pub(crate) fn check(meta: &ArrayMeta, connectivity: u64) -> Result<(), OpError> {
    let rank = meta.rank();
    if rank == 0 || meta.axes.spatial().len() != rank {
        let help = "take one channel or time point at a time: select it first, or reduce that axis";
        return Err(OpError::input(0, "an array with spatial axes only (z, y, x)", meta, help));
    }
    if !(1..=rank as u64).contains(&connectivity) {
        let expected = format!("1 to {rank}, as the input has {rank} axes");
        return Err(OpError::param("connectivity", expected, connectivity));
    }
    Ok(())
}

impl Choose {
    fn join(&self) -> Join {
        Join { connectivity: self.connectivity, numbering: Numbering::Raster, dtype: DType::UInt32 }
    }
}

impl Reduce for Choose {
    type Partial = Seen;

    fn check(&self, ports: &Ports) -> Result<(), OpError> {
        check(ports.meta(0), self.connectivity)
    }

    fn start(&self, ports: &Ports) -> Seen {
        Seen::within(self.state_bytes(ports))
    }

    fn add(&self, call: &ReduceCall<'_>, seen: &mut Seen) -> Result<(), OpError> {
        self.join().see(call, seen, EACH)
    }

    fn merge(&self, into: &mut Seen, other: Seen) {
        into.join(other);
    }

    fn finish(&self, seen: Seen, call: &FinishCall<'_>) -> Result<Value, OpError> {
        let shape = &call.ports.meta(0).shape;
        let parts = seen.placed(shape)?;
        let mut numbers = parts.forest(self.connectivity as usize)?;
        let of_root = match self.rule {
            Rule::Size(least) => {
                let number = |n| if n >= least { CHOSEN } else { OTHER };
                sizes(&parts, &numbers).into_iter().map(number).collect()
            }
            Rule::Edge => at_edge(&parts, &numbers, &Region::whole(shape)),
        };
        numbers.iter_mut().for_each(|n| *n = of_root[*n as usize]);
        Ok(Value::State(Arc::new(Joined { parts, numbers })))
    }

    fn granule(&self, ports: &Ports) -> Option<Vec<u64>> {
        granule(ports)
    }

    /// As for `label.join`, and a size for each component.
    fn state_bytes(&self, ports: &Ports) -> u64 {
        state_bytes(ports.meta(0), 4 + 5 + 4)
    }

    fn partial_bytes(&self, _: &Ports, block: &Region) -> u64 {
        Part::bytes_bound(block, false)
    }
}

/// Voxels of each root of a flat forest, those of what hangs below it included; at most 2^32 - 1.
fn sizes(parts: &Placed, roots: &[u32]) -> Vec<u32> {
    let mut sizes = vec![0u32; roots.len()];
    parts.each(|(part, &base)| {
        part.each_run(|component, length| {
            let size = &mut sizes[roots[(base + component) as usize] as usize];
            *size = size.saturating_add(u32::try_from(length).unwrap_or(u32::MAX));
        });
    });
    sizes
}

/// The number of each root of a flat forest: chosen are those that touch the edge of the array, themselves or by what
/// hangs below them.
fn at_edge(parts: &Placed, roots: &[u32], array: &Region) -> Vec<u32> {
    let mut found = vec![OTHER; roots.len()];
    parts.each(|(part, &base)| {
        part.at_edge(array, |component| found[roots[(base + component) as usize] as usize] = CHOSEN);
    });
    found
}

/// Adds what chooses among the components of a mask: the mask of those that are chosen, or of all others. `names` are those
/// of the reduction and of the map.
pub(crate) fn lower(
    g: &mut Lowering,
    mask: ArrayPort,
    choose: Choose,
    others: bool,
    names: (&'static str, &'static str),
) -> Result<ArrayPort, OpError> {
    let at_once = choose.state_bytes(&g.ports(&[mask]));
    let extents = Cells::suited(&g.meta(mask).shape);
    if at_once <= AT_ONCE || !Cells::fits(&g.meta(mask).shape, &extents) {
        let state = g.reduce(names.0, choose, &[mask], &[], Scope::Item)?;
        return g.map(names.1, Chosen { others }, &[mask], &[state]);
    }
    let meet = Meet { connectivity: choose.connectivity as usize, extents, faces_bytes: FACES_BYTES };
    let across = ChooseAcross { meet: meet.clone(), rule: choose.rule };
    let state = g.reduce(names.0, across, &[mask], &[], Scope::Item)?;
    g.map(names.1, ChosenAcross { meet, rule: choose.rule, others }, &[mask], &[state])
}

/// The voxels of chosen components as a mask; or all others.
#[derive(Debug, Clone)]
pub(crate) struct Chosen {
    /// All others instead.
    pub(crate) others: bool,
}

impl Map for Chosen {
    fn infer(&self, ports: &Ports) -> Result<ArrayMeta, OpError> {
        Ok(ports.meta(0).with_dtype(DType::Bool))
    }

    /// Nothing: the state holds the foreground as bits.
    fn needs(&self, _: &Ports, _: &Region) -> Needs {
        Needs::new()
    }

    fn apply(&self, call: &MapCall<'_>, out: &mut Block) -> Result<(), OpError> {
        let state = call.values.first().ok_or_else(|| OpError::Internal("a choice without its state".into()))?;
        let (joined, region) = (state.as_state::<Joined>()?, out.region().clone());
        if region.is_empty() {
            return Ok(());
        }
        let mask = out.as_mut_slice::<u8>();
        if !joined.paint::<u8>(&region, mask) {
            return Err(OpError::Internal("a voxel of a block that was not joined".into()));
        }
        mark(mask, self.others);
        Ok(())
    }

    fn nanos_per_element(&self) -> f32 {
        0.5
    }
}

/// Connected components by flood fill from one voxel after the other, for naive references: the voxels of each.
pub(crate) fn flooded(foreground: &[bool], meta: &ArrayMeta, connectivity: u64) -> Vec<Vec<usize>> {
    let (strides, shape) = (meta.region().strides(), &meta.shape);
    let at = |i: usize| -> Vec<i64> { strides.iter().zip(shape).map(|(s, &n)| (i / s) as i64 % n as i64).collect() };
    let touch = |i: usize, j: usize| {
        let far: Vec<u64> = at(i).iter().zip(at(j)).map(|(p, q)| p.abs_diff(q)).collect();
        far.iter().all(|&d| d < 2) && far.iter().sum::<u64>() <= connectivity
    };
    let mut open: Vec<usize> = (0..foreground.len()).filter(|&i| foreground[i]).collect();
    let mut found = Vec::new();
    while let Some(first) = open.pop() {
        let (mut component, mut seen) = (vec![first], 0);
        while seen < component.len() {
            let here = component[seen];
            seen += 1;
            open.retain(|&j| {
                let near = touch(here, j);
                if near {
                    component.push(j);
                }
                !near
            });
        }
        found.push(component);
    }
    found
}

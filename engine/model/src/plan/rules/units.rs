//! Blocks that cover whole chunks, or whole shards, of every Zarr output of a stage, so that each has one writer.
//!
//! Two grids have a common one: its extent is the least common multiple of theirs, or the whole array where one unit
//! reaches across it. Where that would be too large a block, the outputs get tasks of their own.

use super::decide;
use crate::plan::{Plan, Root, root_array};
use ops_core::Axis;

/// The extent along an axis that a block has to be a multiple of, or has to reach across the array with.
pub(super) fn step(plan: &Plan, roots: &[Root], classes: &[usize], axis: Axis) -> u64 {
    let mut common = 1u64;
    let mut across = 0u64;
    for &root in roots {
        let Root::Write(o) = root else { continue };
        let out = &plan.graph.outputs[o];
        let node = plan.graph.node(out.node);
        let Some(p) = node.metas[0].axes.position(axis) else { continue };
        let metas = || classes.iter().map(|&c| node.meta(c));
        // A chunk is as large as an array that is smaller than it, so the largest of all classes serves them all: an
        // array of smaller chunks has one.
        let unit = metas().filter_map(|m| out.unit(m)?.get(p).copied()).max().unwrap_or(1).max(1);
        let largest = metas().map(|m| m.shape[p]).max().unwrap_or(1);
        match unit >= largest {
            true => across = across.max(unit),
            false => common = lcm(common, unit),
        }
    }
    if across > 0 { across.div_ceil(common).saturating_mul(common) } else { common }
}

/// Divides the roots of a stage so that the Zarr outputs of each part have a common grid of blocks of at most `most`
/// elements, or as many as one of them asks for; what is not written stays with the first part. `whose` names the
/// classes where there are others.
pub(super) fn divide(plan: &mut Plan, roots: Vec<Root>, classes: &[usize], whose: &str, most: u64) -> Vec<Vec<Root>> {
    let mut parts: Vec<Vec<Root>> = Vec::new();
    for root in roots {
        let written = matches!(root, Root::Write(_));
        let fits = |part: &&mut Vec<Root>| {
            let with: Vec<Root> = part.iter().copied().chain([root]).collect();
            let alone = with.iter().map(|r| elements(plan, std::slice::from_ref(r), classes)).max().unwrap_or(1);
            !written || elements(plan, &with, classes) <= alone.max(most)
        };
        match parts.iter_mut().find(fits) {
            Some(part) => part.push(root),
            None => parts.push(vec![root]),
        }
    }
    for part in parts.iter().skip(1) {
        let names: Vec<&str> = part
            .iter()
            .filter_map(|r| match r {
                Root::Write(o) => Some(plan.graph.outputs[*o].decl.name.value.as_str()),
                _ => None,
            })
            .collect();
        let about = format!("{}{whose}", names.join(", "));
        let reason = "its chunks have no small block in common with those of the outputs beside it";
        plan.decisions.push(decide("cut", about, "tasks of its own", reason));
    }
    parts
}

/// Elements of the smallest block that covers whole units of all these roots.
fn elements(plan: &Plan, roots: &[Root], classes: &[usize]) -> u64 {
    let node = plan.graph.node(root_array(&plan.graph, roots[0]));
    node.metas[0].axes.iter().enumerate().fold(1, |volume, (i, axis)| {
        let largest = classes.iter().map(|&c| node.meta(c).shape[i]).max().unwrap_or(1).max(1);
        // Blocks are never cut along channels.
        let extent = if axis == Axis::C { largest } else { step(plan, roots, classes, axis).min(largest) };
        volume.saturating_mul(extent)
    })
}

/// The least common multiple; saturating, which is beyond any array.
fn lcm(a: u64, b: u64) -> u64 {
    let (mut x, mut y) = (a, b);
    while y > 0 {
        (x, y) = (y, x % y);
    }
    (a / x.max(1)).saturating_mul(b)
}

#[cfg(test)]
mod tests {
    use super::lcm;

    #[test]
    fn least_common_multiples() {
        assert_eq!((lcm(1, 7), lcm(12, 18), lcm(512, 256), lcm(8, 8)), (7, 36, 512, 8));
        assert_eq!(lcm(u64::MAX, u64::MAX - 1), u64::MAX);
    }
}

//! Parts by their place: which of them touch, and their rows in the order of the whole array.

use super::part::Part;
use super::runs::{neighbours, touching, union};
use ops_core::{Index, OpError, Region, simd::vectorize};

/// The parts of a whole array, as the grid they form.
#[derive(Debug)]
pub(crate) struct Placed {
    /// In C order of their places.
    parts: Vec<Part>,
    /// Components before each part.
    bases: Vec<u32>,
    /// Where blocks begin along each axis, and the array's extent.
    cuts: Vec<Vec<i64>>,
}

fn broken(m: &str) -> OpError {
    OpError::Internal(format!("label.join: {m}"))
}

impl Placed {
    /// The grid of all parts of an array of this shape.
    pub(crate) fn new(shape: &[u64], mut parts: Vec<Part>) -> Result<Placed, OpError> {
        parts.sort_unstable_by(|a, b| a.region.lo.cmp(&b.region.lo));
        let mut cuts = Vec::new();
        for (a, &n) in shape.iter().enumerate() {
            let mut cut: Vec<i64> = parts.iter().map(|p| p.region.lo[a]).collect();
            cut.sort_unstable();
            cut.dedup();
            cut.push(n as i64);
            cuts.push(cut);
        }
        let (mut bases, mut total) = (Vec::with_capacity(parts.len()), 0u64);
        for p in &parts {
            bases.push(u32::try_from(total).map_err(|_| {
                let m = "expected fewer than 2^32 components in all blocks, found more";
                OpError::Data(format!("{m}: label parts of the array, or smooth it first"))
            })?);
            total += p.count() as u64;
        }
        u32::try_from(total).map_err(|_| broken("too many components"))?;
        let placed = Placed { parts, bases, cuts };
        let mut rest = 0..placed.parts.len();
        let cells = Region::whole(&placed.counts());
        let mut gridded = placed.parts.len() as u64 == cells.volume();
        if gridded && !cells.is_empty() {
            each(&cells, |cell| gridded &= rest.next().is_some_and(|i| placed.parts[i].region == placed.cell(cell)));
        }
        if gridded { Ok(placed) } else { Err(broken("blocks that form no grid")) }
    }

    fn counts(&self) -> Vec<u64> {
        self.cuts.iter().map(|c| c.len() as u64 - 1).collect()
    }

    fn cell(&self, cell: &[i64]) -> Region {
        let at = |by: usize| -> Index { self.cuts.iter().zip(cell).map(|(c, &i)| c[i as usize + by]).collect() };
        Region::new(at(0), at(1))
    }

    /// The part at a place of the grid, and the components before it.
    fn at(&self, cell: &[i64]) -> Option<(&Part, u32)> {
        let mut i = 0;
        for (cuts, &c) in self.cuts.iter().zip(cell) {
            let n = cuts.len() as i64 - 1;
            if !(0..n).contains(&c) {
                return None;
            }
            i = i * n as usize + c as usize;
        }
        Some((&self.parts[i], self.bases[i]))
    }

    /// The smallest key of every component, one part after the other. Leaves the parts without.
    pub(crate) fn take_keys(&mut self) -> Vec<u64> {
        let mut all = Vec::with_capacity(self.parts.iter().map(Part::count).sum());
        self.parts.iter_mut().for_each(|p| all.append(&mut std::mem::take(&mut p.keys)));
        all
    }

    /// Calls `f(part, components before it)` for every part.
    pub(crate) fn each(&self, f: impl FnMut((&Part, &u32))) {
        self.parts.iter().zip(&self.bases).for_each(f);
    }

    /// Calls `f(part, components before it)` for the parts that share a voxel with a region.
    pub(crate) fn touching(&self, region: &Region, mut f: impl FnMut(&Part, u32)) {
        let (mut lo, mut hi) = (Index::new(), Index::new());
        for (a, cuts) in self.cuts.iter().enumerate() {
            lo.push(cuts.partition_point(|&c| c <= region.lo[a]) as i64 - 1);
            hi.push(cuts.partition_point(|&c| c < region.hi[a]) as i64);
        }
        each(&Region::new(lo, hi), |cell| {
            if let Some((part, base)) = self.at(cell) {
                f(part, base);
            }
        });
    }

    /// Calls `f(part, components before it, row)` for every row of every part, in C order of the array.
    pub(crate) fn each_row(&self, mut f: impl FnMut(&Part, u32, usize)) {
        let Some(along) = self.cuts.last().map(|c| c.len() - 1).filter(|_| !self.parts.is_empty()) else { return };
        let leading = self.cuts.len() - 1;
        let shape: Vec<u64> = self.cuts[..leading].iter().map(|c| c.last().map_or(0, |&n| n as u64)).collect();
        let mut cell: Index = Index::from_elem(0, leading);
        each(&Region::whole(&shape), |at| {
            let (mut line, mut row) = (0, 0);
            for a in 0..leading {
                let cuts = &self.cuts[a];
                let c = &mut cell[a];
                if at[a] < cuts[*c as usize] {
                    *c = 0;
                }
                while cuts[*c as usize + 1] <= at[a] {
                    *c += 1;
                }
                let i = *c as usize;
                line = line * (cuts.len() - 1) + i;
                row = row * (cuts[i + 1] - cuts[i]) as usize + (at[a] - cuts[i]) as usize;
            }
            for i in line * along..(line + 1) * along {
                f(&self.parts[i], self.bases[i], row);
            }
        });
    }

    /// For each component the first that it is joined with across blocks: a flat forest.
    pub(crate) fn forest(&self, connectivity: usize) -> Result<Vec<u32>, OpError> {
        let total = match (self.parts.last(), self.bases.last()) {
            (Some(p), Some(base)) => base + p.count() as u32,
            _ => 0,
        };
        let mut parent: Vec<u32> = (0..total).collect();
        if self.parts.len() > 1 {
            each(&Region::whole(&self.counts()), |cell| {
                self.join_rows(cell, connectivity, &mut parent);
                self.join_columns(cell, connectivity, &mut parent);
            });
            // A parent comes before its children.
            for i in 0..parent.len() {
                parent[i] = parent[parent[i] as usize];
            }
        }
        Ok(parent)
    }

    /// The part that holds a row a step away from a row of the part at `cell`, and the number of that row there.
    fn step(&self, cell: &[i64], row: &[i64], step: &[i64], column: i64) -> Option<(&Part, u32, usize)> {
        let mut other = Index::from_slice(cell);
        let leading = row.len();
        for a in 0..leading {
            let (cuts, there) = (&self.cuts[a], row[a] + step[a]);
            let c = cell[a] as usize;
            other[a] += if there < cuts[c] { -1 } else { i64::from(there >= cuts[c + 1]) };
        }
        other[leading] += column;
        let (part, base) = self.at(&other)?;
        let inside = (0..leading).fold(0, |i, a| i * part.region.len(a) + row[a] + step[a] - part.region.lo[a]);
        Some((part, base, inside as usize))
    }

    /// Joins a part with those before it along other axes than the last, over the columns they share.
    fn join_rows(&self, cell: &[i64], connectivity: usize, parent: &mut [u32]) {
        let Some((part, base)) = self.at(cell) else { return };
        let leading = cell.len() - 1;
        let lead = Region::new(&part.region.lo[..leading], &part.region.hi[..leading]);
        for near in neighbours(cell.len(), connectivity) {
            // The rows whose neighbour lies in another part, by the first axis along which it does.
            let mut rest = lead.clone();
            for a in (0..leading).filter(|&a| near.step[a] != 0) {
                let mut face = rest.clone();
                if near.step[a] < 0 {
                    face.hi[a] = face.lo[a] + 1;
                    rest.lo[a] += 1;
                } else {
                    face.lo[a] = face.hi[a] - 1;
                    rest.hi[a] -= 1;
                }
                each(&face, |row| {
                    let Some((other, other_base, there)) = self.step(cell, row, &near.step, 0) else { return };
                    let here = place(&lead, row);
                    vectorize(
                        #[inline(always)]
                        || {
                            touching(part.row(here), other.row(there), near.diagonal, |a, b| {
                                union(parent, base + part.component(a), other_base + other.component(b));
                            });
                        },
                    );
                });
            }
        }
    }

    /// Joins the first column of a part with the last of those before it along the last axis.
    fn join_columns(&self, cell: &[i64], connectivity: usize, parent: &mut [u32]) {
        let Some((part, base)) = self.at(cell) else { return };
        let leading = cell.len() - 1;
        if cell[leading] == 0 {
            return;
        }
        let lead = Region::new(&part.region.lo[..leading], &part.region.hi[..leading]);
        let straight = vec![0; leading];
        let mut steps: Vec<Vec<i64>> = vec![straight];
        for near in neighbours(cell.len(), connectivity).into_iter().filter(|n| n.diagonal) {
            steps.push(near.step.iter().map(|s| -s).collect());
            steps.push(near.step);
        }
        each(&lead, |row| {
            let Some(a) = part.leftmost(place(&lead, row)) else { return };
            for step in &steps {
                if let Some((other, other_base, there)) = self.step(cell, row, step, -1)
                    && let Some(b) = other.rightmost(there)
                {
                    union(parent, base + a, other_base + b);
                }
            }
        });
    }
}

/// The number of a row in its part.
pub(crate) fn place(lead: &Region, row: &[i64]) -> usize {
    (0..row.len()).fold(0, |i, a| i * lead.len(a) as usize + (row[a] - lead.lo[a]) as usize)
}

/// Calls `f` with every index of a region, in C order; once for a region without axes.
pub(crate) fn each(region: &Region, mut f: impl FnMut(&[i64])) {
    if region.lo.iter().zip(&region.hi).any(|(l, h)| l >= h) {
        return;
    }
    let mut at = region.lo.clone();
    loop {
        f(&at);
        let Some(a) = (0..at.len()).rev().find(|&a| at[a] + 1 < region.hi[a]) else { return };
        at[a] += 1;
        at[a + 1..].copy_from_slice(&region.lo[a + 1..]);
    }
}

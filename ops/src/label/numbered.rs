//! Numbers of the components of an array that was labelled in cells, and the map that writes them.

use super::cells::Cells;
use super::faces::{Ids, Node};
use super::meet::{Meet, Pairs, find, forest};
use super::part::Part;
use super::placed::each;
use ops_core::{ArrayMeta, Block, DType, Map, MapCall, Need, Needs, OpError, Ports, Region, with_dtype};

/// What is known of the components of all cells: enough to number those of any one of them.
#[derive(Debug)]
pub(crate) struct Numbered {
    /// Labels before each row of the array; before each cell where cells are numbered one after the other.
    before: Vec<u32>,
    /// Components that start in each row of each cell, those aside that are joined with an earlier one.
    starts: Vec<Box<[u16]>>,
    /// Components that are joined with an earlier one, ascending, and the number of that.
    joined: Vec<(Node, u32)>,
    /// True when numbers ascend in C order of the array.
    raster: bool,
    count: u32,
}

/// The rows of an array, as places without the last coordinate.
fn row_shape(shape: &[u64]) -> &[u64] {
    shape.split_last().map_or(shape, |(_, rows)| rows)
}

/// The cells side by side along the last axis, from the first one to this one.
fn line(cells: &Cells, cell: u32) -> std::ops::RangeInclusive<usize> {
    (cell - cell % cells.columns()) as usize..=cell as usize
}

impl Numbered {
    /// Bytes besides those of each cell, for an array of this shape.
    pub(crate) fn base_bytes(shape: &[u64], cells: &Cells) -> u64 {
        let rows: u64 = row_shape(shape).iter().product();
        4 * rows.max(cells.count()) + (1 << 12)
    }

    /// Numbers components, given the pairs that touch across cells and how many start in each row of each cell.
    pub(crate) fn new(
        pairs: &Pairs,
        mut counted: Vec<(u32, Box<[u16]>)>,
        cells: &Cells,
        shape: &[u64],
        raster: bool,
    ) -> Result<Numbered, OpError> {
        counted.sort_unstable_by_key(|(cell, _)| *cell);
        if !counted.iter().map(|(cell, _)| u64::from(*cell)).eq(0..cells.count()) {
            return Err(OpError::Internal("label.across: cells that were seen never, or twice".into()));
        }
        let starts = counted.into_iter().map(|(_, counts)| counts).collect();
        let mut numbered = Numbered { before: Vec::new(), starts, joined: Vec::new(), raster, count: 0 };
        let (nodes, firsts) = forest(pairs, |node| numbered.key(node, cells, shape));
        let ids = Ids::new(cells.extents());
        for (_, &node) in nodes.iter().enumerate().filter(|(i, _)| firsts[*i] as usize != *i) {
            let (row, _) = ids.place(node as u32);
            numbered.starts[(node >> 32) as usize][row as usize] -= 1;
        }
        numbered.accumulate(cells, shape)?;
        // Components joined with an earlier one, so far, that start in the row of the one at hand: they take no number.
        let (mut at, mut passed) = ((u32::MAX, u32::MAX), 0);
        let mut numbers = vec![0; nodes.len()];
        for (i, &node) in nodes.iter().enumerate() {
            let (cell, (row, place)) = ((node >> 32) as u32, ids.place(node as u32));
            if at != (cell, row) {
                (at, passed) = ((cell, row), 0);
            }
            if firsts[i] as usize == i {
                numbers[i] = numbered.before_row(cells, shape, cell, row) + place - passed + 1;
            } else {
                passed += 1;
            }
        }
        let later = nodes.iter().zip(&firsts).enumerate().filter(|(i, (_, first))| **first as usize != *i);
        numbered.joined = later.map(|(_, (&node, &first))| (node, numbers[first as usize])).collect();
        Ok(numbered)
    }

    /// How many labels there are.
    pub(crate) fn count(&self) -> u64 {
        u64::from(self.count)
    }

    /// What components are ordered by: the row of the array they start in, or the cell; then their place there.
    fn key(&self, node: Node, cells: &Cells, shape: &[u64]) -> (u64, Node) {
        if !self.raster {
            return (0, node);
        }
        let (cell, id) = ((node >> 32) as u32, node as u32);
        let (row, place) = Ids::new(cells.extents()).place(id);
        let column = u64::from(cell % cells.columns());
        (global_row(&cells.region(cell), shape, u64::from(row)), column << 32 | u64::from(place))
    }

    /// Fills in how many labels come before each row, or each cell.
    fn accumulate(&mut self, cells: &Cells, shape: &[u64]) -> Result<(), OpError> {
        let mut count = 0u64;
        if self.raster {
            let columns = cells.columns() as usize;
            // Rows of the array in order, each through the cells side by side that hold it.
            let (extents, grid) = (row_shape(cells.extents()), row_shape(shape));
            let counts: Vec<u64> = grid.iter().zip(extents).map(|(n, e)| n.div_ceil(*e)).collect();
            each(&Region::whole(grid), |at| {
                let (mut line, mut row) = (0, 0);
                for (a, &i) in at.iter().enumerate() {
                    let (e, i) = (extents[a], i as u64);
                    line = line * counts[a] + i / e;
                    row = row * e.min(grid[a] - i / e * e) + i % e;
                }
                self.before.push(count as u32);
                let line = line as usize * columns;
                count += self.starts[line..line + columns].iter().map(|s| u64::from(s[row as usize])).sum::<u64>();
            });
        } else {
            for starts in &self.starts {
                self.before.push(count as u32);
                count += starts.iter().map(|&n| u64::from(n)).sum::<u64>();
            }
        }
        self.count = u32::try_from(count).map_err(|_| {
            let m = format!("expected fewer than 2^32 components, found {count}");
            OpError::Data(format!("{m}: label parts of the array, or smooth it first"))
        })?;
        Ok(())
    }

    /// Labels before the first one that starts in a row of a cell.
    fn before_row(&self, cells: &Cells, shape: &[u64], cell: u32, row: u32) -> u32 {
        let row = row as usize;
        if !self.raster {
            let earlier = self.starts[cell as usize][..row].iter().map(|&n| u32::from(n)).sum::<u32>();
            return self.before[cell as usize] + earlier;
        }
        let global = global_row(&cells.region(cell), shape, row as u64);
        let line = &self.starts[line(cells, cell)];
        let aside = line[..line.len() - 1].iter().map(|s| u32::from(s[row])).sum::<u32>();
        self.before[global as usize] + aside
    }

    /// The number of every component of a cell.
    fn of(&self, part: &Part, cells: &Cells, shape: &[u64], cell: u32) -> Result<Vec<u32>, OpError> {
        let ids = Ids::new(cells.extents());
        let first = self.joined.partition_point(|(node, _)| (node >> 32) < u64::from(cell));
        let mut joined = self.joined[first..].iter().take_while(|(node, _)| node >> 32 == u64::from(cell)).peekable();
        let mut numbers = Vec::with_capacity(part.count());
        for row in (0..part.rows()).filter(|&row| !part.starting(row).is_empty()) {
            let mut number = self.before_row(cells, shape, cell, row as u32);
            for (_, id) in ids.of_row(part, row) {
                numbers.push(match joined.next_if(|(node, _)| *node as u32 == id) {
                    Some((_, of)) => *of,
                    None => {
                        number += 1;
                        number
                    }
                });
            }
        }
        match joined.next() {
            None => Ok(numbers),
            Some(_) => Err(OpError::Internal(format!("label.number: other components in {} than before", part.region))),
        }
    }
}

/// The number of a row of a cell in the whole array.
fn global_row(cell: &Region, shape: &[u64], mut row: u64) -> u64 {
    let (mut global, mut weight) = (0, 1);
    for a in (0..shape.len().saturating_sub(1)).rev() {
        let len = cell.len(a) as u64;
        global += (cell.lo[a] as u64 + row % len) * weight;
        row /= len;
        weight *= shape[a];
    }
    global
}

/// Writes the numbers of the whole array, cell by cell.
#[derive(Debug, Clone)]
pub(crate) struct NumberCells {
    pub(crate) meet: Meet,
    pub(crate) dtype: DType,
}

impl Map for NumberCells {
    fn infer(&self, ports: &Ports) -> Result<ArrayMeta, OpError> {
        Ok(ports.meta(0).with_dtype(self.dtype))
    }

    /// Whole cells.
    fn needs(&self, ports: &Ports, out: &Region) -> Needs {
        Needs::from_iter([Need::inside(0, self.meet.cells(ports).touching(out))])
    }

    fn granule(&self, _: &Ports) -> Option<Vec<u64>> {
        Some(self.meet.extents.clone())
    }

    fn apply(&self, call: &MapCall<'_>, out: &mut Block) -> Result<(), OpError> {
        let internal = |m: &str| OpError::Internal(format!("label.number {m}"));
        let state = call.values.first().ok_or_else(|| internal("without its state"))?;
        let (numbered, region) = (state.as_state::<Numbered>()?, out.region().clone());
        if region.is_empty() {
            return Ok(());
        }
        let (cells, shape) = (self.meet.cells(call.ports), &call.ports.meta(0).shape);
        let block = call.blocks.first().ok_or_else(|| internal("without its input"))?;
        cells.each(&cells.touching(&region), |cell, own| {
            let part = find(block, own, self.meet.connectivity, call.pool)?;
            let numbers = numbered.of(&part, &cells, shape, cell)?;
            with_dtype!(self.dtype, O => part.paint::<O>(&region, &numbers, out.as_mut_slice()));
            Ok(())
        })
    }

    fn scratch_bytes(&self, ports: &Ports, _: &Region) -> u64 {
        self.meet.find_bytes(&self.meet.cells(ports))
    }

    fn nanos_per_element(&self) -> f32 {
        1.5
    }
}

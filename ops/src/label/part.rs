//! The runs and components of one block: what is left of it until all blocks are joined.

use super::keys::Keys;
use super::runs::{Neighbour, bits, starts, touching, union};
use super::stretch::stretch;
use ops_core::{Element, Index, Pool, Region, block::for_rows, simd::vectorize};

/// Bytes a part takes besides its lists.
const PART: u64 = 256;

/// The foreground of one block as bits and runs, and the component of each run.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Part {
    /// The block.
    pub(crate) region: Region,
    /// The foreground, `width` words to a row.
    words: Vec<u64>,
    width: usize,
    /// Runs before each row, and their number.
    first: Vec<u32>,
    /// The component of each run; components are numbered from 0 by their first run.
    component: Vec<u32>,
    /// Components that start before each row, and their number.
    started: Vec<u32>,
    /// The smallest key of each component, where keys do not ascend in C order.
    pub(crate) keys: Vec<u64>,
}

/// The most runs of a region.
fn most_runs(region: &Region) -> usize {
    let len = region.shape().last().copied().unwrap_or(0);
    (region.volume() as usize).checked_div(len).unwrap_or(0).saturating_mul(len.div_ceil(2))
}

impl Part {
    /// Bytes a task holds while finding the part of a block.
    pub(crate) fn bytes_bound(region: &Region, keys: bool) -> u64 {
        let len = region.shape().last().copied().unwrap_or(0);
        let rows = region.volume().checked_div(len as u64).unwrap_or(0);
        let (runs, words) = (most_runs(region) as u64, rows.saturating_mul(len.div_ceil(64) as u64));
        let lists = 8 * words + 8 * (rows + 1) + runs * if keys { 12 } else { 4 };
        PART + lists + Pool::rounded(4 * runs)
    }

    /// Finds the runs of a region, given the elements of one that contains it, and joins those that touch. `None` for a
    /// region of more than `u32::MAX` runs.
    pub(crate) fn find<T: Element>(
        (src, around): (&[T], &Region),
        region: &Region,
        near: &[Neighbour],
        keys: Option<&Keys>,
        pool: &Pool,
    ) -> Option<Part> {
        let most = most_runs(region);
        u32::try_from(most).ok()?;
        let len = region.shape().last().copied().unwrap_or(0);
        let (rows, width) = ((region.volume() as usize).checked_div(len).unwrap_or(0), len.div_ceil(64));
        let strides = around.strides();
        let mut part = Part {
            region: region.clone(),
            words: vec![0; rows * width],
            width,
            first: Vec::with_capacity(rows + 1),
            component: Vec::new(),
            started: Vec::with_capacity(rows + 1),
            keys: Vec::new(),
        };
        let mut scratch = pool.take::<u32>(most);
        let parent = &mut scratch[..];
        let (lo, mut count, mut row) = (&region.lo, 0u32, 0usize);
        part.first.push(0);
        // Counting bits takes one instruction where the processor has it.
        vectorize(
            #[inline(always)]
            || {
                for_rows(
                    region,
                    #[inline(always)]
                    |at| {
                        let start = place(around, &strides, at);
                        bits(&src[start..start + len], &mut part.words[row * width..(row + 1) * width]);
                        let n = part.count_starts(row);
                        (count..count + n).for_each(|i| parent[i as usize] = i);
                        count += n;
                        part.first.push(count);
                        for s in near {
                            if let Some(other) = neighbour(region, at, &s.step, lo) {
                                let (here, there) = (part.row(row), part.row(other));
                                touching(here, there, s.diagonal, |a, b| union(parent, a, b));
                            }
                        }
                        row += 1;
                    },
                );
            },
        );
        part.settle(&parent[..count as usize]);
        if let Some(keys) = keys {
            part.find_keys(keys);
        }
        Some(part)
    }

    #[inline(always)]
    fn count_starts(&self, row: usize) -> u32 {
        let (mut carry, mut n) = (0, 0);
        for &word in &self.words[row * self.width..(row + 1) * self.width] {
            n += starts(word, carry).count_ones();
            carry = word >> 63;
        }
        n
    }

    /// Numbers the components by their first runs.
    fn settle(&mut self, parent: &[u32]) {
        let mut component = vec![0u32; parent.len()];
        let mut count = 0;
        self.started.push(0);
        for row in self.first.windows(2) {
            for i in row[0]..row[1] {
                // A run is its own parent, and a new component, or its parent comes before it and has one.
                let p = parent[i as usize];
                component[i as usize] = count;
                component[i as usize] = component[p as usize];
                count += u32::from(p == i);
            }
            self.started.push(count);
        }
        self.component = component;
    }

    fn find_keys(&mut self, keys: &Keys) {
        self.keys = vec![u64::MAX; self.count()];
        let (last, mut row, mut run) = (self.region.rank() - 1, 0, 0);
        let mut least = std::mem::take(&mut self.keys);
        for_rows(&self.region, |at| {
            let mut at = Index::from_slice(at);
            let mut carry = 0;
            for (k, &word) in self.words[row * self.width..(row + 1) * self.width].iter().enumerate() {
                let mut begin = starts(word, carry);
                carry = word >> 63;
                while begin != 0 {
                    at[last] = self.region.lo[last] + 64 * k as i64 + i64::from(begin.trailing_zeros());
                    begin &= begin - 1;
                    let least = &mut least[self.component[run] as usize];
                    *least = keys.of(&at).min(*least);
                    run += 1;
                }
            }
            row += 1;
        });
        self.keys = least;
    }

    /// Number of components.
    pub(crate) fn count(&self) -> usize {
        self.started.last().map_or(0, |&n| n as usize)
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.started.len().saturating_sub(1)
    }

    /// Components that start in a row.
    pub(crate) fn starting(&self, row: usize) -> std::ops::Range<u32> {
        self.started[row]..self.started[row + 1]
    }

    /// The components of a row's runs.
    pub(crate) fn components(&self, row: usize) -> &[u32] {
        &self.component[self.first[row] as usize..self.first[row + 1] as usize]
    }

    /// Calls `f` with the component and the length of every run.
    pub(crate) fn each_run(&self, mut f: impl FnMut(u32, u64)) {
        let mut run = self.component.iter();
        for row in self.words.chunks_exact(self.width.max(1)) {
            let (mut carry, mut began) = (0, None);
            for (k, &word) in row.iter().enumerate() {
                let mut edges = word ^ ((word << 1) | carry);
                carry = word >> 63;
                while edges != 0 {
                    let at = 64 * k as u64 + u64::from(edges.trailing_zeros());
                    edges &= edges - 1;
                    began = match began {
                        None => Some(at),
                        Some(from) => {
                            run.next().into_iter().for_each(|&c| f(c, at - from));
                            None
                        }
                    };
                }
            }
            // Beyond a row there is no bit: one that lasts to its end fills its last word.
            if let Some(from) = began {
                run.next().into_iter().for_each(|&c| f(c, 64 * row.len() as u64 - from));
            }
        }
    }

    /// The component of a run.
    pub(crate) fn component(&self, run: u32) -> u32 {
        self.component[run as usize]
    }

    /// The foreground of a row and its first run.
    #[inline(always)]
    pub(crate) fn row(&self, row: usize) -> (&[u64], u32) {
        (&self.words[row * self.width..(row + 1) * self.width], self.first[row])
    }

    /// The component of a row's first voxel, if that is foreground.
    pub(crate) fn leftmost(&self, row: usize) -> Option<u32> {
        let (words, first) = self.row(row);
        (words.first()? & 1 != 0).then(|| self.component[first as usize])
    }

    /// The component of a row's last voxel, if that is foreground.
    pub(crate) fn rightmost(&self, row: usize) -> Option<u32> {
        let last = self.region.len(self.region.rank() - 1) - 1;
        let set = self.row(row).0.last()? >> (last % 64) & 1 != 0;
        set.then(|| self.component[self.first[row + 1] as usize - 1])
    }

    /// Calls `f` with components that touch the edge of an array, some more than once.
    pub(crate) fn at_edge(&self, array: &Region, mut f: impl FnMut(u32)) {
        let (region, last, mut row) = (&self.region, array.rank() - 1, 0);
        for_rows(region, |at| {
            let outermost = |a: usize| at[a] == 0 || at[a] + 1 == array.hi[a];
            if (0..last).any(outermost) {
                self.components(row).iter().for_each(|&c| f(c));
            } else {
                let left = if region.lo[last] == 0 { self.leftmost(row) } else { None };
                let right = if region.hi[last] == array.hi[last] { self.rightmost(row) } else { None };
                left.into_iter().chain(right).for_each(&mut f);
            }
            row += 1;
        });
    }

    /// Bytes it takes.
    pub(crate) fn bytes(&self) -> u64 {
        let lists = self.words.capacity() + self.keys.capacity();
        let short = self.first.capacity() + self.component.capacity() + self.started.capacity();
        PART + 8 * lists as u64 + 4 * short as u64
    }

    /// Writes the numbers of the voxels that the part and a region share into the elements of that region; how many.
    pub(crate) fn paint<O: Element>(&self, region: &Region, numbers: &[u32], out: &mut [O]) -> u64 {
        let common = self.region.intersect(region);
        if common.is_empty() {
            return 0;
        }
        let (last, strides, own_strides) = (region.rank() - 1, region.strides(), self.region.strides());
        let (whole, len) = (common == *region, common.len(last) as usize);
        let from = (common.lo[last] - self.region.lo[last]) as usize;
        vectorize(
            #[inline(always)]
            || {
                for_rows(
                    &common,
                    #[inline(always)]
                    |at| {
                        let start = place(region, &strides, at);
                        let row = place(&self.region, &own_strides, at) / self.region.len(last) as usize;
                        // Beyond the row lies what is written later only if no other part is.
                        let end = if whole { out.len() } else { start + len };
                        self.paint_row(row, (from, from + len), numbers, &mut out[start..end]);
                    },
                );
            },
        );
        common.volume()
    }

    /// Writes the numbers of a row's voxels from column `from` to column `to` into the first elements of `out`; those
    /// behind may be overwritten too.
    #[inline(always)]
    fn paint_row<O: Element>(&self, row: usize, (from, to): (usize, usize), numbers: &[u32], out: &mut [O]) {
        let (words, mut next) = self.row(row);
        let mut before = 0;
        for &word in &words[..from / 64] {
            next += starts(word, before).count_ones();
            before = word >> 63;
        }
        if from % 64 != 0 {
            let word = words[from / 64];
            next += (starts(word, before) & !(u64::MAX << (from % 64))).count_ones();
            before = word >> (from % 64 - 1) & 1;
        }
        // A run that goes on begins again at `from`.
        if before != 0 && words[from / 64] >> (from % 64) & 1 != 0 {
            next -= 1;
        }
        let (mut at, mut carry, mut value) = (0, 0, O::default());
        for (k, &word) in words.iter().enumerate().take(to.div_ceil(64)).skip(from / 64) {
            let word = if k == from / 64 { word & (u64::MAX << (from % 64)) } else { word };
            let mut edges = word ^ ((word << 1) | carry);
            carry = word >> 63;
            while edges != 0 {
                let edge = (64 * k + edges.trailing_zeros() as usize).min(to) - from;
                edges &= edges - 1;
                stretch(out, at, edge, value);
                at = edge;
                let begins = value == O::default();
                value = if begins && edge < to - from { self.number(next, numbers) } else { O::default() };
                next += u32::from(begins);
            }
        }
        stretch(out, at, to - from, value);
    }

    #[inline(always)]
    fn number<O: Element>(&self, run: u32, numbers: &[u32]) -> O {
        O::from_order_key(u64::from(numbers[self.component[run as usize] as usize]))
    }
}

/// The number of an element in a region.
#[inline(always)]
fn place(region: &Region, strides: &[usize], at: &[i64]) -> usize {
    (0..at.len()).map(|a| (at[a] - region.lo[a]) as usize * strides[a]).sum()
}

/// The number of the row a step away from the one that begins `at`, if it lies in the same block.
#[inline(always)]
fn neighbour(region: &Region, at: &[i64], step: &[i64], lo: &Index) -> Option<usize> {
    let mut row = 0;
    for (a, s) in step.iter().enumerate() {
        let there = at[a] + s;
        if there < lo[a] || region.hi[a] <= there {
            return None;
        }
        row = row * region.len(a) as usize + (there - lo[a]) as usize;
    }
    Some(row)
}

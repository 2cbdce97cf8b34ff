//! The later passes of a distance transform: the least of `f(j) + (step * (i - j))^2` over all j of a line, for each i.
//!
//! The functions of i that a line's elements stand for are parabolas of one shape; those that are least somewhere are
//! found in one sweep. Where two cross is computed from half sums and a quotient, by which it is so exact that of whole
//! numbers the least is always found (lines of up to 2^24 elements), and else one that is as small but for rounding.
//!
//! Of whole numbers the least may as well be looked for from each element outwards, many lines at once, which is
//! quicker where background is near: it is the same number, whichever way finds it.

use super::nearest::{NONE, lines, whole_lines};
use crate::elementwise::{self, Store};
use ops_core::{ArrayMeta, Block, DType, Map, MapCall, Need, Needs, OpError, Pool, Ports, Region, simd::vectorize};
use smallvec::smallvec;

/// Lines that are gathered at once: a cache line of float64.
const LINES: usize = 8;
/// How far is looked outwards.
const NEAR: usize = 24;

/// A pass along one axis.
#[derive(Debug, Clone)]
pub(crate) struct Envelope {
    /// The axis.
    pub(crate) axis: usize,
    /// Distance between neighbours along it.
    pub(crate) step: f64,
    /// Distance between neighbours along the axis of the first pass, whose steps may be what is read.
    pub(crate) along: f64,
    /// The root of what was found.
    pub(crate) root: bool,
}

/// Steps along the only axis as distances.
#[derive(Debug, Clone)]
pub(crate) struct Finish {
    /// Distance between neighbours.
    pub(crate) step: f64,
    /// The distance, not its square.
    pub(crate) root: bool,
}

/// The square of the distance of so many steps.
#[inline(always)]
fn square(steps: u32, step: f64) -> f64 {
    let d = f64::from(steps) * step;
    if steps == NONE { f64::INFINITY } else { d * d }
}

impl Map for Finish {
    fn infer(&self, ports: &Ports) -> Result<ArrayMeta, OpError> {
        Ok(ports.meta(0).with_dtype(DType::Float64))
    }

    fn apply(&self, call: &MapCall<'_>, out: &mut Block) -> Result<(), OpError> {
        let (step, root) = (self.step, self.root);
        elementwise::unary(call.blocks[0], out, Store::Nearest, |steps| {
            let d = if steps == f64::from(NONE) { f64::INFINITY } else { steps * step };
            if root { d } else { d * d }
        });
        Ok(())
    }
}

/// What a pass works on: elements of a line, elements behind its axis.
fn extents(axis: usize, src: &Region) -> (usize, usize) {
    let shape = src.shape();
    (shape[axis], shape[axis + 1..].iter().product())
}

impl Map for Envelope {
    fn infer(&self, ports: &Ports) -> Result<ArrayMeta, OpError> {
        match ports.meta(0).dtype {
            DType::UInt32 | DType::Float64 => Ok(ports.meta(0).with_dtype(DType::Float64)),
            other => Err(OpError::Internal(format!("squares of distances of dtype {other}"))),
        }
    }

    fn needs(&self, ports: &Ports, out: &Region) -> Needs {
        smallvec![Need::inside(0, lines(ports.meta(0), self.axis, out))]
    }

    fn apply(&self, call: &MapCall<'_>, out: &mut Block) -> Result<(), OpError> {
        let (src, region) = (call.blocks[0], out.region().clone());
        if region.is_empty() {
            return Ok(());
        }
        let (n, inner) = extents(self.axis, src.region());
        let part = region.lo[self.axis] as usize..region.hi[self.axis] as usize;
        let mut lines = call.pool.take::<f64>(LINES.min(inner) * n);
        let (mut vertex, mut from) = (call.pool.take::<u32>(n), call.pool.take::<f64>(n));
        let mut room = Room { vertex: &mut vertex, from: &mut from };
        let slabs = out.as_mut_slice::<f64>().chunks_exact_mut(part.len() * inner);
        for (slab, dst) in slabs.enumerate() {
            for first in (0..inner).step_by(LINES) {
                let width = LINES.min(inner - first);
                let at = |i: usize| (slab * n + i) * inner + first..(slab * n + i) * inner + first + width;
                let whole = self.step == 1.0 && self.along == 1.0;
                if whole && width == LINES {
                    self.read(src, &mut lines, n, at, |i, k| i * LINES + k);
                    let found = vectorize(
                        #[inline(always)]
                        || self.near(lines.as_chunks::<LINES>().0, part.clone(), &mut dst[first..], inner),
                    );
                    if found {
                        continue;
                    }
                }
                self.read(src, &mut lines, n, at, |i, k| k * n + i);
                for (k, line) in lines.chunks_exact(n).take(width).enumerate() {
                    let out = dst[first + k..].iter_mut().step_by(inner);
                    self.least(line, part.clone(), out, &mut room);
                }
            }
        }
        Ok(())
    }

    fn granule(&self, ports: &Ports) -> Option<Vec<u64>> {
        Some(whole_lines(ports.meta(0), self.axis))
    }

    fn scratch_bytes(&self, ports: &Ports, out: &Region) -> u64 {
        let (n, inner) = extents(self.axis, &lines(ports.meta(0), self.axis, out));
        let bytes = |n: usize| Pool::rounded(n as u64);
        bytes(8 * LINES.min(inner) * n) + bytes(4 * n) + bytes(8 * n)
    }

    fn nanos_per_element(&self) -> f32 {
        12.0
    }
}

/// Copies neighbouring lines: element `i` of line `k` to where `place` says.
#[inline(always)]
fn gather<'a, S: 'a>(
    lines: &mut [f64],
    n: usize,
    place: impl Fn(usize, usize) -> usize,
    row: impl Fn(usize) -> &'a [S],
    f: impl Fn(&S) -> f64,
) {
    for i in 0..n {
        for (k, v) in row(i).iter().enumerate() {
            lines[place(i, k)] = f(v);
        }
    }
}

/// Room for the parabolas of a line: where their vertices are, and from where on each is the least.
struct Room<'a> {
    vertex: &'a mut [u32],
    from: &'a mut [f64],
}

impl Envelope {
    /// Reads the squares of neighbouring lines; `at` says where their elements of one place are.
    fn read(
        &self,
        src: &Block,
        lines: &mut [f64],
        n: usize,
        at: impl Fn(usize) -> std::ops::Range<usize>,
        place: impl Fn(usize, usize) -> usize,
    ) {
        if src.dtype() == DType::UInt32 {
            let src = src.as_slice::<u32>();
            gather(lines, n, place, |i| &src[at(i)], |&v| square(v, self.along));
        } else {
            let src = src.as_slice::<f64>();
            gather(lines, n, place, |i| &src[at(i)], |&v| v);
        }
    }

    /// Looks outwards from each element of a part of some lines of whole numbers; `false` where the least of one may be
    /// further than `NEAR`. Rows of the result are `pitch` apart.
    #[inline(always)]
    fn near(&self, rows: &[[f64; LINES]], part: std::ops::Range<usize>, out: &mut [f64], pitch: usize) -> bool {
        for (i, out) in part.zip(out.chunks_mut(pitch)) {
            let (mut best, mut d) = (rows[i], 1);
            loop {
                let most = best.iter().fold(0.0, |a, &b| if b > a { b } else { a });
                let square = (d * d) as f64;
                let (low, high) = (i.checked_sub(d), (i + d < rows.len()).then_some(i + d));
                if square >= most || (low.is_none() && high.is_none()) {
                    break;
                }
                if d > NEAR {
                    return false;
                }
                for j in low.into_iter().chain(high) {
                    for (b, v) in best.iter_mut().zip(&rows[j]) {
                        let v = v + square;
                        *b = if v < *b { v } else { *b };
                    }
                }
                d += 1;
            }
            for (d, v) in out.iter_mut().zip(best) {
                *d = if self.root { v.sqrt() } else { v };
            }
        }
        true
    }

    /// Finds the parabolas of a line that are least somewhere, ascending; how many.
    fn envelope(&self, line: &[f64], room: &mut Room<'_>) -> usize {
        let scale = 0.5 / (self.step * self.step);
        let mut count = 0;
        for (q, &f) in line.iter().enumerate() {
            if f == f64::INFINITY {
                continue;
            }
            let mut begins = f64::NEG_INFINITY;
            while count > 0 {
                let p = room.vertex[count - 1] as usize;
                let middle = (p + q) as f64 * 0.5;
                begins = middle + (f - line[p]) * scale / (q - p) as f64;
                if begins > room.from[count - 1] {
                    break;
                }
                count -= 1;
                begins = f64::NEG_INFINITY;
            }
            (room.vertex[count], room.from[count]) = (q as u32, begins);
            count += 1;
        }
        count
    }

    /// Writes what is least at each place of a part of the line.
    fn least<'a>(
        &self,
        line: &[f64],
        part: std::ops::Range<usize>,
        out: impl Iterator<Item = &'a mut f64>,
        room: &mut Room<'_>,
    ) {
        let count = self.envelope(line, room);
        if count == 0 {
            return out.for_each(|d| *d = f64::INFINITY);
        }
        let mut k = room.from[..count].partition_point(|&b| b < part.start as f64).saturating_sub(1);
        for (i, d) in part.zip(out) {
            while k + 1 < count && room.from[k + 1] < i as f64 {
                k += 1;
            }
            let p = room.vertex[k] as usize;
            let far = i.abs_diff(p) as f64 * self.step;
            let found = line[p] + far * far;
            *d = if self.root { found.sqrt() } else { found };
        }
    }
}

//! The later passes of a distance transform: the least of `f(j) + (step * (i - j))^2` over all j of a line, for each i.
//!
//! The functions of i that a line's elements stand for are parabolas of one shape; those that are least somewhere are
//! found in one sweep. Where two cross is computed from half sums and a quotient, by which it is so exact that of whole
//! numbers the least is always found (lines of up to 2^24 elements), and else one that is as small but for rounding.

use super::nearest::{NONE, lines};
use crate::elementwise::{self, Store};
use ops_core::{ArrayMeta, Block, DType, Map, MapCall, Need, Needs, OpError, Pool, Ports, Region};
use smallvec::smallvec;

/// Lines that are gathered at once: a cache line of float64.
const LINES: usize = 8;

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
                let at = |i: usize| (slab * n + i) * inner + first;
                match src.dtype() {
                    DType::UInt32 => {
                        let src = src.as_slice::<u32>();
                        gather(&mut lines, n, width, |i| &src[at(i)..at(i) + width], |&v| square(v, self.along));
                    }
                    _ => {
                        let src = src.as_slice::<f64>();
                        gather(&mut lines, n, width, |i| &src[at(i)..at(i) + width], |&v| v);
                    }
                }
                for (k, line) in lines.chunks_exact(n).take(width).enumerate() {
                    let out = dst[first + k..].iter_mut().step_by(inner);
                    self.least(line, part.clone(), out, &mut room);
                }
            }
        }
        Ok(())
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

/// Copies neighbouring lines, one after the other.
#[inline(always)]
fn gather<'a, S: 'a>(lines: &mut [f64], n: usize, width: usize, row: impl Fn(usize) -> &'a [S], f: impl Fn(&S) -> f64) {
    for i in 0..n {
        for (k, v) in row(i)[..width].iter().enumerate() {
            lines[k * n + i] = f(v);
        }
    }
}

/// Room for the parabolas of a line: where their vertices are, and from where on each is the least.
struct Room<'a> {
    vertex: &'a mut [u32],
    from: &'a mut [f64],
}

impl Envelope {
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

//! Windows that lie side by side: which elements of a block each element of a smaller block is made from.

use ops_core::Region;

/// Elements that are contiguous behind the last shortened axis from which on they are a row of their own.
const LONG: usize = 16;

/// An axis before the rows.
#[derive(Debug, Clone, Copy)]
struct Outer {
    /// Elements of the result.
    out: usize,
    /// Elements of the source.
    given: usize,
    /// Elements of the source for one of the result.
    factor: usize,
    /// From one element of the source to the next.
    step: usize,
}

/// How the elements of a region are made from those of a source region.
#[derive(Debug, Clone)]
pub(crate) struct Windows {
    /// The part of the source that is read.
    pub(crate) source: Region,
    outer: Vec<Outer>,
    /// The axis along which rows run: `step` elements belong to each of its positions.
    row: Outer,
    out: usize,
}

/// A run of elements of the result that are made from equally many of the source.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    /// The first element of the result.
    pub(crate) to: usize,
    /// Elements of the result.
    pub(crate) n: usize,
    /// Where it begins in each row of the source.
    pub(crate) from: usize,
    /// Elements of a source row for one of the result, and the step between them.
    pub(crate) factor: usize,
    pub(crate) step: usize,
}

impl Windows {
    /// Windows of `factors` elements; `source` begins where the first of them does, and may end within the last.
    pub(crate) fn new(source: Region, out: &Region, factors: &[i64]) -> Windows {
        let (given, wanted, steps) = (source.shape(), out.shape(), source.strides());
        let axis = |a: usize| Outer { out: wanted[a], given: given[a], factor: factors[a] as usize, step: steps[a] };
        let plain = |n: usize| Outer { out: n, given: n, factor: 1, step: 1 };
        let volume = out.volume() as usize;
        let (outer, row) = match factors.iter().rposition(|f| *f > 1) {
            None => (Vec::new(), plain(volume)),
            Some(last) if steps[last] >= LONG => ((0..=last).map(axis).collect(), plain(steps[last])),
            Some(last) => ((0..last).map(axis).collect(), axis(last)),
        };
        Windows { source, outer, row, out: volume }
    }

    /// Elements of the largest window.
    pub(crate) fn largest(&self) -> usize {
        let axes = self.outer.iter().chain([&self.row]);
        axes.fold(1, |n, a| n.saturating_mul(a.factor.min(a.given)))
    }

    /// Calls `f` with the first element of the source of each row of windows, the extents of its windows along the
    /// outer axes, and the first element of the result.
    fn rows(&self, mut f: impl FnMut(usize, &[(usize, usize)], usize)) {
        if self.out == 0 {
            return;
        }
        let mut at = vec![0; self.outer.len()];
        let mut extents = vec![(1, 1); self.outer.len()];
        let length = self.row.out * self.row.step;
        for to in (0..self.out).step_by(length) {
            let mut base = 0;
            for ((a, o), e) in at.iter().zip(&self.outer).zip(&mut extents) {
                base += a * o.factor * o.step;
                *e = (o.factor.min(o.given - a * o.factor), o.step);
            }
            f(base, &extents, to);
            for (a, o) in at.iter_mut().zip(&self.outer).rev() {
                *a += 1;
                if *a < o.out {
                    break;
                }
                *a = 0;
            }
        }
    }

    /// Calls `f` with the starts of the source rows that a run of at most `most` elements of the result is made from (as
    /// many as fit one position of the row, if those are more), in C order, and the run.
    pub(crate) fn runs(&self, most: usize, mut f: impl FnMut(&[usize], Run)) {
        let Outer { out, given, factor, step } = self.row;
        let positions = (most / step).max(1);
        let whole = given / factor;
        let mut starts = Vec::new();
        self.rows(|base, extents, to| {
            starts.clear();
            starts.push(base);
            for &(n, by) in extents {
                starts = starts.iter().flat_map(|&s| (0..n).map(move |k| s + k * by)).collect();
            }
            let mut at = 0;
            while at < out {
                let (n, factor) =
                    if at < whole { (positions.min(whole - at), factor) } else { (1, given - at * factor) };
                let from = at * self.row.factor * step;
                f(&starts, Run { to: to + at * step, n: n * step, from, factor, step });
                at += n;
            }
        });
    }

    /// Copies the first element of each window.
    pub(crate) fn firsts<T: Copy>(&self, src: &[T], dst: &mut [T]) {
        let Outer { out, factor, step, .. } = self.row;
        self.rows(|base, _, to| {
            let (src, dst) = (&src[base..], &mut dst[to..to + out * step]);
            match (factor, step) {
                (1, _) => dst.copy_from_slice(&src[..out * step]),
                (_, 1) => dst.iter_mut().zip(src.iter().step_by(factor)).for_each(|(d, s)| *d = *s),
                _ => dst
                    .chunks_exact_mut(step)
                    .zip(src.chunks(factor * step))
                    .for_each(|(d, s)| d.copy_from_slice(&s[..step])),
            }
        });
    }
}

//! The map that ops end in which stretch values: a shift, a factor, a shift.

use crate::elementwise::{Store, unary};
use ops_core::Block;

/// `(x - from) * factor + to`, optionally limited to a range.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Linear {
    from: f64,
    factor: f64,
    to: f64,
    limits: Option<(f64, f64)>,
}

impl Linear {
    /// Takes `from` to `to`, end to end. Where both ends of `from` are equal everything becomes `to[0]`.
    pub(crate) fn between(from: [f64; 2], to: [f64; 2]) -> Linear {
        let width = from[1] - from[0];
        let factor = if width == 0.0 { 0.0 } else { (to[1] - to[0]) / width };
        Linear { from: from[0], factor, to: to[0], limits: None }
    }

    /// The same, limited to between two values given in either order.
    pub(crate) fn limited(self, ends: [f64; 2]) -> Linear {
        Linear { limits: Some((ends[0].min(ends[1]), ends[0].max(ends[1]))), ..self }
    }

    /// One element; NaN stays NaN.
    #[inline(always)]
    pub(crate) fn at(self, x: f64) -> f64 {
        let y = (x - self.from) * self.factor;
        // Adding 0 would turn -0 into +0 and change nothing else; leaving it out keeps the usual case one operation shorter.
        let y = if self.to == 0.0 { y } else { y + self.to };
        match self.limits {
            Some((lo, _)) if y < lo => lo,
            Some((_, hi)) if y > hi => hi,
            _ => y,
        }
    }

    /// All elements of a block.
    pub(crate) fn apply(self, src: &Block, out: &mut Block) {
        let Linear { from, factor, to, limits } = self;
        match limits {
            None if to == 0.0 => unary(src, out, Store::Nearest, |x| (x - from) * factor),
            None => unary(src, out, Store::Nearest, |x| (x - from) * factor + to),
            Some(_) => unary(src, out, Store::Nearest, |x| self.at(x)),
        }
    }
}

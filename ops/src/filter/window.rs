//! The neighbours that a rank filter looks at, as a box and which of its elements count.

use super::footprint::Footprint;
use super::params::{Size, spatial};
use ops_core::{ArrayMeta, Index, OpError};

/// A window over an array: a box, and which of its elements count.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Window {
    /// Extent along each axis of the array; 1 along axes that are not spatial.
    pub(crate) extents: Vec<usize>,
    /// How far the box reaches on the low side of each axis; negative where it begins behind the centre.
    pub(crate) before: Index,
    /// Which elements of the box count, in C order; all where there is nothing.
    pub(crate) members: Option<Vec<bool>>,
}

impl Window {
    /// A window of just one of `size` and `footprint`.
    pub(crate) fn new(size: Option<&Size>, footprint: Option<&Footprint>, meta: &ArrayMeta) -> Result<Window, OpError> {
        match (size, footprint) {
            (Some(size), None) => {
                let extents = size.extents(meta)?;
                Ok(Window { before: super::params::before(&extents), extents, members: None })
            }
            (None, Some(footprint)) => Window::of(footprint, meta),
            (None, None) => Err(OpError::param("size", "one of `size` and `footprint`", "none of them")),
            (Some(_), Some(_)) => Err(OpError::param("size", "one of `size` and `footprint`", "both")),
        }
    }

    /// The smallest box around the neighbours that count.
    pub(crate) fn of(footprint: &Footprint, meta: &ArrayMeta) -> Result<Window, OpError> {
        let (axes, (shape, counts)) = (spatial(meta)?, footprint.elements(meta)?);
        let rank = shape.len();
        let mut bounds: Vec<(usize, usize)> = shape.iter().map(|&n| (0, n)).collect();
        if let Some(counts) = &counts {
            bounds = shape.iter().map(|&n| (n, 0)).collect();
            for i in (0..counts.len()).filter(|&i| counts[i]) {
                let mut rest = i;
                for a in (0..rank).rev() {
                    let at = rest % shape[a];
                    rest /= shape[a];
                    bounds[a] = (bounds[a].0.min(at), bounds[a].1.max(at + 1));
                }
            }
        }
        let (mut extents, mut before) = (vec![1; meta.rank()], Index::from_elem(0, meta.rank()));
        for (a, &(lo, hi)) in bounds.iter().enumerate() {
            extents[axes[a]] = hi.saturating_sub(lo);
            before[axes[a]] = (shape[a] / 2) as i64 - lo as i64;
        }
        let inside = |i: usize| {
            let mut rest = i;
            (0..rank).rev().all(|a| {
                let at = rest % shape[a];
                rest /= shape[a];
                (bounds[a].0..bounds[a].1).contains(&at)
            })
        };
        let members = counts.map(|c| (0..c.len()).filter(|&i| inside(i)).map(|i| c[i]).collect::<Vec<bool>>());
        Ok(Window { extents, before, members: members.filter(|m| m.contains(&false)) })
    }

    /// The window reflected about its centre.
    pub(crate) fn reflected(self) -> Window {
        let before = self.after();
        let members = self.members.map(|m| m.into_iter().rev().collect());
        Window { extents: self.extents, before, members }
    }

    /// How far the box reaches on the high side of each axis.
    pub(crate) fn after(&self) -> Index {
        self.extents.iter().zip(&self.before).map(|(&n, b)| n as i64 - 1 - b).collect()
    }

    /// Number of elements that count.
    pub(crate) fn count(&self) -> usize {
        let all = self.extents.iter().fold(1usize, |v, &n| v.saturating_mul(n));
        self.members.as_ref().map_or(all, |m| m.iter().filter(|&&b| b).count())
    }
}

//! The neighbours that a rank filter looks at: a box, or any set of neighbours.

use super::params::{Size, spatial};
use ops_core::{ArrayMeta, Index, OpError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Zeros and ones: which neighbours count. As deeply nested as the input has spatial axes.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Footprint {
    /// Along the only spatial axis.
    Line(Vec<u8>),
    /// Rows.
    Plane(Vec<Vec<u8>>),
    /// Planes of rows.
    Volume(Vec<Vec<Vec<u8>>>),
}

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

impl Footprint {
    /// Extents along the spatial axes, and the elements in C order.
    pub(crate) fn parts(&self) -> Option<(Vec<usize>, Vec<u8>)> {
        let even = |lengths: &[usize]| lengths.windows(2).all(|w| w[0] == w[1]).then(|| lengths.first().copied())?;
        match self {
            Footprint::Line(v) => Some((vec![v.len()], v.clone())),
            Footprint::Plane(rows) => {
                let columns = even(&rows.iter().map(Vec::len).collect::<Vec<_>>())?;
                Some((vec![rows.len(), columns], rows.concat()))
            }
            Footprint::Volume(planes) => {
                let rows = even(&planes.iter().map(Vec::len).collect::<Vec<_>>())?;
                let lengths: Vec<usize> = planes.iter().flatten().map(Vec::len).collect();
                Some((vec![planes.len(), rows, even(&lengths)?], planes.concat().concat()))
            }
        }
    }
}

impl Window {
    /// A window of just one of `size` and `footprint`.
    pub(crate) fn new(size: Option<&Size>, footprint: Option<&Footprint>, meta: &ArrayMeta) -> Result<Window, OpError> {
        match (size, footprint) {
            (Some(size), None) => {
                let extents = size.extents(meta)?;
                Ok(Window { before: super::params::before(&extents), extents, members: None })
            }
            (None, Some(footprint)) => Window::of_members(footprint, meta),
            (None, None) => Err(OpError::param("size", "one of `size` and `footprint`", "none of them")),
            (Some(_), Some(_)) => Err(OpError::param("size", "one of `size` and `footprint`", "both")),
        }
    }

    /// The smallest box around the neighbours that count.
    fn of_members(footprint: &Footprint, meta: &ArrayMeta) -> Result<Window, OpError> {
        let axes = spatial(meta)?;
        let refused = |found: &str| {
            let expected = format!("rows of equal length, nested {} deep, of 0 and 1, at least one 1", axes.len());
            OpError::param("footprint", expected, found)
        };
        let (shape, values) = footprint.parts().ok_or_else(|| refused("rows of other lengths"))?;
        if shape.len() != axes.len() {
            return Err(refused(&format!("nested {} deep", shape.len())));
        }
        if values.iter().any(|&v| v > 1) {
            return Err(refused("other numbers"));
        }
        let at = |mut i: usize| {
            let mut at = vec![0; shape.len()];
            for a in (0..shape.len()).rev() {
                at[a] = i % shape[a];
                i /= shape[a];
            }
            at
        };
        let members: Vec<Vec<usize>> = (0..values.len()).filter(|&i| values[i] == 1).map(at).collect();
        let bound = |a: usize| {
            let along = members.iter().map(|m| m[a]);
            Some((along.clone().min()?, along.max()?))
        };
        let bounds: Option<Vec<(usize, usize)>> = (0..shape.len()).map(bound).collect();
        let bounds = bounds.ok_or_else(|| refused("no 1"))?;
        let (mut extents, mut before) = (vec![1; meta.rank()], Index::from_elem(0, meta.rank()));
        for (i, &(lo, hi)) in bounds.iter().enumerate() {
            extents[axes[i]] = hi - lo + 1;
            before[axes[i]] = (shape[i] / 2) as i64 - lo as i64;
        }
        let mut inside = vec![false; extents.iter().product()];
        for m in members {
            let place = |p: usize, a: usize| p * (bounds[a].1 - bounds[a].0 + 1) + m[a] - bounds[a].0;
            inside[(0..shape.len()).fold(0, place)] = true;
        }
        let members = (!inside.iter().all(|&b| b)).then_some(inside);
        Ok(Window { extents, before, members })
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

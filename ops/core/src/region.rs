//! Integer boxes: the one way this project says "this part of that array".

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// Coordinates or extents along the axes of an array, slowest axis first. Up to six stay off the heap.
pub type Index = SmallVec<[i64; 6]>;

/// A half-open box `lo <= i < hi` in the coordinates of an array.
///
/// A region may reach outside its array: a filter at the edge asks for what lies beyond, and the boundary mode of
/// the op says what is found there.
#[derive(Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Region {
    /// The first index along each axis.
    pub lo: Index,
    /// One past the last index along each axis; never below `lo`.
    pub hi: Index,
}

impl Region {
    /// The box from `lo` up to, not including, `hi`. An axis whose `hi` is below its `lo` becomes empty.
    pub fn new(lo: impl Into<Index>, hi: impl Into<Index>) -> Region {
        let (lo, mut hi) = (lo.into(), hi.into());
        debug_assert_eq!(lo.len(), hi.len());
        for (h, l) in hi.iter_mut().zip(&lo) {
            *h = (*h).max(*l);
        }
        Region { lo, hi }
    }

    /// The whole of an array of this shape.
    pub fn whole(shape: &[u64]) -> Region {
        Region { lo: SmallVec::from_elem(0, shape.len()), hi: shape.iter().map(|&n| n as i64).collect() }
    }

    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.lo.len()
    }

    /// Extent along one axis.
    pub fn len(&self, axis: usize) -> i64 {
        self.hi[axis] - self.lo[axis]
    }

    /// Extents along all axes.
    pub fn shape(&self) -> SmallVec<[usize; 6]> {
        self.lo.iter().zip(&self.hi).map(|(l, h)| (h - l) as usize).collect()
    }

    /// Number of elements, saturating.
    pub fn volume(&self) -> u64 {
        self.lo.iter().zip(&self.hi).fold(1u64, |v, (l, h)| v.saturating_mul((h - l) as u64))
    }

    /// True when it holds no element.
    pub fn is_empty(&self) -> bool {
        self.lo.iter().zip(&self.hi).any(|(l, h)| h <= l)
    }

    /// The common part; empty (never inverted) when there is none.
    pub fn intersect(&self, other: &Region) -> Region {
        let lo: Index = self.lo.iter().zip(&other.lo).map(|(a, b)| *a.max(b)).collect();
        let hi: Index = self.hi.iter().zip(&other.hi).map(|(a, b)| *a.min(b)).collect();
        Region::new(lo, hi)
    }

    /// The smallest box around both; an empty one does not count.
    pub fn hull(&self, other: &Region) -> Region {
        if self.is_empty() {
            return other.clone();
        }
        if other.is_empty() {
            return self.clone();
        }
        Region {
            lo: self.lo.iter().zip(&other.lo).map(|(a, b)| *a.min(b)).collect(),
            hi: self.hi.iter().zip(&other.hi).map(|(a, b)| *a.max(b)).collect(),
        }
    }

    /// True when every element of `other` is in this one.
    pub fn contains(&self, other: &Region) -> bool {
        other.is_empty() || (0..self.rank()).all(|a| self.lo[a] <= other.lo[a] && other.hi[a] <= self.hi[a])
    }

    /// Grown by `before` on the low and `after` on the high side of each axis.
    pub fn grow(&self, before: &[i64], after: &[i64]) -> Region {
        Region {
            lo: self.lo.iter().zip(before).map(|(l, b)| l - b).collect(),
            hi: self.hi.iter().zip(after).map(|(h, a)| h + a).collect(),
        }
    }

    /// Moved by `by` along each axis.
    pub fn shift(&self, by: &[i64]) -> Region {
        Region {
            lo: self.lo.iter().zip(by).map(|(l, d)| l + d).collect(),
            hi: self.hi.iter().zip(by).map(|(h, d)| h + d).collect(),
        }
    }

    /// Steps, in elements, between neighbours along each axis of a C-order buffer of this region.
    pub fn strides(&self) -> SmallVec<[usize; 6]> {
        let mut s: SmallVec<[usize; 6]> = SmallVec::from_elem(1, self.rank());
        for a in (0..self.rank().saturating_sub(1)).rev() {
            s[a] = s[a + 1] * self.len(a + 1) as usize;
        }
        s
    }
}

impl std::fmt::Display for Region {
    /// As Python slices: `[0:64, 128:192]`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[")?;
        for (a, (l, h)) in self.lo.iter().zip(&self.hi).enumerate() {
            write!(f, "{}{l}:{h}", if a > 0 { ", " } else { "" })?;
        }
        f.write_str("]")
    }
}

impl std::fmt::Debug for Region {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smallvec::smallvec;

    fn r(lo: [i64; 2], hi: [i64; 2]) -> Region {
        Region::new(Index::from_slice(&lo), Index::from_slice(&hi))
    }

    #[test]
    fn disjoint_boxes_meet_in_nothing() {
        let c = r([0, 0], [4, 4]).intersect(&r([6, 1], [9, 3]));
        assert!(c.is_empty());
        assert_eq!(c.volume(), 0);
    }

    #[test]
    fn hull_ignores_the_empty() {
        assert_eq!(r([2, 2], [2, 9]).hull(&r([5, 5], [6, 6])), r([5, 5], [6, 6]));
        assert_eq!(r([0, 0], [1, 1]).hull(&r([5, 5], [6, 6])), r([0, 0], [6, 6]));
    }

    #[test]
    fn strides_are_c_order() {
        let v = Region::whole(&[2, 3, 4]);
        assert_eq!(v.strides(), SmallVec::<[usize; 6]>::from_slice(&[12, 4, 1]));
        assert_eq!(
            v.grow(&[1, 0, 2], &[1, 0, 2]),
            Region::new(Index::from_slice(&[-1, 0, -2]), Index::from_slice(&[3, 3, 6]))
        );
        let empty: Index = smallvec![];
        assert_eq!(Region::new(empty.clone(), empty).volume(), 1);
    }
}

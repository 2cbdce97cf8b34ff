//! Named axes: which dimension of an array is what.

use smallvec::SmallVec;

/// What one dimension means. The names are those of OME-NGFF.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Axis {
    /// Time.
    T,
    /// Channel, such as the colours of an image.
    C,
    /// Depth, a spatial axis.
    Z,
    /// Rows, a spatial axis.
    Y,
    /// Columns, a spatial axis.
    X,
}

impl Axis {
    /// The one-letter name.
    pub const fn name(self) -> char {
        match self {
            Axis::T => 't',
            Axis::C => 'c',
            Axis::Z => 'z',
            Axis::Y => 'y',
            Axis::X => 'x',
        }
    }

    /// The axis of that letter, in either case.
    pub fn parse(c: char) -> Option<Axis> {
        [Axis::T, Axis::C, Axis::Z, Axis::Y, Axis::X].into_iter().find(|a| a.name() == c.to_ascii_lowercase())
    }

    /// True for z, y and x: the axes that filters, labels and blocks work along.
    pub const fn is_spatial(self) -> bool {
        matches!(self, Axis::Z | Axis::Y | Axis::X)
    }
}

/// The axes of an array, slowest first; no axis twice.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Axes(SmallVec<[Axis; 6]>);

impl Axes {
    /// From letters such as `"yxc"`; `None` when a letter is unknown or repeated.
    pub fn parse(s: &str) -> Option<Axes> {
        let v: SmallVec<[Axis; 6]> = s.chars().map(Axis::parse).collect::<Option<_>>()?;
        let repeated = v.iter().enumerate().any(|(i, a)| v[..i].contains(a));
        (!repeated).then_some(Axes(v))
    }

    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// The axes in order.
    pub fn iter(&self) -> impl Iterator<Item = Axis> + '_ {
        self.0.iter().copied()
    }

    /// Where an axis stands.
    pub fn position(&self, axis: Axis) -> Option<usize> {
        self.0.iter().position(|&a| a == axis)
    }

    /// Positions of the spatial axes, in order.
    pub fn spatial(&self) -> SmallVec<[usize; 3]> {
        (0..self.0.len()).filter(|&i| self.0[i].is_spatial()).collect()
    }

    /// Without one axis.
    pub fn without(&self, axis: Axis) -> Axes {
        Axes(self.0.iter().copied().filter(|&a| a != axis).collect())
    }

    /// With one more axis in front.
    pub fn with_first(&self, axis: Axis) -> Axes {
        let mut v = self.0.clone();
        v.insert(0, axis);
        Axes(v)
    }
}

impl std::fmt::Display for Axes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|a| write!(f, "{}", a.name()))
    }
}

impl std::fmt::Debug for Axes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_round_trip_and_repeats_are_refused() {
        let a = Axes::parse("tczyx").unwrap();
        assert_eq!(a.to_string(), "tczyx");
        assert_eq!(a.spatial().as_slice(), [2, 3, 4]);
        assert!(Axes::parse("yy").is_none());
        assert!(Axes::parse("yq").is_none());
        assert_eq!(a.without(Axis::C).to_string(), "tzyx");
    }
}

//! What is known of an array before any of its elements is read.

use crate::{Axes, DType, Region};
use smallvec::SmallVec;

/// Shape, dtype and axes of an array.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ArrayMeta {
    /// Extent along each axis, slowest first.
    pub shape: SmallVec<[u64; 6]>,
    /// Type of the elements.
    pub dtype: DType,
    /// Meaning of each axis.
    pub axes: Axes,
}

impl ArrayMeta {
    /// Puts the three together; `axes` is letters such as `"yx"`.
    pub fn new(shape: &[u64], dtype: DType, axes: Axes) -> ArrayMeta {
        debug_assert_eq!(shape.len(), axes.rank());
        ArrayMeta { shape: SmallVec::from_slice(shape), dtype, axes }
    }

    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// The region of the whole array.
    pub fn region(&self) -> Region {
        Region::whole(&self.shape)
    }

    /// Number of elements, saturating.
    pub fn volume(&self) -> u64 {
        self.shape.iter().fold(1u64, |v, &n| v.saturating_mul(n))
    }

    /// Bytes of all elements, saturating.
    pub fn bytes(&self) -> u64 {
        self.volume().saturating_mul(self.dtype.size() as u64)
    }

    /// The same array with another dtype.
    pub fn with_dtype(&self, dtype: DType) -> ArrayMeta {
        ArrayMeta { dtype, ..self.clone() }
    }
}

impl std::fmt::Display for ArrayMeta {
    /// `float64 yx (512, 512)`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} (", self.dtype, self.axes)?;
        for (i, n) in self.shape.iter().enumerate() {
            write!(f, "{}{n}", if i > 0 { ", " } else { "" })?;
        }
        f.write_str(")")
    }
}

/// An array input: one array, or a family of that many arrays of equal metadata behind an op that joins items.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PortMeta {
    /// The array, or the representative item of a family.
    pub meta: ArrayMeta,
    /// How many items the family behind it has; 1 for a single array.
    pub items: u32,
}

impl From<ArrayMeta> for PortMeta {
    fn from(meta: ArrayMeta) -> PortMeta {
        PortMeta { meta, items: 1 }
    }
}

/// The array inputs of a node, in order.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Ports(pub SmallVec<[PortMeta; 2]>);

impl Ports {
    /// Plain inputs, one array each.
    pub fn plain(metas: &[ArrayMeta]) -> Ports {
        Ports(metas.iter().map(|m| m.clone().into()).collect())
    }

    /// The array of a plain input, or the representative item of a joined one.
    ///
    /// # Panics
    /// When `input` is not the number of an input: graph building checks the count.
    pub fn meta(&self, input: usize) -> &ArrayMeta {
        &self.0[input].meta
    }

    /// Number of items behind an input.
    pub fn items(&self, input: usize) -> u32 {
        self.0[input].items
    }

    /// Number of inputs.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True for a node without array inputs.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

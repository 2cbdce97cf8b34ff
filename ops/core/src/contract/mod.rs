//! The contract battery.

use serde_json::Value as Json;

/// Inputs and parameters that the battery runs an op with.
#[derive(Debug, Clone)]
pub struct Case {
    /// The op's `with:`.
    pub with: Json,
    /// The inputs.
    pub inputs: Vec<Input>,
}

/// One input of a [`Case`].
#[derive(Debug, Clone)]
pub struct Input {
    /// Axes such as `"yx"`; the battery chooses extents.
    pub axes: &'static str,
    /// Extent of the channel axis, where there is one.
    pub channels: u64,
    /// Dtype.
    pub dtype: crate::DType,
    /// What the elements look like.
    pub content: Content,
    /// Items of a joined family; 1 for a plain input.
    pub items: u32,
}

/// What the elements of a test input look like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Content {
    /// Uniform noise over the dtype's range (floats: -100..1000).
    Noise,
    /// 0 and 1 with this share of ones.
    Mask(f64),
    /// Small label numbers, 0 to this.
    Labels(u64),
}

//! The contract battery: what every registered op has to keep, checked unasked.
//!
//! [`run`] takes a registered op and its [`Case`]s and returns what it found broken, as named [`Violation`]s. A
//! reference interpreter ([`interpret`]) evaluates the lowered op in memory: once whole, and many times cut into blocks
//! in random order. What a check means stands at [`Check`].
//!
//! NaNs are equal to each other whatever their bits: IEEE 754 leaves open which operand's bits a NaN result carries,
//! and processors differ.

mod bits;
mod checks;
mod data;
mod halo;
pub mod interpret;
mod nodes;
mod params;
mod report;

pub use data::{Array, Extents, Held, Rng};
pub use report::{Check, Report, Violation};

use crate::{OpEntry, Table};
use serde_json::Value as Json;

/// Inputs and parameters that the battery runs an op with.
#[derive(Debug, Clone)]
pub struct Case {
    /// The op's `with:`.
    pub with: Json,
    /// The inputs.
    pub inputs: Vec<Input>,
    /// An independent, naive computation of the result.
    pub expect: Option<Reference>,
}

/// A naive computation of an op's result from its `with:` and its inputs, the items of each in order.
pub type Reference = fn(&Json, &[Vec<Array>]) -> Expected;

/// What a [`Reference`] says the result is.
#[derive(Debug, Clone)]
pub enum Expected {
    /// The bytes of each result item, to be met bit by bit.
    Bytes(Vec<Vec<u8>>),
    /// The elements of each result item, to be met within a relative tolerance (of the larger magnitude, at least 1).
    Close(Vec<Vec<f64>>, f64),
    /// A table, to be met bit by bit.
    Table(Table),
    /// Numbers, to be met bit by bit.
    Numbers(Vec<f64>),
    /// The op must refuse these inputs.
    Refused,
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
    /// Items of a family; 1 for a plain input. Unless the op joins them, each has another shape.
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
    /// The same value everywhere.
    Constant(f64),
    /// Noise with NaN, both infinities and both zeros sprinkled in; floats only.
    Special,
    /// Not an array: the numbers of a reduction.
    Numbers(&'static [f64]),
}

impl Case {
    /// A case without a reference.
    pub fn new(with: Json, inputs: Vec<Input>) -> Case {
        Case { with, inputs, expect: None }
    }

    /// The same with an independent computation of the result.
    pub fn expecting(self, reference: Reference) -> Case {
        Case { expect: Some(reference), ..self }
    }
}

impl Input {
    /// One array of noise.
    pub fn new(axes: &'static str, dtype: crate::DType) -> Input {
        Input { axes, channels: 3, dtype, content: Content::Noise, items: 1 }
    }

    /// The same with other content.
    pub fn content(self, content: Content) -> Input {
        Input { content, ..self }
    }

    /// The same with another extent of the channel axis.
    pub fn channels(self, channels: u64) -> Input {
        Input { channels, ..self }
    }

    /// A family of that many items.
    pub fn items(self, items: u32) -> Input {
        Input { items, ..self }
    }
}

/// Runs every check on every case of an op.
pub fn run(entry: &OpEntry, seed: u64) -> Report {
    let mut report = Report::new(entry.name);
    params::documented(entry, &mut report);
    let cases = (entry.cases)();
    report.check(Check::HasCases, 0, (!cases.is_empty()).then_some(()).ok_or_else(|| "no case".to_owned()));
    for (number, case) in cases.iter().enumerate() {
        params::strict(entry, case, number, &mut report);
        for with in params::variants(entry, case) {
            let mut rng = Rng::new(seed ^ (number as u64).wrapping_mul(0x9E37_79B9));
            checks::all(entry, case, &with, number, &mut rng, &mut report);
        }
    }
    report
}

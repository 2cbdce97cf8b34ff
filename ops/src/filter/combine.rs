//! What becomes of several filtered arrays: the map that composite filters end in.

use super::params::OutputDType;
use crate::elementwise::{Store, binary, folded};
use ops_core::{ArrayMeta, Block, Map, MapCall, OpError, Ports};

/// How arrays of equal shape become one, element by element.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum How {
    /// All added, in order.
    Sum,
    /// The root of the sum of the squares, in order.
    Magnitude,
    /// The first without the second.
    Difference,
    /// The first, and so many times what it has more than the second.
    Sharpened(f64),
}

/// Combines arrays; `dtype: input` is that of `original`.
#[derive(Debug)]
pub(crate) struct Combine {
    /// What is computed.
    pub(crate) how: How,
    /// What the result is stored as.
    pub(crate) dtype: OutputDType,
    /// The dtype of the composite op's input.
    pub(crate) original: ops_core::DType,
    /// How it is rounded to integers.
    pub(crate) store: Store,
}

impl Map for Combine {
    fn infer(&self, ports: &Ports) -> Result<ArrayMeta, OpError> {
        Ok(ports.meta(0).with_dtype(self.dtype.of(self.original)?))
    }

    fn apply(&self, call: &MapCall<'_>, out: &mut Block) -> Result<(), OpError> {
        let (blocks, store) = (call.blocks, self.store);
        match (self.how, blocks) {
            (How::Sum, _) => folded(blocks, out, store, |x| x, |s, x| s + x, |s| s),
            (How::Magnitude, _) => folded(blocks, out, store, |x| x * x, |s, x| s + x * x, f64::sqrt),
            (How::Difference, [a, b]) => binary(a, b, out, store, |a, b| a - b),
            (How::Sharpened(amount), [a, b]) => binary(a, b, out, store, |a, b| a + (a - b) * amount),
            _ => return Err(OpError::Internal("a difference of other than two arrays".into())),
        }
        Ok(())
    }

    fn nanos_per_element(&self) -> f32 {
        0.5
    }
}

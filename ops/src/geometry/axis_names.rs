//! Parameters that name axes.

use ops_core::{ArrayMeta, Axes, Axis, OpError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The name of an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AxisName {
    /// Time.
    T,
    /// Channels.
    C,
    /// Depth.
    Z,
    /// Rows.
    Y,
    /// Columns.
    X,
}

impl AxisName {
    /// The axis.
    pub(crate) fn axis(self) -> Axis {
        match self {
            AxisName::T => Axis::T,
            AxisName::C => Axis::C,
            AxisName::Z => Axis::Z,
            AxisName::Y => Axis::Y,
            AxisName::X => Axis::X,
        }
    }

    /// Where it stands among the axes of an array.
    ///
    /// # Errors
    /// When the array has it not.
    pub(crate) fn position(self, param: &str, meta: &ArrayMeta) -> Result<usize, OpError> {
        let expected = || format!("one of the input's axes `{}`", meta.axes);
        meta.axes.position(self.axis()).ok_or_else(|| OpError::param(param, expected(), self.axis().name()))
    }
}

/// Several axes, as letters such as `yx`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct AxisNames(#[schemars(regex(pattern = r"^[tczyx]+$"))] pub(crate) String);

impl AxisNames {
    /// Where they stand among the axes of an array, in their own order.
    ///
    /// # Errors
    /// When the array has one of them not, or one is named twice.
    pub(crate) fn positions(&self, param: &str, meta: &ArrayMeta) -> Result<Vec<usize>, OpError> {
        let named = Axes::parse(&self.0).filter(|a| a.rank() > 0);
        let found: Option<Vec<usize>> = named.and_then(|n| n.iter().map(|a| meta.axes.position(a)).collect());
        let expected = || format!("some of the input's axes `{}`, each once", meta.axes);
        found.ok_or_else(|| OpError::param(param, expected(), format!("`{}`", self.0)))
    }
}

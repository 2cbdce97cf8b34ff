//! Parameters that have a value for each axis they name.

use ops_core::{ArrayMeta, Axis, OpError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A value for each axis that is named.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PerAxis<T> {
    /// Along time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    t: Option<T>,
    /// Along channels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    c: Option<T>,
    /// Along depth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    z: Option<T>,
    /// Along rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    y: Option<T>,
    /// Along columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    x: Option<T>,
}

impl<T: Clone> PerAxis<T> {
    /// The value along each axis of an array, where there is one.
    ///
    /// # Errors
    /// When an axis is named that the array has not, or none at all.
    pub(crate) fn of(&self, param: &str, meta: &ArrayMeta) -> Result<Vec<Option<T>>, OpError> {
        let named =
            [(Axis::T, &self.t), (Axis::C, &self.c), (Axis::Z, &self.z), (Axis::Y, &self.y), (Axis::X, &self.x)];
        let mut out = vec![None; meta.rank()];
        for (axis, value) in named.into_iter().filter(|(_, v)| v.is_some()) {
            let Some(a) = meta.axes.position(axis) else {
                let expected = format!("some of the input's axes `{}`", meta.axes);
                return Err(OpError::param(param, expected, format!("`{}`", axis.name())));
            };
            out[a] = value.clone();
        }
        if out.iter().all(Option::is_none) {
            return Err(OpError::param(param, "a value along at least one axis", "none"));
        }
        Ok(out)
    }
}

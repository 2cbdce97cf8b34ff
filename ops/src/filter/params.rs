//! Parameters that several filters have: a window's size, what the result is stored as, whose integers it has.

use crate::elementwise::Store;
use ops_core::{ArrayMeta, DType, Index, OpError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Elements of a window along one axis: more is a mistake, and would need terabytes of halo.
const LARGEST_SIZE: u64 = 1 << 20;

/// One extent of a window, or one for each spatial axis.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Size {
    /// The same along every spatial axis.
    All(#[schemars(range(min = 1))] u64),
    /// One for each spatial axis.
    Each(Vec<u64>),
}

/// The positions of the spatial axes; what is asked of any filter's input.
pub(crate) fn spatial(meta: &ArrayMeta) -> Result<smallvec::SmallVec<[usize; 3]>, OpError> {
    let spatial = meta.axes.spatial();
    if spatial.is_empty() {
        let help = "filter an array that has a y or x axis, or name its axes where it is read";
        return Err(OpError::input(0, "an array with a spatial axis (z, y, x)", meta, help));
    }
    Ok(spatial)
}

/// Says that a parameter has not one value for each spatial axis.
pub(crate) fn wrong_count(name: &str, meta: &ArrayMeta, found: usize) -> OpError {
    let n = meta.axes.spatial().len();
    let expected = format!("one number, or {n} of them (the input's axes are {})", meta.axes);
    OpError::param(name, expected, format!("{found} numbers"))
}

impl Size {
    /// The extent along each axis of the array; 1 for axes that are not spatial.
    pub(crate) fn extents(&self, meta: &ArrayMeta) -> Result<Vec<usize>, OpError> {
        let spatial = spatial(meta)?;
        let each = match self {
            Size::All(n) => vec![*n; spatial.len()],
            Size::Each(v) if v.len() == spatial.len() => v.clone(),
            Size::Each(v) => return Err(wrong_count("size", meta, v.len())),
        };
        if let Some(bad) = each.iter().find(|&&n| n == 0 || n > LARGEST_SIZE) {
            return Err(OpError::param("size", format!("a whole number from 1 to {LARGEST_SIZE}"), bad));
        }
        let mut out = vec![1; meta.rank()];
        spatial.iter().zip(each).for_each(|(&a, n)| out[a] = n as usize);
        Ok(out)
    }

    /// The largest extent; for a rough cost.
    pub(crate) fn widest(&self) -> u64 {
        match self {
            Size::All(n) => *n,
            Size::Each(v) => v.iter().copied().max().unwrap_or(1),
        }
    }
}

/// How far windows reach on the low side of each axis: half of the extent, as scipy's.
pub(crate) fn before(extents: &[usize]) -> Index {
    extents.iter().map(|&n| (n / 2) as i64).collect()
}

/// How far windows reach on the high side of each axis: one less than before where the extent is even.
pub(crate) fn after(extents: &[usize]) -> Index {
    extents.iter().map(|&n| (n - 1 - n / 2) as i64).collect()
}

/// What a filter's result is stored as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OutputDType {
    /// As computed.
    #[default]
    Float64,
    /// Rounded and saturated to the dtype of the input.
    Input,
}

impl OutputDType {
    /// The dtype of the result for an input of this dtype. A mask can't hold what filters compute.
    pub(crate) fn of(self, input: DType) -> Result<DType, OpError> {
        match self {
            OutputDType::Float64 => Ok(DType::Float64),
            OutputDType::Input if input == DType::Bool => {
                Err(OpError::param("dtype", "`float64`, as the input is a mask", "`input`"))
            }
            OutputDType::Input => Ok(input),
        }
    }
}

/// Another library whose results are met to the last bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Compat {
    /// `scipy.ndimage` with an output of the input's integer dtype.
    Scipy,
}

/// Checks `compat` against `dtype` and the input: integers of up to `bits` bits.
pub(crate) fn check_compat(
    compat: Option<Compat>,
    dtype: OutputDType,
    input: DType,
    bits: usize,
) -> Result<(), OpError> {
    if compat.is_none() {
        return Ok(());
    }
    if dtype != OutputDType::Input {
        return Err(OpError::param("compat", "only together with `dtype: input`", "it without"));
    }
    if !input.is_integer() || 8 * input.size() > bits {
        let help = "leave `compat` out: without it the result is more exact than scipy's";
        return Err(OpError::input(0, format!("integers of up to {bits} bits"), input, help));
    }
    Ok(())
}

/// How what is computed becomes an element of the result: scipy's integers are cut and wrap round.
pub(crate) fn store(compat: Option<Compat>) -> Store {
    match compat {
        None => Store::Nearest,
        Some(Compat::Scipy) => Store::Wrapped,
    }
}

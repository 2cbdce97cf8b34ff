//! Opens the items of inputs.

use crate::store::read::{self, InputOptions, generate};
use crate::store::{ArrayReader, StoreError};
use engine_model::graph::Input;
use engine_model::spec::workflow::InputSource;

/// Opens one item of an input.
///
/// # Errors
/// When its file can't be opened or is not what it was when the plan was made.
pub fn open(input: &Input, item: u64) -> Result<Box<dyn ArrayReader>, StoreError> {
    todo_open(input, item)
}

//! Opens the items of inputs.

use crate::store::read::generate::Generator;
use crate::store::read::{self, InputOptions};
use crate::store::{ArrayReader, StoreError};
use engine_model::graph::Input;
use engine_model::spec::workflow::InputSource;
use std::path::PathBuf;

/// Opens one item of an input; it keeps at most `cache` bytes of decoded tiles.
///
/// # Errors
/// When its file can't be opened or is not what it was when the plan was made.
pub fn open(input: &Input, item: u64, cache: u64) -> Result<Box<dyn ArrayReader>, StoreError> {
    let wrong = |path: PathBuf, message: String| StoreError::Unsupported { path, message };
    if let InputSource::Generate(spec) = &input.decl.source {
        let made = Generator::new(&spec.value, item).map_err(|m| wrong(PathBuf::from(&input.decl.name.value), m))?;
        return Ok(Box::new(made));
    }
    let path = input.items.path(item).unwrap_or_default();
    match InputOptions::of(&input.decl) {
        Some(options) => read::open_keeping(&path, &options, cache),
        None => Err(wrong(path, "the `axes` of its input can't be read".into())),
    }
}

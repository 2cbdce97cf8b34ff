//! What each fuzz target does with its bytes.
//!
//! The coverage-guided targets call these functions, and so does a test of the main workspace, which needs no special
//! compiler. Damage has to end in an error that says so: a panic, a hang, or more memory than the header of an image
//! announces is a finding.

mod image;
mod language;
mod pictures;
mod place;
mod stores;
mod terms;

pub use image::{jpeg, png, tiff};
pub use language::{params, workflow};
pub use stores::{journal, zarr};
pub use terms::terms;

// The registry is filled by the crate `ops`, which the linker drops unless something refers to it.
use ops as _;

/// What a target does with bytes; it panics where something is wrong.
pub type Target = fn(&[u8]);

/// Every target by name.
pub const TARGETS: [(&str, Target); 8] = [
    ("workflow", workflow),
    ("params", params),
    ("terms", terms),
    ("png", png),
    ("jpeg", jpeg),
    ("tiff", tiff),
    ("zarr", zarr),
    ("journal", journal),
];

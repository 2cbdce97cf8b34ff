//! What a run leaves behind and shows meanwhile: one subscriber a file.
//!
//! Every subscriber turns the events of [`engine_runtime::event`] into one output: [`task_stream`] writes the task
//! stream.

mod paged;
mod text;

pub mod cluster;
pub mod otel;
pub mod profile;
pub mod record;
pub mod secret;
pub mod task_stream;

#[cfg(test)]
#[path = "../tests/fake/mod.rs"]
mod fake;

//! Runs a plan in this process: workers on one compute pool, one schedule, one place where results meet.
//!
//! - [`run`] drives: workers ask the schedule what comes next, do it, and report (`report`).
//! - `complete` does what is due when a stage, an item or a pass is done.
//! - [`task`] evaluates one block: it reads (`reading`), computes, and leaves its roots (`leaving`).
//! - [`item`] holds what an item in flight owns: arrays that are [`kept`], open outputs, partials, values.
//! - [`outputs`] names and opens outputs.
//! - [`resume`] tells what an earlier run left, by [`keys`].

mod changes;
pub mod clock;
mod complete;
mod failed;
mod files;
pub mod item;
pub mod kept;
pub mod keys;
mod leaving;
pub mod outputs;
mod reading;
mod report;
pub mod resume;
pub mod run;
pub mod sources;
pub mod task;
pub mod warned;

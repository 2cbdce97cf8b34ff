//! Runs a plan in this process: workers on one compute pool, one schedule, one place where results meet.
//!
//! - [`run`] drives: workers ask the schedule what comes next, do it, and report.
//! - [`task`] evaluates one block.
//! - [`item`] holds what an item in flight owns: kept arrays, open outputs, partials, values.
//! - [`outputs`] names and opens outputs.

pub mod clock;
pub mod item;
pub mod outputs;
pub mod run;
pub mod sources;
pub mod task;

//! From workflow text to plan.
//!
//! Data flows one way: [`spec`] parses text with positions, [`graph`] resolves it into nodes of the two primitives,
//! [`plan`] decides what is computed together, what is kept and how much memory that takes. Errors of all three are
//! [`diag`] values, collected and never thrown one at a time. Nothing here opens a file, starts a thread or looks at
//! a clock: files are seen through [`catalog::Catalog`].

pub mod catalog;
pub mod diag;
pub mod formats;
pub mod graph;
pub mod place;
pub mod plan;
pub mod spec;

//! From plan to bytes.
//!
//! [`store`] reads and writes files, [`event`] is what a run tells of itself.

pub mod event;
pub mod store;

//! From plan to bytes.
//!
//! [`store`] reads and writes files, [`event`] is what a run tells of itself, [`bus`] carries it to who wants to know.

pub mod bus;
pub mod event;
pub mod store;

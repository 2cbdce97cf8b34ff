//! From plan to bytes.
//!
//! [`store`] reads and writes files, [`schedule`] decides which task comes next, [`exec`] runs them, [`event`] is what
//! a run tells of itself and [`bus`] carries it to subscribers. [`lock`] keeps two runs from one place.

pub mod bus;
pub mod event;
pub mod exec;
pub mod host;
pub mod journal;
pub mod lock;
pub mod schedule;
pub mod store;

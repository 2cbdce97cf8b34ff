//! The ops that ship: what can be computed.
//!
//! One file for one op, in the folder of its domain. A file becomes a module because it is there (`build.rs` lists the
//! folders), and an op because it calls [`register_op!`](ops_core::register_op): a new op is one new file and no other
//! edit. This crate opens no file, starts no thread and writes no log.
//!
//! To add one, copy the op next to it: [`intensity::clip`] for an elementwise one, [`filter::gaussian`] for one with a
//! halo, [`intensity::normalize`] for one that consumes a reduction, [`geometry::tile`] for one that joins items. The doc
//! comment of the parameters is the manual. Its `cases` name inputs and parameters and carry an independent, naive
//! reference; the [contract battery](ops_core::contract) does the rest. Add the name to `tests/golden/ops.txt`.
//! `BATTERY_OP=clip cargo test -p ops --test battery` runs the battery over one op.
//!
//! A link-time registry is empty when nothing refers to the crate; [`registered`] is what a binary refers to.

mod edges;
mod elementwise;
mod extrema;
mod linear;
mod moments;
mod otsu;
mod reference;
mod select;
mod sums;

include!(concat!(env!("OUT_DIR"), "/domains.rs"));

/// Every op of this crate and of whatever else is linked, sorted by name.
pub fn registered() -> Vec<&'static ops_core::OpEntry> {
    ops_core::registry::all()
}

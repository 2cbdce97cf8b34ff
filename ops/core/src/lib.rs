//! What an op is.
//!
//! This crate is the bottom of the house: regions, dtypes, blocks, boundary modes, axes, the [`Map`] and
//! [`Reduce`] primitives, the [`Op`] trait that lowers a named operation to them, the registry, and the
//! contract battery that every registered op has to pass. It opens no file, starts no thread and writes no log.
//!
//! Reading order: [`region`], [`block`], [`boundary`], [`op`], [`lower`], then any op in the crate `ops`.

pub mod axes;
pub mod block;
pub mod boundary;
pub mod contract;
pub mod dtype;
pub mod error;
pub mod exact;
pub mod grid;
pub mod lower;
pub mod meta;
pub mod op;
pub mod pool;
pub mod region;
pub mod registry;
pub mod simd;
pub mod table;
pub mod value;
pub mod warning;

pub use axes::{Axes, Axis};
pub use block::Block;
pub use boundary::Boundary;
pub use dtype::{DType, Element};
pub use error::OpError;
pub use grid::Grid;
pub use lower::{ArrayPort, Lowering, Port, Scope, ValuePort};
pub use meta::{ArrayMeta, PortMeta, Ports};
pub use op::{FinishCall, Map, MapCall, Need, Needs, Op, Reduce, ReduceCall};
pub use pool::{Buf, Pool};
pub use region::{Index, Region};
pub use registry::{InputKind, InputSpec, OpEntry};
pub use table::{Column, ColumnData, Table};
pub use value::Value;
pub use warning::{Warning, Warnings};

#[doc(hidden)]
pub use inventory;

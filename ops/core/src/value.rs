//! What a reduction leaves: numbers, a state, or a table.

use crate::{OpError, Table};
use std::any::Any;
use std::sync::Arc;

/// The result of a [`Reduce`](crate::Reduce), as other nodes consume it. Cheap to clone.
#[derive(Clone)]
pub enum Value {
    /// A few numbers, such as a minimum and a maximum.
    Numbers(Arc<[f64]>),
    /// A bounded state only its own op can read, such as the joined labels of an array.
    State(Arc<dyn Any + Send + Sync>),
    /// Rows and columns.
    Table(Arc<Table>),
}

impl Value {
    /// Wraps numbers.
    pub fn numbers(v: &[f64]) -> Value {
        Value::Numbers(v.into())
    }

    /// The numbers.
    ///
    /// # Errors
    /// When it holds something else: a bug in lowering.
    pub fn as_numbers(&self) -> Result<&[f64], OpError> {
        match self {
            Value::Numbers(v) => Ok(v),
            _ => Err(OpError::Internal("expected numbers from a reduction".into())),
        }
    }

    /// The state, of the type the consuming op knows.
    ///
    /// # Errors
    /// When it holds something else: a bug in lowering.
    pub fn as_state<T: Any>(&self) -> Result<&T, OpError> {
        match self {
            Value::State(s) => s.downcast_ref().ok_or_else(|| OpError::Internal("state of another type".into())),
            _ => Err(OpError::Internal("expected a state from a reduction".into())),
        }
    }

    /// The table.
    ///
    /// # Errors
    /// When it holds something else: a bug in lowering.
    pub fn as_table(&self) -> Result<&Arc<Table>, OpError> {
        match self {
            Value::Table(t) => Ok(t),
            _ => Err(OpError::Internal("expected a table from a reduction".into())),
        }
    }
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Value::Numbers(v) => write!(f, "Numbers({v:?})"),
            Value::State(_) => f.write_str("State"),
            Value::Table(t) => write!(f, "Table({} rows)", t.rows()),
        }
    }
}

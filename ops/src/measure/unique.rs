//! `unique`: which values occur, and how often.

use super::accumulate::integer;
use super::rows::{Excess, Rows, Wanted};
use ops_core::contract::{Array, Case, Content, Expected, Input};
use ops_core::{
    Column, ColumnData, DType, Element, FinishCall, InputKind, InputSpec, Lowering, Op, OpError, Port, Ports, Reduce,
    ReduceCall, Region, Scope, Table, Value, register_op, with_dtype,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use std::sync::Arc;

/// Counts how often each value occurs in an array of integers or a mask.
///
/// **Result.** A table with a row for each value that occurs, ascending: `value`, `count`.
///
/// **Over.** `item` gives a table for each item of a `foreach`, `collection` one for all of them together.
///
/// **Boundary.** None. **Memory.** 40 bytes for each value, of at most `most` (fewer where the dtype or the array has fewer),
/// and 16 for its row of the table.
///
/// **Reference.** `numpy.unique` with `return_counts=True`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unique {
    /// How many different values memory is set aside for. An array with more is an error.
    #[serde(default = "most")]
    #[schemars(range(min = 1))]
    most: u64,
    /// Whether each item of a `foreach` is measured on its own or all together.
    #[serde(default)]
    over: Scope,
}

fn most() -> u64 {
    65_536
}

impl Op for Unique {
    fn lower(&self, g: &mut Lowering, inputs: &[Port]) -> Result<Port, OpError> {
        if self.most == 0 {
            return Err(OpError::param("most", "at least 1", 0));
        }
        let a = g.array(inputs, 0)?;
        let counting = Counting { most: self.most, over: self.over };
        Ok(Port::Value(g.reduce("unique", counting, &[a], &[], self.over)?))
    }
}

/// The reduction: rows of order keys and their counts.
#[derive(Debug)]
struct Counting {
    most: u64,
    over: Scope,
}

impl Counting {
    fn wanted(&self, ports: &Ports) -> Wanted {
        let dtype = ports.meta(0).dtype;
        // Keys are unsigned, also those of signed integers.
        let keys = match dtype.size() {
            _ if dtype == DType::Bool => DType::Bool,
            1 => DType::UInt8,
            2 => DType::UInt16,
            _ => DType::UInt64,
        };
        Wanted {
            background: true,
            extremes: false,
            sum: false,
            squares: false,
            bounds: false,
            coordinates: false,
            rank: 0,
            labels: keys,
            image: dtype,
            most: self.most,
        }
    }
}

impl Reduce for Counting {
    type Partial = Rows;

    fn check(&self, ports: &Ports) -> Result<(), OpError> {
        let meta = ports.meta(0);
        if meta.dtype.is_float() {
            let help = "count floats in bins, with `histogram`, or cast them first";
            return Err(OpError::input(0, "integers or a mask", meta, help));
        }
        Ok(())
    }

    fn start(&self, ports: &Ports) -> Rows {
        Rows::new(self.wanted(ports))
    }

    fn add(&self, call: &ReduceCall<'_>, rows: &mut Rows) -> Result<(), OpError> {
        let block = call.blocks[0];
        rows.voxels += block.region().volume();
        if rows.excess.is_none() {
            with_dtype!(block.dtype(), T => count::<T>(block.as_slice(), rows));
        }
        Ok(())
    }

    fn merge(&self, into: &mut Rows, other: Rows) {
        into.merge(other);
    }

    fn finish(&self, rows: Rows, call: &FinishCall<'_>) -> Result<Value, OpError> {
        let most = self.most;
        if rows.excess.is_some() {
            return Err(OpError::Data(format!(
                "expected at most {most} different values (`most`), found more: write a larger `most` to set memory \
                 aside for them, 56 bytes each, or count in bins with `histogram`"
            )));
        }
        let mut found: Vec<(u64, u64)> = rows.label.iter().copied().zip(rows.count.iter().copied()).collect();
        found.sort_unstable();
        let value = with_dtype!(call.ports.meta(0).dtype, T => {
            let values = found.iter().map(|(key, _)| integer(T::from_order_key(*key)));
            match T::DTYPE {
                DType::Int8 | DType::Int16 | DType::Int32 | DType::Int64 => {
                    ColumnData::Int64(values.map(|v| v as i64).collect())
                }
                _ => ColumnData::UInt64(values.map(|v| v as u64).collect()),
            }
        });
        let count = ColumnData::UInt64(found.iter().map(|f| f.1).collect());
        let columns = vec![Column { name: "value".into(), data: value }, Column { name: "count".into(), data: count }];
        let table = Table::new(columns).ok_or_else(|| OpError::Internal("columns of unequal length".into()))?;
        Ok(Value::Table(Arc::new(table)))
    }

    /// The rows, their sorted copy, and the table.
    fn state_bytes(&self, ports: &Ports) -> u64 {
        let wanted = self.wanted(ports);
        let voxels = if self.over == Scope::Item { ports.meta(0).volume() } else { u64::MAX };
        wanted.bytes(voxels).saturating_add(wanted.rows(voxels).saturating_mul(32))
    }

    fn partial_bytes(&self, ports: &Ports, block: &Region) -> u64 {
        self.wanted(ports).bytes(block.volume())
    }

    fn nanos_per_element(&self) -> f32 {
        3.0
    }
}

/// Counts runs of equal elements: in masks and labels they are long.
fn count<T: Element>(data: &[T], rows: &mut Rows) {
    for run in data.chunk_by(|a, b| a == b) {
        match rows.row(run[0].order_key()) {
            Some(row) => rows.count[row] += run.len() as u64,
            None => return rows.give_up(Excess::Labels),
        }
    }
}

register_op!(Unique {
    name: "unique",
    domain: "measure",
    inputs: &[InputSpec { name: "input", kind: InputKind::Array, doc: "Integers, such as labels, or a mask." }],
    makes_table: true,
    example: "sizes: {op: unique, input: labels, with: {most: 100000}}",
    cases: cases,
});

fn cases() -> Vec<Case> {
    let case = |with: Json, axes, dtype, content, items| {
        Case::new(with, vec![Input::new(axes, dtype).content(content).items(items)]).expecting(reference)
    };
    let (noise, all) = (Content::Noise, json!({"over": "collection"}));
    vec![
        case(json!({}), "yx", DType::UInt8, noise, 1),
        case(all.clone(), "yx", DType::Bool, Content::Mask(0.4), 2),
        case(all.clone(), "zyx", DType::Int8, noise, 1),
        case(all.clone(), "yxc", DType::UInt16, noise, 3),
        case(all.clone(), "tcyx", DType::Int32, noise, 1),
        case(all.clone(), "yx", DType::UInt64, noise, 1),
        case(all.clone(), "yx", DType::Int64, noise, 1),
        case(all.clone(), "yx", DType::UInt32, Content::Labels(6), 1),
        case(json!({"most": 3, "over": "collection"}), "yx", DType::UInt32, Content::Labels(2), 1),
        case(json!({"most": 3, "over": "collection"}), "yx", DType::UInt32, Content::Labels(9), 1),
        case(all, "yx", DType::Float32, noise, 1),
    ]
}

/// Sorts all elements.
fn reference(with: &Json, inputs: &[Vec<Array>]) -> Expected {
    let dtype = inputs[0][0].meta.dtype;
    let signed = matches!(dtype, DType::Int8 | DType::Int16 | DType::Int32 | DType::Int64);
    let mut v: Vec<i128> = with_dtype!(dtype, T => {
        inputs[0].iter().flat_map(|a| a.block.as_slice::<T>().iter().map(|v| integer(*v)).collect::<Vec<_>>()).collect()
    });
    v.sort_unstable();
    let runs: Vec<(i128, u64)> = v.chunk_by(|a, b| a == b).map(|r| (r[0], r.len() as u64)).collect();
    if dtype.is_float() || runs.len() as u64 > with["most"].as_u64().unwrap_or(65_536) {
        return Expected::Refused;
    }
    let values = runs.iter().map(|r| r.0);
    let value = if signed {
        ColumnData::Int64(values.map(|v| v as i64).collect())
    } else {
        ColumnData::UInt64(values.map(|v| v as u64).collect())
    };
    let count = ColumnData::UInt64(runs.iter().map(|r| r.1).collect());
    let columns = vec![Column { name: "value".into(), data: value }, Column { name: "count".into(), data: count }];
    Table::new(columns).map_or(Expected::Refused, Expected::Table)
}

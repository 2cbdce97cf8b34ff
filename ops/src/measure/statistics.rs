//! `statistics`: what all elements of an array amount to.

use crate::select::quantiles;
use crate::sums::Sums;
use ops_core::contract::{Array, Case, Content, Expected, Input};
use ops_core::warning::NOTHING_FINITE;
use ops_core::{
    Column, ColumnData, DType, FinishCall, InputKind, InputSpec, Lowering, Op, OpError, Port, Ports, Reduce,
    ReduceCall, Region, Scope, Table, Value, register_op, with_dtype,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use std::sync::Arc;

/// Quantiles at most: each takes up to 1 MiB a task while it is sought.
const MOST: usize = 16;

/// Measures a whole array: how many elements, their extremes, sum, mean, deviation and quantiles.
///
/// **Result.** A table of one row: `count`, `min`, `max`, `sum`, `mean`, `std` (of the population), and for each of
/// `quantiles` a column such as `quantile_0.25`, found exactly and interpolated linearly. NaN and infinities do not count;
/// `count` is the number of the others. Sum, mean and variance are computed exactly and rounded once, so they depend
/// neither on blocks nor on threads. Without a finite element all but `count` and `sum` are NaN, and the run warns.
///
/// **Over.** `item` gives a table for each item of a `foreach`, `collection` one for all of them together.
///
/// **Boundary.** None. **Memory.** Some hundred bytes a task, a kilobyte for floats. Quantiles take passes of their own:
/// one for 8 and 16 bits (2 KiB, 512 KiB a task), two for 32 bits and four for 64, with up to 1 MiB for each quantile.
///
/// **Reference.** `numpy.size`, `min`, `max`, `sum`, `mean`, `std` and `numpy.quantile`, method `linear`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Statistics {
    /// Shares of the elements that lie below the value that is sought, 0 to 1: `[0.01, 0.5, 0.99]`. At most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    quantiles: Vec<f64>,
    /// Whether each item of a `foreach` is measured on its own or all together.
    #[serde(default)]
    over: Scope,
}

impl Op for Statistics {
    fn lower(&self, g: &mut Lowering, inputs: &[Port]) -> Result<Port, OpError> {
        let a = g.array(inputs, 0)?;
        if let Some(bad) = self.quantiles.iter().find(|q| !(0.0..=1.0).contains(*q)) {
            return Err(OpError::param("quantiles", "numbers from 0 to 1", bad));
        }
        if self.quantiles.len() > MOST {
            return Err(OpError::param("quantiles", format!("at most {MOST} of them"), self.quantiles.len()));
        }
        let mut found = Vec::new();
        if !self.quantiles.is_empty() {
            found.push(quantiles(g, a, &self.quantiles, self.over)?);
        }
        let measured = Measured { quantiles: self.quantiles.clone() };
        Ok(Port::Value(g.reduce("statistics", measured, &[a], &found, self.over)?))
    }
}

/// The reduction: consumes the quantiles, where there are any, and leaves the table.
#[derive(Debug)]
struct Measured {
    quantiles: Vec<f64>,
}

impl Reduce for Measured {
    type Partial = Sums;

    fn start(&self, _: &Ports) -> Sums {
        Sums::default()
    }

    fn add(&self, call: &ReduceCall<'_>, sums: &mut Sums) -> Result<(), OpError> {
        let block = call.blocks[0];
        with_dtype!(block.dtype(), T => sums.add::<T>(block.as_slice()));
        Ok(())
    }

    fn merge(&self, into: &mut Sums, other: Sums) {
        into.merge(&other);
    }

    fn finish(&self, sums: Sums, call: &FinishCall<'_>) -> Result<Value, OpError> {
        if sums.count == 0 {
            call.warnings.add(NOTHING_FINITE, "no element is finite, so that there is nothing to measure");
        }
        let (min, max) = sums.extremes();
        let mut columns = vec![Column { name: "count".into(), data: ColumnData::UInt64(vec![sums.count]) }];
        let measured =
            [("min", min), ("max", max), ("sum", sums.sum()), ("mean", sums.mean()), ("std", sums.deviation())];
        let mut put = |name: String, v: f64| columns.push(Column { name, data: ColumnData::Float64(vec![v]) });
        measured.into_iter().for_each(|(name, v)| put(name.into(), v));
        if let Some(value) = call.values.first() {
            self.quantiles.iter().zip(value.as_numbers()?).for_each(|(q, v)| put(format!("quantile_{q}"), *v));
        }
        let table = Table::new(columns).ok_or_else(|| OpError::Internal("columns of unequal length".into()))?;
        Ok(Value::Table(Arc::new(table)))
    }

    fn state_bytes(&self, ports: &Ports) -> u64 {
        Sums::bytes(ports.meta(0).dtype) + 8 * (6 + self.quantiles.len() as u64)
    }

    fn partial_bytes(&self, ports: &Ports, _: &Region) -> u64 {
        Sums::bytes(ports.meta(0).dtype)
    }

    fn nanos_per_element(&self) -> f32 {
        2.0
    }
}

register_op!(Statistics {
    name: "statistics",
    domain: "measure",
    inputs: &[InputSpec { name: "input", kind: InputKind::Array, doc: "An array of any dtype and axes." }],
    makes_table: true,
    example: "brightness: {op: statistics, input: image, with: {quantiles: [0.01, 0.5, 0.99]}}",
    cases: cases,
});

fn cases() -> Vec<Case> {
    let case = |with: Json, axes, dtype, content, items| {
        Case::new(with, vec![Input::new(axes, dtype).content(content).items(items)])
    };
    // Each quantile of wide elements takes megabytes, which the battery writes down and reads again many times.
    let few = json!({"quantiles": [0.3], "over": "collection"});
    let (noise, some) = (Content::Noise, json!({"quantiles": [0, 0.25, 0.5, 0.99, 1], "over": "collection"}));
    vec![
        case(json!({}), "yx", DType::UInt8, noise, 1).expecting(reference),
        case(some.clone(), "zyx", DType::UInt16, noise, 2).expecting(reference),
        case(some.clone(), "yxc", DType::Int8, noise, 1).expecting(reference),
        case(some.clone(), "tcyx", DType::Int16, noise, 1).expecting(reference),
        case(some, "yx", DType::Bool, Content::Mask(0.3), 1).expecting(reference),
        case(few.clone(), "yx", DType::UInt32, Content::Labels(90_000), 1).expecting(reference),
        case(few.clone(), "yx", DType::Int32, Content::Constant(-7.0), 1).expecting(reference),
        case(few.clone(), "yx", DType::Float32, Content::Constant(0.5), 3).expecting(reference),
        case(few.clone(), "yx", DType::Float64, Content::Constant(f64::NAN), 1).expecting(reference),
        case(json!({}), "yx", DType::UInt32, noise, 1),
        case(json!({}), "yx", DType::Int64, noise, 1),
        case(few.clone(), "zyx", DType::UInt64, noise, 1),
        case(few.clone(), "yx", DType::Float32, Content::Special, 1),
        case(few, "yx", DType::Float64, Content::Special, 1),
        case(json!({}), "yx", DType::Float64, noise, 1),
        case(json!({"quantiles": [1.5]}), "yx", DType::UInt8, noise, 1).expecting(|_, _| Expected::Refused),
    ]
}

/// From all elements at once, for those whose sums of squares float64 holds exactly.
fn reference(with: &Json, inputs: &[Vec<Array>]) -> Expected {
    let v = crate::reference::sorted(&inputs[0]);
    let (n, sum, squares) = (v.len() as f64, v.iter().sum::<f64>(), v.iter().map(|x| x * x).sum::<f64>());
    let end = |v: Option<&f64>| v.map_or(f64::NAN, |v| *v + 0.0);
    let mut columns = vec![Column { name: "count".into(), data: ColumnData::UInt64(vec![v.len() as u64]) }];
    let mut put = |name: &str, x: f64| columns.push(Column { name: name.into(), data: ColumnData::Float64(vec![x]) });
    put("min", end(v.first()));
    put("max", end(v.last()));
    put("sum", sum + 0.0);
    put("mean", sum / n);
    put("std", ((n * squares - sum * sum) / (n * n)).sqrt());
    for q in with["quantiles"].as_array().into_iter().flatten().filter_map(Json::as_f64) {
        let at = (n - 1.0) * q;
        let pair = (v.get(at.floor() as usize), v.get(at.ceil() as usize));
        let value = match pair {
            (Some(a), Some(b)) if at.fract() < 0.5 => a + (b - a) * at.fract(),
            (Some(a), Some(b)) => b - (b - a) * (1.0 - at.fract()),
            _ => f64::NAN,
        };
        put(&format!("quantile_{q}"), value);
    }
    Table::new(columns).map_or(Expected::Refused, Expected::Table)
}

//! `histogram`: how many elements lie in each of some bins.

use crate::edges::Edges;
use crate::extrema::{Extrema, numbers};
use ops_core::contract::{Array, Case, Content, Expected, Input};
use ops_core::{
    Column, ColumnData, DType, Element, FinishCall, InputKind, InputSpec, Lowering, Op, OpError, Pool, Port, Ports,
    Reduce, ReduceCall, Region, Scope, Table, Value, register_op, with_dtype,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use std::sync::Arc;

/// The largest number of bins.
const MOST: u64 = 1 << 20;

/// Counts the elements in bins of equal width.
///
/// **Result.** A table with a row for each bin: `lower`, `upper`, `count`. A bin holds its lower edge and not its upper, the
/// last one both. `range` says where the first begins and the last ends: by default at the smallest and the largest
/// element; half below and half above where all are equal, 0 to 1 where there are none. Elements outside, NaN and
/// infinities do not count. 64-bit integers are read as float64.
///
/// **Over.** `item` gives a table for each item of a `foreach`, `collection` one for all of them together.
///
/// **Boundary.** None. **Memory.** 16 bytes a bin for each task, and for 16-bit integers 256 KiB. Without `range` one pass
/// more over the input.
///
/// **Reference.** `numpy.histogram`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Histogram {
    /// Number of bins.
    #[serde(default = "bins")]
    #[schemars(range(min = 1, max = 1_048_576))]
    bins: u64,
    /// Where the first bin begins and the last one ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    range: Option<[f64; 2]>,
    /// Whether each item of a `foreach` is measured on its own or all together.
    #[serde(default)]
    over: Scope,
}

fn bins() -> u64 {
    256
}

impl Op for Histogram {
    fn lower(&self, g: &mut Lowering, inputs: &[Port]) -> Result<Port, OpError> {
        let a = g.array(inputs, 0)?;
        if !(1..=MOST).contains(&self.bins) {
            return Err(OpError::param("bins", format!("a whole number from 1 to {MOST}"), self.bins));
        }
        let mut ends = Vec::new();
        match self.range {
            Some([lo, hi]) if !(lo.is_finite() && hi.is_finite() && lo <= hi) => {
                let found = format!("[{lo}, {hi}]");
                return Err(OpError::param("range", "two ascending finite numbers", found));
            }
            Some(_) => {}
            None => ends.push(g.reduce("extrema", Extrema::default(), &[a], &[], self.over)?),
        }
        let counting = Counting { bins: self.bins as usize, range: self.range };
        Ok(Port::Value(g.reduce("histogram", counting, &[a], &ends, self.over)?))
    }
}

/// The reduction: consumes the extremes, unless there is a range, and leaves the table.
#[derive(Debug)]
struct Counting {
    bins: usize,
    range: Option<[f64; 2]>,
}

impl Counting {
    /// Where the first bin begins and the last one ends.
    fn ends(&self, values: &[Value]) -> Result<(f64, f64), OpError> {
        let (lo, hi) = match (self.range, values.first()) {
            (Some([lo, hi]), _) => (lo, hi),
            (None, Some(extrema)) => numbers(extrema)?,
            (None, None) => return Err(OpError::Internal("a histogram without its ends".into())),
        };
        Ok(match lo == hi {
            _ if lo.is_nan() => (0.0, 1.0),
            true => (lo - 0.5, hi + 0.5),
            false => (lo, hi),
        })
    }
}

/// Values of a dtype that are counted one by one first; 0 for a dtype of too many.
fn values(dtype: DType) -> usize {
    if dtype.is_float() || dtype.size() > 2 { 0 } else { 1 << (8 * dtype.size()) }
}

impl Reduce for Counting {
    type Partial = Vec<u64>;

    fn start(&self, _: &Ports) -> Vec<u64> {
        Vec::new()
    }

    fn add(&self, call: &ReduceCall<'_>, counts: &mut Vec<u64>) -> Result<(), OpError> {
        let (block, (lo, hi)) = (call.blocks[0], self.ends(call.values)?);
        let edges = Edges::new(lo, hi, self.bins);
        counts.resize(self.bins, 0);
        with_dtype!(block.dtype(), T => {
            let data = block.as_slice::<T>();
            let mut put = |v: f64, n: u64| {
                // False for NaN too.
                if v >= lo && v <= hi {
                    counts[edges.bin(v)] += n;
                }
            };
            let each = values(block.dtype());
            if each == 0 || data.len() < each {
                data.iter().for_each(|v| put(v.to_f64(), 1));
            } else {
                let mut table = call.pool.take::<u32>(each);
                for part in data.chunks(u32::MAX as usize) {
                    table.fill(0);
                    part.iter().for_each(|v| table[v.order_key() as usize % each] += 1);
                    let found = table.iter().enumerate().filter(|(_, n)| **n > 0);
                    found.for_each(|(key, n)| put(T::from_order_key(key as u64).to_f64(), u64::from(*n)));
                }
            }
        });
        Ok(())
    }

    fn merge(&self, into: &mut Vec<u64>, other: Vec<u64>) {
        if into.is_empty() {
            *into = other;
        } else {
            into.iter_mut().zip(other).for_each(|(a, b)| *a += b);
        }
    }

    fn finish(&self, mut counts: Vec<u64>, call: &FinishCall<'_>) -> Result<Value, OpError> {
        let (lo, hi) = self.ends(call.values)?;
        counts.resize(self.bins, 0);
        let edges = Edges::new(lo, hi, self.bins);
        let real = |name: &str, v: &[f64]| Column { name: name.into(), data: ColumnData::Float64(v.to_vec()) };
        let columns = vec![
            real("lower", &edges.edges()[..self.bins]),
            real("upper", &edges.edges()[1..]),
            Column { name: "count".into(), data: ColumnData::UInt64(counts) },
        ];
        let table = Table::new(columns).ok_or_else(|| OpError::Internal("columns of unequal length".into()))?;
        Ok(Value::Table(Arc::new(table)))
    }

    fn state_bytes(&self, _: &Ports) -> u64 {
        // The counts, the edges, and the table's two columns of them.
        64 + 32 * (self.bins as u64 + 1)
    }

    fn partial_bytes(&self, ports: &Ports, _: &Region) -> u64 {
        64 + 16 * (self.bins as u64 + 1) + Pool::rounded(4 * values(ports.meta(0).dtype) as u64)
    }

    fn nanos_per_element(&self) -> f32 {
        2.0
    }
}

register_op!(Histogram {
    name: "histogram",
    domain: "measure",
    inputs: &[InputSpec { name: "input", kind: InputKind::Array, doc: "An array of any dtype and axes." }],
    makes_table: true,
    example: "levels: {op: histogram, input: image, with: {bins: 64, range: [0, 256]}}",
    cases: cases,
});

fn cases() -> Vec<Case> {
    let case = |with: Json, axes, dtype, content, items| {
        Case::new(with, vec![Input::new(axes, dtype).content(content).items(items)]).expecting(reference)
    };
    let (noise, special) = (Content::Noise, Content::Special);
    let all = |bins: u64| json!({"bins": bins, "over": "collection"});
    vec![
        case(all(10), "yx", DType::UInt8, noise, 1),
        case(all(256), "yxc", DType::UInt8, noise, 2),
        case(all(17), "zyx", DType::UInt16, noise, 1),
        case(all(100), "yx", DType::Float64, special, 1),
        case(all(7), "tcyx", DType::Float32, special, 1),
        case(all(3), "yx", DType::Int32, noise, 1),
        case(all(5), "yx", DType::Int8, Content::Constant(-3.0), 1),
        case(all(5), "yx", DType::Float64, Content::Constant(f64::INFINITY), 1),
        case(all(2), "yx", DType::Bool, Content::Mask(0.4), 1),
        case(json!({"bins": 8, "range": [10, 90.5], "over": "collection"}), "yx", DType::UInt8, noise, 1),
        case(json!({"bins": 8, "range": [0.1, 700], "over": "collection"}), "yx", DType::Float64, special, 1),
        case(json!({"bins": 4, "range": [3, 3], "over": "collection"}), "yx", DType::Int16, noise, 1),
        case(json!({"range": [3, 2]}), "yx", DType::UInt8, noise, 1),
        case(json!({"bins": 0}), "yx", DType::UInt8, noise, 1),
    ]
}

/// Looks for the bin of each element among the edges.
fn reference(with: &Json, inputs: &[Vec<Array>]) -> Expected {
    let (bins, range) = (with["bins"].as_u64().unwrap_or(256) as usize, &with["range"]);
    let v: Vec<f64> = inputs[0].iter().flat_map(|a| a.to_f64()).filter(|v| v.is_finite()).collect();
    let given = range[0].as_f64().zip(range[1].as_f64());
    if bins == 0 || given.is_some_and(|(lo, hi)| lo > hi) {
        return Expected::Refused;
    }
    let found = v.iter().copied().reduce(f64::min).zip(v.iter().copied().reduce(f64::max));
    let (mut lo, mut hi) = given.or(found).unwrap_or((0.0, 1.0));
    if lo == hi {
        (lo, hi) = (lo - 0.5, hi + 0.5);
    }
    let step = (hi - lo) / bins as f64;
    let edge = |i: usize| if i == bins { hi } else { i as f64 * step + lo };
    let holds = |i: usize, x: f64| edge(i) <= x && (x < edge(i + 1) || (i + 1 == bins && x == hi));
    let count = |i: usize| v.iter().filter(|x| holds(i, **x)).count() as u64;
    let real = |name: &str, f: &dyn Fn(usize) -> f64| Column {
        name: name.into(),
        data: ColumnData::Float64((0..bins).map(f).collect()),
    };
    let counts = Column { name: "count".into(), data: ColumnData::UInt64((0..bins).map(count).collect()) };
    let columns = vec![real("lower", &|i| edge(i) + 0.0), real("upper", &|i| edge(i + 1)), counts];
    Table::new(columns).map_or(Expected::Refused, Expected::Table)
}

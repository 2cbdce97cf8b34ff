//! `measure`: a table of the labelled regions of an image.

use super::accumulate::table_entries;
use super::rows::{Excess, Rows, Wanted};
use ops_core::contract::{Array, Case, Content, Expected, Input};
use ops_core::exact::{mean, ratio, variance};
use ops_core::{
    ArrayMeta, Axis, Column, ColumnData, DType, Element, FinishCall, InputKind, InputSpec, Lowering, Op, OpError, Pool,
    Port, Ports, Reduce, ReduceCall, Region, Scope, Table, Value, register_op, with_dtype,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use std::sync::Arc;

/// Measures every labelled region: how many voxels it has, where they lie, and the values of an image there.
///
/// **Result.** A table with a row for each label that occurs, ascending: `label`, then the columns asked for. `count` and
/// `area` are the number of voxels. `mean`, `std` (of the population), `min`, `max` and `sum` are of the image; sums are
/// exact and rounded once, so they depend neither on blocks nor on threads. A NaN in a region makes its values NaN.
/// `bounding_box` gives `bbox_min_*` and `bbox_max_*` (one past the last) and `centroid` gives `centroid_*`, each along
/// `z`, `y` and `x`, in voxels from the origin of the array.
///
/// **Boundary.** None. **Memory.** At most `max_labels` rows (fewer where a block, the array or the dtype of the labels has
/// room for fewer) of 40 to 500 bytes, by the statistics asked for; and four bytes for each voxel of a block. Exact
/// sums of float64 values whose magnitudes differ by more than some 2^100 take more, from 4 MiB set aside for them.
///
/// **Reference.** `scipy.ndimage.mean`, `standard_deviation`, `minimum`, `maximum`, `sum_labels`, `find_objects` and
/// `center_of_mass` of the label; `skimage.measure.regionprops_table`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Measure {
    /// The columns; their order in the table is fixed. By default all but `area`, which equals `count`.
    #[serde(default = "usual")]
    statistics: Vec<Statistic>,
    /// Whether label 0 gets a row.
    #[serde(default)]
    background: bool,
    /// How many different labels memory is set aside for. An image with more is an error that says what to write.
    #[serde(default = "most")]
    #[schemars(range(min = 1))]
    max_labels: u64,
}

/// A column, or several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Statistic {
    /// Number of voxels.
    Count,
    /// Number of voxels, by the name it has for images.
    Area,
    /// Mean of the image.
    Mean,
    /// Standard deviation of the population.
    Std,
    /// Smallest value.
    Min,
    /// Largest value.
    Max,
    /// Sum of the values.
    Sum,
    /// First index and one past the last along each axis.
    BoundingBox,
    /// Mean index along each axis.
    Centroid,
}

use Statistic::{Area, BoundingBox, Centroid, Count, Max, Mean, Min, Std, Sum};

fn usual() -> Vec<Statistic> {
    vec![Count, Mean, Std, Min, Max, Sum, BoundingBox, Centroid]
}

fn most() -> u64 {
    16_384
}

impl Op for Measure {
    fn lower(&self, g: &mut Lowering, inputs: &[Port]) -> Result<Port, OpError> {
        if self.max_labels == 0 {
            return Err(OpError::param("max_labels", "at least 1", 0));
        }
        let (labels, image) = (g.array(inputs, 0)?, g.array(inputs, 1)?);
        Ok(Port::Value(g.reduce("measure", Measuring(self.clone()), &[labels, image], &[], Scope::Item)?))
    }
}

impl Measure {
    fn asks(&self, any: &[Statistic]) -> bool {
        self.statistics.iter().any(|s| any.contains(s))
    }

    fn wanted(&self, ports: &Ports) -> Wanted {
        Wanted {
            background: self.background,
            extremes: self.asks(&[Min, Max]),
            sum: self.asks(&[Mean, Std, Sum]),
            squares: self.asks(&[Std]),
            bounds: self.asks(&[BoundingBox]),
            coordinates: self.asks(&[Centroid]),
            rank: ports.meta(0).rank(),
            labels: ports.meta(0).dtype,
            image: ports.meta(1).dtype,
            most: self.max_labels,
        }
    }

    /// Columns of the table.
    fn columns(&self, rank: usize) -> u64 {
        let of = |s: &Statistic| match s {
            BoundingBox => 2 * rank,
            Centroid => rank,
            _ => 1,
        };
        let all = [Count, Area, Mean, Std, Min, Max, Sum, BoundingBox, Centroid];
        1 + all.iter().filter(|s| self.asks(&[**s])).map(|s| of(s) as u64).sum::<u64>()
    }

    /// The table of rows, by ascending label.
    fn table(&self, rows: &Rows, ports: &Ports) -> Option<Table> {
        let (axes, dtype) = (&ports.meta(0).axes, ports.meta(1).dtype);
        let mut order: Vec<u32> = (0..rows.len() as u32).collect();
        order.sort_unstable_by_key(|&r| rows.label[r as usize]);
        let whole = |name: &str, f: &dyn Fn(usize) -> u64| Column {
            name: name.to_owned(),
            data: ColumnData::UInt64(order.iter().map(|&r| f(r as usize)).collect()),
        };
        let real = |name: &str, f: &dyn Fn(usize) -> f64| Column {
            name: name.to_owned(),
            data: ColumnData::Float64(order.iter().map(|&r| f(r as usize)).collect()),
        };
        let mut columns = Vec::with_capacity(self.columns(axes.rank()) as usize);
        columns.push(whole("label", &|r| rows.label[r]));
        for statistic in [Count, Area, Mean, Std, Min, Max, Sum].into_iter().filter(|s| self.asks(&[*s])) {
            columns.push(match statistic {
                Count => whole("count", &|r| rows.count[r]),
                Area => whole("area", &|r| rows.count[r]),
                Mean => real("mean", &|r| mean(rows.count[r], &rows.sum[r])),
                Std => real("std", &|r| variance(rows.count[r], &rows.sum[r], &rows.squares[r]).sqrt()),
                Min => real("min", &|r| extreme(dtype, rows.smallest[r], rows.largest[r])),
                Max => real("max", &|r| extreme(dtype, rows.largest[r], rows.largest[r])),
                _ => real("sum", &|r| rows.sum[r].round()),
            });
        }
        let rank = axes.rank();
        let letters = || axes.iter().map(|a| a.name()).enumerate();
        if self.asks(&[BoundingBox]) {
            columns
                .extend(letters().map(|(a, letter)| whole(&format!("bbox_min_{letter}"), &|r| rows.lo[r * rank + a])));
            columns
                .extend(letters().map(|(a, letter)| whole(&format!("bbox_max_{letter}"), &|r| rows.hi[r * rank + a])));
        }
        if self.asks(&[Centroid]) {
            let center = |r: usize, a: usize| ratio(rows.coordinates[r * rank + a], rows.count[r]);
            columns.extend(letters().map(|(a, letter)| real(&format!("centroid_{letter}"), &|r| center(r, a))));
        }
        Table::new(columns)
    }

    /// What to say when the rows did not fit the memory set aside.
    fn refusal(&self, why: Excess, top: u64, ports: &Ports) -> OpError {
        let (wanted, most) = (self.wanted(ports), self.max_labels);
        let bytes = wanted.row_bytes() + 8 * self.columns(wanted.rank) + 4;
        // As many as there are numbers, where regions are numbered one after the other.
        let enough = top.saturating_add(u64::from(self.background)).min(ports.meta(0).volume());
        OpError::Data(match why {
            Excess::Labels => format!(
                "expected at most {most} different labels (`max_labels`), found more, numbered up to {top}: write \
                 `max_labels: {}` to set memory aside for them, {bytes} bytes each",
                enough.max(most.saturating_add(1)),
            ),
            Excess::Windows => format!(
                "expected values of comparable magnitude in most labels, found exact sums that need more than the \
                 memory set aside for {} labels: leave out `std`, or cast the image to float32",
                wanted.rows(ports.meta(0).volume()),
            ),
        })
    }
}

/// The value of an order key; NaN when there was one, which is the largest of all.
fn extreme(dtype: DType, key: u64, largest: u64) -> f64 {
    with_dtype!(dtype, T => {
        let top = T::from_order_key(largest).to_f64();
        if top.is_nan() { top } else { T::from_order_key(key).to_f64() }
    })
}

/// The reduction of `measure`.
#[derive(Debug, Clone)]
struct Measuring(Measure);

impl Reduce for Measuring {
    type Partial = Rows;

    fn check(&self, ports: &Ports) -> Result<(), OpError> {
        let (labels, image) = (ports.meta(0), ports.meta(1));
        if labels.dtype.is_float() {
            let help = "connect the labels first and the image second; make labels with `label`";
            return Err(OpError::input(0, "labels of an integer dtype or bool", labels, help));
        }
        if labels.rank() == 0 || labels.axes.spatial().len() != labels.rank() {
            let help = "measure one channel or time point at a time: select it first";
            return Err(OpError::input(0, "labels with spatial axes only (z, y, x)", labels, help));
        }
        if image.axes.position(Axis::C).is_some() {
            let help = "make it gray first, with `grayscale`, or select a channel";
            return Err(OpError::input(1, "an image without channels", image, help));
        }
        if (&image.shape, &image.axes) != (&labels.shape, &labels.axes) {
            let help = "measure the image that the labels were made from, at the same scale";
            return Err(OpError::input(1, format!("an image of the labels' shape and axes ({labels})"), image, help));
        }
        Ok(())
    }

    fn start(&self, ports: &Ports) -> Rows {
        Rows::new(self.0.wanted(ports))
    }

    fn add(&self, call: &ReduceCall<'_>, rows: &mut Rows) -> Result<(), OpError> {
        let (labels, image) = (call.blocks[0], call.blocks[1]);
        with_dtype!(image.dtype(), T => match labels.dtype() {
            DType::Bool | DType::UInt8 => rows.add::<u8, T>(labels, image, call.pool),
            DType::UInt16 => rows.add::<u16, T>(labels, image, call.pool),
            DType::UInt32 => rows.add::<u32, T>(labels, image, call.pool),
            DType::UInt64 => rows.add::<u64, T>(labels, image, call.pool),
            DType::Int8 => rows.add::<i8, T>(labels, image, call.pool),
            DType::Int16 => rows.add::<i16, T>(labels, image, call.pool),
            DType::Int32 => rows.add::<i32, T>(labels, image, call.pool),
            DType::Int64 => rows.add::<i64, T>(labels, image, call.pool),
            other => Err(OpError::Internal(format!("labels of dtype {other}"))),
        })
    }

    fn merge(&self, into: &mut Rows, other: Rows) {
        into.merge(other);
    }

    fn finish(&self, rows: Rows, call: &FinishCall<'_>) -> Result<Value, OpError> {
        let ports = call.ports;
        if let Some(why) = rows.excess {
            return Err(self.0.refusal(why, rows.top, ports));
        }
        let table = self.0.table(&rows, ports);
        Ok(Value::Table(Arc::new(table.ok_or_else(|| OpError::Internal("columns of unequal length".into()))?)))
    }

    /// The rows, and the table that is made of them with the order of its rows.
    fn state_bytes(&self, ports: &Ports) -> u64 {
        let (wanted, voxels) = (self.0.wanted(ports), ports.meta(0).volume());
        let table = 8 * self.0.columns(wanted.rank) + 4;
        wanted.bytes(voxels).saturating_add(wanted.rows(voxels).saturating_mul(table))
    }

    /// The rows of a block, and the table from label to row.
    fn partial_bytes(&self, ports: &Ports, block: &Region) -> u64 {
        let table = Pool::rounded(4 * table_entries(block.volume()));
        self.0.wanted(ports).bytes(block.volume()).saturating_add(table)
    }

    fn nanos_per_element(&self) -> f32 {
        8.0
    }
}

register_op!(Measure {
    name: "measure",
    domain: "measure",
    inputs: &[
        InputSpec {
            name: "labels",
            kind: InputKind::Array,
            doc: "Labels: an integer array of spatial axes, or a mask."
        },
        InputSpec { name: "image", kind: InputKind::Array, doc: "The image to measure, of the same shape." },
    ],
    makes_table: true,
    example: "regions: {op: measure, inputs: {labels: labels, image: image}, with: {statistics: [count, mean, std]}}",
    cases: cases,
});

fn cases() -> Vec<Case> {
    let case = |with: Json, axes, labels, n, image| {
        let labels = Input::new(axes, labels).content(Content::Labels(n));
        Case::new(with, vec![labels, Input::new(axes, image)])
    };
    let floats = |content| {
        let labels = Input::new("yx", DType::UInt64).content(Content::Labels(5));
        Case::new(json!({}), vec![labels, Input::new("yx", DType::Float64).content(content)])
    };
    vec![
        case(json!({}), "yx", DType::UInt32, 6, DType::UInt8).expecting(reference),
        case(
            json!({"background": true, "statistics": ["area", "std", "centroid"]}),
            "zyx",
            DType::Int16,
            3,
            DType::Int8,
        )
        .expecting(reference),
        case(json!({"statistics": ["bounding_box"]}), "x", DType::Bool, 1, DType::UInt16).expecting(reference),
        case(json!({}), "yx", DType::UInt16, 60_000, DType::Float32),
        case(json!({}), "zyx", DType::UInt8, 2, DType::Int64),
        floats(Content::Noise),
        floats(Content::Special),
        case(json!({}), "yxc", DType::UInt8, 2, DType::UInt8).expecting(|_, _| Expected::Refused),
        case(json!({}), "yx", DType::Float32, 2, DType::UInt8).expecting(|_, _| Expected::Refused),
    ]
}

/// Voxel by voxel, for images whose sums of squares float64 holds exactly.
fn reference(with: &Json, inputs: &[Vec<Array>]) -> Expected {
    let Ok(op) = serde_json::from_value::<Measure>(with.clone()) else { return Expected::Refused };
    let (labels, image) = (&inputs[0][0], &inputs[1][0]);
    let strides = labels.meta.region().strides();
    let (ids, values) = (labels.to_f64(), image.to_f64());
    let mut columns: Vec<(String, bool, Vec<f64>)> = Vec::new();
    let mut put = |name: String, whole: bool, v: f64| match columns.iter_mut().find(|c| c.0 == name) {
        Some(c) => c.2.push(v),
        None => columns.push((name, whole, vec![v])),
    };
    let mut present: Vec<u64> = ids.iter().map(|&l| l as u64).filter(|&l| l > 0 || op.background).collect();
    present.sort_unstable();
    present.dedup();
    if present.is_empty() {
        let ports = Ports::plain(&metas(inputs));
        return op.table(&Rows::new(op.wanted(&ports)), &ports).map_or(Expected::Refused, Expected::Table);
    }
    for label in present {
        let inside: Vec<usize> = (0..ids.len()).filter(|&i| ids[i] == label as f64).collect();
        let v: Vec<f64> = inside.iter().map(|&i| values[i]).collect();
        let (n, sum, squares) = (v.len() as f64, v.iter().sum::<f64>(), v.iter().map(|x| x * x).sum::<f64>());
        put("label".into(), true, label as f64);
        let rows: [(Statistic, &str, f64); 7] = [
            (Count, "count", n),
            (Area, "area", n),
            (Mean, "mean", sum / n),
            (Std, "std", ((n * squares - sum * sum) / (n * n)).sqrt()),
            (Min, "min", v.iter().copied().fold(f64::INFINITY, f64::min)),
            (Max, "max", v.iter().copied().fold(f64::NEG_INFINITY, f64::max)),
            (Sum, "sum", sum),
        ];
        for (i, (_, name, x)) in rows.into_iter().enumerate().filter(|(_, r)| op.asks(&[r.0])) {
            put(name.into(), i < 2, x);
        }
        let axes = || labels.meta.axes.iter().map(|a| a.name()).enumerate();
        let along =
            |a: usize| inside.iter().map(|i| (i / strides[a]) as u64 % labels.meta.shape[a]).collect::<Vec<_>>();
        let ends = [("bbox_min", 0), ("bbox_max", 1)];
        for (name, end) in ends.into_iter().filter(|_| op.asks(&[BoundingBox])) {
            for (a, letter) in axes() {
                let at = along(a);
                let edge = if end == 0 { at.iter().min().copied() } else { at.iter().max().map(|i| i + 1) };
                put(format!("{name}_{letter}"), true, edge.unwrap_or(0) as f64);
            }
        }
        for (a, letter) in axes().filter(|_| op.asks(&[Centroid])) {
            put(format!("centroid_{letter}"), false, along(a).iter().sum::<u64>() as f64 / n);
        }
    }
    let column = |(name, whole, v): (String, bool, Vec<f64>)| {
        let data =
            if whole { ColumnData::UInt64(v.into_iter().map(|x| x as u64).collect()) } else { ColumnData::Float64(v) };
        Column { name, data }
    };
    Table::new(columns.into_iter().map(column).collect()).map_or(Expected::Refused, Expected::Table)
}

fn metas(inputs: &[Vec<Array>]) -> Vec<ArrayMeta> {
    inputs.iter().map(|i| i[0].meta.clone()).collect()
}

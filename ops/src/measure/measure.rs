//! `measure`: a table of the labelled regions of an image.

use super::accumulate::{Label, Seen, Wanted, bytes_of_label, table_entries};
use ops_core::contract::{Array, Case, Content, Expected, Input};
use ops_core::exact::{mean, ratio, variance};
use ops_core::{
    ArrayMeta, Axis, Column, ColumnData, DType, Element, InputKind, InputSpec, Lowering, Op, OpError, Pool, Port,
    Ports, Reduce, ReduceCall, Region, Scope, Table, Value, register_op, with_dtype,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Measures every labelled region: how many voxels it has, where they lie, and the values of an image there.
///
/// **Result.** A table with a row for each label that occurs, ascending: `label`, then the columns asked for. `count` and
/// `area` are the number of voxels. `mean`, `std` (of the population), `min`, `max` and `sum` are of the image; sums are
/// exact and rounded once, so they depend neither on blocks nor on threads. A NaN in a region makes its values NaN.
/// `bounding_box` gives `bbox_min_*` and `bbox_max_*` (one past the last) and `centroid` gives `centroid_*`, each along
/// `z`, `y` and `x`, in voxels from the origin of the array.
///
/// **Boundary.** None. **Memory.** A few hundred bytes for each label; `max_labels` bounds them.
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
    /// The most labels there may be: the memory is set aside for them.
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
    250_000
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

    fn wanted(&self) -> Wanted {
        let values = self.asks(&[Mean, Std, Min, Max, Sum]);
        Wanted { background: self.background, values, squares: self.asks(&[Std]), most: self.max_labels }
    }

    /// Labels at most: no more than voxels, than the dtype has values, than are allowed.
    fn labels(&self, dtype: DType, volume: u64) -> u64 {
        let values = if dtype.size() < 4 { 1 << (8 * dtype.size()) } else { u64::MAX };
        volume.min(values).min(self.max_labels)
    }

    fn table(&self, labels: &BTreeMap<u64, Label>, ports: &Ports) -> Option<Table> {
        let (axes, dtype) = (&ports.meta(0).axes, ports.meta(1).dtype);
        let mut columns = vec![Column { name: "label".into(), data: ColumnData::UInt64(labels.keys().copied().collect()) }];
        let whole = |name: &str, f: &dyn Fn(&Label) -> u64| Column {
            name: name.to_owned(),
            data: ColumnData::UInt64(labels.values().map(f).collect()),
        };
        let real = |name: &str, f: &dyn Fn(&Label) -> f64| Column {
            name: name.to_owned(),
            data: ColumnData::Float64(labels.values().map(f).collect()),
        };
        for statistic in [Count, Area, Mean, Std, Min, Max, Sum].into_iter().filter(|s| self.asks(&[*s])) {
            columns.push(match statistic {
                Count => whole("count", &|l| l.count),
                Area => whole("area", &|l| l.count),
                Mean => real("mean", &|l| mean(l.count, &l.sum)),
                Std => real("std", &|l| variance(l.count, &l.sum, &l.squares).sqrt()),
                Min => real("min", &|l| extreme(dtype, l.smallest, l.largest)),
                Max => real("max", &|l| extreme(dtype, l.largest, l.largest)),
                _ => real("sum", &|l| l.sum.round()),
            });
        }
        let letters = || axes.iter().map(|a| a.name()).enumerate();
        if self.asks(&[BoundingBox]) {
            columns.extend(letters().map(|(a, letter)| whole(&format!("bbox_min_{letter}"), &|l| l.lo[a])));
            columns.extend(letters().map(|(a, letter)| whole(&format!("bbox_max_{letter}"), &|l| l.hi[a])));
        }
        if self.asks(&[Centroid]) {
            let column = |(a, letter)| real(&format!("centroid_{letter}"), &|l: &Label| ratio(l.coordinates[a], l.count));
            columns.extend(letters().map(column));
        }
        Table::new(columns)
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
    type Partial = Seen;

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

    fn start(&self, _: &Ports) -> Seen {
        Seen::default()
    }

    fn add(&self, call: &ReduceCall<'_>, seen: &mut Seen) -> Result<(), OpError> {
        let (labels, image) = (call.blocks[0], call.blocks[1]);
        with_dtype!(image.dtype(), T => match labels.dtype() {
            DType::Bool | DType::UInt8 => seen.add::<u8, T>(labels, image, self.0.wanted(), call.pool),
            DType::UInt16 => seen.add::<u16, T>(labels, image, self.0.wanted(), call.pool),
            DType::UInt32 => seen.add::<u32, T>(labels, image, self.0.wanted(), call.pool),
            DType::UInt64 => seen.add::<u64, T>(labels, image, self.0.wanted(), call.pool),
            DType::Int8 => seen.add::<i8, T>(labels, image, self.0.wanted(), call.pool),
            DType::Int16 => seen.add::<i16, T>(labels, image, self.0.wanted(), call.pool),
            DType::Int32 => seen.add::<i32, T>(labels, image, self.0.wanted(), call.pool),
            DType::Int64 => seen.add::<i64, T>(labels, image, self.0.wanted(), call.pool),
            other => Err(OpError::Internal(format!("labels of dtype {other}"))),
        })
    }

    fn merge(&self, into: &mut Seen, other: Seen) {
        into.merge(other, self.0.max_labels);
    }

    fn finish(&self, seen: Seen, _: &[Value], ports: &Ports) -> Result<Value, OpError> {
        if seen.too_many {
            let bytes = bytes_of_label(ports.meta(1).dtype);
            let found = format!("expected at most {} labels (`max_labels`), found more", self.0.max_labels);
            return Err(OpError::Data(format!("{found}: set `max_labels` higher, at {bytes} bytes of memory for each")));
        }
        let table = self.0.table(&seen.labels, ports);
        Ok(Value::Table(Arc::new(table.ok_or_else(|| OpError::Internal("columns of unequal length".into()))?)))
    }

    /// The labels at most, each with its accumulator and a row of at most seventeen columns.
    fn state_bytes(&self, ports: &Ports) -> u64 {
        let labels = self.0.labels(ports.meta(0).dtype, ports.meta(0).volume());
        labels.saturating_mul(bytes_of_label(ports.meta(1).dtype) + 8 * 17)
    }

    /// The labels at most that a block can hold, twice while they are joined, and the table of positions.
    fn partial_bytes(&self, ports: &Ports, block: &Region) -> u64 {
        let labels = self.0.labels(ports.meta(0).dtype, block.volume());
        let table = Pool::rounded(4 * table_entries(block.volume()));
        labels.saturating_mul(2 * bytes_of_label(ports.meta(1).dtype)).saturating_add(table)
    }

    fn nanos_per_element(&self) -> f32 {
        8.0
    }
}

register_op!(Measure {
    name: "measure",
    domain: "measure",
    inputs: &[
        InputSpec { name: "labels", kind: InputKind::Array, doc: "Labels: an integer array of spatial axes, or a mask." },
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
        case(json!({"background": true, "statistics": ["area", "std", "centroid"]}), "zyx", DType::Int16, 3, DType::Int8)
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
        return op.table(&BTreeMap::new(), &Ports::plain(&metas(inputs))).map_or(Expected::Refused, Expected::Table);
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
        let along = |a: usize| inside.iter().map(|i| (i / strides[a]) as u64 % labels.meta.shape[a]).collect::<Vec<_>>();
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
        let data = if whole {
            ColumnData::UInt64(v.into_iter().map(|x| x as u64).collect())
        } else {
            ColumnData::Float64(v)
        };
        Column { name, data }
    };
    Table::new(columns.into_iter().map(column).collect()).map_or(Expected::Refused, Expected::Table)
}

fn metas(inputs: &[Vec<Array>]) -> Vec<ArrayMeta> {
    inputs.iter().map(|i| i[0].meta.clone()).collect()
}

//! `normalize`: intensities stretched to a range, or to mean 0 and deviation 1.

use crate::elementwise::{Store, unary};
use crate::extrema::{Extrema, numbers, refuse_mask};
use crate::linear::Linear;
use crate::moments::{Deviation, Mean};
use crate::select::quantiles;
use ops_core::contract::{Array, Case, Content, Expected, Input};
use ops_core::warning::NO_CONTRAST;
use ops_core::{
    ArrayMeta, Block, DType, InputKind, InputSpec, Lowering, Map, MapCall, Op, OpError, Port, Ports, Scope, register_op,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// Stretches intensities linearly, by what the data itself holds.
///
/// - `method: minmax`: the smallest value becomes the first number of `range`, the largest the last:
///   `(x - min) * ((b - a) / (max - min)) + a`.
/// - `method: percentile`: the same between two percentiles, found exactly; what lies outside goes beyond the range
///   unless `clip` is set.
/// - `method: zscore`: `(x - mean) / deviation`: mean 0 and standard deviation 1.
///
/// **Result.** float64, same shape and axes. Where minimum and maximum (or the percentiles) are equal everything becomes
/// the first number of `range`, and with `zscore` 0, and the run warns. NaN stays NaN. NaN and infinities do not count.
///
/// **Over.** `item` looks at each image on its own; `collection` finds one minimum and maximum for all items of a
/// `foreach`, so that they stay comparable.
///
/// **Boundary.** None. **Memory.** `percentile` counts in histograms: 2 KiB a task for 8 bits, 512 KiB for 16, up to
/// 2 MiB for wider types, which take two or four passes over the input. Mean and deviation come from exact sums.
///
/// **Reference.** Percentiles are those of `numpy.percentile`, method `linear`; the deviation is `numpy.std`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Normalize {
    /// What the ends become; 0 to 255 where it is left out. Not with `zscore`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    range: Option<[f64; 2]>,
    /// What is measured.
    #[serde(default)]
    method: Method,
    /// The lower and the upper percentile, 0 to 100; only with `method: percentile`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    percentiles: Option<[f64; 2]>,
    /// Whether each item of a `foreach` is measured on its own or all together.
    #[serde(default)]
    over: Scope,
    /// Limits the result to `range`.
    #[serde(default)]
    clip: bool,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Method {
    /// The smallest and the largest value.
    #[default]
    Minmax,
    /// Two percentiles.
    Percentile,
    /// Mean and standard deviation.
    Zscore,
}

/// Stretches by two numbers: the ends, or mean and deviation.
#[derive(Debug)]
enum Stretch {
    Ends { range: [f64; 2], clip: bool },
    Zscore,
}

impl Op for Normalize {
    fn lower(&self, g: &mut Lowering, inputs: &[Port]) -> Result<Port, OpError> {
        let a = g.array(inputs, 0)?;
        let range = self.range.unwrap_or([0.0, 255.0]);
        let (measured, stretch) = match (self.method, self.percentiles) {
            (Method::Percentile, None) => {
                return Err(OpError::param("percentiles", "two percentiles such as [1, 99]", "none"));
            }
            (Method::Percentile, Some(p)) => {
                if !(0.0 <= p[0] && p[0] <= p[1] && p[1] <= 100.0) {
                    let found = format!("[{}, {}]", p[0], p[1]);
                    return Err(OpError::param("percentiles", "two ascending numbers from 0 to 100", found));
                }
                (quantiles(g, a, &p.map(|p| p / 100.0), self.over)?, Stretch::Ends { range, clip: self.clip })
            }
            (_, Some(_)) => {
                return Err(OpError::param("percentiles", "only with `method: percentile`", "another method"));
            }
            (Method::Minmax, None) => (
                g.reduce("extrema", Extrema::default(), &[a], &[], self.over)?,
                Stretch::Ends { range, clip: self.clip },
            ),
            (Method::Zscore, None) => {
                let wrong = self.range.map(|_| "range").or(self.clip.then_some("clip"));
                if let Some(param) = wrong {
                    return Err(OpError::param(param, "nothing: `zscore` has no range", "it"));
                }
                let mean = g.reduce("mean", Mean, &[a], &[], self.over)?;
                (g.reduce("deviation", Deviation, &[a], &[mean], self.over)?, Stretch::Zscore)
            }
        };
        Ok(Port::Array(g.map("normalize", stretch, &[a], &[measured])?))
    }
}

impl Map for Stretch {
    fn infer(&self, ports: &Ports) -> Result<ArrayMeta, OpError> {
        let meta = ports.meta(0);
        refuse_mask(meta.dtype, "a mask has nothing to normalize; cast it if numbers are wanted")?;
        Ok(meta.with_dtype(DType::Float64))
    }

    fn apply(&self, call: &MapCall<'_>, out: &mut Block) -> Result<(), OpError> {
        let value = call.values.first().ok_or_else(|| OpError::Internal("normalize without its reduction".into()))?;
        let (first, second) = numbers(value)?;
        let src = call.blocks[0];
        match self {
            Stretch::Ends { .. } if first == second => {
                let text = "the values to stretch between are equal: everything became the first number of `range`";
                call.warnings.add(NO_CONTRAST, text);
            }
            Stretch::Zscore if second == 0.0 => {
                call.warnings.add(NO_CONTRAST, "the standard deviation is 0: everything became 0");
            }
            _ => {}
        }
        match self {
            Stretch::Ends { range, clip: false } => Linear::between([first, second], *range).apply(src, out),
            Stretch::Ends { range, clip: true } => {
                Linear::between([first, second], *range).limited(*range).apply(src, out);
            }
            Stretch::Zscore if second == 0.0 => Linear::between([first, first], [0.0, 0.0]).apply(src, out),
            Stretch::Zscore => unary(src, out, Store::Nearest, |x| (x - first) / second),
        }
        Ok(())
    }

    fn nanos_per_element(&self) -> f32 {
        0.3
    }
}

register_op!(Normalize {
    name: "normalize",
    domain: "intensity",
    inputs: &[InputSpec { name: "input", kind: InputKind::Array, doc: "Intensities of any dtype but `bool`." }],
    makes_table: false,
    example: "normalized: {op: normalize, input: image, with: {range: [0, 255], over: collection}}",
    cases: cases,
});

fn cases() -> Vec<Case> {
    let case = |with: Json, axes, dtype, content, items| {
        Case::new(with, vec![Input::new(axes, dtype).content(content).items(items)]).expecting(reference)
    };
    let percentile = |low: f64, high: f64| json!({"method": "percentile", "percentiles": [low, high], "range": [0, 1]});
    let (noise, special) = (Content::Noise, Content::Special);
    vec![
        case(json!({}), "yxc", DType::UInt8, noise, 1),
        case(json!({"over": "collection"}), "yxc", DType::UInt8, noise, 3),
        case(json!({"range": [-1.0, 1.0], "over": "item"}), "zyx", DType::UInt16, noise, 2),
        case(json!({"range": [10.0, 2.0], "clip": true}), "yx", DType::Float64, special, 1),
        case(json!({}), "yx", DType::Int64, noise, 1),
        case(json!({"range": [3.0, 9.0]}), "yx", DType::Float32, Content::Constant(5.5), 1),
        case(percentile(1.0, 99.0), "yx", DType::UInt8, noise, 1),
        case(percentile(0.0, 100.0), "yx", DType::Int16, noise, 1),
        case(percentile(12.5, 50.0), "yx", DType::Float32, special, 1),
        case(percentile(2.0, 98.0), "zyx", DType::Float64, special, 1),
        case(percentile(10.0, 10.0), "yx", DType::UInt32, Content::Labels(9), 1),
        case(
            json!({"method": "percentile", "percentiles": [1, 90], "clip": true, "over": "collection"}),
            "yx",
            DType::Int32,
            noise,
            3,
        ),
        case(json!({"method": "zscore"}), "yx", DType::Float32, special, 1),
        case(json!({"method": "zscore", "over": "collection"}), "yx", DType::UInt8, noise, 2),
        case(json!({"method": "zscore"}), "yx", DType::UInt64, noise, 1),
        case(json!({"method": "zscore"}), "yx", DType::Int8, Content::Constant(-3.0), 1),
    ]
}

fn reference(with: &Json, inputs: &[Vec<Array>]) -> Expected {
    let pair = |key: &str| Some([with[key][0].as_f64()?, with[key][1].as_f64()?]);
    let all = crate::reference::sorted(&inputs[0]);
    let each = |a: &Array| -> Vec<f64> {
        let data = if with["over"] == "collection" { all.clone() } else { crate::reference::sorted([a]) };
        let n = data.len() as f64;
        let (Some(&min), Some(&max)) = (data.first(), data.last()) else { return vec![f64::NAN; a.to_f64().len()] };
        if with["method"] == "zscore" {
            let mean = data.iter().sum::<f64>() / n;
            let deviation = (data.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
            return a.to_f64().iter().map(|x| if min == max { x - min } else { (x - mean) / deviation }).collect();
        }
        let quantile = |p: f64| {
            let at = (n - 1.0) * p / 100.0;
            data[at.floor() as usize] + (data[at.ceil() as usize] - data[at.floor() as usize]) * at.fract()
        };
        let [lo, hi] = pair("percentiles").map_or([min, max], |p| p.map(quantile));
        let [a0, b0] = pair("range").unwrap_or([0.0, 255.0]);
        let stretch = |x: f64| if lo == hi { (x - lo) * 0.0 + a0 } else { (x - lo) / (hi - lo) * (b0 - a0) + a0 };
        let limit = |y: f64| if with["clip"] == true && !y.is_nan() { y.clamp(a0.min(b0), a0.max(b0)) } else { y };
        a.to_f64().into_iter().map(|x| limit(stretch(x))).collect()
    };
    Expected::Close(inputs[0].iter().map(each).collect(), 1e-9)
}

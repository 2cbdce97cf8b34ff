//! `threshold`: a mask of what is brighter than a limit.

use crate::elementwise::mask;
use crate::extrema::{Extrema, refuse_mask};
use crate::otsu::Otsu;
use ops_core::contract::{Array, Case, Content, Expected, Input};
use ops_core::{
    ArrayMeta, Block, DType, InputKind, InputSpec, Lowering, Map, MapCall, Op, OpError, Port, Ports, Scope, ValuePort,
    register_op,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// Marks every element that is greater than a limit.
///
/// Just one of these says what the limit is:
/// - `value: 100` that number;
/// - `relative_to: max` the largest finite value times `factor`: the third number of `STEP.extrema` in the record;
/// - `method: otsu` the limit that best separates two classes of intensities: the number of `STEP.otsu` in the record.
///
/// **Result.** `bool`, same shape and axes: true where the element is *strictly* greater than the limit. Elements are
/// compared as float64. NaN is never greater. NaN and infinities count neither for the maximum nor for Otsu's method.
///
/// **Otsu.** Integers of 8 and 16 bits, and wider ones that span at most 2^20 values: a bin for each value. Floats: 256
/// bins between minimum and maximum. Where all values are equal the limit is that value, and the mask is empty.
///
/// **Boundary.** None. **Memory.** For Otsu's method a histogram for each task: 2 KiB for 8 bits and floats, 512 KiB for
/// 16 bits, up to 8 MiB for wider integers.
///
/// **Reference.** N. Otsu, *A threshold selection method from gray-level histograms*, IEEE Trans. SMC 9 (1979) 62-66;
/// `skimage.filters.threshold_otsu` 0.26, the same number for integers and float64.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["value"]}, {"required": ["relative_to"]}, {"required": ["method"]}]))]
pub struct Threshold {
    /// The limit itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<f64>,
    /// What the limit is a share of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    relative_to: Option<RelativeTo>,
    /// The share, only with `relative_to`; 0.75 where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    factor: Option<f64>,
    /// How the limit is found from the histogram.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    method: Option<Method>,
    /// Whether each item of a `foreach` has a limit of its own or all share one.
    #[serde(default)]
    over: Scope,
}

/// What a relative limit is a share of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum RelativeTo {
    /// The largest finite value.
    Max,
}

/// How a limit is found from the histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Method {
    /// Otsu's: the largest variance between the classes.
    Otsu,
}

/// The limit of a mask.
#[derive(Debug, Clone, Copy)]
enum Limit {
    Fixed(f64),
    /// This number of those that a reduction left.
    Found(usize),
}

#[derive(Debug)]
struct Above {
    limit: Limit,
}

impl Op for Threshold {
    fn lower(&self, g: &mut Lowering, inputs: &[Port]) -> Result<Port, OpError> {
        let a = g.array(inputs, 0)?;
        if self.factor.is_some() && self.relative_to.is_none() {
            return Err(OpError::param("factor", "only together with `relative_to`", "it without"));
        }
        let found =
            |g: &mut Lowering, share_of_max| g.reduce("extrema", Extrema { share_of_max }, &[a], &[], self.over);
        let (limit, values): (Limit, Vec<ValuePort>) = match (self.value, self.relative_to, self.method) {
            (Some(v), None, None) => (Limit::Fixed(v), Vec::new()),
            (None, Some(RelativeTo::Max), None) => {
                (Limit::Found(2), vec![found(g, Some(self.factor.unwrap_or(0.75)))?])
            }
            (None, None, Some(Method::Otsu)) => {
                let extrema = found(g, None)?;
                (Limit::Found(0), vec![g.reduce("otsu", Otsu, &[a], &[extrema], self.over)?])
            }
            (None, None, None) => {
                return Err(OpError::param("value", "one of `value`, `relative_to` and `method`", "none of them"));
            }
            _ => return Err(OpError::param("value", "one of `value`, `relative_to` and `method`", "several of them")),
        };
        Ok(Port::Array(g.map("threshold", Above { limit }, &[a], &values)?))
    }
}

impl Map for Above {
    fn infer(&self, ports: &Ports) -> Result<ArrayMeta, OpError> {
        let meta = ports.meta(0);
        refuse_mask(meta.dtype, "leave this step out: its input is a mask already")?;
        Ok(meta.with_dtype(DType::Bool))
    }

    fn apply(&self, call: &MapCall<'_>, out: &mut Block) -> Result<(), OpError> {
        let limit = match (self.limit, call.values) {
            (Limit::Fixed(v), _) => v,
            (Limit::Found(at), values) => {
                let found = values.first().map(|v| v.as_numbers()).transpose()?.and_then(|v| v.get(at)).copied();
                found.ok_or_else(|| OpError::Internal("a threshold without the reduction it follows from".into()))?
            }
        };
        mask(call.blocks[0], out, |x| x > limit);
        Ok(())
    }

    fn nanos_per_element(&self) -> f32 {
        0.3
    }
}

register_op!(Threshold {
    name: "threshold",
    domain: "intensity",
    inputs: &[InputSpec { name: "input", kind: InputKind::Array, doc: "Intensities of any dtype but `bool`." }],
    makes_table: false,
    example: "mask: {op: threshold, input: smooth, with: {relative_to: max, factor: 0.75}}",
    cases: cases,
});

fn cases() -> Vec<Case> {
    let case = |with: Json, input: Input| Case::new(with, vec![input]).expecting(reference);
    let (u8s, f64s) = (Input::new("yx", DType::UInt8), Input::new("yx", DType::Float64));
    let few = u8s.clone().content(Content::Labels(5));
    vec![
        case(json!({"value": 3}), few.clone()),
        case(json!({"value": 10.5}), f64s.clone().content(Content::Special)),
        case(json!({"relative_to": "max"}), f64s.clone()),
        case(json!({"relative_to": "max", "factor": 0.5}), f64s.clone().content(Content::Special)),
        case(json!({"relative_to": "max", "factor": 1.0}), few.clone()),
        case(json!({"relative_to": "max", "over": "collection"}), Input::new("zyx", DType::Int16).items(3)),
        case(json!({"relative_to": "max"}), f64s.clone().items(3)),
        case(json!({"method": "otsu"}), u8s.clone()),
        case(json!({"method": "otsu"}), few),
        case(json!({"method": "otsu"}), u8s.content(Content::Constant(7.0))),
        case(json!({"method": "otsu", "over": "collection"}), Input::new("yx", DType::Int16).items(3)),
        case(json!({"method": "otsu"}), f64s.clone()),
        case(json!({"method": "otsu"}), f64s.content(Content::Special)),
        case(json!({"method": "otsu"}), Input::new("yx", DType::Int32).content(Content::Labels(300_000))),
    ]
}

fn reference(with: &Json, inputs: &[Vec<Array>]) -> Expected {
    let all = crate::reference::sorted(&inputs[0]);
    crate::reference::mask(inputs, |a| {
        let data = if with["over"] == "collection" { all.clone() } else { crate::reference::sorted([a]) };
        let limit = if let Some(v) = with["value"].as_f64() {
            v
        } else if with["method"] == "otsu" {
            crate::otsu::naive(&data, !a.meta.dtype.is_float())
        } else {
            data.last().map_or(f64::NAN, |m| with["factor"].as_f64().unwrap_or(0.75) * m)
        };
        a.to_f64().into_iter().map(|x| x > limit).collect()
    })
}

//! `pad`: an array made larger at its edges.

use super::per_axis::PerAxis;
use super::tile::paste_moved;
use ops_core::contract::{Array, Case, Content, Expected, Input};
use ops_core::{
    ArrayMeta, Block, Boundary, DType, Element, Index, InputKind, InputSpec, Lowering, Map, MapCall, Need, Op, OpError,
    Port, Ports, Region, op::Needs, register_op, with_dtype,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// Most elements added on one side: more is a mistake.
const LARGEST: u64 = 1 << 32;

/// Adds elements before the first and after the last along some axes.
///
/// **Result.** Same dtype and axes; along each axis `before` and `after` elements more. With `boundary: constant` the new
/// elements are `value`.
///
/// **Boundary.** As `boundary` says; the modes are scipy's. **Memory.** None beyond input and output.
///
/// **Reference.** `numpy.pad` with the modes `symmetric` (here `reflect`), `reflect` (here `mirror`), `edge` (`nearest`),
/// `wrap` and `constant`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pad {
    /// Elements added before the first, by axis: `{y: 2, x: 2}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<PerAxis<u64>>,
    /// Elements added after the last, by axis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<PerAxis<u64>>,
    /// What the new elements are.
    #[serde(default)]
    boundary: Boundary,
    /// The new elements with `boundary: constant`; 0 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<f64>,
}

impl Pad {
    /// Elements added on one side of each axis.
    fn side(name: &str, side: Option<&PerAxis<u64>>, meta: &ArrayMeta) -> Result<Index, OpError> {
        let Some(side) = side else { return Ok(Index::from_elem(0, meta.rank())) };
        let each = side.of(name, meta)?.into_iter().map(|n| n.unwrap_or(0));
        each.map(|n| match n {
            0..=LARGEST => Ok(n as i64),
            _ => Err(OpError::param(name, format!("whole numbers up to {LARGEST}"), n)),
        })
        .collect()
    }

    /// Elements added before the first of each axis. Inferring has refused what this could fail on.
    fn origin(&self, meta: &ArrayMeta) -> Index {
        Self::side("before", self.before.as_ref(), meta).unwrap_or_else(|_| Index::from_elem(0, meta.rank()))
    }

    /// The new elements, as a value of the input's dtype.
    fn check_value(&self, dtype: DType) -> Result<(), OpError> {
        let Some(value) = self.value else { return Ok(()) };
        if self.boundary != Boundary::Constant {
            return Err(OpError::param("value", "only together with `boundary: constant`", "it without"));
        }
        let (lo, hi) = dtype.limits();
        if !dtype.is_float() && (value.fract() != 0.0 || value < lo || value > hi) {
            let expected = format!("a whole number from {lo} to {hi}, as the input is {dtype}");
            return Err(OpError::param("value", expected, value));
        }
        Ok(())
    }
}

impl Op for Pad {
    fn lower(&self, g: &mut Lowering, inputs: &[Port]) -> Result<Port, OpError> {
        if self.before.is_none() && self.after.is_none() {
            return Err(OpError::param(
                "before",
                "a number of elements along at least one axis, or `after`",
                "neither",
            ));
        }
        let a = g.array(inputs, 0)?;
        Ok(Port::Array(g.map("pad", self.clone(), &[a], &[])?))
    }
}

impl Map for Pad {
    fn infer(&self, ports: &Ports) -> Result<ArrayMeta, OpError> {
        let meta = ports.meta(0);
        self.check_value(meta.dtype)?;
        let before = Self::side("before", self.before.as_ref(), meta)?;
        let after = Self::side("after", self.after.as_ref(), meta)?;
        let mut shape = Vec::new();
        for (&n, (b, a)) in meta.shape.iter().zip(before.iter().zip(&after)) {
            if n == 0 && self.boundary != Boundary::Constant && b + a > 0 {
                let help = "pad with `boundary: constant`";
                return Err(OpError::input(0, "an array with elements to continue from", meta, help));
            }
            shape.push(n + (b + a) as u64);
        }
        Ok(ArrayMeta::new(&shape, meta.dtype, meta.axes.clone()))
    }

    fn needs(&self, ports: &Ports, out: &Region) -> Needs {
        let meta = ports.meta(0);
        let back: Index = self.origin(meta).iter().map(|n| -n).collect();
        let region = out.shift(&back);
        let need = match self.boundary {
            // What is constant is written by the op itself: nothing need be read for it.
            Boundary::Constant => Need::inside(0, region.intersect(&meta.region())),
            boundary => Need { input: 0, item: 0, region, boundary },
        };
        [need].into_iter().collect()
    }

    fn apply(&self, call: &MapCall<'_>, out: &mut Block) -> Result<(), OpError> {
        let src = call.blocks[0];
        if self.boundary != Boundary::Constant {
            out.bytes_mut().copy_from_slice(src.bytes());
            return Ok(());
        }
        if src.region().volume() < out.region().volume() {
            let (value, region) = (self.value.unwrap_or(0.0), out.region().clone());
            with_dtype!(src.dtype(), T => out.fill(&region, bytemuck::bytes_of(&T::from_f64(value))));
        }
        paste_moved(out, src, &self.origin(call.ports.meta(0)));
        Ok(())
    }

    fn nanos_per_element(&self) -> f32 {
        0.2
    }
}

register_op!(Pad {
    name: "pad",
    domain: "geometry",
    inputs: &[InputSpec { name: "input", kind: InputKind::Array, doc: "An array that has the named axes." }],
    makes_table: false,
    example: "framed: {op: pad, input: image, with: {before: {y: 8, x: 8}, after: {y: 8, x: 8}, boundary: nearest}}",
    cases: cases,
});

fn cases() -> Vec<Case> {
    let case = |with: Json, axes, dtype, content| {
        Case::new(with, vec![Input::new(axes, dtype).content(content)]).expecting(reference)
    };
    let noise = Content::Noise;
    vec![
        case(json!({"before": {"y": 2, "x": 3}, "after": {"y": 1, "x": 4}}), "yx", DType::UInt8, noise),
        case(json!({"before": {"z": 3}, "after": {"x": 9}}), "zyx", DType::Float32, Content::Special),
        case(json!({"after": {"y": 45}}), "yxc", DType::UInt16, noise),
        case(json!({"before": {"t": 1, "c": 2}}), "tcyx", DType::Int64, noise),
        // Every mode is tried with these: a value suits one of them only.
        case(json!({"before": {"y": 2, "x": 50}, "value": -7}), "yx", DType::Int16, noise),
        case(json!({"before": {"x": 1}, "value": 1.5}), "yx", DType::Float64, noise),
        case(json!({"before": {"x": 1}, "value": 300}), "yx", DType::UInt8, noise),
        case(json!({"before": {"z": 1}}), "yx", DType::UInt8, noise),
        case(json!({}), "yx", DType::UInt8, noise),
    ]
}

/// Asks for the source of each element along each axis.
fn reference(with: &Json, inputs: &[Vec<Array>]) -> Expected {
    let a = &inputs[0][0];
    let boundary: Boundary = serde_json::from_value(with["boundary"].clone()).unwrap_or_default();
    let (letters, value) = (a.meta.axes.to_string(), with["value"].as_f64());
    let side = |name: &str, c: char| with[name][c.to_string()].as_u64().unwrap_or(0) as i64;
    let sides: Vec<&Json> = ["before", "after"].iter().map(|n| &with[*n]).filter(|s| s.is_object()).collect();
    let unknown = sides.iter().any(|s| s.as_object().is_some_and(|m| m.keys().any(|k| !letters.contains(k))));
    let fits = value
        .is_none_or(|v| boundary == Boundary::Constant && with_dtype!(a.meta.dtype, T => T::from_f64(v).to_f64() == v));
    if sides.is_empty() || unknown || !fits {
        return Expected::Refused;
    }
    let mut found: Vec<Option<usize>> = vec![Some(0)];
    for (axis, c) in letters.chars().enumerate() {
        let (n, step) = (a.meta.shape[axis] as i64, a.meta.region().strides()[axis]);
        let reads: Vec<Option<usize>> = (-side("before", c)..n + side("after", c))
            .map(|i| boundary.source(i, n).map(|s| s as usize * step))
            .collect();
        found = found.into_iter().flat_map(|f| reads.iter().map(move |r| Some(f? + (*r)?))).collect();
    }
    Expected::Bytes(vec![with_dtype!(a.meta.dtype, T => {
        let v = a.block.as_slice::<T>();
        let fill = T::from_f64(value.unwrap_or(0.0));
        let out: Vec<T> = found.into_iter().map(|i| i.map_or(fill, |i| v[i])).collect();
        bytemuck::cast_slice(&out).to_vec()
    })])
}

//! `crop`: a box of an array.

use ops_core::contract::{Array, Case, Expected, Input};
use ops_core::{
    ArrayMeta, Axis, Block, DType, Index, InputKind, InputSpec, Lowering, Map, MapCall, Need, Op, OpError, Port, Ports,
    Region, op::Needs, register_op,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// Cuts a box out of an array: for each named axis the half-open span `[start, stop]`, counted from 0.
///
/// **Result.** Same dtype and axes; along a named axis `stop - start` elements, along the others all of them. A span that
/// reaches beyond the array is an error, unless `clip` is set: then it ends where the array ends, so that one crop
/// serves images of different sizes. A span that lies wholly outside is always an error.
///
/// **Boundary.** None. **Memory.** None beyond input and output; what lies outside the box is not read.
///
/// **Reference.** Basic slicing, `a[start:stop]`, of numpy.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Crop {
    /// The span along time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    t: Option<[u64; 2]>,
    /// The span of channels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    c: Option<[u64; 2]>,
    /// The span along depth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    z: Option<[u64; 2]>,
    /// The span of rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    y: Option<[u64; 2]>,
    /// The span of columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    x: Option<[u64; 2]>,
    /// Cuts a span short where the array ends.
    #[serde(default)]
    clip: bool,
}

impl Crop {
    fn spans(&self) -> [(Axis, Option<[u64; 2]>); 5] {
        [(Axis::T, self.t), (Axis::C, self.c), (Axis::Z, self.z), (Axis::Y, self.y), (Axis::X, self.x)]
    }

    /// The box, in the coordinates of the input.
    fn region(&self, meta: &ArrayMeta) -> Result<Region, OpError> {
        let mut region = meta.region();
        for (axis, span) in self.spans() {
            let Some([start, stop]) = span else { continue };
            let (name, found) = (axis.name().to_string(), format!("[{start}, {stop}]"));
            let Some(a) = meta.axes.position(axis) else {
                let expected = format!("one of the input's axes `{}`", meta.axes);
                return Err(OpError::param(&name, expected, format!("a span along `{name}`")));
            };
            let n = meta.shape[a];
            let last = if self.clip { stop.min(n) } else { stop };
            if start >= last {
                let expected = format!("start < stop within the extent {n}");
                return Err(OpError::param(&name, expected, found));
            }
            if last > n {
                let expected = format!("a span within the extent {n} (or `clip: true`)");
                return Err(OpError::param(&name, expected, found));
            }
            (region.lo[a], region.hi[a]) = (start as i64, last as i64);
        }
        Ok(region)
    }
}

impl Op for Crop {
    fn lower(&self, g: &mut Lowering, inputs: &[Port]) -> Result<Port, OpError> {
        if self.spans().iter().all(|(_, s)| s.is_none()) {
            return Err(OpError::param("y", "a span along at least one axis", "none"));
        }
        let a = g.array(inputs, 0)?;
        Ok(Port::Array(g.map("crop", self.clone(), &[a], &[])?))
    }
}

impl Map for Crop {
    fn infer(&self, ports: &Ports) -> Result<ArrayMeta, OpError> {
        let meta = ports.meta(0);
        let region = self.region(meta)?;
        let shape: Vec<u64> = region.shape().iter().map(|&n| n as u64).collect();
        Ok(ArrayMeta::new(&shape, meta.dtype, meta.axes.clone()))
    }

    fn needs(&self, ports: &Ports, out: &Region) -> Needs {
        // Inferring has refused what this could fail on.
        let first = self.region(ports.meta(0)).map_or_else(|_| Index::from_elem(0, out.rank()), |r| r.lo);
        [Need::inside(0, out.shift(&first))].into_iter().collect()
    }

    fn apply(&self, call: &MapCall<'_>, out: &mut Block) -> Result<(), OpError> {
        out.bytes_mut().copy_from_slice(call.blocks[0].bytes());
        Ok(())
    }

    fn nanos_per_element(&self) -> f32 {
        0.2
    }
}

register_op!(Crop {
    name: "crop",
    domain: "geometry",
    inputs: &[InputSpec { name: "input", kind: InputKind::Array, doc: "An array that has the named axes." }],
    makes_table: false,
    example: "corner: {op: crop, input: image, with: {y: [0, 2048], x: [0, 2048], clip: true}}",
    cases: cases,
});

fn cases() -> Vec<Case> {
    let case = |with: Json, axes, dtype, items| {
        Case::new(with, vec![Input::new(axes, dtype).items(items)]).expecting(reference)
    };
    vec![
        case(json!({"y": [3, 20], "x": [0, 23]}), "yx", DType::UInt8, 1),
        case(json!({"y": [1, 1000], "clip": true}), "yxc", DType::Float64, 3),
        case(json!({"z": [2, 3], "x": [4, 5]}), "zyx", DType::UInt16, 1),
        case(json!({"c": [1, 2]}), "tcyx", DType::Int32, 1),
        case(json!({"y": [0, 1000]}), "yx", DType::UInt8, 1),
        case(json!({"y": [500, 1000], "clip": true}), "yx", DType::UInt8, 1),
        case(json!({"y": [5, 5]}), "yx", DType::UInt8, 1),
        case(json!({"z": [0, 1]}), "yx", DType::UInt8, 1),
    ]
}

/// Keeps the elements whose coordinates all lie in their spans.
fn reference(with: &Json, inputs: &[Vec<Array>]) -> Expected {
    let keep = |a: &Array, i: usize| {
        let (mut rest, mut inside) = (i as u64, true);
        for (axis, n) in a.meta.axes.iter().zip(&a.meta.shape).collect::<Vec<_>>().into_iter().rev() {
            let span = &with[axis.name().to_string()];
            let at = rest % n;
            rest /= n;
            inside &= span[0].as_u64().is_none_or(|s| at >= s) && span[1].as_u64().is_none_or(|s| at < s);
        }
        inside
    };
    let meta = &inputs[0][0].meta;
    let wrong = |(name, span): (&String, &Json)| {
        let axis = name.chars().next().and_then(Axis::parse).and_then(|a| meta.axes.position(a));
        let (Some(start), Some(stop)) = (span[0].as_u64(), span[1].as_u64()) else { return false };
        axis.is_none_or(|a| start >= stop.min(meta.shape[a]) || (stop > meta.shape[a] && with["clip"] != true))
    };
    if with.as_object().is_some_and(|m| m.iter().any(wrong)) {
        return Expected::Refused;
    }
    let each = |a: &Array| {
        let size = a.meta.dtype.size();
        let elements = a.block.bytes().chunks_exact(size).enumerate();
        elements.filter(|(i, _)| keep(a, *i)).flat_map(|(_, v)| v.to_vec()).collect()
    };
    Expected::Bytes(inputs[0].iter().map(each).collect())
}

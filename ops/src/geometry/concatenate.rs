//! `concatenate`: arrays one after another along an axis they have.

use super::axis_names::AxisName;
use super::tile::paste_moved;
use ops_core::contract::{Array, Case, Content, Expected, Input};
use ops_core::registry::ANY_NAME;
use ops_core::{
    ArrayMeta, Block, DType, Index, InputKind, InputSpec, Lowering, Map, MapCall, Need, Op, OpError, Port, Ports,
    Region, op::Needs, register_op,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// Puts arrays one after another along an axis that all of them have.
///
/// With one input all items of its `foreach` are put together, in their order. With several, named as you like, these are,
/// in the order they are written; if they are families, item by item.
///
/// **Result.** Same dtype and axes; along `axis` the sum of the extents. Dtype, axes and all other extents must be equal;
/// items of one `foreach` need equal shapes.
///
/// **Boundary.** None. **Memory.** None beyond input and output; a block reads only the arrays it covers.
///
/// **Reference.** `numpy.concatenate`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Concatenate {
    /// The axis along which they follow one another.
    axis: AxisName,
}

impl Op for Concatenate {
    fn lower(&self, g: &mut Lowering, inputs: &[Port]) -> Result<Port, OpError> {
        let arrays = (0..inputs.len()).map(|i| g.array(inputs, i)).collect::<Result<Vec<_>, _>>()?;
        Ok(Port::Array(match arrays[..] {
            [one] => g.join("concatenate", self.clone(), one)?,
            _ => g.map("concatenate", self.clone(), &arrays, &[])?,
        }))
    }
}

/// One of the arrays: which input and item, where it begins and ends along the axis.
struct Part {
    input: usize,
    item: u32,
    first: i64,
    end: i64,
}

impl Concatenate {
    /// The arrays in their order. Inferring has refused what this could fail on.
    fn parts(&self, ports: &Ports) -> Vec<Part> {
        let Ok(a) = self.axis.position("axis", ports.meta(0)) else { return Vec::new() };
        let items = if ports.len() == 1 { ports.items(0) } else { 1 };
        let mut first = 0;
        let each = (0..ports.len()).flat_map(|input| (0..items).map(move |item| (input, item)));
        each.map(|(input, item)| {
            let end = first + ports.meta(input).shape[a] as i64;
            Part { input, item, first: std::mem::replace(&mut first, end), end }
        })
        .collect()
    }

    /// The parts that a region touches, each with the step from its own coordinates to those of the result.
    fn touched(&self, ports: &Ports, out: &Region) -> Vec<(Part, Index)> {
        let a = self.axis.position("axis", ports.meta(0)).unwrap_or(0);
        let parts = self.parts(ports).into_iter().filter(|p| p.first < out.hi[a] && out.lo[a] < p.end);
        parts
            .map(|p| {
                let mut by = Index::from_elem(0, out.rank());
                by[a] = p.first;
                (p, by)
            })
            .collect()
    }
}

impl Map for Concatenate {
    fn infer(&self, ports: &Ports) -> Result<ArrayMeta, OpError> {
        let first = ports.meta(0);
        let a = self.axis.position("axis", first)?;
        for input in 1..ports.len() {
            let other = ports.meta(input);
            let mut same = other.clone();
            if other.rank() == first.rank() {
                same.shape[a] = first.shape[a];
            }
            if same != *first {
                let expected =
                    format!("an array like the first but for its extent along `{}`: {first}", self.axis.axis().name());
                let help = "cast, crop, pad or transpose it first";
                return Err(OpError::input(input, expected, other, help));
            }
        }
        let mut meta = first.clone();
        meta.shape[a] = self.parts(ports).last().map_or(0, |p| p.end as u64);
        Ok(meta)
    }

    fn needs(&self, ports: &Ports, out: &Region) -> Needs {
        let need = |(p, by): (Part, Index)| {
            let back: Index = by.iter().map(|n| -n).collect();
            let region = out.shift(&back).intersect(&ports.meta(p.input).region());
            Need { item: p.item, ..Need::inside(p.input, region) }
        };
        self.touched(ports, out).into_iter().map(need).collect()
    }

    fn apply(&self, call: &MapCall<'_>, out: &mut Block) -> Result<(), OpError> {
        let parts = self.touched(call.ports, out.region());
        parts.iter().zip(call.blocks).for_each(|((_, by), block)| paste_moved(out, block, by));
        Ok(())
    }

    fn nanos_per_element(&self) -> f32 {
        0.2
    }
}

register_op!(Concatenate {
    name: "concatenate",
    domain: "geometry",
    inputs: &[InputSpec {
        name: ANY_NAME,
        kind: InputKind::Family,
        doc: "The arrays in their order; or one input: the items of a `foreach`, of equal shapes.",
    }],
    makes_table: false,
    example: "both: {op: concatenate, inputs: {left: image, right: smooth}, with: {axis: x}}",
    cases: cases,
});

fn cases() -> Vec<Case> {
    let input = |axes, dtype| Input::new(axes, dtype);
    let case = |axis: &str, inputs: Vec<Input>| Case::new(json!({"axis": axis}), inputs).expecting(reference);
    vec![
        case("y", vec![input("yx", DType::UInt8), input("yx", DType::UInt8)]),
        case("x", vec![input("yx", DType::Float64), input("yx", DType::Float64), input("yx", DType::Float64)]),
        case("c", vec![input("yxc", DType::UInt16), input("yxc", DType::UInt16).channels(1)]),
        case("z", vec![input("zyx", DType::Float32).content(Content::Special), input("zyx", DType::Float32)]),
        case("t", vec![input("tcyx", DType::Int64), input("tcyx", DType::Int64)]),
        case("x", vec![input("yx", DType::UInt8).items(4)]),
        case("z", vec![input("zyx", DType::Int16).items(3)]),
        case("y", vec![input("yx", DType::UInt8)]),
        case("y", vec![input("yx", DType::UInt8).items(3), input("yx", DType::UInt8).items(3)]),
        case("z", vec![input("yx", DType::UInt8), input("yx", DType::UInt8)]),
        case("y", vec![input("yx", DType::UInt8), input("yx", DType::UInt16)]),
        case("y", vec![input("yxc", DType::UInt8), input("yxc", DType::UInt8).channels(1)]),
        case("y", vec![input("yx", DType::UInt8), input("zyx", DType::UInt8)]),
    ]
}

/// Rows of what lies behind the axis, from each array in turn.
fn reference(with: &Json, inputs: &[Vec<Array>]) -> Expected {
    let meta = &inputs[0][0].meta;
    let Some(a) = with["axis"].as_str().and_then(|c| meta.axes.to_string().find(c)) else { return Expected::Refused };
    let rest = |m: &ArrayMeta| {
        let shape: Vec<u64> = m.shape.iter().enumerate().filter(|(i, _)| *i != a).map(|(_, n)| *n).collect();
        (m.dtype, m.axes.to_string(), shape)
    };
    if inputs.iter().any(|i| rest(&i[0].meta) != rest(meta)) {
        return Expected::Refused;
    }
    let joined = |arrays: Vec<&Array>| -> Vec<u8> {
        let outer: u64 = meta.shape[..a].iter().product();
        let row = |m: &ArrayMeta| m.shape[a..].iter().product::<u64>() as usize * m.dtype.size();
        let rows = (0..outer as usize).flat_map(|i| arrays.iter().map(move |x| (i, x)));
        rows.flat_map(|(i, x)| x.block.bytes()[i * row(&x.meta)..(i + 1) * row(&x.meta)].to_vec()).collect()
    };
    Expected::Bytes(match inputs {
        [one] => vec![joined(one.iter().collect())],
        several => (0..several[0].len()).map(|k| joined(several.iter().map(|i| &i[k]).collect())).collect(),
    })
}

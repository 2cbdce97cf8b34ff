//! `stack`: the items of a family along a new axis.

use ops_core::contract::{Array, Case, Expected, Input};
use ops_core::{
    ArrayMeta, Axis, Block, DType, InputKind, InputSpec, Lowering, Map, MapCall, Need, Op, OpError, Port, Ports,
    Region, op::Needs, register_op,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// Puts all items of a `foreach` behind one another along a new first axis, in their order.
///
/// **Result.** Same dtype; the new axis comes first, its extent is the number of items. The items need equal shapes, and
/// no axis of that name yet.
///
/// **Boundary.** None. **Memory.** None beyond input and output; a block reads only the items it covers.
///
/// **Reference.** `numpy.stack` with `axis=0`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stack {
    /// What the new axis means.
    #[serde(default)]
    axis: NewAxis,
}

/// What the new axis of a stack means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum NewAxis {
    /// Depth: the items are slices of a volume.
    #[default]
    Z,
    /// Time: the items are frames.
    T,
    /// Channel: the items are colours or markers.
    C,
}

impl NewAxis {
    fn axis(self) -> Axis {
        match self {
            NewAxis::Z => Axis::Z,
            NewAxis::T => Axis::T,
            NewAxis::C => Axis::C,
        }
    }
}

impl Op for Stack {
    fn lower(&self, g: &mut Lowering, inputs: &[Port]) -> Result<Port, OpError> {
        let a = g.array(inputs, 0)?;
        Ok(Port::Array(g.join("stack", self.clone(), a)?))
    }
}

impl Map for Stack {
    fn infer(&self, ports: &Ports) -> Result<ArrayMeta, OpError> {
        let (meta, axis) = (ports.meta(0), self.axis.axis());
        if meta.axes.position(axis).is_some() {
            let expected = format!("an axis that the items do not have (they have `{}`)", meta.axes);
            return Err(OpError::param("axis", expected, axis.name()));
        }
        let mut shape = meta.shape.clone();
        shape.insert(0, u64::from(ports.items(0)));
        Ok(ArrayMeta::new(&shape, meta.dtype, meta.axes.with_first(axis)))
    }

    fn needs(&self, _: &Ports, out: &Region) -> Needs {
        let item = Region { lo: out.lo[1..].into(), hi: out.hi[1..].into() };
        (out.lo[0]..out.hi[0]).map(|i| Need { item: i as u32, ..Need::inside(0, item.clone()) }).collect()
    }

    fn apply(&self, call: &MapCall<'_>, out: &mut Block) -> Result<(), OpError> {
        let mut rest = out.bytes_mut();
        for block in call.blocks {
            let (slice, after) = rest.split_at_mut(block.bytes().len());
            slice.copy_from_slice(block.bytes());
            rest = after;
        }
        Ok(())
    }

    fn nanos_per_element(&self) -> f32 {
        0.2
    }
}

register_op!(Stack {
    name: "stack",
    domain: "geometry",
    inputs: &[InputSpec { name: "input", kind: InputKind::Family, doc: "The items of a `foreach`, of equal shapes." }],
    makes_table: false,
    example: "volume: {op: stack, input: slices, with: {axis: z}}",
    cases: cases,
});

fn cases() -> Vec<Case> {
    let case = |with: Json, axes, dtype, items| {
        Case::new(with, vec![Input::new(axes, dtype).items(items)]).expecting(reference)
    };
    vec![
        case(json!({}), "yx", DType::UInt8, 5),
        case(json!({"axis": "t"}), "yxc", DType::Float32, 3),
        case(json!({"axis": "c"}), "zyx", DType::Int64, 2),
        case(json!({}), "yx", DType::UInt16, 1),
        case(json!({"axis": "z"}), "zyx", DType::UInt8, 2),
    ]
}

fn reference(with: &Json, inputs: &[Vec<Array>]) -> Expected {
    let new = with["axis"].as_str().unwrap_or("z");
    if inputs[0][0].meta.axes.to_string().contains(new) {
        return Expected::Refused;
    }
    Expected::Bytes(vec![inputs[0].iter().flat_map(|a| a.block.bytes().to_vec()).collect()])
}

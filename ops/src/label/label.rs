//! `label`: connected components.

use super::across::Across;
use super::cells::{AT_ONCE, Cells, FACES_BYTES};
use super::join::{Join, Joined};
use super::keys::{Keys, Numbering};
use super::meet::Meet;
use super::numbered::NumberCells;
use ops_core::contract::{Array, Case, Content, Expected, Input};
use ops_core::{
    ArrayMeta, Block, DType, Element, Index, InputKind, InputSpec, Lowering, Map, MapCall, Needs, Op, OpError, Port,
    Ports, Reduce, Region, Scope, register_op, with_dtype,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// Numbers the connected components of the foreground: voxels that touch get the same number, from 1; background is 0.
///
/// What is not zero is foreground (NaN too). All axes of the input are spatial.
///
/// **Result.** Same shape and axes, dtype `uint32` or what `dtype` says. The numbers are those of the whole array,
/// whatever blocks it is computed in: components are numbered in the order of `numbering`, without gaps.
///
/// **Boundary.** Components end at the edge of the array.
///
/// **Memory.** Arrays up to about 14 million voxels are labelled at once: until the last block is numbered a bit for each voxel
/// is held and a word for every run of foreground and every component of a block, up to 4.8 bytes a voxel for the worst of
/// inputs, 15 where components are numbered by blocks. Larger ones are labelled in cells: what is held are the faces of
/// cells, at most `faces_bytes`, and one to two hundredths of a byte a voxel; the input is computed or read twice. The result is
/// the same. Fewer than 2^32 components.
///
/// **Reference.** `scipy.ndimage.label` with `generate_binary_structure(rank, connectivity)`; with
/// `numbering: {block: B}`, `dask_image.ndmeasure.label` on chunks of `B`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Label {
    /// Along how many axes touching voxels may differ, by one each: 1 for faces, up to the number of axes for corners.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 3))]
    connectivity: u64,
    /// The order in which components are numbered.
    #[serde(default)]
    numbering: Numbering,
    /// The dtype of the result, an unsigned integer; it must hold the number of components.
    #[serde(default = "uint32")]
    dtype: DType,
    /// Extents of the cells in which an array is labelled that is too large to be labelled at once; an array of any size
    /// where they are given. By default about a million voxels, or the `block` of `numbering`, which they must be where
    /// components are numbered by blocks. The result does not depend on them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(inner(inner(range(min = 1))))]
    cell: Option<Vec<u64>>,
    /// The most bytes that the faces of cells, and the components that touch across them, may take. More is an error.
    #[serde(default = "faces_bytes")]
    #[schemars(range(min = 1))]
    faces_bytes: u64,
}

fn faces_bytes() -> u64 {
    FACES_BYTES
}

fn one() -> u64 {
    1
}

fn uint32() -> DType {
    DType::UInt32
}

impl Label {
    fn check(&self, meta: &ArrayMeta) -> Result<(), OpError> {
        let rank = meta.rank();
        if rank == 0 || meta.axes.spatial().len() != rank {
            let help = "label one channel or time point at a time: select it first, or reduce that axis";
            return Err(OpError::input(0, "an array with spatial axes only (z, y, x)", meta, help));
        }
        if !(1..=rank as u64).contains(&self.connectivity) {
            let expected = format!("1 to {rank}, as the input has {rank} axes");
            return Err(OpError::param("connectivity", expected, self.connectivity));
        }
        if let Numbering::Block(b) = &self.numbering
            && (b.len() != rank || b.contains(&0))
        {
            let expected = format!("a block of {rank} extents of at least 1 (the input's axes are {})", meta.axes);
            return Err(OpError::param("numbering", expected, format!("{b:?}")));
        }
        self.check_cell(meta)?;
        if !matches!(self.dtype, DType::UInt8 | DType::UInt16 | DType::UInt32 | DType::UInt64) {
            return Err(OpError::param("dtype", "uint8, uint16, uint32 or uint64", self.dtype));
        }
        Ok(())
    }
}

impl Label {
    fn check_cell(&self, meta: &ArrayMeta) -> Result<(), OpError> {
        let Some(cell) = &self.cell else { return Ok(()) };
        if cell.len() != meta.rank() || cell.contains(&0) || !Cells::fits(&meta.shape, cell) {
            let expected = format!("{} extents of at most 2^24 voxels in all, rows of at most 65536", meta.rank());
            return Err(OpError::param("cell", expected, format!("{cell:?}")));
        }
        match &self.numbering {
            Numbering::Block(block) if block != cell => {
                let expected = format!("the block of `numbering`, {block:?}");
                Err(OpError::param("cell", expected, format!("{cell:?}")))
            }
            _ => Ok(()),
        }
    }

    /// Extents of the cells that an array is labelled in; `None` when it is labelled at once.
    fn extents(&self, meta: &ArrayMeta, at_once: u64) -> Option<Vec<u64>> {
        if self.cell.is_some() {
            return self.cell.clone();
        }
        let extents = match &self.numbering {
            Numbering::Raster => Cells::suited(&meta.shape),
            Numbering::Block(block) => block.clone(),
        };
        (at_once > AT_ONCE && Cells::fits(&meta.shape, &extents)).then_some(extents)
    }
}

impl Op for Label {
    fn lower(&self, g: &mut Lowering, inputs: &[Port]) -> Result<Port, OpError> {
        let a = g.array(inputs, 0)?;
        self.check(g.meta(a))?;
        let (numbering, dtype) = (self.numbering.clone(), self.dtype);
        let join = Join { connectivity: self.connectivity, numbering, dtype };
        let at_once = join.state_bytes(&g.ports(&[a]));
        if let Some(extents) = self.extents(g.meta(a), at_once) {
            let meet = Meet { connectivity: self.connectivity as usize, extents, faces_bytes: self.faces_bytes };
            let number = NumberCells { meet: meet.clone(), dtype };
            let across = Across { meet, numbering: self.numbering.clone(), dtype };
            let joined = g.reduce("label.across", across, &[a], &[], Scope::Item)?;
            return Ok(Port::Array(g.map("label.number", number, &[a], &[joined])?));
        }
        let joined = g.reduce("label.join", join, &[a], &[], Scope::Item)?;
        Ok(Port::Array(g.map("label.number", Number { dtype: self.dtype }, &[a], &[joined])?))
    }
}

/// Writes the numbers of the whole array.
#[derive(Debug, Clone)]
struct Number {
    dtype: DType,
}

impl Map for Number {
    fn infer(&self, ports: &Ports) -> Result<ArrayMeta, OpError> {
        Ok(ports.meta(0).with_dtype(self.dtype))
    }

    /// Nothing: the state holds the foreground as bits.
    fn needs(&self, _: &Ports, _: &Region) -> Needs {
        Needs::new()
    }

    fn apply(&self, call: &MapCall<'_>, out: &mut Block) -> Result<(), OpError> {
        let state = call.values.first().ok_or_else(|| OpError::Internal("label.number without its state".into()))?;
        let (joined, region) = (state.as_state::<Joined>()?, out.region().clone());
        if region.is_empty() {
            return Ok(());
        }
        let known = with_dtype!(self.dtype, O => joined.paint::<O>(&region, out.as_mut_slice()));
        if known { Ok(()) } else { Err(OpError::Internal("a voxel of a block that was not joined".into())) }
    }

    fn nanos_per_element(&self) -> f32 {
        0.5
    }
}

register_op!(Label {
    name: "label",
    domain: "label",
    inputs: &[InputSpec {
        name: "input",
        kind: InputKind::Array,
        doc: "An array of spatial axes; what is not 0 is foreground."
    }],
    makes_table: false,
    example: "labels: {op: label, input: mask, with: {connectivity: 2}}",
    cases: cases,
});

fn cases() -> Vec<Case> {
    let case = |with: Json, axes, dtype, content| {
        Case::new(with, vec![Input::new(axes, dtype).content(content)]).expecting(reference)
    };
    vec![
        case(json!({}), "yx", DType::Bool, Content::Mask(0.6)),
        case(json!({"connectivity": 2}), "yx", DType::Bool, Content::Mask(0.4)),
        case(json!({"numbering": {"block": [3, 5]}, "dtype": "uint16"}), "yx", DType::UInt8, Content::Mask(0.55)),
        case(json!({"numbering": {"block": [4, 50]}, "connectivity": 2}), "yx", DType::Float64, Content::Mask(0.35)),
        case(json!({"dtype": "uint64"}), "zyx", DType::Int16, Content::Mask(0.4)),
        case(json!({"connectivity": 2, "numbering": {"block": [2, 3, 2]}}), "zyx", DType::Bool, Content::Mask(0.15)),
        case(json!({"connectivity": 3}), "zyx", DType::Float32, Content::Mask(0.1)),
        case(json!({}), "x", DType::Bool, Content::Mask(0.5)),
        case(json!({}), "yxc", DType::Bool, Content::Mask(0.5)),
        case(json!({"dtype": "float32"}), "yx", DType::Bool, Content::Mask(0.5)),
        case(json!({"connectivity": 3}), "yx", DType::Bool, Content::Mask(0.5)),
        case(json!({"cell": [9, 8]}), "yx", DType::Bool, Content::Mask(0.6)),
        case(json!({"cell": [8, 9], "connectivity": 2}), "yx", DType::UInt8, Content::Mask(0.4)),
        case(json!({"cell": [4, 3, 6]}), "zyx", DType::Int16, Content::Mask(0.4)),
        case(json!({"cell": [3, 4, 6], "connectivity": 2}), "zyx", DType::Bool, Content::Mask(0.2)),
        case(json!({"cell": [4, 4, 4], "connectivity": 3}), "zyx", DType::Float32, Content::Mask(0.12)),
        case(json!({"cell": [3]}), "x", DType::Bool, Content::Mask(0.9)),
        case(
            json!({"cell": [8, 8], "numbering": {"block": [8, 8]}, "connectivity": 2}),
            "yx",
            DType::Bool,
            Content::Mask(0.4),
        ),
        case(json!({"cell": [1, 2]}), "yx", DType::Bool, Content::Mask(0.5)),
        case(json!({"cell": [1 << 20, 1 << 20]}), "yx", DType::Bool, Content::Mask(0.5)),
        case(json!({"cell": [8, 8], "numbering": {"block": [8, 9]}}), "yx", DType::Bool, Content::Mask(0.5)),
    ]
}

/// Flood fill from every voxel in the order of its key.
fn reference(with: &Json, inputs: &[Vec<Array>]) -> Expected {
    let Ok(op) = serde_json::from_value::<Label>(with.clone()) else { return Expected::Refused };
    let mut items = Vec::new();
    for a in &inputs[0] {
        if op.check(&a.meta).is_err() {
            return Expected::Refused;
        }
        let (v, strides, shape) = (a.to_f64(), a.meta.region().strides(), &a.meta.shape);
        let at = |i: usize| -> Index { strides.iter().zip(shape).map(|(s, &n)| (i / s) as i64 % n as i64).collect() };
        let keys = Keys::new(shape, &op.numbering);
        let mut order: Vec<usize> = (0..v.len()).collect();
        order.sort_by_key(|&i| keys.of(&at(i)));
        let (mut labels, mut count) = (vec![0u64; v.len()], 0u64);
        for first in order {
            if v[first] == 0.0 || labels[first] != 0 {
                continue;
            }
            count += 1;
            labels[first] = count;
            let mut open = vec![first];
            while let Some(i) = open.pop() {
                let here = at(i);
                for j in 0..v.len() {
                    let far: Vec<u64> = here.iter().zip(&at(j)).map(|(p, q)| p.abs_diff(*q)).collect();
                    let near = far.iter().all(|&d| d < 2) && far.iter().sum::<u64>() <= op.connectivity;
                    if near && v[j] != 0.0 && labels[j] == 0 {
                        labels[j] = count;
                        open.push(j);
                    }
                }
            }
        }
        items.push(with_dtype!(op.dtype, T => {
            let v: Vec<T> = labels.iter().map(|&n| T::from_order_key(n)).collect();
            bytemuck::cast_slice(&v).to_vec()
        }));
    }
    Expected::Bytes(items)
}

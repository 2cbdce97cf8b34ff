//! `transpose`: the axes of an array in another order.

use super::axis_names::AxisNames;
use ops_core::contract::{Array, Case, Content, Expected, Input};
use ops_core::{
    ArrayMeta, Axes, Block, DType, Element, Index, InputKind, InputSpec, Lowering, Map, MapCall, Need, Op, OpError,
    Port, Ports, Region, block::for_rows, op::Needs, register_op, with_dtype,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// Elements along each side of the squares that are turned at once: both sides of the copy stay in the L1 cache.
const SQUARE: usize = 32;

/// Puts the axes of an array in another order.
///
/// **Result.** Same dtype and elements; the axes are those of `axes`, their extents go with them.
///
/// **Boundary.** None. **Memory.** None beyond input and output.
///
/// **Reference.** `numpy.transpose`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Transpose {
    /// All axes of the input in their new order, slowest first: `xyz`.
    axes: AxisNames,
}

impl Transpose {
    /// For each axis of the result where it stands in the input.
    fn order(&self, meta: &ArrayMeta) -> Result<Vec<usize>, OpError> {
        let order = self.axes.positions("axes", meta)?;
        if order.len() != meta.rank() {
            let expected = format!("all axes of the input (`{}`), each once", meta.axes);
            return Err(OpError::param("axes", expected, format!("`{}`", self.axes.0)));
        }
        Ok(order)
    }
}

impl Op for Transpose {
    fn lower(&self, g: &mut Lowering, inputs: &[Port]) -> Result<Port, OpError> {
        let a = g.array(inputs, 0)?;
        Ok(Port::Array(g.map("transpose", self.clone(), &[a], &[])?))
    }
}

impl Map for Transpose {
    fn infer(&self, ports: &Ports) -> Result<ArrayMeta, OpError> {
        let meta = ports.meta(0);
        let shape: Vec<u64> = self.order(meta)?.into_iter().map(|a| meta.shape[a]).collect();
        let axes = Axes::parse(&self.axes.0).ok_or_else(|| OpError::Internal("axes that were found right".into()))?;
        Ok(ArrayMeta::new(&shape, meta.dtype, axes))
    }

    fn needs(&self, ports: &Ports, out: &Region) -> Needs {
        let mut region = out.clone();
        for (to, from) in self.order(ports.meta(0)).unwrap_or_default().into_iter().enumerate() {
            (region.lo[from], region.hi[from]) = (out.lo[to], out.hi[to]);
        }
        [Need::inside(0, region)].into_iter().collect()
    }

    fn apply(&self, call: &MapCall<'_>, out: &mut Block) -> Result<(), OpError> {
        let (src, order) = (call.blocks[0], self.order(call.ports.meta(0))?);
        let strides = src.region().strides();
        let steps: Vec<usize> = order.iter().map(|&a| strides[a]).collect();
        with_dtype!(src.dtype(), T => {
            let shape = out.region().shape();
            turn::<T>(&shape, &steps, src.as_slice(), out.as_mut_slice());
        });
        Ok(())
    }

    fn nanos_per_element(&self) -> f32 {
        0.6
    }
}

/// Fills an array of this shape from elements that are `steps` apart in the source.
fn turn<T: Element>(shape: &[usize], steps: &[usize], src: &[T], dst: &mut [T]) {
    // Axes at the end that stay in their order are one element.
    let (mut rank, mut width) = (shape.len(), 1);
    while rank > 0 && steps[rank - 1] == width {
        rank -= 1;
        width *= shape[rank];
    }
    if rank == 0 || dst.is_empty() {
        return dst.copy_from_slice(&src[..dst.len()]);
    }
    let extents: Index = shape[..rank].iter().map(|&n| n as i64).collect();
    let whole = Region::new(Index::from_elem(0, rank), extents);
    let targets: Vec<usize> = whole.strides().iter().map(|s| s * width).collect();
    let source = |at: &[i64]| at.iter().zip(steps).map(|(i, s)| *i as usize * s).sum::<usize>();
    let last = rank - 1;
    if width > 1 {
        let mut rows = dst.chunks_exact_mut(width * shape[last]);
        return for_rows(&whole, |at| {
            let (start, Some(row)) = (source(at), rows.next()) else { return };
            for (k, d) in row.chunks_exact_mut(width).enumerate() {
                d.copy_from_slice(&src[start + k * steps[last]..][..width]);
            }
        });
    }
    // The axis whose elements lie side by side in the source, and the last of the result, go in squares.
    let near = (0..last).min_by_key(|&a| (steps[a], shape[a] < 2)).unwrap_or(0);
    let mut outer = whole.clone();
    (outer.hi[near], outer.hi[last]) = (1.min(outer.hi[near]), 1.min(outer.hi[last]));
    if last == 0 {
        let from = src.iter().step_by(steps[0].max(1));
        return dst.iter_mut().zip(from).for_each(|(d, s)| *d = *s);
    }
    for_rows(&outer, |at| {
        let (s, d) = (source(at), at.iter().zip(&targets).map(|(i, t)| *i as usize * t).sum::<usize>());
        for i0 in (0..shape[near]).step_by(SQUARE) {
            for j0 in (0..shape[last]).step_by(SQUARE) {
                for i in i0..(i0 + SQUARE).min(shape[near]) {
                    let n = SQUARE.min(shape[last] - j0);
                    let row = &mut dst[d + i * targets[near] + j0..][..n];
                    let from = src[s + i * steps[near] + j0 * steps[last]..].iter().step_by(steps[last].max(1));
                    row.iter_mut().zip(from).for_each(|(d, s)| *d = *s);
                }
            }
        }
    });
}

register_op!(Transpose {
    name: "transpose",
    domain: "geometry",
    inputs: &[InputSpec { name: "input", kind: InputKind::Array, doc: "Any array." }],
    makes_table: false,
    example: "turned: {op: transpose, input: volume, with: {axes: xyz}}",
    cases: cases,
});

fn cases() -> Vec<Case> {
    let case = |axes: &str, of, dtype, content| {
        Case::new(json!({"axes": axes}), vec![Input::new(of, dtype).content(content)]).expecting(reference)
    };
    let noise = Content::Noise;
    vec![
        case("xy", "yx", DType::UInt8, noise),
        case("yx", "yx", DType::UInt16, noise),
        case("cyx", "yxc", DType::UInt8, noise),
        case("yxc", "cyx", DType::Float32, Content::Special),
        case("xyz", "zyx", DType::Float64, noise),
        case("yzx", "zyx", DType::Int32, noise),
        case("xtcy", "tcyx", DType::Int64, noise),
        case("xyczt", "tzcyx", DType::UInt16, noise),
        case("y", "yx", DType::UInt8, noise),
        case("zyx", "yx", DType::UInt8, noise),
        case("yy", "yx", DType::UInt8, noise),
    ]
}

/// Looks each element up by its coordinates.
fn reference(with: &Json, inputs: &[Vec<Array>]) -> Expected {
    let (a, axes) = (&inputs[0][0], with["axes"].as_str().unwrap_or_default());
    let (old, size, steps) = (a.meta.axes.to_string(), a.meta.dtype.size(), a.meta.region().strides());
    let mut sorted: [Vec<char>; 2] = [old.chars().collect(), axes.chars().collect()];
    sorted.iter_mut().for_each(|v| v.sort_unstable());
    if sorted[0] != sorted[1] {
        return Expected::Refused;
    }
    let order: Vec<usize> = axes.chars().filter_map(|c| old.find(c)).collect();
    let from = |mut i: usize| {
        let mut offset = 0;
        for &axis in order.iter().rev() {
            let n = a.meta.shape[axis] as usize;
            offset += i % n * steps[axis];
            i /= n;
        }
        offset
    };
    let elements = (0..a.meta.volume() as usize).map(from);
    Expected::Bytes(vec![elements.flat_map(|i| a.block.bytes()[i * size..(i + 1) * size].to_vec()).collect()])
}

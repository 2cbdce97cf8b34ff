//! `flip`: an array mirrored along some of its axes.

use super::axis_names::AxisNames;
use ops_core::contract::{Array, Case, Content, Expected, Input};
use ops_core::{
    ArrayMeta, Block, DType, Element, InputKind, InputSpec, Lowering, Map, MapCall, Need, Op, OpError, Port, Ports,
    Region, block::for_rows, op::Needs, register_op, simd::vectorize, with_dtype,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// Mirrors an array: the last element along each of the named axes comes first.
///
/// **Result.** Same shape, dtype and axes.
///
/// **Boundary.** None. **Memory.** None beyond input and output.
///
/// **Reference.** `numpy.flip` of the named axes.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Flip {
    /// The axes, as letters: `x` mirrors left to right, `yx` turns an image by half a turn.
    axes: AxisNames,
}

impl Op for Flip {
    fn lower(&self, g: &mut Lowering, inputs: &[Port]) -> Result<Port, OpError> {
        let a = g.array(inputs, 0)?;
        Ok(Port::Array(g.map("flip", self.clone(), &[a], &[])?))
    }
}

impl Flip {
    /// Which axes are mirrored. Inferring has refused what this could fail on.
    fn mirrored(&self, meta: &ArrayMeta) -> Vec<bool> {
        let at = self.axes.positions("axes", meta).unwrap_or_default();
        (0..meta.rank()).map(|a| at.contains(&a)).collect()
    }
}

impl Map for Flip {
    fn infer(&self, ports: &Ports) -> Result<ArrayMeta, OpError> {
        self.axes.positions("axes", ports.meta(0))?;
        Ok(ports.meta(0).clone())
    }

    fn needs(&self, ports: &Ports, out: &Region) -> Needs {
        let (meta, mut region) = (ports.meta(0), out.clone());
        for (a, _) in self.mirrored(meta).into_iter().enumerate().filter(|(_, m)| *m) {
            let n = meta.shape[a] as i64;
            (region.lo[a], region.hi[a]) = (n - out.hi[a], n - out.lo[a]);
        }
        [Need::inside(0, region)].into_iter().collect()
    }

    fn apply(&self, call: &MapCall<'_>, out: &mut Block) -> Result<(), OpError> {
        let (src, mirrored) = (call.blocks[0], self.mirrored(call.ports.meta(0)));
        with_dtype!(src.dtype(), T => {
            let region = out.region().clone();
            mirror::<T>(&region, &mirrored, src.as_slice(), out.as_mut_slice());
        });
        Ok(())
    }

    fn nanos_per_element(&self) -> f32 {
        0.3
    }
}

fn mirror<T: Element>(region: &Region, mirrored: &[bool], src: &[T], dst: &mut [T]) {
    let last = mirrored.iter().rposition(|m| *m).unwrap_or(0);
    let steps = region.strides();
    // Behind the last mirrored axis elements keep their order: one row is `n` groups of `step` elements.
    let (n, step) = (region.len(last) as usize, steps[last]);
    let outer = Region::new(&region.lo[..=last], &region.hi[..=last]);
    let mut rows = dst.chunks_exact_mut((n * step).max(1));
    for_rows(&outer, |at| {
        let from = |a: usize| if mirrored[a] { region.hi[a] - 1 - at[a] } else { at[a] - region.lo[a] };
        let start = (0..last).map(|a| from(a) as usize * steps[a]).sum::<usize>();
        let (Some(row), line) = (rows.next(), &src[start..start + n * step]) else { return };
        if step == 1 {
            vectorize(
                #[inline(always)]
                || row.iter_mut().zip(line.iter().rev()).for_each(|(d, s)| *d = *s),
            );
        } else {
            row.chunks_exact_mut(step).zip(line.rchunks_exact(step)).for_each(|(d, s)| d.copy_from_slice(s));
        }
    });
}

register_op!(Flip {
    name: "flip",
    domain: "geometry",
    inputs: &[InputSpec { name: "input", kind: InputKind::Array, doc: "An array that has the named axes." }],
    makes_table: false,
    example: "mirrored: {op: flip, input: image, with: {axes: x}}",
    cases: cases,
});

fn cases() -> Vec<Case> {
    let case = |axes: &str, of, dtype, content| {
        Case::new(json!({"axes": axes}), vec![Input::new(of, dtype).content(content)]).expecting(reference)
    };
    let noise = Content::Noise;
    vec![
        case("x", "yx", DType::UInt8, noise),
        case("yx", "yx", DType::UInt16, noise),
        case("x", "yxc", DType::UInt8, noise),
        case("z", "zyx", DType::Float32, Content::Special),
        case("zx", "zyx", DType::Float64, noise),
        case("ct", "tcyx", DType::Int64, noise),
        case("y", "yx", DType::Bool, Content::Mask(0.5)),
        case("z", "yx", DType::UInt8, noise),
        case("xx", "yx", DType::UInt8, noise),
        case("", "yx", DType::UInt8, noise),
    ]
}

/// Looks each element up by its coordinates.
fn reference(with: &Json, inputs: &[Vec<Array>]) -> Expected {
    let (a, named) = (&inputs[0][0], with["axes"].as_str().unwrap_or_default());
    let letters = a.meta.axes.to_string();
    let repeated = named.chars().any(|c| named.matches(c).count() > 1);
    if named.is_empty() || repeated || !named.chars().all(|c| letters.contains(c)) {
        return Expected::Refused;
    }
    let (steps, size) = (a.meta.region().strides(), a.meta.dtype.size());
    let from = |i: usize| -> usize {
        let along = |(axis, c): (usize, char)| {
            let n = a.meta.shape[axis] as usize;
            let at = i / steps[axis] % n;
            steps[axis] * if named.contains(c) { n - 1 - at } else { at }
        };
        letters.chars().enumerate().map(along).sum()
    };
    let elements = (0..a.meta.volume() as usize).map(from);
    Expected::Bytes(vec![elements.flat_map(|i| a.block.bytes()[i * size..(i + 1) * size].to_vec()).collect()])
}

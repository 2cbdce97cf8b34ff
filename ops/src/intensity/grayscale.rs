//! `grayscale`: the luminance of a colour image.

use ops_core::contract::{Array, Case, Content, Expected, Input};
use ops_core::simd::vectorize;
use ops_core::{
    ArrayMeta, Axis, Block, DType, Element, InputKind, InputSpec, Lowering, Map, MapCall, Need, Op, OpError, Port,
    Ports, Region, op::Needs, register_op, with_dtype,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// Weighs red, green and blue into one luminance.
///
/// **Result.** float64, without the axis `c`: `r * w0 + g * w1 + b * w2`, in that order, each product and sum rounded to
/// float64. The input needs an axis `c` of at least 3 channels; what comes after blue, such as alpha, is not read.
/// Values are not scaled: a uint8 image gives 0 to 255.
///
/// **Boundary.** None: element by element. **Memory.** None beyond input and output.
///
/// **Reference.** The default weights are those of ITU-R BT.709 for contemporary CRT phosphors, as in
/// `skimage.color.rgb2gray` (which scales uint8 to 0..1 first).
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Grayscale {
    /// The weights of red, green and blue.
    #[serde(default = "bt709")]
    weights: [f64; 3],
}

fn bt709() -> [f64; 3] {
    [0.2125, 0.7154, 0.0721]
}

impl Op for Grayscale {
    fn lower(&self, g: &mut Lowering, inputs: &[Port]) -> Result<Port, OpError> {
        let a = g.array(inputs, 0)?;
        Ok(Port::Array(g.map("grayscale", self.clone(), &[a], &[])?))
    }
}

/// Where the channels stand.
fn channels(meta: &ArrayMeta) -> Option<usize> {
    meta.axes.position(Axis::C)
}

impl Map for Grayscale {
    fn infer(&self, ports: &Ports) -> Result<ArrayMeta, OpError> {
        let meta = ports.meta(0);
        let help = "leave this step out for an image that is already gray";
        let c = channels(meta).ok_or_else(|| OpError::input(0, "an axis `c`", meta, help))?;
        if meta.shape[c] < 3 {
            return Err(OpError::input(0, "at least 3 channels", meta, help));
        }
        let mut shape = meta.shape.clone();
        shape.remove(c);
        Ok(ArrayMeta::new(&shape, DType::Float64, meta.axes.without(Axis::C)))
    }

    fn needs(&self, ports: &Ports, out: &Region) -> Needs {
        let c = channels(ports.meta(0)).unwrap_or(0);
        let mut region = out.clone();
        region.lo.insert(c, 0);
        region.hi.insert(c, 3);
        [Need::inside(0, region)].into_iter().collect()
    }

    fn apply(&self, call: &MapCall<'_>, out: &mut Block) -> Result<(), OpError> {
        let (src, dst) = (call.blocks[0], out.as_mut_slice::<f64>());
        // Elements that follow one another within one channel: 1 for interleaved colours, a plane for planar ones.
        let c = channels(call.ports.meta(0)).unwrap_or(0);
        let run = src.region().shape()[c + 1..].iter().product();
        with_dtype!(src.dtype(), T => weigh::<T>(src.as_slice(), dst, run, self.weights));
        Ok(())
    }

    fn nanos_per_element(&self) -> f32 {
        0.5
    }
}

#[inline(always)]
fn luminance<T: Element>(r: T, g: T, b: T, w: [f64; 3]) -> f64 {
    r.to_f64() * w[0] + g.to_f64() * w[1] + b.to_f64() * w[2]
}

fn weigh<T: Element>(src: &[T], dst: &mut [f64], run: usize, w: [f64; 3]) {
    vectorize(
        #[inline(always)]
        || {
            if run == 1 {
                let (pixels, _) = src.as_chunks::<3>();
                dst.iter_mut().zip(pixels).for_each(|(d, &[r, g, b])| *d = luminance(r, g, b, w));
                return;
            }
            for (d, planes) in dst.chunks_exact_mut(run.max(1)).zip(src.chunks_exact(3 * run.max(1))) {
                let (r, rest) = planes.split_at(run);
                let (g, b) = rest.split_at(run);
                d.iter_mut().zip(r).zip(g).zip(b).for_each(|(((d, &r), &g), &b)| *d = luminance(r, g, b, w));
            }
        },
    );
}

register_op!(Grayscale {
    name: "grayscale",
    domain: "intensity",
    inputs: &[InputSpec { name: "input", kind: InputKind::Array, doc: "An image with an axis `c`: red, green, blue." }],
    makes_table: false,
    example: "gray: {op: grayscale, input: image}",
    cases: cases,
});

fn cases() -> Vec<Case> {
    let case = |axes, channels, dtype, content| {
        let input = Input::new(axes, dtype).channels(channels).content(content);
        Case::new(json!({}), vec![input]).expecting(reference)
    };
    vec![
        case("yxc", 3, DType::UInt8, Content::Noise),
        case("yxc", 4, DType::Float64, Content::Noise),
        case("cyx", 5, DType::UInt16, Content::Noise),
        case("zycx", 3, DType::Float32, Content::Special),
        Case::new(json!({"weights": [1.0, -2.0, 0.5]}), vec![Input::new("tyxc", DType::Int16)]).expecting(reference),
        case("yxc", 2, DType::UInt8, Content::Noise),
        case("yx", 1, DType::UInt8, Content::Noise),
    ]
}

fn reference(with: &Json, inputs: &[Vec<Array>]) -> Expected {
    let w: Vec<f64> = match with["weights"].as_array() {
        Some(w) => w.iter().filter_map(Json::as_f64).collect(),
        None => bt709().to_vec(),
    };
    let meta = &inputs[0][0].meta;
    let Some(c) = channels(meta).filter(|&c| meta.shape[c] >= 3) else { return Expected::Refused };
    crate::reference::float64(inputs, |a| {
        let (data, shape) = (a.to_f64(), a.meta.shape.iter().map(|&n| n as usize).collect::<Vec<_>>());
        let inner: usize = shape[c + 1..].iter().product();
        let outer: usize = shape[..c].iter().product();
        let at = |o: usize, k: usize, i: usize| data[(o * shape[c] + k) * inner + i];
        let pixel = |o, i| at(o, 0, i) * w[0] + at(o, 1, i) * w[1] + at(o, 2, i) * w[2];
        (0..outer).flat_map(|o| (0..inner).map(move |i| (o, i))).map(|(o, i)| pixel(o, i)).collect()
    })
}

//! `tile`: the items of a family side by side in one image.

use ops_core::block::for_rows;
use ops_core::contract::{Array, Case, Expected, Input};
use ops_core::{
    ArrayMeta, Axis, Block, DType, Index, InputKind, InputSpec, Lowering, Map, MapCall, Need, Op, OpError, Port, Ports,
    Region, op::Needs, register_op,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use std::num::NonZeroU32;

/// Puts the items of a `foreach` side by side: the first row of tiles from left to right, then the next.
///
/// **Result.** Same dtype and axes; `rows` times as high and `columns` times as wide. There must be just
/// `rows * columns` items, of equal shapes, with axes `y` and `x`.
///
/// **Boundary.** None. **Memory.** None beyond input and output; a block reads only the tiles it touches.
///
/// **Reference.** `numpy.block` of a nested list, `skimage.util.montage` without its rescaling.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tile {
    /// Tiles from top to bottom.
    rows: NonZeroU32,
    /// Tiles from left to right.
    columns: NonZeroU32,
}

impl Op for Tile {
    fn lower(&self, g: &mut Lowering, inputs: &[Port]) -> Result<Port, OpError> {
        let a = g.array(inputs, 0)?;
        Ok(Port::Array(g.join("tile", self.clone(), a)?))
    }
}

/// Positions of the axes `y` and `x`.
fn plane(meta: &ArrayMeta) -> Option<(usize, usize)> {
    Some((meta.axes.position(Axis::Y)?, meta.axes.position(Axis::X)?))
}

impl Tile {
    /// Where the origin of a tile lies in the output.
    fn origin(&self, meta: &ArrayMeta, item: u32) -> Index {
        let mut at = Index::from_elem(0, meta.rank());
        if let Some((y, x)) = plane(meta) {
            at[y] = i64::from(item / self.columns) * meta.shape[y] as i64;
            at[x] = i64::from(item % self.columns) * meta.shape[x] as i64;
        }
        at
    }
}

impl Map for Tile {
    fn infer(&self, ports: &Ports) -> Result<ArrayMeta, OpError> {
        let meta = ports.meta(0);
        let Some((y, x)) = plane(meta) else {
            return Err(OpError::input(0, "axes `y` and `x`", meta, "tile images"));
        };
        let (items, tiles) = (u64::from(ports.items(0)), u64::from(self.rows.get()) * u64::from(self.columns.get()));
        if items != tiles {
            let help = "choose `rows` and `columns` so that their product is the number of items";
            return Err(OpError::input(
                0,
                format!("{} x {} items", self.rows, self.columns),
                format!("{items} items"),
                help,
            ));
        }
        let mut shape = meta.shape.clone();
        shape[y] *= u64::from(self.rows.get());
        shape[x] *= u64::from(self.columns.get());
        Ok(ArrayMeta::new(&shape, meta.dtype, meta.axes.clone()))
    }

    fn needs(&self, ports: &Ports, out: &Region) -> Needs {
        let meta = ports.meta(0);
        let Some((y, x)) = plane(meta) else { return Needs::new() };
        let tiles = |a: usize| {
            let n = meta.shape[a].max(1) as i64;
            out.lo[a].div_euclid(n)..(out.hi[a] - 1).div_euclid(n) + 1
        };
        let mut needs = Needs::new();
        for row in tiles(y) {
            for column in tiles(x) {
                let item = (row * i64::from(self.columns.get()) + column) as u32;
                let back: Index = self.origin(meta, item).iter().map(|o| -o).collect();
                let region = out.shift(&back).intersect(&meta.region());
                needs.push(Need { item, ..Need::inside(0, region) });
            }
        }
        needs
    }

    fn apply(&self, call: &MapCall<'_>, out: &mut Block) -> Result<(), OpError> {
        let needs = self.needs(call.ports, out.region());
        for (need, block) in needs.iter().zip(call.blocks) {
            paste_moved(out, block, &self.origin(call.ports.meta(0), need.item));
        }
        Ok(())
    }

    fn nanos_per_element(&self) -> f32 {
        0.2
    }
}

/// Copies a block to where it lies once moved by `by`, row by row.
pub(super) fn paste_moved(out: &mut Block, src: &Block, by: &[i64]) {
    let (size, to) = (src.dtype().size(), out.region().clone());
    let (from, rank) = (src.region(), src.region().rank());
    if from.is_empty() || rank == 0 {
        return;
    }
    let (source, target) = (from.strides(), to.strides());
    let row = from.len(rank - 1) as usize * size;
    let (bytes, dst) = (src.bytes(), out.bytes_mut());
    for_rows(from, |at| {
        let s = size * (0..rank).map(|a| (at[a] - from.lo[a]) as usize * source[a]).sum::<usize>();
        let d = size * (0..rank).map(|a| (at[a] + by[a] - to.lo[a]) as usize * target[a]).sum::<usize>();
        dst[d..d + row].copy_from_slice(&bytes[s..s + row]);
    });
}

register_op!(Tile {
    name: "tile",
    domain: "geometry",
    inputs: &[InputSpec { name: "input", kind: InputKind::Family, doc: "The items of a `foreach`, of equal shapes." }],
    makes_table: false,
    example: "mosaic: {op: tile, input: images, with: {rows: 2, columns: 2}}",
    cases: cases,
});

fn cases() -> Vec<Case> {
    let case = |rows: u32, columns: u32, axes, dtype, items| {
        let input = Input::new(axes, dtype).items(items);
        Case::new(json!({"rows": rows, "columns": columns}), vec![input]).expecting(reference)
    };
    vec![
        case(2, 2, "yxc", DType::UInt8, 4),
        case(1, 3, "zyx", DType::Float64, 3),
        case(3, 2, "cyx", DType::UInt16, 6),
        case(2, 2, "yx", DType::UInt8, 3),
    ]
}

/// Looks every output element up by its coordinates.
fn reference(with: &Json, inputs: &[Vec<Array>]) -> Expected {
    let count = |key: &str| with[key].as_u64().unwrap_or(0) as usize;
    let (rows, columns, items) = (count("rows"), count("columns"), &inputs[0]);
    if rows * columns != items.len() {
        return Expected::Refused;
    }
    let meta = &items[0].meta;
    let (axes, size) = (meta.axes.to_string(), meta.dtype.size());
    let inner: Vec<usize> = meta.shape.iter().map(|&n| n as usize).collect();
    let times = |c: char| match c {
        'y' => rows,
        'x' => columns,
        _ => 1,
    };
    let outer: Vec<usize> = inner.iter().zip(axes.chars()).map(|(n, c)| n * times(c)).collect();
    let mut bytes = Vec::new();
    for i in 0..outer.iter().product() {
        let (mut rest, mut offset, mut step, mut row, mut column) = (i, 0, 1, 0, 0);
        for (a, c) in axes.chars().enumerate().collect::<Vec<_>>().into_iter().rev() {
            let at: usize = rest % outer[a];
            rest /= outer[a];
            match c {
                'y' => row = at / inner[a],
                'x' => column = at / inner[a],
                _ => (),
            }
            offset += at % inner[a] * step;
            step *= inner[a];
        }
        bytes.extend_from_slice(&items[row * columns + column].block.bytes()[offset * size..(offset + 1) * size]);
    }
    Expected::Bytes(vec![bytes])
}

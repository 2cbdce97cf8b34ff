//! Blobs of generated arrays: balls on a jittered lattice.
//!
//! Each box of the lattice has one ball, whose place and radius are hashes of the box, so that any region knows which balls
//! reach into it without looking elsewhere.

use super::generate::{STEP, mix};
use ops_core::block::for_rows;
use ops_core::{Block, DType, Index, Region};

/// Extent of a box of the lattice.
const PITCH: i64 = 24;
/// The largest radius, and by how many the radii differ.
const LARGEST: i64 = 9;
const RADII: u64 = 7;

/// Draws the balls of an array of this shape that reach into a block.
pub(super) fn draw(key: u64, shape: &[u64], block: &mut Block) {
    let region = block.region().clone();
    let boxes = |at: i64| at.div_euclid(PITCH);
    let lo: Index = region.lo.iter().map(|&l| boxes(l - LARGEST).max(0)).collect();
    let hi: Index =
        region.hi.iter().zip(shape).map(|(&h, &n)| (boxes(h + LARGEST) + 1).min(boxes(n as i64 - 1) + 1)).collect();
    let lattice = Region::new(lo, hi);
    let rank = lattice.rank();
    for_rows(&lattice, |first| {
        let mut at = Index::from_slice(first);
        let along = rank.checked_sub(1).map_or(0..1, |a| lattice.lo[a]..lattice.hi[a]);
        for i in along {
            if let Some(last) = at.last_mut() {
                *last = i;
            }
            ball(key, &at, &region, block);
        }
    });
}

/// Draws the ball of one box.
fn ball(key: u64, lattice: &[i64], region: &Region, block: &mut Block) {
    let rank = lattice.len();
    let mut hash = lattice.iter().fold(mix(key), |h, &i| mix(h ^ (i as u64).wrapping_mul(STEP)));
    let mut next = |below: u64| {
        hash = mix(hash.wrapping_add(STEP));
        ((u128::from(hash) * u128::from(below)) >> 64) as i64
    };
    let radius = LARGEST - next(RADII);
    let centre: Index = lattice.iter().map(|&i| i * PITCH + next(PITCH as u64)).collect();
    let around = Region::new(
        centre.iter().map(|c| c - radius).collect::<Index>(),
        centre.iter().map(|c| c + radius + 1).collect::<Index>(),
    );
    let common = around.intersect(region);
    if common.is_empty() || rank == 0 {
        return;
    }
    let (strides, last, dtype) = (region.strides(), rank - 1, block.dtype());
    let size = dtype.size();
    for_rows(&common, |at| {
        let far: i64 = (0..last).map(|a| (at[a] - centre[a]).pow(2)).sum();
        if far > radius * radius {
            return;
        }
        let half = (radius * radius - far).isqrt();
        let (from, to) = ((centre[last] - half).max(region.lo[last]), (centre[last] + half + 1).min(region.hi[last]));
        if from < to {
            let row: usize = (0..last).map(|a| (at[a] - region.lo[a]) as usize * strides[a]).sum();
            let start = row + (from - region.lo[last]) as usize;
            light(dtype, &mut block.bytes_mut()[start * size..(start + (to - from) as usize) * size]);
        }
    });
}

/// Makes elements bright: half the range is added to what is below it, and only once.
fn light(dtype: DType, bytes: &mut [u8]) {
    let half = match dtype {
        DType::Bool => 1,
        DType::Int8 | DType::Int16 | DType::Int32 | DType::Int64 => 1u8 << 6,
        _ => 1 << 7,
    };
    let size = dtype.size();
    match dtype {
        DType::Float32 => bytes.chunks_exact_mut(4).for_each(|v| {
            let mut of = [0; 4];
            of.copy_from_slice(v);
            let value = f32::from_ne_bytes(of);
            v.copy_from_slice(&if value < 0.5 { value + 0.5 } else { value }.to_ne_bytes());
        }),
        DType::Float64 => bytes.chunks_exact_mut(8).for_each(|v| {
            let mut of = [0; 8];
            of.copy_from_slice(v);
            let value = f64::from_ne_bytes(of);
            v.copy_from_slice(&if value < 0.5 { value + 0.5 } else { value }.to_ne_bytes());
        }),
        _ => {
            let top = if cfg!(target_endian = "little") { size - 1 } else { 0 };
            bytes.chunks_exact_mut(size).for_each(|v| v[top] |= half);
        }
    }
}

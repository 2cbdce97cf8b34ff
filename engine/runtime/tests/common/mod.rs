//! What the tests of stores share.

use ops_core::{ArrayMeta, Axes, Block, DType, Index, Region};

/// An array of axes such as `"yxc"`.
pub(crate) fn meta(shape: &[u64], axes: &str, dtype: DType) -> ArrayMeta {
    ArrayMeta::new(shape, dtype, Axes::parse(axes).unwrap())
}

/// Bytes that filters and runs both find something in; valid floats are not asked for.
pub(crate) fn pixels(n: usize, seed: u64, smooth: bool) -> Vec<u8> {
    let mut s = seed | 1;
    let mut step = |i: usize| {
        s = s.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        if smooth { (i / 97) as u8 } else { ((s >> 58) as u8).wrapping_add((i / 50) as u8) }
    };
    (0..n).map(&mut step).collect()
}

/// A whole array of such bytes.
pub(crate) fn block_of(m: &ArrayMeta, seed: u64, smooth: bool) -> Block {
    let mut b = Block::zeros(m.dtype, m.region());
    let bytes = pixels(m.bytes() as usize, seed, smooth);
    b.bytes_mut().copy_from_slice(&bytes);
    if m.dtype == DType::Bool {
        b.bytes_mut().iter_mut().for_each(|v| *v &= 1);
    }
    b
}

/// The regions of a grid of blocks, C order.
pub(crate) fn cuts(shape: &[u64], extent: &[u64]) -> Vec<Region> {
    let mut regions = vec![Region::new(Index::new(), Index::new())];
    for (n, step) in shape.iter().zip(extent) {
        regions = regions
            .iter()
            .flat_map(|r| {
                (0..*n).step_by(*step as usize).map(move |lo| {
                    let (mut l, mut h) = (r.lo.clone(), r.hi.clone());
                    l.push(lo as i64);
                    h.push((lo + step).min(*n) as i64);
                    Region::new(l, h)
                })
            })
            .collect();
    }
    regions
}

/// Any order of `n` things.
pub(crate) fn shuffle<T>(list: &mut [T], seed: u64) {
    let n = list.len();
    (0..n).for_each(|i| list.swap(i, (seed as usize).wrapping_mul(i + 7) % n));
}

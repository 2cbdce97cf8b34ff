//! Arrays made up on the spot: zeros, noise, a ramp, blobs.
//!
//! Every element depends on seed, item and its own index only, so any region of it comes out the same however the
//! array is cut. Noise is the splitmix64 finaliser (Steele, Lea, Flood 2014) of a counter: the key of an item is
//! `mix(mix(seed) + item)`, the element at raster index `i` takes `mix(key + (i + 1) * 0x9e3779b97f4a7c15)`. Integers
//! take the top bits, `bool` the top bit, floats are uniform in [0, 1) with 24 or 53 random bits.

use crate::store::{ArrayReader, StoreError};
use engine_model::catalog::{Access, SourceMeta};
use engine_model::spec::workflow::{Generate, Pattern};
use ops_core::block::for_rows;
use ops_core::{ArrayMeta, Block, DType, Pool, Region};

/// Metadata of a generated input.
///
/// # Errors
/// With a message when shape and axes do not go together.
pub fn meta(spec: &Generate) -> Result<SourceMeta, String> {
    if spec.shape.len() != spec.axes.rank() {
        let (shape, axes) = (&spec.shape, &spec.axes);
        return Err(format!("shape {shape:?} has {} extents, `axes: {axes}` has {}", shape.len(), axes.rank()));
    }
    if spec.shape.contains(&0) {
        return Err(format!("shape {:?} has a zero, expected at least one element", spec.shape));
    }
    let bytes = spec.shape.iter().try_fold(spec.dtype.size() as u64, |n, e| n.checked_mul(*e));
    if bytes.is_none_or(|b| b > i64::MAX as u64) {
        return Err(format!("shape {:?} of {} is more than 2^63 bytes", spec.shape, spec.dtype));
    }
    let array = ArrayMeta::new(&spec.shape, spec.dtype, spec.axes.clone());
    Ok(SourceMeta::new(array, Access::Any, 0))
}

/// A generated item.
#[derive(Debug, Clone)]
pub struct Generator {
    meta: ArrayMeta,
    pattern: Pattern,
    key: u64,
}

impl Generator {
    /// Item `item` of a generated input; 0 for a single array.
    ///
    /// # Errors
    /// As [`meta`].
    pub fn new(spec: &Generate, item: u64) -> Result<Generator, String> {
        let key = mix(mix(spec.seed).wrapping_add(item));
        Ok(Generator { meta: meta(spec)?.array, pattern: spec.pattern, key })
    }
}

pub(super) const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finaliser of splitmix64.
pub(super) fn mix(mut v: u64) -> u64 {
    v = (v ^ (v >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    v = (v ^ (v >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    v ^ (v >> 31)
}

impl ArrayReader for Generator {
    fn read(&self, region: &Region, pool: &Pool) -> Result<(Block, u64), StoreError> {
        super::inside("generated input".as_ref(), region, &self.meta)?;
        let mut block = Block::take(pool, self.meta.dtype, region.clone());
        if self.pattern == Pattern::Zeros || region.is_empty() {
            block.bytes_mut().fill(0);
            return Ok((block, 0));
        }
        let strides = Region::whole(&self.meta.shape).strides();
        let row = region.rank().checked_sub(1).map_or(1, |a| region.len(a) as usize);
        let mut done = 0;
        for_rows(region, |at| {
            let first = at.iter().zip(&strides).map(|(i, s)| *i as u64 * *s as u64).sum();
            self.fill(first, done, row, &mut block);
            done += row;
        });
        if self.pattern == Pattern::Blobs {
            super::blobs::draw(self.key, &self.meta.shape, &mut block);
        }
        Ok((block, 0))
    }
}

impl Generator {
    /// Fills `n` elements of the block from its element `start` with those of raster index `first` and on.
    fn fill(&self, first: u64, start: usize, n: usize, block: &mut Block) {
        let dtype = self.meta.dtype;
        let raw = |i: u64| match self.pattern {
            Pattern::Zeros => 0,
            Pattern::Noise | Pattern::Blobs => mix(self.key.wrapping_add((i.wrapping_add(1)).wrapping_mul(STEP))),
            Pattern::Ramp => i,
        };
        let (noise, dim) = (matches!(self.pattern, Pattern::Noise | Pattern::Blobs), self.pattern == Pattern::Blobs);
        let size = dtype.size();
        let bytes = &mut block.bytes_mut()[start * size..(start + n) * size];
        let each = (first..).zip(bytes.chunks_exact_mut(size));
        // Noise uses the top bits, a ramp the low ones.
        let shift = if noise { 64 - 8 * size as u32 } else { 0 } + if dim { 3 } else { 0 };
        let scale = if dim { 0.125 } else { 1.0 };
        match dtype {
            DType::Bool => {
                let shift = if noise { 63 } else { 0 };
                each.for_each(|(i, v)| v[0] = if dim { 0 } else { (raw(i) >> shift) as u8 & 1 });
            }
            DType::Float32 => each.for_each(|(i, v)| {
                let value =
                    if noise { (raw(i) >> 40) as f32 / (1u32 << 24) as f32 * scale as f32 } else { raw(i) as f32 };
                v.copy_from_slice(&value.to_ne_bytes());
            }),
            DType::Float64 => each.for_each(|(i, v)| {
                let value = if noise { (raw(i) >> 11) as f64 / (1u64 << 53) as f64 * scale } else { raw(i) as f64 };
                v.copy_from_slice(&value.to_ne_bytes());
            }),
            _ if size == 1 => each.for_each(|(i, v)| v[0] = (raw(i) >> shift) as u8),
            _ if size == 2 => each.for_each(|(i, v)| v.copy_from_slice(&((raw(i) >> shift) as u16).to_ne_bytes())),
            _ if size == 4 => each.for_each(|(i, v)| v.copy_from_slice(&((raw(i) >> shift) as u32).to_ne_bytes())),
            _ => each.for_each(|(i, v)| v.copy_from_slice(&(raw(i) >> shift).to_ne_bytes())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ops_core::{Axes, Index};
    use proptest::prelude::*;

    fn spec(pattern: Pattern, dtype: DType) -> Generate {
        let axes = Axes::parse("zyx").unwrap();
        Generate { items: Some(3), shape: vec![5, 7, 11], axes, dtype, pattern, seed: 42 }
    }

    #[test]
    fn the_finaliser_is_splitmix64() {
        // First outputs of splitmix64 with seed 1234567 (Rosetta Code's published values).
        let out: Vec<u64> = (1..=3u64).map(|i| mix(1_234_567u64.wrapping_add(i.wrapping_mul(STEP)))).collect();
        assert_eq!(out, [6457827717110365317, 3203168211198807973, 9817491932198370423]);
    }

    #[test]
    fn a_ramp_wraps_and_noise_is_spread() {
        let pool = Pool::default();
        let whole = Region::whole(&[5, 7, 11]);
        let r = Generator::new(&spec(Pattern::Ramp, DType::UInt8), 0).unwrap().read(&whole, &pool).unwrap().0;
        assert!(r.as_slice::<u8>().iter().enumerate().all(|(i, v)| *v == i as u8));
        let of =
            |item| Generator::new(&spec(Pattern::Noise, DType::Float64), item).unwrap().read(&whole, &pool).unwrap().0;
        let (a, b) = (of(0), of(1));
        let mean = a.as_slice::<f64>().iter().sum::<f64>() / 385.0;
        assert!((mean - 0.5).abs() < 0.05, "{mean}");
        assert_ne!(a.bytes(), b.bytes());
    }

    #[test]
    fn what_can_not_be_is_refused() {
        let mut s = spec(Pattern::Zeros, DType::UInt8);
        s.shape = vec![5, 7];
        assert!(meta(&s).unwrap_err().contains("has 2 extents"));
        s.shape = vec![u64::MAX, 3, 3];
        assert!(meta(&s).unwrap_err().contains("2^63"));
        s.shape = vec![1, 0, 3];
        assert!(meta(&s).unwrap_err().contains("zero"));
    }

    proptest! {
        #[test]
        fn a_region_is_a_cut_of_the_whole(
            lo in prop::array::uniform3(0i64..5), len in prop::array::uniform3(0i64..6), d in 0usize..11, pattern in 0usize..3,
        ) {
            let pool = Pool::default();
            let s = spec([Pattern::Ramp, Pattern::Noise, Pattern::Blobs][pattern], DType::ALL[d]);
            let g = Generator::new(&s, 2).unwrap();
            let shape = [5i64, 7, 11];
            let hi: Index = (0..3).map(|a| (lo[a] + len[a]).min(shape[a])).collect();
            let region = Region::new(Index::from_slice(&lo), hi);
            let whole = g.read(&Region::whole(&[5, 7, 11]), &pool).unwrap().0;
            let (part, _) = g.read(&region, &pool).unwrap();
            let cut = whole.cut(&pool, &region);
            prop_assert_eq!(part.bytes(), cut.bytes());
        }
    }
}

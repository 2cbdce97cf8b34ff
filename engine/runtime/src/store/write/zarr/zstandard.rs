//! Zstandard: where no level is asked for, searched in the way that suits the elements.
//!
//! Level 3 keeps two tables of places that were seen before and looks at both from every byte. Elements of two bytes, which most
//! microscopes give, repeat in few ways: what begins between two of them is found from its neighbour. One table, and a
//! window that stays in the cache of a core, find about as much in about half the time: `tests/bench/large.py` prints
//! speed and size of both.

use zstd::bulk::Compressor;
use zstd::zstd_safe::{CParameter, Strategy};

/// What is looked through in elements of two bytes: 256 KiB back, by a table of 2^17 places of five bytes.
///
/// Of camera noise, smoothed volumes, photographs and labels of 16 bits results have 0.95 to 1.03 times the size of level 3,
/// most of them 0.98 to 1.01; of a repeated ramp 1.09. Other elements keep the level: of doubles and of distances a tenth would
/// be lost.
const TWO_BYTES: [CParameter; 5] = [
    CParameter::Strategy(Strategy::ZSTD_fast),
    CParameter::TargetLength(0),
    CParameter::WindowLog(18),
    CParameter::HashLog(17),
    CParameter::MinMatch(5),
];

/// The level that the metadata names where none is asked for: what other writers take then.
const LEVEL: i32 = 3;

/// A compressor of chunks whose elements have so many bytes, at a level of libzstd where one is asked for. What it makes
/// depends on the chunk alone.
///
/// # Errors
/// When there is no memory for it.
pub fn compressor(element: usize, level: Option<u8>) -> std::io::Result<Compressor<'static>> {
    let mut compressor = Compressor::new(level.map_or(LEVEL, i32::from))?;
    if element == 2 && level.is_none() {
        TWO_BYTES.into_iter().try_for_each(|p| compressor.set_parameter(p))?;
    }
    Ok(compressor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ops_core::contract::Rng;

    /// Noise around a level, as a camera gives it.
    fn noise(n: usize, level: u64, spread: u64) -> Vec<u16> {
        let mut rng = Rng::new(5);
        (0..n).map(|_| (level + (0..4).map(|_| rng.below(spread)).sum::<u64>()) as u16).collect()
    }

    /// Means of neighbours: what a filter leaves.
    fn smooth(v: &[u16]) -> Vec<u16> {
        v.windows(5).map(|w| (w.iter().map(|x| u32::from(*x)).sum::<u32>() / 5) as u16).collect()
    }

    #[test]
    fn elements_of_two_bytes_come_out_as_small_as_by_the_level() {
        let rough = noise(1 << 19, 400, 40);
        let flat: Vec<u16> = (0..1u32 << 19).map(|i| ((i >> 9) % 512 / 37 * ((i % 512) / 61)) as u16).collect();
        for (what, v) in [("noise", rough.clone()), ("smoothed", smooth(&rough)), ("cells", flat)] {
            let bytes: Vec<u8> = v.iter().flat_map(|x| x.to_le_bytes()).collect();
            let ours = compressor(2, None).unwrap().compress(&bytes).unwrap();
            let level = Compressor::new(LEVEL).unwrap().compress(&bytes).unwrap();
            assert_eq!(zstd::bulk::decompress(&ours, bytes.len()).unwrap(), bytes, "{what}");
            assert!(
                ours.len() * 100 <= level.len() * 103,
                "{what}: {} bytes, by the level {}",
                ours.len(),
                level.len()
            );
            assert!(ours != level, "{what}: as if nothing had been chosen");
            // A compressor that is used again makes the same.
            let mut again = compressor(2, None).unwrap();
            assert_eq!(
                again.compress(&bytes[..1000]).unwrap(),
                compressor(2, None).unwrap().compress(&bytes[..1000]).unwrap()
            );
            assert_eq!(again.compress(&bytes).unwrap(), ours, "{what}");
        }
    }

    #[test]
    fn no_compressor_takes_more_than_is_projected() {
        use engine_model::spec::codec::{Compressor as Name, ZarrCodec};
        let bytes: Vec<u8> = noise(1 << 21, 400, 40).iter().flat_map(|x| x.to_le_bytes()).collect();
        let every: Vec<Option<u8>> = (1..=22).map(Some).chain([None]).collect();
        let ends = [None, Some(8), Some(15), Some(22)];
        for (n, levels) in [(1000, &every[..]), (1 << 18, &every), (1_000_001, &ends), (1 << 22, &ends[..3])] {
            for &level in levels {
                let codec = ZarrCodec { level, ..ZarrCodec::of(Name::Zstd) };
                let mut compressor = compressor(2, level).unwrap();
                compressor.compress(&bytes[..n]).unwrap();
                let (found, projected) = (compressor.context_mut().sizeof() as u64, codec.compressor_bytes(n as u64));
                assert!(found <= projected, "level {level:?} of {n} bytes: {found}, projected {projected}");
            }
        }
    }

    #[test]
    fn other_elements_are_searched_as_the_level_says() {
        let bytes: Vec<u8> = noise(1 << 16, 400, 40).iter().flat_map(|x| f64::from(*x).to_le_bytes()).collect();
        let level = Compressor::new(LEVEL).unwrap().compress(&bytes).unwrap();
        assert_eq!(compressor(8, None).unwrap().compress(&bytes).unwrap(), level);
        assert_eq!(compressor(2, Some(3)).unwrap().compress(&bytes).unwrap(), level);
    }
}

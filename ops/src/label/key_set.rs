//! A set of keys that stays small whether it is sparse or dense, and counts the keys below one at once.
//!
//! Keys are grouped by their upper bits into chunks of 65,536; a chunk is a sorted list while it holds few keys and a
//! bitmap beyond (Chambi, Lemire and others 2016, "Better bitmap performance with Roaring bitmaps").

use std::collections::BTreeMap;

/// Keys of a list; with more it becomes a bitmap.
const LIST: usize = 2048;
/// Words of a bitmap.
const WORDS: usize = 1024;

#[derive(Debug, Clone)]
enum Chunk {
    List(Vec<u16>),
    Bits(Box<[u64; WORDS]>),
}

impl Chunk {
    /// Adds sorted keys without repeats.
    fn extend(&mut self, keys: impl ExactSizeIterator<Item = u16> + Clone) {
        let list = match self {
            Chunk::Bits(words) => return keys.for_each(|k| words[usize::from(k >> 6)] |= 1 << (k & 63)),
            Chunk::List(list) => list,
        };
        if list.len() + keys.len() > LIST {
            let mut words = Box::new([0u64; WORDS]);
            let both = list.iter().copied().chain(keys);
            both.for_each(|k| words[usize::from(k >> 6)] |= 1 << (k & 63));
            *self = Chunk::Bits(words);
            return;
        }
        let (old, mut rest) = (std::mem::take(list), keys.peekable());
        list.reserve(old.len() + rest.len());
        for k in old {
            while let Some(other) = rest.next_if(|&other| other <= k) {
                if other != k {
                    list.push(other);
                }
            }
            list.push(k);
        }
        list.extend(rest);
    }

    fn remove(&mut self, key: u16) {
        match self {
            Chunk::Bits(words) => words[usize::from(key >> 6)] &= !(1 << (key & 63)),
            Chunk::List(list) => list.retain(|&k| k != key),
        }
    }
}

/// A set of keys, growing.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeySet(BTreeMap<u64, Chunk>);

impl KeySet {
    /// Adds keys that are sorted and have no repeats.
    pub(crate) fn insert_all(&mut self, keys: &[u64]) {
        for group in keys.chunk_by(|a, b| a >> 16 == b >> 16) {
            let chunk = self.0.entry(group[0] >> 16).or_insert_with(|| Chunk::List(Vec::new()));
            chunk.extend(group.iter().map(|&k| k as u16));
        }
    }

    /// Takes a key out.
    pub(crate) fn remove(&mut self, key: u64) {
        if let Some(chunk) = self.0.get_mut(&(key >> 16)) {
            chunk.remove(key as u16);
        }
    }

    /// Adds all keys of another set.
    pub(crate) fn merge(&mut self, other: KeySet) {
        for (high, chunk) in other.0 {
            match (self.0.get_mut(&high), chunk) {
                (None, chunk) => {
                    self.0.insert(high, chunk);
                }
                (Some(mine), Chunk::List(list)) => mine.extend(list.into_iter()),
                (Some(Chunk::Bits(mine)), Chunk::Bits(words)) => {
                    mine.iter_mut().zip(words.iter()).for_each(|(a, b)| *a |= b);
                }
                (Some(mine), mut bits) => {
                    if let Chunk::List(list) = mine {
                        bits.extend(list.iter().copied());
                    }
                    *mine = bits;
                }
            }
        }
    }

    /// The set as it stands, with an index for counting.
    pub(crate) fn ranked(self) -> Ranked {
        let mut out = Ranked::default();
        for (high, chunk) in self.0 {
            let high = high as usize;
            out.directory.resize(high + 1, u32::MAX);
            out.directory[high] = out.chunks.len() as u32;
            let base = out.count;
            let below = match &chunk {
                Chunk::List(list) => {
                    out.count += list.len() as u64;
                    Vec::new()
                }
                Chunk::Bits(words) => {
                    let mut n = 0u32;
                    let below = words.iter().map(|w| {
                        let before = n as u16;
                        n += w.count_ones();
                        before
                    });
                    let below = below.collect();
                    out.count += u64::from(n);
                    below
                }
            };
            out.chunks.push((base, chunk, below));
        }
        out
    }

    /// Bytes a set of keys below `volume` and its index take at most: a bit and a quarter for each, and the directory.
    pub(crate) fn bytes_bound(volume: u64) -> u64 {
        let chunks = volume.div_ceil(1 << 16);
        volume.div_ceil(8).saturating_add(volume.div_ceil(32)).max(8 * LIST as u64).saturating_add(chunks * 160)
    }
}

/// A set of keys that counts.
#[derive(Debug, Default)]
pub(crate) struct Ranked {
    /// Where the chunk of each upper part is; `u32::MAX` for none.
    directory: Vec<u32>,
    /// Keys before the chunk, the chunk, and for a bitmap the keys before each word.
    chunks: Vec<(u64, Chunk, Vec<u16>)>,
    count: u64,
}

impl Ranked {
    /// Number of keys.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// How many keys are smaller, when `key` is in the set.
    #[inline]
    pub(crate) fn rank(&self, key: u64) -> Option<u64> {
        let at = *self.directory.get((key >> 16) as usize)?;
        let (base, chunk, below) = self.chunks.get(at as usize)?;
        let low = key as u16;
        match chunk {
            Chunk::List(list) => list.binary_search(&low).ok().map(|i| base + i as u64),
            Chunk::Bits(words) => {
                let (w, bit) = (words[usize::from(low >> 6)], 1u64 << (low & 63));
                (w & bit != 0)
                    .then(|| base + u64::from(below[usize::from(low >> 6)]) + u64::from((w & (bit - 1)).count_ones()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn agrees_with_a_sorted_set(
            parts in proptest::collection::vec((0u64..200_000, 1u64..90, 0usize..5000), 1..6),
            removed in proptest::collection::vec(0u64..300_000, 0..20),
        ) {
            let mut model = BTreeSet::new();
            let mut set = KeySet::default();
            for (first, step, n) in parts {
                let keys: Vec<u64> = (0..n as u64).map(|i| first + i * step).collect();
                model.extend(&keys);
                let mut part = KeySet::default();
                part.insert_all(&keys);
                set.merge(part);
            }
            for k in removed {
                model.remove(&k);
                set.remove(k);
            }
            let ranked = set.ranked();
            prop_assert_eq!(ranked.count(), model.len() as u64);
            for (i, &k) in model.iter().enumerate() {
                prop_assert_eq!(ranked.rank(k), Some(i as u64));
            }
            for k in (0..700_000).step_by(997).filter(|k| !model.contains(k)) {
                prop_assert_eq!(ranked.rank(k), None);
            }
        }
    }
}

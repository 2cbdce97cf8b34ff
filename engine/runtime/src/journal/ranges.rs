//! A set of block numbers as ranges: blocks are done nearly in order, so a billion of them are a few ranges.

use std::collections::BTreeMap;

/// Disjoint ranges that do not touch, by their starts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ranges(BTreeMap<u64, u64>);

impl Ranges {
    /// Adds a number.
    pub fn insert(&mut self, n: u64) {
        if self.contains(n) {
            return;
        }
        let mut range = (n, n + 1);
        if let Some((&start, &end)) = self.0.range(..n).next_back()
            && end == n
        {
            range.0 = start;
        }
        if let Some(end) = self.0.remove(&(n + 1)) {
            range.1 = end;
        }
        self.0.insert(range.0, range.1);
    }

    /// True for a number that was added.
    pub fn contains(&self, n: u64) -> bool {
        self.0.range(..=n).next_back().is_some_and(|(_, &end)| n < end)
    }

    /// How many numbers below `limit` were added.
    pub fn count_below(&self, limit: u64) -> u64 {
        self.0.range(..limit).map(|(start, end)| end.min(&limit) - start).sum()
    }

    /// The numbers that were added, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.0.iter().flat_map(|(&start, &end)| start..end)
    }
}

#[cfg(test)]
mod tests {
    use super::Ranges;
    use std::collections::BTreeSet;

    #[test]
    fn numbers_in_any_order_are_the_set_of_them() {
        let (mut ranges, mut set, mut state) = (Ranges::default(), BTreeSet::new(), 1u64);
        for _ in 0..5000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let n = (state >> 33) % 400;
            ranges.insert(n);
            set.insert(n);
            assert!(ranges.contains(n));
            assert_eq!(ranges.count_below(200), set.range(..200).count() as u64);
        }
        assert!(ranges.iter().eq(set.iter().copied()));
        assert_eq!(ranges.0.len(), 1 + set.iter().zip(set.iter().skip(1)).filter(|(a, b)| **a + 1 != **b).count());
    }
}

//! Times of equal things, added up.

/// Times of equal things.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sums {
    pub(super) calls: u64,
    pub(super) wall: u64,
    pub(super) cpu: u64,
    pub(super) bytes: u64,
    pub(super) min: u64,
    pub(super) max: u64,
}

impl Sums {
    pub(super) fn add(&mut self, wall: u64, cpu: u64, bytes: u64) {
        self.min = if self.calls == 0 { wall } else { self.min.min(wall) };
        self.max = self.max.max(wall);
        self.calls += 1;
        self.wall += wall;
        self.cpu += cpu;
        self.bytes += bytes;
    }

    pub(super) fn merge(&mut self, other: &Self) {
        if other.calls > 0 {
            self.min = if self.calls == 0 { other.min } else { self.min.min(other.min) };
        }
        self.max = self.max.max(other.max);
        self.calls += other.calls;
        self.wall += other.wall;
        self.cpu += other.cpu;
        self.bytes += other.bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_and_the_largest_are_kept_and_merged() {
        let mut sums = Sums::default();
        [5, 3, 9].into_iter().for_each(|wall| sums.add(wall, 1, 1));
        let mut merged = Sums::default();
        merged.merge(&sums);
        merged.merge(&Sums::default());
        assert_eq!((merged.min, merged.max, merged.calls, merged.wall), (3, 9, 3, 17));
    }
}

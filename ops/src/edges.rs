//! Bins of equal width between two values, as `numpy.histogram` makes them.

/// The edges of bins; a value at an edge belongs to the bin above it, at the last edge to the last bin.
pub(crate) struct Edges {
    lo: f64,
    width: f64,
    edges: Vec<f64>,
}

impl Edges {
    /// So many bins from `lo` to `hi`.
    pub(crate) fn new(lo: f64, hi: f64, bins: usize) -> Edges {
        let step = (hi - lo) / bins as f64;
        let mut edges: Vec<f64> = (0..=bins).map(|i| i as f64 * step + lo).collect();
        edges[bins] = hi;
        Edges { lo, width: hi - lo, edges }
    }

    /// All edges, one more than there are bins.
    pub(crate) fn edges(&self) -> &[f64] {
        &self.edges
    }

    /// The bin of a value between the ends; the first guess may be off by one ulp, which the edges decide.
    #[inline(always)]
    pub(crate) fn bin(&self, v: f64) -> usize {
        let last = self.edges.len() - 2;
        let i = ((((v - self.lo) / self.width) * (last + 1) as f64) as usize).min(last);
        if v < self.edges[i] {
            i.saturating_sub(1)
        } else if i != last && v >= self.edges[i + 1] {
            i + 1
        } else {
            i
        }
    }
}

//! Exact quantiles by radix selection.
//!
//! Values become unsigned keys that sort as they do. A pass counts 16 bits of those keys that begin like a wanted one;
//! after one pass (8 and 16 bits), two (32) or four (64) the wanted order statistics are known exactly. Counts merge in
//! any order, and nothing is sampled.

use ops_core::warning::NOTHING_FINITE;
use ops_core::with_dtype;
use ops_core::{
    ArrayPort, DType, Element, FinishCall, Lowering, OpError, Ports, Reduce, ReduceCall, Region, Scope, Value,
    ValuePort,
};
use std::sync::Arc;

/// One pass over the keys. The last leaves a number for each quantile, all NaN without a finite element.
#[derive(Debug, Clone)]
struct Pass {
    number: u32,
    /// Shares of the values that lie below, 0 to 1.
    quantiles: Vec<f64>,
}

/// An order statistic on the way: the leading bits of its key, and its rank among the keys that share them.
#[derive(Debug, Clone, Copy)]
struct Target {
    prefix: u64,
    rank: u64,
}

/// What a pass leaves for the next: for each quantile its two neighbours, and how far it stands between them.
#[derive(Debug)]
struct Selection {
    targets: Vec<Target>,
    between: Vec<f64>,
}

/// The quantiles (0 to 1) of all finite values, interpolated linearly.
pub(crate) fn quantiles(
    g: &mut Lowering,
    array: ArrayPort,
    quantiles: &[f64],
    over: Scope,
) -> Result<ValuePort, OpError> {
    let passes = (8 * g.meta(array).dtype.size() as u32).div_ceil(16);
    let pass = |number| Pass { number, quantiles: quantiles.to_vec() };
    let mut last: Option<ValuePort> = None;
    for number in 1..passes {
        let consumed: Vec<ValuePort> = last.into_iter().collect();
        last = Some(g.reduce("digits", pass(number - 1), &[array], &consumed, over)?);
    }
    let consumed: Vec<ValuePort> = last.into_iter().collect();
    g.reduce("percentiles", pass(passes - 1), &[array], &consumed, over)
}

impl Pass {
    /// Bits below those this pass counts, and the number of values they take.
    fn digit(&self, dtype: DType) -> (u32, usize) {
        match 8 * dtype.size() as u32 {
            8 => (0, 1 << 8),
            bits => (bits - 16 * (self.number + 1), 1 << 16),
        }
    }

    fn prefixes(&self, values: &[Value]) -> Result<Vec<u64>, OpError> {
        let Some(value) = values.first() else { return Ok(vec![0]) };
        let mut v: Vec<u64> = value.as_state::<Selection>()?.targets.iter().map(|t| t.prefix).collect();
        v.sort_unstable();
        v.dedup();
        Ok(v)
    }

    /// The ranks of the neighbours of each quantile among `n` values.
    fn targets(&self, n: u64) -> Selection {
        let (mut targets, mut between) = (Vec::new(), vec![0.0; self.quantiles.len()]);
        if n > 0 {
            for (q, t) in self.quantiles.iter().zip(&mut between) {
                let at = (n - 1) as f64 * q;
                let before = (at.floor() as u64).min(n - 1);
                *t = if before == n - 1 { 0.0 } else { at - at.floor() };
                targets.push(Target { prefix: 0, rank: before });
                targets.push(Target { prefix: 0, rank: (before + 1).min(n - 1) });
            }
        }
        Selection { targets, between }
    }
}

impl Reduce for Pass {
    /// A histogram for each prefix, one after another; nothing before the first block.
    type Partial = Vec<u64>;

    fn start(&self, _: &Ports) -> Vec<u64> {
        Vec::new()
    }

    fn add(&self, call: &ReduceCall<'_>, partial: &mut Vec<u64>) -> Result<(), OpError> {
        let block = call.blocks[0];
        let (shift, bins) = self.digit(block.dtype());
        let prefixes = self.prefixes(call.values)?;
        partial.resize(prefixes.len() * bins, 0);
        with_dtype!(block.dtype(), T => count::<T>(block.as_slice(), shift, &prefixes, partial));
        Ok(())
    }

    fn merge(&self, into: &mut Vec<u64>, other: Vec<u64>) {
        if into.is_empty() {
            *into = other;
        } else {
            into.iter_mut().zip(other).for_each(|(a, b)| *a += b);
        }
    }

    fn finish(&self, counts: Vec<u64>, call: &FinishCall<'_>) -> Result<Value, OpError> {
        let dtype = call.ports.meta(0).dtype;
        let (shift, bins) = self.digit(dtype);
        let prefixes = self.prefixes(call.values)?;
        let Selection { mut targets, between } = match call.values.first() {
            None => self.targets(counts.iter().sum()),
            Some(v) => {
                let s = v.as_state::<Selection>()?;
                Selection { targets: s.targets.clone(), between: s.between.clone() }
            }
        };
        for t in &mut targets {
            let slot = prefixes.binary_search(&t.prefix).map_err(|_| OpError::Internal("a prefix got lost".into()))?;
            let mut digit = 0;
            while let Some(&n) = counts.get(slot * bins + digit).filter(|&&n| t.rank >= n && digit + 1 < bins) {
                t.rank -= n;
                digit += 1;
            }
            t.prefix = t.prefix * bins as u64 + digit as u64;
        }
        if shift > 0 {
            return Ok(Value::State(Arc::new(Selection { targets, between })));
        }
        let keys: Vec<u64> = targets.iter().map(|t| t.prefix).collect();
        let found: Vec<f64> =
            with_dtype!(dtype, T => keys.iter().map(|&k| T::from_order_key(k).to_f64() + 0.0).collect());
        if found.is_empty() {
            call.warnings.add(NOTHING_FINITE, "no element is finite, so that there are no percentiles");
            return Ok(Value::numbers(&vec![f64::NAN; self.quantiles.len()]));
        }
        let pairs = found.as_chunks::<2>().0.iter().zip(&between);
        Ok(Value::numbers(&pairs.map(|([a, b], t)| interpolated(*a, *b, *t)).collect::<Vec<f64>>()))
    }

    fn state_bytes(&self, _: &Ports) -> u64 {
        256 + 64 * self.quantiles.len() as u64
    }

    fn partial_bytes(&self, ports: &Ports, _: &Region) -> u64 {
        let prefixes = if self.number == 0 { 1 } else { 2 * self.quantiles.len() as u64 };
        8 * prefixes * self.digit(ports.meta(0).dtype).1 as u64
    }

    fn nanos_per_element(&self) -> f32 {
        1.5
    }
}

/// Tables that take turns in the first pass: neighbours are often equal, and one counter would wait for itself.
const TURNS: usize = 4;

/// The first pass over elements that all count: no prefix to compare.
fn count_all<T: Element>(data: &[T], shift: u32, counts: &mut [u64]) {
    let mask = counts.len() - 1;
    if size_of::<T>() > 1 {
        for v in data {
            counts[(v.order_key() >> shift) as usize & mask] += 1;
        }
        return;
    }
    let mut tables = [[0u32; 256]; TURNS];
    // A table counts at most 2^30 elements before it is added up.
    for part in data.chunks(TURNS << 30) {
        let (fours, rest) = part.as_chunks::<TURNS>();
        for four in fours {
            for (table, v) in tables.iter_mut().zip(four) {
                table[v.order_key() as usize & 255] += 1;
            }
        }
        rest.iter().for_each(|v| tables[0][v.order_key() as usize & 255] += 1);
        for table in &mut tables {
            counts.iter_mut().zip(table.iter_mut()).for_each(|(c, t)| *c += u64::from(std::mem::take(t)));
        }
    }
}

fn count<T: Element>(data: &[T], shift: u32, prefixes: &[u64], counts: &mut [u64]) {
    let bins = counts.len() / prefixes.len().max(1);
    let first = shift as usize + 16 >= 8 * size_of::<T>();
    if first && !T::DTYPE.is_float() {
        return count_all(data, shift, counts);
    }
    for v in data {
        if T::DTYPE.is_float() && !v.to_f64().is_finite() {
            continue;
        }
        let key = v.order_key() >> shift;
        let digit = key as usize & (bins - 1);
        if first {
            counts[digit] += 1;
        } else if let Some(slot) = prefixes.iter().position(|&p| p == key >> 16) {
            counts[slot * bins + digit] += 1;
        }
    }
}

/// Between two neighbours, computed from the nearer one, as numpy does.
pub(crate) fn interpolated(a: f64, b: f64, t: f64) -> f64 {
    let d = b - a;
    if t >= 0.5 { b - d * (1.0 - t) } else { a + d * t }
}

#[cfg(test)]
mod tests {
    use super::interpolated;

    /// Results of `numpy.percentile`; from the lower neighbour each would be an ulp off.
    #[test]
    fn the_nearer_neighbour_is_where_interpolation_starts() {
        assert_eq!(interpolated(-3.9, 1.0, 0.6), -0.9600000000000002);
        assert_eq!(interpolated(-3.9, 1.0, 0.9), 0.51);
    }
}

//! Writing many equal elements.

use ops_core::Element;

/// Elements written at once.
const WIDTH: usize = 32;

/// Writes `out[from..to]`; may write up to thirty-two elements further, which come later and are written then. Whole widths
/// spare the processor from guessing how long a stretch is.
#[inline(always)]
pub(crate) fn stretch<K: Element>(out: &mut [K], from: usize, to: usize, value: K) {
    if to + WIDTH > out.len() {
        return out[from..to].fill(value);
    }
    let mut at = from;
    loop {
        out[at..at + WIDTH].fill(value);
        at += WIDTH;
        if at >= to {
            return;
        }
    }
}

//! Minima and maxima over windows of any shape: which way they are found, and the memory it takes.

use super::extreme::{self, Pass};
use super::rank::Layout;
use super::shaped::Rows;
use super::window::Window;
use ops_core::{Block, DType, Pool, Region, with_dtype};

/// Passes over an output block for a window that is a box, and the elements behind the last axis.
fn passes(window: &Window, last: usize, out: &Region) -> (Vec<Pass>, usize) {
    let shape = out.shape();
    let pass = |a: usize| Pass { extent: shape[a], taps: window.extents[a] };
    ((0..=last).map(pass).collect(), shape[last + 1..].iter().product())
}

/// The least, or with `MAX` the greatest, element in the window of each element of `out`. `src` is `out` grown by the
/// window's reach; `last` is the last spatial axis.
pub(crate) fn filter<const MAX: bool>(window: &Window, last: usize, src: &Block, out: &mut Block, pool: &Pool) {
    if out.region().is_empty() {
        return;
    }
    let Some(members) = &window.members else {
        let (passes, inner) = passes(window, last, out.region());
        return with_dtype!(src.dtype(), T =>
            extreme::filter::<T, MAX>(&passes, inner, src.as_slice(), out.as_mut_slice(), pool));
    };
    let layout = Layout::new(window, last, src.region(), out.region());
    let rows = Rows::new(&layout, members);
    with_dtype!(src.dtype(), T => rows.filter::<T, MAX>(&layout, src.as_slice(), out.as_mut_slice(), pool));
}

/// Bytes of scratch that [`filter`] takes.
pub(crate) fn scratch_bytes(window: &Window, last: usize, dtype: DType, out: &Region) -> u64 {
    let Some(members) = &window.members else {
        let (passes, inner) = passes(window, last, out);
        return extreme::scratch_bytes(&passes, inner, dtype.size());
    };
    let src = out.grow(&window.before, &window.after());
    let rows = Rows::new(&Layout::new(window, last, &src, out), members);
    if rows.doubles() { Pool::rounded(src.volume().saturating_mul(dtype.size() as u64)) } else { 0 }
}

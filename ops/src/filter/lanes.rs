//! Networks over many elements at once: a step of a program takes the least and the greatest of two runs of keys.
//!
//! Runs are plain slices, and loops over them are what compilers turn into vector code for every dtype. Medians of the
//! smallest windows have a way of their own: [`paired`](super::paired).

use super::key::Keyed;
use super::network::{Kind, Program};
use super::rank::Layout;

/// The most elements of a run.
pub(super) const RUN: usize = 128;
/// The fewest elements of a run: below, steps cost more than what they compute.
const SHORTEST: usize = 32;
/// Bytes of keys that are worked on: they should stay in the first cache.
const WORKING: usize = 24 << 10;

/// Elements of a run of a program that holds so many of them.
pub(super) fn run(held: usize, size: usize) -> usize {
    (WORKING / (held * size) / SHORTEST * SHORTEST).clamp(SHORTEST, RUN)
}

#[inline(always)]
fn exchange<K: Ord + Copy>(kind: Kind, lo: &mut [K], hi: &mut [K], a: &[K], b: &[K]) {
    let n = a.len();
    let (lo, hi, b) = (&mut lo[..n], &mut hi[..n], &b[..n]);
    match kind {
        Kind::Both => {
            for l in 0..n {
                let (x, y) = (a[l], b[l]);
                lo[l] = x.min(y);
                hi[l] = x.max(y);
            }
        }
        Kind::Min => {
            for l in 0..n {
                lo[l] = a[l].min(b[l]);
            }
        }
        Kind::Max => {
            for l in 0..n {
                hi[l] = a[l].max(b[l]);
            }
        }
    }
}

/// Runs a program on `n` neighbours; `width` elements lie between slots.
#[inline(always)]
fn execute<'a, K: Ord + Copy + 'a>(
    p: &Program,
    slots: &mut [K],
    width: usize,
    n: usize,
    input: impl Fn(usize) -> &'a [K],
) {
    let slot = |i: usize| i * width..i * width + n;
    for step in &p.steps {
        let [lo, hi] = step.to.map(|i| slot(i as usize));
        let [a, b] = step.from.map(|w| w as usize);
        // The slots of a step differ: a network frees one only after its last use.
        match (a.checked_sub(p.inputs), b.checked_sub(p.inputs)) {
            (None, None) => {
                let Ok([lo, hi]) = slots.get_disjoint_mut([lo, hi]) else { return };
                exchange(step.kind, lo, hi, &input(a)[..n], input(b));
            }
            (Some(a), None) => {
                let Ok([lo, hi, a]) = slots.get_disjoint_mut([lo, hi, slot(a)]) else { return };
                exchange(step.kind, lo, hi, a, input(b));
            }
            (None, Some(b)) => {
                let Ok([lo, hi, b]) = slots.get_disjoint_mut([lo, hi, slot(b)]) else { return };
                exchange(step.kind, lo, hi, b, input(a));
            }
            (Some(a), Some(b)) => {
                let Ok([lo, hi, a, b]) = slots.get_disjoint_mut([lo, hi, slot(a), slot(b)]) else { return };
                exchange(step.kind, lo, hi, a, b);
            }
        }
    }
}

/// A result of a program that was run.
#[inline(always)]
fn output<'a, K>(p: &Program, wire: u32, slots: &'a [K], width: usize, input: impl Fn(usize) -> &'a [K]) -> &'a [K] {
    match (wire as usize).checked_sub(p.inputs) {
        None => input(wire as usize),
        Some(slot) => &slots[slot * width..],
    }
}

/// Room for a run of each input and each slot of a program.
pub(super) struct Room<'a, K> {
    /// Of the inputs.
    pub(super) inputs: &'a mut [K],
    /// Of the slots.
    pub(super) slots: &'a mut [K],
    /// Elements of a run.
    pub(super) width: usize,
}

/// Reads the keys of the first `n` elements from each offset on.
#[inline(always)]
fn load<T: Keyed>(offsets: &[usize], src: &[T], inputs: &mut [T::Key], width: usize, n: usize) {
    for (keys, from) in inputs.chunks_exact_mut(width).zip(offsets) {
        keys[..n].iter_mut().zip(&src[*from..from + n]).for_each(|(k, v)| *k = v.key());
    }
}

/// Finds the rank in the windows of a row.
#[inline(always)]
pub(super) fn direct<T: Keyed>(p: &Program, offsets: &[usize], src: &[T], dst: &mut [T], room: &mut Room<'_, T::Key>) {
    let width = room.width;
    for (s, dst) in dst.chunks_mut(width).enumerate() {
        load(offsets, &src[s * width..], room.inputs, width, dst.len());
        let input = |i: usize| &room.inputs[i * width..];
        execute(p, room.slots, width, dst.len(), input);
        let found = output(p, p.outputs[0], room.slots, width, input);
        dst.iter_mut().zip(found).for_each(|(d, k)| *d = T::of_key(*k));
    }
}

/// Sorts the columns of a strip: element `k` of each column goes to row `k` of `sorted`, which has `pitch` elements, of
/// which `wide` are wanted.
#[inline(always)]
pub(super) fn columns<T: Keyed>(
    p: &Program,
    offsets: &[usize],
    src: &[T],
    sorted: &mut [T::Key],
    (pitch, wide): (usize, usize),
    room: &mut Room<'_, T::Key>,
) {
    let width = room.width;
    for at in (0..wide).step_by(width) {
        let n = width.min(wide - at);
        load(offsets, &src[at..], room.inputs, width, n);
        let input = |i: usize| &room.inputs[i * width..];
        execute(p, room.slots, width, n, input);
        for (k, &w) in p.outputs.iter().enumerate() {
            sorted[k * pitch + at..][..n].copy_from_slice(&output(p, w, room.slots, width, input)[..n]);
        }
    }
}

/// Finds the rank among the sorted columns of each window of a strip.
#[inline(always)]
pub(super) fn merged<T: Keyed>(
    p: &Program,
    layout: &Layout,
    sorted: &[T::Key],
    pitch: usize,
    dst: &mut [T],
    room: &mut Room<'_, T::Key>,
) {
    let (ranks, width) = (layout.columns.len(), room.width);
    for (s, dst) in dst.chunks_mut(width).enumerate() {
        let input = |i: usize| &sorted[i % ranks * pitch + i / ranks * layout.inner + s * width..];
        execute(p, room.slots, width, dst.len(), input);
        let found = output(p, p.outputs[0], room.slots, width, input);
        dst.iter_mut().zip(found).for_each(|(d, k)| *d = T::of_key(*k));
    }
}

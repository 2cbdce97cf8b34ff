//! One kernel, compiled for several instruction sets.
//!
//! Kernels are plain loops, but for one ([`pairs`]). [`vectorize`] runs them through a copy compiled for the widest instruction set of this
//! processor. Multiplies and adds are never contracted and reductions over floats are exact or ordered, so that every
//! path gives the same bits; the contract battery compares them.

pub mod pairs;

use std::sync::atomic::{AtomicU8, Ordering};

/// Which copy of the kernels runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Path {
    /// The widest the processor has.
    Vector = 0,
    /// The baseline of the target.
    Scalar = 1,
}

static PATH: AtomicU8 = AtomicU8::new(Path::Vector as u8);

/// Chooses the path for the whole process; for tests and `ENGINE_SIMD=scalar`.
pub fn set_path(path: Path) {
    PATH.store(path as u8, Ordering::Relaxed);
}

/// The path in use.
pub fn path() -> Path {
    if PATH.load(Ordering::Relaxed) == Path::Scalar as u8 { Path::Scalar } else { Path::Vector }
}

/// Runs `kernel` compiled for the widest instruction set available. Mark what it calls `#[inline(always)]`.
#[inline(always)]
pub fn vectorize<R>(kernel: impl FnOnce() -> R) -> R {
    match path() {
        Path::Scalar => kernel(),
        Path::Vector => pulp::Arch::new().dispatch(kernel),
    }
}

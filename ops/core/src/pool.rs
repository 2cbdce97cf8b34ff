//! Pooled buffers: what blocks and scratch are made of.
//!
//! A fresh large allocation costs a page fault for every 4 KiB; a reused one costs nothing. The pool also counts what
//! is in use, so that the peak of a task can be held against what its ops declared.

use bytemuck::Pod;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Buffers below this many bytes are not worth keeping, and not counted against the limit.
const KEEP_FROM: usize = 4096;

#[derive(Default)]
struct Shelf {
    /// Free storage by capacity in words.
    free: BTreeMap<usize, Class>,
    bytes: u64,
    /// Counts requests; what tells when a capacity was last asked for.
    requests: u64,
}

/// Free storage of one capacity.
#[derive(Default)]
struct Class {
    buffers: Vec<Vec<u64>>,
    last_asked: u64,
}

#[derive(Default)]
struct Inner {
    shelf: Mutex<Shelf>,
    in_use: AtomicU64,
    peak: AtomicU64,
    limit: AtomicU64,
    /// 0, or 256 and the byte that buffers are filled with.
    fill: AtomicU16,
}

impl Shelf {
    /// A free buffer of a capacity, if there is one.
    fn reuse(&mut self, class: usize) -> Option<Vec<u64>> {
        self.requests += 1;
        let of = self.free.entry(class).or_default();
        of.last_asked = self.requests;
        let found = of.buffers.pop()?;
        self.bytes -= 8 * class as u64;
        Some(found)
    }

    /// Takes out buffers, those of capacities not asked for the longest first, until at most `bytes` are left.
    fn make_room(&mut self, bytes: u64) -> Vec<Vec<u64>> {
        let mut out = Vec::new();
        while self.bytes > bytes {
            let stalest = self.free.iter_mut().filter(|(_, c)| !c.buffers.is_empty()).min_by_key(|(_, c)| c.last_asked);
            let Some((&class, of)) = stalest else { break };
            out.extend(of.buffers.pop());
            self.bytes -= 8 * class as u64;
        }
        out
    }
}

impl Inner {
    /// What unused buffers may take beside those in use, of which so many bytes more are to come and so many are to go.
    fn room(&self, come: u64, go: u64) -> u64 {
        let used = (self.in_use.load(Ordering::Relaxed) + come).saturating_sub(go);
        self.limit.load(Ordering::Relaxed).saturating_sub(used)
    }
}

/// A shared store of reusable buffers. Cloning it shares it.
#[derive(Clone, Default)]
pub struct Pool(Arc<Inner>);

impl Pool {
    /// A pool that keeps unused buffers for reuse as long as they and those in use together stay below `bytes`.
    ///
    /// It never refuses: what is in use is bounded by whoever admits work.
    pub fn keeping(bytes: u64) -> Pool {
        let pool = Pool::default();
        pool.0.limit.store(bytes, Ordering::Relaxed);
        pool
    }

    /// A pool that fills every buffer with `byte`, so that whoever reads what it did not write is found out.
    pub fn filled(byte: u8) -> Pool {
        let pool = Pool::default();
        pool.0.fill.store(0x100 | u16::from(byte), Ordering::Relaxed);
        pool
    }

    /// A buffer of `len` elements with unspecified content.
    pub fn take<T: Pod>(&self, len: usize) -> Scratch<T> {
        Scratch { buf: self.take_bytes(len.saturating_mul(size_of::<T>())), len, kind: std::marker::PhantomData }
    }

    /// A buffer of `len` bytes, aligned for every element type, with unspecified content.
    pub fn take_bytes(&self, len: usize) -> Buf {
        let class = size_class(len.div_ceil(8));
        let bytes = 8 * class as u64;
        let (reused, dropped, now) = {
            let mut shelf = self.0.shelf.lock().unwrap_or_else(PoisonError::into_inner);
            let found = shelf.reuse(class);
            let dropped = match found {
                Some(_) => Vec::new(),
                None => shelf.make_room(self.0.room(bytes, 0)),
            };
            // Counted before anyone else looks how much room there is.
            (found, dropped, self.0.in_use.fetch_add(bytes, Ordering::Relaxed) + bytes)
        };
        self.0.peak.fetch_max(now, Ordering::Relaxed);
        // Before others are allocated in their place.
        drop(dropped);
        let fill = self.0.fill.load(Ordering::Relaxed);
        let fresh = if fill == 0 { 0 } else { u64::from_ne_bytes([fill as u8; 8]) };
        let words = reused.unwrap_or_else(|| vec![fresh; class]);
        Buf { words, len, pool: Some(self.clone()), adopted: None }
    }

    /// Bytes handed out and not yet returned.
    pub fn in_use(&self) -> u64 {
        self.0.in_use.load(Ordering::Relaxed)
    }

    /// The largest value [`Pool::in_use`] ever had.
    pub fn peak(&self) -> u64 {
        self.0.peak.load(Ordering::Relaxed)
    }

    /// Bytes a request of `len` bytes really takes: requests are rounded up so that buffers can be reused.
    pub fn rounded(len: u64) -> u64 {
        8 * size_class((len as usize).div_ceil(8)) as u64
    }

    fn give_back(&self, words: Vec<u64>) {
        let bytes = 8 * words.len() as u64;
        if bytes as usize >= KEEP_FROM {
            let mut shelf = self.0.shelf.lock().unwrap_or_else(PoisonError::into_inner);
            if shelf.bytes + bytes <= self.0.room(0, bytes) {
                shelf.bytes += bytes;
                self.0.in_use.fetch_sub(bytes, Ordering::Relaxed);
                shelf.free.entry(words.len()).or_default().buffers.push(words);
                return;
            }
        }
        // In use until it is gone.
        drop(words);
        self.0.in_use.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("in_use", &self.in_use()).field("peak", &self.peak()).finish()
    }
}

/// Rounds a number of words up to one of sixteen steps an octave, so that at most 1/16 is wasted.
fn size_class(words: usize) -> usize {
    let words = words.max(1);
    let step = (words.next_power_of_two() / 32).max(1);
    words.div_ceil(step) * step
}

/// Bytes from a [`Pool`], or from the heap; they go back when dropped.
pub struct Buf {
    words: Vec<u64>,
    len: usize,
    pool: Option<Pool>,
    /// What a decoder made, kept as it is; then there are no words.
    adopted: Option<Vec<u8>>,
}

impl Buf {
    /// Zeroed bytes outside any pool.
    pub fn heap(len: usize) -> Buf {
        Buf { words: vec![0u64; len.div_ceil(8)], len, pool: None, adopted: None }
    }

    /// Bytes that someone else allocated, taken over as they are; copied only where they are not aligned for every
    /// element type.
    pub fn adopt(bytes: Vec<u8>) -> Buf {
        if bytes.as_ptr().align_offset(align_of::<u64>()) == 0 {
            return Buf { words: Vec::new(), len: bytes.len(), pool: None, adopted: Some(bytes) };
        }
        let mut own = Buf::heap(bytes.len());
        own.bytes_mut().copy_from_slice(&bytes);
        own
    }

    /// The pool it goes back to.
    pub fn pool(&self) -> Option<&Pool> {
        self.pool.as_ref()
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        match &self.adopted {
            Some(bytes) => bytes,
            None => &bytemuck::cast_slice(&self.words)[..self.len],
        }
    }

    /// The bytes, to be written.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        match &mut self.adopted {
            Some(bytes) => bytes,
            None => &mut bytemuck::cast_slice_mut(&mut self.words)[..self.len],
        }
    }
}

impl Drop for Buf {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.take() {
            pool.give_back(std::mem::take(&mut self.words));
        }
    }
}

/// Typed scratch from a [`Pool`]; dereferences to a slice with unspecified content.
pub struct Scratch<T> {
    buf: Buf,
    len: usize,
    kind: std::marker::PhantomData<T>,
}

impl<T: Pod> std::ops::Deref for Scratch<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &bytemuck::cast_slice(self.buf.bytes())[..self.len]
    }
}

impl<T: Pod> std::ops::DerefMut for Scratch<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut bytemuck::cast_slice_mut(self.buf.bytes_mut())[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_returned_buffer_is_reused_and_counted_once() {
        let pool = Pool::keeping(1 << 20);
        drop(pool.take::<f64>(10_000));
        let peak = pool.peak();
        drop(pool.take::<f64>(10_000));
        assert_eq!((pool.in_use(), pool.peak()), (0, peak));
    }

    #[test]
    fn rounding_wastes_at_most_a_sixteenth() {
        for len in [1usize, 17, 4097, 1 << 20, (1 << 20) + 1, 12_345_678] {
            let r = Pool::rounded(len as u64) as f64;
            assert!(r >= len as f64 && r <= len as f64 * (1.0 + 1.0 / 16.0) + 16.0, "{len} -> {r}");
        }
    }

    #[test]
    fn unused_buffers_make_way_for_those_in_use() {
        let pool = Pool::keeping(3 << 20);
        drop(pool.take_bytes(2 << 20));
        assert!(pool.0.shelf.lock().unwrap().bytes > 0);
        let _other_size = pool.take_bytes(5 << 19);
        assert_eq!(pool.0.shelf.lock().unwrap().bytes, 0);
    }

    #[test]
    fn adopted_bytes_are_the_same_and_aligned() {
        for len in [0usize, 1, 7, 8, 4097] {
            let bytes: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let mut buf = Buf::adopt(bytes.clone());
            assert_eq!(buf.bytes(), bytes);
            assert_eq!(buf.bytes().as_ptr().align_offset(8), 0);
            buf.bytes_mut().iter_mut().for_each(|b| *b ^= 1);
            assert!(buf.bytes().iter().zip(&bytes).all(|(a, b)| *a == b ^ 1));
        }
    }

    #[test]
    fn nothing_is_kept_beyond_the_limit() {
        let pool = Pool::keeping(0);
        drop(pool.take_bytes(1 << 20));
        assert_eq!(pool.0.shelf.lock().unwrap().bytes, 0);
    }
}

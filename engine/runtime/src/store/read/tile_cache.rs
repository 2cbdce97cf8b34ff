//! Decoded pieces of one file, the latest used kept: tiles of a TIFF, chunks and shard indices of a Zarr array.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Which piece: a page and a number in it, or whatever else tells pieces of one file apart.
pub(super) type Key = (u64, u64);

/// A piece that is decoded by the first who wants it, while others who want it wait.
type Slot<T> = Arc<Mutex<Option<Arc<T>>>>;

/// Keeps decoded pieces up to a number of bytes, dropping the first of them in the order of their keys.
///
/// Blocks are computed in the order in which they lie, which is that of the keys of their pieces: the first is the one that
/// no block to come needs. (What was not used for the longest time is another: of three layers that a block with a halo reads
/// at once, all would have to be kept, where two and a row are enough.) When keys begin again below all that are kept, what is
/// left of the sweep before goes first.
///
/// No piece is decoded by two threads at once. One that is larger than the whole cache is kept alone; a cache of no
/// bytes keeps nothing.
pub(super) struct TileCache<T> {
    capacity: u64,
    state: Mutex<State<T>>,
}

struct State<T> {
    pieces: BTreeMap<Key, Kept<T>>,
    /// Sweep and key of every piece: the first is dropped first.
    order: BTreeSet<(u64, Key)>,
    sweep: u64,
    bytes: u64,
}

struct Kept<T> {
    slot: Slot<T>,
    bytes: u64,
    /// The last sweep that asked for it.
    sweep: u64,
}

impl<T> TileCache<T> {
    pub(super) fn new(capacity: u64) -> TileCache<T> {
        let state = State { pieces: BTreeMap::new(), order: BTreeSet::new(), sweep: 0, bytes: 0 };
        TileCache { capacity, state: Mutex::new(state) }
    }

    /// The piece of this key; made by `decode` if it is not there.
    ///
    /// `bytes` is the most it takes; `decode` tells with the piece what it takes in truth.
    pub(super) fn get<E>(
        &self,
        key: Key,
        bytes: u64,
        decode: impl FnOnce() -> Result<(T, u64), E>,
    ) -> Result<Arc<T>, E> {
        if self.capacity == 0 {
            return decode().map(|(piece, _)| Arc::new(piece));
        }
        let slot = self.slot(key, bytes);
        let mut piece = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(piece) = &*piece {
            return Ok(piece.clone());
        }
        match decode() {
            Ok((made, held)) => {
                let made = Arc::new(made);
                *piece = Some(made.clone());
                self.settle(key, &slot, Some(held));
                Ok(made)
            }
            Err(e) => {
                self.settle(key, &slot, None);
                Err(e)
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self, key: Key, bytes: u64) -> Slot<T> {
        let mut guard = self.state();
        let s = &mut *guard;
        if let Some(kept) = s.pieces.get_mut(&key) {
            if kept.sweep != s.sweep {
                s.order.remove(&(kept.sweep, key));
                s.order.insert((s.sweep, key));
                kept.sweep = s.sweep;
            }
            return kept.slot.clone();
        }
        let first = s.order.range((s.sweep, (0, 0))..).next();
        if first.is_some_and(|(_, first)| key < *first) {
            s.sweep += 1;
        }
        while s.bytes.saturating_add(bytes) > self.capacity {
            let Some((_, old)) = s.order.pop_first() else { break };
            if let Some(kept) = s.pieces.remove(&old) {
                s.bytes -= kept.bytes;
            }
        }
        let slot = Slot::default();
        s.bytes += bytes;
        s.pieces.insert(key, Kept { slot: slot.clone(), bytes, sweep: s.sweep });
        s.order.insert((s.sweep, key));
        slot
    }

    /// Corrects what a piece takes, or drops one that could not be made, unless it was dropped meanwhile.
    fn settle(&self, key: Key, slot: &Slot<T>, held: Option<u64>) {
        let mut guard = self.state();
        let s = &mut *guard;
        let Some(kept) = s.pieces.get_mut(&key).filter(|k| Arc::ptr_eq(&k.slot, slot)) else { return };
        s.bytes -= kept.bytes;
        match held {
            Some(held) => {
                // Never more than was asked for: room was made for that.
                kept.bytes = held.min(kept.bytes);
                s.bytes += kept.bytes;
            }
            None => {
                s.order.remove(&(kept.sweep, key));
                s.pieces.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    fn made(cache: &TileCache<u64>, sequence: &[u64]) -> Vec<u64> {
        let mut made = vec![];
        for &i in sequence {
            let piece: Result<_, ()> = cache.get((0, i), 10, || {
                made.push(i);
                Ok((i, 10))
            });
            assert_eq!(*piece.unwrap(), i);
        }
        made
    }

    /// The pieces that each block of a sweep with a halo asks for: itself and its neighbours, in `counts` along each axis.
    fn sweep(counts: [u64; 3]) -> Vec<u64> {
        let around = |i: u64, n: u64| i.saturating_sub(1)..(i + 2).min(n);
        let [z, y, x] = counts;
        let mut asked = Vec::new();
        for block in 0..z * y * x {
            for k in around(block / (y * x), z) {
                for j in around(block / x % y, y) {
                    asked.extend(around(block % x, x).map(|i| (k * y + j) * x + i));
                }
            }
        }
        asked
    }

    #[test]
    fn a_sweep_with_a_halo_decodes_each_piece_once_within_two_layers_and_two_rows() {
        for counts in [[4, 4, 4], [5, 7, 6], [1, 9, 8], [9, 1, 1]] {
            let [z, y, x] = counts;
            let all = z * y * x;
            let held = if z > 1 && y > 1 { 2 * y * x + 2 * x + 3 } else { 2 * x + 3 };
            let cache = TileCache::new(10 * held);
            let once = made(&cache, &sweep(counts));
            assert_eq!(once.len() as u64, all, "{counts:?}");
            // A second one begins with what the first has left, and is as good.
            let again = made(&cache, &sweep(counts));
            assert!(again.len() as u64 <= all, "{counts:?}: {} of {all}", again.len());
            assert!(cache.state().bytes <= 10 * held);
        }
    }

    #[test]
    fn the_first_goes_first_and_an_earlier_sweep_before_it() {
        let cache = TileCache::new(30);
        assert_eq!(made(&cache, &[0, 1, 2, 0, 3, 1, 2, 3]), [0, 1, 2, 3]);
        // 0 again: a new sweep, of which nothing goes while 2 and 3 are left of the other.
        assert_eq!(made(&cache, &[0, 1, 0, 1, 3, 0, 2]), [0, 1, 2]);
        assert_eq!(cache.state().bytes, 30);
    }

    #[test]
    fn a_cache_of_nothing_keeps_nothing_and_a_small_one_a_single_piece() {
        assert_eq!(made(&TileCache::new(0), &[1, 1]), [1, 1]);
        let small = TileCache::new(1);
        assert_eq!(made(&small, &[1, 1, 2, 2, 1]), [1, 2, 1]);
        assert_eq!(small.state().bytes, 10);
    }

    #[test]
    fn what_takes_less_or_fails_leaves_room() {
        let cache: TileCache<u64> = TileCache::new(30);
        for i in 0..20 {
            let _ = cache.get((0, i), 10, || if i % 2 == 0 { Ok((i, 1)) } else { Err(()) });
        }
        // One that could not be made takes no room.
        let held = || {
            let s = cache.state();
            (s.bytes, s.pieces.len(), s.order.len())
        };
        assert_eq!(held(), (10, 10, 10));
        assert!(cache.get((0, 1), 10, || Err::<(u64, u64), _>("again")).is_err());
        assert_eq!(held(), (10, 10, 10));
    }

    #[test]
    fn threads_that_want_the_same_piece_decode_it_once() {
        let (cache, count) = (TileCache::new(1000), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for i in 0..50 {
                        let piece: Result<_, ()> = cache.get((1, i), 10, || {
                            count.fetch_add(1, Ordering::Relaxed);
                            std::thread::yield_now();
                            Ok((i, 10))
                        });
                        assert_eq!(*piece.unwrap(), i);
                    }
                });
            }
        });
        assert_eq!(count.into_inner(), 50);
    }
}

//! Decoded pieces of one file, the latest used kept: tiles of a TIFF, chunks and shard indices of a Zarr array.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Which piece: a page and a number in it, or whatever else tells pieces of one file apart.
pub(super) type Key = (u64, u64);

/// A piece that is decoded by the first who wants it, while others who want it wait.
type Slot<T> = Arc<Mutex<Option<Arc<T>>>>;

/// Keeps decoded pieces up to a number of bytes, dropping those not used for the longest time.
///
/// No piece is decoded by two threads at once. One that is larger than the whole cache is kept alone; a cache of no
/// bytes keeps nothing.
pub(super) struct TileCache<T> {
    capacity: u64,
    state: Mutex<State<T>>,
}

struct State<T> {
    pieces: BTreeMap<Key, Kept<T>>,
    by_use: BTreeMap<u64, Key>,
    clock: u64,
    bytes: u64,
}

struct Kept<T> {
    slot: Slot<T>,
    bytes: u64,
    used: u64,
}

impl<T> TileCache<T> {
    pub(super) fn new(capacity: u64) -> TileCache<T> {
        let state = State { pieces: BTreeMap::new(), by_use: BTreeMap::new(), clock: 0, bytes: 0 };
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
        s.clock += 1;
        if let Some(kept) = s.pieces.get_mut(&key) {
            s.by_use.remove(&kept.used);
            kept.used = s.clock;
            s.by_use.insert(s.clock, key);
            return kept.slot.clone();
        }
        while s.bytes.saturating_add(bytes) > self.capacity {
            let Some((_, old)) = s.by_use.pop_first() else { break };
            if let Some(kept) = s.pieces.remove(&old) {
                s.bytes -= kept.bytes;
            }
        }
        let slot = Slot::default();
        s.bytes += bytes;
        s.pieces.insert(key, Kept { slot: slot.clone(), bytes, used: s.clock });
        s.by_use.insert(s.clock, key);
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
                s.by_use.remove(&kept.used);
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

    #[test]
    fn the_longest_unused_piece_goes_first() {
        let cache = TileCache::new(30);
        // 3 drops 1, not 0; asking for 1 again drops 3, so that 0 is still there.
        assert_eq!(made(&cache, &[0, 1, 2, 0, 3, 0, 2, 1, 0]), [0, 1, 2, 3, 1]);
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
            (s.bytes, s.pieces.len(), s.by_use.len())
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

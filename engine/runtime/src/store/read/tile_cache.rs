//! Decoded tiles of one file, the latest used kept.

use ops_core::Block;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A tile that is decoded by the first who wants it, while others who want it wait.
type Slot = Arc<Mutex<Option<Arc<Block>>>>;

/// Keeps decoded tiles up to a number of bytes, dropping those not used for the longest time.
pub(super) struct TileCache {
    capacity: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By page and number in the page: the tile and when it was last used.
    tiles: BTreeMap<(u64, u32), (Slot, u64, u64)>,
    by_use: BTreeMap<u64, (u64, u32)>,
    clock: u64,
    bytes: u64,
}

impl TileCache {
    pub(super) fn new(capacity: u64) -> TileCache {
        TileCache { capacity, state: Mutex::default() }
    }

    /// The tile of this key, of about `bytes` bytes; made by `decode` if it is not there.
    pub(super) fn get<E>(
        &self,
        key: (u64, u32),
        bytes: u64,
        decode: impl FnOnce() -> Result<Block, E>,
    ) -> Result<Arc<Block>, E> {
        let slot = self.slot(key, bytes);
        let mut tile = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tile) = &*tile {
            return Ok(tile.clone());
        }
        let made = Arc::new(decode()?);
        *tile = Some(made.clone());
        Ok(made)
    }

    fn slot(&self, key: (u64, u32), bytes: u64) -> Slot {
        let mut guard = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let s = &mut *guard;
        s.clock += 1;
        if let Some((slot, _, used)) = s.tiles.get_mut(&key) {
            s.by_use.remove(used);
            *used = s.clock;
            s.by_use.insert(s.clock, key);
            return slot.clone();
        }
        while s.bytes + bytes > self.capacity {
            let Some((_, old)) = s.by_use.pop_first() else { break };
            if let Some((_, size, _)) = s.tiles.remove(&old) {
                s.bytes -= size;
            }
        }
        let slot = Slot::default();
        s.bytes += bytes;
        s.tiles.insert(key, (slot.clone(), bytes, s.clock));
        s.by_use.insert(s.clock, key);
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ops_core::{DType, Region};

    #[test]
    fn the_longest_unused_tile_goes_first() {
        let cache = TileCache::new(30);
        let made = Mutex::new(vec![]);
        let get = |i: u32| {
            let r: Result<_, ()> = cache.get((0, i), 10, || {
                made.lock().unwrap().push(i);
                Ok(Block::zeros(DType::UInt8, Region::whole(&[10])))
            });
            r.unwrap();
        };
        [0, 1, 2, 0, 3, 0, 2, 1, 0].into_iter().for_each(get);
        // 3 drops 1, not 0; asking for 1 again drops 3, so that 0 is still there.
        assert_eq!(*made.lock().unwrap(), [0, 1, 2, 3, 1]);
        assert_eq!(cache.state.lock().unwrap().bytes, 30);
    }
}

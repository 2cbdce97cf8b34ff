//! Locks behind a URL: a key that is written only where there is none, and written again only as it was read.

use super::{BEAT, Holder, Lock, LockError, Taken};
use crate::store::StoreError;
use crate::store::keys::Keys;
use crate::store::remote::{Put, Remote, Stamp};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;

/// The most bytes a lock has.
const LARGEST: u64 = 64 << 10;

/// How often one that comes and goes is looked at again.
const AGAIN: usize = 50;

/// The key of a lock.
#[derive(Debug, Clone)]
struct Slot {
    keys: Remote,
    name: String,
}

fn told(e: StoreError) -> io::Error {
    let kind = if let StoreError::Io { kind, .. } = &e { *kind } else { io::ErrorKind::Other };
    io::Error::new(kind, e.to_string())
}

impl Slot {
    fn of(path: &Path) -> io::Result<Slot> {
        let above = path.parent().unwrap_or(path);
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Slot { keys: Remote::open(above).map_err(told)?, name })
    }

    /// Who holds it, and the state of the key; `None` when there is none.
    fn read(&self) -> io::Result<Option<(Holder, Stamp)>> {
        let Some(stamp) = self.keys.stamp(&self.name).map_err(told)? else { return Ok(None) };
        let Some(text) = self.keys.get(&self.name, LARGEST).map_err(told)? else { return Ok(None) };
        let holder = serde_json::from_slice(&text).unwrap_or_else(|_| Holder::unknown(stamp.changed));
        Ok(Some((holder, stamp)))
    }

    /// Writes a holder; gives the state of the key, or `None` where the condition does not hold.
    fn write(&self, holder: &Holder, on: Put) -> io::Result<Option<Stamp>> {
        let mut text = serde_json::to_vec(holder)?;
        text.push(b'\n');
        let bytes = text.len() as u64;
        let version = self.keys.write(&self.name, text, on).map_err(told)?;
        Ok(version.map(|version| Stamp { bytes, version, changed: holder.heartbeat }))
    }
}

/// Takes a lock; see [`Lock::acquire`].
pub(super) fn acquire(path: &Path) -> Result<Taken, LockError> {
    let failed = |source| LockError::Io { path: path.into(), source };
    let slot = Slot::of(path).map_err(failed)?;
    let own = Holder::own();
    for _ in 0..AGAIN {
        if let Some(stamp) = slot.write(&own, Put::New).map_err(failed)? {
            return hold(path, slot, own, stamp, None).map_err(failed);
        }
        // It may be given back at any moment: then it is free.
        let Some((holder, stamp)) = slot.read().map_err(failed)? else { continue };
        if holder.token == own.token {
            // It was written, and the answer lost.
            return hold(path, slot, own, stamp, None).map_err(failed);
        }
        let age = holder.age();
        if !holder.is_gone(&own) {
            return Err(LockError::Held { path: path.into(), holder: Box::new(holder), age });
        }
        // Of many that take over, one finds it as it was.
        if let Some(stamp) = slot.write(&own, Put::In(stamp)).map_err(failed)? {
            return hold(path, slot, own, stamp, Some(holder)).map_err(failed);
        }
    }
    Err(failed(io::Error::other("it changes again and again")))
}

fn hold(path: &Path, slot: Slot, own: Holder, stamp: Stamp, stale: Option<Holder>) -> io::Result<Taken> {
    let lost = Arc::new(AtomicBool::new(false));
    let token = own.token.clone();
    let beat = beat(slot, own, stamp, lost.clone())?;
    Ok(Taken { lock: Lock { path: path.into(), token, lost, beat: Some(beat) }, stale })
}

/// Writes the time into the key until the sender is dropped, unless it is another's by then.
fn beat(
    slot: Slot,
    mut own: Holder,
    mut stamp: Stamp,
    lost: Arc<AtomicBool>,
) -> io::Result<(Sender<()>, JoinHandle<()>)> {
    let (stop, stopped) = mpsc::channel();
    let thread = std::thread::Builder::new().name("lock".into()).spawn(move || {
        while stopped.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
            own.heartbeat = super::now();
            match slot.write(&own, Put::In(stamp.clone())) {
                Ok(Some(written)) => stamp = written,
                // A server that is away for a while is no reason to stop: the time is written next time.
                Err(_) => {}
                Ok(None) => match slot.read() {
                    // The answer to the last write was lost.
                    Ok(Some((holder, found))) if holder.token == own.token => stamp = found,
                    Err(_) => {}
                    Ok(_) => {
                        lost.store(true, Ordering::Relaxed);
                        return;
                    }
                },
            }
        }
    })?;
    Ok((stop, thread))
}

/// Gives a lock back that is still this one.
pub(super) fn release(path: &Path, token: &str) {
    // Nothing can be done about one that can't be removed; it will be found stale.
    let Ok(slot) = Slot::of(path) else { return };
    let slot = Slot { keys: slot.keys.hurried(), ..slot };
    if matches!(slot.read(), Ok(Some((holder, _))) if holder.token == token) {
        let _ = slot.keys.remove(&slot.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::now;

    fn leave(path: &Path, holder: &Holder) {
        assert!(Slot::of(path).unwrap().write(holder, Put::Over).unwrap().is_some());
    }

    #[test]
    fn a_lock_is_had_by_one_and_given_back() {
        let path = Lock::beside(Path::new("memory://lock-once/image.zarr"));
        assert_eq!(path.to_str(), Some("memory://lock-once/image.zarr.lock"));
        let first = Lock::acquire(&path).unwrap();
        assert!(first.stale.is_none());
        let refused = Lock::acquire(&path).unwrap_err().to_string();
        assert!(refused.contains(&format!("process {} ", std::process::id())), "{refused}");
        drop(first);
        assert!(Slot::of(&path).unwrap().read().unwrap().is_none());
        drop(Lock::acquire(&path).unwrap());
    }

    #[test]
    fn a_lock_without_a_holder_is_taken_over_by_one() {
        let path = Lock::beside(Path::new("memory://lock-stale/image.zarr"));
        let other = |heartbeat| Holder { host: "far".into(), space: "far".into(), heartbeat, ..Holder::own() };
        leave(&path, &other(now() - 50));
        assert!(matches!(Lock::acquire(&path), Err(LockError::Held { .. })));
        leave(&path, &other(now() - 70));
        let had: Vec<_> = std::thread::scope(|s| {
            let all: Vec<_> = (0..4).map(|_| s.spawn(|| Lock::acquire(&path))).collect();
            all.into_iter().map(|t| t.join().unwrap()).collect()
        });
        let won: Vec<_> = had.iter().filter_map(|h| h.as_ref().ok()).collect();
        assert_eq!(won.len(), 1);
        assert_eq!(won[0].stale.as_ref().map(|h| h.host.as_str()), Some("far"));
    }

    #[test]
    fn a_key_that_is_no_lock_is_held_while_it_is_young() {
        let path = Lock::beside(Path::new("memory://lock-odd/image.zarr"));
        let slot = Slot::of(&path).unwrap();
        slot.keys.put(&slot.name, b"?".as_slice().into()).unwrap();
        assert!(matches!(Lock::acquire(&path), Err(LockError::Held { .. })));
    }
}

//! One request until it is answered: bounded in time, tried again where that may help, and never more of an answer read
//! than what was asked for can have.

use super::connect::Behind;
use super::trouble::{Found, Trouble};
use bytes::Bytes;
use futures_util::StreamExt;
use object_store::{GetResult, ObjectStore};
use std::future::Future;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};
use tokio::runtime::{Builder, Runtime};

/// Seconds until the first byte of an answer, and for a body besides what its length takes; `ENGINE_STORE_TIMEOUT`.
const TIMEOUT: u64 = 30;
/// How often a request is made, the first time counted; `ENGINE_STORE_ATTEMPTS`.
const ATTEMPTS: u64 = 6;
/// No attempt is begun so long after the first.
const LONGEST: Duration = Duration::from_secs(120);
/// Waits between attempts double from the first to the last of these; each is shortened by up to a half.
const WAITS: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(8));
/// Bytes a second that a body has to come at, or go at, beyond [`TIMEOUT`].
const SLOWEST: u64 = 256 << 10;

/// What bounds a request.
struct Bounds {
    timeout: Duration,
    attempts: u64,
}

fn bounds() -> &'static Bounds {
    static BOUNDS: OnceLock<Bounds> = OnceLock::new();
    BOUNDS.get_or_init(|| {
        let set = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok().filter(|n| (1..=3600).contains(n));
        Bounds {
            timeout: Duration::from_secs(set("ENGINE_STORE_TIMEOUT").unwrap_or(TIMEOUT)),
            attempts: set("ENGINE_STORE_ATTEMPTS").unwrap_or(ATTEMPTS),
        }
    })
}

/// The time until an answer begins, or ends, that has to do with this many bytes.
pub(super) fn allowed(bytes: u64) -> Duration {
    bounds().timeout.saturating_add(Duration::from_secs(bytes / SLOWEST))
}

/// One thread that moves bytes; those who ask wait on threads of their own.
fn runtime() -> Result<&'static Runtime, Trouble> {
    static RUNTIME: OnceLock<Result<Runtime, String>> = OnceLock::new();
    let made = RUNTIME.get_or_init(|| {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).max_blocking_threads(4).thread_name("remote").enable_io().enable_time();
        builder.build().map_err(|e| e.to_string())
    });
    made.as_ref().map_err(|e| Trouble::internal(format!("can't start the thread for requests: {e}")))
}

/// Makes a request, again and again where that may help, and waits for what it gives.
///
/// How long an answer may take to begin is seen to by [`super::http`], its body by [`collect`].
pub(super) fn attempt<T, F>(behind: &Behind, request: impl Fn(Arc<dyn ObjectStore>) -> F) -> Result<T, Trouble>
where
    T: Send + 'static,
    F: Future<Output = Result<T, object_store::Error>> + Send + 'static,
{
    let (runtime, since) = (runtime()?, Instant::now());
    let mut made = 0;
    loop {
        let (tell, told) = sync_channel(1);
        let asked = request(behind.store.clone());
        runtime.spawn(async move {
            // Whoever asked waits for it.
            let _ = tell.send(asked.await);
        });
        made += 1;
        let trouble = match told.recv() {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(e)) => Trouble::of(&e),
            Err(_) => return Err(Trouble::internal("the request ended without an answer".into())),
        };
        if !trouble.again || !behind.patient || made >= bounds().attempts || since.elapsed() >= LONGEST {
            return Err(trouble.after(made, since.elapsed()));
        }
        std::thread::sleep(pause(made));
    }
}

/// How long to wait after the attempt of this number, from 1.
fn pause(made: u64) -> Duration {
    let whole = WAITS.0.saturating_mul(1 << (made - 1).min(16)).min(WAITS.1);
    // Those who failed together should not come again together; that is all this number is for.
    let nanos = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().subsec_nanos();
    whole.mul_f64(0.5 + f64::from(nanos % 1000) / 2000.0)
}

/// The pieces of an answer's body, of which there are at most `most` bytes.
pub(super) async fn collect(answer: GetResult, most: u64) -> Result<Vec<Bytes>, object_store::Error> {
    let announced = answer.range.end.saturating_sub(answer.range.start);
    let refused = |bytes: u64| Found::TooMuch { bytes, most }.error();
    if announced > most {
        return Err(refused(announced));
    }
    let limit = allowed(announced);
    let read = async {
        let (mut pieces, mut bytes, mut stream) = (Vec::new(), 0, answer.into_stream());
        while let Some(piece) = stream.next().await {
            let piece = piece?;
            bytes += piece.len() as u64;
            if bytes > announced {
                return Err(refused(bytes));
            }
            pieces.push(piece);
        }
        Ok((pieces, bytes))
    };
    let (pieces, bytes) = match tokio::time::timeout(limit, read).await {
        Ok(read) => read?,
        Err(_) => return Err(Found::Slow(limit).error()),
    };
    if bytes < announced { Err(Found::Cut { bytes, announced }.error()) } else { Ok(pieces) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_end() {
        for (made, whole) in [(1, 250), (2, 500), (3, 1000), (6, 8000), (40, 8000)] {
            let wait = pause(made).as_millis();
            assert!(wait >= whole / 2 && wait <= whole, "{made}: {wait} ms");
        }
        assert_eq!(allowed(1 << 20) - allowed(0), Duration::from_secs(4));
    }
}

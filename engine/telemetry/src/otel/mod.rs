//! Spans for OpenTelemetry: run > stage > task > op, sent over OTLP while the run goes on.
//!
//! Spans are made of events, after the fact, with explicit times and computed ids ([`spans`](self)), and sent by a
//! thread of their own, not by the SDK's batch processor: its queue drops in silence. Nothing here does: what did not
//! arrive is counted and told in one warning. A receiver that can't be reached costs that warning and at most five
//! seconds at the end, never the run.
//!
//! A receiver that answers a request and rejects some of its spans ("partial success") is not noticed: the exporter of
//! `opentelemetry-otlp` keeps that to itself.

mod config;
mod export;
mod spans;
mod trace;
mod transport;

pub use config::{OtlpConfig, OtlpError, Parent, Protocol};
pub use export::{Stats, WAITING_BYTES};

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use engine_runtime::event::{Delivery, Event, Nanos, Subscriber};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// What the end waits beyond the exporter's own limit, for a request that hangs.
const GRACE: Duration = Duration::from_millis(500);

/// Nanoseconds since 1970.
fn now() -> Nanos {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64)
}

/// Sends spans.
pub struct Otel {
    config: Arc<OtlpConfig>,
    stats: Arc<Stats>,
    /// Absent before the run starts, and when its trace is not sampled.
    exporter: Option<Exporter>,
    warnings: Vec<String>,
}

struct Exporter {
    queue: Arc<export::Queue>,
    done: Receiver<()>,
}

impl Otel {
    /// Spans to where the configuration says.
    #[must_use]
    pub fn new(config: OtlpConfig) -> Self {
        let warnings = config.warnings.clone();
        Self { config: Arc::new(config), stats: Arc::default(), exporter: None, warnings }
    }

    /// What becomes of the spans; stays readable when the run is over.
    #[must_use]
    pub fn stats(&self) -> Arc<Stats> {
        Arc::clone(&self.stats)
    }

    fn start(&mut self) {
        let queue = Arc::new(export::Queue::new(Arc::clone(&self.stats)));
        let (tell, done) = bounded(0);
        let (config, shared) = (Arc::clone(&self.config), Arc::clone(&queue));
        let thread = std::thread::Builder::new().name("otlp".into()).spawn(move || {
            // Dropped when the thread ends, in whatever way.
            let _tell = tell;
            export::run(&shared, &config);
        });
        match thread {
            Ok(_) => self.exporter = Some(Exporter { queue, done }),
            Err(error) => self.warnings.push(format!("spans are not sent: no thread could be started: {error}")),
        }
    }

    /// The one warning about spans that did not arrive.
    fn loss(&self) -> Option<String> {
        let (emitted, exported) = (self.stats.emitted(), self.stats.exported());
        if exported >= emitted {
            return None;
        }
        let endpoint = &self.config.endpoint;
        let shown = crate::secret::redact_url(endpoint).unwrap_or_else(|| endpoint.clone());
        let mut text = format!("{} of {emitted} spans did not reach {shown}", emitted.saturating_sub(exported));
        if self.stats.dropped() > 0 {
            text.push_str(&format!(" ({} were never sent, as they came faster than they went)", self.stats.dropped()));
        }
        if let Some(error) = self.stats.error() {
            text.push_str(&format!(": {}", error.replace(endpoint.as_str(), &shown)));
        }
        Some(text)
    }
}

impl Subscriber for Otel {
    fn name(&self) -> &'static str {
        "otel"
    }

    /// Taking an event never waits for the network: it only puts it into a queue, which drops and counts by itself.
    fn delivery(&self) -> Delivery {
        Delivery::Lossless
    }

    fn on_event(&mut self, event: &Event) {
        if let Event::RunStarted(header) = event
            && self.exporter.is_none()
            && self.config.samples(spans::trace_id(header.run_id, self.config.parent.as_ref()))
        {
            self.start();
        }
        if let Some(exporter) = &self.exporter {
            exporter.queue.push(event);
        }
    }

    fn finish(&mut self, _dropped: u64) -> Vec<String> {
        let mut warnings = std::mem::take(&mut self.warnings);
        if let Some(exporter) = self.exporter.take() {
            exporter.queue.close();
            while exporter.done.recv_timeout(Duration::from_millis(50)) == Err(RecvTimeoutError::Timeout) {
                if exporter.queue.is_overdue(GRACE) {
                    // The thread is left to its request; it ends with the process.
                    break;
                }
            }
            warnings.extend(self.loss());
        }
        warnings
    }
}

//! Sends spans over OTLP, one request at a time, and says whether they arrived.

use super::config::{OtlpConfig, Protocol};
use opentelemetry::KeyValue;
use opentelemetry_otlp::{
    ExporterBuildError, RetryPolicy, SpanExporter, WithExportConfig, WithHttpConfig, WithTonicConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::thread::Thread;

/// Why there is no way to the receiver.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransportError {
    #[error(transparent)]
    Exporter(#[from] ExporterBuildError),
    #[error("no runtime for gRPC: {0}")]
    Runtime(#[from] std::io::Error),
}

/// A way to the receiver; owned by the thread that sends.
pub(crate) struct Transport {
    exporter: SpanExporter,
    /// Drives gRPC. HTTP blocks, and must not be called within a runtime.
    runtime: Option<tokio::runtime::Runtime>,
}

impl Transport {
    /// Prepares the way; connects with the first request. Repeating is left to the caller.
    pub(crate) fn open(config: &OtlpConfig) -> Result<Self, TransportError> {
        let (mut exporter, runtime) = match config.protocol {
            Protocol::HttpProtobuf => {
                engine_runtime::store::tls();
                let builder = SpanExporter::builder()
                    .with_http()
                    .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
                    .with_endpoint(&config.endpoint)
                    .with_timeout(config.timeout)
                    .with_retry_policy(RetryPolicy::disabled());
                (builder.build()?, None)
            }
            Protocol::Grpc => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                let builder = SpanExporter::builder()
                    .with_tonic()
                    .with_endpoint(&config.endpoint)
                    .with_timeout(config.timeout)
                    .with_retry_policy(RetryPolicy::disabled());
                let exporter = {
                    let _inside = runtime.enter();
                    builder.build()?
                };
                (exporter, Some(runtime))
            }
        };
        let attributes = config.resource.iter().map(|(name, value)| match value.parse::<i64>() {
            Ok(pid) if name == "process.pid" => KeyValue::new(name.clone(), pid),
            _ => KeyValue::new(name.clone(), value.clone()),
        });
        exporter.set_resource(&Resource::builder_empty().with_attributes(attributes).build());
        Ok(Self { exporter, runtime })
    }

    /// Sends spans and waits for the answer.
    pub(crate) fn send(&self, spans: Vec<SpanData>) -> OTelSdkResult {
        match &self.runtime {
            Some(runtime) => runtime.block_on(self.exporter.export(spans)),
            None => block_on(self.exporter.export(spans)),
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future on this thread, without a runtime.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

//! Where spans go, from `--otlp` and the standard variables of OpenTelemetry.
//!
//! | what | first | then | otherwise |
//! |---|---|---|---|
//! | endpoint | `--otlp` | `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` (as it is), `OTEL_EXPORTER_OTLP_ENDPOINT` | no spans |
//! | protocol | `OTEL_EXPORTER_OTLP_TRACES_PROTOCOL` | `OTEL_EXPORTER_OTLP_PROTOCOL` | `grpc` on port 4317, else `http/protobuf` |
//! | timeout | `OTEL_EXPORTER_OTLP_TRACES_TIMEOUT` | `OTEL_EXPORTER_OTLP_TIMEOUT` | 10 000 ms |
//! | service | `OTEL_SERVICE_NAME` | `service.name` in `OTEL_RESOURCE_ATTRIBUTES` | `engine` |
//! | sampling | `OTEL_TRACES_SAMPLER` with `_ARG` | | `parentbased_always_on` |
//! | parent | `TRACEPARENT`, `TRACESTATE` | | a new trace |
//!
//! `/v1/traces` is added to endpoints of http/protobuf that are not traces endpoints already. Headers
//! (`OTEL_EXPORTER_OTLP_HEADERS`, `_TRACES_HEADERS`) and
//! compression (`OTEL_EXPORTER_OTLP_COMPRESSION`, `_TRACES_COMPRESSION`: gzip) are read by the exporter itself.
//! `OTEL_SDK_DISABLED=true` and `OTEL_TRACES_EXPORTER=none` switch spans off, `--otlp` included. A run is sampled as a
//! whole.

use crate::cluster::Env;
use opentelemetry::trace::{SpanId, SpanKind, TraceId, TraceState};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, ShouldSample};
use std::str::FromStr;
use std::time::Duration;

/// How spans travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// OTLP over gRPC.
    Grpc,
    /// OTLP over HTTP, as protobuf.
    HttpProtobuf,
}

/// The span that started this process.
#[derive(Debug, Clone, PartialEq)]
pub struct Parent {
    /// Its trace.
    pub trace: TraceId,
    /// Itself.
    pub span: SpanId,
    /// Whether it is recorded.
    pub sampled: bool,
    /// What vendors attached to it.
    pub state: TraceState,
}

/// Everything an exporter has to know.
#[derive(Debug, Clone, PartialEq)]
pub struct OtlpConfig {
    /// The URL spans are sent to.
    pub endpoint: String,
    /// How they travel.
    pub protocol: Protocol,
    /// Longest wait for one answer.
    pub timeout: Duration,
    /// Attributes of the resource, sorted by name.
    pub resource: Vec<(String, String)>,
    /// The span that started this process.
    pub parent: Option<Parent>,
    /// What of the configuration was not understood and ignored.
    pub warnings: Vec<String>,
    sampler: Sampling,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Sampling {
    Never,
    Always,
    Ratio(f64),
}

/// Why spans cannot be sent as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OtlpError {
    /// A protocol that is not built in.
    #[error("{variable}: expected grpc or http/protobuf, found {found:?}; spans are not sent")]
    Protocol {
        /// The variable.
        variable: &'static str,
        /// Its value.
        found: String,
    },
    /// TLS is not built in.
    #[error(
        "{endpoint}: https is not built in; send spans over http to a collector on this network, which forwards them"
    )]
    Tls {
        /// The endpoint, without secrets.
        endpoint: String,
    },
}

impl OtlpConfig {
    /// Reads the configuration; nothing when spans were not asked for or are switched off.
    ///
    /// # Errors
    /// When spans were asked for in a way that is not built in.
    pub fn read(option: Option<&str>, env: Env<'_>) -> Result<Option<Self>, OtlpError> {
        let env = |name: &str| env(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        if env("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
            || env("OTEL_TRACES_EXPORTER").is_some_and(|value| value == "none")
        {
            return Ok(None);
        }
        let exact = env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").filter(|_| option.is_none());
        let base = option.map(str::to_owned).or_else(|| env("OTEL_EXPORTER_OTLP_ENDPOINT"));
        let Some(endpoint) = exact.clone().or(base) else { return Ok(None) };
        let mut endpoint = if endpoint.contains("://") { endpoint } else { format!("http://{endpoint}") };
        if endpoint.starts_with("https:") {
            let endpoint = crate::secret::redact_url(&endpoint).unwrap_or(endpoint);
            return Err(OtlpError::Tls { endpoint });
        }
        let protocol = protocol(&endpoint, &env)?;
        if protocol == Protocol::HttpProtobuf && exact.is_none() && !endpoint.ends_with("/v1/traces") {
            endpoint = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
        }
        let mut warnings = Vec::new();
        let timeout = timeout(&env, &mut warnings);
        let parent = parent(&env, &mut warnings);
        let sampler = sampler(&env, parent.as_ref(), &mut warnings);
        let resource = resource(&env, &mut warnings);
        Ok(Some(Self { endpoint, protocol, timeout, resource, parent, warnings, sampler }))
    }

    /// True when the spans of a trace are to be sent.
    #[must_use]
    pub fn samples(&self, trace: TraceId) -> bool {
        let sampler = match self.sampler {
            Sampling::Never => Sampler::AlwaysOff,
            Sampling::Always => Sampler::AlwaysOn,
            Sampling::Ratio(ratio) => Sampler::TraceIdRatioBased(ratio),
        };
        let result = sampler.should_sample(None, trace, "run", &SpanKind::Internal, &[], &[]);
        result.decision == SamplingDecision::RecordAndSample
    }
}

type Vars<'a> = dyn Fn(&str) -> Option<String> + 'a;

fn protocol(endpoint: &str, env: &Vars<'_>) -> Result<Protocol, OtlpError> {
    for variable in ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"] {
        match env(variable).as_deref() {
            None => {}
            Some("grpc") => return Ok(Protocol::Grpc),
            Some("http/protobuf") => return Ok(Protocol::HttpProtobuf),
            Some(found) => return Err(OtlpError::Protocol { variable, found: found.to_owned() }),
        }
    }
    let authority = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest).split(['/', '?']).next();
    let grpc = authority.is_some_and(|authority| authority.ends_with(":4317"));
    Ok(if grpc { Protocol::Grpc } else { Protocol::HttpProtobuf })
}

fn timeout(env: &Vars<'_>, warnings: &mut Vec<String>) -> Duration {
    for variable in ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"] {
        match env(variable).map(|value| (value.parse().ok(), value)) {
            None => {}
            Some((Some(millis), _)) => return Duration::from_millis(millis),
            Some((None, found)) => {
                warnings.push(format!("{variable}: expected milliseconds, found {found:?}; ignored"))
            }
        }
    }
    Duration::from_secs(10)
}

fn parent(env: &Vars<'_>, warnings: &mut Vec<String>) -> Option<Parent> {
    let text = env("TRACEPARENT")?;
    let state = env("TRACESTATE").and_then(|state| TraceState::from_str(&state).ok()).unwrap_or_default();
    let parent = parse_traceparent(&text, state);
    if parent.is_none() {
        warnings.push(format!(
            "TRACEPARENT: expected 00-<32 hex>-<16 hex>-<2 hex>, found {text:?}; a new trace is started"
        ));
    }
    parent
}

/// W3C Trace Context, version 00 and what later versions keep of it.
fn parse_traceparent(text: &str, state: TraceState) -> Option<Parent> {
    let hex = |text: &str, length: usize| {
        (text.len() == length && text.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c))).then_some(())
    };
    let mut parts = text.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    hex(version, 2)?;
    hex(trace, 32)?;
    hex(span, 16)?;
    hex(flags, 2)?;
    if version == "ff" || (version == "00" && parts.next().is_some()) {
        return None;
    }
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    if trace == TraceId::INVALID || span == SpanId::INVALID {
        return None;
    }
    Some(Parent { trace, span, sampled: u8::from_str_radix(flags, 16).ok()? & 1 == 1, state })
}

fn sampler(env: &Vars<'_>, parent: Option<&Parent>, warnings: &mut Vec<String>) -> Sampling {
    let name = env("OTEL_TRACES_SAMPLER").unwrap_or_else(|| "parentbased_always_on".to_owned());
    let root = name.strip_prefix("parentbased_");
    if let (Some(_), Some(parent)) = (root, parent) {
        return if parent.sampled { Sampling::Always } else { Sampling::Never };
    }
    match root.unwrap_or(&name) {
        "always_on" => Sampling::Always,
        "always_off" => Sampling::Never,
        "traceidratio" => {
            let text = env("OTEL_TRACES_SAMPLER_ARG").unwrap_or_else(|| "1".to_owned());
            match text.parse::<f64>() {
                Ok(ratio) if (0.0..=1.0).contains(&ratio) => Sampling::Ratio(ratio),
                _ => {
                    warnings.push(format!(
                        "OTEL_TRACES_SAMPLER_ARG: expected a number from 0 to 1, found {text:?}; 1 is used"
                    ));
                    Sampling::Always
                }
            }
        }
        _ => {
            warnings.push(format!(
                "OTEL_TRACES_SAMPLER: expected always_on, always_off, traceidratio or one of these after parentbased_, \
                 found {name:?}; parentbased_always_on is used"
            ));
            match parent {
                Some(parent) if !parent.sampled => Sampling::Never,
                _ => Sampling::Always,
            }
        }
    }
}

fn resource(env: &Vars<'_>, warnings: &mut Vec<String>) -> Vec<(String, String)> {
    let mut attributes = std::collections::BTreeMap::new();
    attributes.insert("service.name".to_owned(), "engine".to_owned());
    attributes.insert("service.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    attributes.insert("host.name".to_owned(), rustix::system::uname().nodename().to_string_lossy().into_owned());
    attributes.insert("process.pid".to_owned(), std::process::id().to_string());
    attributes.insert("telemetry.sdk.language".to_owned(), "rust".to_owned());
    attributes.insert("telemetry.sdk.name".to_owned(), "opentelemetry".to_owned());
    for pair in env("OTEL_RESOURCE_ATTRIBUTES").iter().flat_map(|text| text.split(',')) {
        match pair.split_once('=') {
            Some((name, value)) if !name.trim().is_empty() => {
                attributes.insert(name.trim().to_owned(), percent_decode(value.trim()));
            }
            _ if pair.trim().is_empty() => {}
            _ => warnings.push("OTEL_RESOURCE_ATTRIBUTES: expected name=value,..; one entry was ignored".to_owned()),
        }
    }
    if let Some(name) = env("OTEL_SERVICE_NAME") {
        attributes.insert("service.name".to_owned(), name);
    }
    attributes.into_iter().collect()
}

/// Decodes `%2C`; what is no code stays as it is.
fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = tail.get(..2).filter(|_| *first == b'%').and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;

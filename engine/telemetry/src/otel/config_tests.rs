//! Precedence and defaults of the standard variables.

use super::*;

fn read(option: Option<&str>, vars: &[(&str, &str)]) -> Result<Option<OtlpConfig>, OtlpError> {
    OtlpConfig::read(option, &|name| vars.iter().find(|(var, _)| *var == name).map(|(_, value)| (*value).to_owned()))
}

fn config(option: Option<&str>, vars: &[(&str, &str)]) -> OtlpConfig {
    read(option, vars).unwrap().unwrap()
}

const ON: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://h:4318");
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[test]
fn spans_are_off_until_asked_for_and_can_be_switched_off() {
    assert_eq!(read(None, &[]), Ok(None));
    assert_eq!(read(None, &[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")]), Ok(None));
    assert_eq!(read(Some("h:4317"), &[("OTEL_SDK_DISABLED", "TRUE")]), Ok(None));
    assert_eq!(read(None, &[ON, ("OTEL_TRACES_EXPORTER", "none")]), Ok(None));
    assert!(read(None, &[ON, ("OTEL_SDK_DISABLED", "false")]).unwrap().is_some());
}

#[test]
fn endpoints_follow_the_specification() {
    let exact = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t:1/custom");
    assert_eq!(config(None, &[ON]).endpoint, "http://h:4318/v1/traces");
    assert_eq!(config(None, &[ON, exact]).endpoint, "http://t:1/custom");
    assert_eq!(config(Some("http://o:9/"), &[ON, exact]).endpoint, "http://o:9/v1/traces");
    assert_eq!(config(Some("http://o:9/v1/traces"), &[]).endpoint, "http://o:9/v1/traces");
    assert_eq!(config(Some("localhost:4317"), &[]).endpoint, "http://localhost:4317");
    let error = read(Some("https://me:s3cret@o"), &[]).unwrap_err().to_string();
    assert!(error.contains("https is not built in") && !error.contains("s3cret"), "{error}");
}

#[test]
fn the_protocol_is_http_unless_a_variable_or_the_port_says_grpc() {
    assert_eq!(config(None, &[ON]).protocol, Protocol::HttpProtobuf);
    assert_eq!(config(Some("http://h:4317/x"), &[]).protocol, Protocol::Grpc);
    let grpc = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    let http = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf");
    assert_eq!(config(None, &[ON, grpc]).protocol, Protocol::Grpc);
    assert_eq!(config(Some("h:4317"), &[grpc, http]).protocol, Protocol::HttpProtobuf);
    let error = read(None, &[ON, ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")]).unwrap_err().to_string();
    assert!(error.contains("found \"http/json\""), "{error}");
}

#[test]
fn the_parent_is_read_from_the_trace_context() {
    let parent = config(None, &[ON, ("TRACEPARENT", PARENT), ("TRACESTATE", "a=b")]).parent.unwrap();
    assert_eq!(parent.trace.to_string(), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!((parent.span.to_string().as_str(), parent.sampled), ("b7ad6b7169203331", true));
    assert_eq!(parent.state.header(), "a=b");
    let zero = "00-00000000000000000000000000000000-b7ad6b7169203331-01";
    let upper = PARENT.to_uppercase();
    let long = format!("{PARENT}-x");
    for wrong in [zero, &upper, &long, "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "x", "00-+1-2-3"] {
        let config = config(None, &[ON, ("TRACEPARENT", wrong)]);
        assert_eq!((config.parent, config.warnings.len()), (None, 1), "{wrong}");
    }
}

#[test]
fn sampling_follows_the_parent_and_the_ratio() {
    let trace = TraceId::from_hex("0af7651916cd43dd8448eb211c80319c").unwrap();
    let samples = |vars: &[(&str, &str)]| {
        let vars: Vec<_> = vars.iter().chain(&[ON]).copied().collect();
        config(None, &vars).samples(trace)
    };
    let off = PARENT.replace("-01", "-00");
    assert!(samples(&[]));
    assert!(!samples(&[("TRACEPARENT", &off)]));
    assert!(samples(&[("TRACEPARENT", &off), ("OTEL_TRACES_SAMPLER", "always_on")]));
    assert!(!samples(&[("OTEL_TRACES_SAMPLER", "always_off")]));
    assert!(!samples(&[("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0")]));
    assert!(samples(&[("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "1")]));
    assert_eq!(config(None, &[ON, ("OTEL_TRACES_SAMPLER", "jaeger")]).warnings.len(), 1);
}

#[test]
fn the_resource_has_the_service_and_what_the_environment_adds() {
    let attributes = ("OTEL_RESOURCE_ATTRIBUTES", "team=a%2Cb, service.name=other,x=%zz");
    let find = |config: &OtlpConfig, name: &str| {
        config.resource.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone()).unwrap()
    };
    let first = config(None, &[ON, attributes]);
    assert_eq!((find(&first, "service.name"), find(&first, "team")), ("other".into(), "a,b".into()));
    assert_eq!(find(&first, "x"), "%zz");
    let second = config(None, &[ON, attributes, ("OTEL_SERVICE_NAME", "mine")]);
    assert_eq!(find(&second, "service.name"), "mine");
    assert_eq!(find(&config(None, &[ON]), "service.name"), "engine");
}

#[test]
fn the_timeout_is_in_milliseconds() {
    assert_eq!(config(None, &[ON]).timeout, Duration::from_secs(10));
    assert_eq!(config(None, &[ON, ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500")]).timeout, Duration::from_millis(1500));
    assert_eq!(config(None, &[ON, ("OTEL_EXPORTER_OTLP_TIMEOUT", "1s")]).warnings.len(), 1);
}

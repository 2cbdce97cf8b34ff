//! From a URL and the environment to what is asked.

use super::http::Connector;
use engine_model::place::{self, Scheme};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::http::HttpBuilder;
use object_store::memory::InMemory;
use object_store::{ClientOptions, ObjectStore, RetryConfig};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A store and where in it the URL leads.
#[derive(Debug, Clone)]
pub(super) struct Behind {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) prefix: String,
    /// True where the URL is written with `%` escapes.
    pub(super) escaped: bool,
    /// True where keys can be listed.
    pub(super) lists: bool,
    /// True where what fails is tried again.
    pub(super) patient: bool,
}

/// Buckets, hosts and names that were asked before: they keep their connections, and memory its content.
static KNOWN: Mutex<BTreeMap<(Scheme, String), Arc<dyn ObjectStore>>> = Mutex::new(BTreeMap::new());

/// What a URL means; the environment is looked at when a bucket is first named.
pub(super) fn to(text: &str) -> Result<Behind, String> {
    let url = place::url(text)?;
    let key = (url.scheme, url.authority.to_owned());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let store = match known.get(&key) {
        Some(store) => store.clone(),
        None => {
            let made: Arc<dyn ObjectStore> = match url.scheme {
                Scheme::S3 => s3(url.authority)?,
                Scheme::Http | Scheme::Https => http(url.scheme, url.authority)?,
                Scheme::Memory => Arc::new(InMemory::new()),
            };
            known.insert(key, made.clone());
            made
        }
    };
    let web = matches!(url.scheme, Scheme::Http | Scheme::Https);
    Ok(Behind { store, prefix: url.path.to_owned(), escaped: web, lists: !web, patient: true })
}

/// Sets up encryption for this process, once; before any client of HTTP is made.
pub(crate) fn tls() {
    // Another that was set before is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Requests are tried again by us, not there.
fn once() -> RetryConfig {
    RetryConfig { max_retries: 0, ..RetryConfig::default() }
}

fn http(scheme: Scheme, host: &str) -> Result<Arc<dyn ObjectStore>, String> {
    let options = ClientOptions::new().with_allow_http(scheme == Scheme::Http);
    let builder = HttpBuilder::new().with_url(format!("{}://{host}", scheme.name())).with_retry(once());
    let built = builder.with_client_options(options).with_http_connector(Connector { redirects: true }).build();
    built.map(|s| Arc::new(s) as Arc<dyn ObjectStore>).map_err(|e| format!("can't be asked: {e}"))
}

/// A bucket, as the variables of AWS tools say: endpoint, region and credentials.
fn s3(bucket: &str) -> Result<Arc<dyn ObjectStore>, String> {
    let mut builder = AmazonS3Builder::from_env();
    let set = |key: AmazonS3ConfigKey| builder.get_config_value(&key).filter(|v| !v.is_empty());
    let endpoint = set(AmazonS3ConfigKey::S3Endpoint).or_else(|| set(AmazonS3ConfigKey::Endpoint));
    let region = set(AmazonS3ConfigKey::Region).or_else(|| set(AmazonS3ConfigKey::DefaultRegion));
    let signed = set(AmazonS3ConfigKey::SkipSignature).is_none_or(|v| !matches!(v.as_str(), "true" | "1"));
    let credentials = [
        AmazonS3ConfigKey::AccessKeyId,
        AmazonS3ConfigKey::WebIdentityTokenFile,
        AmazonS3ConfigKey::ContainerCredentialsRelativeUri,
        AmazonS3ConfigKey::ContainerCredentialsFullUri,
    ];
    if signed && credentials.into_iter().all(|key| set(key).is_none()) {
        return Err(
            "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_SKIP_SIGNATURE=true for a \
                    public bucket"
                .into(),
        );
    }
    if signed && set(AmazonS3ConfigKey::AccessKeyId).is_some() && set(AmazonS3ConfigKey::SecretAccessKey).is_none() {
        return Err("AWS_ACCESS_KEY_ID is set, expected AWS_SECRET_ACCESS_KEY beside it".into());
    }
    let mut options = ClientOptions::new();
    if let Some(endpoint) = &endpoint {
        let host = endpoint.split_once("://").map(|(scheme, rest)| (scheme, rest.split('/').next().unwrap_or(rest)));
        match host {
            Some(("http" | "https", host)) if !host.contains('@') && !endpoint.contains('?') => {}
            // It may hold a secret, so it is not repeated.
            _ => return Err("AWS_ENDPOINT_URL: expected `http://HOST` or `https://HOST` without a password".into()),
        }
        options = options.with_allow_http(endpoint.starts_with("http://"));
        builder = builder.with_endpoint(endpoint.trim_end_matches('/'));
        builder = builder.with_config(AmazonS3ConfigKey::S3Endpoint, endpoint.trim_end_matches('/'));
    }
    let builder = builder
        .with_bucket_name(bucket)
        .with_region(region.unwrap_or_else(|| "us-east-1".into()))
        .with_client_options(options)
        .with_retry(once())
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_disable_bulk_delete(true)
        .with_http_connector(Connector { redirects: false });
    // What is wrong with credentials must not be repeated; object_store names variables, not their values.
    builder.build().map(|s| Arc::new(s) as Arc<dyn ObjectStore>).map_err(|e| format!("can't be asked: {e}"))
}

//! The HTTP client beneath: how long an answer may take to begin, how far redirects are followed, and what of an answer
//! that is no success is read.

use super::attempt::allowed;
use super::trouble::Found;
use futures_util::StreamExt;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody, HttpService,
};
use reqwest::redirect::Policy;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// How long it may take until there is a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// Bytes of an answer that says why there is no other.
const EXPLANATION: u64 = 64 << 10;
/// Bytes of a list of keys, of which there are at most a thousand in one.
const LIST: u64 = 8 << 20;
/// Bytes of an answer that does not say how many they are: metadata that a server makes as it sends it.
const OPEN: u64 = 16 << 20;
/// Redirects that are followed one after the other.
const REDIRECTS: usize = 5;

/// Makes clients.
#[derive(Debug, Clone, Copy)]
pub(super) struct Connector {
    /// Follows redirects; a signed request can't.
    pub(super) redirects: bool,
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        super::connect::tls();
        let policy = if self.redirects { following() } else { Policy::none() };
        let builder = reqwest::Client::builder().connect_timeout(CONNECT).redirect(policy).http1_only();
        let built = builder.user_agent(concat!("engine/", env!("CARGO_PKG_VERSION"))).build();
        let client = built.map_err(|e| object_store::Error::Generic { store: "HTTP", source: Box::new(e) })?;
        Ok(HttpClient::new(Bounded { client }))
    }
}

/// A few redirects, none of which gives encryption up.
fn following() -> Policy {
    Policy::custom(|next| {
        let before = next.previous();
        if before.len() > REDIRECTS {
            return next.error(format!("redirects more than {REDIRECTS} times"));
        }
        if before.last().is_some_and(|url| url.scheme() == "https") && next.url().scheme() != "https" {
            return next.error("redirects from https to what is not encrypted");
        }
        next.follow()
    })
}

/// A client whose answers are bounded.
#[derive(Debug)]
struct Bounded {
    client: reqwest::Client,
}

type Answer<'a> = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'a>>;

impl HttpService for Bounded {
    fn call<'a, 'b>(&'a self, request: HttpRequest) -> Answer<'b>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move {
            let sent = request.headers().get("content-length").and_then(|v| v.to_str().ok()?.parse().ok()).unwrap_or(0);
            let listing = request.uri().query().is_some_and(|q| q.contains("list-type="));
            let limit = allowed(sent);
            let slow = |_| HttpError::new(HttpErrorKind::Timeout, Found::Slow(limit));
            let begun = tokio::time::timeout(limit, HttpService::call(&self.client, request)).await;
            let answer = begun.map_err(slow)??;
            let status = answer.status();
            let open = !answer.headers().contains_key("content-length");
            if status.is_success() && !listing && !open {
                return Ok(answer);
            }
            let (mut parts, body) = answer.into_parts();
            let most = match (status.is_success(), listing) {
                (true, true) => LIST,
                (true, false) => OPEN,
                (false, _) => EXPLANATION,
            };
            let text = tokio::time::timeout(limit, read(body, most)).await;
            if status.is_success() {
                let text = text.map_err(slow)??;
                if open {
                    parts.headers.insert("content-length", text.len().into());
                }
                return Ok(HttpResponse::from_parts(parts, text.into()));
            }
            // It is no success whether it can be read why or not.
            let text = text.ok().and_then(Result::ok).unwrap_or_default();
            let found = Found::Status { status: status.as_u16(), code: code(&String::from_utf8_lossy(&text)) };
            Err(HttpError::new(HttpErrorKind::Unknown, found))
        })
    }
}

/// A whole body that is not longer than this.
async fn read(body: HttpResponseBody, most: u64) -> Result<Vec<u8>, HttpError> {
    let (mut all, mut stream) = (Vec::new(), body.bytes_stream());
    while let Some(piece) = stream.next().await {
        all.extend_from_slice(&piece?);
        let bytes = all.len() as u64;
        if bytes > most {
            return Err(HttpError::new(HttpErrorKind::Unknown, Found::TooMuch { bytes, most }));
        }
    }
    Ok(all)
}

/// What S3 calls an error: the text between `<Code>` and its end, where it is a plain word.
fn code(text: &str) -> String {
    let inside =
        text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>")).map_or("", |(code, _)| code);
    let plain = inside.len() <= 64 && inside.chars().all(|c| c.is_ascii_alphanumeric());
    if plain { inside.to_owned() } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_a_plain_word() {
        assert_eq!(code("<?xml?><Error><Code>SlowDown</Code><Message>m</Message></Error>"), "SlowDown");
        assert_eq!(code("<html>no</html>"), "");
        assert_eq!(code("<Code>a\u{1b}[31m b</Code>"), "");
    }
}

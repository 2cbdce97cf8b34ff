//! What went wrong with a request: what it is called, and whether trying again may help.

use crate::store::StoreError;
use crate::store::read::{corrupt, lower, unsupported};
use object_store::client::{HttpError, HttpErrorKind};
use std::error::Error;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;
use thiserror::Error;

/// What was found out about a request that failed, carried through `object_store` as the source of its error.
#[derive(Debug, Clone, Error)]
pub(super) enum Found {
    /// The server answers with a status that is no success.
    #[error("the server answers {}", answer(*status, code))]
    Status {
        /// Its number.
        status: u16,
        /// What the server calls the error; empty where it says nothing.
        code: String,
    },
    /// The answer is longer than it can be.
    #[error("the answer has {bytes} bytes or more, expected at most {most}")]
    TooMuch {
        /// What was announced, or came.
        bytes: u64,
        /// What was expected.
        most: u64,
    },
    /// The answer ended early.
    #[error("the answer ended after {bytes} of {announced} bytes")]
    Cut {
        /// What came.
        bytes: u64,
        /// What was announced.
        announced: u64,
    },
    /// The answer took too long.
    #[error("no complete answer within {} s", .0.as_secs())]
    Slow(Duration),
}

impl Found {
    /// As an error of `object_store`.
    pub(super) fn error(self) -> object_store::Error {
        object_store::Error::Generic { store: "", source: Box::new(self) }
    }
}

fn answer(status: u16, code: &str) -> String {
    let known = match status {
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "",
    };
    match if code.is_empty() { known } else { code } {
        "" => status.to_string(),
        name => format!("{status} {name}"),
    }
}

/// The part of a failure that is decided on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// There is no such key.
    Absent,
    /// The condition of a write does not hold.
    Condition,
    /// The content is not what it has to be.
    Damaged,
    /// The server can't do this.
    Unable,
    /// Anything else.
    Failed(ErrorKind),
}

/// A request that failed.
#[derive(Debug, Clone)]
pub(crate) struct Trouble {
    pub(super) why: Why,
    /// True where trying again may help.
    pub(super) again: bool,
    text: String,
}

impl Trouble {
    fn new(why: Why, again: bool, text: impl Into<String>) -> Trouble {
        Trouble { why, again, text: text.into() }
    }

    /// Nothing that the server did.
    pub(super) fn internal(text: String) -> Trouble {
        Trouble::new(Why::Failed(ErrorKind::Other), false, text)
    }

    /// What an error of `object_store` means.
    pub(super) fn of(error: &object_store::Error) -> Trouble {
        let chain = || {
            std::iter::successors(Some(error as &(dyn Error + 'static)), |e: &&(dyn Error + 'static)| (**e).source())
        };
        if let Some(found) = chain().find_map(|e| e.downcast_ref::<Found>()) {
            return Trouble::found(found);
        }
        if let Some(e) = chain().find_map(|e| e.downcast_ref::<reqwest::Error>()).filter(|e| e.is_redirect()) {
            return Trouble::new(Why::Failed(ErrorKind::Other), false, format!("the server {}", deepest(e)));
        }
        if let Some(e) = chain().filter_map(|e| e.downcast_ref::<std::io::Error>()).find_map(encryption) {
            let text = format!("can't connect ({})", lower(&e.to_string()));
            return Trouble::new(Why::Failed(ErrorKind::NotConnected), false, text);
        }
        if let Some(e) = chain().find_map(|e| e.downcast_ref::<HttpError>()) {
            let (kind, text) = match e.kind() {
                HttpErrorKind::Connect => (ErrorKind::NotConnected, "can't connect"),
                HttpErrorKind::Timeout => (ErrorKind::TimedOut, "no answer in time"),
                _ => (ErrorKind::ConnectionReset, "the connection was lost"),
            };
            return Trouble::new(Why::Failed(kind), true, format!("{text} ({})", deepest(e)));
        }
        match error {
            object_store::Error::NotFound { .. } => Trouble::new(Why::Absent, false, "there is no such key"),
            object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. } => {
                Trouble::new(Why::Condition, false, "the key was changed by someone else")
            }
            object_store::Error::NotSupported { .. } => Trouble::new(
                Why::Unable,
                false,
                "the server does not send parts of a value (ranges), which shards need",
            ),
            other => Trouble::new(Why::Damaged, false, deepest(other)),
        }
    }

    fn found(found: &Found) -> Trouble {
        let text = found.to_string();
        match found {
            Found::Status { status: 404, code } if code.is_empty() || code == "NoSuchKey" || code == "NotFound" => {
                Trouble::new(Why::Absent, false, text)
            }
            // Others write the same key at this moment: a moment later it is as one of them left it.
            Found::Status { status: 409, .. } => Trouble::new(Why::Condition, true, text),
            Found::Status { status: 412, .. } => Trouble::new(Why::Condition, false, text),
            Found::Status { status: 416, .. } => {
                Trouble::new(Why::Damaged, false, "it has no such bytes: truncated or damaged")
            }
            Found::Status { status: status @ (401 | 403), .. } => {
                let help = "are the credentials in the environment right, and may they do this?";
                let text = if *status == 403 { format!("{text}; {help}") } else { format!("{text}: {help}") };
                Trouble::new(Why::Failed(ErrorKind::PermissionDenied), false, text)
            }
            Found::Status { status: 301 | 307 | 308, .. } => {
                let text = format!("{text}: it lies elsewhere; is AWS_REGION right?");
                Trouble::new(Why::Failed(ErrorKind::Other), false, text)
            }
            Found::Status { status: 404, .. } => Trouble::new(Why::Failed(ErrorKind::NotFound), false, text),
            Found::Status { status, .. } => {
                let again = *status >= 500 || matches!(status, 408 | 425 | 429);
                Trouble::new(Why::Failed(ErrorKind::Other), again, text)
            }
            Found::TooMuch { .. } => Trouble::new(Why::Damaged, false, text),
            Found::Cut { .. } => Trouble::new(Why::Failed(ErrorKind::UnexpectedEof), true, text),
            Found::Slow(_) => Trouble::new(Why::Failed(ErrorKind::TimedOut), true, text),
        }
    }

    /// The same, with how long it was tried.
    pub(super) fn after(self, attempts: u64, since: Duration) -> Trouble {
        let text = match attempts {
            0 | 1 => self.text,
            n => format!("{}, in {n} attempts within {:.0} s", self.text, since.as_secs_f64()),
        };
        Trouble { text, ..self }
    }

    /// As an error of the store at `root` that was doing something.
    pub(super) fn told(self, root: &Path, doing: &str) -> StoreError {
        let message = format!("{doing} failed: {}", self.text);
        match self.why {
            Why::Damaged => corrupt(root, message),
            Why::Unable => unsupported(root, message),
            Why::Absent => StoreError::Io { path: root.into(), message, kind: ErrorKind::NotFound },
            Why::Condition => StoreError::Io { path: root.into(), message, kind: ErrorKind::AlreadyExists },
            Why::Failed(kind) => StoreError::Io { path: root.into(), message, kind },
        }
    }
}

/// What is wrong with a certificate: it will be no other one the next time.
fn encryption(e: &std::io::Error) -> Option<&rustls::Error> {
    let found = e.get_ref()?.downcast_ref::<rustls::Error>()?;
    matches!(found, rustls::Error::InvalidCertificate(_)).then_some(found)
}

/// The last of a chain of errors: those above it repeat what is known.
fn deepest(error: &(dyn Error + 'static)) -> String {
    let last = std::iter::successors(Some(error), |e: &&(dyn Error + 'static)| (**e).source()).last();
    lower(&last.map(ToString::to_string).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(status: u16, code: &str) -> Trouble {
        Trouble::of(&Found::Status { status, code: code.into() }.error())
    }

    #[test]
    fn answers_are_told_apart() {
        assert_eq!(status(404, "").why, Why::Absent);
        assert_eq!(status(404, "NoSuchBucket").why, Why::Failed(ErrorKind::NotFound));
        assert_eq!(status(412, "PreconditionFailed").why, Why::Condition);
        assert!(status(409, "OperationAborted").again && !status(412, "").again);
        assert_eq!(status(403, "AccessDenied").why, Why::Failed(ErrorKind::PermissionDenied));
        assert_eq!(status(416, "").why, Why::Damaged);
        for (n, again) in [(500, true), (503, true), (429, true), (403, false), (400, false), (404, false)] {
            assert_eq!(status(n, "").again, again, "{n}");
        }
        let text =
            status(503, "SlowDown").after(6, Duration::from_millis(7900)).told(Path::new("s3://b/k"), "reading `c/0`");
        assert_eq!(
            text.to_string(),
            "reading `c/0` failed: the server answers 503 SlowDown, in 6 attempts within 8 s: s3://b/k"
        );
    }
}

//! The transport of requests to rng and hasher, and its errors.

use std::{error::Error, fmt, future::Future};

use bytes::Bytes;
use http::{Request, Response};

/// A service that the worker sends requests to.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Peer {
    /// Random bytes.
    Rng,
    /// Hashes.
    Hasher,
}

impl Peer {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Rng, Self::Hasher];

    /// The name in metrics and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rng => "rng",
            Self::Hasher => "hasher",
        }
    }
}

/// How requests reach rng and hasher: over HTTP, or straight into their routers in a simulation.
pub trait Transport: Send + Sync + 'static {
    /// Sends a request and returns the whole response, whatever its status, of up to `limit` bytes.
    fn send(
        &self,
        peer: Peer,
        request: Request<Bytes>,
        limit: usize,
    ) -> impl Future<Output = Result<Response<Bytes>, RequestError>> + Send;
}

/// The kind of an error of a request.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum ErrorKind {
    /// No connection.
    Connect,
    /// No response in time.
    Timeout,
    /// A status other than 200.
    Status,
    /// A response that is not what was requested.
    Answer,
    /// Any other error, such as a connection that ended.
    Other,
}

impl ErrorKind {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Connect, Self::Timeout, Self::Status, Self::Answer, Self::Other];

    /// The name in metrics and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Status => "status",
            Self::Answer => "answer",
            Self::Other => "other",
        }
    }
}

/// A request without an accepted response. Displays the cause, after the address of the peer.
#[derive(Debug)]
pub struct RequestError {
    /// The peer that the request was for.
    pub peer: Peer,
    /// The kind of the error.
    pub kind: ErrorKind,
    pub(crate) text: String,
    /// Whether a kept connection ended before the response began: the request can be sent again.
    pub(crate) is_stale: bool,
}

impl RequestError {
    /// An error of this kind, with an error text.
    pub fn new(peer: Peer, kind: ErrorKind, text: impl Into<String>) -> Self {
        Self { peer, kind, text: text.into(), is_stale: false }
    }

    /// Any other error, with the text of its innermost cause: the outer ones are about the client.
    pub(crate) fn other(peer: Peer, error: &(dyn Error + 'static)) -> Self {
        Self::new(peer, ErrorKind::Other, root_cause(error).to_string())
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for RequestError {}

/// The innermost error.
pub(crate) fn root_cause<'a>(mut error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    while let Some(source) = error.source() {
        error = source;
    }
    error
}

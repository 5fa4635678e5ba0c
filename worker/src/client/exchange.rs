//! Limits on the time and the size of a response, for both kinds of connections.

use std::{error::Error, time::Duration};

use bytes::Bytes;
use futures_util::FutureExt;
use http::Response;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body;
use tokio::time::{Instant, timeout_at};

use crate::transport::{ErrorKind, Peer, RequestError};

/// When a request must have its response, attempts to send it again included.
#[derive(Clone, Copy)]
pub(crate) struct Deadline {
    peer: Peer,
    at: Instant,
    timeout: Duration,
}

impl Deadline {
    /// The deadline of a request that starts now.
    pub(crate) fn new(peer: Peer, timeout: Duration) -> Self {
        Self { peer, at: Instant::now() + timeout, timeout }
    }

    /// Fails when the future takes longer than the deadline allows.
    pub(crate) fn apply<T>(
        self,
        future: impl Future<Output = Result<T, RequestError>>,
    ) -> impl Future<Output = Result<T, RequestError>> {
        timeout_at(self.at, future).map(move |result| {
            result.unwrap_or_else(|_| {
                let text = format!("no answer within {:?}", self.timeout);
                Err(RequestError::new(self.peer, ErrorKind::Timeout, text))
            })
        })
    }
}

/// Receives the whole response, of up to `limit` bytes.
pub(crate) async fn collect<B: Body<Error: Into<Box<dyn Error + Send + Sync>>>>(
    peer: Peer,
    response: Response<B>,
    limit: usize,
) -> Result<Response<Bytes>, RequestError> {
    let (head, body) = response.into_parts();
    match Limited::new(body, limit).collect().await {
        Ok(body) => Ok(Response::from_parts(head, body.to_bytes())),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(RequestError::new(peer, ErrorKind::Answer, format!("more than {limit} bytes came")))
        }
        Err(error) => Err(RequestError::other(peer, &*error)),
    }
}

//! The body of a request, as it comes in: not too large, not too slow.

use std::time::Duration;

use axum::{
    body::{Body, HttpBody},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};

/// How long a body may take, whatever its size ...
pub(crate) const BODY_TIME: Duration = Duration::from_secs(20);

/// ... and how fast it must come on top of that, in bytes per second, so that a client who sends
/// ever so slowly cannot hold a connection for ever.
const BODY_RATE: f64 = 1024.0;

/// Why a body is not hashed: the status and a sentence.
#[derive(Debug)]
pub(crate) struct Refusal(StatusCode, String);

impl Refusal {
    pub(crate) fn bad(sentence: &str) -> Self {
        Self(StatusCode::BAD_REQUEST, format!("{sentence}\n"))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, self.1).into_response()
    }
}

/// A body that is being received.
pub(crate) struct Upload {
    body: Body,
    max: u64,
    started: Instant,
    received: u64,
}

impl Upload {
    /// Nothing of a body yet. Refuses one that says it is too large.
    pub(crate) fn new(body: Body, max: u64) -> Result<Self, Refusal> {
        let upload = Self { body, max, started: Instant::now(), received: 0 };
        match upload.declared() > max {
            true => Err(upload.too_large()),
            false => Ok(upload),
        }
    }

    /// How many bytes will come at least.
    pub(crate) fn declared(&self) -> u64 {
        self.body.size_hint().lower()
    }

    /// How many bytes will come, if the client has said so.
    pub(crate) fn exact(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }

    /// The next bytes, or none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        loop {
            let earned = Duration::from_secs_f64(self.received as f64 / BODY_RATE);
            let deadline = self.started + BODY_TIME + earned;
            let frame = match timeout_at(deadline, self.body.frame()).await {
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(_))) => return Err(Refusal::bad("The body ended too early.")),
                Ok(None) => return Ok(None),
                Err(_) => {
                    let sentence = "The body came too slowly.\n".to_owned();
                    return Err(Refusal(StatusCode::REQUEST_TIMEOUT, sentence));
                }
            };
            // Trailers are not part of what is hashed.
            if let Ok(data) = frame.into_data() {
                self.received += data.len() as u64;
                return match self.received > self.max {
                    true => Err(self.too_large()),
                    false => Ok(Some(data)),
                };
            }
        }
    }

    /// Time that was not the client's does not count.
    pub(crate) fn excuse(&mut self, pause: Duration) {
        self.started += pause;
    }

    fn too_large(&self) -> Refusal {
        let sentence = format!("Please send at most {} bytes at once.\n", self.max);
        Refusal(StatusCode::PAYLOAD_TOO_LARGE, sentence)
    }
}

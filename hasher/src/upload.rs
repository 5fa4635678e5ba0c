//! The body of a request as it arrives, with limits on its size and on its time.

use std::time::Duration;

use axum::{
    body::{Body, HttpBody},
    http::StatusCode,
};
use bytes::Bytes;
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};

/// How long a body of any size may take.
pub(crate) const BODY_TIME: Duration = Duration::from_secs(20);

/// The least rate of a larger body, in bytes per second, so that a slow client does not hold a
/// connection for ever.
const MIN_BODY_RATE: f64 = 1024.0;

/// Why a body is not hashed: a status and a sentence.
pub(crate) type Refusal = (StatusCode, String);

pub(crate) fn bad_request(sentence: &str) -> Refusal {
    (StatusCode::BAD_REQUEST, format!("{sentence}\n"))
}

/// A body that is being received.
pub(crate) struct Upload {
    body: Body,
    max: u64,
    /// When the body must have arrived, apart from the time for its size.
    deadline: Instant,
    received: u64,
}

impl Upload {
    /// Starts to receive a body. Fails when its declared length is too large.
    pub(crate) fn new(body: Body, max: u64) -> Result<Self, Refusal> {
        let deadline = Instant::now() + BODY_TIME;
        let upload = Self { body, max, deadline, received: 0 };
        match upload.declared() > max {
            true => Err(upload.too_large()),
            false => Ok(upload),
        }
    }

    /// The least number of bytes in the body.
    pub(crate) fn declared(&self) -> u64 {
        self.body.size_hint().lower()
    }

    /// The number of bytes in the body, if the client has declared it.
    pub(crate) fn exact(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }

    /// The next bytes, or none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        loop {
            let earned = Duration::from_secs_f64(self.received as f64 / MIN_BODY_RATE);
            let frame = match timeout_at(self.deadline + earned, self.body.frame()).await {
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(_))) => return Err(bad_request("The body ended too early.")),
                Ok(None) => return Ok(None),
                Err(_) => {
                    let sentence = "The body came too slowly.\n".to_owned();
                    return Err((StatusCode::REQUEST_TIMEOUT, sentence));
                }
            };
            // Trailers are not hashed.
            if let Ok(data) = frame.into_data() {
                self.received += data.len() as u64;
                return match self.received > self.max {
                    true => Err(self.too_large()),
                    false => Ok(Some(data)),
                };
            }
        }
    }

    /// Gives the client more time, to make up for time that the service took.
    pub(crate) fn extend_deadline(&mut self, time: Duration) {
        self.deadline += time;
    }

    fn too_large(&self) -> Refusal {
        let sentence = format!("Please send at most {} bytes at once.\n", self.max);
        (StatusCode::PAYLOAD_TOO_LARGE, sentence)
    }
}

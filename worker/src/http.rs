//! The peers over HTTP.
//!
//! What runs for each request is no async function: those keep what they are given twice, and a
//! request would be copied from one to the next.

use std::{error, sync::Arc, time::Duration};

use anyhow::{Error, Result};
use bytes::Bytes;
use futures_util::{FutureExt, TryFutureExt, future::Either};
use http::{Request, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body;
use reqwest::{Client, redirect::Policy};
use tokio::time::timeout;

use crate::{
    BaseUrl, Connections, Peers, Resolver, Settings,
    connect::{CONNECT_TIMEOUT, Shuffled, no_connection},
    kept::Kept,
    peers::{PeerError, Unanswered},
};

pub(crate) type BoxError = Box<dyn error::Error + Send + Sync>;

/// The peers over HTTP.
pub struct Http {
    way: Way,
    timeout: Duration,
}

/// How a request reaches its peer.
enum Way {
    /// On a connection of its own.
    Alone(Client),
    /// On one of those to its peer, that has the authority of its URL.
    Kept(Box<[Kept; 2]>),
}

impl Http {
    /// A client after the settings; names that `resolver` does not know are left to the host.
    pub fn new(settings: &Settings, resolver: Resolver) -> Result<Self> {
        let is_http2 = settings.connections == Connections::Http2;
        let kept = |url: &BaseUrl| Kept::new(url.authority()?, resolver.clone(), is_http2);
        let way = match settings.connections {
            Connections::PerRequest => Way::Alone(
                Client::builder()
                    .pool_max_idle_per_host(0)
                    .dns_resolver(Arc::new(Shuffled(resolver)))
                    .connect_timeout(CONNECT_TIMEOUT)
                    .redirect(Policy::none())
                    .no_proxy()
                    .build()?,
            ),
            _ => Way::Kept(Box::new([kept(&settings.rng_url)?, kept(&settings.hasher_url)?])),
        };
        Ok(Self { way, timeout: settings.timeout })
    }

    fn fetch(
        &self,
        request: Request<Bytes>,
        limit: usize,
    ) -> impl Future<Output = Result<Response<Bytes>, BoxError>> {
        match &self.way {
            // In a box, or each request would have the size of this one.
            Way::Alone(client) => Either::Left(Box::pin(alone(client, request, limit))),
            Way::Kept(peers) => {
                let [rng, hasher] = &**peers;
                let is_rng = request.uri().authority() == Some(&rng.authority);
                let peer = if is_rng { rng } else { hasher };
                Either::Right(peer.send(request, limit))
            }
        }
    }
}

async fn alone(
    client: &Client,
    request: Request<Bytes>,
    limit: usize,
) -> Result<Response<Bytes>, BoxError> {
    let answer: Response<reqwest::Body> = client.execute(request.try_into()?).await?.into();
    collect(answer, limit).await
}

impl Peers for Http {
    fn send(
        &self,
        request: Request<Bytes>,
        limit: usize,
    ) -> impl Future<Output = Result<Response<Bytes>>> + Send {
        timeout(self.timeout, self.fetch(request, limit)).map(move |answer| match answer {
            Ok(answer) => answer.map_err(|error| match error.downcast::<Unanswered>() {
                Ok(unanswered) => Error::from(*unanswered),
                Err(error) => trouble(error, limit).into(),
            }),
            Err(_) => {
                let text = format!("no answer within {:?}", self.timeout);
                Err(PeerError::new("timeout", text).into())
            }
        })
    }
}

/// The whole answer, of up to `limit` bytes.
pub(crate) fn collect<B: Body<Error: Into<BoxError>>>(
    answer: Response<B>,
    limit: usize,
) -> impl Future<Output = Result<Response<Bytes>, BoxError>> {
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, limit).collect();
    body.map_ok(|body| Response::from_parts(head, body.to_bytes()))
}

/// What went wrong, for people and for counters.
fn trouble(error: BoxError, limit: usize) -> PeerError {
    let error = match error.downcast::<PeerError>() {
        Ok(error) => return *error,
        Err(error) => error,
    };
    match error.downcast_ref::<reqwest::Error>() {
        _ if error.is::<LengthLimitError>() => too_long(limit),
        Some(error) if error.is_connect() && error.is_timeout() => no_connection(),
        Some(error) if error.is_connect() => {
            PeerError::new("connect", root_cause(error).to_string())
        }
        _ => PeerError::new("other", root_cause(&*error).to_string()),
    }
}

pub(crate) fn too_long(limit: usize) -> PeerError {
    PeerError::new("answer", format!("more than {limit} bytes came"))
}

/// The innermost error, which says what happened; the outer ones say where in the client.
pub(crate) fn root_cause<'a>(
    mut error: &'a (dyn error::Error + 'static),
) -> &'a (dyn error::Error + 'static) {
    while let Some(source) = error.source() {
        error = source;
    }
    error
}

//! The client: how requests travel to rng and hasher. By default reqwest opens a new connection for
//! each request; the other modes keep a pool of connections to each peer.

mod connect;
mod exchange;
mod pool;

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use bytes::Bytes;
use http::{Request, Response};
use reqwest::redirect::Policy;

use crate::{
    metrics::Metrics,
    settings::{ConnectionMode, Settings},
    transport::{ErrorKind, Peer, RequestError, Transport, root_cause},
    url::BaseUrl,
};
use connect::{CONNECT_TIMEOUT, Shuffled, timed_out};
use exchange::{Deadline, collect};
use pool::Pool;

pub use connect::Resolver;

/// The HTTP client of a worker.
pub struct Client {
    mode: Mode,
    timeout: Duration,
}

enum Mode {
    PerRequest(reqwest::Client),
    Pooled { rng: Box<Pool>, hasher: Box<Pool> },
}

impl Client {
    /// A client for these settings. The host looks up the names that `resolver` does not know.
    /// Fails when a URL cannot be used.
    pub fn new(settings: &Settings, resolver: Resolver, metrics: &Metrics) -> Result<Self> {
        let pool = |peer, url: &BaseUrl| -> Result<Box<Pool>> {
            let is_http2 = settings.connections == ConnectionMode::Http2;
            let retries = metrics.stale_connections(peer);
            Ok(Pool::new(peer, url.authority()?, resolver.clone(), is_http2, retries)?.into())
        };
        let mode = match settings.connections {
            ConnectionMode::PerRequest => Mode::PerRequest(
                reqwest::Client::builder()
                    .pool_max_idle_per_host(0)
                    .dns_resolver(Arc::new(Shuffled(resolver)))
                    .connect_timeout(CONNECT_TIMEOUT)
                    .redirect(Policy::none())
                    .no_proxy()
                    .build()?,
            ),
            ConnectionMode::KeepAlive | ConnectionMode::Http2 => Mode::Pooled {
                rng: pool(Peer::Rng, &settings.rng_url)?,
                hasher: pool(Peer::Hasher, &settings.hasher_url)?,
            },
        };
        Ok(Self { mode, timeout: settings.timeout })
    }
}

impl Transport for Client {
    async fn send(
        &self,
        peer: Peer,
        request: Request<Bytes>,
        limit: usize,
    ) -> Result<Response<Bytes>, RequestError> {
        let deadline = Deadline::new(peer, self.timeout);
        match (&self.mode, peer) {
            (Mode::PerRequest(client), _) => {
                // Boxed, because every request would have the size of this one.
                deadline.apply(Box::pin(send_per_request(client, peer, request, limit))).await
            }
            (Mode::Pooled { rng, .. }, Peer::Rng) => rng.send(request, limit, deadline).await,
            (Mode::Pooled { hasher, .. }, Peer::Hasher) => {
                hasher.send(request, limit, deadline).await
            }
        }
    }
}

async fn send_per_request(
    client: &reqwest::Client,
    peer: Peer,
    request: Request<Bytes>,
    limit: usize,
) -> Result<Response<Bytes>, RequestError> {
    let sent = async { client.execute(request.try_into()?).await };
    let response = sent.await.map_err(|error: reqwest::Error| match error.is_connect() {
        true if error.is_timeout() => timed_out(peer),
        true => RequestError::new(peer, ErrorKind::Connect, root_cause(&error).to_string()),
        false => RequestError::other(peer, &error),
    })?;
    collect(peer, Response::<reqwest::Body>::from(response), limit).await
}

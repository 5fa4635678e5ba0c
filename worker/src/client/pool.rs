//! A pool of kept connections to one peer: of HTTP/1.1 as many as there are requests at once, or a
//! single one of HTTP/2 for all requests.

use std::{
    error::Error,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use h2::Reason;
use http::{
    HeaderValue, Request, Response, StatusCode, Uri,
    header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING},
    uri::{Authority, PathAndQuery},
};
use http_body_util::Full;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use prometheus_client::metrics::counter::Counter;
use tokio::{sync, time::timeout};

use super::{
    connect::{CONNECT_TIMEOUT, Resolver, connect, timed_out},
    exchange::{Deadline, collect},
};
use crate::transport::{ErrorKind, Peer, RequestError};

/// The largest response header, in bytes.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// How often a peer with open requests must reply to a ping over HTTP/2.
const PING_INTERVAL: Duration = Duration::from_secs(10);

/// How often a request is sent again because its kept connection ended before the response began.
const MAX_RETRIES: usize = 3;

/// The connections to one peer.
pub(crate) struct Pool {
    peer: Peer,
    /// Requests sent again.
    retries: Counter,
    authority: Authority,
    resolver: Resolver,
    protocol: Protocol,
}

enum Protocol {
    Http1 { idle: Mutex<Vec<Http1>>, host: HeaderValue },
    Http2 { shared: sync::Mutex<Option<Http2>>, is_supported: AtomicBool },
}

type Http1 = http1::SendRequest<Full<Bytes>>;

/// The connection that all requests share; clones are the same one.
#[derive(Clone)]
struct Http2 {
    sender: http2::SendRequest<Full<Bytes>>,
    state: Arc<Http2State>,
}

#[derive(Default)]
struct Http2State {
    /// Whether the peer has responded on this connection.
    is_proven: AtomicBool,
    /// Whether further requests need another connection.
    is_retired: AtomicBool,
}

impl Pool {
    /// A pool without connections.
    pub(crate) fn new(
        peer: Peer,
        authority: Authority,
        resolver: Resolver,
        is_http2: bool,
        retries: Counter,
    ) -> anyhow::Result<Self> {
        let protocol = match is_http2 {
            true => Protocol::Http2 {
                shared: sync::Mutex::default(),
                is_supported: AtomicBool::default(),
            },
            false => Protocol::Http1 {
                idle: Mutex::default(),
                host: HeaderValue::try_from(authority.as_str())?,
            },
        };
        Ok(Self { peer, retries, authority, resolver, protocol })
    }

    /// Sends a request and returns the whole response, of up to `limit` bytes.
    pub(crate) async fn send(
        &self,
        request: Request<Bytes>,
        limit: usize,
        deadline: Deadline,
    ) -> Result<Response<Bytes>, RequestError> {
        for _ in 0..MAX_RETRIES {
            match self.send_once(request.clone(), limit, deadline).await {
                Err(error) if error.is_stale => _ = self.retries.inc(),
                result => return result,
            }
        }
        self.send_once(request, limit, deadline).await
    }

    async fn send_once(
        &self,
        request: Request<Bytes>,
        limit: usize,
        deadline: Deadline,
    ) -> Result<Response<Bytes>, RequestError> {
        let request = request.map(Full::new);
        match &self.protocol {
            Protocol::Http1 { idle, host } => {
                deadline.apply(self.send_http1(request, limit, idle, host)).await
            }
            Protocol::Http2 { shared, is_supported } => {
                let kept = shared.try_lock().ok().and_then(|shared| shared.clone());
                let connection = match kept.filter(Http2::is_usable) {
                    Some(connection) => connection,
                    None => deadline.apply(Box::pin(self.http2(shared))).await?,
                };
                let response = self.send_http2(connection.clone(), request, limit, is_supported);
                let result = deadline.apply(response).await;
                if matches!(result, Err(RequestError { kind: ErrorKind::Timeout, .. })) {
                    connection.state.is_retired.store(true, Relaxed);
                }
                result
            }
        }
    }

    async fn send_http1(
        &self,
        mut request: Request<Full<Bytes>>,
        limit: usize,
        idle: &Mutex<Vec<Http1>>,
        host: &HeaderValue,
    ) -> Result<Response<Bytes>, RequestError> {
        let path = request.uri().path_and_query().cloned();
        *request.uri_mut() = Uri::from(path.unwrap_or(PathAndQuery::from_static("/")));
        request.headers_mut().insert(HOST, host.clone());
        let (mut sender, is_kept) = self.http1(idle).await?;
        let response = sender.send_request(request).await.map_err(|error| {
            let error = RequestError {
                is_stale: is_kept && is_end(&error),
                ..RequestError::other(self.peer, &error)
            };
            if error.is_stale {
                // The peer has probably closed the others as well.
                lock(idle).clear();
            }
            error
        })?;
        let response = collect(self.peer, response, limit).await?;
        // With two lengths it is uncertain where the response ends, and an error may come before
        // the whole request was sent.
        let headers = response.headers();
        let has_two =
            headers.contains_key(CONTENT_LENGTH) && headers.contains_key(TRANSFER_ENCODING);
        if response.status() == StatusCode::OK && !has_two {
            lock(idle).push(sender);
        }
        Ok(response)
    }

    /// A connection that no other request uses, and whether it was kept.
    async fn http1(&self, idle: &Mutex<Vec<Http1>>) -> Result<(Http1, bool), RequestError> {
        loop {
            let kept = lock(idle).pop();
            let Some(mut sender) = kept else { break };
            if sender.ready().await.is_ok() {
                return Ok((sender, true));
            }
        }
        // Boxed, because few requests connect.
        let connecting = Box::pin(connect(self.peer, &self.resolver, &self.authority));
        let stream = connecting.await?;
        let handshake =
            http1::Builder::new().max_buf_size(MAX_HEAD_BYTES).handshake(TokioIo::new(stream));
        let (sender, connection) =
            handshake.await.map_err(|error| RequestError::other(self.peer, &error))?;
        tokio::spawn(connection);
        Ok((sender, false))
    }

    /// The shared connection. One request connects, and the others wait, no longer than connecting
    /// may take.
    async fn http2(&self, shared: &sync::Mutex<Option<Http2>>) -> Result<Http2, RequestError> {
        let connection = async {
            let mut shared = shared.lock().await;
            match &*shared {
                Some(connection) if connection.is_usable() => Ok(connection.clone()),
                _ => Ok(shared.insert(self.connect_http2().await?).clone()),
            }
        };
        timeout(CONNECT_TIMEOUT, connection).await.unwrap_or_else(|_| Err(timed_out(self.peer)))
    }

    async fn send_http2(
        &self,
        mut connection: Http2,
        request: Request<Full<Bytes>>,
        limit: usize,
        is_supported: &AtomicBool,
    ) -> Result<Response<Bytes>, RequestError> {
        match connection.sender.send_request(request).await {
            Ok(response) => {
                connection.state.is_proven.store(true, Relaxed);
                is_supported.store(true, Relaxed);
                collect(self.peer, response, limit).await
            }
            Err(error) => {
                let state = connection.state;
                state.is_retired.fetch_or(is_end(&error), Relaxed);
                let has_ended = is_end(&error) && state.is_proven.load(Relaxed);
                let is_stale = has_ended || is_refused(&error);
                let mut error = RequestError { is_stale, ..RequestError::other(self.peer, &error) };
                if !is_supported.load(Relaxed) {
                    error.text += "; does it support HTTP/2? The original does not";
                }
                Err(error)
            }
        }
    }

    async fn connect_http2(&self) -> Result<Http2, RequestError> {
        let stream = connect(self.peer, &self.resolver, &self.authority).await?;
        let handshake = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_INTERVAL)
            .handshake(TokioIo::new(stream));
        let (sender, connection) =
            handshake.await.map_err(|error| RequestError::other(self.peer, &error))?;
        tokio::spawn(connection);
        Ok(Http2 { sender, state: Arc::default() })
    }
}

impl Http2 {
    fn is_usable(&self) -> bool {
        !self.state.is_retired.load(Relaxed) && !self.sender.is_closed()
    }
}

/// Whether an error ends the connection, and not only one HTTP/2 stream of it.
fn is_end(error: &hyper::Error) -> bool {
    match http2_error(error) {
        Some(error) => error.is_io() || error.is_go_away(),
        None => !error.is_parse(),
    }
}

/// Whether the peer has not handled the request of an HTTP/2 stream.
fn is_refused(error: &hyper::Error) -> bool {
    http2_error(error).is_some_and(|error| error.reason() == Some(Reason::REFUSED_STREAM))
}

fn http2_error(error: &hyper::Error) -> Option<&h2::Error> {
    error.source()?.downcast_ref()
}

fn lock(idle: &Mutex<Vec<Http1>>) -> MutexGuard<'_, Vec<Http1>> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}

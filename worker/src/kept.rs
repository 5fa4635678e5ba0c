//! Connections that are kept: to each peer as many as there are requests at once, or one of HTTP/2
//! for all of them.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderValue, Request, Response, Uri,
    header::HOST,
    uri::{Authority, PathAndQuery},
};
use http_body_util::Full;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::time::timeout;

use crate::{
    Resolver,
    connect::{CONNECT_TIMEOUT, connect, no_connection},
    http::{BoxError, collect},
};

type Body = Full<Bytes>;

/// How long a connection may take to notice that its last answer is at its end. One that takes longer
/// still has a request to send that was answered too early.
const ALMOST_READY: Duration = Duration::from_millis(100);

/// How often a peer that owes answers over HTTP/2 is asked whether it is still there.
const PING: Duration = Duration::from_secs(10);

/// The connections to one peer.
pub(crate) struct Kept {
    pub(crate) authority: Authority,
    resolver: Resolver,
    connections: Connections,
}

enum Connections {
    /// Those that no request uses right now.
    Http1(Mutex<Vec<http1::SendRequest<Body>>>, HeaderValue),
    Http2(tokio::sync::Mutex<Option<http2::SendRequest<Body>>>),
}

/// A connection in use.
enum Connection {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

impl Kept {
    /// No connection yet.
    pub(crate) fn new(
        authority: Authority,
        resolver: Resolver,
        is_http2: bool,
    ) -> anyhow::Result<Self> {
        let connections = match is_http2 {
            true => Connections::Http2(Default::default()),
            false => {
                Connections::Http1(Default::default(), HeaderValue::try_from(authority.as_str())?)
            }
        };
        Ok(Self { authority, resolver, connections })
    }

    /// Sends a request and returns the whole answer, of up to `limit` bytes.
    pub(crate) fn send(
        &self,
        request: Request<Bytes>,
        limit: usize,
    ) -> impl Future<Output = Result<Response<Bytes>, BoxError>> {
        let mut request = request.map(Full::new);
        if let Connections::Http1(_, host) = &self.connections {
            request.headers_mut().insert(HOST, host.clone());
            let path = request.uri().path_and_query().cloned();
            *request.uri_mut() = Uri::from(path.unwrap_or(PathAndQuery::from_static("/")));
        }
        async move {
            loop {
                let (mut connection, is_new) = self.take().await?;
                let sent = match &mut connection {
                    Connection::Http1(connection) => connection.try_send_request(request).await,
                    Connection::Http2(connection) => connection.try_send_request(request).await,
                };
                match sent {
                    Ok(answer) => {
                        let answer = collect(answer, limit).await?;
                        self.put_back(connection);
                        return Ok(answer);
                    }
                    Err(mut error) => match error.take_message() {
                        // The peer has closed the connection, and seen nothing of the request.
                        Some(unsent) if !is_new => request = unsent,
                        _ => return Err(error.into_error().into()),
                    },
                }
            }
        }
    }

    /// A connection that is open, and whether it is new.
    async fn take(&self) -> Result<(Connection, bool), BoxError> {
        match &self.connections {
            Connections::Http1(idle, _) => {
                while let Some(mut connection) = pop(idle) {
                    if let Ok(Ok(())) = timeout(ALMOST_READY, connection.ready()).await {
                        return Ok((Connection::Http1(connection), false));
                    }
                }
                // In a box, since few requests need it and all would have its size.
                Ok((Connection::Http1(Box::pin(self.http1()).await?), true))
            }
            Connections::Http2(shared) => {
                // One connects and all others wait for it, none of them longer than for a connection.
                let connection = async {
                    let mut shared = shared.lock().await;
                    if let Some(connection) = shared.as_ref().filter(|shared| !shared.is_closed()) {
                        return Ok((Connection::Http2(connection.clone()), false));
                    }
                    let connection = Box::pin(self.http2()).await?;
                    Ok((Connection::Http2(shared.insert(connection).clone()), true))
                };
                timeout(CONNECT_TIMEOUT, connection).await.map_err(|_| no_connection())?
            }
        }
    }

    async fn http1(&self) -> Result<http1::SendRequest<Body>, BoxError> {
        let stream = connect(&self.resolver, &self.authority).await?;
        let (connection, driver) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(driver);
        Ok(connection)
    }

    async fn http2(&self) -> Result<http2::SendRequest<Body>, BoxError> {
        let stream = connect(&self.resolver, &self.authority).await?;
        let (connection, driver) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(PING)
            .handshake(TokioIo::new(stream))
            .await?;
        tokio::spawn(driver);
        Ok(connection)
    }

    fn put_back(&self, connection: Connection) {
        if let (Connection::Http1(connection), Connections::Http1(idle, _)) =
            (connection, &self.connections)
        {
            lock(idle).push(connection);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn pop<T>(idle: &Mutex<Vec<T>>) -> Option<T> {
    lock(idle).pop()
}

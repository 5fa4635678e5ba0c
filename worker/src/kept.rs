//! Connections that are kept: to each peer as many as there are requests at once, or one of HTTP/2
//! for all of them.

use std::{
    io,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::Either;
use http::{HeaderValue, Request, Response, header::HOST, uri::Authority};
use http_body_util::Full;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{net::TcpStream, sync, time::timeout};

use crate::{
    Resolver,
    connect::{CONNECT_TIMEOUT, connect, no_connection},
    http::{BoxError, collect, root_cause},
    http1,
    peers::PeerError,
};

/// How often a peer that owes answers over HTTP/2 is asked whether it is still there.
const PING: Duration = Duration::from_secs(10);

/// The connections to one peer.
pub(crate) struct Kept {
    pub(crate) authority: Authority,
    resolver: Resolver,
    connections: Connections,
}

enum Connections {
    /// Those that no request uses right now, and the host that each request names.
    Http1(Mutex<Vec<TcpStream>>, HeaderValue),
    Http2(Shared),
}

/// The connection that all requests share, and its number.
type Shared = sync::Mutex<(Option<SendRequest<Full<Bytes>>>, u64)>;

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
        mut request: Request<Bytes>,
        limit: usize,
    ) -> impl Future<Output = Result<Response<Bytes>, BoxError>> {
        match &self.connections {
            Connections::Http1(idle, host) => {
                request.headers_mut().insert(HOST, host.clone());
                let written = http1::message(request);
                Either::Left(async move {
                    let (message, mut waiting) = written?;
                    loop {
                        let (mut stream, is_new) = self.stream(idle).await?;
                        match http1::exchange(&mut stream, &message, &mut waiting, limit).await {
                            Ok((answer, is_reusable)) => {
                                if is_reusable {
                                    lock(idle).push(stream);
                                }
                                return Ok(answer);
                            }
                            // The peer has closed the connection, and not begun to answer.
                            Err(_) if !is_new && waiting.is_some() => {}
                            Err(error) => return Err(error),
                        }
                    }
                })
            }
            Connections::Http2(shared) => {
                let request = request.map(Full::new);
                Either::Right(async move {
                    let mut failed = None;
                    loop {
                        let (mut connection, number, is_new) = self.http2(shared, failed).await?;
                        match connection.send_request(request.clone()).await {
                            Ok(answer) => return collect(answer, limit).await,
                            // The peer has ended the connection, and not begun to answer.
                            Err(_) if !is_new => failed = Some(number),
                            Err(error) => return Err(unspoken(&error)),
                        }
                    }
                })
            }
        }
    }

    /// A connection that is open and says nothing, and whether it is new.
    async fn stream(&self, idle: &Mutex<Vec<TcpStream>>) -> Result<(TcpStream, bool), BoxError> {
        while let Some(stream) = pop(idle) {
            let is_silent = stream.try_read(&mut [0]);
            if is_silent.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
                return Ok((stream, false));
            }
        }
        // In a box, since few requests need it and all would have its size.
        Ok((Box::pin(connect(&self.resolver, &self.authority)).await?, true))
    }

    /// The connection that all share, unless that is the one that has failed; its number, and whether
    /// it is new.
    async fn http2(
        &self,
        shared: &Shared,
        failed: Option<u64>,
    ) -> Result<(SendRequest<Full<Bytes>>, u64, bool), BoxError> {
        // One connects and all others wait for it, none of them longer than for a connection.
        let connection = async {
            let mut shared = shared.lock().await;
            let (connection, number) = &mut *shared;
            let is_good = |open: &&SendRequest<_>| !open.is_closed() && failed != Some(*number);
            if let Some(connection) = connection.as_ref().filter(is_good) {
                return Ok((connection.clone(), *number, false));
            }
            let new = Box::pin(self.connect_http2()).await?;
            *number += 1;
            Ok((connection.insert(new).clone(), *number, true))
        };
        timeout(CONNECT_TIMEOUT, connection).await.map_err(|_| no_connection())?
    }

    async fn connect_http2(&self) -> Result<SendRequest<Full<Bytes>>, BoxError> {
        let stream = connect(&self.resolver, &self.authority).await?;
        let (connection, driver) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(PING)
            .handshake(TokioIo::new(stream))
            .await?;
        tokio::spawn(driver);
        Ok(connection)
    }
}

/// What a peer that does not speak HTTP/2 answers makes no sense.
fn unspoken(error: &hyper::Error) -> BoxError {
    let text = format!("{}; does it speak HTTP/2, as the original does not?", root_cause(error));
    PeerError::new("other", text).into()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn pop<T>(idle: &Mutex<Vec<T>>) -> Option<T> {
    lock(idle).pop()
}

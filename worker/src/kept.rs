//! Connections that are kept: to each peer as many as there are requests at once, or one of HTTP/2
//! for all of them.

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
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
    peers::{PeerError, Unanswered},
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
    Http2(sync::Mutex<Shared>),
}

/// The connection that all requests share.
#[derive(Default)]
struct Shared {
    open: Option<Open>,
    /// Whether the peer has ever answered.
    is_known: bool,
}

#[derive(Clone)]
struct Open {
    connection: SendRequest<Full<Bytes>>,
    has_answered: Arc<AtomicBool>,
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
        mut request: Request<Bytes>,
        limit: usize,
    ) -> impl Future<Output = Result<Response<Bytes>, BoxError>> {
        match &self.connections {
            Connections::Http1(idle, host) => {
                request.headers_mut().insert(HOST, host.clone());
                let message = http1::message(request);
                Either::Left(async move {
                    let message = message?;
                    let (mut stream, is_new) = self.stream(idle).await?;
                    let answer = http1::exchange(&mut stream, message, limit).await;
                    let (answer, is_reusable) = answer.map_err(|error| blame(is_new, error))?;
                    if is_reusable {
                        lock(idle).push(stream);
                    }
                    Ok(answer)
                })
            }
            Connections::Http2(shared) => {
                let request = request.map(Full::new);
                Either::Right(async move {
                    let Open { mut connection, has_answered } = self.http2(shared).await?;
                    match connection.send_request(request).await {
                        Ok(answer) => {
                            has_answered.store(true, Ordering::Relaxed);
                            collect(answer, limit).await
                        }
                        Err(error) => Err(shared.lock().await.replaced(&has_answered, &error)),
                    }
                })
            }
        }
    }

    /// A connection that is open and says nothing, as far as is known, and whether it is new.
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

    /// The connection that all share.
    async fn http2(&self, shared: &sync::Mutex<Shared>) -> Result<Open, BoxError> {
        // One connects and all others wait for it, none of them longer than for a connection.
        let connection = async {
            let mut shared = shared.lock().await;
            match &shared.open {
                Some(open) if !open.connection.is_closed() => Ok(open.clone()),
                _ => {
                    let connection = Box::pin(self.connect_http2()).await?;
                    let has_answered = Arc::default();
                    Ok(shared.open.insert(Open { connection, has_answered }).clone())
                }
            }
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

impl Shared {
    /// A request has failed on a connection, which gets no further ones. Returns what is to be told.
    fn replaced(&mut self, has_answered: &Arc<AtomicBool>, error: &hyper::Error) -> BoxError {
        self.open.take_if(|open| Arc::ptr_eq(&open.has_answered, has_answered));
        let is_new = !has_answered.load(Ordering::Relaxed);
        self.is_known |= !is_new;
        // What a peer that does not speak HTTP/2 answers makes no sense.
        let doubt = "; does it speak HTTP/2, as the original does not?";
        let doubt = if self.is_known { "" } else { doubt };
        blame(is_new, Unanswered(format!("{}{doubt}", root_cause(error))).into())
    }
}

/// A connection that has answered before may end at any time, for a good reason; a new one may not.
fn blame(is_new: bool, error: BoxError) -> BoxError {
    match error.downcast::<Unanswered>() {
        Ok(unanswered) if is_new => PeerError::new("other", unanswered.0).into(),
        Ok(unanswered) => unanswered,
        Err(error) => error,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A function of its own, so that the lock is not held where it is called.
fn pop<T>(idle: &Mutex<Vec<T>>) -> Option<T> {
    lock(idle).pop()
}

//! One connection: which protocol the client speaks, what it may take, and how it ends.

use std::{
    convert::Infallible,
    fmt::Display,
    io,
    net::SocketAddr,
    pin::pin,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use axum::{
    Router,
    extract::ConnectInfo,
    http::{HeaderValue, header::CONNECTION},
};
use futures_util::FutureExt;
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::graceful::GracefulConnection,
};
use rustix::net::{RecvFlags, recv};
use tokio::{
    io::Interest,
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_io_timeout::TimeoutStream;
use tower::Service;
use tracing::{Instrument, debug};

use crate::{Limits, Shutdown, answers::Answers};

/// How long an idle connection stays open once the service stops, for a request on its way.
const LINGER: Duration = Duration::from_millis(100);

/// What a client of HTTP/2 says first, of which this much is enough.
///
/// Source: RFC 9113, <https://www.rfc-editor.org/rfc/rfc9113#section-3.4>.
const PREFACE: &[u8] = b"PRI ";

/// What asks a client of HTTP/1.1 to close its connection; HTTP/2 has its own way to say so.
const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// Requests at once on one connection of HTTP/2.
const MOST_STREAMS: u32 = 256;

/// How much of one request's body a client of HTTP/2 may send before anybody has read it, in bytes.
///
/// hyper's own megabyte is for long ways; what is sent here is small, or comes from nearby.
const STREAM_WINDOW: u32 = 64 * 1024;

/// The same for all requests of a connection together, which bounds what many of them keep.
const CONNECTION_WINDOW: u32 = 4 * STREAM_WINDOW;

/// Serves connections until they end by themselves or the service stops.
pub(crate) struct Connections {
    pub(crate) router: Router,
    pub(crate) limits: Limits,
    pub(crate) shutdown: Shutdown,
}

impl Connections {
    pub(crate) async fn serve(&self, stream: TcpStream, client: SocketAddr) {
        let is_http2 = tokio::select! {
            biased;
            protocol = timeout(self.limits.first_byte, speaks_http2(&stream)) => match protocol {
                Ok(Ok(is_http2)) => is_http2,
                _ => return debug!("{client} connected and said nothing"),
            },
            () = self.closing() => return,
        };
        if let Err(error) = stream.set_nodelay(true) {
            return debug!("{client} is gone: {error}");
        }
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.limits.stalled_write));
        let stream = TokioIo::new(Box::pin(stream));
        let asked = AtomicUsize::new(0);
        let answers = Answers::default();
        let count = |request: &mut hyper::Request<Incoming>| {
            asked.fetch_add(1, Ordering::Relaxed);
            request.extensions_mut().insert(ConnectInfo(client));
        };
        let ended = if is_http2 {
            let service = service_fn(|mut request| {
                count(&mut request);
                let (open, answer) = (answers.begin(), self.router.clone().call(request));
                let answer =
                    async { Ok::<_, Infallible>(answer.await?.map(|body| open.with(body))) };
                // The protocol runs it in a task of its own.
                answer.in_current_span()
            });
            let connection = self.http2().serve_connection(stream, service);
            let idle = || self.idle(&asked, &answers);
            tokio::select! {
                biased;
                ended = self.run(connection, &asked, idle) => ended,
                () = answers.stalled(self.limits.stalled_write) => {
                    Err("the client takes no answers".to_owned())
                }
            }
        } else {
            let service = service_fn(|mut request| {
                count(&mut request);
                let answer = self.router.clone().call(request);
                async {
                    let mut answer = answer.await?;
                    if self.shutdown.is_stopping() {
                        answer.headers_mut().insert(CONNECTION, CLOSE);
                    }
                    Ok::<_, Infallible>(answer)
                }
            });
            // The protocol's own timer for headers tells idle connections.
            let connection = self.http1().serve_connection(stream, service);
            self.run(connection, &asked, std::future::pending).await
        };
        if let Err(error) = ended {
            debug!("connection of {client}: {error}");
        }
    }

    fn http1(&self) -> http1::Builder {
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.header)
            .max_header_size(self.limits.header_bytes)
            .max_buf_size(self.limits.header_bytes)
            // A client that has said everything, such as `nc -N`, still gets its answer.
            .half_close(true);
        http1
    }

    fn http2(&self) -> http2::Builder<TokioExecutor> {
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .keep_alive_interval(self.limits.header)
            .keep_alive_timeout(self.limits.first_byte)
            .max_concurrent_streams(MOST_STREAMS)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(u32::try_from(self.limits.header_bytes).unwrap_or(u32::MAX))
            .max_send_buf_size(self.limits.header_bytes);
        http2
    }

    /// Runs a connection to its end, which is near when the service stops or the client is idle.
    async fn run<C: GracefulConnection, I: Future<Output = ()>>(
        &self,
        connection: C,
        asked: &AtomicUsize,
        idle: impl Fn() -> I,
    ) -> Result<(), String>
    where
        C::Error: Display,
    {
        let mut connection = pin!(connection);
        let mut closing = pin!(self.closing().fuse());
        let mut before = 0;
        loop {
            tokio::select! {
                biased;
                ended = &mut connection => return ended.map_err(|error| error.to_string()),
                () = &mut closing => {}
                () = idle() => {}
            }
            let now = asked.load(Ordering::Relaxed);
            // hyper would wait for the rest of a greeting or a first request that is not all there,
            // and for a client that was told to leave and does not.
            if now == before {
                return Err("no further request was finished".to_owned());
            }
            before = now;
            connection.as_mut().graceful_shutdown();
        }
    }

    async fn closing(&self) {
        self.shutdown.stop.cancelled().await;
        sleep(LINGER).await;
    }

    /// Waits until no request has come for as long as a header may take, and no answer is open.
    async fn idle(&self, asked: &AtomicUsize, answers: &Answers) {
        loop {
            let before = asked.load(Ordering::Relaxed);
            sleep(self.limits.header).await;
            if asked.load(Ordering::Relaxed) == before && answers.are_taken() {
                return;
            }
        }
    }
}

/// Waits for as many of the first bytes as tell the protocol, and leaves them to be read.
async fn speaks_http2(stream: &TcpStream) -> io::Result<bool> {
    let peek = || {
        let mut first = [0; PREFACE.len()];
        let (_, received) = recv(stream, &mut first, RecvFlags::PEEK)?;
        let undecided = (1..PREFACE.len()).contains(&received);
        match undecided && PREFACE.starts_with(&first[..received]) {
            true => Err(io::ErrorKind::WouldBlock.into()),
            false => Ok(first == PREFACE),
        }
    };
    // Not tokio's own peek, which would say again and again that half the bytes are there.
    stream.async_io(Interest::READABLE, peek).await
}

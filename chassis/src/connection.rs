//! One connection: which protocol the client speaks, what it may take, and how it ends.

use std::{
    convert::Infallible,
    fmt::Display,
    net::SocketAddr,
    pin::{Pin, pin},
    time::Duration,
};

use axum::{
    Router,
    extract::ConnectInfo,
    http::{HeaderValue, Request, Response, header::CONNECTION},
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
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_util::task::TaskTracker;
use tower::Service;
use tracing::{Instrument, debug};

use crate::{
    Limits, Shutdown,
    answers::{Answer, Answers},
    wire::Wire,
};

/// How long an idle connection stays open once the service stops, for a request on its way.
const LINGER: Duration = Duration::from_millis(100);

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

/// How long a connection of HTTP/1.1 has had nothing to do when it comes to rest ...
const REST: Duration = Duration::from_millis(100);

/// ... and how long where there are many of them ...
const REST_OF_MANY: Duration = Duration::from_millis(1);

/// ... which are more than ask again and again at the same time.
const MANY: usize = 1000;

/// Serves connections until they end by themselves or the service stops.
pub(crate) struct Connections {
    pub(crate) router: Router,
    pub(crate) open: TaskTracker,
    pub(crate) limits: Limits,
    pub(crate) shutdown: Shutdown,
}

impl Connections {
    pub(crate) async fn serve(&self, stream: TcpStream, client: SocketAddr) {
        if let Err(error) = stream.set_nodelay(true) {
            return debug!("{client} is gone: {error}");
        }
        let answers = Answers::default();
        let mut wire = Wire::new(stream, self.limits.stalled_write, answers.clone());
        let mut patience = self.limits.first_byte;
        // Of thousands of connections most wait here, where they take little memory.
        loop {
            let is_http2 = tokio::select! {
                biased;
                protocol = timeout(patience, wire.speaks_http2()) => match protocol {
                    Ok(Ok(is_http2)) => is_http2 && answers.asked() == 0,
                    _ => return debug!("{client} said nothing"),
                },
                () = self.closing() => return,
            };
            let ended = match is_http2 {
                true => Box::pin(self.serve_http2(wire, client, &answers)).await.map(|()| None),
                false => Box::pin(self.serve_http1(wire, client, &answers)).await,
            };
            match ended {
                Ok(Some(resting)) => wire = resting,
                Ok(None) => return,
                Err(error) => return debug!("connection of {client}: {error}"),
            }
            patience = self.limits.header;
        }
    }

    /// Serves HTTP/1.1 until the end, or until the connection comes to rest.
    async fn serve_http1(
        &self,
        wire: Wire,
        client: SocketAddr,
        answers: &Answers,
    ) -> Result<Option<Wire>, String> {
        let before = answers.asked();
        let moment = if self.open.len() > MANY { REST_OF_MANY } else { REST };
        let service = service_fn(|request| {
            let answer = self.answer(request, client, answers);
            async {
                let mut answer = answer.await?;
                if self.shutdown.is_stopping() {
                    answer.headers_mut().insert(CONNECTION, CLOSE);
                }
                Ok::<_, Infallible>(answer)
            }
        });
        let mut connection = self.http1().serve_connection(TokioIo::new(wire), service);
        tokio::select! {
            biased;
            // The protocol's own timer for headers tells idle connections.
            ended = self.run(Pin::new(&mut connection), answers, std::future::pending) => {
                return ended.map(|()| None);
            }
            // Not without a further request: half a header would get its time again after each rest.
            () = answers.rest(before, moment) => {}
        }
        // hyper's buffers, of 16 KiB, go.
        let parts = connection.into_parts();
        Ok(Some(parts.io.into_inner().with(&parts.read_buf)))
    }

    async fn serve_http2(
        &self,
        wire: Wire,
        client: SocketAddr,
        answers: &Answers,
    ) -> Result<(), String> {
        let service = service_fn(|request| {
            // The protocol runs it in a task of its own.
            self.answer(request, client, answers).in_current_span()
        });
        let connection = pin!(self.http2().serve_connection(TokioIo::new(wire), service));
        tokio::select! {
            biased;
            ended = self.run(connection, answers, || answers.idle(self.limits.header)) => ended,
            () = answers.stalled(self.limits.stalled_write) => {
                Err("the client takes no answers".to_owned())
            }
        }
    }

    /// Answers a request.
    fn answer(
        &self,
        mut request: Request<Incoming>,
        client: SocketAddr,
        answers: &Answers,
    ) -> impl Future<Output = Result<Response<Answer>, Infallible>> + use<> {
        let open = answers.begin();
        request.extensions_mut().insert(ConnectInfo(client));
        let answer = self.router.clone().call(request);
        async { Ok(answer.await?.map(|body| open.with(body))) }
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

    /// Runs a connection to its end. When the service stops, and whenever the client is idle, a client
    /// that has asked since the last such time, or since this began, is told to leave; any other is cut.
    async fn run<C: GracefulConnection<Error: Display>, I: Future<Output = ()>>(
        &self,
        mut connection: Pin<&mut C>,
        answers: &Answers,
        idle: impl Fn() -> I,
    ) -> Result<(), String> {
        let mut closing = pin!(self.closing().fuse());
        let mut before = answers.asked();
        loop {
            tokio::select! {
                biased;
                ended = &mut connection => return ended.map_err(|error| error.to_string()),
                () = &mut closing => {}
                () = idle() => {}
            }
            let now = answers.asked();
            if now == before {
                // hyper would wait for the rest of a greeting or a request that is not all there, and
                // for a client that was told to leave and does not.
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
}

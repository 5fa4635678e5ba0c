//! One connection: HTTP/1.1 or HTTP/2, with a watchdog that closes it when the client exceeds a
//! limit or the service stops.

use std::{convert::Infallible, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::ConnectInfo,
    http::{HeaderValue, Request, Response, StatusCode, Version, header::CONNECTION},
    response::IntoResponse,
};
use futures_util::future::{Either, ready};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::{net::TcpStream, sync::Semaphore, time::sleep};
use tower::Service;
use tracing::{Instrument, debug};

use crate::{
    activity::{Activity, TrackedBody, TrackedStream},
    limits::Limits,
    path::ignore_extra_slashes,
    shutdown::Shutdown,
};

/// How long an idle connection stays open when the service stops, for a request already sent.
const LINGER: Duration = Duration::from_millis(100);

/// How long a closing connection without a request in flight stays open. A half-sent request may
/// never end, and a client may ignore GOAWAY.
const GRACE: Duration = Duration::from_millis(500);

/// Requests that an HTTP/1.1 client close its connection; HTTP/2 uses GOAWAY.
const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// Maximum number of concurrent requests on one HTTP/2 connection: as many as a worker has loops
/// at its highest speed.
const MAX_STREAMS: u32 = 256;

/// Bytes of one request's body that an HTTP/2 client may send before the service reads them.
///
/// hyper's default of 1 MB suits high latencies; bodies here are small, or the latency is low.
const STREAM_WINDOW: u32 = 64 * 1024;

/// The same for all requests of a connection together.
const CONNECTION_WINDOW: u32 = 4 * STREAM_WINDOW;

/// Bytes of one response that wait for an HTTP/2 client to read.
const SEND_BUFFER: usize = 16 * 1024;

/// Serves connections.
pub(crate) struct Connections {
    builder: Builder<TokioExecutor>,
    router: Router,
    limits: Limits,
    shutdown: Shutdown,
    /// One permit for each HTTP/2 response in flight, over all connections.
    responses: Arc<Semaphore>,
}

impl Connections {
    pub(crate) fn new(router: Router, limits: Limits, shutdown: Shutdown) -> Self {
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .http1()
            // The watchdog's timeout covers the header.
            .header_read_timeout(None)
            .max_buf_size(limits.header_bytes)
            // A client that has sent everything, such as `nc -N`, still gets its response.
            .half_close(true);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(limits.header)
            .keep_alive_timeout(limits.first_byte)
            .max_concurrent_streams(MAX_STREAMS)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
            .max_send_buf_size(SEND_BUFFER);
        let responses = Arc::new(Semaphore::new(limits.connections));
        Self { builder, router, limits, shutdown, responses }
    }

    /// Serves one connection until the client closes it, exceeds a limit, or the service stops.
    pub(crate) async fn serve(&self, stream: TcpStream, client: SocketAddr) {
        if let Err(error) = stream.set_nodelay(true) {
            return debug!("connection of {client}: {error}");
        }
        let activity = Activity::new();
        // HTTP/2 handles each request in a task of its own.
        let service =
            service_fn(|request| self.respond(request, client, &activity).in_current_span());
        let stream = TrackedStream::new(stream, activity.clone());
        let mut connection = pin!(self.builder.serve_connection(stream, service));
        let closing = Limits { first_byte: GRACE, header: GRACE, ..self.limits };
        let ended = tokio::select! {
            biased;
            ended = &mut connection => ended,
            () = self.is_over(&activity) => {
                if !activity.is_stalled() || self.shutdown.is_stopping() {
                    activity.touch();
                    connection.as_mut().graceful_shutdown();
                }
                tokio::select! {
                    biased;
                    ended = connection => ended,
                    () = activity.exceeds(&closing) => Err("the client exceeded a limit".into()),
                }
            }
        };
        if let Err(error) = ended {
            debug!("connection of {client}: {error}");
        }
    }

    /// Waits until the client exceeds a limit or the service stops.
    async fn is_over(&self, activity: &Activity) {
        let stopping = async {
            self.shutdown.stop.cancelled().await;
            sleep(LINGER).await;
        };
        tokio::select! {
            () = stopping => {}
            () = activity.exceeds(&self.limits) => {}
        }
    }

    fn respond(
        &self,
        mut request: Request<Incoming>,
        client: SocketAddr,
        activity: &Arc<Activity>,
    ) -> impl Future<Output = Result<Response<TrackedBody>, Infallible>> + use<> {
        let (activity, in_flight) = (activity.clone(), activity.start_request());
        let shutdown = self.shutdown.clone();
        let is_http2 = request.version() == Version::HTTP_2;
        let permit = is_http2.then(|| self.responses.clone().try_acquire_owned());
        let Ok(permit) = permit.transpose() else {
            // It has no body, because a client that does not read would keep it in memory.
            let response = StatusCode::SERVICE_UNAVAILABLE.into_response();
            let response = response.map(|body| TrackedBody::new(body, activity, in_flight, None));
            return Either::Left(ready(Ok(response)));
        };
        request.extensions_mut().insert(ConnectInfo(client));
        ignore_extra_slashes(&mut request);
        let mut router = self.router.clone();
        // Boxed, or a refused request would take as much memory as an accepted one.
        Either::Right(Box::pin(async move {
            let mut response = router.call(request).await?;
            if !is_http2 && shutdown.is_stopping() {
                response.headers_mut().insert(CONNECTION, CLOSE);
            }
            Ok(response.map(|body| TrackedBody::new(body, activity, in_flight, permit)))
        }))
    }
}

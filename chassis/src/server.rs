//! The HTTP server: limits against slow and greedy clients, and a drain that loses no request.

use std::{
    io,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::{ConnectInfo, Request, State},
    http::{HeaderValue, header::CONNECTION},
    middleware::{self, Next},
    response::Response,
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::registry::Registry;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_io_timeout::TimeoutStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::Service;
use tracing::{Instrument, debug, warn};

use crate::{Http, Shutdown, access, admin, observe};

/// How long an idle connection stays open once the service stops, for a request on its way.
const LINGER: Duration = Duration::from_millis(100);

/// How long accepting pauses when the process has run out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Connections at once where the process may have as many files.
const MOST_CONNECTIONS: usize = 16_384;

/// Connections at once to the admin port.
const ADMIN_CONNECTIONS: usize = 32;

/// Files that are not connections of this server: probes above all must always get one.
const RESERVED_FILES: usize = 64;

/// What one client may take. None of these limits ends a request that waits for its answer.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once; further ones wait in the kernel's queue.
    pub connections: usize,
    /// From accepting a connection to its first byte.
    pub first_byte: Duration,
    /// From the end of one request, or the first byte, to the end of the next request's header.
    pub header: Duration,
    /// The size of a request's header, in bytes.
    pub header_bytes: usize,
    /// How long a client may refuse to take bytes of an answer.
    pub stalled_write: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: MOST_CONNECTIONS.min(spare_files()),
            first_byte: Duration::from_secs(30),
            // Longer than proxies keep idle connections, so that they need not fear a close.
            header: Duration::from_secs(75),
            header_bytes: 64 * 1024,
            stalled_write: Duration::from_secs(60),
        }
    }
}

/// Lets the process have as many files open as the host allows it.
pub(crate) fn raise_file_limit() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    // Fewer files are a smaller service, not an error.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// How many of the process's files can be connections of one server.
fn spare_files() -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    let files = limit.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX));
    files - RESERVED_FILES.min(files / 2)
}

/// Serves the application's own port until [`Shutdown::stop`], with access lines, metrics and spans;
/// then answers everything accepted, for at most [`Shutdown::timeout`].
pub async fn serve(
    listener: TcpListener,
    router: Router,
    http: Http,
    limits: Limits,
    shutdown: Shutdown,
) {
    shutdown.set_ready();
    let logged = router.layer(middleware::from_fn(access::log));
    let observed = logged.layer(middleware::from_fn_with_state(http, observe::request));
    run(listener, observed, limits, shutdown).await;
}

/// Serves the admin endpoints in the background, for as long as the process lives.
pub fn serve_admin(
    listener: TcpListener,
    registry: Registry,
    version: String,
    shutdown: &Shutdown,
) {
    let router = admin::router(registry, version, shutdown.clone());
    // Not the service's own shutdown: probes are answered to the very end.
    let never = Shutdown::new(Duration::ZERO);
    // Few ask here, and nobody may take the files of those that ask the service.
    let limits = Limits { connections: ADMIN_CONNECTIONS, ..Limits::default() };
    tokio::spawn(run(listener, router, limits, never).in_current_span());
}

async fn run(listener: TcpListener, router: Router, limits: Limits, shutdown: Shutdown) {
    let router = router.layer(middleware::from_fn_with_state(shutdown.clone(), ask_to_close));
    let server =
        Arc::new(Server { router, limits, stop: shutdown.stop, cut: CancellationToken::new() });
    let connections = TaskTracker::new();
    let slots = Arc::new(Semaphore::new(limits.connections));
    let take = |stream, client, slot| {
        let server = server.clone();
        let connection = async move {
            server.cut.run_until_cancelled(server.connection(stream, client)).await;
            drop(slot);
        };
        connections.spawn(connection.in_current_span());
    };

    let accepting = async {
        loop {
            let slot = slots.clone().acquire_owned().await;
            match listener.accept().await {
                Ok((stream, client)) => take(stream, client, slot.ok()),
                Err(error) => {
                    warn!("cannot accept a connection: {error}");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    server.stop.run_until_cancelled(accepting).await;

    match accept_queue(listener) {
        Ok(queue) => queue.into_iter().for_each(|(stream, client)| take(stream, client, None)),
        Err(error) => warn!("connections that waited to be accepted are lost: {error}"),
    }
    connections.close();
    if timeout(shutdown.timeout, connections.wait()).await.is_err() {
        let open = connections.len();
        warn!("{open} connections were still busy after {:?} and were cut", shutdown.timeout);
        server.cut.cancel();
        connections.wait().await;
    }
}

/// Closes the listener and returns everything that waited in the kernel's queue, which would
/// otherwise be reset.
fn accept_queue(listener: TcpListener) -> io::Result<Vec<(TcpStream, SocketAddr)>> {
    // The standard library's listener asks the kernel itself; tokio's would ask its last event.
    let listener = listener.into_std()?;
    let mut accepted = Vec::new();
    while let Ok((stream, client)) = listener.accept() {
        stream.set_nonblocking(true)?;
        accepted.push((TcpStream::from_std(stream)?, client));
    }
    Ok(accepted)
}

/// While the service is stopping, every answer asks the client to close its connection.
async fn ask_to_close(State(shutdown): State<Shutdown>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if shutdown.is_stopping() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

struct Server {
    router: Router,
    limits: Limits,
    stop: CancellationToken,
    /// Cancelled when the drain has taken too long.
    cut: CancellationToken,
}

impl Server {
    async fn connection(&self, stream: TcpStream, client: SocketAddr) {
        let mut closing = pin!(async {
            self.stop.cancelled().await;
            sleep(LINGER).await;
        });
        // Peeked at, because tokio takes it for granted that a new connection is readable.
        let mut first = [0];
        tokio::select! {
            biased;
            first = timeout(self.limits.first_byte, stream.peek(&mut first)) => match first {
                Ok(Ok(_)) => {}
                _ => return debug!("{client} connected and said nothing"),
            },
            () = &mut closing => return,
        }
        if let Err(error) = stream.set_nodelay(true) {
            return debug!("{client} is gone: {error}");
        }
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.limits.stalled_write));

        let asked = AtomicBool::new(false);
        let service = service_fn(|mut request: hyper::Request<Incoming>| {
            asked.store(true, Ordering::Relaxed);
            request.extensions_mut().insert(ConnectInfo(client));
            self.router.clone().call(request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.header)
            .max_header_size(self.limits.header_bytes)
            .max_buf_size(self.limits.header_bytes)
            // A client that has said everything, such as `nc -N`, still gets its answer.
            .half_close(true)
            .serve_connection(TokioIo::new(Box::pin(stream)), service);
        let mut connection = pin!(connection);
        let result = tokio::select! {
            biased;
            result = &mut connection => result,
            () = &mut closing => {
                // hyper would wait for the rest of a first request that is not all there.
                if !asked.load(Ordering::Relaxed) {
                    return debug!("{client} did not finish its request");
                }
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = result {
            debug!("connection of {client}: {error}");
        }
    }
}

//! The HTTP server: limits against slow and greedy clients, and a drain that loses no request.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::Request,
    middleware::{self, Next},
};
use prometheus_client::registry::Registry;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument, warn};

use crate::{Http, Shutdown, access, admin, connection::Connections, observe};

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
    /// From the first byte to the end of the request's header; and from the end of one request to the
    /// first byte of the next.
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
    // One layer for all, since each one makes axum copy what is below it for every request.
    let around = middleware::from_fn(move |request: Request, next: Next| {
        let logged = |request| access::log(request, |request| next.run(request));
        observe::request(http.clone(), request, logged)
    });
    run(listener, router.layer(around), limits, shutdown).await;
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
    let (cut, connections) = (CancellationToken::new(), TaskTracker::new());
    let open = connections.clone();
    let server = Arc::new(Connections { router, open, limits, shutdown: shutdown.clone() });
    let slots = Arc::new(Semaphore::new(limits.connections));
    let take = |stream, client, slot| {
        let (server, cut) = (server.clone(), cut.clone());
        let connection = async move {
            cut.run_until_cancelled(server.serve(stream, client)).await;
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
    shutdown.stop.run_until_cancelled(accepting).await;

    match accept_queue(listener) {
        Ok(queue) => queue.into_iter().for_each(|(stream, client)| take(stream, client, None)),
        Err(error) => warn!("connections that waited to be accepted are lost: {error}"),
    }
    connections.close();
    if timeout(shutdown.timeout, connections.wait()).await.is_err() {
        let open = connections.len();
        warn!("{open} connections were still busy after {:?} and were cut", shutdown.timeout);
        cut.cancel();
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

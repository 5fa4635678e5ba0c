//! The HTTP server: accepts connections up to a limit, and drains them without losing a request.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::Request,
    middleware::{self, Next},
};
use prometheus_client::registry::Registry;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument, warn};

use crate::{
    access, admin,
    connection::Connections,
    faults::Faults,
    limits::Limits,
    observe::{self, HttpMetrics},
    shutdown::Shutdown,
};

/// How long accepting pauses when the process has run out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves the application's own port until [`Shutdown::stop`], with access lines, metrics and
/// spans; then responds to everything accepted, for at most [`Shutdown::timeout`].
pub async fn serve(
    listener: TcpListener,
    router: Router,
    metrics: HttpMetrics,
    limits: Limits,
    shutdown: Shutdown,
) {
    shutdown.set_ready();
    // A single layer, because axum copies the inner service once per layer and request.
    let around = middleware::from_fn(move |request: Request, next: Next| {
        let logged = |request| access::log(request, |request| next.run(request));
        observe::request(metrics.clone(), request, logged)
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
    let none = Faults::default();
    serve_admin_router(listener, admin::router(registry, version, shutdown.clone(), none));
}

pub(crate) fn serve_admin_router(listener: TcpListener, router: Router) {
    // Not the service's own shutdown: probes get a response until the process ends.
    let never = Shutdown::new(Duration::ZERO);
    tokio::spawn(run(listener, router, Limits::admin(), never).in_current_span());
}

async fn run(listener: TcpListener, router: Router, limits: Limits, shutdown: Shutdown) {
    let (abort, open) = (CancellationToken::new(), TaskTracker::new());
    let connections = Arc::new(Connections::new(router, limits, shutdown.clone()));
    let slots = Arc::new(Semaphore::new(limits.connections));
    let spawn = |stream, client, slot| {
        let (connections, abort) = (connections.clone(), abort.clone());
        let connection = async move {
            abort.run_until_cancelled(connections.serve(stream, client)).await;
            drop(slot);
        };
        open.spawn(connection.in_current_span());
    };
    let accepting = async {
        loop {
            let slot = slots.clone().acquire_owned().await.ok();
            match listener.accept().await {
                Ok((stream, client)) => spawn(stream, client, slot),
                Err(error) => {
                    warn!("cannot accept a connection: {error}");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    shutdown.stop.run_until_cancelled(accepting).await;

    match accept_queue(listener) {
        Ok(queue) => queue.into_iter().for_each(|(stream, client)| spawn(stream, client, None)),
        Err(error) => warn!("connections in the accept queue are lost: {error}"),
    }
    open.close();
    if timeout(shutdown.timeout, open.wait()).await.is_err() {
        let busy = open.len();
        warn!("{busy} connections were still busy after {:?} and were closed", shutdown.timeout);
        abort.cancel();
        open.wait().await;
    }
}

/// Closes the listener and returns the connections in the kernel's queue, which would otherwise be
/// reset.
fn accept_queue(listener: TcpListener) -> io::Result<Vec<(TcpStream, SocketAddr)>> {
    // The standard library's listener calls accept(2) directly; tokio's relies on its last event.
    let listener = listener.into_std()?;
    let mut accepted = Vec::new();
    while let Ok((stream, client)) = listener.accept() {
        stream.set_nonblocking(true)?;
        accepted.push((TcpStream::from_std(stream)?, client));
    }
    Ok(accepted)
}

//! A service on a real socket, in the process of the test.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

use axum::Router;
use chassis::{HttpMetrics, Limits, Shutdown};
use tokio::{runtime::Runtime, task::JoinHandle, time};
use tokio_util::sync::CancellationToken;

use crate::{Client, Response, TIMEOUT};

/// Any free port on IPv4.
pub fn any_port() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

/// A service that runs until it is stopped or dropped.
pub struct Service {
    /// The address that it listens on.
    pub address: SocketAddr,
    /// Stops it.
    pub shutdown: Shutdown,
    server: JoinHandle<()>,
    runtime: Runtime,
}

impl Service {
    /// Serves the router that `router` builds with the token that stops the service.
    pub fn start(limits: Limits, router: impl FnOnce(CancellationToken) -> Router) -> Self {
        Self::start_on(any_port(), limits, Shutdown::new(Duration::from_secs(3600)), router)
    }

    /// Serves on this address until `shutdown` begins.
    pub fn start_on(
        address: SocketAddr,
        limits: Limits,
        shutdown: Shutdown,
        router: impl FnOnce(CancellationToken) -> Router,
    ) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let entered = runtime.enter();
        let listener = chassis::listen("LISTEN", address).expect("a listener");
        let address = listener.local_addr().expect("an address");
        let router = router(shutdown.stop.clone());
        let server = tokio::spawn(chassis::serve(
            listener,
            router,
            HttpMetrics::default(),
            limits,
            shutdown.clone(),
        ));
        drop(entered);
        Self { address, shutdown, server, runtime }
    }

    /// Stops the service as a signal does.
    pub fn stop(&self) {
        self.shutdown.begin();
    }

    /// Waits until `serve` has returned. Panics after `timeout`.
    pub fn wait(self, timeout: Duration) {
        let end = self.runtime.block_on(async { time::timeout(timeout, self.server).await });
        end.expect("still serving").expect("a server that does not panic");
    }

    /// Stops the service and returns its responses to these clients. Panics unless each response
    /// closes its connection and the service then ends.
    pub fn drain(self, mut clients: Vec<Client>) -> Vec<Response> {
        self.stop();
        let responses: Vec<Response> = clients.iter_mut().map(Client::response).collect();
        for (client, response) in clients.iter_mut().zip(&responses) {
            assert_eq!(response.header("connection"), Some("close"));
            assert!(client.remainder().is_empty());
        }
        let address = self.address;
        self.wait(TIMEOUT);
        assert!(TcpStream::connect(address).is_err(), "the listener is still open");
        responses
    }

    /// Connects to the service.
    pub fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// Panics unless the service responds.
    pub fn assert_alive(&self) {
        assert_eq!(Client::get(self.address, "/").status, 200);
    }
}

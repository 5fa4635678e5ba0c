//! A service on a real socket, in the process of the test.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

use axum::Router;
use chassis::{Http, Limits, Shutdown};
use tokio::{runtime::Runtime, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{Client, PATIENCE, http::Answer};

/// Any free port on IPv4.
pub fn anywhere() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

/// A service that runs until it is dropped or stopped.
pub struct Service {
    /// Where it listens.
    pub address: SocketAddr,
    /// What ends it.
    pub shutdown: Shutdown,
    server: JoinHandle<()>,
    runtime: Runtime,
}

impl Service {
    /// Serves a router, which is told the token that stops it.
    pub fn start(limits: Limits, router: impl FnOnce(CancellationToken) -> Router) -> Self {
        Self::start_on(anywhere(), limits, Shutdown::new(Duration::from_secs(3600)), router)
    }

    /// Serves on this address, until this shutdown.
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
            Http::default(),
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

    /// Waits until `serve` has returned. Panics after `patience`.
    pub fn wait(self, patience: Duration) {
        let end = self.runtime.block_on(async { timeout(patience, self.server).await });
        end.expect("still serving").expect("a server that does not panic");
    }

    /// Stops the service and returns its answers to these clients, which must be told to leave.
    /// Panics unless it then ends.
    pub fn drain(self, mut clients: Vec<Client>) -> Vec<Answer> {
        self.stop();
        let answers: Vec<Answer> = clients.iter_mut().map(Client::answer).collect();
        for (client, answer) in clients.iter_mut().zip(&answers) {
            assert_eq!(answer.header("connection"), Some("close"));
            assert!(client.rest().is_empty());
        }
        let address = self.address;
        self.wait(PATIENCE);
        assert!(TcpStream::connect(address).is_err(), "the listener is still open");
        answers
    }

    /// Connects to the service.
    pub fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// Panics unless the service answers.
    pub fn assert_alive(&self) {
        assert_eq!(crate::http::get(self.address, "/").status, 200);
    }
}

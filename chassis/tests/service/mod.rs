//! A service on a real socket, and a client that says exactly what it is told.

use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

use axum::Router;
use chassis::{Limits, Shutdown};
use testkit::http::Answer;
use tokio::{runtime::Runtime, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

/// Any free port on IPv4.
pub(crate) fn anywhere() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

/// A service that runs until it is dropped or stopped.
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    pub(crate) shutdown: Shutdown,
    server: JoinHandle<()>,
    runtime: Runtime,
}

impl Service {
    /// Serves a router, which is told the token that stops it.
    pub(crate) fn start(limits: Limits, router: impl FnOnce(CancellationToken) -> Router) -> Self {
        Self::start_on(anywhere(), limits, Shutdown::new(Duration::from_secs(3600)), router)
    }

    /// Serves on this address, until this shutdown.
    pub(crate) fn start_on(
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
        let server = tokio::spawn(chassis::serve(listener, router, limits, shutdown.clone()));
        drop(entered);
        Self { address, shutdown, server, runtime }
    }

    /// Stops the service as a signal does.
    pub(crate) fn stop(&self) {
        self.shutdown.begin();
    }

    /// Waits until `serve` has returned. Panics after `patience`.
    pub(crate) fn wait(self, patience: Duration) {
        let end = self.runtime.block_on(async { timeout(patience, self.server).await });
        end.expect("still serving").expect("a server that does not panic");
    }

    /// Connects to the service.
    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// Panics unless the service answers.
    pub(crate) fn assert_alive(&self) {
        assert_eq!(testkit::http::get(self.address, "/").status, 200);
    }
}

/// A connection on which anything can be said.
pub(crate) struct Client(BufReader<TcpStream>);

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a socket");
        stream.set_write_timeout(Some(Duration::from_secs(30))).expect("a socket");
        Self(BufReader::new(stream))
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        self.0.get_ref()
    }

    /// Sends bytes to somebody who takes them.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("a peer that listens");
    }

    /// Sends bytes to somebody who may have hung up.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.0.get_mut().write_all(bytes.as_ref())
    }

    /// Reads the status line and the headers.
    pub(crate) fn head(&mut self) -> Answer {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let read = self.0.read_line(&mut head).expect("an answer in time");
            assert_ne!(read, 0, "the connection ended after {head:?}");
        }
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let head = head.trim_end().to_owned();
        Answer { status: status.expect("a status"), head, body: Vec::new() }
    }

    /// Reads one answer, whose length its header tells, and leaves the connection open.
    pub(crate) fn answer(&mut self) -> Answer {
        let mut answer = self.head();
        let length = header(&answer, "content-length").expect("a length");
        answer.body.resize(length.parse().expect("a number"), 0);
        self.0.read_exact(&mut answer.body).expect("a whole body");
        answer
    }

    /// Reads what there is; 0 is the end of the connection.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> usize {
        self.0.read(buffer).unwrap_or(0)
    }

    /// Whether there is nothing to read for `time`.
    pub(crate) fn is_silent(&mut self, time: Duration) -> bool {
        let before = self.socket().read_timeout().expect("a socket");
        self.socket().set_read_timeout(Some(time)).expect("a socket");
        let read = self.0.fill_buf().map(<[u8]>::len).map_err(|error| error.kind());
        self.socket().set_read_timeout(before).expect("a socket");
        matches!(read, Err(ErrorKind::WouldBlock))
    }

    /// Reads until the service closes the connection, one way or the other. Panics if it does not.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.0.read_to_end(&mut bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("still open"),
            Ok(_) | Err(_) => bytes,
        }
    }
}

/// The value of a header.
pub(crate) fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer.head.lines().skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// Asks with any method; only HEAD has no body to read.
pub(crate) fn ask(address: SocketAddr, method: &str, path: &str) -> Answer {
    let mut client = Client::connect(address);
    client.send(format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\n\r\n"));
    if method == "HEAD" { client.head() } else { client.answer() }
}

/// A part of `Server-Timing`, in milliseconds.
pub(crate) fn timing(answer: &Answer, part: &str) -> f64 {
    let timing = header(answer, "server-timing").expect("a Server-Timing");
    let value = timing.split(", ").find_map(|entry| entry.strip_prefix(part));
    let value = value.and_then(|value| value.strip_prefix(";dur=")).expect("this part");
    value.parse().expect("a number")
}

//! Clients that send requests all the time and record every failure.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use testkit::{Client, Response, eventually};

use crate::{BalancerMode, TIMEOUT};

/// Clients in one group.
const CLIENTS: u64 = 50;

/// Pause of a client between two requests, so that a small machine is not overloaded.
const PAUSE: Duration = Duration::from_millis(20);

/// The same for clients that open a connection per request. A firewall that tracks connections
/// keeps each in its table for two minutes, and drops packets when the table is full.
const PAUSE_PER_REQUEST: Duration = Duration::from_millis(200);

/// The request for a number, and the check of the response's body.
#[derive(Clone, Copy)]
pub(crate) struct RequestSpec {
    pub(crate) request: &'static str,
    pub(crate) body: fn(u64) -> Vec<u8>,
    pub(crate) is_valid: fn(u64, &[u8]) -> bool,
}

/// The results of a group of clients.
pub(crate) struct Outcome {
    pub(crate) responses: u64,
    /// The minimum over all clients of the connections that a response announced to close.
    pub(crate) closes: u64,
    pub(crate) failures: Vec<String>,
}

/// A group of clients. A client ends with its first failure.
pub(crate) struct Clients {
    group: Arc<Group>,
    threads: Vec<JoinHandle<()>>,
}

struct Group {
    name: String,
    spec: RequestSpec,
    connections: BalancerMode,
    address: Mutex<SocketAddr>,
    members: Vec<Member>,
    stopping: AtomicBool,
    failures: Mutex<Vec<String>>,
}

#[derive(Default)]
struct Member {
    responses: AtomicU64,
    closes: AtomicU64,
}

impl Clients {
    pub(crate) fn start(
        name: &str,
        spec: RequestSpec,
        connections: BalancerMode,
        address: SocketAddr,
    ) -> Self {
        let group = Arc::new(Group {
            name: name.to_owned(),
            spec,
            connections,
            address: Mutex::new(address),
            members: (0..CLIENTS).map(|_| Member::default()).collect(),
            stopping: AtomicBool::new(false),
            failures: Mutex::default(),
        });
        let client = |number: u64| {
            let group = group.clone();
            thread::spawn(move || {
                if let Err(failure) = group.client(number) {
                    group.failures.lock().unwrap().push(failure);
                }
            })
        };
        let threads = (0..CLIENTS).map(client).collect();
        Self { group, threads }
    }

    /// Opens further connections to another address, as after a change of kube-proxy's rules.
    pub(crate) fn redirect(&self, address: SocketAddr) {
        *self.group.address.lock().unwrap() = address;
    }

    /// Waits until each client has received three more responses, or until one has failed.
    pub(crate) fn wait_for_responses(&self) {
        let before: Vec<u64> = self.responses().collect();
        eventually(
            TIMEOUT,
            &format!("{}: more responses for every client", self.group.name),
            || {
                let mut pairs = self.responses().zip(&before);
                self.has_failures() || pairs.all(|(now, before)| now >= before + 3)
            },
        );
    }

    /// Stops all clients.
    pub(crate) fn stop(self) -> Outcome {
        self.group.stopping.store(true, Ordering::SeqCst);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        let members = || self.group.members.iter();
        Outcome {
            responses: members().map(|member| member.responses.load(Ordering::SeqCst)).sum(),
            closes: members().map(|member| member.closes.load(Ordering::SeqCst)).min().unwrap(),
            failures: self.group.failures.lock().unwrap().clone(),
        }
    }

    fn responses(&self) -> impl Iterator<Item = u64> {
        self.group.members.iter().map(|member| member.responses.load(Ordering::SeqCst))
    }

    fn has_failures(&self) -> bool {
        !self.group.failures.lock().unwrap().is_empty()
    }
}

impl Group {
    fn client(&self, number: u64) -> Result<(), String> {
        let member = &self.members[number as usize];
        let mut kept = None;
        // All clients use different numbers.
        for n in (number..).step_by(CLIENTS as usize) {
            if self.stopping.load(Ordering::SeqCst) {
                break;
            }
            let age = if kept.is_some() { "kept" } else { "new" };
            let failed = |error: io::Error| {
                format!("{}: request {n} on a {age} connection: {error}", self.name)
            };
            let mut connection = match kept.take() {
                Some(connection) => connection,
                None => Connection::open(*self.address.lock().unwrap()).map_err(failed)?,
            };
            let response = connection.send(&self.spec, n, self.connections).map_err(failed)?;
            if response.status != 200 || !(self.spec.is_valid)(n, &response.body) {
                let text = String::from_utf8_lossy(&response.body);
                let error = format!("invalid response with status {}: {text}", response.status);
                return Err(failed(io::Error::other(error)));
            }
            member.responses.fetch_add(1, Ordering::SeqCst);
            if closes(&response) {
                member.closes.fetch_add(1, Ordering::SeqCst);
                connection.end().map_err(failed)?;
            } else {
                kept = Some(connection);
            }
            thread::sleep(match self.connections {
                BalancerMode::PerRequest => PAUSE_PER_REQUEST,
                BalancerMode::KeepAlive | BalancerMode::Forwarded => PAUSE,
            });
        }
        Ok(())
    }
}

/// A connection that carries requests one after the other.
pub(crate) struct Connection(Client);

impl Connection {
    fn open(address: SocketAddr) -> io::Result<Self> {
        let client = Client::try_connect(address)?;
        client.socket().set_nodelay(true)?;
        Ok(Self(client))
    }

    /// Opens a connection that is idle after one request.
    pub(crate) fn idle(address: SocketAddr, spec: &RequestSpec) -> Self {
        let mut connection = Self::open(address).unwrap();
        let response = connection.send(spec, 0, BalancerMode::KeepAlive).unwrap();
        assert!((spec.is_valid)(0, &response.body) && !closes(&response));
        connection
    }

    /// Expects the end of the connection, without bytes or a reset before it.
    pub(crate) fn end(mut self) -> io::Result<()> {
        match self.0.try_read(&mut [0])? {
            0 => Ok(()),
            _ => Err(io::Error::other("more bytes than the response announced")),
        }
    }

    fn send(
        &mut self,
        spec: &RequestSpec,
        n: u64,
        connections: BalancerMode,
    ) -> io::Result<Response> {
        let (request, body) = (spec.request, (spec.body)(n));
        let length = body.len();
        let header = match connections {
            BalancerMode::PerRequest => "close",
            BalancerMode::KeepAlive | BalancerMode::Forwarded => "keep-alive",
        };
        let mut bytes = format!(
            "{request} HTTP/1.1\r\nHost: service\r\nContent-Length: {length}\r\n\
             Connection: {header}\r\n\r\n"
        )
        .into_bytes();
        bytes.extend(body);
        self.0.try_send(bytes)?;
        self.0.try_response()
    }
}

/// Whether a response announces the end of its connection.
fn closes(response: &Response) -> bool {
    response.header("connection") == Some("close")
}

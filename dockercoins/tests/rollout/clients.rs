//! Clients that ask all the time and forgive nothing.

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

use testkit::{Client, eventually, http::Answer};

use crate::{Connections, PATIENCE};

/// Clients in one group.
const CLIENTS: u64 = 50;

/// How long a client waits between two requests, so that a small machine has time for the others.
const PAUSE: Duration = Duration::from_millis(20);

/// The same for clients that open a connection for each request: where a firewall tracks
/// connections, its table holds each for two minutes, and a full table drops packets.
const PAUSE_PER_REQUEST: Duration = Duration::from_millis(200);

/// What is asked with a number, and whether a body is right for that number.
#[derive(Clone, Copy)]
pub(crate) struct Question {
    pub(crate) request: &'static str,
    pub(crate) body: fn(u64) -> Vec<u8>,
    pub(crate) is_right: fn(u64, &[u8]) -> bool,
}

/// What a group of clients has seen.
pub(crate) struct Outcome {
    pub(crate) answers: u64,
    /// The fewest connections of one client that the other side announced to close.
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
    question: Question,
    connections: Connections,
    address: Mutex<SocketAddr>,
    members: Vec<Member>,
    stopping: AtomicBool,
    failures: Mutex<Vec<String>>,
}

#[derive(Default)]
struct Member {
    answers: AtomicU64,
    closes: AtomicU64,
}

impl Clients {
    pub(crate) fn start(
        name: &str,
        question: Question,
        connections: Connections,
        address: SocketAddr,
    ) -> Self {
        let group = Arc::new(Group {
            name: name.to_owned(),
            question,
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

    /// Connections from now on go to another address, as when kube-proxy has changed its rules.
    pub(crate) fn redirect(&self, address: SocketAddr) {
        *self.group.address.lock().unwrap() = address;
    }

    /// Waits until each client has a few more answers, or until one has failed.
    pub(crate) fn go_on(&self) {
        let before: Vec<u64> = self.answers().collect();
        eventually(PATIENCE, &format!("{}: everybody has more answers", self.group.name), || {
            let mut pairs = self.answers().zip(&before);
            self.has_failures() || pairs.all(|(now, before)| now >= before + 3)
        });
    }

    /// Stops all clients.
    pub(crate) fn stop(self) -> Outcome {
        self.group.stopping.store(true, Ordering::SeqCst);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        let members = || self.group.members.iter();
        Outcome {
            answers: members().map(|member| member.answers.load(Ordering::SeqCst)).sum(),
            closes: members().map(|member| member.closes.load(Ordering::SeqCst)).min().unwrap(),
            failures: self.group.failures.lock().unwrap().clone(),
        }
    }

    fn answers(&self) -> impl Iterator<Item = u64> {
        self.group.members.iter().map(|member| member.answers.load(Ordering::SeqCst))
    }

    fn has_failures(&self) -> bool {
        !self.group.failures.lock().unwrap().is_empty()
    }
}

impl Group {
    fn client(&self, number: u64) -> Result<(), String> {
        let member = &self.members[number as usize];
        let mut kept = None;
        // No two clients ask with the same number.
        for n in (number..).step_by(CLIENTS as usize) {
            if self.stopping.load(Ordering::SeqCst) {
                break;
            }
            let age = if kept.is_some() { "kept" } else { "new" };
            let failed =
                |why: io::Error| format!("{}: request {n} on a {age} connection: {why}", self.name);
            let mut connection = match kept.take() {
                Some(connection) => connection,
                None => Connection::open(*self.address.lock().unwrap()).map_err(failed)?,
            };
            let answer = connection.ask(&self.question, n, self.connections).map_err(failed)?;
            if answer.status != 200 || !(self.question.is_right)(n, &answer.body) {
                let text = String::from_utf8_lossy(&answer.body);
                let wrong = format!("wrong answer with status {}: {text}", answer.status);
                return Err(failed(io::Error::other(wrong)));
            }
            member.answers.fetch_add(1, Ordering::SeqCst);
            if closes(&answer) {
                member.closes.fetch_add(1, Ordering::SeqCst);
                connection.end().map_err(failed)?;
            } else {
                kept = Some(connection);
            }
            thread::sleep(match self.connections {
                Connections::PerRequest => PAUSE_PER_REQUEST,
                Connections::KeepAlive | Connections::Forwarded => PAUSE,
            });
        }
        Ok(())
    }
}

/// A connection on which one request after the other is sent.
pub(crate) struct Connection(Client);

impl Connection {
    fn open(address: SocketAddr) -> io::Result<Self> {
        let client = Client::try_connect(address)?;
        client.socket().set_nodelay(true)?;
        Ok(Self(client))
    }

    /// A connection on which one request was answered and no other will be sent.
    pub(crate) fn idle(address: SocketAddr, question: &Question) -> Self {
        let mut connection = Self::open(address).unwrap();
        let answer = connection.ask(question, 0, Connections::KeepAlive).unwrap();
        assert!((question.is_right)(0, &answer.body) && !closes(&answer));
        connection
    }

    /// Expects the end of the connection, and neither bytes nor a reset before it.
    pub(crate) fn end(mut self) -> io::Result<()> {
        match self.0.try_read(&mut [0])? {
            0 => Ok(()),
            _ => Err(io::Error::other("more came than was announced")),
        }
    }

    fn ask(&mut self, ask: &Question, n: u64, connections: Connections) -> io::Result<Answer> {
        let (request, body) = (ask.request, (ask.body)(n));
        let length = body.len();
        let header = match connections {
            Connections::PerRequest => "close",
            Connections::KeepAlive | Connections::Forwarded => "keep-alive",
        };
        let mut bytes = format!(
            "{request} HTTP/1.1\r\nHost: service\r\nContent-Length: {length}\r\n\
             Connection: {header}\r\n\r\n"
        )
        .into_bytes();
        bytes.extend(body);
        self.0.try_send(bytes)?;
        self.0.try_answer()
    }
}

/// Whether an answer announces the end of its connection.
fn closes(answer: &Answer) -> bool {
    answer.header("connection") == Some("close")
}

//! A hand-made rng or hasher that answers as a test tells it to, and knows what it has answered.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use rustix::net::{AddressFamily, SocketType, bind, getsockname, listen, socket, sockopt};
use sha2::{Digest, Sha256};

/// Answers one request, whose body it gets; returns whether the connection stays open.
pub(crate) trait Script:
    Fn(&Peer, &[u8], &mut TcpStream) -> bool + Send + Sync + 'static
{
}

impl<F: Fn(&Peer, &[u8], &mut TcpStream) -> bool + Send + Sync + 'static> Script for F {}

/// A peer of the worker; clones share it.
#[derive(Clone)]
pub(crate) struct Peer(Arc<Inner>);

struct Inner {
    address: SocketAddr,
    /// The socket, as long as nothing listens on it.
    closed: Mutex<Option<OwnedFd>>,
    script: Mutex<Arc<dyn Script>>,
    requests: AtomicU64,
    answered: AtomicU64,
    coins: Mutex<Vec<(String, String)>>,
}

impl Peer {
    /// A port that is taken but refuses connections.
    pub(crate) fn closed(script: impl Script) -> Self {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = getsockname(&socket).unwrap().try_into().unwrap();
        Self(Arc::new(Inner {
            address,
            closed: Mutex::new(Some(socket)),
            script: Mutex::new(Arc::new(script)),
            requests: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            coins: Mutex::default(),
        }))
    }

    /// A peer that listens.
    pub(crate) fn open(script: impl Script) -> Self {
        let peer = Self::closed(script);
        peer.listen();
        peer
    }

    /// A good rng.
    pub(crate) fn rng() -> Self {
        Self::open(random_bytes)
    }

    /// A good hasher.
    pub(crate) fn hasher() -> Self {
        Self::open(hash)
    }

    /// Begins to listen on the port that was closed.
    pub(crate) fn listen(&self) {
        let socket = self.0.closed.lock().unwrap().take().expect("a closed port");
        listen(&socket, 1024).unwrap();
        let (listener, peer) = (TcpListener::from(socket), self.clone());
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let peer = peer.clone();
                thread::spawn(move || peer.connection(stream));
            }
        });
    }

    /// Begins to listen, but accepts nothing and lets only one connection wait for it.
    pub(crate) fn listen_without_accepting(&self) -> TcpListener {
        let socket = self.0.closed.lock().unwrap().take().expect("a closed port");
        listen(&socket, 0).unwrap();
        socket.into()
    }

    /// Answers otherwise from now on.
    pub(crate) fn turn(&self, script: impl Script) {
        *self.0.script.lock().unwrap() = Arc::new(script);
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.0.address)
    }

    /// Host and port, as the worker's log has them.
    pub(crate) fn name(&self) -> String {
        self.0.address.to_string()
    }

    /// Requests that came, whatever became of them.
    pub(crate) fn requests(&self) -> u64 {
        self.0.requests.load(Ordering::SeqCst)
    }

    /// Right answers that were sent.
    pub(crate) fn answered(&self) -> u64 {
        self.0.answered.load(Ordering::SeqCst)
    }

    /// The coins among the right answers: hash and bytes, both in hex, sorted.
    pub(crate) fn coins(&self) -> Vec<(String, String)> {
        let mut coins = self.0.coins.lock().unwrap().clone();
        coins.sort();
        coins
    }

    /// Enters that bytes were hashed, and returns their hash. Before it is sent: the worker may report
    /// it before this thread runs again.
    pub(crate) fn enter(&self, bytes: &[u8]) -> String {
        let hash = hex::encode(Sha256::digest(bytes));
        self.0.answered.fetch_add(1, Ordering::SeqCst);
        if hash.starts_with('0') {
            self.0.coins.lock().unwrap().push((hash.clone(), hex::encode(bytes)));
        }
        hash
    }

    fn connection(&self, mut stream: TcpStream) {
        while let Some(body) = request(&mut stream) {
            self.0.requests.fetch_add(1, Ordering::SeqCst);
            let script = self.0.script.lock().unwrap().clone();
            if !script(self, &body, &mut stream) {
                break;
            }
        }
    }
}

/// 32 random bytes.
pub(crate) fn random_bytes(_: &Peer, _: &[u8], stream: &mut TcpStream) -> bool {
    stream.write_all(&ok(&rand::random::<[u8; 32]>())).is_ok()
}

/// The hash of the body.
pub(crate) fn hash(peer: &Peer, body: &[u8], stream: &mut TcpStream) -> bool {
    let hash = peer.enter(body);
    stream.write_all(&ok(hash.as_bytes())).is_ok()
}

/// A complete answer with this body.
pub(crate) fn ok(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// Sends these bytes and ends the connection.
pub(crate) fn only(bytes: impl Into<Vec<u8>>) -> impl Script {
    let bytes = bytes.into();
    move |_: &Peer, _: &[u8], stream: &mut TcpStream| {
        let _ = stream.write_all(&bytes);
        false
    }
}

/// Ends the connection with a reset.
pub(crate) fn reset(_: &Peer, _: &[u8], stream: &mut TcpStream) -> bool {
    sockopt::set_socket_linger(&*stream, Some(Duration::ZERO)).unwrap();
    false
}

/// Never answers, until the worker gives up.
pub(crate) fn hang(_: &Peer, _: &[u8], stream: &mut TcpStream) -> bool {
    let _ = stream.read(&mut [0]);
    false
}

/// Sends without end, until the worker gives up.
pub(crate) fn endless(_: &Peer, _: &[u8], stream: &mut TcpStream) -> bool {
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
    while stream.write_all(&[b'0'; 4096]).is_ok() {}
    false
}

/// Reads a request and returns its body; nothing when there is no further one.
fn request(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let length = head.split("content-length: ").nth(1).map_or(0, |rest| {
                rest.lines().next().and_then(|value| value.parse().ok()).expect("a length")
            });
            if bytes.len() >= end + 4 + length {
                return Some(bytes[end + 4..end + 4 + length].to_vec());
            }
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return None,
            Ok(n) => bytes.extend_from_slice(&buffer[..n]),
        }
    }
}

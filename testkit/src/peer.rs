//! A hand-made rng or hasher that responds as a test prescribes, and counts its correct responses.

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

/// Responds to one request with this body; returns whether the connection stays open.
pub trait Script: Fn(&Peer, &[u8], &mut TcpStream) -> bool + Send + Sync + 'static {}

impl<F: Fn(&Peer, &[u8], &mut TcpStream) -> bool + Send + Sync + 'static> Script for F {}

/// A peer of a worker; clones share it.
#[derive(Clone)]
pub struct Peer(Arc<Inner>);

struct Inner {
    address: SocketAddr,
    /// The socket, while nothing listens on it.
    closed: Mutex<Option<OwnedFd>>,
    script: Mutex<Arc<dyn Script>>,
    requests: AtomicU64,
    hashes: AtomicU64,
    coins: Mutex<Vec<(String, String)>>,
}

impl Peer {
    /// A peer whose port is reserved but refuses connections.
    pub fn closed(script: impl Script) -> Self {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = getsockname(&socket).unwrap().try_into().unwrap();
        Self(Arc::new(Inner {
            address,
            closed: Mutex::new(Some(socket)),
            script: Mutex::new(Arc::new(script)),
            requests: AtomicU64::new(0),
            hashes: AtomicU64::new(0),
            coins: Mutex::default(),
        }))
    }

    /// A peer that listens.
    pub fn open(script: impl Script) -> Self {
        let peer = Self::closed(script);
        peer.listen();
        peer
    }

    /// A correct rng.
    pub fn rng() -> Self {
        Self::open(random_bytes)
    }

    /// A correct hasher.
    pub fn hasher() -> Self {
        Self::open(hash)
    }

    /// Starts to listen on the port that was closed.
    pub fn listen(&self) {
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

    /// Starts to listen with the shortest backlog, and accepts no connection.
    pub fn listen_without_accepting(&self) -> TcpListener {
        let socket = self.0.closed.lock().unwrap().take().expect("a closed port");
        listen(&socket, 0).unwrap();
        socket.into()
    }

    /// Changes how the peer responds.
    pub fn set_script(&self, script: impl Script) {
        *self.0.script.lock().unwrap() = Arc::new(script);
    }

    /// The URL of the peer.
    pub fn url(&self) -> String {
        format!("http://{}/", self.0.address)
    }

    /// Host and port, as in the worker's log.
    pub fn name(&self) -> String {
        self.0.address.to_string()
    }

    /// Requests received, also those without a correct response.
    pub fn requests(&self) -> u64 {
        self.0.requests.load(Ordering::SeqCst)
    }

    /// Hashes in correct responses.
    pub fn hashes(&self) -> u64 {
        self.0.hashes.load(Ordering::SeqCst)
    }

    /// The coins among the correct responses: hash and bytes, both in hex, sorted.
    pub fn coins(&self) -> Vec<(String, String)> {
        let mut coins = self.0.coins.lock().unwrap().clone();
        coins.sort();
        coins
    }

    /// Hashes bytes and counts the response. Call it before the response is sent: the worker may
    /// flush the hash before this thread runs again.
    pub fn record_hash(&self, bytes: &[u8]) -> String {
        let hash = hex::encode(Sha256::digest(bytes));
        self.0.hashes.fetch_add(1, Ordering::SeqCst);
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

/// Responds with 32 random bytes.
pub fn random_bytes(_: &Peer, _: &[u8], stream: &mut TcpStream) -> bool {
    stream.write_all(&ok(&rand::random::<[u8; 32]>())).is_ok()
}

/// Responds with the hash of the body.
pub fn hash(peer: &Peer, body: &[u8], stream: &mut TcpStream) -> bool {
    let hash = peer.record_hash(body);
    stream.write_all(&ok(hash.as_bytes())).is_ok()
}

/// Responds with the random bytes of a batch: 32 for each unit of work.
pub fn random_blocks(batch: usize) -> impl Script {
    move |_: &Peer, _: &[u8], stream: &mut TcpStream| {
        let bytes: Vec<u8> = (0..batch * 32).map(|_| rand::random()).collect();
        stream.write_all(&ok(&bytes)).is_ok()
    }
}

/// Responds with the hashes of a batch.
pub fn hash_blocks(peer: &Peer, body: &[u8], stream: &mut TcpStream) -> bool {
    for block in body.chunks(32) {
        peer.record_hash(block);
    }
    stream.write_all(&ok(hash_lines(body).as_bytes())).is_ok()
}

/// The hash of each 32 bytes, each on a line.
pub fn hash_lines(body: &[u8]) -> String {
    body.chunks(32).map(|block| format!("{}\n", hex::encode(Sha256::digest(block)))).collect()
}

/// A complete response with this body.
pub fn ok(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// Sends these bytes and closes the connection.
pub fn only(bytes: impl Into<Vec<u8>>) -> impl Script {
    let bytes = bytes.into();
    move |_: &Peer, _: &[u8], stream: &mut TcpStream| {
        let _ = stream.write_all(&bytes);
        false
    }
}

/// Resets the connection.
pub fn reset(_: &Peer, _: &[u8], stream: &mut TcpStream) -> bool {
    sockopt::set_socket_linger(&*stream, Some(Duration::ZERO)).unwrap();
    false
}

/// Sends no response and waits until the worker closes the connection.
pub fn hang(_: &Peer, _: &[u8], stream: &mut TcpStream) -> bool {
    let _ = stream.read(&mut [0]);
    false
}

/// Sends an endless response until the worker closes the connection.
pub fn endless(_: &Peer, _: &[u8], stream: &mut TcpStream) -> bool {
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
    while stream.write_all(&[b'0'; 4096]).is_ok() {}
    false
}

/// Reads a request and returns its body; none at the end of the connection.
fn request(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let length = head.split("content-length: ").nth(1).map_or(0, |remainder| {
                remainder.lines().next().and_then(|value| value.parse().ok()).expect("a length")
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

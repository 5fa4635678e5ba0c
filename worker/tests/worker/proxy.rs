//! A proxy in front of redis that loses the replies to flushes, or delivers flushes late.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// The delay of a late flush: long enough for its retry and for several later flushes.
const LATE: Duration = Duration::from_millis(150);

/// Of five flushes, those whose reply is lost or that are late.
const LOST: [bool; 5] = [true, true, false, true, false];

/// The proxy; clones share it.
#[derive(Clone)]
pub(crate) struct Proxy(Arc<Inner>);

struct Inner {
    address: SocketAddr,
    redis: SocketAddr,
    /// Runs when redis has executed a flush, before its reply is lost.
    before_loss: Box<dyn Fn() + Send + Sync>,
    flushes: AtomicU64,
    lost: AtomicU64,
    losing: AtomicBool,
    late: bool,
    undelivered: AtomicU64,
    frozen: AtomicBool,
}

impl Proxy {
    /// A proxy that loses replies, and calls `before_loss` before each loss.
    pub(crate) fn start(redis_port: u16, before_loss: impl Fn() + Send + Sync + 'static) -> Self {
        Self::new(redis_port, Box::new(before_loss), false)
    }

    /// A proxy that closes the connections of some flushes, and delivers these flushes late.
    pub(crate) fn late(redis_port: u16) -> Self {
        Self::new(redis_port, Box::new(|| {}), true)
    }

    fn new(redis_port: u16, before_loss: Box<dyn Fn() + Send + Sync>, late: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Self(Arc::new(Inner {
            address: listener.local_addr().unwrap(),
            redis: ([127, 0, 0, 1], redis_port).into(),
            before_loss,
            flushes: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            losing: AtomicBool::new(true),
            late,
            undelivered: AtomicU64::new(0),
            frozen: AtomicBool::new(false),
        }));
        let accepting = proxy.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let proxy = accepting.clone();
                thread::spawn(move || proxy.connection(client));
            }
        });
        proxy
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.address
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.0.address)
    }

    /// The number of lost replies, including those to late flushes.
    pub(crate) fn lost(&self) -> u64 {
        self.0.lost.load(Ordering::SeqCst)
    }

    /// Whether a late flush is not delivered yet.
    pub(crate) fn is_delivering(&self) -> bool {
        self.0.undelivered.load(Ordering::SeqCst) > 0
    }

    /// Stops losing replies.
    pub(crate) fn heal(&self) {
        self.0.losing.store(false, Ordering::SeqCst);
    }

    /// Stops forwarding in both directions, but still accepts connections.
    pub(crate) fn freeze(&self) {
        self.0.frozen.store(true, Ordering::SeqCst);
    }

    fn connection(&self, client: TcpStream) {
        let Ok(redis) = TcpStream::connect(self.0.redis) else {
            return;
        };
        let is_flushing = Arc::new(AtomicBool::new(false));
        let (proxy, flushing) = (self.clone(), is_flushing.clone());
        let (to_client, from_redis) = (client.try_clone().unwrap(), redis.try_clone().unwrap());
        thread::spawn(move || proxy.backward(from_redis, to_client, &flushing));
        self.forward(client, redis, &is_flushing);
    }

    fn forward(&self, mut client: TcpStream, mut redis: TcpStream, is_flushing: &AtomicBool) {
        let mut buffer = [0; 64 * 1024];
        while let Ok(n @ 1..) = client.read(&mut buffer) {
            if self.0.frozen.load(Ordering::SeqCst) {
                continue;
            }
            let sent = &buffer[..n];
            if contains(sent, b"EVALSHA") || contains(sent, b"INCRBY") {
                is_flushing.store(true, Ordering::SeqCst);
                if self.0.late && self.is_next_lost() {
                    self.0.undelivered.fetch_add(1, Ordering::SeqCst);
                    let _ = client.shutdown(Shutdown::Both);
                    thread::sleep(LATE);
                    self.deliver(sent);
                    self.0.undelivered.fetch_sub(1, Ordering::SeqCst);
                    break;
                }
            }
            if redis.write_all(sent).is_err() {
                break;
            }
        }
        let _ = redis.shutdown(Shutdown::Both);
    }

    fn deliver(&self, flush: &[u8]) {
        let mut redis = TcpStream::connect(self.0.redis).unwrap();
        redis.write_all(flush).unwrap();
        assert!(redis.read(&mut [0; 64]).unwrap() > 0);
        self.0.lost.fetch_add(1, Ordering::SeqCst);
    }

    fn is_next_lost(&self) -> bool {
        self.0.losing.load(Ordering::SeqCst) && {
            let number = self.0.flushes.fetch_add(1, Ordering::SeqCst) as usize;
            LOST[number % LOST.len()]
        }
    }

    fn backward(&self, mut redis: TcpStream, mut client: TcpStream, is_flushing: &AtomicBool) {
        let mut buffer = [0; 64 * 1024];
        while let Ok(n @ 1..) = redis.read(&mut buffer) {
            let reply = &buffer[..n];
            // An error, such as NOSCRIPT, means that nothing was counted.
            let counted = is_flushing.swap(false, Ordering::SeqCst) && !reply.starts_with(b"-");
            if counted && !self.0.late && self.is_next_lost() {
                (self.0.before_loss)();
                self.0.lost.fetch_add(1, Ordering::SeqCst);
                break;
            }
            if client.write_all(reply).is_err() {
                break;
            }
        }
        let _ = client.shutdown(Shutdown::Both);
        let _ = redis.shutdown(Shutdown::Both);
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

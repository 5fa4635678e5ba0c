//! A proxy before redis that loses answers to reports, or delivers reports late.

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

/// How late a late report is: long enough for its repetition and for several others.
const LATE: Duration = Duration::from_millis(150);

/// Of five reports, those whose answer is lost or that are late.
const LOST: [bool; 5] = [true, true, false, true, false];

/// The proxy; clones share it.
#[derive(Clone)]
pub(crate) struct Proxy(Arc<Inner>);

struct Inner {
    address: SocketAddr,
    redis: SocketAddr,
    /// Done when redis has acted on a report, before its answer is lost.
    before_loss: Box<dyn Fn() + Send + Sync>,
    reports: AtomicU64,
    lost: AtomicU64,
    losing: AtomicBool,
    late: bool,
    on_the_way: AtomicU64,
    frozen: AtomicBool,
}

impl Proxy {
    /// A proxy that loses answers, and does something before.
    pub(crate) fn start(redis_port: u16, before_loss: impl Fn() + Send + Sync + 'static) -> Self {
        Self::new(redis_port, Box::new(before_loss), false)
    }

    /// A proxy that cuts connections under reports, and delivers these later.
    pub(crate) fn late(redis_port: u16) -> Self {
        Self::new(redis_port, Box::new(|| {}), true)
    }

    fn new(redis_port: u16, before_loss: Box<dyn Fn() + Send + Sync>, late: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Self(Arc::new(Inner {
            address: listener.local_addr().unwrap(),
            redis: ([127, 0, 0, 1], redis_port).into(),
            before_loss,
            reports: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            losing: AtomicBool::new(true),
            late,
            on_the_way: AtomicU64::new(0),
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

    /// Answers that were lost, also because the report was late.
    pub(crate) fn lost(&self) -> u64 {
        self.0.lost.load(Ordering::SeqCst)
    }

    /// Whether some reports have yet to be delivered.
    pub(crate) fn is_delivering(&self) -> bool {
        self.0.on_the_way.load(Ordering::SeqCst) > 0
    }

    /// Loses no further answer.
    pub(crate) fn heal(&self) {
        self.0.losing.store(false, Ordering::SeqCst);
    }

    /// From now on redis neither gets nor sends anything, though it can be reached.
    pub(crate) fn freeze(&self) {
        self.0.frozen.store(true, Ordering::SeqCst);
    }

    fn connection(&self, client: TcpStream) {
        let Ok(redis) = TcpStream::connect(self.0.redis) else {
            return;
        };
        let reporting = Arc::new(AtomicBool::new(false));
        let (proxy, answers) = (self.clone(), reporting.clone());
        let (to_client, from_redis) = (client.try_clone().unwrap(), redis.try_clone().unwrap());
        thread::spawn(move || proxy.backward(from_redis, to_client, &answers));
        self.forward(client, redis, &reporting);
    }

    fn forward(&self, mut client: TcpStream, mut redis: TcpStream, reporting: &AtomicBool) {
        let mut buffer = [0; 64 * 1024];
        while let Ok(n @ 1..) = client.read(&mut buffer) {
            if self.0.frozen.load(Ordering::SeqCst) {
                continue;
            }
            let sent = &buffer[..n];
            if contains(sent, b"EVALSHA") || contains(sent, b"INCRBY") {
                reporting.store(true, Ordering::SeqCst);
                if self.0.late && self.is_next_lost() {
                    self.0.on_the_way.fetch_add(1, Ordering::SeqCst);
                    let _ = client.shutdown(Shutdown::Both);
                    thread::sleep(LATE);
                    self.deliver(sent);
                    self.0.on_the_way.fetch_sub(1, Ordering::SeqCst);
                    break;
                }
            }
            if redis.write_all(sent).is_err() {
                break;
            }
        }
        let _ = redis.shutdown(Shutdown::Both);
    }

    fn deliver(&self, report: &[u8]) {
        let mut redis = TcpStream::connect(self.0.redis).unwrap();
        redis.write_all(report).unwrap();
        assert!(redis.read(&mut [0; 64]).unwrap() > 0);
        self.0.lost.fetch_add(1, Ordering::SeqCst);
    }

    fn is_next_lost(&self) -> bool {
        self.0.losing.load(Ordering::SeqCst) && {
            let number = self.0.reports.fetch_add(1, Ordering::SeqCst) as usize;
            LOST[number % LOST.len()]
        }
    }

    fn backward(&self, mut redis: TcpStream, mut client: TcpStream, reporting: &AtomicBool) {
        let mut buffer = [0; 64 * 1024];
        while let Ok(n @ 1..) = redis.read(&mut buffer) {
            let answer = &buffer[..n];
            // An error, such as NOSCRIPT, means that nothing was counted.
            let counted = reporting.swap(false, Ordering::SeqCst) && !answer.starts_with(b"-");
            if counted && !self.0.late && self.is_next_lost() {
                (self.0.before_loss)();
                self.0.lost.fetch_add(1, Ordering::SeqCst);
                break;
            }
            if client.write_all(answer).is_err() {
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

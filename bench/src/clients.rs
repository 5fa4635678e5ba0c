//! Clients that keep their connections: they ask again and again, or listen to a stream of events.

use std::{
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use testkit::{Client, http};

use crate::{handler::EVENTS, process};

/// What comes before the data of an event.
const DATA: &str = "data: ";

/// How long it may take until every stream has had an event.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks on so many connections, each in a thread of its own, for so long; returns how many answers
/// came.
pub(crate) fn ask(
    peer: SocketAddr,
    path: &str,
    connections: usize,
    length: Duration,
) -> Result<u64> {
    let end = Instant::now() + length;
    let threads = (0..connections).map(|_| {
        let request = request(peer, path);
        thread::spawn(move || ask_one(peer, &request, end))
    });
    let mut answers = 0;
    for thread in threads.collect::<Vec<_>>() {
        answers += thread.join().map_err(|_| anyhow!("a thread has died"))??;
    }
    Ok(answers)
}

fn ask_one(peer: SocketAddr, request: &str, end: Instant) -> Result<u64> {
    let (mut client, mut answers) = (Client::try_connect(peer)?, 0);
    while Instant::now() < end {
        client.try_send(request)?;
        let status = client.try_answer()?.status;
        ensure!(status < 400, "status {status}");
        answers += 1;
    }
    Ok(answers)
}

fn request(peer: SocketAddr, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {peer}\r\n\r\n")
}

/// The length of the body of an answer, or of the data of an event.
pub(crate) fn size(peer: SocketAddr, path: &str) -> Result<usize> {
    if path == EVENTS {
        return data(listen(peer)?).next().context("no event");
    }
    let mut client = Client::try_connect(peer)?;
    client.try_send(request(peer, path))?;
    Ok(client.try_answer()?.body.len())
}

fn listen(peer: SocketAddr) -> Result<TcpStream> {
    Ok(http::ask(peer, &format!("GET {EVENTS}"), b"")?)
}

/// The length of the data of each event, to the end of the stream.
fn data(stream: TcpStream) -> impl Iterator<Item = usize> {
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    lines.filter_map(|line| line.strip_prefix(DATA).map(str::len))
}

/// Streams that are listened to until the service ends.
pub(crate) struct Streams(Arc<AtomicU64>);

impl Streams {
    /// Opens so many streams, and waits until each has had an event.
    pub(crate) fn open(peer: SocketAddr, streams: u64) -> Result<Self> {
        let events = Arc::new(AtomicU64::new(0));
        for _ in 0..streams {
            let (stream, events) = (listen(peer)?, events.clone());
            thread::spawn(move || {
                for _ in data(stream) {
                    events.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        process::retry(PATIENCE, || {
            let come = events.load(Ordering::Relaxed);
            ensure!(come >= streams, "{come} events on {streams} streams within {PATIENCE:?}");
            Ok(())
        })?;
        Ok(Self(events))
    }

    /// How many events have come in so long.
    pub(crate) fn events(&self, length: Duration) -> u64 {
        let before = self.0.load(Ordering::Relaxed);
        thread::sleep(length);
        self.0.load(Ordering::Relaxed) - before
    }
}

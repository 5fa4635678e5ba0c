//! HTTP clients that keep their connections: they send requests one after the other, or read a
//! stream of events.

use std::{
    io::BufRead,
    iter,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use testkit::Client;

use crate::{handler::EVENTS, process};

/// The start of a line that holds the data of an event.
const DATA: &str = "data: ";

/// How long it may take until every stream has received an event.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Sends requests for `duration` on several connections, each with its own thread; returns the
/// number of responses.
pub(crate) fn send_requests(
    address: SocketAddr,
    path: &str,
    connections: usize,
    duration: Duration,
) -> Result<u64> {
    let end = Instant::now() + duration;
    let threads = (0..connections).map(|_| {
        let request = request(address, path);
        thread::spawn(move || send_until(end, address, &request))
    });
    let mut responses = 0;
    for thread in threads.collect::<Vec<_>>() {
        responses += thread.join().map_err(|_| anyhow!("a thread panicked"))??;
    }
    Ok(responses)
}

fn send_until(end: Instant, address: SocketAddr, request: &str) -> Result<u64> {
    let (mut client, mut responses) = (Client::try_connect(address)?, 0);
    while Instant::now() < end {
        client.try_send(request)?;
        let status = client.try_response()?.status;
        ensure!(status < 400, "status {status}");
        responses += 1;
    }
    Ok(responses)
}

fn request(address: SocketAddr, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n")
}

/// The length of the body of a response, or of the data of an event, in bytes.
pub(crate) fn body_len(address: SocketAddr, path: &str) -> Result<usize> {
    if path == EVENTS {
        // The first event of webui is a whole page, the others are what changed.
        return event_lens(open_stream(address)?).nth(1).context("no event");
    }
    let mut client = Client::try_connect(address)?;
    client.try_send(request(address, path))?;
    Ok(client.try_response()?.body.len())
}

fn open_stream(address: SocketAddr) -> Result<Client> {
    Ok(Client::start(address, &format!("GET {EVENTS}"), b"")?)
}

/// The length of the data of each event until the stream ends.
fn event_lens(stream: Client) -> impl Iterator<Item = usize> {
    let mut lines = stream.into_reader().lines().map_while(Result::ok);
    iter::from_fn(move || {
        let mut len = 0;
        // An event ends with an empty line; another one ends its chunk.
        for line in lines.by_ref() {
            len += line.strip_prefix(DATA).map_or(0, str::len);
            if line.is_empty() && len > 0 {
                return Some(len);
            }
        }
        None
    })
}

/// Open streams of events, which are read until the service ends, and the number of events so far.
pub(crate) struct Streams(Arc<AtomicU64>);

impl Streams {
    /// Opens this number of streams, and waits until as many events have been received.
    pub(crate) fn open(address: SocketAddr, streams: u64) -> Result<Self> {
        let events = Arc::new(AtomicU64::new(0));
        for _ in 0..streams {
            let (stream, events) = (open_stream(address)?, events.clone());
            thread::spawn(move || {
                for _ in event_lens(stream) {
                    events.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        process::retry(TIMEOUT, || {
            let received = events.load(Ordering::Relaxed);
            ensure!(
                received >= streams,
                "{received} events on {streams} streams within {TIMEOUT:?}"
            );
            Ok(())
        })?;
        Ok(Self(events))
    }

    /// The number of events during `duration`.
    pub(crate) fn count_events(&self, duration: Duration) -> u64 {
        let before = self.0.load(Ordering::Relaxed);
        thread::sleep(duration);
        self.0.load(Ordering::Relaxed) - before
    }
}

//! The bytes of one unit of work, as our programs send them.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use crate::{
    bare::{Exchange, Messages},
    process::{Process, Redis},
};

/// How long a message may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Lets a worker ask our rng and hasher through us, and notes what they say.
pub(crate) fn capture() -> Result<Messages> {
    let redis = Redis::start()?;
    let fast = [("DELAY", "0s"), ("RUST_LOG", "info,access=off")];
    let rng = Process::service("rng", &fast)?;
    let hasher = Process::service("hasher", &fast)?;
    let between = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?];
    let url = |listener: &TcpListener| Ok(format!("http://{}/", listener.local_addr()?));
    let urls: [Result<String>; 2] = [url(&between[0]), url(&between[1])];
    let [rng_url, hasher_url] = urls;
    let worker = Process::worker(&[
        ("RNG_URL", &rng_url?),
        ("HASHER_URL", &hasher_url?),
        ("REDIS_URL", &redis.url),
        ("CONNECTIONS", "keep-alive"),
        ("DELAY", "0s"),
        ("RUST_LOG", "warn"),
    ])?;
    let messages = Messages {
        rng: exchange(&between[0], rng.address()?, 32)?,
        hasher: exchange(&between[1], hasher.address()?, 64)?,
    };
    drop((worker, rng, hasher, redis));
    Ok(messages)
}

fn exchange(between: &TcpListener, service: SocketAddr, body: usize) -> Result<Exchange> {
    let (mut client, _) = between.accept()?;
    let request_body = if body == 64 { 32 } else { 0 };
    let request = message(&mut client, request_body).context("request")?;
    let mut server = TcpStream::connect(service)?;
    server.write_all(&request)?;
    let answer = message(&mut server, body).context("answer")?;
    client.write_all(&answer)?;
    Ok(Exchange { request, answer })
}

/// A message with a body of so many bytes.
fn message(stream: &mut TcpStream, body: usize) -> Result<Vec<u8>> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut message = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece)?;
        ensure!(read > 0, "it ended too early");
        message.extend_from_slice(&piece[..read]);
        let head = message.windows(4).position(|end| end == b"\r\n\r\n");
        if head.is_some_and(|head| message.len() >= head + 4 + body) {
            return Ok(message);
        }
    }
}

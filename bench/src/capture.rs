//! Captures the bytes of one unit of work, as the programs of DockerCoins send them.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use crate::{
    baseline::{Exchange, Messages},
    process,
};

/// How long a connection or a message may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Runs a worker whose requests to rng and hasher pass through this process, and records the first
/// exchange with each.
pub(crate) fn capture() -> Result<Messages> {
    let redis = process::redis()?;
    let rng = process::program("rng", &[("DELAY", "0s")])?;
    let hasher = process::program("hasher", &[("DELAY", "0s")])?;
    let listeners = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?];
    let url = |listener: &TcpListener| Ok(format!("http://{}/", listener.local_addr()?));
    let urls: Result<Vec<String>> = listeners.iter().map(url).collect();
    let urls = urls?;
    let worker = process::program(
        "worker",
        &[
            ("RNG_URL", &urls[0]),
            ("HASHER_URL", &urls[1]),
            ("REDIS_URL", &redis.url()),
            ("CONNECTIONS", "keep-alive"),
            ("DELAY", "0s"),
        ],
    )?;
    let messages = || {
        anyhow::Ok(Messages {
            rng: exchange(&listeners[0], 0, rng.address("LISTEN"), 32)?,
            hasher: exchange(&listeners[1], 32, hasher.address("LISTEN"), 64)?,
        })
    };
    messages().with_context(|| format!("log of the worker:\n{}", worker.lines().join("\n")))
}

/// Forwards a request and its response, whose bodies have known lengths in bytes.
fn exchange(
    listener: &TcpListener,
    request_body: usize,
    service: SocketAddr,
    response_body: usize,
) -> Result<Exchange> {
    listener.set_nonblocking(true)?;
    let too_late = || format!("the worker did not connect within {TIMEOUT:?}");
    let accept = || listener.accept().with_context(too_late);
    let (mut client, _) = process::retry(TIMEOUT, accept)?;
    let request = message(&mut client, request_body).context("request")?;
    let mut server = TcpStream::connect(service)?;
    server.write_all(&request)?;
    let response = message(&mut server, response_body).context("response")?;
    client.write_all(&response)?;
    Ok(Exchange { request, response })
}

/// Reads a message with a body of this length in bytes.
fn message(stream: &mut TcpStream, body: usize) -> Result<Vec<u8>> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    let mut message = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer)?;
        ensure!(read > 0, "the connection ended too early");
        message.extend_from_slice(&buffer[..read]);
        let head = message.windows(4).position(|end| end == b"\r\n\r\n");
        if head.is_some_and(|head| message.len() >= head + 4 + body) {
            return Ok(message);
        }
    }
}

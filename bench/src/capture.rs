//! The bytes of one unit of work, as our programs send them.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use crate::{
    bare::{Exchange, Messages},
    process,
};

/// How long a connection or a message may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Lets a worker ask our rng and hasher through us, and notes what they say.
pub(crate) fn capture() -> Result<Messages> {
    let redis = process::redis()?;
    let rng = process::program("rng", &[("DELAY", "0s")])?;
    let hasher = process::program("hasher", &[("DELAY", "0s")])?;
    let between = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?];
    let url = |listener: &TcpListener| Ok(format!("http://{}/", listener.local_addr()?));
    let urls: Result<Vec<String>> = between.iter().map(url).collect();
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
            rng: exchange(&between[0], 0, rng.address("LISTEN"), 32)?,
            hasher: exchange(&between[1], 32, hasher.address("LISTEN"), 64)?,
        })
    };
    messages().with_context(|| format!("the worker says:\n{}", worker.lines().join("\n")))
}

/// Hands on a request and its answer, whose bodies have so many bytes.
fn exchange(
    between: &TcpListener,
    asked: usize,
    service: SocketAddr,
    answered: usize,
) -> Result<Exchange> {
    between.set_nonblocking(true)?;
    let late = || format!("the worker does not connect within {PATIENCE:?}");
    let accept = || between.accept().with_context(late);
    let (mut client, _) = process::retry(PATIENCE, accept)?;
    let request = message(&mut client, asked).context("request")?;
    let mut server = TcpStream::connect(service)?;
    server.write_all(&request)?;
    let answer = message(&mut server, answered).context("answer")?;
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

//! Bare sockets with one thread for all connections, which epoll reports as ready.

use std::{
    collections::HashMap,
    io::{ErrorKind, Read, Write},
    net,
    time::Instant,
};

use anyhow::Result;
use mio::{
    Events, Interest, Poll, Token,
    net::{TcpListener, TcpStream},
};

use crate::baseline::{Exchange, RunStats, Workload};

/// Events per call of epoll.
const MAX_EVENTS: usize = 1024;

/// The token of the listener; connections have smaller tokens.
const LISTENER: Token = Token(usize::MAX);

/// A connection on which messages of a known length are received.
struct Connection {
    stream: TcpStream,
    /// Bytes of the next message so far.
    received: usize,
}

impl Connection {
    /// Reads the available bytes; returns whether a message of `length` bytes is complete.
    fn receive(&mut self, length: usize) -> std::io::Result<bool> {
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer[..length - self.received]) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                self.received = (self.received + read) % length;
                Ok(self.received == 0)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Responds to every request until the process is killed.
pub(crate) fn serve(listener: net::TcpListener, exchange: &Exchange) -> Result<()> {
    listener.set_nonblocking(true)?;
    let mut listener = TcpListener::from_std(listener);
    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(MAX_EVENTS));
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut connections: HashMap<Token, Connection> = HashMap::new();
    let mut next = 0;
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    stream.set_nodelay(true)?;
                    let token = Token(next);
                    next += 1;
                    poll.registry().register(&mut stream, token, Interest::READABLE)?;
                    connections.insert(token, Connection { stream, received: 0 });
                }
            } else if let Some(connection) = connections.get_mut(&event.token()) {
                let sent = match connection.receive(exchange.request.len()) {
                    Ok(true) => connection.stream.write_all(&exchange.response),
                    Ok(false) => Ok(()),
                    Err(error) => Err(error),
                };
                if sent.is_err() {
                    connections.remove(&event.token());
                }
            }
        }
    }
}

/// Mines with one connection to each service per loop, until the duration has passed.
pub(crate) fn mine(workload: &Workload) -> Result<RunStats> {
    let Workload { exchanges, loops, duration } = workload;
    let addresses = exchanges.each_ref().map(|(address, _)| *address);
    let exchanges = exchanges.each_ref().map(|(_, exchange)| exchange);
    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(MAX_EVENTS));
    let mut connections = Vec::new();
    // Even numbers are connections to rng, odd ones to hasher.
    for number in 0..2 * loops {
        let stream = net::TcpStream::connect(addresses[number % 2])?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        poll.registry().register(&mut stream, Token(number), Interest::READABLE)?;
        connections.push(Connection { stream, received: 0 });
    }
    let started = Instant::now();
    let (mut unit_started, mut units) = (vec![started; *loops], Vec::new());
    for number in 0..*loops {
        connections[2 * number].stream.write_all(&exchanges[0].request)?;
    }
    while started.elapsed() < *duration {
        poll.poll(&mut events, None)?;
        for event in &events {
            let Token(number) = event.token();
            let service = number % 2;
            if connections[number].receive(exchanges[service].response.len())? {
                if service == 1 {
                    let now = Instant::now();
                    units.push((now - unit_started[number / 2]).as_secs_f32());
                    unit_started[number / 2] = now;
                }
                let next = &mut connections[number ^ 1].stream;
                next.write_all(&exchanges[1 - service].request)?;
            }
        }
    }
    Ok(RunStats::new(started, units))
}

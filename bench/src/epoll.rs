//! One thread, and the kernel's list of connections that are ready.

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

use crate::bare::{Done, Exchange, Load};

/// Events that are taken at once.
const EVENTS: usize = 1024;

/// The listener's; connections have smaller ones.
const LISTENER: Token = Token(usize::MAX);

/// A connection, and how much of the next message it has received.
struct Connection {
    stream: TcpStream,
    received: usize,
}

impl Connection {
    /// Reads what is there, and tells whether a whole message of `length` bytes has come.
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

/// Answers every request, for ever.
pub(crate) fn serve(listener: net::TcpListener, exchange: &Exchange) -> Result<()> {
    listener.set_nonblocking(true)?;
    let mut listener = TcpListener::from_std(listener);
    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(EVENTS));
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
                let answered = match connection.receive(exchange.request.len()) {
                    Ok(true) => connection.stream.write_all(&exchange.answer),
                    Ok(false) => Ok(()),
                    Err(error) => Err(error),
                };
                if answered.is_err() {
                    connections.remove(&event.token());
                }
            }
        }
    }
}

/// Mines in so many loops for so long.
pub(crate) fn mine(load: &Load) -> Result<Done> {
    let Load { exchanges, loops, length } = load;
    let peers = exchanges.each_ref().map(|(peer, _)| *peer);
    let exchanges = exchanges.each_ref().map(|(_, exchange)| exchange);
    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(EVENTS));
    let mut connections = Vec::new();
    // Even tokens are connections to rng, odd ones to hasher.
    for number in 0..2 * loops {
        let stream = net::TcpStream::connect(peers[number % 2])?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        poll.registry().register(&mut stream, Token(number), Interest::READABLE)?;
        connections.push(Connection { stream, received: 0 });
    }
    let started = Instant::now();
    let (mut begun, mut units) = (vec![started; *loops], Vec::new());
    for number in 0..*loops {
        connections[2 * number].stream.write_all(&exchanges[0].request)?;
    }
    while started.elapsed() < *length {
        poll.poll(&mut events, None)?;
        for event in &events {
            let Token(number) = event.token();
            let peer = number % 2;
            if connections[number].receive(exchanges[peer].answer.len())? {
                if peer == 1 {
                    let now = Instant::now();
                    units.push((now - begun[number / 2]).as_secs_f32());
                    begun[number / 2] = now;
                }
                let next = &mut connections[number ^ 1].stream;
                next.write_all(&exchanges[1 - peer].request)?;
            }
        }
    }
    Ok(Done::new(started, units))
}

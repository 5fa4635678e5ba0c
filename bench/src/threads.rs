//! A thread for each connection.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::Instant,
};

use anyhow::{Result, anyhow};

use crate::bare::{Done, Exchange, Load};

/// Answers every request, for ever.
pub(crate) fn serve(listener: &TcpListener, exchange: &Exchange) -> Result<()> {
    loop {
        let (stream, _) = listener.accept()?;
        let exchange = exchange.clone();
        // A client that is gone ends its thread.
        thread::spawn(move || answer(stream, &exchange));
    }
}

fn answer(mut stream: TcpStream, exchange: &Exchange) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut request = vec![0; exchange.request.len()];
    loop {
        stream.read_exact(&mut request)?;
        stream.write_all(&exchange.answer)?;
    }
}

/// Mines in so many threads for so long.
pub(crate) fn mine(load: &Load) -> Result<Done> {
    let started = Instant::now();
    let end = started + load.length;
    let threads: Vec<_> = (0..load.loops)
        .map(|_| {
            let exchanges = load.exchanges.clone();
            thread::spawn(move || mine_one(&exchanges, end))
        })
        .collect();
    let mut units = Vec::new();
    for thread in threads {
        units.extend(thread.join().map_err(|_| anyhow!("a thread has died"))??);
    }
    Ok(Done::new(started, units))
}

fn mine_one(exchanges: &[(SocketAddr, Exchange); 2], end: Instant) -> Result<Vec<f32>> {
    let mut streams = Vec::new();
    for (peer, exchange) in exchanges {
        let stream = TcpStream::connect(peer)?;
        stream.set_nodelay(true)?;
        streams.push((stream, exchange, vec![0; exchange.answer.len()]));
    }
    let mut units = Vec::new();
    loop {
        let begun = Instant::now();
        if begun >= end {
            return Ok(units);
        }
        for (stream, exchange, answer) in &mut streams {
            stream.write_all(&exchange.request)?;
            stream.read_exact(answer)?;
        }
        units.push(begun.elapsed().as_secs_f32());
    }
}

//! Bare sockets with one thread per connection.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::Instant,
};

use anyhow::{Result, anyhow};

use crate::baseline::{Exchange, RunStats, Workload};

/// Responds to every request until the process is killed.
pub(crate) fn serve(listener: &TcpListener, exchange: &Exchange) -> Result<()> {
    loop {
        let (stream, _) = listener.accept()?;
        let exchange = exchange.clone();
        // The thread ends with an error when its client disconnects.
        thread::spawn(move || serve_connection(stream, &exchange));
    }
}

fn serve_connection(mut stream: TcpStream, exchange: &Exchange) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut request = vec![0; exchange.request.len()];
    loop {
        stream.read_exact(&mut request)?;
        stream.write_all(&exchange.response)?;
    }
}

/// Mines in one thread per loop until the duration has passed.
pub(crate) fn mine(workload: &Workload) -> Result<RunStats> {
    let started = Instant::now();
    let end = started + workload.duration;
    let threads: Vec<_> = (0..workload.loops)
        .map(|_| {
            let exchanges = workload.exchanges.clone();
            thread::spawn(move || run_loop(&exchanges, end))
        })
        .collect();
    let mut units = Vec::new();
    for thread in threads {
        units.extend(thread.join().map_err(|_| anyhow!("a thread panicked"))??);
    }
    Ok(RunStats::new(started, units))
}

/// Mines until `end`, and returns the seconds that each unit of work took.
fn run_loop(exchanges: &[(SocketAddr, Exchange); 2], end: Instant) -> Result<Vec<f32>> {
    let mut connections = Vec::new();
    for (address, exchange) in exchanges {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        connections.push((stream, exchange, vec![0; exchange.response.len()]));
    }
    let mut units = Vec::new();
    loop {
        let started = Instant::now();
        if started >= end {
            return Ok(units);
        }
        for (stream, exchange, response) in &mut connections {
            stream.write_all(&exchange.request)?;
            stream.read_exact(response)?;
        }
        units.push(started.elapsed().as_secs_f32());
    }
}

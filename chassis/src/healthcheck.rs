//! The health check of a container that has no shell and no curl.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

/// How long connecting, sending and receiving may each take.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Requests `/readyz` from the service on this host whose admin endpoints listen on `admin`. Fails
/// unless it is ready.
pub fn healthcheck(admin: SocketAddr) -> Result<()> {
    let mut stream = connect(admin).with_context(|| format!("nothing listens on {admin}"))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.write_all(b"GET /readyz HTTP/1.0\r\n\r\n")?;
    let mut status = [0; "HTTP/1.0 200".len()];
    stream.read_exact(&mut status).context("no response")?;
    ensure!(status.ends_with(b" 200"), "not ready: {}", String::from_utf8_lossy(&status));
    Ok(())
}

/// Connects to `admin`; an unspecified address is this host.
fn connect(admin: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&admin, TIMEOUT);
    if stream.is_ok() || !admin.ip().is_unspecified() {
        return stream;
    }
    // The service falls back to IPv4 on a host without IPv6.
    TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, admin.port()).into(), TIMEOUT)
}

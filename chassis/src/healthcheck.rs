//! The health check of a container that has no shell and no curl.

use std::{
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

/// How long connecting, asking and answering may each take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks `/readyz` of the service on this host whose admin endpoints listen on `admin`. Fails
/// unless it is ready.
pub fn healthcheck(admin: SocketAddr) -> Result<()> {
    let mut stream = connect(admin).with_context(|| format!("nothing listens on {admin}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /readyz HTTP/1.0\r\n\r\n")?;
    let mut status = [0; "HTTP/1.0 200".len()];
    stream.read_exact(&mut status).context("no answer")?;
    ensure!(status.ends_with(b" 200"), "not ready: {}", String::from_utf8_lossy(&status));
    Ok(())
}

fn connect(admin: SocketAddr) -> std::io::Result<TcpStream> {
    let port = admin.port();
    let at = |ip: IpAddr| TcpStream::connect_timeout(&SocketAddr::new(ip, port), PATIENCE);
    let ipv4 = IpAddr::V4(Ipv4Addr::LOCALHOST);
    match admin.ip() {
        // The service may have fallen back to IPv4.
        IpAddr::V6(ip) if ip.is_unspecified() => {
            at(Ipv6Addr::LOCALHOST.into()).or_else(|_| at(ipv4))
        }
        IpAddr::V4(ip) if ip.is_unspecified() => at(ipv4),
        ip => at(ip),
    }
}

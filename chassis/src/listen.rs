//! Listeners for IPv6 and IPv4 on one socket, with errors that name the setting.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
};

use rustix::{io::Errno, net::sockopt::set_ipv6_v6only};
use tokio::net::{TcpListener, TcpSocket};
use tracing::{info, warn};

use crate::parse::SettingError;

/// Connections that wait in the kernel until they are accepted.
const BACKLOG: u32 = 1024;

/// Listens on `address`. `[::]` accepts IPv4 as well, and becomes `0.0.0.0` on a host without IPv6.
/// Fails when the address is not available; the error names `setting`, its flag or variable.
pub fn listen(setting: &str, address: SocketAddr) -> Result<TcpListener, SettingError> {
    let listener = match bind(address) {
        Err(error) if address.ip().is_unspecified() && address.is_ipv6() && lacks_ipv6(&error) => {
            let ipv4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
            warn!("this host has no IPv6, so {setting} means {ipv4} instead of {address}");
            bind(ipv4)
        }
        result => result,
    };
    let listener = listener.map_err(|error| refused(setting, address, &error))?;
    if let Ok(bound) = listener.local_addr() {
        info!("listening on {bound} ({setting})");
    }
    Ok(listener)
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if address.is_ipv6() {
        set_ipv6_v6only(&socket, false)?;
    }
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Without IPv6 in the kernel the address family is missing; with IPv6 disabled, the address.
fn lacks_ipv6(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL))
}

fn refused(setting: &str, address: SocketAddr, error: &io::Error) -> SettingError {
    let reason = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "it is already in use; stop the program that uses it or choose another"
        }
        io::ErrorKind::PermissionDenied => {
            "a port below 1024 needs root or the sysctl \
            net.ipv4.ip_unprivileged_port_start=0; allow it or choose another"
        }
        io::ErrorKind::AddrNotAvailable => "this host has no such address; choose another",
        _ => &format!("{error}; choose another"),
    };
    let port = if setting.starts_with("--") { "0 for any free port" } else { "[::]:8080" };
    SettingError::new(format!(
        "{setting}: cannot listen on {address}: {reason}, such as {setting}={port}"
    ))
}

//! Listeners: IPv6 and IPv4 on one socket, with errors that name the setting.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tracing::{info, warn};

use crate::SettingError;

/// Connections that the kernel may hold before they are accepted.
const BACKLOG: i32 = 1024;

/// Listens on `address`. `[::]` takes IPv4, too, and becomes `0.0.0.0` on a host without IPv6.
/// An address that cannot be had is an error about `setting`, the flag or variable behind it.
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
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Without the module there is no such family; with IPv6 disabled there is no such address.
fn lacks_ipv6(error: &io::Error) -> bool {
    const EAFNOSUPPORT: i32 = 97;
    error.raw_os_error() == Some(EAFNOSUPPORT) || error.kind() == io::ErrorKind::AddrNotAvailable
}

fn refused(setting: &str, address: SocketAddr, error: &io::Error) -> SettingError {
    let what = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "it is already in use; stop what uses it or choose another".to_owned()
        }
        io::ErrorKind::PermissionDenied => "a port below 1024 needs root or the sysctl \
            net.ipv4.ip_unprivileged_port_start=0; allow it or choose another"
            .to_owned(),
        io::ErrorKind::AddrNotAvailable => {
            "this host has no such address; choose another".to_owned()
        }
        _ => format!("{error}; choose another"),
    };
    let port = if setting.starts_with("--") { "0 for any free port" } else { "[::]:8080" };
    SettingError::new(format!(
        "{setting}: cannot listen on {address}: {what}, such as {setting}={port}"
    ))
}

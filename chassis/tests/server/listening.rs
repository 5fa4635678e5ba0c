//! Addresses and ports.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use chassis::Shutdown;
use testkit::{Client, Service, TIMEOUT, any_port};

use crate::{HOUR, no_limits, router, start};

#[test]
fn one_listener_accepts_ipv6_and_ipv4() {
    let all = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
    let service = Service::start_on(all, no_limits(), Shutdown::new(HOUR), router);
    let port = service.address.port();
    assert_eq!(Client::get((Ipv4Addr::LOCALHOST, port).into(), "/").status, 200);
    if service.address.is_ipv4() {
        return testkit::skip("this host has no IPv6");
    }
    assert_eq!(Client::get((Ipv6Addr::LOCALHOST, port).into(), "/").status, 200);
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_names_the_setting() {
    let taken = chassis::listen("LISTEN", any_port()).unwrap();
    let address = taken.local_addr().unwrap();
    let error = chassis::listen("ADMIN_LISTEN", address).unwrap_err().to_string();
    assert!(error.contains(&format!("ADMIN_LISTEN: cannot listen on {address}")), "{error}");
    assert!(error.contains("already in use") && !error.contains('\n'), "{error}");
}

#[test]
fn a_port_is_free_as_soon_as_the_service_has_ended() {
    let service = start(no_limits());
    let address = service.address;
    let mut client = service.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    // The service closes first, so the kernel keeps its end of the connection for a while.
    client.remainder();
    drop(client);
    service.stop();
    service.wait(TIMEOUT);
    let again = Service::start_on(address, no_limits(), Shutdown::new(HOUR), router);
    again.assert_alive();
}

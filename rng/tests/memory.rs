//! The memory of rng under load, which only Linux reports.

#![cfg(target_os = "linux")]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::{future::pending, net::SocketAddr, time::Duration};

use bytes::Bytes;
use futures_util::future::join_all;
use h2::client::SendRequest;
use testkit::{Client, Process};
use tokio::{net::TcpStream, runtime::Runtime, time::timeout};

const MIB: usize = 1024 * 1024;

fn program() -> Process {
    Process::service(env!("CARGO_BIN_EXE_rng"), &[("DELAY", "0s")])
}

#[test]
fn large_responses_use_constant_memory() {
    let rng = program();
    let address = rng.address("LISTEN");
    Client::get(address, "/");
    let before = rng.peak_memory();
    let mut unread: Vec<Client> = (0..10).map(|_| Client::connect(address)).collect();
    for client in &mut unread {
        client.send("GET /104857600 HTTP/1.1\r\nHost: rng\r\n\r\n");
        assert_eq!(client.head().status, 200);
    }
    assert_eq!(Client::get(address, "/104857600").body.len(), 100 * MIB);
    let growth = rng.peak_memory() - before;
    assert!(growth < 40 * MIB, "{growth} bytes more");
}

/// Requests `bytes` on as many HTTP/2 streams as the service allows, and reads `window` bytes of
/// each.
async fn request_without_reading(
    address: SocketAddr,
    bytes: u32,
    window: u32,
) -> SendRequest<Bytes> {
    let socket = TcpStream::connect(address).await.unwrap();
    let mut client = h2::client::Builder::new();
    let (mut sender, driver) = client.initial_window_size(window).handshake(socket).await.unwrap();
    tokio::spawn(driver);
    for _ in 0..256 {
        // The service refuses further streams, and closes connections that do not read.
        let Ok(Ok(ready)) = timeout(Duration::from_millis(500), sender.clone().ready()).await
        else {
            break;
        };
        sender = ready;
        let request = http::Request::get(format!("http://{address}/{bytes}")).body(()).unwrap();
        let Ok((response, _)) = sender.send_request(request, true) else { break };
        tokio::spawn(async {
            let response = response.await;
            pending::<()>().await;
            drop(response);
        });
    }
    sender
}

#[test]
fn http2_clients_that_do_not_read_take_little_memory() {
    // The second kind of response is a single frame.
    for (bytes, window) in [(1_000_000, 0), (1_000_000, 1), (16_384, 1)] {
        let rng = program();
        let address = rng.address("LISTEN");
        Runtime::new().unwrap().block_on(async {
            let clients = (0..200).map(|_| request_without_reading(address, bytes, window));
            let _open = join_all(clients).await;
            let memory = rng.peak_memory() / MIB;
            println!("{memory} MiB with windows of {window} bytes");
            assert!(memory <= 95, "{memory} MiB with windows of {window} bytes");
        });
        assert_eq!(Client::get(address, "/32").body.len(), 32);
    }
}

//! Shutdown of a service: every accepted request gets its response.

use std::net::SocketAddr;

use chassis::{HttpMetrics, Limits, Shutdown};
use testkit::{Client, TIMEOUT, any_port};
use tokio::task::JoinHandle;

use crate::{GET, GET_WAIT, HOUR, LARGE, SHORT, no_limits, router, start, start_with_timeout};

#[test]
fn accepted_requests_get_their_response_when_the_service_stops() {
    let service = start(no_limits());
    let mut waiting: Vec<Client> = (0..50).map(|_| service.connect()).collect();
    waiting.iter_mut().for_each(|client| client.send(GET_WAIT));
    assert!(waiting[0].is_silent(SHORT));
    for response in service.drain(waiting) {
        assert_eq!((response.status, response.text().as_str()), (200, "waited\n"));
    }
}

#[test]
fn connections_beyond_the_limit_get_their_response_when_the_service_stops() {
    let service = start(Limits { connections: 1, ..no_limits() });
    let mut clients: Vec<Client> = (0..20).map(|_| service.connect()).collect();
    clients.iter_mut().for_each(|client| client.send(GET_WAIT));
    assert!(clients[0].is_silent(SHORT));
    assert!(service.drain(clients).iter().all(|response| response.status == 200));
}

/// Serves on the runtime of the test.
fn serve() -> (SocketAddr, Shutdown, JoinHandle<()>) {
    let listener = chassis::listen("LISTEN", any_port()).unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = Shutdown::new(HOUR);
    let router = router(shutdown.stop.clone());
    let server = tokio::spawn(chassis::serve(
        listener,
        router,
        HttpMetrics::default(),
        no_limits(),
        shutdown.clone(),
    ));
    (address, shutdown, server)
}

/// Waits until the server has ended, and checks that every client has its response.
async fn assert_responses(clients: Vec<Client>, server: JoinHandle<()>) {
    tokio::time::timeout(TIMEOUT, server).await.unwrap().unwrap();
    for mut client in clients {
        let response = client.response();
        assert_eq!((response.status, response.header("connection")), (200, Some("close")));
    }
}

// On a single thread, the service does nothing between the lines below.
#[tokio::test]
async fn a_burst_just_before_the_stop_gets_its_responses() {
    let (address, shutdown, server) = serve();
    tokio::task::yield_now().await;

    let mut clients: Vec<Client> = (0..50).map(|_| Client::connect(address)).collect();
    clients[..25].iter_mut().for_each(|client| client.send(GET));
    shutdown.begin();
    clients[25..].iter_mut().for_each(|client| client.send(GET));
    assert_responses(clients, server).await;
}

#[tokio::test]
async fn a_request_sent_while_the_service_stops_gets_its_response() {
    let (address, shutdown, server) = serve();
    let mut silent = Client::connect(address);
    let mut idle = Client::connect(address);
    idle.send(GET);
    let mut idle = tokio::task::spawn_blocking(move || {
        idle.response();
        idle
    })
    .await
    .unwrap();
    shutdown.begin();
    // The server sees the stop before it can see a request.
    tokio::task::yield_now().await;
    for client in [&mut silent, &mut idle] {
        client.send(GET);
    }
    assert_responses(vec![silent, idle], server).await;
}

#[test]
fn idle_connections_do_not_delay_the_shutdown() {
    let service = start(no_limits());
    let mut silent = service.connect();
    let mut idle = service.connect();
    idle.send(GET);
    idle.response();
    service.stop();
    assert!(silent.remainder().is_empty());
    assert!(idle.remainder().is_empty());
    service.wait(TIMEOUT);
}

#[test]
fn busy_connections_are_closed_after_the_timeout() {
    let service = start_with_timeout(SHORT);
    let mut stuck = service.connect();
    stuck.send("GET /stuck HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut greedy = service.connect();
    greedy.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(greedy.head().status, 200);
    let mut endless = service.connect();
    endless.send("GET / HTTP/1.1\r\nX: ");
    assert!(stuck.is_silent(SHORT));
    service.stop();
    service.wait(TIMEOUT);
    assert!(stuck.remainder().is_empty());
    assert!(greedy.remainder().len() < LARGE);
    assert!(endless.remainder().is_empty());
}

#[test]
fn half_a_first_request_does_not_delay_the_shutdown() {
    let service = start(no_limits());
    let mut half = service.connect();
    half.send("GET / HT");
    assert!(half.is_silent(SHORT));
    service.stop();
    service.wait(TIMEOUT);
    assert!(half.remainder().is_empty());
}

#[test]
fn a_service_that_is_no_longer_ready_still_responds() {
    let service = start(no_limits());
    assert_eq!(Client::request(service.address, "GET", "/").header("connection"), None);
    service.shutdown.withdraw();
    for path in ["/", "/nowhere"] {
        let response = Client::request(service.address, "GET", path);
        assert_eq!(response.status, if path == "/" { 200 } else { 404 });
        assert_eq!(response.header("connection"), Some("close"));
    }
}

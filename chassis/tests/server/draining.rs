//! The end of a service: what was accepted is answered.

use std::net::SocketAddr;

use chassis::{Http, Limits, Shutdown};
use testkit::{Client, PATIENCE, anywhere, request};
use tokio::task::JoinHandle;

use crate::{GET, GET_WAIT, HOUR, LARGE, SHORT, patient, router, start, start_with_timeout};

#[test]
fn everything_accepted_is_answered_when_the_service_stops() {
    let service = start(patient());
    let mut waiting: Vec<Client> = (0..50).map(|_| service.connect()).collect();
    waiting.iter_mut().for_each(|client| client.send(GET_WAIT));
    assert!(waiting[0].is_silent(SHORT));
    for answer in service.drain(waiting) {
        assert_eq!((answer.status, answer.text().as_str()), (200, "waited\n"));
    }
}

#[test]
fn connections_beyond_the_limit_are_answered_when_the_service_stops() {
    let service = start(Limits { connections: 1, ..patient() });
    let mut clients: Vec<Client> = (0..20).map(|_| service.connect()).collect();
    clients.iter_mut().for_each(|client| client.send(GET_WAIT));
    assert!(clients[0].is_silent(SHORT));
    assert!(service.drain(clients).iter().all(|answer| answer.status == 200));
}

/// Serves on the runtime of the test.
fn serve() -> (SocketAddr, Shutdown, JoinHandle<()>) {
    let listener = chassis::listen("LISTEN", anywhere()).unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = Shutdown::new(HOUR);
    let router = router(shutdown.stop.clone());
    let server = tokio::spawn(chassis::serve(
        listener,
        router,
        Http::default(),
        patient(),
        shutdown.clone(),
    ));
    (address, shutdown, server)
}

/// Waits for the end, after which every client has its answer.
async fn assert_answered(clients: Vec<Client>, server: JoinHandle<()>) {
    tokio::time::timeout(PATIENCE, server).await.unwrap().unwrap();
    for mut client in clients {
        let answer = client.answer();
        assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    }
}

// On one thread, nothing is served between the lines below.
#[tokio::test]
async fn a_burst_right_before_the_stop_is_answered() {
    let (address, shutdown, server) = serve();
    tokio::task::yield_now().await;

    let mut clients: Vec<Client> = (0..50).map(|_| Client::connect(address)).collect();
    clients[..25].iter_mut().for_each(|client| client.send(GET));
    shutdown.begin();
    clients[25..].iter_mut().for_each(|client| client.send(GET));
    assert_answered(clients, server).await;
}

#[tokio::test]
async fn a_request_on_its_way_when_the_service_stops_is_answered() {
    let (address, shutdown, server) = serve();
    let mut silent = Client::connect(address);
    let mut idle = Client::connect(address);
    idle.send(GET);
    let mut idle = tokio::task::spawn_blocking(move || {
        idle.answer();
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
    assert_answered(vec![silent, idle], server).await;
}

#[test]
fn idle_connections_do_not_hold_up_the_end() {
    let service = start(patient());
    let mut silent = service.connect();
    let mut idle = service.connect();
    idle.send(GET);
    idle.answer();
    service.stop();
    assert!(silent.rest().is_empty());
    assert!(idle.rest().is_empty());
    service.wait(PATIENCE);
}

#[test]
fn what_is_stuck_is_cut_when_the_time_is_over() {
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
    service.wait(PATIENCE);
    assert!(stuck.rest().is_empty());
    assert!(greedy.rest().len() < LARGE);
    assert!(endless.rest().is_empty());
}

#[test]
fn half_a_first_request_does_not_hold_up_the_end() {
    let service = start(patient());
    let mut half = service.connect();
    half.send("GET / HT");
    assert!(half.is_silent(SHORT));
    service.stop();
    service.wait(PATIENCE);
    assert!(half.rest().is_empty());
}

#[test]
fn a_service_that_is_no_longer_ready_still_answers() {
    let service = start(patient());
    assert_eq!(request(service.address, "GET", "/").header("connection"), None);
    service.shutdown.withdraw();
    for path in ["/", "/nowhere"] {
        let answer = request(service.address, "GET", path);
        assert_eq!(answer.status, if path == "/" { 200 } else { 404 });
        assert_eq!(answer.header("connection"), Some("close"));
    }
}

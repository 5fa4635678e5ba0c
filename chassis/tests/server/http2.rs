//! HTTP/2 without TLS, on the same port as HTTP/1.1.

use std::{
    future::Future,
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use chassis::Limits;
use h2::{RecvStream, client::SendRequest};
use http::{Request, Response};
use reqwest::{Client, StatusCode, Version};
use testkit::{Service, TIMEOUT};
use tokio::{
    net::TcpStream,
    runtime::Runtime,
    task::{self, JoinHandle, JoinSet},
    time::{sleep, timeout},
};

use crate::{GET, LARGE, SHORT, no_limits, start};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The preface, and a SETTINGS frame with the default values.
const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// A HEADERS frame: `GET /` on stream 1.
const HEADERS: &[u8] = b"\0\0\x0b\x01\x05\0\0\0\x01\x82\x86\x04\x01/\x01\x04here";

/// The type of a SETTINGS frame.
const SETTINGS: u8 = 4;

/// The default window of a stream, in bytes.
const WINDOW: u32 = 65_535;

/// The header of a WINDOW_UPDATE frame for the whole connection.
const CONNECTION_WINDOW_UPDATE: &[u8] = &[0, 0, 4, 8, 0, 0, 0, 0, 0];

fn with_client<F: Future>(test: impl FnOnce(Client) -> F) -> F::Output {
    let client = Client::builder().http2_prior_knowledge().no_proxy().build().unwrap();
    Runtime::new().unwrap().block_on(test(client))
}

fn url(service: &Service, path: &str) -> String {
    format!("http://{}{path}", service.address)
}

/// Drops a service on a blocking thread, because its runtime must not be dropped within another
/// one.
async fn drop_blocking(service: Service) {
    task::spawn_blocking(|| drop(service)).await.unwrap();
}

/// A connection whose flow control the test determines. It replies to pings.
struct Connection {
    sender: SendRequest<Bytes>,
    driver: JoinHandle<Result<(), h2::Error>>,
}

impl Connection {
    /// Connects with this initial window for each stream, in bytes.
    async fn open(service: &Service, window: u32) -> Self {
        let socket = TcpStream::connect(service.address).await.unwrap();
        let (sender, driver) =
            h2::client::Builder::new().initial_window_size(window).handshake(socket).await.unwrap();
        Self { sender, driver: tokio::spawn(driver) }
    }

    async fn get(&mut self, path: &str) -> Response<RecvStream> {
        let request = Request::get(format!("http://here{path}")).body(()).unwrap();
        self.sender
            .clone()
            .ready()
            .await
            .unwrap()
            .send_request(request, true)
            .unwrap()
            .0
            .await
            .unwrap()
    }

    /// Waits for the service to close the connection.
    async fn closed(self) -> Result<(), h2::Error> {
        timeout(TIMEOUT, self.driver).await.expect("a closed connection").unwrap()
    }
}

#[test]
fn one_port_supports_both_protocols() {
    let service = start(no_limits());
    let mut http1 = service.connect();
    with_client(async |client| {
        for _ in 0..2 {
            let response = client.get(url(&service, "/")).send().await.unwrap();
            assert_eq!((response.version(), response.status()), (Version::HTTP_2, StatusCode::OK));
            assert_eq!(response.text().await.unwrap(), "hello\n");
            http1.send(GET);
            assert_eq!(http1.response().text(), "hello\n");
        }
        let large = vec![7; 1_000_000];
        let response = client.post(url(&service, "/length")).body(large).send().await.unwrap();
        assert_eq!(response.text().await.unwrap(), "1000000");
    });
}

#[test]
fn the_protocol_is_detected_when_its_first_bytes_arrive_one_by_one() {
    let service = start(no_limits());
    let mut http2 = service.connect();
    let mut http1 = service.connect();
    let post = "POST /length HTTP/1.1\r\nHost: here\r\nContent-Length: 3\r\n\r\nabc";
    for number in 0..GREETING.len().max(post.len()) {
        http2.try_send(GREETING.get(number..=number).unwrap_or_default()).unwrap();
        http1.try_send(post.as_bytes().get(number..=number).unwrap_or_default()).unwrap();
        thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(http1.response().text(), "3");
    service.stop();
    let received = http2.remainder();
    assert_eq!(received.get(3), Some(&SETTINGS), "{received:?}");
}

#[test]
fn the_windows_of_request_bodies_are_small() {
    let service = start(Limits { header: SHORT, ..no_limits() });
    let mut client = service.connect();
    client.send(GREETING);
    let received = client.remainder();
    let stream = &[0, 4, 0, 1, 0, 0];
    assert!(received.windows(6).any(|setting| setting == stream), "not 64 KiB: {received:?}");
    let increment = (256 * 1024 - WINDOW).to_be_bytes();
    let connection = &[CONNECTION_WINDOW_UPDATE, &increment].concat();
    assert!(received.windows(13).any(|update| update == connection), "not 256 KiB: {received:?}");
}

#[test]
fn requests_beyond_the_limit_of_a_connection_wait() {
    let service = start(no_limits());
    let statuses = with_client(async |client| {
        let mut requests = JoinSet::new();
        for _ in 0..2000 {
            requests.spawn(client.get(url(&service, "/")).send());
        }
        requests.join_all().await
    });
    assert!(statuses.into_iter().all(|response| response.unwrap().status() == StatusCode::OK));
}

#[test]
fn requests_in_flight_beyond_the_limit_of_the_service_get_status_503() {
    let service = start(Limits { connections: 5, ..no_limits() });
    with_client(async |client| {
        let mut requests = JoinSet::new();
        for _ in 0..8 {
            requests.spawn(client.get(url(&service, "/wait")).send());
        }
        for _ in 0..3 {
            let refused = requests.join_next().await.unwrap().unwrap().unwrap();
            assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        }
        service.stop();
        let responses = requests.join_all().await;
        assert!(responses.into_iter().all(|response| response.unwrap().status() == 200));
    });
}

#[test]
fn requests_get_their_response_when_the_service_stops() {
    let service = start(no_limits());
    with_client(async |client| {
        let mut requests = JoinSet::new();
        for _ in 0..50 {
            requests.spawn(client.get(url(&service, "/wait")).send());
        }
        sleep(SHORT).await;
        service.stop();
        for response in requests.join_all().await {
            let response = response.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
            // HTTP/2 closes a connection with a GOAWAY frame instead.
            assert_eq!(response.headers().get("connection"), None);
            assert_eq!(response.text().await.unwrap(), "waited\n");
        }
    });
    service.wait(TIMEOUT);
}

#[test]
fn an_incomplete_greeting_is_closed() {
    let service = start(Limits { header: SHORT, ..no_limits() });
    for greeting in [&b"PRI "[..], PREFACE, GREETING] {
        let started = Instant::now();
        let mut client = service.connect();
        client.send(greeting);
        let _ = client.remainder();
        assert!(started.elapsed() >= SHORT, "{greeting:?} was closed too early");
    }
    service.assert_alive();
}

#[test]
fn an_incomplete_greeting_does_not_delay_the_shutdown() {
    let service = start(no_limits());
    let greetings = [&b"PRI "[..], PREFACE, GREETING];
    let mut clients = greetings.map(|_| service.connect());
    for (client, greeting) in clients.iter_mut().zip(greetings) {
        client.send(greeting);
    }
    thread::sleep(SHORT);
    service.stop();
    service.wait(TIMEOUT);
}

#[tokio::test]
async fn an_idle_client_is_closed_although_it_replies_to_pings() {
    let service = start(Limits { header: SHORT, ..no_limits() });
    let mut idle = Connection::open(&service, WINDOW).await;
    assert_eq!(idle.get("/").await.status(), StatusCode::OK);
    // A connection that ends after a GOAWAY frame ends without an error.
    assert!(idle.closed().await.is_ok());
    drop_blocking(service).await;
}

#[test]
fn an_idle_client_that_ignores_goaway_is_closed() {
    let service = start(Limits { header: SHORT, ..no_limits() });
    let mut idle = service.connect();
    idle.send([GREETING, HEADERS].concat());
    let received = idle.remainder();
    assert!(received.windows(6).any(|bytes| bytes == b"hello\n"), "{received:?}");
}

#[test]
fn a_client_that_waits_for_its_response_is_not_idle() {
    let service = start(Limits { header: SHORT, first_byte: 2 * SHORT, ..no_limits() });
    with_client(async |client| {
        let response = client.get(url(&service, "/late")).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    });
}

#[tokio::test]
async fn a_response_that_pauses_is_not_cut_off() {
    let service = start(Limits { header: SHORT, stalled_write: SHORT, ..no_limits() });
    let mut listener = Connection::open(&service, WINDOW).await;
    let mut body = listener.get("/silent").await.into_body();
    assert_eq!(body.data().await.unwrap().unwrap(), "hello\n");
    assert!(timeout(10 * SHORT, body.data()).await.is_err(), "the response has ended");
    assert!(!listener.driver.is_finished());
    drop_blocking(service).await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_closed_although_it_replies_to_pings() {
    let service = start(Limits { header: SHORT, stalled_write: 5 * SHORT, ..no_limits() });
    for window in [0, 1, WINDOW] {
        let mut stalled = Connection::open(&service, window).await;
        let responses = [stalled.get("/large").await, stalled.get("/large").await];
        assert!(responses.iter().all(|response| response.status() == StatusCode::OK));
        let _ = stalled.closed().await;
    }
    task::spawn_blocking(move || service.assert_alive()).await.unwrap();
}

#[tokio::test]
async fn a_client_that_reads_slowly_gets_the_whole_response() {
    let service = start(Limits { stalled_write: 5 * SHORT, ..no_limits() });
    let mut slow = Connection::open(&service, WINDOW).await;
    let mut body = slow.get("/large").await.into_body();
    let (started, mut received) = (Instant::now(), 0);
    while let Some(data) = body.data().await {
        received += data.as_ref().unwrap().len();
        if started.elapsed() < 12 * SHORT {
            sleep(SHORT / 4).await;
        }
        body.flow_control().release_capacity(data.unwrap().len()).unwrap();
    }
    assert_eq!(received, LARGE);
    assert!(started.elapsed() > 5 * SHORT, "read too fast for this test");
    drop_blocking(service).await;
}

#[test]
fn an_invalid_preface_ends_its_own_connection_only() {
    let service = start(no_limits());
    let mut other = service.connect();
    for invalid in [&b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"[..], b"PRI / HTTP/1.1\r\n\r\n", b"PRI"] {
        let mut client = service.connect();
        client.send([invalid, &[0xff; 100]].concat());
        let _ = client.remainder();
    }
    other.send(GET);
    assert_eq!(other.response().status, 200);
}

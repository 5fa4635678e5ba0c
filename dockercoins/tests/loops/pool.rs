//! Kept connections that end, hang or have errors.

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{ConnectInfo, State},
    http::{Request, StatusCode},
    routing::get,
};
use chassis::Shutdown;
use futures_util::stream;
use prometheus_client::{encoding::text::encode, registry::Registry};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use worker::{Client, ConnectionMode, ErrorKind, Metrics, Peer, Settings, Transport};

const TIMEOUT: Duration = Duration::from_millis(300);

/// The addresses of the clients, each of which is a connection.
type Clients = Arc<Mutex<HashSet<SocketAddr>>>;

fn client(rng: SocketAddr, connections: ConnectionMode, timeout: Duration) -> (Client, Registry) {
    let rng_url = format!("http://{rng}/").parse().unwrap();
    let settings = Settings { rng_url, connections, timeout, ..chassis::defaults() };
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    (Client::new(&settings, Arc::new(|_| None), &metrics).unwrap(), registry)
}

async fn send(client: &Client, rng: SocketAddr, path: &str) -> Result<StatusCode, ErrorKind> {
    let request = Request::get(format!("http://{rng}{path}")).body(Bytes::new()).unwrap();
    let response = client.send(Peer::Rng, request, 1000).await;
    response.map(|response| response.status()).map_err(|error| error.kind)
}

fn retries(registry: &Registry) -> u64 {
    let mut text = String::new();
    encode(&mut text, registry).unwrap();
    let name = r#"worker_stale_connections_total{peer="rng"} "#;
    text.lines().find_map(|line| line.strip_prefix(name)).unwrap().parse().unwrap()
}

/// Does not respond on the first connection.
async fn hang_on_first(
    State(clients): State<Clients>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
) -> StatusCode {
    clients.lock().unwrap().insert(client);
    if clients.lock().unwrap().len() == 1 {
        std::future::pending::<()>().await;
    }
    StatusCode::OK
}

fn serve(clients: &Clients, shutdown: &Shutdown) -> SocketAddr {
    let broken = || async { Body::from_stream(stream::iter([Err::<Bytes, _>("broken")])) };
    let count = async |State(clients): State<Clients>, ConnectInfo(client)| {
        clients.lock().unwrap().insert(client);
    };
    let router = Router::new()
        .route("/", get(count))
        .route("/broken", get(broken))
        .route("/hang", get(hang_on_first))
        .with_state(clients.clone());
    crate::serve(|_| router, shutdown)
}

#[tokio::test]
async fn an_error_of_one_http2_stream_leaves_the_connection_to_the_others() {
    let (clients, shutdown) = (Clients::default(), Shutdown::new(TIMEOUT));
    let rng = serve(&clients, &shutdown);
    let (client, registry) = client(rng, ConnectionMode::Http2, 100 * TIMEOUT);
    for path in ["/", "/broken", "/"] {
        let expected = if path == "/" { Ok(StatusCode::OK) } else { Err(ErrorKind::Other) };
        assert_eq!(send(&client, rng, path).await, expected, "{path}");
    }
    assert_eq!((clients.lock().unwrap().len(), retries(&registry)), (1, 0));
}

#[tokio::test]
async fn a_request_that_times_out_retires_its_http2_connection() {
    let (clients, shutdown) = (Clients::default(), Shutdown::new(TIMEOUT));
    let rng = serve(&clients, &shutdown);
    let (client, registry) = client(rng, ConnectionMode::Http2, TIMEOUT);
    assert_eq!(send(&client, rng, "/hang").await, Err(ErrorKind::Timeout));
    assert_eq!(send(&client, rng, "/hang").await, Ok(StatusCode::OK));
    assert_eq!((clients.lock().unwrap().len(), retries(&registry)), (2, 0));
}

/// Responds to the first request of each connection, and closes it when the second one arrives.
async fn close_on_second_request(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut buffer = [0; 1000];
            if stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                let response = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
                stream.write_all(response).await.unwrap();
                let _ = stream.read(&mut buffer).await;
            }
        });
    }
}

#[tokio::test]
async fn a_request_on_a_stale_connection_is_sent_again_and_counted() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rng = listener.local_addr().unwrap();
    tokio::spawn(close_on_second_request(listener));
    let (client, registry) = client(rng, ConnectionMode::KeepAlive, 100 * TIMEOUT);
    for retried in 0..4 {
        assert_eq!(send(&client, rng, "/32").await, Ok(StatusCode::OK));
        assert_eq!(retries(&registry), retried);
    }
}

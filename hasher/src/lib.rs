//! hasher responds to `POST /` with the SHA-256 of the body in hex, after 100 ms, to many requests
//! at once; and to `POST /blocks/32` with that of each 32 bytes.

mod blocks;
mod upload;

use std::time::Duration;

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderName, HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::{Html, IntoResponse, Response},
    routing::{any, post},
};
use chassis::{ByteSize, ServedBy, ServerTiming, hostname, trace};
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    blocks::{Blocks, Unfinished},
    upload::{Refusal, Upload},
};

const SERVED_BY: HeaderName = HeaderName::from_static("served-by");

/// The settings of hasher.
#[derive(clap::Args, Clone)]
#[group(skip)]
pub struct Settings {
    /// Simulated delay of each hash.
    #[arg(long, env, default_value = "100ms", value_parser = chassis::parse_duration)]
    pub delay: Duration,
    /// The largest body that is hashed.
    #[arg(long, env, default_value = "1GiB", value_parser = chassis::parse_size)]
    pub max_body: ByteSize,
}

#[derive(Clone)]
struct Hasher {
    settings: Settings,
    served_by: HeaderValue,
    stop: CancellationToken,
}

/// The routes of hasher. Simulated delays end when `stop` is cancelled.
pub fn router(settings: &Settings, stop: CancellationToken) -> Router {
    let refuse = |status: StatusCode, sentence: &'static str| {
        async move || timed((status, sentence).into_response(), Instant::now(), Duration::ZERO)
    };
    let not_found =
        refuse(StatusCode::NOT_FOUND, "Not found. Please send the bytes with POST /.\n");
    let not_allowed =
        refuse(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed. Please use POST.\n");
    let served_by = ServedBy { host: hostname(), lanes: None, delay: Some(settings.delay) };
    let hasher = Hasher { settings: settings.clone(), served_by: served_by.header(), stop };
    Router::new()
        // As in the original, a method without a route is not found rather than not allowed.
        .route("/", any(not_found).get(index).post(hash))
        .route("/blocks/32", post(hash_blocks).fallback(not_allowed))
        .fallback(not_found)
        .with_state(hasher)
}

async fn index() -> Response {
    let started = Instant::now();
    let response = Html(format!("HASHER running on {}\n", hostname()));
    timed(response.into_response(), started, Duration::ZERO)
}

async fn hash(State(hasher): State<Hasher>, body: Body) -> Response {
    hasher.respond(digest(hasher.receive(body))).await
}

/// The SHA-256 of a body in lowercase hex, computed while it arrives.
async fn digest(upload: Result<Upload, Refusal>) -> Result<Response, Refusal> {
    let (mut upload, mut sha256) = (upload?, Sha256::new());
    while let Some(data) = upload.next().await? {
        sha256.update(&data);
    }
    Ok(hex::encode(sha256.finalize()).into_response())
}

async fn hash_blocks(State(hasher): State<Hasher>, body: Body) -> Response {
    let blocks = async { Blocks::new(hasher.receive(body)?)?.into_response().await };
    hasher.respond(blocks).await
}

impl Hasher {
    fn receive(&self, body: Body) -> Result<Upload, Refusal> {
        Upload::new(body, self.settings.max_body.as_u64())
    }

    /// Responds with the computed hashes, after the simulated delay.
    async fn respond(&self, hashes: impl Future<Output = Result<Response, Refusal>>) -> Response {
        let started = Instant::now();
        let hashes = match hashes.await {
            Ok(hashes) => hashes,
            Err(refusal) => return timed(refusal.into_response(), started, Duration::ZERO),
        };
        let delay = trace::span("delay", chassis::simulate(self.settings.delay, &self.stop)).await;
        let content_type = HeaderValue::from_static("text/plain;charset=utf-8");
        let headers = [(CONTENT_TYPE, content_type), (SERVED_BY, self.served_by.clone())];
        timed((headers, hashes).into_response(), started, delay)
    }
}

fn timed(mut response: Response, started: Instant, delay: Duration) -> Response {
    // The time of a response that is not complete is unknown.
    if response.extensions().get::<Unfinished>().is_none() {
        let work = started.elapsed().saturating_sub(delay);
        ServerTiming { queue: Duration::ZERO, delay, work }.add_to(&mut response);
    }
    response
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::extract::Request;
    use bytes::Bytes;
    use chassis::defaults;
    use futures_util::{StreamExt, stream};
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::{upload::BODY_TIME, *};

    async fn post(router: &Router, body: Body) -> Response {
        let request = Request::post("/").body(body).unwrap();
        router.clone().oneshot(request).await.unwrap()
    }

    async fn text(response: Response) -> String {
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.into()).unwrap()
    }

    /// A body that sends one byte after each `pause`, this number of times, and then nothing.
    fn drip(pause: Duration, bytes: usize) -> Body {
        let drops = stream::iter(0..bytes).then(move |_| async move {
            tokio::time::sleep(pause).await;
            Ok::<_, Infallible>(Bytes::from_static(b"a"))
        });
        Body::from_stream(drops.chain(stream::pending()))
    }

    #[tokio::test(start_paused = true)]
    async fn many_requests_take_one_delay() {
        let router = router(&defaults(), CancellationToken::new());
        let started = Instant::now();
        let responses: Vec<_> = (0..50)
            .map(|_| {
                let router = router.clone();
                tokio::spawn(async move { post(&router, Body::from("coin")).await })
            })
            .collect();
        for response in responses {
            let timing = response.await.unwrap().headers()["server-timing"].clone();
            assert_eq!(timing, "queue;dur=0.000, delay;dur=100.000, work;dur=0.000");
        }
        assert_eq!(started.elapsed(), Duration::from_millis(100));
    }

    #[tokio::test]
    async fn every_response_reports_its_timing() {
        let router = router(&defaults(), CancellationToken::new());
        for (method, path) in
            [("GET", "/"), ("POST", "/"), ("PUT", "/"), ("POST", "/x"), ("GET", "/blocks/32")]
        {
            let request = Request::builder().method(method).uri(path).body(Body::empty());
            let response = router.clone().oneshot(request.unwrap()).await.unwrap();
            assert!(response.headers().contains_key("server-timing"), "{method} {path}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn delays_end_when_the_service_stops() {
        let stop = CancellationToken::new();
        let router = router(&defaults(), stop.clone());
        stop.cancel();
        let started = Instant::now();
        assert_eq!(post(&router, Body::from("coin")).await.status(), 200);
        assert_eq!(started.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_arrives_is_refused() {
        let router = router(&defaults(), CancellationToken::new());
        let started = Instant::now();
        let response =
            post(&router, Body::from_stream(stream::pending::<Result<Bytes, Infallible>>()));
        let response = response.await;
        assert_eq!(response.status(), 408);
        assert_eq!(text(response).await, "The body came too slowly.\n");
        assert_eq!(started.elapsed(), BODY_TIME);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_arrives_too_slowly_is_refused() {
        let router = router(&defaults(), CancellationToken::new());
        let started = Instant::now();
        let response = post(&router, drip(Duration::from_secs(1), 1000)).await;
        assert_eq!(response.status(), 408);
        assert!(started.elapsed() < BODY_TIME + Duration::from_secs(1), "{:?}", started.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_body_at_the_speed_of_a_modem_is_hashed() {
        let router = router(&defaults(), CancellationToken::new());
        let block = Bytes::from(vec![0; 4096]);
        let blocks = stream::iter(0..60).then(move |_| {
            let block = block.clone();
            async move {
                tokio::time::sleep(Duration::from_secs(3)).await;
                Ok::<_, Infallible>(block)
            }
        });
        let started = Instant::now();
        let response = post(&router, Body::from_stream(blocks)).await;
        assert_eq!(response.status(), 200);
        assert_eq!(text(response).await, hex::encode(Sha256::digest(vec![0; 60 * 4096])));
        assert!(started.elapsed() > 5 * BODY_TIME);
    }

    #[tokio::test(start_paused = true)]
    async fn the_delay_does_not_count_as_time_of_a_streamed_body() {
        let settings = Settings { delay: 20 * BODY_TIME, ..defaults() };
        let router = router(&settings, CancellationToken::new());
        let pieces = stream::iter(0..4).then(|_| async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok::<_, Infallible>(Bytes::from(vec![0; 64 * 1024]))
        });
        let request = Request::post("/blocks/32").body(Body::from_stream(pieces)).unwrap();
        let response = router.oneshot(request).await.unwrap();
        assert_eq!(text(response).await.lines().count(), 4 * 64 * 1024 / 32);
    }
}

//! hasher answers `POST /` with the SHA-256 of the body in hex, 100 ms later, many at once; and
//! `POST /blocks/32` with that of each 32 bytes of it.

mod blocks;
mod upload;

use std::time::Duration;

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{Html, IntoResponse, Response},
    routing::{any, post},
};
use chassis::{ByteSize, ServerTiming, trace};
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    blocks::{Blocks, Unfinished},
    upload::{Refusal, Upload},
};

/// What hasher can be told.
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
    stop: CancellationToken,
}

/// The routes of hasher. Simulated delays end at once when `stop` is cancelled.
pub fn router(settings: &Settings, stop: CancellationToken) -> Router {
    let refuse = |status: StatusCode| {
        async move || timed(status.into_response(), Instant::now(), Duration::ZERO)
    };
    let not_found = refuse(StatusCode::NOT_FOUND);
    Router::new()
        // Like the original, a method that has no route is not found rather than not allowed.
        .route("/", any(not_found).get(index).post(hash))
        .route("/blocks/32", post(hash_blocks).fallback(refuse(StatusCode::METHOD_NOT_ALLOWED)))
        .fallback(not_found)
        .with_state(Hasher { settings: settings.clone(), stop })
}

async fn index() -> Response {
    let started = Instant::now();
    let response = Html(format!("HASHER running on {}\n", chassis::hostname()));
    timed(response.into_response(), started, Duration::ZERO)
}

async fn hash(State(hasher): State<Hasher>, body: Body) -> Response {
    hasher.answer(digest(hasher.receive(body))).await
}

/// The SHA-256 of a body in lowercase hex, computed as it comes in.
async fn digest(upload: Result<Upload, Refusal>) -> Result<Response, Refusal> {
    let (mut upload, mut sha256) = (upload?, Sha256::new());
    while let Some(data) = upload.next().await? {
        sha256.update(&data);
    }
    Ok(hex::encode(sha256.finalize()).into_response())
}

async fn hash_blocks(State(hasher): State<Hasher>, body: Body) -> Response {
    let blocks = async { Blocks::new(hasher.receive(body)?)?.into_response().await };
    hasher.answer(blocks).await
}

impl Hasher {
    fn receive(&self, body: Body) -> Result<Upload, Refusal> {
        Upload::new(body, self.settings.max_body.as_u64())
    }

    /// Answers with what is computed, after the simulated delay.
    async fn answer(&self, answer: impl Future<Output = Result<Response, Refusal>>) -> Response {
        let started = Instant::now();
        let answer = match answer.await {
            Ok(answer) => answer,
            Err(refusal) => return timed(refusal.into_response(), started, Duration::ZERO),
        };
        let delay = trace::span("delay", chassis::simulate(self.settings.delay, &self.stop)).await;
        let text = [(CONTENT_TYPE, "text/plain;charset=utf-8")];
        timed((text, answer).into_response(), started, delay)
    }
}

fn timed(mut response: Response, started: Instant, delay: Duration) -> Response {
    // How long all of the work takes is not known before its end.
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

    /// A body that sends one byte each `pause`, so many times, and then nothing more.
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
        let answers: Vec<_> = (0..50)
            .map(|_| {
                let router = router.clone();
                tokio::spawn(async move { post(&router, Body::from("coin")).await })
            })
            .collect();
        for answer in answers {
            let timing = answer.await.unwrap().headers()["server-timing"].clone();
            assert_eq!(timing, "queue;dur=0.000, delay;dur=100.000, work;dur=0.000");
        }
        assert_eq!(started.elapsed(), Duration::from_millis(100));
    }

    #[tokio::test]
    async fn every_answer_tells_its_timing() {
        let router = router(&defaults(), CancellationToken::new());
        for (method, path) in
            [("GET", "/"), ("POST", "/"), ("PUT", "/"), ("POST", "/x"), ("GET", "/blocks/32")]
        {
            let request = Request::builder().method(method).uri(path).body(Body::empty());
            let answer = router.clone().oneshot(request.unwrap()).await.unwrap();
            assert!(answer.headers().contains_key("server-timing"), "{method} {path}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_delay_is_slept_once_the_service_stops() {
        let stop = CancellationToken::new();
        let router = router(&defaults(), stop.clone());
        stop.cancel();
        let started = Instant::now();
        assert_eq!(post(&router, Body::from("coin")).await.status(), 200);
        assert_eq!(started.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_comes_is_given_up() {
        let router = router(&defaults(), CancellationToken::new());
        let started = Instant::now();
        let answer =
            post(&router, Body::from_stream(stream::pending::<Result<Bytes, Infallible>>()));
        let answer = answer.await;
        assert_eq!(answer.status(), 408);
        assert_eq!(text(answer).await, "The body came too slowly.\n");
        assert_eq!(started.elapsed(), BODY_TIME);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_comes_ever_so_slowly_is_given_up() {
        let router = router(&defaults(), CancellationToken::new());
        let started = Instant::now();
        let answer = post(&router, drip(Duration::from_secs(1), 1000)).await;
        assert_eq!(answer.status(), 408);
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
        let answer = post(&router, Body::from_stream(blocks)).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(text(answer).await, hex::encode(Sha256::digest(vec![0; 60 * 4096])));
        assert!(started.elapsed() > 5 * BODY_TIME);
    }

    #[tokio::test(start_paused = true)]
    async fn the_delay_is_not_the_time_of_a_body_that_is_streamed() {
        let settings = Settings { delay: 20 * BODY_TIME, ..defaults() };
        let router = router(&settings, CancellationToken::new());
        let pieces = stream::iter(0..4).then(|_| async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok::<_, Infallible>(Bytes::from(vec![0; 64 * 1024]))
        });
        let request = Request::post("/blocks/32").body(Body::from_stream(pieces)).unwrap();
        let answer = router.oneshot(request).await.unwrap();
        assert_eq!(text(answer).await.lines().count(), 4 * 64 * 1024 / 32);
    }
}

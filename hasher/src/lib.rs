//! hasher answers `POST /` with the SHA-256 of the body in hex, 100 ms later, many at once.

use std::time::Duration;

use axum::{
    Router,
    body::{Body, HttpBody},
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use chassis::{ByteSize, ServerTiming, trace};
use http_body_util::BodyExt;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

/// How long a body may take, whatever its size ...
const BODY_TIME: Duration = Duration::from_secs(20);

/// ... and how fast it must come on top of that, in bytes per second, so that a client who sends
/// ever so slowly cannot hold a connection for ever.
const BODY_RATE: f64 = 1024.0;

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
    let not_found =
        || async { timed(StatusCode::NOT_FOUND.into_response(), Instant::now(), Duration::ZERO) };
    Router::new()
        // Like the original, a method that has no route is not found rather than not allowed.
        .route("/", get(index).post(hash).fallback(not_found))
        .fallback(not_found)
        .with_state(Hasher { settings: settings.clone(), stop })
}

async fn index() -> Response {
    let started = Instant::now();
    let response = Html(format!("HASHER running on {}\n", chassis::hostname()));
    timed(response.into_response(), started, Duration::ZERO)
}

async fn hash(State(hasher): State<Hasher>, body: Body) -> Response {
    let started = Instant::now();
    let digest = match digest(body, hasher.settings.max_body.as_u64()).await {
        Ok(digest) => digest,
        Err(refusal) => return timed(refusal.into_response(), started, Duration::ZERO),
    };
    let delay = chassis::simulate(hasher.settings.delay, &hasher.stop);
    let delay = trace::span("delay", delay).await;
    timed(([(CONTENT_TYPE, "text/plain;charset=utf-8")], digest).into_response(), started, delay)
}

/// The SHA-256 of a body in lowercase hex, computed as it comes in.
async fn digest(mut body: Body, max: u64) -> Result<String, (StatusCode, String)> {
    let too_large = || {
        let sentence = format!("Please send at most {max} bytes at once.\n");
        (StatusCode::PAYLOAD_TOO_LARGE, sentence)
    };
    if body.size_hint().lower() > max {
        return Err(too_large());
    }
    let started = Instant::now();
    let mut sha256 = Sha256::new();
    let mut received = 0;
    loop {
        let earned = Duration::from_secs_f64(received as f64 / BODY_RATE);
        let frame = match timeout_at(started + BODY_TIME + earned, body.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(_))) => {
                return Err((StatusCode::BAD_REQUEST, "The body ended too early.\n".to_owned()));
            }
            Ok(None) => return Ok(hex::encode(sha256.finalize())),
            Err(_) => {
                return Err((
                    StatusCode::REQUEST_TIMEOUT,
                    "The body came too slowly.\n".to_owned(),
                ));
            }
        };
        // Trailers are not part of what is hashed.
        if let Ok(data) = frame.into_data() {
            received += data.len() as u64;
            if received > max {
                return Err(too_large());
            }
            sha256.update(&data);
        }
    }
}

fn timed(mut response: Response, started: Instant, delay: Duration) -> Response {
    let work = started.elapsed().saturating_sub(delay);
    ServerTiming { queue: Duration::ZERO, delay, work }.add_to(&mut response);
    response
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::extract::Request;
    use bytes::Bytes;
    use chassis::defaults;
    use futures_util::{StreamExt, stream};
    use tower::ServiceExt;

    use super::*;

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
        for (method, path) in [("GET", "/"), ("POST", "/"), ("PUT", "/"), ("POST", "/x")] {
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
}

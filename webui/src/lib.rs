//! The webui service: the dashboard for browsers, and `/json` for programs.
//!
//! In reading order, each using only earlier ones: `poller` reads the store; `rates` estimates a
//! rate; `rngs`, `others` and `workers` apply it to heartbeats and counters; `capacity` predicts the
//! speed and finds the bottleneck; `history` holds samples and events; `metrics` are for Prometheus;
//! `state` combines these; `coin` describes a coin; `view` renders the state; `sse` streams it;
//! `publish` is the loop; `assets` are the static files, and `content` answers conditional and
//! range requests for them. This file has the routes.

mod assets;
mod capacity;
mod coin;
mod content;
mod history;
mod metrics;
mod others;
mod poller;
mod publish;
mod rates;
mod rngs;
mod sse;
mod state;
mod view;
mod workers;

use std::path::PathBuf;

use axum::{
    Router,
    extract::{Path, RawQuery, Request, State, rejection::PathRejection},
    http::{
        HeaderMap, HeaderValue, Method, StatusCode, Uri,
        header::{
            ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION,
            X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::{IntoResponse, Response},
    routing::any,
};
use serde_json::json;
use store::Store;
use tokio_util::sync::CancellationToken;
use tower_http::set_header::SetResponseHeaderLayer;
use tracing::Instrument;

pub use crate::metrics::Metrics;
use crate::{
    assets::Assets,
    coin::{Coins, describe, is_hash},
    poller::Poller,
    publish::{Fragments, fragments},
    view::Window,
};

/// The settings of webui.
#[derive(clap::Args, Clone)]
#[group(skip)]
pub struct Settings {
    /// Folder with files that replace the built-in ones, read on each request; /files if it exists.
    #[arg(long, env)]
    pub files: Option<PathBuf>,
}

#[derive(Clone)]
struct Webui {
    poller: Poller,
    fragments: Fragments,
    coins: Coins,
    assets: Assets,
    metrics: Metrics,
    stop: CancellationToken,
}

/// The routes of webui. Reads the store every second until `stop` is cancelled, so it needs a Tokio
/// runtime. Fails when the folder with the files cannot be read.
pub fn router(
    settings: &Settings,
    store: Store,
    metrics: Metrics,
    stop: CancellationToken,
) -> anyhow::Result<Router> {
    let assets = Assets::new(settings.files.as_deref())?;
    let store = store.with_timeout(poller::RESPONSE_TIMEOUT)?;
    let (poller, read) = Poller::new(store.clone());
    let (fragments, publish) = fragments(store.clone(), poller.clone(), metrics.clone())?;
    let webui =
        Webui { poller, fragments, coins: Coins::new(store), assets, metrics, stop: stop.clone() };
    // Requests still need readings after `stop`.
    tokio::spawn(read.in_current_span());
    tokio::spawn(async move { stop.run_until_cancelled(publish).await }.in_current_span());

    let other = any(other_method);
    let set =
        |name, value| SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value));
    Ok(Router::new()
        .route("/", other.clone().get(redirect))
        .route("/index.html", any(not_found).get(index))
        .route("/fragment", other.clone().get(fragment))
        .route("/events", other.clone().get(events))
        .route("/coins/{hash}", other.clone().get(coin))
        .route("/json", other.clone().get(json))
        .route("/json/", other.get(json))
        .fallback(asset)
        .layer(set(CACHE_CONTROL, "no-cache"))
        .layer(set(X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .with_state(webui))
}

async fn redirect() -> Response {
    let headers = [(LOCATION, "index.html")];
    (StatusCode::FOUND, headers, "Found. Redirecting to index.html").into_response()
}

/// The response of Express, which the original uses, to a method without a route.
async fn other_method(method: Method, uri: Uri) -> Response {
    match method {
        Method::OPTIONS => ([(ALLOW, "GET,HEAD")], "GET,HEAD").into_response(),
        _ => not_found(method, uri).await,
    }
}

async fn not_found(method: Method, uri: Uri) -> Response {
    (StatusCode::NOT_FOUND, format!("Cannot {method} {}\n", uri.path())).into_response()
}

async fn json(State(webui): State<Webui>) -> Response {
    let Some(reading) = webui.poller.read().await else {
        return unavailable("webui is stopping");
    };
    match reading.outcome {
        Ok(snapshot) => {
            let totals = &snapshot.totals;
            let json = json!({"coins": totals.coins, "hashes": totals.hashes, "now": reading.now});
            ([(CONTENT_TYPE, "application/json; charset=utf-8")], json.to_string()).into_response()
        }
        Err(sentence) => unavailable(&sentence),
    }
}

async fn coin(State(webui): State<Webui>, hash: Result<Path<String>, PathRejection>) -> Response {
    let Some(Path(hash)) = hash.ok().filter(|Path(hash)| is_hash(hash)) else {
        let sentence = "The path needs the hash of a coin: 64 lowercase hex digits.\n";
        return (StatusCode::BAD_REQUEST, sentence).into_response();
    };
    match webui.coins.read(&hash).await {
        Ok(Some(bytes)) => describe(&hash, &bytes).into_response(),
        Ok(None) => (StatusCode::NOT_FOUND, "There is no such coin.\n").into_response(),
        Err(error) => unavailable(&format!("The coin cannot be read: {}", error.sentence)),
    }
}

fn unavailable(sentence: &str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{sentence}.\n")).into_response()
}

async fn index(
    State(webui): State<Webui>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let html = webui.fragments.of(Window::of(query.as_deref())).borrow().html.clone();
    let (policy, page) = webui.assets.page(&html).await;
    let page = content::respond(&headers, "text/html; charset=utf-8", page.into());
    ([(CONTENT_SECURITY_POLICY, policy)], page).into_response()
}

async fn fragment(State(webui): State<Webui>, RawQuery(query): RawQuery) -> Response {
    let html = webui.fragments.of(Window::of(query.as_deref())).borrow().html.clone();
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'"),
    ];
    (headers, html.to_string()).into_response()
}

async fn events(State(webui): State<Webui>, RawQuery(query): RawQuery) -> Response {
    let fragments = webui.fragments.of(Window::of(query.as_deref()));
    sse::stream(fragments, &webui.metrics, webui.stop)
}

async fn asset(State(webui): State<Webui>, request: Request) -> Response {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    match webui.assets.serve(request).await {
        Some(response) => response,
        None => not_found(method, uri).await,
    }
}

//! The webui service: the dashboard for browsers, and `/json` for programs.
//!
//! In reading order: this file has the routes, `counters` reads the store, `history` and `workers`
//! store recent readings, `page` and `curve` render them, `events` sends the result to the
//! browsers, `files` serves the assets.

mod coin;
mod counters;
mod curve;
mod events;
mod files;
mod history;
mod metrics;
mod page;
mod workers;

use std::path::PathBuf;

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{
        HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, LOCATION, X_CONTENT_TYPE_OPTIONS},
    },
    response::{Html, IntoResponse, Response},
    routing::get,
};
use store::Store;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower_http::set_header::SetResponseHeaderLayer;
use tracing::Instrument;

pub use crate::metrics::Metrics;
use crate::{counters::Counters, events::Event, files::Files, history::History};

/// The settings of webui.
#[derive(clap::Args, Clone)]
#[group(skip)]
pub struct Settings {
    /// Folder with files that replace the built-in ones, read on each request; /files if it exists.
    #[arg(long, env)]
    pub files: Option<PathBuf>,
}

#[derive(Clone)]
struct Dashboard {
    counters: Counters,
    events: watch::Receiver<Event>,
    files: Files,
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
    let files = Files::new(settings.files.as_deref())?;
    let assets = files.service();
    let counters = Counters::new(&store)?;
    let (sender, events) = watch::channel(Event::new(&History::default(), counters::now())?);
    let publish = events::publish(sender, counters.clone(), metrics.clone());
    let dashboard = Dashboard { counters, events, files, metrics, stop: stop.clone() };
    tokio::spawn(async move { stop.run_until_cancelled(publish).await }.in_current_span());

    let set =
        |name, value| SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value));
    Ok(Router::new()
        .route("/", get(async || (StatusCode::FOUND, [(LOCATION, "index.html")])))
        .route("/index.html", get(index))
        .route("/fragment", get(fragment))
        .route("/events", get(stream))
        .route("/coins/{hash}", get(coin))
        .route("/json", get(json))
        .fallback_service(assets)
        .layer(set(CACHE_CONTROL, "no-cache"))
        .layer(set(X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .with_state(dashboard))
}

async fn json(State(dashboard): State<Dashboard>) -> Response {
    dashboard
        .counters
        .read()
        .await
        .map_or_else(unavailable, |reading| Json(reading).into_response())
}

async fn coin(State(dashboard): State<Dashboard>, Path(hash): Path<String>) -> Response {
    if !coin::is_hash(&hash) {
        let sentence = "The path needs the hash of a coin: 64 lowercase hex digits.\n";
        return (StatusCode::BAD_REQUEST, sentence).into_response();
    }
    match dashboard.counters.coin(&hash).await {
        Ok(Some(bytes)) => coin::describe(&hash, &bytes).into_response(),
        Ok(None) => (StatusCode::NOT_FOUND, "There is no such coin.\n").into_response(),
        Err(sentence) => unavailable(sentence),
    }
}

fn unavailable(sentence: String) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{sentence}\n")).into_response()
}

async fn index(State(dashboard): State<Dashboard>) -> impl IntoResponse {
    let fragment = dashboard.events.borrow().html();
    let html = page::page(&dashboard.files.index().await, &String::from_utf8_lossy(&fragment));
    let policy = page::content_security_policy(&html);
    ([(CONTENT_SECURITY_POLICY, policy)], Html(html))
}

async fn fragment(State(dashboard): State<Dashboard>) -> impl IntoResponse {
    let fragment = dashboard.events.borrow().html();
    ([(CONTENT_SECURITY_POLICY, "default-src 'none'")], Html(fragment))
}

async fn stream(State(dashboard): State<Dashboard>) -> Response {
    events::stream(dashboard.events, &dashboard.metrics, dashboard.stop)
}

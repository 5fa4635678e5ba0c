//! webui shows the coins: a page for people, `/json` for programs.
//!
//! In reading order: this file has the routes, `counters` reads the store, `history` remembers,
//! `page` and `curve` draw, `files` finds what is served.

mod counters;
mod curve;
mod files;
mod history;
mod page;

use std::path::PathBuf;

use axum::{
    Json, Router,
    extract::State,
    http::{
        HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, LOCATION, X_CONTENT_TYPE_OPTIONS},
    },
    response::{Html, IntoResponse, Response},
    routing::get,
};
use store::Store;
use tokio_util::sync::CancellationToken;
use tower_http::set_header::SetResponseHeaderLayer;
use tracing::{Instrument, error};

use crate::{counters::Counters, files::Files, history::History};

/// What webui can be told.
#[derive(clap::Args, Clone)]
#[group(skip)]
pub struct Settings {
    /// Folder whose files come before the built-in ones, read on each request; /files if it exists.
    #[arg(long, env)]
    pub files: Option<PathBuf>,
}

#[derive(Clone)]
struct Dashboard {
    counters: Counters,
    history: History,
    files: Files,
}

/// The routes of webui, which remembers the counters until `stop` is cancelled. Needs a runtime.
/// Fails when the folder with the files cannot be read.
pub fn router(
    settings: &Settings,
    store: Store,
    stop: CancellationToken,
) -> anyhow::Result<Router> {
    let files = Files::new(settings.files.as_deref())?;
    let assets = files.service();
    let dashboard =
        Dashboard { counters: Counters::new(&store)?, history: History::default(), files };
    let keep = dashboard.history.clone().keep(dashboard.counters.clone());
    tokio::spawn(async move { stop.run_until_cancelled(keep).await }.in_current_span());

    let set =
        |name, value| SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value));
    Ok(Router::new()
        .route("/", get(async || (StatusCode::FOUND, [(LOCATION, "index.html")])))
        .route("/index.html", get(index))
        .route("/fragment", get(fragment))
        .route("/json", get(json))
        .fallback_service(assets)
        .layer(set(CACHE_CONTROL, "no-cache"))
        .layer(set(X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .with_state(dashboard))
}

async fn json(State(dashboard): State<Dashboard>) -> Response {
    match dashboard.counters.read().await {
        Ok(reading) => Json(reading).into_response(),
        Err(sentence) => (StatusCode::SERVICE_UNAVAILABLE, format!("{sentence}\n")).into_response(),
    }
}

async fn index(State(dashboard): State<Dashboard>) -> Response {
    let html = match dashboard.render() {
        Ok(fragment) => page::page(&dashboard.files.index().await, &fragment),
        Err(refusal) => return refusal.into_response(),
    };
    let policy = page::content_security_policy(&html);
    ([(CONTENT_SECURITY_POLICY, policy)], Html(html)).into_response()
}

async fn fragment(State(dashboard): State<Dashboard>) -> Result<Html<String>, StatusCode> {
    dashboard.render().map(Html)
}

impl Dashboard {
    fn render(&self) -> Result<String, StatusCode> {
        let mut past = self.history.past();
        let samples = past.samples.make_contiguous();
        let fragment = page::fragment(samples, counters::now(), past.unavailable.as_deref());
        fragment.map_err(|error| {
            error!("the dashboard cannot be rendered: {error}");
            StatusCode::INTERNAL_SERVER_ERROR
        })
    }
}

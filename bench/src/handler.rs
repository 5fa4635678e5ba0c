//! The baseline of the services: an axum handler without middleware.

use std::{convert::Infallible, io::Write, net::Ipv4Addr, time::Duration};

use anyhow::Result;
use axum::{
    Router,
    response::{
        IntoResponse,
        sse::{Event, Sse},
    },
    routing::get,
};
use bytes::Bytes;
use clap::Args;
use futures_util::stream;
use tokio::{net::TcpListener, runtime::Runtime, time::interval};

/// The path of the stream of events, here and in webui.
pub(crate) const EVENTS: &str = "/events";

/// Interval between two events, as in webui.
const INTERVAL: Duration = Duration::from_secs(1);

/// The path and the size of the response.
#[derive(Args)]
pub(crate) struct Settings {
    path: String,
    /// The length of the body, or of the data of each event.
    bytes: usize,
}

/// Serves until the process is killed.
pub(crate) fn run(settings: &Settings) -> Result<()> {
    let text = "x".repeat(settings.bytes);
    let handler = if settings.path == EVENTS {
        get(async move || events(text))
    } else {
        let body = Bytes::from(text);
        get(async move || body)
    };
    let router = Router::new().route(&settings.path, handler);
    Runtime::new()?.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        writeln!(std::io::stdout(), "listening on {} (LISTEN)", listener.local_addr()?)?;
        Ok(axum::serve(listener, router).await?)
    })
}

/// Sends one event immediately, and then one per second.
fn events(text: String) -> impl IntoResponse {
    let event = Event::default().event("dashboard").data(text);
    let events = stream::unfold((interval(INTERVAL), event), async |(mut ticks, event)| {
        ticks.tick().await;
        Some((Ok::<_, Infallible>(event.clone()), (ticks, event)))
    });
    Sse::new(events)
}

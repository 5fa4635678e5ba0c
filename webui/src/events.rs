//! The stream of events: the dashboard is rendered once a second, and all browsers get the same
//! bytes.

use std::{convert::Infallible, time::Duration};

use axum::{
    body::Body,
    http::{HeaderName, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::stream;
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::{
    Metrics,
    counters::{self, Counters},
    history::History,
    page,
};

/// The time between two readings, and between two events.
const PERIOD: Duration = Duration::from_secs(1);

/// The text before and after the fragment in an event.
const BEFORE: &str = "event: dashboard\ndata: ";
const AFTER: &str = "\n\n";

/// The fragment as an event; clones share its bytes.
#[derive(Clone)]
pub(crate) struct Event(Bytes);

impl Event {
    pub(crate) fn new(history: &History, now: f64) -> askama::Result<Self> {
        let html = page::fragment(history, now)?;
        // A line end would end the data, and names from the store may contain one.
        let lines = html.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty());
        let line = lines.collect::<Vec<_>>().join(" ");
        Ok(Self(format!("{BEFORE}{line}{AFTER}").into()))
    }

    /// The fragment alone.
    pub(crate) fn html(&self) -> Bytes {
        self.0.slice(BEFORE.len()..self.0.len() - AFTER.len())
    }
}

/// Reads the store and renders the dashboard every second. Never returns.
pub(crate) async fn publish(events: watch::Sender<Event>, counters: Counters, metrics: Metrics) {
    let mut history = History::default();
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        history.add(counters.read().await);
        history.update(&metrics);
        match Event::new(&history, counters::now()) {
            Ok(event) => drop(events.send_replace(event)),
            Err(error) => error!("the dashboard cannot be rendered: {error}"),
        }
    }
}

/// Sends the last event at once and then each new one, until the client disconnects or `stop` is
/// cancelled.
pub(crate) fn stream(
    mut events: watch::Receiver<Event>,
    metrics: &Metrics,
    stop: CancellationToken,
) -> Response {
    events.mark_changed();
    let state = (events, stop, metrics.open_stream());
    let chunks = stream::unfold(state, |(mut events, stop, open)| async {
        stop.run_until_cancelled(events.changed()).await?.ok()?;
        let chunk = events.borrow_and_update().0.clone();
        Some((Ok::<_, Infallible>(chunk), (events, stop, open)))
    });
    let headers = [
        (CONTENT_TYPE, "text/event-stream"),
        // Stops nginx from buffering the events.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (headers, Body::from_stream(chunks)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_end_in_a_text_does_not_end_the_event() {
        let reason = "redis said:\r\n\r\nevent: evil\rdata: evil\n\nid: 7";
        let history = History { unavailable: Some(reason.to_owned()), ..History::default() };
        let event = Event::new(&history, 0.0).unwrap();
        let text = String::from_utf8(event.0.to_vec()).unwrap();
        assert_eq!(text.matches(['\n', '\r']).count(), 3, "{text}");
        assert!(text.starts_with("event: dashboard\ndata: <section") && text.ends_with("\n\n"));
        let html = String::from_utf8(event.html().to_vec()).unwrap();
        assert!(html.starts_with("<section") && html.ends_with("</section>"), "{html}");
    }
}

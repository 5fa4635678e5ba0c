//! The stream of events: a browser gets the whole dashboard, and then the lines that changed.

use std::{convert::Infallible, sync::Arc};

use axum::response::{IntoResponse, Response, Sse, sse::Event};
use futures_util::stream;
use serde_json::{Value, json};
use similar::{Algorithm, capture_diff_slices};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

/// One rendering of the dashboard; clones share it.
#[derive(Clone, Default)]
pub(crate) struct Fragment {
    /// Increases by one with each rendering.
    number: u64,
    pub(crate) html: Arc<str>,
    /// The lines that changed since the previous one, as JSON.
    patch: Arc<str>,
}

impl Fragment {
    #[cfg(test)]
    pub(crate) fn patch(&self) -> &str {
        &self.patch
    }

    /// The fragment after this one.
    pub(crate) fn next(&self, html: String) -> Self {
        // Carriage returns cannot be part of an event.
        let html: Arc<str> = html.replace('\r', " ").into();
        let patch = patch(&self.html, &html).to_string().into();
        Self { number: self.number + 1, html, patch }
    }
}

/// The lines to replace: `[[index of the first line, number of removed lines, added lines…], …]`,
/// last change first, so that the indexes stay valid.
fn patch(old: &str, new: &str) -> Value {
    let (old, new): (Vec<_>, Vec<_>) = (old.split('\n').collect(), new.split('\n').collect());
    let changes = capture_diff_slices(Algorithm::Myers, &old, &new);
    let changes = changes.iter().filter(|change| change.tag() != similar::DiffTag::Equal);
    let change = |change: &similar::DiffOp| {
        let (_, removed, added) = change.as_tag_tuple();
        let mut change = vec![json!(removed.start), json!(removed.len())];
        change.extend(new[added].iter().map(|line| json!(line)));
        Value::Array(change)
    };
    changes.rev().map(change).collect()
}

/// Sends the whole fragment at once and then what changes, until the client disconnects or `stop` is
/// cancelled. A client that missed a change gets a whole fragment.
pub(crate) fn stream(
    mut fragments: watch::Receiver<Fragment>,
    metrics: &Metrics,
    stop: CancellationToken,
) -> Response {
    fragments.mark_changed();
    let state = (fragments, 0, stop, metrics.open_stream());
    let events = stream::unfold(state, |(mut fragments, last, stop, open)| async move {
        stop.run_until_cancelled(fragments.changed()).await?.ok()?;
        let Fragment { number, html, patch } = fragments.borrow_and_update().clone();
        let event = match number == last + 1 && last > 0 {
            true => Event::default().event("patch").data(patch),
            false => Event::default().event("whole").data(html),
        };
        Some((Ok::<_, Infallible>(event), (fragments, number, stop, open)))
    });
    // Stops nginx from buffering the events.
    ([("x-accel-buffering", "no")], Sse::new(events)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Applies a patch as the script does.
    fn apply(html: &str, patch: &str) -> String {
        let mut lines: Vec<_> = html.split('\n').map(str::to_owned).collect();
        for change in serde_json::from_str::<Vec<Vec<Value>>>(patch).unwrap() {
            let [start, removed, added @ ..] = &change[..] else { panic!("{change:?}") };
            let start = start.as_u64().unwrap() as usize;
            let end = start + removed.as_u64().unwrap() as usize;
            lines.splice(start..end, added.iter().map(|line| line.as_str().unwrap().to_owned()));
        }
        lines.join("\n")
    }

    #[test]
    fn a_patch_turns_a_page_into_the_next_one() {
        let mut fragment = Fragment::default();
        for html in
            ["a\nb\nc\nd\n", "a\nB\nc\nd\n", "x\na\nc\nd\ne\nf", "", "\n\n", "x\n\u{1f980}\"\\\n"]
        {
            let next = fragment.next(html.to_owned());
            assert_eq!(apply(&fragment.html, &next.patch), html);
            fragment = next;
        }
        let next = fragment.next(fragment.html.to_string());
        assert_eq!(&*next.patch, "[]");
    }

    #[test]
    fn a_line_end_in_a_text_does_not_end_the_event() {
        let fragment =
            Fragment::default().next("redis said:\r\n\r\nevent: evil\rdata: evil\n\n".to_owned());
        assert!(!fragment.html.contains('\r'));
    }
}

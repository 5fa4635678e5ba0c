//! Each second: read, record, render, publish.

use std::time::Duration;

use store::Store;
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};
use tracing::{error, warn};

use crate::{
    history::Sample,
    metrics::Metrics,
    poller::{Poller, call},
    sse::Fragment,
    state::State,
    view::{Window, fragment},
};

/// The time between two updates.
const PERIOD: Duration = Duration::from_secs(1);

/// The latest fragment for each window.
#[derive(Clone)]
pub(crate) struct Fragments([watch::Receiver<Fragment>; Window::ALL.len()]);

impl Fragments {
    /// The fragments with this window.
    pub(crate) fn of(&self, window: Window) -> watch::Receiver<Fragment> {
        self.0[window as usize].clone()
    }
}

/// The fragments, and the task that renders them, which ends with the poller.
pub(crate) fn fragments(
    store: Store,
    poller: Poller,
    metrics: Metrics,
) -> anyhow::Result<(Fragments, impl Future<Output = ()>)> {
    let state = State::new();
    let mut receivers = Vec::new();
    let mut senders = Vec::new();
    for window in Window::ALL {
        let (sender, receiver) =
            watch::channel(Fragment::default().next(fragment(&state, window)?));
        senders.push((window, sender));
        receivers.push(receiver);
    }
    let receivers = receivers.try_into().map_err(|_| anyhow::anyhow!("a window is missing"))?;
    Ok((Fragments(receivers), publish(state, senders, store, poller, metrics)))
}

async fn publish(
    mut state: State,
    fragments: Vec<(Window, watch::Sender<Fragment>)>,
    store: Store,
    poller: Poller,
    metrics: Metrics,
) {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_recorded = true;
    loop {
        ticks.tick().await;
        let Some(reading) = poller.read().await else { return };
        if let Some(sample) = state.add(reading) {
            let recorded = record(&mut state, &store, &sample).await;
            if let Err(error) = &recorded
                && is_recorded
            {
                warn!("the history is not stored: {error}");
            }
            is_recorded = recorded.is_ok();
        }
        state.update(&metrics);
        for (window, sender) in &fragments {
            match fragment(&state, *window) {
                Ok(html) => sender.send_modify(|fragment| *fragment = fragment.next(html)),
                Err(error) => error!("the dashboard cannot be rendered: {error}"),
            }
        }
    }
}

/// Stores a sample, unless another webui has stored one for this second, and adds those that are
/// new to the history. The history goes on without the store.
async fn record(state: &mut State, store: &Store, sample: &Sample) -> Result<(), String> {
    let text = serde_json::to_string(sample).map_err(|error| error.to_string())?;
    let second = sample.at as u64;
    let last = state.history.last_second();
    let after = if last > second { 0 } else { last };
    match call(store.record(second, &text, after)).await {
        Ok(samples) => state.history.add(&samples, sample.at),
        Err(error) => {
            state.history.add(&[text], sample.at);
            return Err(error.cause);
        }
    }
    Ok(())
}

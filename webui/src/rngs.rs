//! From the responses that workers report to the rates of each rng.

use std::collections::BTreeMap;

use store::Rng;

use crate::rates::{MIN_WINDOW, Series, WINDOW};

/// An rng is gone if this number of responses was expected since its last one, at its last rate.
const MISSED: f64 = 14.0;

/// The responses of each rng that workers reported since their previous heartbeats.
#[derive(Default)]
pub(crate) struct Responses<'a>(BTreeMap<&'a str, Rng>);

impl<'a> Responses<'a> {
    /// Adds the difference between two heartbeats of a worker.
    pub(crate) fn add(&mut self, before: &[Rng], after: &'a [Rng]) {
        let before: BTreeMap<_, _> = before.iter().map(|rng| (&rng.name, rng)).collect();
        let nothing = Rng::default();
        for rng in after {
            let before = before.get(&rng.name).copied().unwrap_or(&nothing);
            let response = self.0.entry(&rng.name).or_default();
            (response.lanes, response.delay) = (rng.lanes.max(1), rng.delay);
            response.served += rng.served.saturating_sub(before.served);
            response.queue_seconds += rng.queue_seconds - before.queue_seconds;
            response.busy_seconds += rng.busy_seconds - before.busy_seconds;
        }
    }
}

/// All rngs that workers use.
#[derive(Default)]
pub(crate) struct Rngs {
    pub(crate) loads: BTreeMap<String, Load>,
}

/// The load of one rng.
#[derive(Default)]
pub(crate) struct Load {
    pub(crate) lanes: u16,
    /// Its configured delay, in seconds.
    pub(crate) delay: Option<f64>,
    served: Series,
    queue: Series,
    busy: Series,
    /// When it last responded, in seconds since the Unix epoch.
    last_response: f64,
    /// Responses per second at that time.
    last_rate: f64,
}

/// The rates of an rng.
pub(crate) struct Rates {
    /// Responses per second.
    pub(crate) served: f64,
    /// The share of time that its lanes are occupied, from 0 to 1.
    pub(crate) utilisation: f64,
    /// The mean number of waiting requests, by Little's law.
    pub(crate) waiting: f64,
}

impl Rngs {
    /// Adds what was reported by `now`. If workers make progress, removes rngs that stopped
    /// responding.
    pub(crate) fn add(&mut self, now: f64, Responses(responses): &Responses, progress: bool) {
        let is_first = self.loads.is_empty();
        for (&name, response) in responses {
            let is_new = !self.loads.contains_key(name);
            if is_new && response.served == 0 && !is_first {
                continue;
            }
            let rng = self.loads.entry(name.to_owned()).or_default();
            (rng.lanes, rng.delay) = (response.lanes, response.delay);
            rng.served.add(now, response.served as f64);
            rng.queue.add(now, response.queue_seconds);
            rng.busy.add(now, response.busy_seconds);
            if response.served > 0 || is_new {
                let rate = rng.served.rate(now - WINDOW, MIN_WINDOW);
                (rng.last_response, rng.last_rate) = (now, rate.unwrap_or_default());
            }
        }
        let last = self.loads.values().map(|rng| rng.last_response).fold(0.0, f64::max);
        self.loads.retain(|name, rng| {
            let missed = (last - rng.last_response) * rng.last_rate;
            !progress || (responses.contains_key(name.as_str()) && missed < MISSED)
        });
    }

    /// Requests that all of them work on at once.
    pub(crate) fn lanes(&self) -> f64 {
        self.loads.values().map(|rng| f64::from(rng.lanes)).sum()
    }

    /// How busy all of them are together, from 0 to 1, measured since a time.
    pub(crate) fn utilisation(&self, since: f64) -> Option<f64> {
        let busy = |rng: &Load| Some(rng.rates(since)?.utilisation * f64::from(rng.lanes));
        let busy = self.loads.values().map(busy).sum::<Option<f64>>()?;
        Some(busy / self.lanes()).filter(|share| share.is_finite())
    }
}

impl Load {
    /// The rates since a time.
    pub(crate) fn rates(&self, since: f64) -> Option<Rates> {
        let rate = |series: &Series| series.rate(since, MIN_WINDOW);
        let utilisation = (rate(&self.busy)? / f64::from(self.lanes)).min(1.0);
        Some(Rates { served: rate(&self.served)?, utilisation, waiting: rate(&self.queue)? })
    }
}

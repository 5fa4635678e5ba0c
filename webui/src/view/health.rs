//! The line on top: which parts work, and since when.

use store::{HISTORY, Part};

use crate::{
    history::Sample,
    state::State,
    view::text::{duration, plural},
};

/// The health of one part of the application.
pub(crate) struct Health {
    /// Class: ok, partly, down or unknown.
    pub(crate) class: &'static str,
    pub(crate) name: String,
    pub(crate) text: String,
    /// How long it has been so; empty if unknown.
    pub(crate) duration: String,
}

/// The health of rng, hasher, redis and the workers.
pub(crate) fn health(state: &State, now: f64) -> [Health; 4] {
    [
        peer(state, now, Part::Rng, |sample| match sample.rngs {
            0 | 1 => "rng".to_owned(),
            number => plural(number, "rng"),
        }),
        peer(state, now, Part::Hasher, |_| "hasher".to_owned()),
        redis(state, now),
        workers(state, now),
    ]
}

/// The last sample; none while redis cannot be read.
fn fresh(state: &State) -> Option<&Sample> {
    state.sample().filter(|_| state.unavailable.is_none())
}

/// How long samples have been like the last one.
fn since<T: PartialEq>(state: &State, now: f64, of: impl Fn(&Sample) -> T) -> String {
    let mut samples = state.history.since(0.0).rev();
    let Some(last) = samples.next() else { return String::new() };
    let first = samples.take_while(|sample| of(sample) == of(last)).last().unwrap_or(last);
    duration_since(first, now)
}

/// The time since a sample.
fn duration_since(sample: &Sample, now: f64) -> String {
    let seconds = now - sample.at;
    // The history is not longer.
    let is_longer = seconds > HISTORY.as_secs_f64() - 60.0;
    if is_longer { "half an hour".to_owned() } else { duration(seconds) }
}

/// A service that the workers report.
fn peer(state: &State, now: f64, part: Part, name: impl Fn(&Sample) -> String) -> Health {
    let class = |sample: &Sample| {
        let failing = sample.failing.get(&part).copied().unwrap_or_default();
        match failing {
            _ if sample.workers == 0 => "unknown",
            // While all workers wait for another part, none uses this one.
            0 if sample.failing.values().sum::<usize>() >= sample.workers => "unknown",
            0 => "ok",
            _ if sample.is_down(part) => "down",
            _ => "partly",
        }
    };
    let unknown = Sample::default();
    let sample = fresh(state).unwrap_or(&unknown);
    let failing = sample.failing.get(&part).copied().unwrap_or_default();
    let class_now = class(sample);
    let (text, duration) = match class_now {
        "unknown" => ("unknown".to_owned(), String::new()),
        "partly" => (format!("fails for {}", plural(failing, "worker")), since(state, now, class)),
        "down" => ("down".to_owned(), since(state, now, class)),
        _ => ("ok".to_owned(), since(state, now, class)),
    };
    Health { class: class_now, name: name(sample), text, duration }
}

fn redis(state: &State, now: f64) -> Health {
    let name = "redis".to_owned();
    let last = state.history.since(0.0).next_back();
    let problems = state.snapshot.iter().any(|(snapshot, _)| !snapshot.problems.is_empty());
    let (class, text, since) = match last {
        None if state.unavailable.is_none() => ("unknown", "unknown", String::new()),
        last if state.unavailable.is_some() => {
            let since = last.map_or(String::new(), |last| duration(now - last.at));
            ("down", "unreachable", since)
        }
        _ if problems => ("partly", "has values that cannot be read", String::new()),
        _ => {
            // Since the first sample after the last outage.
            let mut samples = state.history.since(0.0).rev();
            let after = samples.find(|sample| sample.outage.is_some());
            let first = after.or(state.history.since(0.0).next());
            ("ok", "ok", first.map_or(String::new(), |first| duration_since(first, now)))
        }
    };
    Health { class, name, text: text.to_owned(), duration: since }
}

fn workers(state: &State, now: f64) -> Health {
    let name = "workers".to_owned();
    let Some(sample) = fresh(state) else {
        let text = "unknown".to_owned();
        return Health { class: "unknown", name, text, duration: String::new() };
    };
    let working = |sample: &Sample| {
        (
            sample.workers - sample.failing.values().sum::<usize>().min(sample.workers),
            sample.workers,
        )
    };
    let (class, text) = match working(sample) {
        (_, 0) => ("unknown", "no heartbeats".to_owned()),
        (0, all) => ("down", format!("0 of {all} work")),
        (number, all) if number < all => ("partly", format!("{number} of {all} work")),
        (_, all) => ("ok", format!("{all} of {all} work")),
    };
    Health { class, name, text, duration: since(state, now, working) }
}

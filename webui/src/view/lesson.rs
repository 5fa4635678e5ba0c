//! What limits the speed, and what happened, in words.

use store::Part;

use crate::{
    capacity::Bottleneck,
    history::{Event, Sample, have_rngs_changed},
    state::State,
    view::text::{count, percent, short_rate, shorten, span},
    workers::Workers,
};

/// The name of a part.
pub(crate) fn name(part: Part) -> &'static str {
    match part {
        Part::Rng => "rng",
        Part::Hasher => "hasher",
        Part::Redis => "redis",
    }
}

/// What limits the speed, and what would help.
pub(crate) fn lesson(state: &State, sample: Option<&Sample>) -> (String, &'static str) {
    let Some(sample) = sample else {
        let text = if state.unavailable.is_some() {
            "Nothing can be read."
        } else {
            "Nothing has been read yet."
        };
        return (text.to_owned(), "");
    };
    if state.unavailable.is_some() {
        return (
            "These numbers are old.".to_owned(),
            "Workers that cannot reach redis wait; no hash is lost.",
        );
    }
    let workers = &state.workers;
    let alive = count(sample.workers, "worker");
    let [rng, could] = [sample.capacity.rng, sample.capacity.workers]
        .map(|limit| short_rate(limit.unwrap_or(0.0)));
    let (rngs, lets) = match sample.rngs {
        0 | 1 => ("rng".to_owned(), "lets"),
        number => (format!("{number} rngs"), "let"),
    };
    let busy = rng_busy(workers);
    let cpu =
        workers.cpu.map_or(String::new(), |cpu| format!(" The CPU is {} busy.", percent(cpu)));
    match state.bottleneck {
        Bottleneck::NoWorkers if sample.speed().is_some_and(|speed| speed > 0.0) => (
            "The workers send no heartbeats, like those of the original.".to_owned(),
            "What limits them is unknown.",
        ),
        Bottleneck::NoWorkers => ("No worker is running.".to_owned(), "Start one."),
        Bottleneck::Measuring => (format!("{alive}; the speed is being measured."), ""),
        Bottleneck::Failing(part) => {
            let failing = sample.failing.get(&part).copied().unwrap_or_default();
            let number = format!("{failing} of {alive}");
            let wait = if failing == 1 { "waits" } else { "wait" };
            let fails = if part == Part::Redis { "takes no results" } else { "does not answer" };
            (format!("{} {fails}: {number} {wait}.", name(part)), "They go on when it is back.")
        }
        Bottleneck::Rng if sample.capacity.workers.is_none() => {
            (format!("The workers wait for {rngs}{busy}."), "Another rng would help.")
        }
        Bottleneck::Rng => (
            format!("{alive} could do {could}\u{a0}/s; {rngs} {lets} {rng} through{busy}."),
            "Another rng would help, another worker would not.",
        ),
        Bottleneck::Balanced => (
            format!("{alive} could do {could}\u{a0}/s, {rngs} {lets} {rng} through{busy}."),
            "Another worker would help little.",
        ),
        Bottleneck::Workers if sample.capacity.rng.is_none() => (
            format!("{alive} can do {could}\u{a0}/s; rng has no delay."),
            "Another worker would help.",
        ),
        Bottleneck::Workers => (
            format!("{alive} can do {could}\u{a0}/s; {rngs} could let {rng} through{busy}."),
            "Another worker would help.",
        ),
        Bottleneck::Cpu => (
            format!("The processors limit {alive}.{cpu}"),
            "Another worker would not help; faster or more processors would.",
        ),
        Bottleneck::Unreported => (
            "The services do not report their timings, like those of the original.".to_owned(),
            "What limits the workers is unknown.",
        ),
        Bottleneck::Unlimited => (
            format!("{alive}, and no delay that limits the speed.{cpu}"),
            "The network and the processors set the pace.",
        ),
    }
}

/// How busy the rngs are, as the end of a sentence.
fn rng_busy(workers: &Workers) -> String {
    match (workers.rngs.utilisation(workers.since()), workers.rngs.loads.len()) {
        (Some(busy), 0 | 1) => format!(": rng is {} busy", percent(busy)),
        (Some(busy), _) => format!(": they are {} busy", percent(busy)),
        (None, _) => String::new(),
    }
}

/// What happened: in a few letters for the chart, and in words.
pub(crate) fn describe(event: &Event) -> (String, String) {
    let Event { before, after, is_gap } = event;
    if *is_gap {
        let time = span(after.at - before.at);
        return match after.after_outage {
            true => ("redis back".to_owned(), format!("redis was unreachable for {time}")),
            false => ("no readings".to_owned(), format!("there was no reading for {time}")),
        };
    }
    let mut texts = Vec::new();
    if before.workers != after.workers {
        let change = format!("{} → {}", before.workers, after.workers);
        texts.push((count(after.workers, "worker"), format!("workers {change}")));
    }
    if have_rngs_changed(before, after) {
        let change = format!("{} → {}", before.rngs, after.rngs);
        texts.push((count(after.rngs, "rng"), format!("rngs {change}")));
    }
    let (old, new) = (&before.versions, &after.versions);
    if !old.is_empty() && !new.is_empty() {
        for version in new.difference(old) {
            let version = shorten(version, 12);
            texts.push((version.clone(), format!("version {version} came")));
        }
        for version in old.difference(new) {
            let version = shorten(version, 12);
            texts.push((format!("no {version}"), format!("version {version} left")));
        }
    }
    for part in [Part::Rng, Part::Hasher] {
        let name = name(part);
        match (before.is_down(part), after.is_down(part)) {
            (false, true) => texts.push((format!("{name} down"), format!("{name} went down"))),
            (true, false) => texts.push((format!("{name} back"), format!("{name} came back"))),
            _ => {}
        }
    }
    let label = texts.last().map(|(label, _)| label.clone()).unwrap_or_default();
    (label, texts.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(", "))
}

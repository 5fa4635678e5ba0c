//! What happened, in words.

use store::Part;

use crate::{
    history::{Event, have_rngs_changed},
    view::text::{count, name, shorten, span},
};

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

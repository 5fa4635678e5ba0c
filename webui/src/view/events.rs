//! What happened, in words.

use store::Part;

use crate::{
    history::{Event, have_rngs_changed},
    view::text::{duration, part_name, plural, shorten},
};

/// An event in words.
#[derive(Clone, Default)]
pub(crate) struct Description {
    /// For the chart, where there is little room.
    pub(crate) label: String,
    pub(crate) text: String,
}

/// Describes an event.
pub(crate) fn describe(event: &Event) -> Description {
    let Event { before, after, is_gap } = event;
    if *is_gap {
        let time = duration(after.at - before.at);
        let (label, text) = match after.after_outage {
            true => ("redis back", format!("redis was unreachable for {time}")),
            false => ("no readings", format!("there was no reading for {time}")),
        };
        return Description { label: label.to_owned(), text };
    }
    let mut texts = Vec::new();
    if before.workers != after.workers {
        let change = format!("{} → {}", before.workers, after.workers);
        texts.push((plural(after.workers, "worker"), format!("workers {change}")));
    }
    if have_rngs_changed(before, after) {
        let change = format!("{} → {}", before.rngs, after.rngs);
        texts.push((plural(after.rngs, "rng"), format!("rngs {change}")));
    }
    let (old, new) = (&before.versions, &after.versions);
    if !old.is_empty() && !new.is_empty() {
        for version in new.difference(old) {
            let version = shorten(version, 12);
            texts.push((version.clone(), format!("version {version} joined")));
        }
        for version in old.difference(new) {
            let version = shorten(version, 12);
            texts.push((format!("no {version}"), format!("version {version} left")));
        }
    }
    for part in [Part::Rng, Part::Hasher] {
        let name = part_name(part);
        match (before.is_down(part), after.is_down(part)) {
            (false, true) => texts.push((format!("{name} down"), format!("{name} went down"))),
            (true, false) => texts.push((format!("{name} back"), format!("{name} came back"))),
            _ => {}
        }
    }
    let label = texts.last().map(|(label, _)| label.clone()).unwrap_or_default();
    let texts: Vec<_> = texts.into_iter().map(|(_, text)| text).collect();
    Description { label, text: texts.join(", ") }
}

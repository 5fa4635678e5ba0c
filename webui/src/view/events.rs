//! What happened, in words.

use store::Part;

use crate::{
    history::{Event, have_rngs_changed},
    view::text::{duration, part_name, plural, shorten},
};

/// The maximum length of a version, which must fit into the chart.
const MAX_VERSION: usize = 12;

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
        let (label, text) = match after.outage {
            Some(time) => ("redis back", format!("redis was unreachable for {}", duration(time))),
            None => {
                let time = duration(after.at - before.at);
                ("no readings", format!("there was no reading for {time}"))
            }
        };
        return Description { label: label.to_owned(), text };
    }
    // The most important one first: it becomes the label.
    let mut texts = Vec::new();
    for part in [Part::Rng, Part::Hasher] {
        let name = part_name(part);
        match (before.is_down(part), after.is_down(part)) {
            (false, true) => texts.push((format!("{name} down"), format!("{name} went down"))),
            (true, false) => texts.push((format!("{name} back"), format!("{name} came back"))),
            _ => {}
        }
    }
    let (old, new) = (&before.versions, &after.versions);
    let is_known = !old.is_empty() && !new.is_empty();
    for version in new.difference(old).filter(|_| is_known) {
        let version = shorten(version, MAX_VERSION);
        texts.push((version.clone(), format!("version {version} joined")));
    }
    if before.workers != after.workers {
        let change = format!("{} → {}", before.workers, after.workers);
        texts.push((plural(after.workers, "worker"), format!("workers {change}")));
    }
    if have_rngs_changed(before, after) {
        let change = format!("{} → {}", before.rngs, after.rngs);
        texts.push((plural(after.rngs, "rng"), format!("rngs {change}")));
    }
    for version in old.difference(new).filter(|_| is_known) {
        let version = shorten(version, MAX_VERSION);
        texts.push((format!("no {version}"), format!("version {version} left")));
    }
    let label = texts.first().map(|(label, _)| label.clone()).unwrap_or_default();
    let texts: Vec<_> = texts.into_iter().map(|(_, text)| text).collect();
    Description { label, text: texts.join(", ") }
}
